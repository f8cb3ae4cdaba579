package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// TestTiles compares the int8 products of every set with generic where kernels change from one tile to another: numbers of
// rows around multiples of 4, 8 and 32, and k around the turns of their loops and the pieces of i8mm; every slice ends at
// a page that cannot be touched.
func TestTiles(t *testing.T) {
	ms, ks := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 20, 21, 24, 31, 32, 33, 36, 37, 64, 70}, []int{16, 32, 48, 64, 80, 496, 512, 528, 1040, 2064}
	if few() {
		ms, ks = []int{1, 5, 12, 37}, []int{32, 64, 528, 2064}
	}
	r := rand.New(rand.NewPCG(9, 9))
	fx, fw, facc := newFence(t, 256<<10), newFence(t, 512<<10), newFence(t, 64<<10)
	sets := Available()
	for _, m := range ms {
		for i, k := range ks {
			n := []int{16, 48, 144}[(m+i)%3]
			if m*k > 1<<15 && i%2 > 0 {
				n = 32
			}
			x, w := fenced(fx, make([]int8, m*k), true), fenced(fw, make([]int8, n*k), true)
			patterns[0].fill(r, x)
			patterns[0].fill(r, w)
			sums, want := rowSums(w, n, k), make([]int32, m*n)
			sets[0].GemmS8(want, x, w, sums, m, k)
			for _, s := range sets[1:] {
				acc := fenced(facc, make([]int32, m*n), true)
				for j := range acc {
					acc[j] = r.Int32()
				}
				s.GemmS8(acc, x, w, sums, m, k)
				compareS8(t, acc, want, s.Name+" GemmS8", m, n, k)
				s.GemvS8(acc[:n], x[:k], w, sums)
				compareS8(t, acc[:n], want[:n], s.Name+" GemvS8", 1, n, k)
			}
		}
	}
}

// TestLinearTiles compares products with their epilogues where sets fuse the two: rows and k as in TestTiles, with and without
// bias and residual, in place, every slice at a page that cannot be touched.
func TestLinearTiles(t *testing.T) {
	ms, ks := []int{2, 6, 7, 8, 11, 12, 13, 24, 25, 37, 70}, []int{16, 64, 528, 2064}
	if few() {
		ms, ks = []int{7, 37}, []int{64, 2064}
	}
	r := rand.New(rand.NewPCG(10, 10))
	var f [7]*fence
	for i := range f {
		f[i] = newFence(t, 256<<10)
	}
	scratch := make([]int32, LinearScratch)
	sets := Available()
	for _, m := range ms {
		for i, k := range ks {
			n := []int{16, 48, 96}[(m+i)%3]
			x, xs := fenced(f[0], make([]int8, m*k), true), fenced(f[1], randomF32(r, m), true)
			patterns[0].fill(r, x)
			w := &Weights{N: n, K: k, Data: fenced(f[2], make([]int8, n*k), true), Scale: fenced(f[3], randomF32(r, n), true)}
			patterns[0].fill(r, w.Data)
			w.Sum = rowSums(w.Data, n, k)
			acc := make([]int32, m*n)
			gemmS8Generic(acc, x, w.Data, w.Sum, m, k)
			for c := range 16 {
				act := []Activation{ActNone, ActReLU, ActSiLU, ActReLU}[c%4]
				var residual []float32
				if w.Bias = nil; c&4 > 0 {
					w.Bias = fenced(f[4], randomF32(r, n), true)
				}
				if c&8 > 0 {
					residual = fenced(f[5], randomF32(r, m*n), true)
				}
				want := make([]float32, m*n)
				epilogueF32Generic(want, n, acc, xs, w.Scale, w.Bias, act, residual)
				for _, s := range sets[1:] {
					dst := fenced(f[6], make([]float32, m*n), true)
					s.Linear(dst, n, x, xs, m, w, 0, n, act, residual, scratch)
					compareF32(t, dst, want, fmt.Sprintf("%s Linear m %d n %d k %d case %d", s.Name, m, n, k, c))
					if residual != nil {
						copy(dst, residual)
						s.Linear(dst, n, x, xs, m, w, 0, n, act, dst, scratch)
						compareF32(t, dst, want, fmt.Sprintf("%s Linear in place m %d n %d k %d case %d", s.Name, m, n, k, c))
					}
				}
			}
		}
	}
}

// TestReachTiles compares sums tested while they are made: rows and k as in TestTiles, every slice at a page that cannot be touched.
func TestReachTiles(t *testing.T) {
	ms, ks := []int{7, 8, 9, 11, 12, 13, 23, 33, 37, 64}, []int{16, 32, 48, 64, 80, 496, 528, 1040}
	if few() {
		ms, ks = []int{7, 37}, []int{64, 528}
	}
	r := rand.New(rand.NewPCG(12, 10))
	var f [10]*fence
	for i := range f {
		f[i] = newFence(t, 256<<10)
	}
	sets := Available()
	for _, m := range ms {
		for i, k := range ks {
			n := []int{16, 48, 144}[(m+i)%3]
			for _, small := range []bool{false, true} {
				x, w := fenced(f[0], make([]int8, m*k), true), fenced(f[1], make([]int8, n*k), true)
				patterns[0].fill(r, x)
				patterns[0].fill(r, w)
				if small {
					halve(x)
					halve(w)
				}
				sums, b := fenced(f[2], rowSums(w, n, k), true), make([]Bound, m)
				for j := range b {
					b[j] = Bound{Acc: 1, Norm2: -1}
				}
				var row [4][]float32
				for j := range row {
					row[j] = fenced(f[3+j], randomF32(r, n), true)
				}
				var want Reached
				for _, s := range sets {
					got := Reached{fenced(f[7], make([]int32, m*n), true), fenced(f[8], make([]int32, m*n), true), make([]float32, m*n)}
					found := s.Reach(got, fenced(f[9], make([]int32, m*n), true), x, w, sums, row[0], row[1], row[2], row[3], b, small)
					got.Place, got.Sum = slices.Clone(got.Place[:found]), slices.Clone(got.Sum[:found])
					if s.Name == sets[0].Name {
						want = got
					}
					if !slices.Equal(got.Place, want.Place) || !slices.Equal(got.Sum, want.Sum) {
						t.Fatalf("%s, m %d n %d k %d, small %v: %d are reached, want %d, or others", s.Name, m, n, k, small, len(got.Place), len(want.Place))
					}
				}
			}
		}
	}
}

// TestLinearDoesNotAllocate: a product is part of every token.
func TestLinearDoesNotAllocate(t *testing.T) {
	const n, k = 48, 64
	w := &Weights{N: n, K: k, Data: make([]int8, n*k), Scale: make([]float32, n), Sum: make([]int32, n), Bias: make([]float32, n)}
	scratch := make([]int32, LinearScratch)
	for _, s := range Available() {
		for _, m := range []int{1, 4, 20} {
			x, xs, dst := make([]int8, m*k), make([]float32, m), make([]float32, m*n)
			if a := alloctest.PerRun(5, func() { s.Linear(dst, n, x, xs, m, w, 0, n, ActReLU, dst, scratch) }); a != 0 {
				t.Errorf("%s: %v allocations with %d rows", s.Name, a, m)
			}
		}
	}
}
