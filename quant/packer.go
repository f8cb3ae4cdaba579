package quant

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/kernels"
)

// Packer makes N16K4 blocks from rows in order, sixteen at a time, so that a matrix of any size passes through K*16 bytes:
//
//	p := quant.NewPacker(cols)
//	for each row {
//		p.AddF32(row) or p.AddI8(row, scale)
//		if p.Full() { write p.Block(); scales, sums = append(...) ; p.Reset() }
//	}
//	if p.Rows() > 0 { the same }         // the last block is padded with zero rows
type Packer struct {
	cols, k int
	rows    int // in the block so far
	total   int // since NewPacker, for messages
	row     []int8
	block   []int8
	scale   [kernels.Lanes]float32
	sum     [kernels.Lanes]int32
}

// NewPacker packs rows of cols columns, padded to 16.
func NewPacker(cols int) *Packer {
	if cols <= 0 || cols > 131071 {
		panic(fmt.Sprintf("quant: %d columns; sums are exact for 1 to 131071", cols))
	}
	k := kernels.Pad16(cols)
	return &Packer{cols: cols, k: k, row: make([]int8, k), block: make([]int8, kernels.Lanes*k)}
}

// AddF32 quantizes one row and adds it.
func (p *Packer) AddF32(w []float32) error {
	if err := p.room(len(w)); err != nil {
		return err
	}
	scale, err := QuantizeRow(p.row, w)
	if err != nil {
		return fmt.Errorf("row %d: %w", p.total, err)
	}
	p.add(scale)
	return nil
}

// AddI8 adds one row that is int8 already, as it is: never through float.
func (p *Packer) AddI8(q []int8, scale float32) error {
	if err := p.room(len(q)); err != nil {
		return err
	}
	for i, v := range q {
		if v == -128 {
			return fmt.Errorf("row %d: column %d is -128, which the kernels cannot multiply exactly; quantize to -127..127", p.total, i)
		}
	}
	if !(math.Abs(float64(scale)) <= math.MaxFloat32) {
		return fmt.Errorf("row %d: its scale is %v; a scale must be finite", p.total, scale)
	}
	copy(p.row, q) // what lies past cols has stayed zero
	p.add(scale)
	return nil
}

func (p *Packer) room(cols int) error {
	if p.Full() {
		panic("quant: Packer holds a full block; take it and Reset")
	}
	if cols != p.cols {
		return fmt.Errorf("row %d: %d columns, the matrix has %d", p.total, cols, p.cols)
	}
	return nil
}

func (p *Packer) add(scale float32) {
	var sum int32
	for k := 0; k < p.k; k += 4 {
		for j, v := range p.row[k : k+4] {
			sum += int32(v)
			p.block[k*kernels.Lanes+p.rows*4+j] = v
		}
	}
	p.scale[p.rows], p.sum[p.rows] = scale, sum
	p.rows++
	p.total++
}

// Full reports whether sixteen rows are in: take the block, then Reset.
func (p *Packer) Full() bool { return p.rows == kernels.Lanes }

// Rows returns how many rows are in the block so far.
func (p *Packer) Rows() int { return p.rows }

// Block returns the block: 16*K bytes, K padded, and sixteen scales and sums; rows not added are zero. Valid until Reset.
func (p *Packer) Block() (data []int8, scale []float32, sum []int32) {
	return p.block, p.scale[:], p.sum[:]
}

// Reset begins the next block.
func (p *Packer) Reset() {
	clear(p.block)
	clear(p.scale[:])
	clear(p.sum[:])
	p.rows = 0
}

// Pack packs a whole matrix that is at hand: w [len(w)/cols, cols] row-major. For tests and small tables.
func Pack(w []float32, cols int) (*Matrix, error) {
	m, p := &Matrix{}, NewPacker(cols)
	m.K = p.k
	take := func() {
		data, scale, sum := p.Block()
		m.Data, m.Scale, m.Sum = append(m.Data, data...), append(m.Scale, scale...), append(m.Sum, sum...)
		m.N += kernels.Lanes
		p.Reset()
	}
	if len(w)%cols != 0 {
		return nil, fmt.Errorf("%d weights are no whole rows of %d columns", len(w), cols)
	}
	for ; len(w) > 0; w = w[cols:] {
		if err := p.AddF32(w[:cols]); err != nil {
			return nil, err
		}
		if p.Full() {
			take()
		}
	}
	if p.Rows() > 0 {
		take()
	}
	return m, nil
}
