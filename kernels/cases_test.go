package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// TestCases holds every operation of every set against generic on small random shapes: rows of 1 to 9 and some more, N of 1 to 33, K of 1 to
// 67 with their padding, values of every kind, each slice right behind a page that cannot be touched, right before one, or at any
// offset between canaries. Outputs have the same bits (any NaN for a NaN), and inputs are as they were.
func TestCases(t *testing.T) {
	m := newCaseMemory(t)
	gen := generic()
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(14, 14))
			for i := range wantCases() {
				c := &cases[i%len(cases)]
				var o operands
				run := c.make(r, &o)
				got := m.place(r, &o)
				run(&gen, &o)
				run(&s, &got)
				if err := m.compare(&got, &o); err != nil {
					t.Fatalf("case %d, %s: %v", i, c.op, err)
				}
				counted(s.Name, c.op)
			}
		})
	}
}

// wantCases is how many cases of TestCases each set gets.
func wantCases() int {
	if few() {
		return 5_000
	}
	return 100_000
}

// operands are the slices of one call. What a call returns goes into one of them, and what it leaves undefined is cleared: after a
// call all of them but scratch are compared.
type operands struct {
	q       [2][]int8
	f       [6][]float32
	d       [2][]float64
	i       [5][]int32
	scratch []int32
}

// a case of an operation: make fills o and returns what to run on it, or on a copy.
type opCase struct {
	op   string
	make func(r *rand.Rand, o *operands) func(s *Set, o *operands)
}

