// Package quant turns rows of floats into rows of int8 with a scale, and packs them as the kernels read them.
//
// Symmetric, one float32 scale a row: q = clamp(roundToEven(w/s), -127, 127), s = absmax/127. -128 is never stored: the
// exactness of the int16 steps of the NEON and AVX2 kernels rests on it. Beside its scale each row keeps the int32 sum of its q.
package quant

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/kernels"
)

// Matrix is a weight matrix [N, K] in layout N16K4; see kernels.Weights. N and K are the padded sizes.
type Matrix struct{ kernels.Weights }

// Lanes is the number of rows in a block of layout N16K4.
const Lanes = kernels.Lanes

// Row gathers row n. len(dst) may be the real number of columns or the padded one.
func (m *Matrix) Row(dst []int8, n int) {
	if n < 0 || n >= m.N || len(dst) > m.K {
		panic(fmt.Sprintf("quant: row %d, %d columns of a matrix [%d, %d]", n, len(dst), m.N, m.K))
	}
	src := m.Data[n/16*16*m.K+n%16*4:]
	for k := 0; k < len(dst); k += 4 {
		copy(dst[k:], src[k*16:k*16+4]) // four columns of a row lie together, the next four 64 bytes on
	}
}

// DequantizeRow writes the floats that row n stands for: q * scale.
func (m *Matrix) DequantizeRow(dst []float32, n int) {
	if n < 0 || n >= m.N || len(dst) > m.K {
		panic(fmt.Sprintf("quant: row %d, %d columns of a matrix [%d, %d]", n, len(dst), m.N, m.K))
	}
	src, s := m.Data[n/16*16*m.K+n%16*4:], m.Scale[n]
	for k := range dst {
		dst[k] = float32(src[k/4*64+k%4]) * s
	}
}

const (
	tinyMax    = 0x1p-100 // a row whose largest weight is smaller is stored as zero
	roundMagic = 12582912 // 1.5 * 2^23: adding it rounds to the nearest integer, ties to even
)

// QuantizeRow computes scale = absmax/127 and q = clamp(roundToEven(w/scale), -127, 127) for len(w) columns; the rest of q
// is zeroed. An absmax below 2^-100 gives scale 0 and zeros. NaN and infinity are errors that say where.
func QuantizeRow(q []int8, w []float32) (scale float32, err error) {
	if len(q) < len(w) {
		panic(fmt.Sprintf("quant: %d weights into %d bytes", len(w), len(q)))
	}
	var top uint32
	for i, v := range w {
		b := math.Float32bits(v) &^ (1 << 31)
		if b >= 0x7f800000 {
			clear(q)
			return 0, fmt.Errorf("column %d is %v, which int8 cannot stand for", i, v)
		}
		top = max(top, b)
	}
	absmax := math.Float32frombits(top)
	if absmax < tinyMax {
		clear(q)
		return 0, nil
	}
	scale = absmax / 127
	for i, v := range w {
		t := float32(v/scale) + roundMagic
		q[i] = int8(min(max(int32(math.Float32bits(t))-0x4b400000, -127), 127))
	}
	clear(q[len(w):])
	return scale, nil
}
