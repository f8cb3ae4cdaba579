package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// floatRows yields rows of n float32 that tend to break vector code: ordinary ones, wide ranges, ties, denormals,
// infinities and NaN at every kind of place, all equal, all zero of both signs.
func floatRows(r *rand.Rand, n int) map[string][]float32 {
	rows := map[string][]float32{"normal": randomF32(r, n)}
	add := func(name string, f func(i int) float32) {
		x := make([]float32, n)
		for i := range x {
			x[i] = f(i)
		}
		rows[name] = x
	}
	inf := float32(math.Inf(1))
	add("wide", func(int) float32 { return float32(r.NormFloat64() * math.Exp(r.NormFloat64()*20)) })
	add("large", func(int) float32 { return float32(r.NormFloat64() * 60) })
	add("bits", func(int) float32 {
		for {
			if x := math.Float32frombits(r.Uint32()); x-x == 0 {
				return x
			}
		}
	})
	add("ties", func(int) float32 { return float32(r.IntN(5)-2) / 2 })
	add("denormal", func(int) float32 { return math.Float32frombits(r.Uint32() & 0x807fffff) })
	add("zeros", func(int) float32 { return float32(math.Copysign(0, float64(r.IntN(2))-0.5)) })
	add("equal", func(int) float32 { return 3.25 })
	if n > 0 {
		for name, v := range map[string]float32{"one NaN": float32(math.NaN()), "one Inf": inf, "one -Inf": -inf} {
			x := randomF32(r, n)
			x[r.IntN(n)] = v
			rows[name] = x
		}
		add("-Inf", func(int) float32 { return -inf })
		add("NaN", func(int) float32 { return float32(math.NaN()) })
	}
	return rows
}

// lengths of rows: all the short ones, then around multiples of sixteen, then those of models.
func lengths() []int {
	var l []int
	for n := 0; n <= 68; n++ {
		if !few() || n < 3 || n%16 < 2 || n%16 == 15 {
			l = append(l, n)
		}
	}
	return append(l, 95, 127, 128, 129, 256, 511, 512, 515)
}

// eachRow runs f for a set over all rows of all lengths. x may be changed; it starts at an odd place in a larger array, with
// canaries on both sides.
func eachRow(t *testing.T, op string, f func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string)) {
	eachSet(t, op, func(t *testing.T, s, gen Set) {
		r := rand.New(rand.NewPCG(4, 4))
		cases := 0
		for _, n := range lengths() {
			rows := floatRows(r, n)
			names := make([]string, 0, len(rows))
			for name := range rows {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				x := odd(r, rows[name])
				f(t, s, gen, r, x, fmt.Sprintf("%s of %d, %s", op, n, name))
				intact(t, x, op)
				cases++
			}
		}
		t.Logf("%d cases", cases)
	})
}

const edge, guard = 24, float32(1.2345e30)

// odd copies x to an odd place in a larger array, with canaries around it.
func odd(r *rand.Rand, x []float32) []float32 {
	a := r.IntN(8)
	all := make([]float32, len(x)+2*edge+a)
	for i := range all {
		all[i] = guard
	}
	copy(all[a+edge:], x)
	return all[a+edge : a+edge+len(x) : len(all)]
}

// intact checks the canaries behind x; those before it are checked by the tests at the edge of a page.
func intact(t *testing.T, x []float32, what string) {
	t.Helper()
	for i, v := range x[len(x):cap(x)] {
		if v != guard {
			t.Fatalf("%s wrote %d past the end of %d", what, i, len(x))
		}
	}
}

func clone(r *rand.Rand, x []float32) []float32 { return odd(r, x) }

func TestFunctions(t *testing.T) {
	for name, pick := range map[string]func(s *Set) func(dst, x []float32){
		"Exp":     func(s *Set) func(dst, x []float32) { return s.Exp },
		"Tanh":    func(s *Set) func(dst, x []float32) { return s.Tanh },
		"Sigmoid": func(s *Set) func(dst, x []float32) { return s.Sigmoid },
		"Add":     func(s *Set) func(dst, x []float32) { return s.Add },
	} {
		eachRow(t, name, func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
			dst := clone(r, randomF32(r, len(x)))
			want := slices.Clone(dst)
			pick(&gen)(want, x)
			pick(&s)(dst, x)
			compareF32(t, dst, want, what)
			intact(t, dst, what)
			same := slices.Clone(x)
			pick(&gen)(same, same)
			pick(&s)(x, x)
			compareF32(t, x, same, what+" in place")
		})
	}
}

