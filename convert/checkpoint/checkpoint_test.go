package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// TestFloat16 compares all halves with their definition.
func TestFloat16(t *testing.T) {
	for h := range 1 << 16 {
		sign, e, f := 1-2*float64(h>>15), h>>10&31, float64(h&1023)
		want := sign * math.Ldexp(1+f/1024, e-15)
		switch {
		case e == 0:
			want = sign * math.Ldexp(f/1024, -14)
		case e == 31 && f == 0:
			want = math.Inf(int(sign))
		case e == 31:
			want = math.NaN()
		}
		got := float64(Float16(uint16(h)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (h>>15 == 1) {
			t.Fatalf("0x%04x is %v, want %v", h, got, want)
		}
	}
}

func TestFloat8(t *testing.T) {
	for b := range 256 {
		sign, e, f := 1-2*float64(b>>7), b>>3&15, float64(b&7)
		want := sign * math.Ldexp(1+f/8, e-7)
		if e == 0 {
			want = sign * math.Ldexp(f/8, -6)
		}
		if e == 15 && f == 7 {
			want = math.NaN()
		}
		if got := float64(float8E4(byte(b))); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("0x%02x is %v, want %v", b, got, want)
		}
	}
	for b, want := range map[byte]float64{0x01: math.Ldexp(1, -16), 0x3c: 1, 0x7b: 57344, 0xbc: -1, 0x7c: math.Inf(1)} {
		got := make([]float32, 1)
		toF32[F8E5](got, 1, []byte{b})
		if float64(got[0]) != want {
			t.Errorf("e5m2 0x%02x is %v, want %v", b, got[0], want)
		}
	}
}

// TestTypes reads the extremes of every type.
func TestTypes(t *testing.T) {
	le := binary.LittleEndian
	nan := math.Float32frombits(0x7fc12345)
	for _, c := range []struct {
		dtype string
		data  []byte
		want  []float32
	}{
		{F32, le.AppendUint32(le.AppendUint32(nil, 0x7fc12345), 1), []float32{nan, math.SmallestNonzeroFloat32}},
		{BF16, []byte{0x80, 0xff, 0x80, 0x3f}, []float32{float32(math.Inf(-1)), 1}},
		{F64, le.AppendUint64(le.AppendUint64(nil, math.Float64bits(0.1)), math.Float64bits(1e300)), []float32{0.1, float32(math.Inf(1))}},
		{I8, []byte{0x80, 0x7f}, []float32{-128, 127}},
		{U8, []byte{0x80, 0xff}, []float32{128, 255}},
		{Bool, []byte{0, 1}, []float32{0, 1}},
		{I16, []byte{0, 0x80, 0xff, 0x7f}, []float32{-32768, 32767}},
		{U16, []byte{0, 0x80, 0xff, 0xff}, []float32{32768, 65535}},
		{I32, []byte{0, 0, 0, 0x80, 1, 0, 0, 1}, []float32{-1 << 31, 1<<24 + 0}}, // 2^24+1 rounds to even
		{U32, []byte{255, 255, 255, 255}, []float32{1 << 32}},
		{I64, le.AppendUint64(nil, 1<<63), []float32{-1 << 63}},
		{U64, le.AppendUint64(nil, math.MaxUint64), []float32{1 << 64}},
	} {
		x, err := NewTensor("f", "t", c.dtype, []int{len(c.want)}, Layout{Source: bytes.NewReader(c.data), Limit: int64(len(c.data))})
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.F32()
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(c.want[i]) {
				t.Errorf("%s: element %d is %v, want %v", c.dtype, i, got[i], c.want[i])
			}
		}
	}
}

// TestStrides compares reading of random views, some far wider than the buffer, with plain indexing.
func TestStrides(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 4<<18)
	for i := range 1 << 18 {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(i)))
	}
	src := bytes.NewReader(data)
	for trial := range 300 {
		rank := random.IntN(4)
		shape, strides := make([]int, rank), make([]int64, rank)
		first := int64(random.IntN(50))
		room := int64(1<<18) - first - 1
		for i := range shape {
			shape[i] = 1 + random.IntN([]int{4, 40, 150}[random.IntN(3)])
			strides[i] = int64(random.IntN(int(room/int64(shape[i]))/rank + 1))
			if random.IntN(3) == 0 {
				strides[i] = int64(random.IntN(3))
			}
		}
		if rank == 2 && trial%3 == 0 { // transposed, and rows that follow each other
			strides = []int64{1, int64(shape[0])}
			if trial%2 == 0 {
				strides = []int64{int64(shape[1]), 1}
			}
		}
		x, err := NewTensor("f", "t", F32, shape, Layout{Source: src, Offset: 4 * first, Limit: int64(len(data)), Strides: strides})
		if err != nil {
			t.Fatal(err)
		}
		rows, cols := x.Rows(), x.Cols()
		row := random.IntN(rows)
		n := 1 + random.IntN(rows-row)
		got := make([]float32, n*cols)
		if err := x.ReadF32(got, row, n); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			want, r := first, row+i/cols
			if rank > 0 {
				want += int64(i%cols) * strides[rank-1]
			}
			for d := rank - 2; d >= 0; d-- {
				want += int64(r%shape[d]) * strides[d]
				r /= shape[d]
			}
			if v != float32(want) {
				t.Fatalf("shape %v strides %v rows %d+%d: element %d is %v, want %v", shape, strides, row, n, i, v, want)
			}
		}
	}
}

