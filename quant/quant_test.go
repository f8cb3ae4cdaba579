package quant

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
)

func randomRow(r *rand.Rand, n int) []float32 {
	w := make([]float32, n)
	spread := float32(math.Exp(r.NormFloat64() * 8))
	for i := range w {
		w[i] = float32(r.NormFloat64()) * spread
	}
	return w
}

// TestQuantizeRowFormula holds the formula against exact rationals: nearest, ties to even, of the rounded quotient.
func TestQuantizeRowFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 70; n++ {
		w := randomRow(r, n)
		q := make([]int8, n+3)
		for i := range q {
			q[i] = 99
		}
		scale, err := QuantizeRow(q, w)
		if err != nil {
			t.Fatal(err)
		}
		var absmax float32
		for _, v := range w {
			absmax = max(absmax, max(v, -v))
		}
		if scale != absmax/127 {
			t.Fatalf("scale %g, want %g", scale, absmax/127)
		}
		top := int8(0)
		for i, v := range w {
			want := math.RoundToEven(float64(float32(v / scale)))
			if float64(q[i]) != max(-127, min(127, want)) {
				t.Fatalf("w %g scale %g: q %d, want %g", v, scale, q[i], want)
			}
			top = max(top, q[i], -q[i])
			// The error is at most half a step, and what the rounding of the quotient adds.
			d := new(big.Float).Mul(big.NewFloat(float64(scale)), big.NewFloat(float64(q[i])))
			e, _ := d.Sub(d, big.NewFloat(float64(v))).Float64()
			if math.Abs(e) > float64(scale)*(0.5+1e-5) {
				t.Fatalf("w %g comes back %g off, scale %g", v, e, scale)
			}
		}
		if top != 127 {
			t.Fatalf("largest q is %d", top)
		}
		for _, v := range q[n:] {
			if v != 0 {
				t.Fatal("padding not zeroed")
			}
		}
	}
}

func TestQuantizeRowEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	q := make([]int8, 16)
	for _, w := range [][]float32{{1, nan}, {inf, 1}, {0, -inf}} {
		if _, err := QuantizeRow(q, w); err == nil || !strings.Contains(err.Error(), "column") {
			t.Errorf("%v: error %v", w, err)
		}
	}
	for _, w := range [][]float32{{0, 0}, {1e-31, -1e-31}, {math.SmallestNonzeroFloat32}, {}} {
		if s, err := QuantizeRow(q, w); s != 0 || err != nil || q[0] != 0 {
			t.Errorf("%v: %g, %v, q %d", w, s, err, q[0])
		}
	}
	if s, err := QuantizeRow(q, []float32{math.MaxFloat32, -math.MaxFloat32, 1}); err != nil || q[0] != 127 || q[1] != -127 || q[2] != 0 {
		t.Errorf("greatest floats: %g, %v, %v", s, err, q)
	}
	// Ties go to the even neighbour: with absmax 127 the scale is 1.
	w := []float32{127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5}
	if _, err := QuantizeRow(q, w); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int8{127, 0, 2, 2, 0, -2, -2, 126, -126} {
		if q[i] != want {
			t.Errorf("%g became %d, want %d", w[i], q[i], want)
		}
	}
}

// TestPackLayout finds every weight at the byte that the layout names, and through Row, DequantizeRow and a product.
func TestPackLayout(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	gen := kernels.Available()[0]
	for _, shape := range [][2]int{{1, 1}, {1, 16}, {16, 16}, {17, 15}, {33, 20}, {48, 64}, {5, 100}} {
		rows, cols := shape[0], shape[1]
		w := randomRow(r, rows*cols)
		m, err := Pack(w, cols)
		if err != nil {
			t.Fatal(err)
		}
		if m.N != kernels.Pad16(rows) || m.K != kernels.Pad16(cols) || len(m.Data) != m.N*m.K || len(m.Scale) != m.N || len(m.Sum) != m.N {
			t.Fatalf("%v: padded to [%d, %d], %d bytes, %d scales, %d sums", shape, m.N, m.K, len(m.Data), len(m.Scale), len(m.Sum))
		}
		q, back, got, deq := make([]int8, m.K), make([]int8, cols), make([]int8, m.K), make([]float32, cols)
		for n := 0; n < m.N; n++ {
			scale := float32(0)
			clear(q)
			if n < rows {
				if scale, err = QuantizeRow(q, w[n*cols:(n+1)*cols]); err != nil {
					t.Fatal(err)
				}
			}
			sum := int32(0)
			for k, v := range q {
				if b := m.Data[n/16*16*m.K+k/4*64+n%16*4+k%4]; b != v {
					t.Fatalf("%v: byte of row %d column %d is %d, want %d", shape, n, k, b, v)
				}
				sum += int32(v)
			}
			if m.Scale[n] != scale || m.Sum[n] != sum {
				t.Fatalf("%v row %d: scale %g sum %d, want %g %d", shape, n, m.Scale[n], m.Sum[n], scale, sum)
			}
			m.Row(back, n)
			m.Row(got, n)
			m.DequantizeRow(deq, n)
			for k := range back {
				if back[k] != q[k] || got[k] != q[k] || deq[k] != float32(q[k])*scale {
					t.Fatalf("%v row %d column %d: Row %d, DequantizeRow %g, want %d", shape, n, k, back[k], deq[k], q[k])
				}
			}
			acc := make([]int32, m.N)
			gen.GemvS8(acc, q, m.Data, m.Sum)
			square := int32(0)
			for _, v := range q {
				square += int32(v) * int32(v)
			}
			if acc[n] != square {
				t.Fatalf("%v row %d times itself is %d, want %d", shape, n, acc[n], square)
			}
		}
	}
}