func TestActivate(t *testing.T) {
	for act := ActNone; act < numActivations; act++ {
		eachRow(t, "Activate", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
			want := slices.Clone(x)
			for i := range want {
				want[i] = activate32(want[i], act)
			}
			s.Activate(x, act)
			compareF32(t, x, want, fmt.Sprint(what, " activation ", act))
		})
	}
}

// TestFunctionBits compares the vector functions with the scalar ones over all exponents. None makes a denormal of a number of
// ordinary size: a product with one takes a hundred cycles on some cores.
func TestFunctionBits(t *testing.T) {
	eachSet(t, "Activate", func(t *testing.T, s, gen Set) {
		step := uint64(1 << 24 / 37)
		if few() {
			step <<= 6
		}
		x, want, got := make([]float32, 1024), make([]float32, 1024), make([]float32, 1024)
		for b := uint64(0); b < 1<<32; b += step * uint64(len(x)) {
			for i := range x {
				x[i] = math.Float32frombits(uint32(b + step*uint64(i)))
			}
			for act := ActNone; act < numActivations; act++ {
				copy(got, x)
				for i, v := range x {
					want[i] = activate32(v, act)
					if y := want[i]; y != 0 && y > -minNormal && y < minNormal && (v > 0x1p-100 || v < -0x1p-100) {
						t.Fatalf("activation %d of %g is %g, a denormal", act, v, y)
					}
				}
				s.Activate(got, act)
				compareF32(t, got, want, fmt.Sprint("activation ", act))
			}
			gen.Exp(want, x)
			s.Exp(got, x)
			compareF32(t, got, want, "Exp")
		}
	})
}

func TestEpilogue(t *testing.T) {
	eachSet(t, "EpilogueF32", func(t *testing.T, s, gen Set) {
		r := rand.New(rand.NewPCG(5, 5))
		cases := 0
		for m := 1; m <= 5; m++ {
			for n := 16; n <= 144; n += 16 {
				for act := ActNone; act < numActivations; act++ {
					for options := range 8 {
						ld := n + r.IntN(20)
						acc, xs, ws := make([]int32, m*n), odd(r, randomF32(r, m)), odd(r, randomF32(r, n))
						for i := range acc {
							acc[i] = int32(r.Uint32()) >> r.IntN(31)
						}
						for i := range ws {
							ws[i] *= 1e-4
						}
						var bias, residual []float32
						if options&1 != 0 {
							bias = odd(r, randomF32(r, n))
						}
						start := randomF32(r, (m-1)*ld+n)
						want, got := slices.Clone(start), odd(r, start)
						res, wantRes := residual, residual
						switch {
						case options&6 == 2:
							res = odd(r, randomF32(r, len(start)))
							wantRes = res
						case options&6 == 4: // in place
							res, wantRes = got, want
						}
						gen.EpilogueF32(want, ld, acc, xs, ws, bias, act, wantRes)
						s.EpilogueF32(got, ld, acc, xs, ws, bias, act, res)
						compareF32(t, got, want, fmt.Sprintf("m %d n %d activation %d options %d", m, n, act, options))
						intact(t, got, "EpilogueF32")
						cases++
					}
				}
			}
		}
		t.Logf("%d cases", cases)
	})
}

// TestEpilogueMeaning holds generic's epilogue against the formula of the contract, element by element.
func TestEpilogueMeaning(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	m, n, ld := 3, 32, 40
	acc, xs, ws, bias, res := make([]int32, m*n), randomF32(r, m), randomF32(r, n), randomF32(r, n), randomF32(r, m*ld)
	for i := range acc {
		acc[i] = int32(r.IntN(60000) - 30000)
	}
	for act := ActNone; act < numActivations; act++ {
		dst := make([]float32, m*ld)
		epilogueF32Generic(dst, ld, acc, xs, ws, bias, act, res)
		for i := range m {
			for j := range n {
				v := float32(float32(acc[i*n+j])*float32(xs[i]*ws[j])) + bias[j]
				if want := activate32(v, act) + res[i*ld+j]; dst[i*ld+j] != want {
					t.Fatalf("activation %d [%d, %d] is %g, want %g", act, i, j, dst[i*ld+j], want)
				}
			}
		}
	}
}

