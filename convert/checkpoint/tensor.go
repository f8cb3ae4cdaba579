package checkpoint

import (
	"fmt"
	"io"
	"math"
	"sync"
)

// Element types, as Tensor.DType names them. The last three are listed only: their elements have no
// float32 value here, and reading them is an error.
const (
	F32  = "f32"
	F16  = "f16"
	BF16 = "bf16"
	F64  = "f64"
	I8   = "i8"
	I16  = "i16"
	I32  = "i32"
	I64  = "i64"
	U8   = "u8"
	U16  = "u16"
	U32  = "u32"
	U64  = "u64"
	Bool = "bool"
	F8E4 = "f8_e4m3"
	F8E5 = "f8_e5m2"
	F8E8 = "f8_e8m0"
	C64  = "c64"
	C128 = "c128"
)

// ElementSize is how many bytes an element takes, or 0 for a type that is not known.
func ElementSize(dtype string) int {
	switch dtype {
	case I8, U8, Bool, F8E4, F8E5, F8E8:
		return 1
	case F16, BF16, I16, U16:
		return 2
	case F32, I32, U32:
		return 4
	case F64, I64, U64, C64:
		return 8
	case C128:
		return 16
	}
	return 0
}

// MaxRank bounds the dimensions of a tensor; PyTorch allows 64, models use 4.
const MaxRank = 64

// A Tensor is a view of numbers in a file. The last dimension is a row's; the others, multiplied, count
// the rows. Reading it does not change it.
type Tensor struct {
	Name   string
	Shape  []int  // empty for a scalar
	DType  string // F32, F16, ...
	File   string // holds the numbers; for errors
	Offset int64  // of the first element in File, for errors (in a stored zip member too)

	// Scale is set where integers stand for reals, by the format's own rule: real = stored / scale, with
	// one scale a row, or one for all of them. ReadF32 applies it; ReadI8 does not.
	Scale *Tensor

	src     io.ReaderAt
	base    int64   // of element 0 in src
	strides []int64 // in elements, one a dimension, none negative
	span    int64   // bytes from the first element to the end of the last; identifies, with src and base, the data
}

// Layout says where the numbers of a tensor lie.
type Layout struct {
	Source  io.ReaderAt
	Offset  int64   // of the first element in Source
	Limit   int64   // no element may end after this byte of Source
	Strides []int64 // in elements; nil = contiguous, last dimension fastest
	At      int64   // what to add to an offset in Source for the offset in the file, for errors
}

// NewTensor checks that every element lies inside the layout's bytes, and returns the tensor. An
// expanded view (stride 0) may have no more than twice as many elements as there are bytes in the
// source, and 4 M: whoever allocates by shape stays near the size of the file.
func NewTensor(file, name, dtype string, shape []int, l Layout) (*Tensor, error) {
	fail := func(format string, args ...any) (*Tensor, error) {
		return nil, Errorf(file, name, l.Offset+l.At, "", format, args...)
	}
	size := int64(ElementSize(dtype))
	if size == 0 {
		return fail("element type %q is not known", dtype)
	}
	if len(shape) > MaxRank {
		return fail("it has %d dimensions, more than %d", len(shape), MaxRank)
	}
	if l.Offset < 0 || l.Limit < l.Offset {
		return fail("it starts outside its data, which end at byte %d", l.Limit+l.At)
	}
	count := int64(1)
	for _, d := range shape {
		if d < 0 {
			return fail("shape %v has a negative dimension", shape)
		}
		if d > 0 && count > math.MaxInt/int64(d) {
			return fail("shape %v has more elements than this machine can count", shape)
		}
		count *= int64(d)
	}
	strides := l.Strides
	if strides == nil {
		strides = contiguous(shape)
	}
	if len(strides) != len(shape) {
		return fail("%d strides for %d dimensions", len(strides), len(shape))
	}
	t := &Tensor{Name: name, Shape: append([]int(nil), shape...), DType: dtype, File: file, Offset: l.Offset + l.At,
		src: l.Source, base: l.Offset, strides: append([]int64(nil), strides...)}
	if count == 0 {
		return t, nil
	}
	room := (l.Limit - l.Offset) / size // elements that fit behind the first byte
	last := int64(0)                    // index of the last element
	for i, s := range strides {
		steps := int64(shape[i] - 1)
		if s < 0 {
			return fail("stride %d is negative", s)
		}
		if steps > 0 && s > room/steps {
			return fail("shape %v with strides %v reaches beyond its data, which end at byte %d", shape, strides, l.Limit+l.At)
		}
		last += steps * s
	}
	if last >= room {
		return fail("shape %v of %s needs %d bytes but only %d are there", shape, dtype, (last+1)*size, l.Limit-l.Offset)
	}
	if limit := max(2*l.Limit, 4<<20); count > last+1 && count > limit {
		return fail("shape %v has %d elements on %d stored ones", shape, count, last+1)
	}
	t.span = (last + 1) * size
	return t, nil
}

func contiguous(shape []int) []int64 {
	strides := make([]int64, len(shape))
	step := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= int64(max(shape[i], 1))
	}
	return strides
}

