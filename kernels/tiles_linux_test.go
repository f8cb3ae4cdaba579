package kernels

import (
	"math/rand/v2"
	"testing"
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