func TestQuantizeRow(t *testing.T) {
	eachRow(t, "QuantizeRow", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		pad := Pad16(len(x))
		got, want := make([]int8, pad+64), make([]int8, pad+64)
		for i := range got {
			got[i], want[i] = 99, 99
		}
		ws, wok := gen.QuantizeRow(want[:pad], x)
		gs, gok := s.QuantizeRow(got[:pad], x)
		if math.Float32bits(gs) != math.Float32bits(ws) || gok != wok {
			t.Fatalf("%s: scale %g %v, want %g %v", what, gs, gok, ws, wok)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: [%d] is %d, want %d", what, i, got[i], want[i])
			}
		}
		finite := !slices.ContainsFunc(x, func(v float32) bool { return v-v != 0 })
		if wok != finite {
			t.Fatalf("%s: ok %v", what, wok)
		}
		for i, v := range x { // the formula itself
			if ws != 0 && float64(want[i]) != max(-127, min(127, math.RoundToEven(float64(float32(v*float32(127/(maxAbs(x)))))))) {
				t.Fatalf("%s: %g became %d", what, v, want[i])
			}
		}
	})
}

func maxAbs(x []float32) (m float32) {
	for _, v := range x {
		m = max(m, v, -v)
	}
	return m
}

func TestNorms(t *testing.T) {
	eachRow(t, "LayerNorm", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		n := len(x)
		tested(s.Name, "RMSNorm")
		gamma, beta, residual := odd(r, randomF32(r, n)), odd(r, randomF32(r, n)), odd(r, randomF32(r, n))
		for options := range 12 {
			var res, be []float32
			if options&1 != 0 {
				res = residual
			}
			if options&2 != 0 {
				be = beta
			}
			gx, wx := clone(r, x), slices.Clone(x)
			got, want := clone(r, x), slices.Clone(x)
			gd, wd := got, want
			if options&4 != 0 { // in place
				gd, wd = gx, wx
			}
			if options < 8 {
				gen.LayerNorm(wd, wx, res, gamma, be, 1e-5)
				s.LayerNorm(gd, gx, res, gamma, be, 1e-5)
			} else {
				gen.RMSNorm(wd, wx, res, gamma, 1e-6)
				s.RMSNorm(gd, gx, res, gamma, 1e-6)
			}
			compareF32(t, gd, wd, fmt.Sprint(what, " options ", options))
			compareF32(t, gx, wx, fmt.Sprint(what, " x, options ", options))
			intact(t, gd, what)
			intact(t, gx, what)
		}
	})
}

func TestSoftmax(t *testing.T) {
	eachRow(t, "Softmax", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		tested(s.Name, "LogSumExp")
		gl, wl := s.LogSumExp(x), gen.LogSumExp(x)
		compareF32(t, []float32{gl}, []float32{wl}, what+" LogSumExp")
		want := slices.Clone(x)
		gen.Softmax(want)
		s.Softmax(x)
		compareF32(t, x, want, what)
		for _, v := range x {
			if v != 0 && v < minNormal {
				t.Fatalf("%s gave %g, a denormal", what, v)
			}
		}
	})
}

func TestScaleDot(t *testing.T) {
	eachRow(t, "Scale", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		tested(s.Name, "Dot")
		y := odd(r, randomF32(r, len(x)))
		compareF32(t, []float32{s.Dot(x, y), s.Dot(x, x)}, []float32{gen.Dot(x, y), gen.Dot(x, x)}, what+" Dot")
		want := slices.Clone(x)
		gen.Scale(want, -0.37)
		s.Scale(x, -0.37)
		compareF32(t, x, want, what)
	})
}

func TestScores(t *testing.T) {
	eachRow(t, "Scores", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		// x is the query; 0 to 50 positions.
		if len(x) > 130 {
			return
		}
		positions := r.IntN(51)
		kb := odd(r, randomF32(r, Pad16(positions)*len(x)))
		got, want := odd(r, make([]float32, positions)), make([]float32, positions)
		gen.Scores(want, x, kb, 0.125)
		s.Scores(got, x, kb, 0.125)
		compareF32(t, got, want, fmt.Sprint(what, " positions ", positions))
		intact(t, got, what)
	})
}

func TestStoreKeys(t *testing.T) {
	eachRow(t, "StoreKeys", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		// x is the first key; 1 to 40 positions.
		if len(x) > 130 {
			return
		}
		n, stride := 1+r.IntN(40), len(x)+r.IntN(20)
		k := odd(r, randomF32(r, (n-1)*stride+len(x)))
		copy(k, x)
		got := odd(r, randomF32(r, Pad16(n)*len(x)))
		want := slices.Clone(got)
		gen.StoreKeys(want, k, n, len(x), stride)
		s.StoreKeys(got, k, n, len(x), stride)
		compareF32(t, got, want, fmt.Sprint(what, " positions ", n, " stride ", stride))
		intact(t, got, what)
	})
}

