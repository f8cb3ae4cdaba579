// Package modelfile reads and writes .ei8 files, and is the only code that knows their bytes. FORMAT.md describes them.
//
// The file is the memory image: Open maps it, checks every byte, and hands out slices that point into the map. Nothing is
// unpacked or copied. What a tensor means is decided elsewhere; here it has a name, a type, a shape and bytes.
//
// Reading the source: format.go (the layout, shared by both directions), open.go and check.go (reading), values.go (what a
// tensor may hold), writer.go (writing), guard.go (a map that is cut while in use), sniff.go (what a wrong file is).
package modelfile

import (
	"encoding/json"
	"fmt"
	"unsafe"
)

// DType is the type of a tensor's elements.
type DType uint8

// The types of elements, numbered as in the file.
const (
	I8  DType = 1 // int8 in -127..127, with one float32 scale a row
	F16 DType = 2 // IEEE 754 half, finite
	F32 DType = 3 // finite
	F64 DType = 4 // finite
	I4  DType = 5 // reserved: no version writes it yet
)

// Size is the number of bytes of one element, 0 for a type that this version cannot read.
func (d DType) Size() int {
	switch d {
	case I8:
		return 1
	case F16:
		return 2
	case F32:
		return 4
	case F64:
		return 8
	}
	return 0
}

func (d DType) String() string {
	switch d {
	case I8:
		return "i8"
	case F16:
		return "f16"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case I4:
		return "i4"
	}
	return fmt.Sprintf("type %d", uint8(d))
}

// Layout is the order of a tensor's elements.
type Layout uint8

// The layouts, numbered as in the file. In both the last dimension is padded to 16 elements with zeros.
const (
	Rows  Layout = 1 // row after row
	N16K4 Layout = 2 // i8 only; blocks of 16 rows x 4 columns, rows padded to 16 too: byte (n/16)*16*K + (k/4)*64 + (n%16)*4 + k%4

)

func (l Layout) String() string {
	switch l {
	case Rows:
		return "rows"
	case N16K4:
		return "n16k4"
	}
	return fmt.Sprintf("layout %d", uint8(l))
}

// TensorSpec is what must be known of a tensor before its bytes are written. Shape holds the real sizes, without padding.
type TensorSpec struct {
	Name   string
	DType  DType
	Layout Layout
	Shape  []int
}

// Rows is the product of all dimensions but the last; 1 for a vector.
func (s *TensorSpec) Rows() int {
	rows := 1
	for _, d := range s.Shape[:len(s.Shape)-1] {
		rows *= d
	}
	return rows
}

// Cols is the last dimension.
func (s *TensorSpec) Cols() int { return s.Shape[len(s.Shape)-1] }

// PaddedRows is the number of rows in Data: Rows, for N16K4 up to a multiple of 16.
func (s *TensorSpec) PaddedRows() int {
	if s.Layout == N16K4 {
		return pad16(s.Rows())
	}
	return s.Rows()
}

// PaddedCols is the number of columns in Data: Cols up to a multiple of 16.
func (s *TensorSpec) PaddedCols() int { return pad16(s.Cols()) }

func pad16(n int) int { return (n + 15) &^ 15 }

// Tensor is one tensor of an open file. Its slices point into the file's memory: read-only, and gone after Close.
type Tensor struct {
	Name   string
	DType  DType
	Layout Layout
	Shape  []int     // real sizes
	Data   []byte    // PaddedRows x PaddedCols elements, 64-byte aligned in the file; padding is zero
	Scale  []float32 // I8: one a padded row, 0 for rows of padding; nil for floats
	Sum    []int32   // N16K4: the sum of each padded row; nil otherwise
	Small  bool      // N16K4: no element is outside -64 to 63; found out when the file is checked
}

// Spec is the tensor without its bytes, as Create takes it.
func (t *Tensor) Spec() TensorSpec {
	return TensorSpec{Name: t.Name, DType: t.DType, Layout: t.Layout, Shape: t.Shape}
}

// Rows, Cols, PaddedRows and PaddedCols are those of the tensor's Spec.
func (t *Tensor) Rows() int       { s := t.Spec(); return s.Rows() }
func (t *Tensor) Cols() int       { s := t.Spec(); return s.Cols() }
func (t *Tensor) PaddedRows() int { s := t.Spec(); return s.PaddedRows() }
func (t *Tensor) PaddedCols() int { s := t.Spec(); return s.PaddedCols() }

// I8 is Data as int8, in place. Panics if the tensor is of another type: check DType first.
func (t *Tensor) I8() []int8 { t.must(I8); return view[int8](t.Data) }

// F16 is Data as the bits of IEEE 754 halves, in place. Panics if the tensor is of another type.
func (t *Tensor) F16() []uint16 { t.must(F16); return view[uint16](t.Data) }

// F32 is Data as float32, in place. Panics if the tensor is of another type.
func (t *Tensor) F32() []float32 { t.must(F32); return view[float32](t.Data) }

