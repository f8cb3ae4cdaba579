package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestReach compares every set with generic: few and many queries, columns that fill the panel once and several times, bounds that some
// sums just reach, that all and none reach, of every magnitude, and that are no numbers.
func TestReach(t *testing.T) {
	eachSet(t, "Reach", func(t *testing.T, s, gen Set) {
		r := rand.New(rand.NewPCG(21, 3))
		rounds := 600
		if few() {
			rounds = 40
		}
		passed, all := 0, 0
		for round := range rounds {
			m, n, k := 1+r.IntN(70), 16*r.IntN(8), 16*(1+r.IntN(30))
			switch r.IntN(12) {
			case 0:
				k = 16 * (64 + r.IntN(40))
			case 1:
				n = 2032 + 16*r.IntN(4)
				k = 16
			}
			x, w := make([]int8, m*k+7)[7:], make([]int8, n*k+5)[5:]
			px, pw := r.IntN(len(patterns))*r.IntN(2), r.IntN(len(patterns))*r.IntN(2) // half of them random
			patterns[px].fill(r, x)
			patterns[pw].fill(r, w)
			small := round%2 == 1
			if small {
				halve(x)
				halve(w)
			}
			scale, residual, norm, length := randomF32(r, n), randomF32(r, n), randomF32(r, n), randomF32(r, n)
			by := float32(math.Ldexp(1, r.IntN(40)-20))
			for j := range scale {
				scale[j] = max(scale[j], -scale[j]) * by
			}
			sums := rowSums(w, n, k)
			acc := make([]int32, m*n)
			gemmS8Generic(acc, x, w, sums, m, k)
			bounds := make([]Bound, m)
			for i := range bounds {
				bounds[i] = reachBound(r, round+i, func(b *Bound) float32 {
					if n == 0 {
						return 0
					}
					j := r.IntN(n)
					return b.Value(acc[i*n+j], scale[j], residual[j], norm[j], length[j])
				})
			}
			want := make([]int32, m*n)
			want = want[:survivorsGeneric(want, acc, scale, residual, norm, length, bounds)]
			places, placesIntact := guarded(m * n)
			got, gotIntact := guarded(m * n)
			tile, tileIntact := guarded(m * n)
			values := make([]float32, m*n)
			found := s.Reach(Reached{places, got, values}, tile, x, w, sums, scale, residual, norm, length, bounds, small)
			what := fmt.Sprintf("round %d, Reach of %d queries, %d rows, %d columns, small %v", round, m, n, k, small)
			placesIntact(t, what)
			gotIntact(t, what)
			tileIntact(t, what)
			if !slices.Equal(places[:found], want) {
				t.Fatalf("%s: %d places, want %d", what, found, len(want))
			}
			for at, j := range want {
				i, row := int(j)/n, int(j)%n
				value := bounds[i].Value(acc[j], scale[row], residual[row], norm[row], length[row])
				if got[at] != acc[j] || math.Float32bits(values[at]) != math.Float32bits(value) && value == value {
					t.Fatalf("%s: at %d are %d and %v, want %d and %v", what, j, got[at], values[at], acc[j], value)
				}
			}
			passed, all = passed+found, all+m*n
		}
		if share := float64(passed) / float64(all); !(share > 0.1 && share < 0.6) {
			t.Errorf("%v of the sums passed, which tests little", share)
		}
	})
}

// halve brings x to -64 to 63.
func halve(x []int8) {
	for i := range x {
		x[i] >>= 1
	}
}

// reachBound makes a bound of some kind. value is that of one of the sums.
func reachBound(r *rand.Rand, kind int, value func(b *Bound) float32) Bound {
	c := randomF32(r, 6)
	a := float32(math.Exp(r.NormFloat64()*10)) * 1e-5
	b := Bound{Acc: a, Res: c[1] * a, Res2: c[2] * a, Norm: c[3] * a, Norm2: c[4] * a * 100, Len: c[5] * a * 100}
	switch kind % 16 {
	case 0:
		b.Min = float32(math.Inf(-1))
		return b
	case 1:
		b.Min = float32(math.Inf(1))
		return b
	case 2:
		b.Min = float32(math.NaN())
		return b
	case 3:
		b.Res, b.Res2 = float32(math.Inf(1)), float32(math.Inf(-1)) // NaN passes
	case 4:
		b.Acc *= c[0]
	case 5:
		b.Acc = 0
	case 6, 7, 8:
		b.Norm2 = 0
	case 9, 10, 11:
		b.Len = 0
	case 12:
		b.Norm2, b.Len = 0, 0
	}
	// Just reached by one, which many others are near.
	b.Min = value(&b)
	return b
}
