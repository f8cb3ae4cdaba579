package kernels

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// few reports whether to run a small selection of cases: under -short, and under QEMU, which
// EDGE_INFER_TEST=few says (an emulated run of all cases takes minutes).
func few() bool { return testing.Short() || os.Getenv("EDGE_INFER_TEST") == "few" }

// eachSet runs f for every set that this CPU has beside generic, as a named subtest.
func eachSet(t *testing.T, op string, f func(t *testing.T, s, gen Set)) {
	sets := Available()
	for _, s := range sets {
		tested(s.Name, op)
		t.Run(s.Name, func(t *testing.T) { f(t, s, sets[0]) })
	}
}

// patterns fill x with int8 that tend to break kernels: extremes in one and both directions, zeros, random.
var patterns = []struct {
	name string
	fill func(r *rand.Rand, x []int8)
}{
	{"random", func(r *rand.Rand, x []int8) {
		for i := range x {
			x[i] = int8(r.IntN(255) - 127)
		}
	}},
	{"127", func(r *rand.Rand, x []int8) { fillS8(x, 127, 127) }},
	{"-127", func(r *rand.Rand, x []int8) { fillS8(x, -127, -127) }},
	{"alternating", func(r *rand.Rand, x []int8) { fillS8(x, 127, -127) }},
	{"zero", func(r *rand.Rand, x []int8) { clear(x) }},
}

func fillS8(x []int8, a, b int8) {
	for i := range x {
		if x[i] = a; i&1 == 1 {
			x[i] = b
		}
	}
}

// rowSums returns the sums of the rows of a matrix in N16K4, the slow way.
func rowSums(w []int8, n, k int) []int32 {
	s := make([]int32, n)
	for i, v := range w[:n*k] {
		s[i/(16*k)*16+i%64/4] += int32(v)
	}
	return s
}

const canary = -559038737 // 0xdeadbeef

// guarded returns a slice of n int32 with canaries around it, and a check that they still stand.
func guarded(n int) ([]int32, func(t *testing.T, what string)) {
	const edge = 32
	all := make([]int32, n+2*edge)
	for i := range all {
		all[i] = canary
	}
	return all[edge : edge+n : edge+n], func(t *testing.T, what string) {
		t.Helper()
		for i, v := range all {
			if v != canary && (i < edge || i >= edge+n) {
				t.Fatalf("%s wrote at %d of %d", what, i-edge, n)
			}
		}
	}
}

func checkS8(t *testing.T, s Set, x, w []int8, m, n, k int, what string) {
	t.Helper()
	sums := rowSums(w, n, k)
	want := make([]int32, m*n)
	gemmS8Generic(want, x, w, sums, m, k)
	got, intact := guarded(m * n)
	if m == 1 {
		s.GemvS8(got, x, w, sums)
		intact(t, "GemvS8 "+what)
		compareS8(t, got, want, "GemvS8 "+what, m, n, k)
		got, intact = guarded(m * n)
	}
	s.GemmS8(got, x, w, sums, m, k)
	intact(t, "GemmS8 "+what)
	compareS8(t, got, want, "GemmS8 "+what, m, n, k)
}

func compareS8(t *testing.T, got, want []int32, what string, m, n, k int) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s m %d n %d k %d: [%d, %d] is %d, want %d", what, m, n, k, i/n, i%n, got[i], want[i])
		}
	}
}

// TestGenericProduct holds generic itself against the plain definition of the layout.
func TestGenericProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range [][3]int{{1, 16, 16}, {3, 32, 48}, {2, 48, 64}} {
		m, n, k := c[0], c[1], c[2]
		x, w := make([]int8, m*k), make([]int8, n*k)
		patterns[0].fill(r, x)
		patterns[0].fill(r, w)
		acc := make([]int32, m*n)
		gemmS8Generic(acc, x, w, make([]int32, n), m, k)
		for i := range acc {
			row, col, want := i/n, i%n, int32(0)
			for j := range k {
				want += int32(x[row*k+j]) * int32(w[col/16*16*k+j/4*64+col%16*4+j%4])
			}
			if acc[i] != want {
				t.Fatalf("%v: [%d, %d] is %d, want %d", c, row, col, acc[i], want)
			}
		}
	}
}

// TestMatrix compares the int8 products of every set with generic: small shapes in full, with every pattern of x against
// every pattern of w at odd offsets; then the shapes of models.
func TestMatrix(t *testing.T) {
	eachSet(t, "GemmS8", func(t *testing.T, s, gen Set) {
		tested(s.Name, "GemvS8")
		if s.Name == "generic" {
			return // TestGenericProduct
		}
		r := rand.New(rand.NewPCG(2, 2))
		ms, ks, cases := 9, []int{16, 32, 48, 80, 272}, 0
		if few() {
			ms, ks = 5, []int{16, 48, 80}
		}
		xs, ws := make([]int8, 16*1024), make([]int8, 256*1024)
		for m := 1; m <= ms; m++ {
			for _, n := range []int{16, 32, 48, 64, 80, 128, 144} {
				for _, k := range ks {
					for _, px := range patterns {
						for _, pw := range patterns {
							// Slices of bytes start anywhere; a mapped file's at 64, an embedded one's at 8.
							ox, ow := r.IntN(64), r.IntN(64)
							x, w := xs[ox:ox+m*k], ws[ow:ow+n*k]
							px.fill(r, x)
							pw.fill(r, w)
							checkS8(t, s, x, w, m, n, k, px.name+"*"+pw.name)
							cases++
							if few() && cases%5 != 0 {
								break
							}
						}
					}
				}
			}
		}
		shapes := [][3]int{{1, 512, 512}, {1, 2048, 512}, {7, 1536, 512}, {13, 512, 2048}, {33, 768, 256}, {65, 256, 1536}, {4, 64, 8192}}
		if few() {
			shapes = [][3]int{{1, 512, 512}, {5, 1536, 256}}
		}
		for _, c := range shapes {
			x, w := make([]int8, c[0]*c[2]), make([]int8, c[1]*c[2])
			patterns[0].fill(r, x)
			patterns[0].fill(r, w)
			checkS8(t, s, x, w, c[0], c[1], c[2], "model")
			cases++
		}
		// The longest K whose sums are exact.
		if k := 131056; !few() {
			x, w := make([]int8, k), make([]int8, 16*k)
			for _, p := range patterns[1:3] {
				patterns[1].fill(r, x)
				p.fill(r, w)
				checkS8(t, s, x, w, 1, 16, k, "longest "+p.name)
			}
		}
		t.Logf("%d cases", cases)
	})
}