var cases = []opCase{
	{"GemvS8", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		caseProduct(r, o, 1)
		return func(s *Set, o *operands) { s.GemvS8(o.i[0], o.q[0], o.q[1], o.i[1]) }
	}},
	{"GemmS8", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		m := caseRows(r)
		k := caseProduct(r, o, m)
		return func(s *Set, o *operands) { s.GemmS8(o.i[0], o.q[0], o.q[1], o.i[1], m, k) }
	}},
	{"Linear", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		m := caseRows(r)
		k := caseProduct(r, o, m)
		act, ld, inPlace := caseEpilogue(r, o, m)
		o.scratch = make([]int32, LinearScratch)
		n := len(o.i[1])
		return func(s *Set, o *operands) {
			w := &Weights{N: n, K: k, Data: o.q[1], Scale: o.f[1], Sum: o.i[1], Bias: o.f[2]}
			residual := o.f[3]
			if inPlace {
				residual = o.f[4]
			}
			s.Linear(o.f[4], ld, o.q[0], o.f[0], m, w, 0, n, act, residual, o.scratch)
			clear(o.i[0])
		}
	}},
	{"EpilogueF32", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		m, n := 1+r.IntN(9), 16*(1+r.IntN(6))
		o.i[0], o.i[1] = make([]int32, m*n), make([]int32, n)
		for j := range o.i[0] {
			o.i[0][j] = int32(r.Uint32()) >> r.IntN(31)
		}
		act, ld, inPlace := caseEpilogue(r, o, m)
		return func(s *Set, o *operands) {
			residual := o.f[3]
			if inPlace {
				residual = o.f[4]
			}
			s.EpilogueF32(o.f[4], ld, o.i[0], o.f[0], o.f[1], o.f[2], act, residual)
		}
	}},
	{"QuantizeRow", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0] = caseFloats(r, caseLength(r))
		o.q[0], o.f[1], o.i[0] = make([]int8, Pad16(len(o.f[0]))), make([]float32, 1), make([]int32, 1)
		return func(s *Set, o *operands) {
			scale, ok := s.QuantizeRow(o.q[0], o.f[0])
			if o.f[1][0] = scale; ok {
				o.i[0][0] = 1
			}
		}
	}},
	{"LayerNorm", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		inPlace := caseNorm(r, o)
		return func(s *Set, o *operands) {
			dst := o.f[0]
			if inPlace {
				dst = o.f[1]
			}
			s.LayerNorm(dst, o.f[1], o.f[2], o.f[3], o.f[4], 1e-5)
		}
	}},
	{"RMSNorm", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		inPlace := caseNorm(r, o)
		return func(s *Set, o *operands) {
			dst := o.f[0]
			if inPlace {
				dst = o.f[1]
			}
			s.RMSNorm(dst, o.f[1], o.f[2], o.f[3], 1e-6)
		}
	}},
	{"Softmax", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0] = caseFloats(r, caseLength(r))
		return func(s *Set, o *operands) { s.Softmax(o.f[0]) }
	}},
	{"LogSumExp", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0], o.f[1] = caseFloats(r, caseLength(r)), make([]float32, 1)
		return func(s *Set, o *operands) { o.f[1][0] = s.LogSumExp(o.f[0]) }
	}},
	{"Activate", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0] = caseFloats(r, caseLength(r))
		act := Activation(r.IntN(int(numActivations)))
		return func(s *Set, o *operands) { s.Activate(o.f[0], act) }
	}},
	{"Exp", caseFunction(func(s *Set) func(dst, x []float32) { return s.Exp })},
	{"Tanh", caseFunction(func(s *Set) func(dst, x []float32) { return s.Tanh })},
	{"Sigmoid", caseFunction(func(s *Set) func(dst, x []float32) { return s.Sigmoid })},
	{"Add", caseFunction(func(s *Set) func(dst, x []float32) { return s.Add })},
	{"Scale", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0] = caseFloats(r, caseLength(r))
		by := caseFloats(r, 1)[0]
		return func(s *Set, o *operands) { s.Scale(o.f[0], by) }
	}},
	{"Dot", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := caseLength(r)
		o.f[0], o.f[1], o.f[2] = caseFloats(r, n), caseFloats(r, n), make([]float32, 1)
		return func(s *Set, o *operands) { o.f[2][0] = s.Dot(o.f[0], o.f[1]) }
	}},
	{"Scores", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		positions, dim := r.IntN(70), r.IntN(40)
		o.f[0], o.f[1], o.f[2] = make([]float32, positions), caseFloats(r, dim), caseFloats(r, Pad16(positions)*dim)
		return func(s *Set, o *operands) { s.Scores(o.f[0], o.f[1], o.f[2], 0.125) }
	}},
	{"StoreKeys", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n, dim := r.IntN(40), r.IntN(70)
		stride := dim + r.IntN(9)
		o.f[0], o.f[1] = caseFloats(r, Pad16(n)*dim), caseFloats(r, max((n-1)*stride+dim, 0))
		return func(s *Set, o *operands) { s.StoreKeys(o.f[0], o.f[1], n, dim, stride) }
	}},
	{"WeightedSum", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n, rows := r.IntN(80), r.IntN(20)
		stride := n + r.IntN(9)
		o.f[0], o.f[1], o.f[2] = caseFloats(r, n), caseFloats(r, rows), caseFloats(r, max((rows-1)*stride+n, 0))
		return func(s *Set, o *operands) { s.WeightedSum(o.f[0], o.f[1], o.f[2], stride) }
	}},
	{"L1S8", caseDistance(func(s *Set) func(acc []int32, x, w []int8, m, k int) { return s.L1S8 })},
	{"MaxS8", caseDistance(func(s *Set) func(acc []int32, x, w []int8, m, k int) { return s.MaxS8 })},
	{"GemvS4", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := casePairs(r, o)
		o.i[0] = make([]int32, n)
		return func(s *Set, o *operands) { s.GemvS4(o.i[0], o.q[0], o.q[1]) }
	}},
	{"RowsS4", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := casePairs(r, o)
		o.i[1] = make([]int32, r.IntN(12))
		for i := range o.i[1] {
			o.i[1][i] = int32(r.IntN(n))
		}
		o.i[0] = make([]int32, len(o.i[1]))
		return func(s *Set, o *operands) { s.RowsS4(o.i[0], o.q[0], o.q[1], o.i[1]) }
	}},
	{"Survivors", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		m, n := 1+r.IntN(4), 16*r.IntN(6)
		for j := range 4 {
			o.f[j] = caseFloats(r, n)
		}
		o.i[0], o.i[1], o.i[2] = make([]int32, m*n), make([]int32, m*n), make([]int32, 1)
		for j := range o.i[1] {
			o.i[1][j] = int32(r.Uint32()) >> r.IntN(31)
		}
		b := make([]Bound, m)
		for j := range b {
			c := caseFloats(r, 7)
			b[j] = Bound{c[0], c[1], c[2], c[3], c[4], c[5], c[6]}
		}
		return func(s *Set, o *operands) {
			found := s.Survivors(o.i[0], o.i[1], o.f[0], o.f[1], o.f[2], o.f[3], b)
			o.i[2][0] = int32(found)
			clear(o.i[0][found:])
		}
	}},
	{"Reach", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		m := caseRows(r)
		caseProduct(r, o, m)
		n := len(o.i[1])
		for j := range 4 {
			o.f[j] = caseFloats(r, n)
		}
		o.i[2], o.i[3], o.i[4] = make([]int32, m*n), make([]int32, m*n), make([]int32, 1)
		o.f[4] = make([]float32, m*n)
		b := make([]Bound, m)
		for j := range b {
			c := caseFloats(r, 7)
			b[j] = Bound{c[0], c[1], c[2], c[3], c[4], c[5], c[6]}
		}
		return func(s *Set, o *operands) {
			found := s.Reach(Reached{o.i[2], o.i[3], o.f[4]}, o.i[0], o.q[0], o.q[1], o.i[1], o.f[0], o.f[1], o.f[2], o.f[3], b, false)
			o.i[4][0] = int32(found)
			clear(o.i[0])
			clear(o.i[2][found:])
			clear(o.i[3][found:])
			clear(o.f[4][found:])
		}
	}},
	{"Squares8", caseRank(func(s *Set) func(out *[8]float64, x []float64, rows *[8][]float32) { return s.Squares8 })},
	{"Absolute8", caseRank(func(s *Set) func(out *[8]float64, x []float64, rows *[8][]float32) { return s.Absolute8 })},
	{"ArgMax", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0], o.i[0] = caseFloats(r, caseLength(r)), make([]int32, 1)
		return func(s *Set, o *operands) { o.i[0][0] = int32(s.ArgMax(o.f[0])) }
	}},
	{"ArgMaxAbove", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		o.f[0], o.i[0] = caseFloats(r, caseLength(r)), make([]int32, 1)
		floor := caseFloats(r, 1)[0]
		if floor != floor {
			floor = 0
		}
		return func(s *Set, o *operands) { o.i[0][0] = int32(s.ArgMaxAbove(o.f[0], floor)) }
	}},
	{"TopK", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		k := r.IntN(12)
		o.f[0], o.f[1], o.i[0], o.i[1] = caseFloats(r, caseLength(r)), make([]float32, k), make([]int32, k), make([]int32, 1)
		return func(s *Set, o *operands) {
			n := s.TopK(o.i[0], o.f[1], o.f[0])
			o.i[1][0] = int32(n)
			clear(o.i[0][n:])
			clear(o.f[1][n:])
		}
	}},
	{"LSTM", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := 16 * r.IntN(4)
		o.f[0], o.f[1], o.f[2] = make([]float32, n), caseFloats(r, n), caseFloats(r, 4*n)
		if r.IntN(2) == 0 {
			o.f[3] = caseFloats(r, 3*n)
		}
		clip, coupled := []float32{0, 0.7}[r.IntN(2)], r.IntN(2) == 0
		return func(s *Set, o *operands) {
			s.LSTM(o.f[0], o.f[1], o.f[2], o.f[3], clip, coupled)
			clear(o.f[2])
		}
	}},
	{"GRU", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := 16 * r.IntN(4)
		o.f[0], o.f[1], o.f[2] = caseFloats(r, n), caseFloats(r, 3*n), caseFloats(r, 3*n)
		clip := []float32{0, 0.7}[r.IntN(2)]
		return func(s *Set, o *operands) {
			s.GRU(o.f[0], o.f[1], o.f[2], clip)
			clear(o.f[1])
		}
	}},
	{"GRUReset", func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := 16 * r.IntN(4)
		o.f[0], o.f[1], o.f[2], o.f[3] = caseFloats(r, n), caseFloats(r, n), caseFloats(r, 2*n), caseFloats(r, n)
		clip := []float32{0, 0.7}[r.IntN(2)]
		return func(s *Set, o *operands) {
			s.GRUReset(o.f[0], o.f[1], o.f[2], clip)
			s.GRUUpdate(o.f[1], o.f[2], o.f[3], clip)
			clear(o.f[3])
		}
	}},
}

