package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestGenericPairs holds generic itself against the plain definition of the pairs, in both layouts.
func TestGenericPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	for _, h := range []int{16, 48} {
		const n = 32
		x, blocks, rows := make([]int8, 2*h), make([]int8, n*h), make([]int8, n*h)
		patterns[0].fill(r, x)
		for i := range rows {
			rows[i] = int8(r.IntN(256) - 128)
			row, j := i/h, i%h
			blocks[row/16*16*h+j/4*64+row%16*4+j%4] = rows[i]
		}
		list := []int32{31, 0, 7, 7}
		gemv, listed := make([]int32, n), make([]int32, len(list))
		gemvS4Generic(gemv, x, blocks)
		rowsS4Generic(listed, x, rows, list)
		for row := range n {
			want := int32(0)
			for j := 0; j < h; j += 2 {
				word := uint16(uint8(rows[row*h+j])) | uint16(uint8(rows[row*h+j+1]))<<8
				for i, w := range []uint16{word, word << 4} {
					want += int32(x[i*h+j])*int32(int8(w)) + int32(x[i*h+j+1])*int32(int8(w>>8))
				}
			}
			if gemv[row] != want {
				t.Fatalf("h %d: GemvS4 of row %d is %d, want %d", h, row, gemv[row], want)
			}
		}
		for i, row := range list {
			if listed[i] != gemv[row] {
				t.Fatalf("h %d: RowsS4 of row %d is %d, want %d", h, row, listed[i], gemv[row])
			}
		}
	}
}

// fillPairs fills w with every byte, or with one that tends to break kernels.
func fillPairs(r *rand.Rand, w []int8, kind int) {
	for i := range w {
		w[i] = [4]int8{int8(r.IntN(256) - 128), -128, -120, 127}[kind]
	}
}

// TestPairs compares GemvS4 and RowsS4 of every set with generic at odd offsets.
func TestPairs(t *testing.T) {
	eachSet(t, "GemvS4", func(t *testing.T, s, gen Set) {
		tested(s.Name, "RowsS4")
		r := rand.New(rand.NewPCG(22, 2))
		hs := []int{16, 32, 48, 64, 80, 112, 128, 192, 208, 400}
		if few() {
			hs = []int{16, 48, 64, 80}
		}
		for _, h := range hs {
			for _, n := range []int{16, 48} {
				for _, px := range patterns {
					for kind := range 4 {
						ox, ow := r.IntN(64), r.IntN(64)
						x, w := make([]int8, 2*h+ox)[ox:], make([]int8, n*h+ow)[ow:]
						px.fill(r, x)
						fillPairs(r, w, kind)
						checkPairs(t, r, s, x, w, fmt.Sprintf("h %d, %s by %d", h, px.name, kind))
					}
				}
			}
		}
		if !few() { // the longest rows: the largest sums
			x, w := make([]int8, 131040), make([]int8, 16*65520)
			patterns[1].fill(r, x)
			fillPairs(r, w, 1)
			checkPairs(t, r, s, x, w, "longest")
		}
	})
}

func checkPairs(t *testing.T, r *rand.Rand, s Set, x, w []int8, what string) {
	t.Helper()
	n := len(w) / (len(x) / 2)
	want := make([]int32, n)
	gemvS4Generic(want, x, w)
	got, intact := guarded(n)
	s.GemvS4(got, x, w)
	intact(t, "GemvS4 "+what)
	compareS8(t, got, want, "GemvS4 "+what, 1, n, len(x))
	list := make([]int32, r.IntN(20))
	for i := range list {
		list[i] = int32(r.IntN(n))
	}
	want = make([]int32, len(list))
	rowsS4Generic(want, x, w, list)
	got, intact = guarded(len(list))
	s.RowsS4(got, x, w, list)
	intact(t, "RowsS4 "+what)
	compareS8(t, got, want, "RowsS4 "+what, 1, len(list), len(x))
}

func TestPairsPanic(t *testing.T) {
	eachSet(t, "GemvS4", func(t *testing.T, s, gen Set) {
		x, w, acc := make([]int8, 64), make([]int8, 32*32), make([]int32, 32)
		for i, call := range []func(){
			func() { s.GemvS4(acc, x[:48], w) },
			func() { s.GemvS4(acc, nil, w) },
			func() { s.GemvS4(acc[:31], x, w) },
			func() { s.GemvS4(acc, x, w[:31*32]) },
			func() { s.GemvS4(acc, x, w[:1000]) },
			func() { s.RowsS4(acc[:1], x, w, []int32{0, 1}) },
			func() { s.RowsS4(acc, x, w, []int32{32}) },
			func() { s.RowsS4(acc, x, w, []int32{-1}) },
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

func BenchmarkPairs(b *testing.B) {
	const n, h = 1024, 192
	x, w, acc, list := make([]int8, 2*h), make([]int8, n*h), make([]int32, n), make([]int32, n/8)
	for i := range list {
		list[i] = int32(i * 8)
	}
	for _, s := range Available() {
		b.Run(s.Name+"/GemvS4", func(b *testing.B) {
			b.SetBytes(n * h)
			for b.Loop() {
				s.GemvS4(acc, x, w)
			}
		})
		b.Run(s.Name+"/RowsS4", func(b *testing.B) {
			b.SetBytes(int64(len(list) * h))
			for b.Loop() {
				s.RowsS4(acc, x, w, list)
			}
		})
	}
}
