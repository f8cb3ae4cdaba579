package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGenericDistance holds generic itself against the plain definition of the layout.
func TestGenericDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	for _, c := range [][3]int{{1, 16, 16}, {3, 32, 48}, {2, 48, 64}} {
		m, n, k := c[0], c[1], c[2]
		x, w := make([]int8, m*k), make([]int8, n*k)
		patterns[0].fill(r, x)
		patterns[0].fill(r, w)
		l1, top := make([]int32, m*n), make([]int32, m*n)
		l1S8Generic(l1, x, w, m, k)
		maxS8Generic(top, x, w, m, k)
		for i := range l1 {
			row, col, sum, largest := i/n, i%n, 0, 0
			for j := range k {
				d := int(x[row*k+j]) - int(w[col/16*16*k+j/4*64+col%16*4+j%4])
				sum, largest = sum+max(d, -d), max(largest, d, -d)
			}
			if int(l1[i]) != sum || int(top[i]) != largest {
				t.Fatalf("%v: [%d, %d] is %d and %d, want %d and %d", c, row, col, l1[i], top[i], sum, largest)
			}
		}
	}
}

// TestDistance compares L1S8 and MaxS8 of every set with generic: every pattern against every pattern at odd offsets.
func TestDistance(t *testing.T) {
	eachSet(t, "L1S8", func(t *testing.T, s, gen Set) {
		tested(s.Name, "MaxS8")
		r := rand.New(rand.NewPCG(12, 2))
		ks := []int{16, 32, 48, 64, 80, 272, 784, 1040}
		if few() {
			ks = []int{16, 48, 272}
		}
		xs, ws := make([]int8, 16*2048), make([]int8, 256*2048)
		for _, m := range []int{1, 2, 5} {
			for _, n := range []int{16, 80} {
				for _, k := range ks {
					for _, px := range patterns {
						for _, pw := range patterns {
							ox, ow := r.IntN(64), r.IntN(64)
							x, w := xs[ox:ox+m*k], ws[ow:ow+n*k]
							px.fill(r, x)
							pw.fill(r, w)
							checkDistance(t, s, x, w, m, n, k, px.name+" "+pw.name)
						}
						if few() {
							break
						}
					}
				}
			}
		}
		// The longest K: the largest sums.
		if k := 131056; !few() {
			x, w := make([]int8, k), make([]int8, 16*k)
			patterns[1].fill(r, x)
			patterns[2].fill(r, w)
			checkDistance(t, s, x, w, 1, 16, k, "longest")
		}
	})
}

func checkDistance(t *testing.T, s Set, x, w []int8, m, n, k int, what string) {
	t.Helper()
	for _, op := range []struct {
		name      string
		got, want func(acc []int32, x, w []int8, m, k int)
	}{{"L1S8", s.L1S8, l1S8Generic}, {"MaxS8", s.MaxS8, maxS8Generic}} {
		want := make([]int32, m*n)
		op.want(want, x, w, m, k)
		got, intact := guarded(m * n)
		op.got(got, x, w, m, k)
		intact(t, op.name+" "+what)
		compareS8(t, got, want, op.name+" "+what, m, n, k)
	}
}

// TestSurvivors compares every set with generic over coefficients of every kind, all rows passing, none, and NaN, for one query
// and several at once.
func TestSurvivors(t *testing.T) {
	eachSet(t, "Survivors", func(t *testing.T, s, gen Set) {
		r := rand.New(rand.NewPCG(13, 3))
		rounds := 400
		if few() {
			rounds = 40
		}
		passed := 0
		for round := range rounds {
			m, n := 1+r.IntN(5)*r.IntN(2), 16*r.IntN(20)
			off := r.IntN(5)
			acc := make([]int32, m*n+off)[off:]
			for i := range acc {
				acc[i] = r.Int32() >> r.IntN(31) * int32(1-2*r.IntN(2))
			}
			scale, residual, norm, length := randomF32(r, n), randomF32(r, n), randomF32(r, n), randomF32(r, n)
			bounds := make([]Bound, m)
			for i := range bounds {
				c := randomF32(r, 6)
				b := &bounds[i]
				*b = Bound{c[0] * 1e-6, c[1], c[2], c[3], c[4], c[5], float32(r.NormFloat64()) * 3}
				switch (round + i) % 10 {
				case 0:
					b.Min = float32(math.Inf(-1))
				case 1:
					b.Min = float32(math.Inf(1))
				case 2:
					b.Min = float32(math.NaN())
				case 3:
					b.Res, b.Res2 = float32(math.Inf(1)), float32(math.Inf(-1)) // NaN passes
				case 4:
					if n > 0 { // equal passes
						j := r.IntN(n)
						b.Min = b.Value(acc[i*n+j], scale[j], residual[j], norm[j], length[j])
					}
				}
			}
			want := make([]int32, m*n)
			want = want[:survivorsGeneric(want, acc, scale, residual, norm, length, bounds)]
			got, intact := guarded(m * n)
			found := s.Survivors(got, acc, scale, residual, norm, length, bounds)
			intact(t, "Survivors")
			if !slices.Equal(got[:found], want) {
				t.Fatalf("round %d, %d queries, %d rows: %v, want %v", round, m, n, got[:found], want)
			}
			passed += found
		}
		if passed == 0 {
			t.Error("no row ever passed")
		}
	})
}