// TestReadAllocatesLittle reads a row of a large tensor.
func TestReadAllocatesLittle(t *testing.T) {
	data := make([]byte, 8<<20)
	x, err := NewTensor("f", "t", F16, []int{1024, 4096}, Layout{Source: bytes.NewReader(data), Limit: int64(len(data))})
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, 4*4096)
	if n := alloctest.PerRun(20, func() { x.ReadF32(dst, 1000, 4) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func TestNewTensorErrors(t *testing.T) {
	src := bytes.NewReader(make([]byte, 100))
	for _, c := range []struct {
		dtype  string
		shape  []int
		layout Layout
		want   string
	}{
		{"f7", []int{1}, Layout{}, `f: tensor "t": byte 0: element type "f7" is not known`},
		{F32, make([]int, 65), Layout{}, `f: tensor "t": byte 0: it has 65 dimensions, more than 64`},
		{F32, []int{1}, Layout{Offset: 8, Limit: 4, At: 3}, `f: tensor "t": byte 11: it starts outside its data, which end at byte 7`},
		{F32, []int{-1}, Layout{}, `f: tensor "t": byte 0: shape [-1] has a negative dimension`},
		{F32, []int{1 << 30, 1 << 30, 1 << 30}, Layout{}, `f: tensor "t": byte 0: shape [1073741824 1073741824 1073741824] has more elements than this machine can count`},
		{F32, []int{2}, Layout{Strides: []int64{1, 1}}, `f: tensor "t": byte 0: 2 strides for 1 dimensions`},
		{F32, []int{2}, Layout{Limit: 100, Strides: []int64{-1}}, `f: tensor "t": byte 0: stride -1 is negative`},
		{F32, []int{2, 13}, Layout{Offset: 8, Limit: 100}, `f: tensor "t": byte 8: shape [2 13] of f32 needs 104 bytes but only 92 are there`},
		{F32, []int{1}, Layout{Offset: 98, Limit: 100}, `f: tensor "t": byte 98: shape [1] of f32 needs 4 bytes but only 2 are there`},
		{F32, []int{3}, Layout{Limit: 100, Strides: []int64{math.MaxInt64}}, `f: tensor "t": byte 0: shape [3] with strides [9223372036854775807] reaches beyond its data, which end at byte 100`},
		{F32, []int{1 << 12, 1 << 12}, Layout{Limit: 100, Strides: []int64{0, 0}}, `f: tensor "t": byte 0: shape [4096 4096] has 16777216 elements on 1 stored ones`},
	} {
		c.layout.Source = src
		_, err := NewTensor("f", "t", c.dtype, c.shape, c.layout)
		var bad *Error
		if !errors.As(err, &bad) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	src := bytes.NewReader(make([]byte, 100))
	x, _ := NewTensor("f", "t", F32, []int{5, 5}, Layout{Source: src, Limit: 100, At: 1000})
	wide, _ := NewTensor("f", "t", F32, []int{50, 5}, Layout{Source: src, Limit: 1000})
	z, _ := NewTensor("f", "t", C64, []int{2}, Layout{Source: src, Limit: 100})
	dst := make([]float32, 250)
	for _, c := range []struct {
		err  error
		want string
	}{
		{x.ReadF32(dst, 4, 2), `f: tensor "t": byte 1000: rows 4 to 6 of 5 were asked for`},
		{x.ReadF32(dst, -1, 2), `f: tensor "t": byte 1000: rows -1 to 1 of 5 were asked for`},
		{x.ReadI8(make([]int8, 5), 0, 1), `f: tensor "t": byte 1000: elements are f32 where int8 was expected`},
		{wide.ReadF32(dst, 0, 50), `f: tensor "t": byte 100: the file has become shorter since it was opened; do not change it while it is converted`},
		{z.ReadF32(dst, 0, 1), `f: tensor "t": byte 0: elements of type c64 have no float32 value here; convert the checkpoint to float32 first`},
		{x.ReadScale(dst, 0, 1), `f: tensor "t": byte 1000: it has no scale`},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", c.err, c.want)
		}
	}
	if _, err := x.Int(); err == nil || err.Error() != `f: tensor "t": byte 1000: shape [5 5] where one integer was expected` {
		t.Error(err)
	}
}

// TestScale reads int8 with a scale a row, in three dimensions with a scale for each of the first, and with
// one for all.
func TestScale(t *testing.T) {
	scales := []byte{}
	for _, s := range []float32{2, 4, 0.5} {
		scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(s))
	}
	scale := func(n int) *Tensor {
		s, err := NewTensor("f", "s", F32, []int{n}, Layout{Source: bytes.NewReader(scales), Limit: 12})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	data := make([]byte, 12)
	for i := range data {
		data[i] = byte(i - 6)
	}
	for _, c := range []struct {
		shape  []int
		scales int
		want   []float32
	}{
		{[]int{3, 4}, 3, []float32{-3, -2.5, -2, -1.5, -.5, -.25, 0, .25, 4, 6, 8, 10}},
		{[]int{3, 2, 2}, 3, []float32{-3, -2.5, -2, -1.5, -.5, -.25, 0, .25, 4, 6, 8, 10}},
		{[]int{3, 4}, 1, []float32{-3, -2.5, -2, -1.5, -1, -.5, 0, .5, 1, 1.5, 2, 2.5}},
	} {
		x, err := NewTensor("f", "t", I8, c.shape, Layout{Source: bytes.NewReader(data), Limit: 12})
		if err != nil {
			t.Fatal(err)
		}
		x.Scale = scale(c.scales)
		for r := range x.Rows() {
			got := make([]float32, x.Cols())
			if err := x.ReadF32(got, r, 1); err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				if v != c.want[r*x.Cols()+i] {
					t.Errorf("shape %v: row %d element %d is %v, want %v", c.shape, r, i, v, c.want[r*x.Cols()+i])
				}
			}
		}
	}
	x, _ := NewTensor("f", "t", I8, []int{4, 3}, Layout{Source: bytes.NewReader(data), Limit: 12})
	x.Scale = scale(3)
	if err := x.ReadF32(make([]float32, 3), 0, 1); err == nil || err.Error() != `f: tensor "t": byte 0: shape [4 3] but 3 scales in "s"` {
		t.Error(err)
	}
	x.Scale, _ = NewTensor("f", "s", F32, []int{4}, Layout{Source: bytes.NewReader(make([]byte, 16)), Limit: 16})
	if err := x.ReadF32(make([]float32, 3), 1, 1); err == nil || err.Error() != `f: tensor "t": byte 0: scale 0 of row 1 (in "s") is not a positive finite number` {
		t.Error(err)
	}
}

type closer struct {
	io.Closer
	err error
}

func (c closer) Close() error { return c.err }

func TestCheckpoint(t *testing.T) {
	src := bytes.NewReader(make([]byte, 8))
	tensor := func(name string, at int64) *Tensor {
		x, err := NewTensor("f", name, F32, []int{1}, Layout{Source: src, Offset: at, Limit: 8})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	broken := errors.New("broken")
	c := New("test", "f", closer{err: broken}, closer{})
	for _, x := range []*Tensor{tensor("b", 0), tensor("a", 4), tensor("c", 0)} {
		if err := c.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Add(tensor("a", 0)); err == nil || err.Error() != `f: tensor "a": byte 0: the name occurs twice; save or download the checkpoint again` {
		t.Error(err)
	}
	if err := c.Alias("d", "a"); err != nil {
		t.Error(err)
	}
	if err := c.Alias("e", "d"); err != nil {
		t.Error(err)
	}
	if err := c.Alias("b", "a"); err == nil || err.Error() != `f: tensor "b": the alias is the name of another tensor` {
		t.Error(err)
	}
	if err := c.Alias("x", "y"); err == nil || err.Error() != `f: tensor "x": the alias stands for "y", which is not in the file` {
		t.Error(err)
	}
	names := c.Names()
	if len(names) != 3 || names[0] != "b" || names[1] != "a" || names[2] != "c" {
		t.Error("not in the order of the file:", names)
	}
	a, _ := c.Lookup("a")
	b, _ := c.Lookup("b")
	d, _ := c.Lookup("d")
	e, _ := c.Lookup("e")
	other, _ := c.Lookup("c")
	if a != d || a != e || a.SameData(b) || !b.SameData(other) {
		t.Error("aliases or shared data are not told")
	}
	if _, ok := c.Lookup("x"); ok {
		t.Error("x is there")
	}
	if err := c.Close(); !errors.Is(err, broken) {
		t.Error(err)
	}
}