func TestWeightedSum(t *testing.T) {
	eachRow(t, "WeightedSum", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		// x holds the weights; rows of 1 to 70 elements.
		if len(x) > 130 {
			return
		}
		n := 1 + r.IntN(70)
		stride := n + r.IntN(20)
		v := odd(r, randomF32(r, max((len(x)-1)*stride+n, 0)))
		got := odd(r, randomF32(r, n))
		want := slices.Clone(got)
		gen.WeightedSum(want, x, v, stride)
		s.WeightedSum(got, x, v, stride)
		compareF32(t, got, want, fmt.Sprint(what, " n ", n, " stride ", stride))
		intact(t, got, what)
	})
}

func TestArgMaxTopK(t *testing.T) {
	eachRow(t, "ArgMax", func(t *testing.T, s, gen Set, r *rand.Rand, x []float32, what string) {
		tested(s.Name, "TopK")
		// The definition: sort by value, equal ones by index, NaN left out.
		var order []int32
		for i, v := range x {
			if v == v {
				order = append(order, int32(i))
			}
		}
		slices.SortStableFunc(order, func(a, b int32) int {
			switch {
			case x[a] > x[b]:
				return -1
			case x[a] < x[b]:
				return 1
			}
			return 0
		})
		best := -1
		if len(order) > 0 {
			best = int(order[0])
		}
		if got := s.ArgMax(x); got != best {
			t.Fatalf("%s: ArgMax %d, want %d", what, got, best)
		}
		for _, i := range append(slices.Clone(order[:min(len(order), 3)]), order[len(order)/2:]...) {
			floor, want := x[i], -1
			if x[best] > floor {
				want = best
			}
			if got := s.ArgMaxAbove(x, floor); got != want {
				t.Fatalf("%s: ArgMaxAbove of %g %d, want %d", what, floor, got, want)
			}
		}
		for _, k := range []int{0, 1, 2, 5, 8, 16, 17, 40} {
			idx, val := make([]int32, k), odd(r, make([]float32, k))
			n := s.TopK(idx, val, x)
			if n != min(k, len(order)) {
				t.Fatalf("%s: TopK of %d found %d", what, k, n)
			}
			for i := range n {
				if idx[i] != order[i] || val[i] != x[idx[i]] {
					t.Fatalf("%s: TopK of %d: [%d] is %d (%g), want %d", what, k, i, idx[i], val[i], order[i])
				}
			}
			intact(t, val, what)
		}
	})
}

// TestNoAllocations: a token must not allocate.
func TestNoAllocations(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, s := range Available() {
		n, k := 48, 64
		x, y, q := randomF32(r, 64), randomF32(r, 64), make([]int8, 64)
		w := &Weights{N: n, K: k, Data: make([]int8, n*k), Scale: make([]float32, n), Sum: make([]int32, n)}
		dst, scratch, xs := make([]float32, 3*n), make([]int32, LinearScratch), make([]float32, 3)
		idx, val := make([]int32, 4), make([]float32, 4)
		if a := alloctest.PerRun(5, func() {
			for act := ActNone; act < numActivations; act++ {
				s.Linear(dst, n, q, xs, 1, w, 0, n, act, dst, scratch)
				s.Activate(x, act)
			}
			s.QuantizeRow(q, x)
			s.LayerNorm(y, x, y, y, y, 1e-5)
			s.RMSNorm(y, x, y, y, 1e-5)
			s.Softmax(x)
			s.LogSumExp(x)
			s.Exp(y, x)
			s.Dot(x, y)
			s.Scores(dst[:4], x[:8], dst, 1)
			s.StoreKeys(dst, y, 4, 8, 8)
			s.WeightedSum(dst[:16], x[:2], y, 16)
			s.ArgMax(x)
			s.TopK(idx, val, x)
		}); a != 0 {
			t.Errorf("%s allocates %g times", s.Name, a)
		}
	}
}

// operations lists the function fields of Set.
func operations() []string {
	var ops []string
	for typ, i := reflect.TypeFor[Set](), 0; i < typ.NumField(); i++ {
		if typ.Field(i).IsExported() && typ.Field(i).Type.Kind() == reflect.Func {
			ops = append(ops, typ.Field(i).Name)
		}
	}
	return ops
}

// TestComplete: no set lacks an operation.
func TestComplete(t *testing.T) {
	for _, s := range Available() {
		for _, op := range operations() {
			if reflect.ValueOf(s).FieldByName(op).IsNil() {
				t.Errorf("%s lacks %s", s.Name, op)
			}
		}
	}
}
