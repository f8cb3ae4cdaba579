package modelfile

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

// sample is a tensor with its content, as a converter would have it.
type sample struct {
	TensorSpec
	data  []byte
	scale []float32
	sum   []int32
}

// makeSample fills a tensor of the given shape with random values; padding is zero, sums are right.
func makeSample(r *rand.Rand, name string, d DType, l Layout, shape ...int) sample {
	s := sample{TensorSpec: TensorSpec{Name: name, DType: d, Layout: l, Shape: shape}}
	rows, cols, padRows, padCols := s.Rows(), s.Cols(), s.PaddedRows(), s.PaddedCols()
	s.data = make([]byte, padRows*padCols*d.Size())
	if d == I8 {
		s.scale = make([]float32, padRows)
	}
	if l == N16K4 {
		s.sum = make([]int32, padRows)
	}
	for n := range rows {
		if d == I8 {
			s.scale[n] = r.Float32() / 100
		}
		for k := range cols {
			at := n*padCols + k
			switch d {
			case I8:
				q := int8(r.IntN(255) - 127)
				if l == N16K4 {
					at = n/16*16*padCols + k/4*64 + n%16*4 + k%4
					s.sum[n] += int32(q)
				}
				s.data[at] = byte(q)
			case F16:
				le.PutUint16(s.data[2*at:], uint16(r.IntN(0x7c00)))
			case F32:
				le.PutUint32(s.data[4*at:], math.Float32bits(float32(r.NormFloat64())))
			case F64:
				le.PutUint64(s.data[8*at:], math.Float64bits(r.NormFloat64()))
			}
		}
	}
	return s
}

func specs(samples []sample) []TensorSpec {
	list := make([]TensorSpec, len(samples))
	for i, s := range samples {
		list[i] = s.TensorSpec
	}
	return list
}

// writeTo writes samples in odd pieces and closes the writer.
func writeTo(w *Writer, samples []sample) error {
	for _, s := range samples {
		for data := s.data; len(data) > 0; {
			n, err := w.Write(data[:min(len(data), 1000)])
			if err != nil {
				return err
			}
			data = data[n:]
		}
		if err := w.Finish(s.scale, s.sum); err != nil {
			return err
		}
	}
	return w.Close()
}

func write(path string, meta *Meta, sections []SectionData, samples []sample, force bool) error {
	w, err := Create(path, meta, sections, specs(samples), force)
	if err != nil {
		return err
	}
	defer w.Abort()
	return writeTo(w, samples)
}

// testMeta has a value in every field.
func testMeta() *Meta {
	return &Meta{
		Name: "test", Description: "A test: <b> & 中文", Family: "transformer", Languages: Languages{From: "zh", To: "en"},
		Licence: "CC0-1.0", Attributions: []string{"nobody"}, Source: "made up", Tool: "go test",
		Config: json.RawMessage(`{"layers":1}`),
	}
}

// testModel has every type, every layout and every rank up to three, padded and not.
func testModel() ([]SectionData, []sample) {
	r := rand.New(rand.NewPCG(1, 2))
	return []SectionData{
			{Kind: SectionTokenizerSource, Data: []byte("the source tokenizer")},
			{Kind: SectionTokenizerTarget, Data: []byte("the target one")},
		}, []sample{
			makeSample(r, "embed", I8, Rows, 33, 40),
			makeSample(r, "layer.0/w", I8, N16K4, 100, 300), // more than 128 blocks are in wide, below
			makeSample(r, "layer.0/bias", F32, Rows, 100),
			makeSample(r, "half", F16, Rows, 5, 7),
			makeSample(r, "double", F64, Rows, 2, 3, 11),
			makeSample(r, "wide", I8, N16K4, 16, 1040),
			makeSample(r, "one", F32, Rows, 1),
		}
}

// image writes a model to a file and returns its bytes, 8-byte aligned.
func image(t testing.TB, meta *Meta, sections []SectionData, samples []sample) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.ei8")
	if err := write(path, meta, sections, samples, false); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return aligned(b)
}

// aligned copies b to memory that starts at a multiple of 64.
func aligned(b []byte) []byte {
	buf := make([]byte, len(b)+align)
	skip := -int(address(buf)%align) & (align - 1)
	return append(buf[skip:skip], b...)
}

// openBytes opens b in place as if it were embedded.
func openBytes(b []byte) (*File, error) {
	return OpenString("test", unsafe.String(unsafe.SliceData(b), len(b)))
}