func caseRows(r *rand.Rand) int {
	if r.IntN(8) == 0 {
		return 10 + r.IntN(31)
	}
	return 1 + r.IntN(9)
}

func caseLength(r *rand.Rand) int {
	if r.IntN(16) == 0 {
		return r.IntN(600)
	}
	return r.IntN(68)
}

// caseProduct makes acc (i[0]), x (q[0]), w (q[1]) and sums (i[1]) of a product of m rows, and returns K. What pads N and K is zero.
func caseProduct(r *rand.Rand, o *operands, m int) int {
	n, k := 1+r.IntN(33), 1+r.IntN(67)
	n16, k16 := Pad16(n), Pad16(k)
	o.i[0], o.q[0], o.q[1] = make([]int32, m*n16), make([]int8, m*k16), make([]int8, n16*k16)
	patterns[r.IntN(len(patterns))].fill(r, o.q[0])
	patterns[r.IntN(len(patterns))].fill(r, o.q[1])
	for i := range m {
		clear(o.q[0][i*k16+k : (i+1)*k16])
	}
	for j := range o.q[1] {
		if j/(16*k16)*16+j%64/4 >= n || j%(16*k16)/64*4+j%4 >= k {
			o.q[1][j] = 0
		}
	}
	o.i[1] = rowSums(o.q[1], n16, k16)
	return k16
}