// TestLinear compares the driver with its definition over real N of 1 to 33 and m of 1 to 70, whole and split into blocks.
func TestLinear(t *testing.T) {
	eachSet(t, "Linear", func(t *testing.T, s, gen Set) {
		r := rand.New(rand.NewPCG(3, 3))
		scratch := make([]int32, LinearScratch)
		step := 1
		if few() {
			step = 8
		}
		for n := 1; n <= 33; n += step {
			for _, m := range []int{1, 2, 7, 8, 70} {
				k := 16 * (1 + r.IntN(12))
				w := &Weights{N: Pad16(n), K: k, Data: make([]int8, Pad16(n)*k), Scale: make([]float32, Pad16(n))}
				for i := range w.Data {
					if i/(16*k)*16+i%64/4 < n {
						w.Data[i] = int8(r.IntN(255) - 127)
					}
				}
				w.Sum = rowSums(w.Data, w.N, k)
				for i := range n {
					w.Scale[i] = r.Float32() * 0.01
				}
				if n%2 == 0 {
					w.Bias = randomF32(r, w.N)
				}
				x, xs := make([]int8, m*k), make([]float32, m)
				patterns[0].fill(r, x)
				for i := range xs {
					xs[i] = r.Float32() * 0.1
				}
				act := Activation(r.IntN(int(numActivations)))
				ld := w.N + 16*r.IntN(2)
				residual := randomF32(r, m*ld)

				acc := make([]int32, m*w.N)
				want := append([]float32(nil), residual...)
				gemmS8Generic(acc, x, w.Data, w.Sum, m, k)
				epilogueF32Generic(want, ld, acc, xs, w.Scale, w.Bias, act, residual)

				for n0 := 0; n0 < w.N; n0 += 16 {
					for _, inPlace := range []bool{false, true} {
						dst := randomF32(r, m*ld)
						res := residual
						if inPlace {
							res = append([]float32(nil), residual...)
							dst = res
						}
						for i := n0 + 16; i < w.N; i += 16 { // blocks one at a time, last first
							s.Linear(dst, ld, x, xs, m, w, i, i+16, act, res, scratch)
						}
						s.Linear(dst, ld, x, xs, m, w, 0, n0+16, act, res, scratch)
						for i := range m {
							compareF32(t, dst[i*ld:i*ld+w.N], want[i*ld:i*ld+w.N], fmt.Sprintf("n %d m %d k %d %v row %d", n, m, k, act, i))
						}
					}
				}
			}
		}
	})
}

func randomF32(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// compareF32 demands the same bits, any NaN for a NaN.
func compareF32(t *testing.T, got, want []float32, what string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%s: [%d] is %g (%08x), want %g (%08x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

func TestSelect(t *testing.T) {
	sets := Available()
	if sets[0].Name != "generic" {
		t.Fatalf("the first set is %q", sets[0].Name)
	}
	for _, s := range sets {
		if got, err := Select(s.Name); err != nil || got.Name != s.Name {
			t.Errorf("Select(%q) gave %q, %v", s.Name, got.Name, err)
		}
	}
	if best, err := Select(""); err != nil || best.Name != sets[len(sets)-1].Name {
		t.Errorf("the best is %q, %v", best.Name, err)
	}
	var lacking *UnavailableError
	if _, err := Select("sse9"); !errors.As(err, &lacking) || !strings.Contains(err.Error(), "generic") {
		t.Errorf("an unknown set: %v", err)
	}
	for _, i := range All() {
		_, err := Select(i.Name)
		if i.Usable != (err == nil) {
			t.Errorf("%s: usable %v, but Select says %v", i.Name, i.Usable, err)
		}
		if !i.Usable && (!errors.As(err, &lacking) || !strings.Contains(err.Error(), i.Needs)) {
			t.Errorf("%s: %v does not say what it needs (%s)", i.Name, err, i.Needs)
		}
	}
	t.Setenv("EDGE_INFER_KERNELS", "generic")
	if s, err := Default(); err != nil || s.Name != "generic" {
		t.Errorf("forced: %q, %v", s.Name, err)
	}
	t.Setenv("EDGE_INFER_KERNELS", "nothing")
	if _, err := Default(); !errors.As(err, &lacking) || lacking.Name != "nothing" {
		t.Errorf("forced and unknown: %v", err)
	}
}
