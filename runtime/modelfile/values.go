package modelfile

import (
	"math"
	"sync/atomic"
)

// checkValues checks what the tensors hold, which kernels rely on: no -128, sums that are the sums, finite floats, scales
// that are not negative, zeros in the padding.
func (f *File) checkValues() error {
	type piece struct {
		tensor   int
		t        *Tensor
		from, to int // rows
	}
	var pieces []piece
	dataEnd := f.offset(SectionTensorData)
	for i := range f.tensors {
		t := &f.tensors[i]
		for _, array := range [][]byte{t.Data, Bytes(t.Scale), Bytes(t.Sum)} {
			if len(array) == 0 {
				continue
			}
			at := f.offsetOf(array)
			if err := f.checkZero("DATA", dataEnd, at); err != nil {
				return err
			}
			dataEnd = at + uint64(len(array))
		}
		rows := t.PaddedRows()
		step := max(checkPiece/(len(t.Data)/rows)&^15, 16)
		for from := 0; from < rows; from += step {
			pieces = append(pieces, piece{i, t, from, min(from+step, rows)})
		}
	}
	large := make([]atomic.Bool, len(f.tensors))
	data := func(i int) [][]byte {
		p := pieces[i]
		rowBytes := len(p.t.Data) / p.t.PaddedRows()
		parts := [][]byte{p.t.Data[p.from*rowBytes : p.to*rowBytes]}
		if len(p.t.Scale) > 0 {
			parts = append(parts, Bytes(p.t.Scale[p.from:p.to]))
		}
		if len(p.t.Sum) > 0 {
			parts = append(parts, Bytes(p.t.Sum[p.from:p.to]))
		}
		return parts
	}
	err := f.parallel(len(pieces), func(i int) error {
		p := pieces[i]
		f.ahead(i, len(pieces), data)
		defer func() {
			for _, b := range data(i) {
				f.release(b)
			}
		}()
		if err := f.checkScales(p.t, p.from, p.to); err != nil {
			return err
		}
		switch {
		case p.t.Layout == N16K4:
			small, err := f.checkBlocks(p.t, p.from, p.to)
			if !small {
				large[p.tensor].Store(true)
			}
			return err
		case p.t.DType == I8:
			return f.checkRowsI8(p.t, p.from, p.to)
		}
		return f.checkFloats(p.t, p.from, p.to)
	})
	for i := range f.tensors {
		t := &f.tensors[i]
		t.Small = t.Layout == N16K4 && !large[i].Load()
	}
	return err
}

// offsetOf is where a slice of the file's memory starts in the file.
func (f *File) offsetOf(b []byte) uint64 { return uint64(address(b) - address(f.data)) }

// bad is an error about one byte of a tensor's data.
//
//go:noinline
func (f *File) bad(array []byte, at int, format string, args ...any) error {
	return f.unsound("DATA", f.offsetOf(array)+uint64(at), format, args...)
}

func (f *File) checkScales(t *Tensor, from, to int) error {
	rows := t.Rows()
	for n, s := range t.Scale[min(from, len(t.Scale)):min(to, len(t.Scale))] {
		n += from
		bits := math.Float32bits(s)
		switch {
		case n >= rows && bits != 0:
			return f.bad(Bytes(t.Scale), 4*n, "tensor %q: the scale of row %d, which is padding, is %v, must be 0", t.Name, n, s)
		case bits >= 0x7f800000: // infinity, NaN, or the sign: -0 as well
			return f.bad(Bytes(t.Scale), 4*n, "tensor %q: the scale of row %d is %v, must be finite and not negative", t.Name, n, s)
		}
	}
	return nil
}

// Words of eight int8. Adding 128 to each (flipping the sign bits) makes them unsigned, so that -128 is a zero byte and
// bytes can be added in pairs inside a word without one spilling into the next.
const (
	signs = 0x8080808080808080
	ones  = 0x0101010101010101
	evens = 0x00ff00ff00ff00ff
)

// zeroByte is nonzero if u has a byte of 0.
func zeroByte(u uint64) uint64 { return (u - ones) &^ u & signs }

// checkRowsI8 checks rows [from, to) of an int8 tensor in layout rows: 8 elements at a time.
func (f *File) checkRowsI8(t *Tensor, from, to int) error {
	cols, stride := t.Cols(), t.PaddedCols()
	data := t.Data[from*stride : to*stride]
	var found uint64
	for _, w := range view[uint64](data) {
		found |= zeroByte(w ^ signs)
	}
	if found != 0 {
		return f.findMin(t, from*stride, to*stride)
	}
	if cols == stride {
		return nil
	}
	for n := from; n < to; n++ {
		if pad := t.Data[n*stride+cols : (n+1)*stride]; !allZero(pad) {
			return f.bad(pad, 0, "tensor %q: padding of row %d must be zero", t.Name, n)
		}
	}
	return nil
}