// F64 is Data as float64, in place. Panics if the tensor is of another type.
func (t *Tensor) F64() []float64 { t.must(F64); return view[float64](t.Data) }

func (t *Tensor) must(d DType) {
	if t.DType != d {
		panic(fmt.Sprintf("modelfile: tensor %q is %v, taken as %v", t.Name, t.DType, d))
	}
}

// view is b as a slice of T without a copy. Panics when b is not aligned for T or not a whole number of them: Open has
// made sure of both, so either is a mistake in this package.
func view[T int8 | uint16 | int32 | uint32 | uint64 | float32 | float64](b []byte) []T {
	var zero T
	size := unsafe.Sizeof(zero)
	if len(b) == 0 {
		return nil
	}
	if address(b)%size != 0 || uintptr(len(b))%size != 0 {
		panic(fmt.Sprintf("modelfile: %d bytes at %#x taken as elements of %d bytes", len(b), address(b), size))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))/size)
}

// address is where a slice starts in memory.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// Bytes is the other direction of view: the memory of s, which on a little-endian host is what the file holds.
func Bytes[T int8 | int32 | float32 | float64](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), uintptr(len(s))*unsafe.Sizeof(*new(T)))
}

// Languages are the BCP 47 codes of a translation model, empty for others.
type Languages struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Meta is the metadata section. Fields that a reader does not know are ignored, so whatever must not be ignored goes
// into Requires as well.
type Meta struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	Family       string          `json:"family"` // "transformer", "rnn", "knn"
	Languages    Languages       `json:"languages,omitzero"`
	Licence      string          `json:"licence,omitempty"`      // SPDX expression where there is one
	Attributions []string        `json:"attributions,omitempty"` // a line each, to be shown with the model
	Source       string          `json:"source,omitempty"`       // what it was made from: address, revision
	Tool         string          `json:"tool,omitempty"`         // what wrote the file, with version
	Requires     []string        `json:"requires,omitempty"`     // features without which the model cannot be run
	Config       json.RawMessage `json:"config,omitempty"`       // an object that the family defines
}

// Kind names a section: four printable characters, the first in the lowest byte.
type Kind uint32

// The sections of version 1. All of them must be understood by a reader.
const (
	SectionMeta            Kind = 'M' | 'E'<<8 | 'T'<<16 | 'A'<<24 // JSON
	SectionTokenizerSource Kind = 'T' | 'O'<<8 | 'K'<<16 | 'S'<<24 // of the source language, or of both
	SectionTokenizerTarget Kind = 'T' | 'O'<<8 | 'K'<<16 | 'T'<<24
	SectionShortlist       Kind = 'L' | 'E'<<8 | 'X'<<16 | 'S'<<24 // which target words can come of a source word
	SectionTensors         Kind = 'T' | 'E'<<8 | 'N'<<16 | 'S'<<24 // the index
	SectionTensorData      Kind = 'D' | 'A'<<8 | 'T'<<16 | 'A'<<24
)

func (k Kind) String() string {
	b := [4]byte{byte(k), byte(k >> 8), byte(k >> 16), byte(k >> 24)}
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return fmt.Sprintf("%#08x", uint32(k))
		}
	}
	return string(b[:])
}

func (k Kind) known() bool {
	switch k {
	case SectionMeta, SectionTokenizerSource, SectionTokenizerTarget, SectionShortlist, SectionTensors, SectionTensorData:
		return true
	}
	return false
}

// SectionData is a section that Create copies into the file: a tokenizer, a shortlist, or a kind that only later versions know.
type SectionData struct {
	Kind     Kind
	Data     []byte
	Optional bool // readers that do not know the kind may ignore it; never set for the kinds above
}

// SectionInfo is a line of the section table, for `inspect`.
type SectionInfo struct {
	Kind     Kind
	Offset   int64
	Size     int64
	CRC32C   uint32
	Optional bool
}

// features are the entries of Meta.Requires that this version can run: "ssru", a decoder with a recurrent state; "target_prefix", tokens
// that every target sentence begins with; "pairs", training rows that are there in fewer bits too; "compact", of training
// rows a center in fewer bits, or the last ones in no block.
var features = map[string]bool{"ssru": true, "target_prefix": true, "pairs": true, "compact": true}

// FormatError says that a file is not an .ei8 file this version can use. Every corruption is reported as one.
type FormatError struct {
	Path    string
	Section string // "header", "section table", a section's name, or "" when the file as a whole is meant
	Offset  int64  // in the file; 0 when Section is ""
	Reason  string
}

func (e *FormatError) Error() string {
	if e.Section == "" {
		return fmt.Sprintf("%s: %s", e.Path, e.Reason)
	}
	return fmt.Sprintf("%s: %s, byte %d: %s", e.Path, e.Section, e.Offset, e.Reason)
}