// TestPackerInt8 keeps int8 rows as they are, and refuses what cannot be multiplied exactly, by row.
func TestPackerInt8(t *testing.T) {
	p := NewPacker(3)
	for i := range 2 {
		if err := p.AddI8([]int8{int8(i), -127, 5}, 0.25); err != nil {
			t.Fatal(err)
		}
	}
	data, scale, sum := p.Block()
	if data[4] != 1 || data[5] != -127 || data[6] != 5 || data[7] != 0 || scale[1] != 0.25 || sum[1] != -121 || sum[2] != 0 {
		t.Errorf("row 1 became %v, scale %g, sum %d", data[4:8], scale[1], sum[1])
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{p.AddI8([]int8{1, -128, 3}, 1), "row 2: column 1 is -128"},
		{p.AddI8([]int8{1, 2, 3}, float32(math.NaN())), "row 2: its scale"},
		{p.AddI8([]int8{1, 2, 3}, float32(math.Inf(-1))), "row 2: its scale"},
		{p.AddI8([]int8{1, 2}, 1), "row 2: 2 columns"},
		{p.AddF32([]float32{1, 2, float32(math.NaN())}), "row 2: column 2"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", c.err, c.want)
		}
	}
	if p.Rows() != 2 {
		t.Errorf("refused rows were counted: %d", p.Rows())
	}
	p.Reset()
	if data, scale, sum = p.Block(); data[4] != 0 || scale[1] != 0 || sum[1] != 0 || p.Rows() != 0 {
		t.Error("Reset left a row behind")
	}
}

func TestStats(t *testing.T) {
	var s Stats
	s.Add([]float32{3, 4}, []float32{3, 4})
	if s.Max() != 0 || s.RMS() != 0 || !math.IsInf(s.SNR(), 1) || math.Abs(s.Cosine()-1) > 1e-12 || s.Count() != 2 {
		t.Errorf("without error: max %g rms %g snr %g cos %g", s.Max(), s.RMS(), s.SNR(), s.Cosine())
	}
	var u Stats
	u.Add([]float32{0, 0}, []float32{-5, 0})
	s.Merge(&u) // w = 3 4 0 0, d = 3 4 -5 0
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	if s.Max() != 5 || !near(s.RMS(), 2.5) || !near(s.SNR(), 0) || !near(s.Cosine(), 25/(5*math.Sqrt(50))) {
		t.Errorf("max %g rms %g snr %g cos %g", s.Max(), s.RMS(), s.SNR(), s.Cosine())
	}
	if zero := (&Stats{}); zero.RMS() != 0 || zero.Cosine() != 1 {
		t.Error("figures of nothing")
	}
	// Quantizing normally distributed rows of 512 costs about 40 dB.
	r := rand.New(rand.NewPCG(5, 6))
	var n Stats
	for range 20 {
		w := randomRow(r, 512)
		m, err := Pack(w, 512)
		if err != nil {
			t.Fatal(err)
		}
		d := make([]float32, 512)
		m.DequantizeRow(d, 0)
		n.Merge(func() *Stats { s := &Stats{}; s.Add(w, d); return s }())
	}
	if n.SNR() < 36 || n.SNR() > 46 || n.Cosine() < 0.9999 {
		t.Errorf("int8 of normal rows: %.1f dB, cosine %.6f", n.SNR(), n.Cosine())
	}
}
