// Package npy reads NumPy's arrays: files of one (.npy), archives of several (.npz), and, for the readers of
// pickles, arrays that lie inside other files.
//
// An Array leaves its numbers in the file and brings rows of them as float64, whatever their type, byte order
// and order in memory.
package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// DType is the type of an array's elements.
type DType struct {
	Kind byte // f, i, u, b (bool), U (text of 4 bytes a character), S (bytes), O (objects)
	Size int  // bytes of an element; of O, 0
	Big  bool // big-endian
}

// maxText bounds the size of a text element: 16,384 characters.
const maxText = 1 << 16

// ParseDType reads NumPy's name of a type, such as "<f8", "|S3" or ">U12". Without a byte order it is little-endian. With the
// error for a type that exists but is not supported comes the size of its elements; else that is 0.
func ParseDType(s string) (DType, error) {
	var d DType
	name := s
	if s != "" && strings.IndexByte("<>|=", s[0]) >= 0 {
		d.Big = s[0] == '>'
		s = s[1:]
	}
	if s == "?" {
		s = "b1"
	}
	if s == "O" || s == "O8" || s == "O4" {
		return DType{Kind: 'O'}, nil
	}
	if len(s) < 2 || len(s) > 9 {
		return d, fmt.Errorf("the type %.20q is not supported: save numbers or text", name)
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || n < 0 {
		return d, fmt.Errorf("the type %.20q is not supported: save numbers or text", name)
	}
	d.Kind, d.Size = s[0], min(n, math.MaxInt32)
	ok := false
	switch d.Kind {
	case 'f':
		ok = n == 2 || n == 4 || n == 8
		if n == 12 || n == 16 {
			return d, fmt.Errorf("the type %.20q (long double) is not supported: save it as float64", name)
		}
	case 'i', 'u':
		ok = n == 1 || n == 2 || n == 4 || n == 8
	case 'b':
		ok = n == 1
	case 'S':
		ok = n >= 1 && n <= maxText
	case 'U':
		ok = n >= 1 && n <= maxText/4
		d.Size = 4 * n
	case 'c':
		return d, fmt.Errorf("the type %.20q (complex) is not supported: save its parts as columns", name)
	case 'V':
		return d, fmt.Errorf("the type %.20q (a record) is not supported: save its fields as columns", name)
	case 'M', 'm':
		return d, fmt.Errorf("the type %.20q (dates) is not supported: save numbers", name)
	}
	if !ok {
		return DType{}, fmt.Errorf("the type %.20q is not supported: save numbers or text", name)
	}
	return d, nil
}

func (d DType) String() string {
	n := d.Size
	switch d.Kind {
	case 'O':
		return "object"
	case 'b':
		return "bool"
	case 'U':
		n /= 4
	case 'f':
		return fmt.Sprintf("float%d", 8*n)
	case 'i':
		return fmt.Sprintf("int%d", 8*n)
	case 'u':
		return fmt.Sprintf("uint%d", 8*n)
	}
	return fmt.Sprintf("%c%d", d.Kind, n)
}

// IsNumber says whether elements have a float64 value.
func (d DType) IsNumber() bool { return strings.IndexByte("fiub", d.Kind) >= 0 }

// FitsF32 says whether a float32 holds every value of the type.
func (d DType) FitsF32() bool { return d.IsNumber() && (d.Kind == 'f' && d.Size <= 4 || d.Size <= 2) }

// Array is a view of an array in a file, or of objects. It is not safe for use by several goroutines.
type Array struct {
	Shape   []int
	DType   DType
	Fortran bool  // the first dimension is contiguous, not the last
	Items   []any // of objects: all elements, in order C

	src  io.ReaderAt
	base int64
	rows int // the first dimension; 1 for a scalar
	cols int // the others multiplied

	block []byte // rows [from, from+held) in order C
	from  int
	held  int
}

// blockBytes is about how many bytes of rows are read at a time.
const blockBytes = 1 << 18

// New makes an array of the bytes of src from base to limit, which must hold it all. It reads nothing.
func New(src io.ReaderAt, base, limit int64, shape []int, d DType, fortran bool) (*Array, error) {
	a := &Array{Shape: append([]int(nil), shape...), DType: d, src: src, base: base, Fortran: fortran && len(shape) > 1}
	if err := a.setShape(); err != nil {
		return nil, err
	}
	if d.Kind == 'O' || d.Size == 0 {
		return nil, fmt.Errorf("an array of %s lies in no bytes", d)
	}
	if have := limit - base; have < 0 || int64(a.rows)*int64(a.cols) > have/int64(d.Size) {
		return nil, fmt.Errorf("an array of shape %v and type %s needs more than the %d bytes that are left", shape, d, max(have, 0))
	}
	if int64(a.cols)*int64(d.Size) > maxRow {
		return nil, fmt.Errorf("an array of shape %v has rows of more than %d bytes", shape, maxRow)
	}
	return a, nil
}

// maxRow bounds what has to be in memory at a time.
const maxRow = 1 << 28

// NewObjects makes an array of objects.
func NewObjects(shape []int, items []any) (*Array, error) {
	a := &Array{Shape: append([]int(nil), shape...), DType: DType{Kind: 'O'}, Items: items}
	if err := a.setShape(); err != nil {
		return nil, err
	}
	if a.rows*a.cols != len(items) {
		return nil, fmt.Errorf("an array of shape %v has %d objects", shape, len(items))
	}
	return a, nil
}

// maxRank is NumPy's own bound.
const maxRank = 64

func (a *Array) setShape() error {
	if len(a.Shape) > maxRank {
		return fmt.Errorf("an array of %d dimensions", len(a.Shape))
	}
	a.rows, a.cols = 1, 1
	for i, n := range a.Shape {
		if n < 0 || n > 0 && a.rows*a.cols > math.MaxInt/16/n {
			return fmt.Errorf("an array of the impossible shape %v", a.Shape)
		}
		if i == 0 {
			a.rows = n
		} else {
			a.cols *= n
		}
		if n == 0 { // what follows may be as large as it likes
			a.rows, a.cols = 0, 0
			break
		}
	}
	if len(a.Shape) > 0 {
		a.rows = a.Shape[0]
	}
	if a.cols == 0 {
		a.rows = 0
	}
	return nil
}

// Rows is the first dimension, Cols the product of the others: 1 for a vector. An empty array has neither.
func (a *Array) Rows() int { return a.rows }

// Cols is how many elements a row has.
func (a *Array) Cols() int { return a.cols }

// Reshape makes rows of cols elements, one after another as they lie in the file. Only arrays in order C have them so: else ok is false,
// and the array is as it was.
func (a *Array) Reshape(cols int) (ok bool) {
	if a.Fortran || a.DType.Kind == 'O' || cols < 1 || a.rows*a.cols%cols != 0 {
		return false
	}
	a.rows, a.cols, a.held = a.rows*a.cols/cols, cols, 0
	return true
}

// Bytes is how many bytes the elements take in the file.
func (a *Array) Bytes() int64 { return int64(a.rows) * int64(a.cols) * int64(a.DType.Size) }

// raw gives the bytes of row i in order C. They are valid until the next call.
func (a *Array) raw(i int) ([]byte, error) {
	size := a.cols * a.DType.Size
	if i < a.from || i >= a.from+a.held {
		n := min(max(blockBytes/size, 1), a.rows-i)
		if len(a.block) < n*size {
			a.block = make([]byte, n*size)
		}
		a.held = 0
		if err := a.load(a.block[:n*size], i, n); err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		a.from, a.held = i, n
	}
	at := (i - a.from) * size
	return a.block[at : at+size], nil
}

// load brings n rows from row i.
func (a *Array) load(dst []byte, i, n int) error {
	size := a.DType.Size
	if !a.Fortran {
		return readAt(a.src, dst, a.base+int64(i)*int64(a.cols)*int64(size))
	}
	column := make([]byte, n*size)
	for j := range a.cols {
		if err := readAt(a.src, column, a.base+(int64(a.columnAt(j))*int64(a.rows)+int64(i))*int64(size)); err != nil {
			return err
		}
		for r := range n {
			copy(dst[(r*a.cols+j)*size:], column[r*size:(r+1)*size])
		}
	}
	return nil
}

// columnAt is the place in order F of what is column j in order C.
func (a *Array) columnAt(j int) int {
	if len(a.Shape) <= 2 {
		return j
	}
	at, step := 0, a.cols
	for d := len(a.Shape) - 1; d > 0; d-- {
		step /= a.Shape[d]
		at += j % a.Shape[d] * step
		j /= a.Shape[d]
	}
	return at
}

func readAt(src io.ReaderAt, dst []byte, at int64) error {
	n, err := src.ReadAt(dst, at)
	if n == len(dst) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Row brings row i as float64, len(dst) = Cols. An int64 beyond 2^53 is rounded, as NumPy's astype does.
func (a *Array) Row(dst []float64, i int) error {
	if a.DType.Kind == 'O' {
		for j := range dst {
			v, err := number(a.Items[i*a.cols+j])
			if err != nil {
				return fmt.Errorf("row %d, column %d: %w", i+1, j+1, err)
			}
			dst[j] = v
		}
		return nil
	}
	raw, err := a.raw(i)
	if err != nil {
		return err
	}
	return a.DType.floats(dst, raw)
}

// floats converts elements. Kept as a loop a type.
func (d DType) floats(dst []float64, raw []byte) error {
	var order binary.ByteOrder = binary.LittleEndian
	if d.Big {
		order = binary.BigEndian
	}
	switch fmt.Sprintf("%c%d", d.Kind, d.Size) {
	case "f8":
		for i := range dst {
			dst[i] = math.Float64frombits(order.Uint64(raw[8*i:]))
		}
	case "f4":
		for i := range dst {
			dst[i] = float64(math.Float32frombits(order.Uint32(raw[4*i:])))
		}
	case "f2":
		for i := range dst {
			dst[i] = float64(checkpoint.Float16(order.Uint16(raw[2*i:])))
		}
	case "u1", "b1":
		for i := range dst {
			dst[i] = float64(raw[i])
		}
	case "u2":
		for i := range dst {
			dst[i] = float64(order.Uint16(raw[2*i:]))
		}
	case "u4":
		for i := range dst {
			dst[i] = float64(order.Uint32(raw[4*i:]))
		}
	case "u8":
		for i := range dst {
			dst[i] = float64(order.Uint64(raw[8*i:]))
		}
	case "i1":
		for i := range dst {
			dst[i] = float64(int8(raw[i]))
		}
	case "i2":
		for i := range dst {
			dst[i] = float64(int16(order.Uint16(raw[2*i:])))
		}
	case "i4":
		for i := range dst {
			dst[i] = float64(int32(order.Uint32(raw[4*i:])))
		}
	case "i8":
		for i := range dst {
			dst[i] = float64(int64(order.Uint64(raw[8*i:])))
		}
	default:
		return fmt.Errorf("elements of type %s are not numbers", d)
	}
	return nil
}

// number gives the value of an object that is one.
func number(item any) (float64, error) {
	switch v := item.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case interface{ Float64() float64 }: // an integer beyond int64
		return v.Float64(), nil
	case string:
		return 0, fmt.Errorf("%.40q is not a number", v)
	case nil:
		return 0, fmt.Errorf("it is None")
	}
	return 0, fmt.Errorf("an object that is not a number")
}

// Column brings one column of all rows.
func (a *Array) Column(j int) ([]float64, error) {
	all, row := make([]float64, a.rows), make([]float64, a.cols)
	for i := range all {
		if err := a.Row(row, i); err != nil {
			return nil, err
		}
		all[i] = row[j]
	}
	return all, nil
}

// A Value is one element: its text as Python prints it, whether that is a number, and then which.
type Value struct {
	Text   string
	Number bool
	Float  float64
}

// Value gives element j of row i: for labels.
func (a *Array) Value(i, j int) (Value, error) {
	if a.DType.Kind == 'O' {
		v, err := valueOf(a.Items[i*a.cols+j])
		if err != nil {
			return v, fmt.Errorf("element %d: %w", i*a.cols+j+1, err)
		}
		return v, nil
	}
	raw, err := a.raw(i)
	if err != nil {
		return Value{}, err
	}
	d := a.DType
	raw = raw[j*d.Size : (j+1)*d.Size]
	switch d.Kind {
	case 'S':
		return textValue(strings.TrimRight(string(raw), "\x00"))
	case 'U':
		var b strings.Builder
		for n := len(raw); n >= 4 && binary.LittleEndian.Uint32(raw[n-4:]) == 0; n -= 4 {
			raw = raw[:n-4]
		}
		for ; len(raw) >= 4; raw = raw[4:] {
			c := binary.LittleEndian.Uint32(raw)
			if d.Big {
				c = binary.BigEndian.Uint32(raw)
			}
			if c > utf8.MaxRune {
				return Value{}, fmt.Errorf("element %d: %#x is not a character", i*a.cols+j+1, c)
			}
			b.WriteRune(rune(c))
		}
		return textValue(b.String())
	}
	var one [1]float64
	if err := d.floats(one[:], raw); err != nil {
		return Value{}, err
	}
	switch {
	case d.Kind == 'b':
		return Value{Text: boolText(raw[0] != 0)}, nil
	case d.Kind == 'f':
		return Value{floatText(one[0]), true, one[0]}, nil
	}
	return Value{intText(d, raw), true, one[0]}, nil
}

func valueOf(item any) (Value, error) {
	switch v := item.(type) {
	case string:
		return textValue(v)
	case bool:
		return Value{Text: boolText(v)}, nil
	case int64:
		return Value{strconv.FormatInt(v, 10), true, float64(v)}, nil
	case float64:
		return Value{floatText(v), true, v}, nil
	}
	return Value{}, fmt.Errorf("neither text nor a number")
}

func textValue(s string) (Value, error) {
	if !utf8.ValidString(s) {
		return Value{}, fmt.Errorf("%.40q is not text in UTF-8", s)
	}
	return Value{Text: s}, nil
}

func boolText(v bool) string {
	if v {
		return "True"
	}
	return "False"
}

// intText is exact where a float64 is not.
func intText(d DType, raw []byte) string {
	le := make([]byte, 8)
	for i, b := range raw {
		if d.Big {
			i = len(raw) - 1 - i
		}
		le[i] = b
	}
	v := binary.LittleEndian.Uint64(le)
	if d.Kind == 'u' {
		return strconv.FormatUint(v, 10)
	}
	shift := 64 - 8*len(raw)
	return strconv.FormatInt(int64(v)<<shift>>shift, 10)
}

// floatText is Python's repr: 1.0, 0.5, 1e+20.
func floatText(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if a := math.Abs(v); v != 0 && (a >= 1e16 || a < 1e-4) || v-v != 0 {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