// TestRank compares Squares8 and Absolute8 of every set with generic and with the plain sum, at all lengths.
func TestRank(t *testing.T) {
	eachSet(t, "Squares8", func(t *testing.T, s, gen Set) {
		tested(s.Name, "Absolute8")
		r := rand.New(rand.NewPCG(14, 4))
		longest := 70
		if few() {
			longest = 20
		}
		for n := range longest {
			x, rows := make([]float64, n), [8][]float32{}
			for j := range x {
				x[j] = r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))
			}
			for i := range rows {
				rows[i] = randomF32(r, n+r.IntN(3))
			}
			for _, op := range []struct {
				name      string
				got, want func(out *[8]float64, x []float64, rows *[8][]float32)
				add       func(d float64) float64
			}{
				{"Squares8", s.Squares8, gen.Squares8, func(d float64) float64 { return float64(d * d) }},
				{"Absolute8", s.Absolute8, gen.Absolute8, math.Abs},
			} {
				var got, want [8]float64
				op.got(&got, x, &rows)
				op.want(&want, x, &rows)
				for i := range got {
					sum := 0.0
					for j, v := range x {
						sum += op.add(v - float64(rows[i][j]))
					}
					if got[i] != sum || want[i] != sum {
						t.Fatalf("%s of %d columns, row %d: %v, generic %v, want %v", op.name, n, i, got[i], want[i], sum)
					}
				}
			}
		}
	})
}

func TestDistancePanics(t *testing.T) {
	eachSet(t, "L1S8", func(t *testing.T, s, gen Set) {
		x, w, acc := make([]int8, 64), make([]int8, 64*32), make([]int32, 64)
		f := make([]float32, 32)
		sums, rows := [8]float64{}, [8][]float32{f, f, f, f, f, f, f, f}
		for i, call := range []func(){
			func() { s.L1S8(acc, x, w, 1, 24) },
			func() { s.MaxS8(acc[:16], x, w, 1, 64) },
			func() { s.L1S8(acc, x[:63], w, 1, 64) },
			func() { s.L1S8(acc, x, w[:64*16+1], 1, 64) },
			func() { s.L1S8(acc, x, w, 2, 64) },
			func() { s.Survivors(acc, acc[:32], f[:31], f, f, f, make([]Bound, 1)) },
			func() { s.Survivors(acc[:16], acc[:32], f, f, f, f, make([]Bound, 1)) },
			func() { s.Survivors(acc, acc[:17], f, f, f, f, make([]Bound, 1)) },
			func() { s.Survivors(acc, acc[:48], f, f, f, f, make([]Bound, 2)) },
			func() { s.Survivors(acc, acc[:32], f, f, f, f, nil) },
			func() { s.Squares8(&sums, make([]float64, 33), &rows) },
			func() { s.Absolute8(&sums, make([]float64, 33), &rows) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("call %d did not panic", i)
					}
				}()
				call()
			}()
		}
	})
}

func BenchmarkDistance(b *testing.B) {
	for _, s := range Available() {
		for _, m := range []int{1, 16} {
			const n, k = 256, 384
			x, w, acc, sums := make([]int8, m*k), make([]int8, n*k), make([]int32, m*n), make([]int32, n)
			for _, op := range []struct {
				name string
				f    func()
			}{
				{"L1S8", func() { s.L1S8(acc, x, w, m, k) }},
				{"MaxS8", func() { s.MaxS8(acc, x, w, m, k) }},
				{"GemmS8", func() { s.GemmS8(acc, x, w, sums, m, k) }},
			} {
				b.Run(fmt.Sprintf("%s/%s/m%d", s.Name, op.name, m), func(b *testing.B) {
					b.SetBytes(int64(m * n * k))
					for b.Loop() {
						op.f()
					}
				})
			}
		}
		x, rows, sums := make([]float64, 384), [8][]float32{}, [8]float64{}
		for i := range rows {
			rows[i] = make([]float32, len(x))
		}
		b.Run(s.Name+"/Squares8", func(b *testing.B) {
			b.SetBytes(int64(8 * len(x)))
			for b.Loop() {
				s.Squares8(&sums, x, &rows)
			}
		})
		for _, m := range []int{1, 32} {
			n := 512
			idx, acc, f := make([]int32, m*n), make([]int32, m*n), make([]float32, n)
			bounds := make([]Bound, m)
			for i := range bounds {
				bounds[i] = Bound{Acc: 1, Norm2: -1, Min: 1}
			}
			b.Run(fmt.Sprintf("%s/Survivors/m%d", s.Name, m), func(b *testing.B) {
				b.SetBytes(int64(m * n))
				for b.Loop() {
					s.Survivors(idx, acc, f, f, f, f, bounds)
				}
			})
			const k = 384
			x, w, sums := make([]int8, m*k), make([]int8, n*k), make([]int32, n)
			found := Reached{idx, make([]int32, m*n), make([]float32, m*n)}
			patterns[0].fill(rand.New(rand.NewPCG(1, 1)), x)
			patterns[0].fill(rand.New(rand.NewPCG(1, 2)), w)
			for _, small := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/Reach/m%d/small=%v", s.Name, m, small), func(b *testing.B) {
					b.SetBytes(int64(m * n * k))
					for b.Loop() {
						s.Reach(found, acc, x, w, sums, f, f, f, f, bounds, small)
					}
				})
			}
			b.Run(fmt.Sprintf("%s/GemmS8/m%d", s.Name, m), func(b *testing.B) {
				b.SetBytes(int64(m * n * k))
				for b.Loop() {
					s.GemmS8(acc, x, w, sums, m, k)
				}
			})
		}
	}
}