// findMin says where the -128 is that was found in bytes [from, to) of the tensor.
func (f *File) findMin(t *Tensor, from, to int) error {
	for i := from; i < to; i++ {
		if t.Data[i] == 0x80 {
			return f.bad(t.Data, i, "tensor %q holds -128: int8 weights must be -127 to 127", t.Name)
		}
	}
	return f.bad(t.Data, from, "tensor %q changed while it was checked", t.Name)
}

// checkBlocks checks rows [from, to), multiples of 16, of a tensor in N16K4, and tells whether all elements are from -64 to 63: the two
// highest bits of each are the same.
//
// A block of 64 bytes is eight words, word i holding four columns of row 2i and four of row 2i+1. Adding the odd bytes of
// a word to its even bytes gives four 16-bit lanes, two for each of the rows; 128 blocks fit before a lane of at most
// 128 * 2 * 255 must be emptied. The bias of 128 a byte is taken off the total.
func (f *File) checkBlocks(t *Tensor, from, to int) (small bool, err error) {
	rows, cols, k := t.Rows(), t.Cols(), t.PaddedCols()
	var large uint64
	for n := from; n < to; n += 16 {
		group := t.Data[n*k : (n+16)*k]
		words := view[uint64](group)
		var sum [16]int32
		var found uint64
		for len(words) > 0 {
			part := words[:min(len(words), 128*8)]
			words = words[len(part):]
			for i := range 8 {
				var lanes uint64
				for at := i; at < len(part); at += 8 {
					u := part[at] ^ signs
					found |= zeroByte(u)
					large |= part[at] ^ part[at]<<1
					lanes += u&evens + u>>8&evens
				}
				sum[2*i] += int32(lanes&0xffff + lanes>>16&0xffff)
				sum[2*i+1] += int32(lanes>>32&0xffff + lanes>>48)
			}
		}
		if found != 0 {
			return false, f.findMin(t, n*k, (n+16)*k)
		}
		for i, s := range sum {
			if s -= int32(128 * k); s != t.Sum[n+i] {
				return false, f.bad(Bytes(t.Sum), 4*(n+i), "tensor %q: the sum of row %d is given as %d, but is %d", t.Name, n+i, t.Sum[n+i], s)
			}
		}
		if err := f.checkBlockPadding(t, n, max(0, n+16-rows), k-cols); err != nil {
			return false, err
		}
	}
	return large&signs == 0, nil
}

// checkBlockPadding checks that the last padRows rows and the last padCols columns of the 16 rows from n on are zero.
func (f *File) checkBlockPadding(t *Tensor, n, padRows, padCols int) error {
	k := t.PaddedCols()
	group := t.Data[n*k : (n+16)*k]
	for block := 0; block < k/4 && padRows > 0; block++ {
		at := block*64 + (16-padRows)*4
		if !allZero(group[at : (block+1)*64]) {
			return f.bad(group, at, "tensor %q: padding rows after row %d must be zero", t.Name, t.Rows()-1)
		}
	}
	for col := k - padCols; col < k; col++ {
		for row := range 16 {
			if at := col/4*64 + row*4 + col%4; group[at] != 0 {
				return f.bad(group, at, "tensor %q: padding of row %d must be zero", t.Name, n+row)
			}
		}
	}
	return nil
}

// checkFloats checks rows [from, to) of a tensor of floats. Infinity and NaN are the values whose exponent is all ones.
func (f *File) checkFloats(t *Tensor, from, to int) error {
	size, cols, stride := t.DType.Size(), t.Cols(), t.PaddedCols()
	rowBytes := stride * size
	data := t.Data[from*rowBytes : to*rowBytes]
	index := -1
	switch t.DType {
	case F16:
		index = exponent(view[uint16](data), 0x7c00)
	case F32:
		index = exponent(view[uint32](data), 0x7f800000)
	case F64:
		index = exponent(view[uint64](data), 0x7ff0000000000000)
	}
	if index >= 0 {
		return f.bad(data, index*size, "tensor %q: element %d of row %d must be finite", t.Name, index%stride, from+index/stride)
	}
	for n := from; n < to && cols < stride; n++ {
		if pad := t.Data[n*rowBytes+cols*size : (n+1)*rowBytes]; !allZero(pad) {
			return f.bad(pad, 0, "tensor %q: padding of row %d must be zero", t.Name, n)
		}
	}
	return nil
}

// exponent is the index of the first element with all bits of mask set, -1 if there is none.
func exponent[T uint16 | uint32 | uint64](data []T, mask T) int {
	for i, x := range data {
		if x&mask == mask {
			return i
		}
	}
	return -1
}
