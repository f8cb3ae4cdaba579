package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDistancePageEdges runs the operations of nearest neighbours with every slice against a page that cannot be touched.
func TestDistancePageEdges(t *testing.T) {
	r := rand.New(rand.NewPCG(18, 8))
	var f [6]*fence
	for i := range f {
		f[i] = newFence(t, 64<<10)
	}
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			for _, atEnd := range []bool{false, true} {
				for m := 1; m <= 6; m++ {
					for _, nk := range [][2]int{{16, 16}, {32, 48}, {80, 32}, {144, 128}} {
						n, k := nk[0], nk[1]
						x, w := fenced(f[0], make([]int8, m*k), atEnd), fenced(f[1], make([]int8, n*k), atEnd)
						patterns[0].fill(r, x)
						patterns[0].fill(r, w)
						acc, want := fenced(f[2], make([]int32, m*n), atEnd), make([]int32, m*n)
						l1S8Generic(want, x, w, m, k)
						s.L1S8(acc, x, w, m, k)
						compareS8(t, acc, want, fmt.Sprintf("L1S8, end %v", atEnd), m, n, k)
						maxS8Generic(want, x, w, m, k)
						s.MaxS8(acc, x, w, m, k)
						compareS8(t, acc, want, fmt.Sprintf("MaxS8, end %v", atEnd), m, n, k)
					}
				}
				for _, nh := range [][2]int{{16, 16}, {32, 48}, {48, 80}, {16, 128}} {
					n, h := nh[0], nh[1]
					x, w := fenced(f[0], make([]int8, 2*h), atEnd), fenced(f[1], make([]int8, n*h), atEnd)
					patterns[0].fill(r, x)
					patterns[0].fill(r, w)
					acc, want := fenced(f[2], make([]int32, n), atEnd), make([]int32, n)
					gemvS4Generic(want, x, w)
					s.GemvS4(acc, x, w)
					compareS8(t, acc, want, fmt.Sprintf("GemvS4, end %v", atEnd), 1, n, 2*h)
					list := fenced(f[3], make([]int32, n), atEnd)
					for i := range list {
						list[i] = int32(r.IntN(n))
					}
					rowsS4Generic(want, x, w, list)
					s.RowsS4(acc, x, w, list)
					compareS8(t, acc, want, fmt.Sprintf("RowsS4, end %v", atEnd), 1, n, 2*h)
				}
				for n := 1; n <= 12; n++ {
					var rows [8][]float32
					for i := range rows {
						rows[i] = fenced(f[i%6], randomF32(r, n), atEnd)
					}
					var got, want [8]float64
					x := fenced(f[5], make([]float64, n), atEnd)
					for j := range x {
						x[j] = r.NormFloat64()
					}
					rows[5] = rows[0]
					squares8Generic(&want, x, &rows)
					if s.Squares8(&got, x, &rows); got != want {
						t.Fatalf("Squares8 of %d columns: %v, want %v", n, got, want)
					}
					absolute8Generic(&want, x, &rows)
					if s.Absolute8(&got, x, &rows); got != want {
						t.Fatalf("Absolute8 of %d columns: %v, want %v", n, got, want)
					}
				}
				for n := 16; n <= 80; n += 16 {
					var v [4][]float32
					for i := range v {
						v[i] = fenced(f[i], randomF32(r, n), atEnd)
					}
					for _, m := range []int{1, 3} {
						acc, idx, want := fenced(f[4], make([]int32, m*n), atEnd), fenced(f[5], make([]int32, m*n), atEnd), make([]int32, m*n)
						for i := range acc {
							acc[i] = int32(r.IntN(2000) - 1000)
						}
						for _, least := range []float32{-1e30, 0, 1} {
							b := slices.Repeat([]Bound{{0.001, 1, 1, 1, -1, 1, least}}, m)
							found := survivorsGeneric(want, acc, v[0], v[1], v[2], v[3], b)
							if got := s.Survivors(idx, acc, v[0], v[1], v[2], v[3], b); !slices.Equal(idx[:got], want[:found]) {
								t.Fatalf("Survivors of %d x %d: %v, want %v", m, n, idx[:got], want[:found])
							}
						}
					}
				}
			}
		})
	}
}
