package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// plainLSTM is the step written down gate by gate, unit by unit, over the scalar functions.
func plainLSTM(h, c, gates, peephole []float32, clip float32, coupled bool) {
	bound := func(x float32) float32 {
		if clip == 0 {
			return x
		}
		return max(min(x, clip), -clip)
	}
	for u := range c {
		gate := func(g int) float32 { return gates[u/16*64+g*16+u%16] }
		peep := func(p int, x float32) float32 {
			if peephole == nil {
				return 0
			}
			return float32(peephole[u/16*48+p*16+u%16] * x)
		}
		i := sigmoid32(bound(gate(0) + peep(0, c[u])))
		f := sigmoid32(bound(gate(1) + peep(1, c[u])))
		if coupled {
			f = 1 - i
		}
		c[u] = float32(f*c[u]) + float32(i*tanh32(bound(gate(2))))
		o := sigmoid32(bound(gate(3) + peep(2, c[u])))
		h[u] = float32(o * tanh32(bound(c[u])))
	}
}

func plainGRU(h, x, p []float32, clip float32) {
	bound := func(x float32) float32 {
		if clip == 0 {
			return x
		}
		return max(min(x, clip), -clip)
	}
	for u := range h {
		at := u/16*48 + u%16
		r, z := sigmoid32(bound(x[at]+p[at])), sigmoid32(bound(x[at+16]+p[at+16]))
		n := tanh32(bound(x[at+32] + float32(r*p[at+32])))
		h[u] = float32((1-z)*n) + float32(z*h[u])
	}
}

func spread(r *rand.Rand, n int, by float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64()) * by
	}
	return x
}

// sameBits compares floats as bits; any NaN equals any other.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

// TestGates holds every set against the step as it is written down.
func TestGates(t *testing.T) {
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			for _, n := range []int{16, 32, 80} {
				for _, by := range []float32{0.3, 3, 40} {
					for _, clip := range []float32{0, 0.7} {
						for _, peepholes := range []bool{false, true} {
							for _, coupled := range []bool{false, true} {
								gates, c := spread(r, 4*n, by), spread(r, n, 1)
								var peep []float32
								if peepholes {
									peep = spread(r, 3*n, 0.5)
								}
								h, wantH, wantC := make([]float32, n), make([]float32, n), append([]float32{}, c...)
								plainLSTM(wantH, wantC, gates, peep, clip, coupled)
								s.LSTM(h, c, gates, peep, clip, coupled)
								sameBits(t, "LSTM h", h, wantH)
								sameBits(t, "LSTM c", c, wantC)
							}
						}
						x, p, h := spread(r, 3*n, by), spread(r, 3*n, by), spread(r, n, 1)
						want := append([]float32{}, h...)
						plainGRU(want, x, p, clip)
						s.GRU(h, x, p, clip)
						sameBits(t, "GRU", h, want)
					}
				}
			}
		})
	}
}

// TestGatesOfEdges puts into every gate and state what is not a usual number, one of them a unit.
func TestGatesOfEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	edges := []float32{0, float32(math.Copysign(0, -1)), 1e-42, -1e-42, 0.62499994, 0.625, -0.625, 43.9, 44, -43.9, 87.3, -87.4, 88.8, -88.8, 1e30, -1e30,
		math.MaxFloat32, -math.MaxFloat32, inf, -inf, float32(math.NaN())}
	r := rand.New(rand.NewPCG(9, 9))
	const n = 512
	pick := func(m int) []float32 {
		x := spread(r, m, 1)
		for i := range x {
			if r.IntN(3) == 0 {
				x[i] = edges[r.IntN(len(edges))]
			}
		}
		return x
	}
	for range 20 {
		gates, c, x, p, h := pick(4*n), pick(n), pick(3*n), pick(3*n), pick(n)
		wantH, wantC, wantGRU := make([]float32, n), append([]float32{}, c...), append([]float32{}, h...)
		plainLSTM(wantH, wantC, gates, nil, 0, false)
		plainGRU(wantGRU, x, p, 0)
		for _, s := range Available() {
			gotH, gotC, gotGRU := make([]float32, n), append([]float32{}, c...), append([]float32{}, h...)
			s.LSTM(gotH, gotC, append([]float32{}, gates...), nil, 0, false)
			s.GRU(gotGRU, append([]float32{}, x...), p, 0)
			sameBits(t, s.Name+" LSTM h", gotH, wantH)
			sameBits(t, s.Name+" LSTM c", gotC, wantC)
			sameBits(t, s.Name+" GRU", gotGRU, wantGRU)
		}
	}
}

// TestGRUHalves holds the convention with the reset gate before the product against its definition, and slices that are too short.
func TestGRUHalves(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	gen := Available()[0]
	const n = 32
	for _, s := range Available() {
		gates, h, candidate := spread(r, 2*n, 2), spread(r, n, 1), spread(r, n, 2)
		reset := make([]float32, n)
		wantReset, want := make([]float32, n), append([]float32{}, h...)
		for u := range n {
			g := u/16*32 + u%16
			wantReset[u] = float32(sigmoid32(max(min(gates[g], 1.5), -1.5)) * h[u])
			z := sigmoid32(max(min(gates[g+16], 1.5), -1.5))
			want[u] = float32((1-z)*tanh32(max(min(candidate[u], 1.5), -1.5))) + float32(z*h[u])
		}
		s.GRUReset(reset, h, gates, 1.5)
		s.GRUUpdate(h, gates, candidate, 1.5)
		sameBits(t, s.Name+" reset", reset, wantReset)
		sameBits(t, s.Name+" h", h, want)
	}
	for name, f := range map[string]func(){
		"units": func() { gen.LSTM(make([]float32, 8), make([]float32, 8), make([]float32, 32), nil, 0, false) },
		"gates": func() { gen.LSTM(make([]float32, 16), make([]float32, 16), make([]float32, 63, 64), nil, 0, false) },
		"peephole": func() {
			gen.LSTM(make([]float32, 16), make([]float32, 16), make([]float32, 64), make([]float32, 40), 0, false)
		},
		"gru": func() { gen.GRU(make([]float32, 16), make([]float32, 48), make([]float32, 47, 48), 0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a slice that is too short was taken", name)
				}
			}()
			f()
		}()
	}
}

// TestGatesDoNotAllocate: scratch is the caller's.
func TestGatesDoNotAllocate(t *testing.T) {
	for _, s := range Available() {
		h, c, gates, p := make([]float32, 64), make([]float32, 64), make([]float32, 256), make([]float32, 192)
		if n := alloctest.PerRun(10, func() {
			s.LSTM(h, c, gates, p, 1, true)
			s.GRU(h, gates[:192], p, 1)
			s.GRUReset(c, h, gates[:128], 0)
			s.GRUUpdate(h, gates[:128], p[:64], 0)
		}); n != 0 {
			t.Errorf("%s: %v allocations", s.Name, n)
		}
	}
}
