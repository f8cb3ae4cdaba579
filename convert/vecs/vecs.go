// Package vecs reads fvecs, bvecs and ivecs files, in which vectors for nearest neighbour search are exchanged: for each
// vector its dimension as int32, then that many float32, bytes or int32, all little-endian.
package vecs

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// File is a view of a file of vectors. It is not safe for use by several goroutines.
type File struct {
	Rows, Cols int
	Kind       byte // f, b or i

	path   string
	src    io.ReaderAt
	stride int
	block  []byte // whole vectors from row from on
	from   int
	held   int
}

// Kind tells the format by a file's name: 'f', 'b', 'i', or 0 for another file.
func Kind(path string) byte {
	path = strings.ToLower(path)
	for _, k := range "fbi" {
		if strings.HasSuffix(path, "."+string(k)+"vecs") {
			return byte(k)
		}
	}
	return 0
}

// maxCols bounds the dimension.
const maxCols = 1 << 24

// New reads the first dimension, which all vectors must have; the numbers stay in src.
func New(path string, src io.ReaderAt, size int64, kind byte) (*File, error) {
	f := &File{path: path, src: src, Kind: kind}
	var head [4]byte
	if n, err := src.ReadAt(head[:min(max(size, 0), 4)], 0); n < 4 {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, f.fail(0, "it has no vector")
	}
	dim := int32(binary.LittleEndian.Uint32(head[:]))
	if dim < 1 || dim > maxCols {
		return nil, f.fail(0, "its first vector has the dimension %d, must be 1 to %d", dim, maxCols)
	}
	f.Cols = int(dim)
	f.stride = 4 + f.Cols*f.width()
	if size%int64(f.stride) != 0 {
		return nil, f.fail(size-size%int64(f.stride), "%d bytes are no multiple of the %d that a vector of %d %s takes", size, f.stride, dim, f.element())
	}
	if rows := size / int64(f.stride); rows > math.MaxInt32 {
		return nil, f.fail(-1, "it has %d vectors, more than %d", rows, math.MaxInt32)
	}
	f.Rows = int(size / int64(f.stride))
	return f, nil
}

func (f *File) width() int {
	if f.Kind == 'b' {
		return 1
	}
	return 4
}

func (f *File) element() string {
	return map[byte]string{'f': "float32", 'b': "bytes", 'i': "int32"}[f.Kind]
}

//go:noinline
func (f *File) fail(offset int64, format string, args ...any) error {
	return &checkpoint.Error{File: f.path, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// blockBytes is about how much is read at a time.
const blockBytes = 1 << 18

// Row brings vector i, len(dst) = Cols.
func (f *File) Row(dst []float64, i int) error {
	if i < f.from || i >= f.from+f.held {
		n := min(max(blockBytes/f.stride, 1), f.Rows-i)
		if len(f.block) < n*f.stride {
			f.block = make([]byte, n*f.stride)
		}
		f.held = 0
		if got, err := f.src.ReadAt(f.block[:n*f.stride], int64(i)*int64(f.stride)); got < n*f.stride {
			return &checkpoint.Error{File: f.path, Offset: int64(i) * int64(f.stride), Reason: "it ends early", Err: err}
		}
		f.from, f.held = i, n
	}
	raw := f.block[(i-f.from)*f.stride:][:f.stride]
	if dim := int32(binary.LittleEndian.Uint32(raw)); int(dim) != f.Cols {
		return f.fail(int64(i)*int64(f.stride), "vector %d has the dimension %d, those before it %d", i+1, dim, f.Cols)
	}
	raw = raw[4:]
	for j := range dst {
		switch f.Kind {
		case 'f':
			dst[j] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*j:])))
		case 'i':
			dst[j] = float64(int32(binary.LittleEndian.Uint32(raw[4*j:])))
		default:
			dst[j] = float64(raw[j])
		}
	}
	return nil
}