// caseEpilogue makes xScale (f[0]), wScale (f[1]), bias (f[2]) and residual (f[3]), or none, and dst (f[4]) for N = len(i[1]).
func caseEpilogue(r *rand.Rand, o *operands, m int) (act Activation, ld int, inPlace bool) {
	n := len(o.i[1])
	act, ld = Activation(r.IntN(int(numActivations))), n+r.IntN(20)
	size := (m-1)*ld + n
	o.f[0], o.f[1], o.f[4] = caseFloats(r, m), caseFloats(r, n), caseFloats(r, size)
	if r.IntN(2) == 0 {
		o.f[2] = caseFloats(r, n)
	}
	switch r.IntN(3) {
	case 0:
		o.f[3] = caseFloats(r, size)
	case 1:
		inPlace = true
	}
	return act, ld, inPlace
}

// caseNorm makes dst (f[0]), x (f[1]), residual (f[2]) and beta (f[4]), or none, and gamma (f[3]).
func caseNorm(r *rand.Rand, o *operands) (inPlace bool) {
	n := caseLength(r)
	o.f[0], o.f[1], o.f[3] = make([]float32, n), caseFloats(r, n), caseFloats(r, n)
	if r.IntN(2) == 0 {
		o.f[2] = caseFloats(r, n)
	}
	if r.IntN(2) == 0 {
		o.f[4] = caseFloats(r, n)
	}
	return r.IntN(2) == 0
}

func caseFunction(of func(s *Set) func(dst, x []float32)) func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
	return func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := caseLength(r)
		o.f[0], o.f[1] = caseFloats(r, n), caseFloats(r, n)
		dst := r.IntN(2) // 1: in place
		return func(s *Set, o *operands) { of(s)(o.f[dst], o.f[1]) }
	}
}

func caseDistance(of func(s *Set) func(acc []int32, x, w []int8, m, k int)) func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
	return func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		m := caseRows(r)
		k := caseProduct(r, o, m)
		return func(s *Set, o *operands) { of(s)(o.i[0], o.q[0], o.q[1], m, k) }
	}
}

// casePairs makes x and the rows of pairs of GemvS4 and RowsS4, and returns their number.
func casePairs(r *rand.Rand, o *operands) (n int) {
	h := 16 * (1 + r.IntN(12))
	n = 16 * (1 + r.IntN(3))
	o.q[0], o.q[1] = make([]int8, 2*h), make([]int8, n*h)
	patterns[r.IntN(len(patterns))].fill(r, o.q[0])
	fillPairs(r, o.q[1], r.IntN(4))
	return n
}

// caseFloats makes n floats of one kind.
func caseFloats(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	kind := r.IntN(16)
	for i := range x {
		v := float32(r.NormFloat64())
		switch kind {
		case 0:
			v = 127
		case 1:
			v = -127
		case 2:
			v = float32(127 - 254*(i&1))
		case 3:
			v = float32(math.Copysign(0, float64(v)))
		case 4:
			v = math.Float32frombits(r.Uint32() & 0x807fffff) // denormal
		case 5:
			v = math.Float32frombits(r.Uint32()) // anything, infinities and NaN among them
		case 6:
			v *= 60
		case 7:
			v *= float32(math.Exp(r.NormFloat64() * 20))
		case 8:
			v = float32(r.IntN(5)-2) / 2 // ties
		}
		x[i] = v
	}
	if n > 0 {
		switch kind {
		case 9:
			x[r.IntN(n)] = float32(math.NaN())
		case 10:
			x[r.IntN(n)] = float32(math.Inf(1))
		case 11:
			x[r.IntN(n)] = float32(math.Inf(-1))
		}
	}
	return x
}

// caseMemory holds copies of operands: each slice in a fence of its own.
type caseMemory struct {
	placed []placement
	slots  []fence
	used   int
}

