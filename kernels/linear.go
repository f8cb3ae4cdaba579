package kernels

import "fmt"

// Weights is a matrix [N, K] of int8 in N16K4, ready to multiply. N and K are the padded sizes, and so are the lengths:
// Data N*K bytes, Scale, Sum and Bias N elements; a padding row is zero with scale 0. Bias may be nil.
// The slices may point into a mapped file: nothing here writes to them.
type Weights struct {
	N, K  int
	Data  []int8
	Scale []float32 // real = int8 * scale, one a row
	Sum   []int32   // of each row over k
	Bias  []float32
}

const (
	tileCols = 64 // weight rows in one call, four blocks
	tileRows = 64 // most rows of x in one call

	// LinearScratch is how many int32 Linear needs: a tile of 16 KB, which a first-level cache of 32 KB holds, on sets with
	// tiles of 64 columns; four times that on those with more, where a call makes x ready once for all its columns.
	LinearScratch = 4 * tileCols * tileRows

	// tileX bounds the bytes of x in a tile, all of which pass by each block of weights: half of such a cache. One call into
	// assembly is only a register tile of it, some µs on a Cortex-A53 (the garbage collector waits for a call).
	tileX = 16 << 10
	// wideX and wideWork bound the bytes of x and of weights of one call on sets with tiles of more columns, which keep their own
	// part of x in the first level.
	wideX, wideWork = 64 << 10, 256 << 10
	// gemvWork bounds the bytes of weights of one call with one row of x, where memory sets the pace: under 100 µs, and so does
	// wideGemv on sets with wide tiles, whose processors read more than 10 GB/s.
	gemvWork, wideGemv = 128 << 10, 512 << 10
)

// Grain is how many columns of m rows Linear should have to compute at least, where there is a choice: fewer fill no tile, and
// the rows of x are brought into the first level for each call.
func (s *Set) Grain(m int) int {
	if m == 1 {
		return 16
	}
	return max(s.cols, tileCols)
}

// Linear computes columns [n0, n1) of dst = act(dequant(x · wᵀ) + bias) + residual.
//
// Shapes: x [m, w.K] int8 with a scale a row, dst [m, ld] float32, residual like dst, or nil, or dst itself; ld >= n1;
// n0 and n1 multiples of 16, so that threads share a product out by whole blocks of weights; scratch LinearScratch int32.
// The result depends neither on that split nor on the size of the tiles: sums are exact and the epilogue sees one element at a time.
// Panics if a slice is shorter than its shape. Does not allocate; dst must not overlap x, w or scratch.
// Source: Jacob et al. 2018, eq. 7, with zero points 0.
func (s *Set) Linear(dst []float32, ld int, x []int8, xScale []float32, m int, w *Weights, n0, n1 int, act Activation, residual []float32, scratch []int32) {
	k := w.K
	if n0%16 != 0 || n1%16 != 0 || k%16 != 0 || n0 < 0 || n0 > n1 || n1 > w.N || n1 > ld || m < 0 {
		panic(fmt.Sprintf("kernels: Linear of columns [%d, %d) of [%d, %d], ld %d, m %d", n0, n1, w.N, k, ld, m))
	}
	if m == 0 {
		return
	}
	x, xScale, scratch = cut(x, m*k), cut(xScale, m), cut(scratch, LinearScratch)
	cols, rows := tileCols, 1
	switch {
	case m == 1:
		// One row is bound by memory: as many columns as the time of a call and scratch allow.
		work := gemvWork
		if s.cols > 0 {
			work = wideGemv
		}
		cols = min(max(work/max(k, 1)&^15, 16), LinearScratch)
	case s.cols > 0:
		rows = min(max(wideX/max(k, 1)&^3, 4), tileRows, m)
		cols = max(min(s.cols, wideWork/max(k, 1)&^63, LinearScratch/rows&^63), tileCols)
	default:
		rows = min(max(tileX/max(k, 1)&^3, 4), tileRows)
	}
	// Columns outside, rows inside: the weights, the larger side, pass through the cache once.
	for n := n0; n < n1; n += cols {
		nt := min(cols, n1-n)
		data, scale, sum := w.Data[n*k:(n+nt)*k], w.Scale[n:n+nt], w.Sum[n:n+nt]
		var bias []float32
		if w.Bias != nil {
			bias = w.Bias[n : n+nt]
		}
		for i := 0; i < m; i += rows {
			mt := min(rows, m-i)
			acc := scratch[:mt*nt]
			at := i*ld + n
			end := at + (mt-1)*ld + nt
			var res []float32
			if residual != nil {
				res = residual[at:end:len(residual)]
			}
			switch {
			case m == 1:
				s.GemvS8(acc, x, data, sum)
			case s.fused != nil && s.fused(dst[at:end:len(dst)], ld, acc, x[i*k:(i+mt)*k], data, sum, xScale[i:i+mt], scale, bias, act, res):
				continue
			default:
				s.GemmS8(acc, x[i*k:(i+mt)*k], data, sum, mt, k)
			}
			s.EpilogueF32(dst[at:end:len(dst)], ld, acc, xScale[i:i+mt], scale, bias, act, res)
		}
	}
}