// Len is how many elements the tensor has.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Rows is the product of all dimensions but the last; 1 for a vector or a scalar.
func (t *Tensor) Rows() int {
	n := 1
	for i := 0; i+1 < len(t.Shape); i++ {
		n *= t.Shape[i]
	}
	return n
}

// Cols is the last dimension; 1 for a scalar.
func (t *Tensor) Cols() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// SameData says whether two tensors show the same bytes in the same way: tied weights.
func (t *Tensor) SameData(o *Tensor) bool {
	if t == o {
		return true
	}
	if t.src != o.src || t.base != o.base || t.DType != o.DType || len(t.Shape) != len(o.Shape) || t.span != o.span {
		return false
	}
	for i := range t.Shape {
		if t.Shape[i] != o.Shape[i] || t.Shape[i] > 1 && t.strides[i] != o.strides[i] {
			return false
		}
	}
	return true
}

//go:noinline
func (t *Tensor) fail(offset int64, err error, do, format string, args ...any) error {
	if offset >= 0 {
		offset += t.Offset - t.base
	}
	return &Error{File: t.File, Tensor: t.Name, Offset: offset, Reason: fmt.Sprintf(format, args...), Do: do, Err: err}
}

// ReadF32 reads n rows from the given one into dst[:n*Cols()] as float32. Every number that float32 can
// hold arrives exactly; f64, i32, i64, u32 and u64 are rounded to the nearest, ties to even. Where Scale
// is set the result is the real number, stored * (1 / scale), as CTranslate2 computes it.
//
// Panics if dst is shorter. Memory: one buffer of 64 KiB, whatever the size of the tensor.
func (t *Tensor) ReadF32(dst []float32, row, n int) error {
	dst = dst[:n*t.Cols()]
	convert, ok := toF32[t.DType]
	if !ok {
		return t.fail(t.base, nil, "convert the checkpoint to float32 first", "elements of type %s have no float32 value here", t.DType)
	}
	if err := read(t, dst, row, n, convert); err != nil || t.Scale == nil {
		return err
	}
	return t.applyScale(dst, row, n)
}

// ReadI8 reads n rows from the given one into dst[:n*Cols()] as they are stored. The tensor must be int8.
// Panics if dst is shorter.
func (t *Tensor) ReadI8(dst []int8, row, n int) error {
	dst = dst[:n*t.Cols()]
	if t.DType != I8 {
		return t.fail(t.base, nil, "", "elements are %s where int8 was expected", t.DType)
	}
	return read(t, dst, row, n, func(dst []int8, step int, raw []byte) {
		for i := range raw {
			dst[i*step] = int8(raw[i])
		}
	})
}

// ReadScale reads what the stored integers of n rows have to be multiplied with: 1 / scale in float32,
// one number a row, repeated where the format has one for the whole tensor. Only where Scale is set.
func (t *Tensor) ReadScale(dst []float32, row, n int) error {
	dst = dst[:n]
	if t.Scale == nil {
		return t.fail(t.base, nil, "", "it has no scale")
	}
	if t.Scale.Len() == 1 {
		if err := t.Scale.ReadF32(dst[:1], 0, 1); err != nil {
			return err
		}
		for i := range dst {
			dst[i] = dst[0]
		}
	} else {
		// One for each step of the first dimension: for convolutions that is several rows.
		each := 1
		if len(t.Shape) > 2 && t.Scale.Len() > 0 {
			each = t.Rows() / t.Scale.Len()
		}
		if len(t.Shape) < 2 || len(t.Scale.Shape) != 1 || t.Scale.Len() != t.Shape[0] {
			return t.fail(t.base, nil, "", "shape %v but %d scales in %q", t.Shape, t.Scale.Len(), t.Scale.Name)
		}
		if row < 0 || n < 0 || row > t.Rows()-n {
			return t.fail(t.base, nil, "", "rows %d to %d of %d were asked for", row, row+n, t.Rows())
		}
		if n == 0 {
			return nil
		}
		first, last := row/each, (row+n-1)/each
		part := *t.Scale // the wanted scales as a vector of their own
		part.base += int64(first) * part.strides[0] * int64(ElementSize(part.DType))
		part.Shape = []int{last - first + 1}
		if err := part.ReadF32(dst[:last-first+1], 0, 1); err != nil {
			return err
		}
		for i := n - 1; i >= 0; i-- { // from the end, for the scales lie at the start
			dst[i] = dst[(row+i)/each-first]
		}
	}
	for i, s := range dst {
		if !(s > 0) || math.IsInf(float64(s), 0) || math.IsInf(float64(1/s), 0) {
			return t.fail(t.base, nil, "", "scale %v of row %d (in %q) is not a positive finite number", s, row+i, t.Scale.Name)
		}
		dst[i] = 1 / s
	}
	return nil
}

func (t *Tensor) applyScale(dst []float32, row, n int) error {
	cols := t.Cols()
	scale := make([]float32, min(n, 1024))
	for done := 0; done < n; done += len(scale) {
		scale = scale[:min(len(scale), n-done)]
		if err := t.ReadScale(scale, row+done, len(scale)); err != nil {
			return err
		}
		for i, s := range scale {
			values := dst[(done+i)*cols : (done+i+1)*cols]
			for j := range values {
				values[j] *= s
			}
		}
	}
	return nil
}