// placement is where a slice lies in a fence, in bytes.
type placement struct {
	mem      []byte
	from, to int
}

const (
	caseEdge   = 64 // bytes of canary on either side of a slice
	caseCanary = 0xa5
)

func newCaseMemory(t *testing.T) *caseMemory {
	m := &caseMemory{}
	for range 14 {
		f := newFence(t, 4*LinearScratch+4<<10) // the largest operand, and room beside it
		for i := range f.mem {
			f.mem[i] = caseCanary
		}
		m.slots = append(m.slots, *f)
	}
	return m
}

// place returns copies of all operands.
func (m *caseMemory) place(r *rand.Rand, o *operands) operands {
	// What was placed last goes back to canaries.
	for _, p := range m.placed {
		for i := p.from; i < p.to; i++ {
			p.mem[i] = caseCanary
		}
	}
	m.placed, m.used = m.placed[:0], 0
	var c operands
	for i, x := range o.q {
		c.q[i] = placeSlice(m, r, x)
	}
	for i, x := range o.f {
		c.f[i] = placeSlice(m, r, x)
	}
	for i, x := range o.d {
		c.d[i] = placeSlice(m, r, x)
	}
	for i, x := range o.i {
		c.i[i] = placeSlice(m, r, x)
	}
	c.scratch = placeSlice(m, r, o.scratch)
	return c
}

func placeSlice[T any](m *caseMemory, r *rand.Rand, x []T) []T {
	if len(x) == 0 {
		return x // nil or empty
	}
	mem := m.slots[m.used].mem
	m.used++
	unit := int(unsafe.Sizeof(x[0]))
	size := len(x) * unit
	from := 0
	switch r.IntN(3) {
	case 0:
		from = len(mem) - size
	case 1:
		from = caseEdge + r.IntN(64/unit)*unit
	}
	m.placed = append(m.placed, placement{mem, from, from + size})
	y := unsafe.Slice((*T)(unsafe.Pointer(&mem[from])), len(x))
	copy(y, x)
	return y
}

// caseRank is a vector and eight rows, which lie one after another.
func caseRank(op func(s *Set) func(out *[8]float64, x []float64, rows *[8][]float32)) func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
	return func(r *rand.Rand, o *operands) func(s *Set, o *operands) {
		n := r.IntN(34)
		o.f[0], o.d[0], o.d[1] = caseFloats(r, 8*n), make([]float64, n), make([]float64, 8)
		for j, v := range caseFloats(r, n) {
			o.d[0][j] = float64(v) * r.Float64()
		}
		return func(s *Set, o *operands) {
			var rows [8][]float32
			for i := range rows {
				rows[i] = o.f[0][i*n : (i+1)*n]
			}
			op(s)((*[8]float64)(o.d[1]), o.d[0], &rows)
		}
	}
}

// compare says where got, the placed operands, differs from want, or where a canary fell.
func (m *caseMemory) compare(got, want *operands) error {
	for _, p := range m.placed {
		for i := max(p.from-caseEdge, 0); i < min(p.to+caseEdge, len(p.mem)); i++ {
			if p.mem[i] != caseCanary && (i < p.from || i >= p.to) {
				return fmt.Errorf("wrote at byte %d of a slice of %d", i-p.from, p.to-p.from)
			}
		}
	}
	for j := range want.q {
		if !slices.Equal(got.q[j], want.q[j]) {
			return fmt.Errorf("q[%d] is %v, want %v", j, got.q[j], want.q[j])
		}
	}
	for j := range want.i {
		if !slices.Equal(got.i[j], want.i[j]) {
			return fmt.Errorf("i[%d] is %v, want %v", j, got.i[j], want.i[j])
		}
	}
	for j := range want.d {
		for k, w := range want.d[j] {
			if g := got.d[j][k]; math.Float64bits(g) != math.Float64bits(w) && (g == g || w == w) {
				return fmt.Errorf("d[%d][%d] of %d is %g (%016x), want %g (%016x)", j, k, len(want.d[j]), g, math.Float64bits(g), w, math.Float64bits(w))
			}
		}
	}
	for j := range want.f {
		for k, w := range want.f[j] {
			if g := got.f[j][k]; math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
				return fmt.Errorf("f[%d][%d] of %d is %g (%08x), want %g (%08x)", j, k, len(want.f[j]), g, math.Float32bits(g), w, math.Float32bits(w))
			}
		}
	}
	return nil
}