// F32 reads the whole tensor; for biases, norms and tests.
func (t *Tensor) F32() ([]float32, error) {
	dst := make([]float32, t.Len())
	return dst, t.ReadF32(dst, 0, t.Rows())
}

// Int reads a scalar (or a tensor of one element) of an integer or bool type.
func (t *Tensor) Int() (int64, error) {
	if t.Len() != 1 {
		return 0, t.fail(t.base, nil, "", "shape %v where one integer was expected", t.Shape)
	}
	convert, ok := toInt[t.DType]
	if !ok {
		return 0, t.fail(t.base, nil, "", "elements are %s where an integer was expected", t.DType)
	}
	raw := make([]byte, ElementSize(t.DType))
	if err := t.readAt(raw, t.base); err != nil {
		return 0, err
	}
	return convert(raw), nil
}

// bufferBytes is what one read of a file brings at most: large enough for a sequential read to run at
// the speed of a card, small enough to be nothing.
const bufferBytes = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// read brings rows [row, row+n) of t, converted run by run. convert puts the elements in raw into dst[0],
// dst[step], dst[2*step], ...
//
// A run is a piece of the file whose elements follow each other in dst: a whole contiguous block, a row,
// or, where columns are what lies together (a transposed view), a piece of a column.
func read[T any](t *Tensor, dst []T, row, n int, convert func(dst []T, step int, raw []byte)) error {
	rows, cols := t.Rows(), t.Cols()
	if row < 0 || n < 0 || row > rows-n {
		return t.fail(t.base, nil, "", "rows %d to %d of %d were asked for", row, row+n, rows)
	}
	if n == 0 || cols == 0 {
		return nil
	}
	buf := buffers.Get().(*[bufferBytes]byte)
	defer buffers.Put(buf)
	size := ElementSize(t.DType)

	// whole reads count elements, stride apart, from element first of src.
	whole := func(dst []T, step int, first, stride int64, count int) error {
		at := t.base + first*int64(size)
		if stride == 0 && count > 1 { // one element, spread
			if err := t.readAt(buf[:size], at); err != nil {
				return err
			}
			for i := range count {
				convert(dst[i*step:], step, buf[:size])
			}
			return nil
		}
		apart := stride * int64(size)
		if count == 1 {
			apart = int64(size)
		}
		for done := 0; done < count; {
			take := count - done
			if apart > bufferBytes {
				take = 1
			} else {
				take = min(take, int((bufferBytes-int64(size))/apart)+1)
			}
			raw := buf[:int64(take-1)*apart+int64(size)]
			if err := t.readAt(raw, at+int64(done)*apart); err != nil {
				return err
			}
			if apart == int64(size) {
				convert(dst[done*step:], step, raw)
			} else {
				for i := range take {
					convert(dst[(done+i)*step:], step, raw[int64(i)*apart:int64(i)*apart+int64(size)])
				}
			}
			done += take
		}
		return nil
	}

	colStride := int64(1)
	if len(t.Shape) > 0 {
		colStride = t.strides[len(t.strides)-1]
	}
	rowStride, even := t.rowStride()
	switch {
	case even && (n == 1 || colStride == 1 && rowStride == int64(cols)):
		if n == 1 {
			return whole(dst, 1, int64(row)*rowStride, colStride, cols)
		}
		return whole(dst, 1, int64(row)*rowStride, 1, n*cols)
	case even && rowStride < colStride:
		for j := range cols {
			if err := whole(dst[j:], cols, int64(row)*rowStride+int64(j)*colStride, rowStride, n); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range n {
		if err := whole(dst[i*cols:(i+1)*cols], 1, t.rowStart(row+i), colStride, cols); err != nil {
			return err
		}
	}
	return nil
}

// rowStride gives the distance between rows, if it is the same between all of them.
func (t *Tensor) rowStride() (stride int64, even bool) {
	first := true
	inner := int64(1) // rows that one step of the dimension looked at makes
	for i := len(t.Shape) - 2; i >= 0; i-- {
		if t.Shape[i] == 1 {
			continue
		}
		if first {
			stride, first = t.strides[i], false
		} else if t.strides[i] != stride*inner {
			return 0, false
		}
		inner *= int64(t.Shape[i])
	}
	return stride, true
}

// rowStart is the index of a row's first element.
func (t *Tensor) rowStart(row int) int64 {
	at := int64(0)
	for i := len(t.Shape) - 2; i >= 0; i-- {
		at += int64(row%t.Shape[i]) * t.strides[i]
		row /= t.Shape[i]
	}
	return at
}

func (t *Tensor) readAt(p []byte, at int64) error {
	n, err := t.src.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return t.fail(at+int64(n), nil, "do not change it while it is converted", "the file has become shorter since it was opened")
	}
	return t.fail(at+int64(n), err, "", "could not read")
}

// Floats is a whole tensor in float32: a matrix [rows, cols] or a vector [n], row-major, without padding.
type Floats struct {
	Shape []int
	Data  []float32
}
