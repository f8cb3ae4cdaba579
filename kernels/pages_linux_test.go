package kernels

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fence is a run of pages between two that cannot be touched.
type fence struct{ mem []byte }

func newFence(t *testing.T, size int) *fence {
	page := os.Getpagesize()
	size = (size + page - 1) / page * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(all) })
	for _, edge := range [][]byte{all[:page], all[page+size:]} {
		if err := unix.Mprotect(edge, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return &fence{all[page : page+size]}
}

// fenced returns a copy of x that begins right after the closed page, or ends right before the other.
func fenced[T any](f *fence, x []T, atEnd bool) []T {
	if len(x) == 0 {
		return nil
	}
	size := len(x) * int(unsafe.Sizeof(x[0]))
	at := 0
	if atEnd {
		at = len(f.mem) - size
	}
	y := unsafe.Slice((*T)(unsafe.Pointer(&f.mem[at])), len(x))
	copy(y, x)
	return y
}

// TestPageEdges runs every operation with every slice against a page that cannot be touched, on either side: a load or
// store outside a slice is a fault, prefetches are not.
func TestPageEdges(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var f [7]*fence
	for i := range f {
		f[i] = newFence(t, 64<<10)
	}
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			gen := Available()[0]
			for _, atEnd := range []bool{false, true} {
				for m := 1; m <= 9; m += 2 {
					for _, nk := range [][2]int{{16, 16}, {32, 48}, {80, 32}, {144, 128}} {
						n, k := nk[0], nk[1]
						x, w := fenced(f[0], make([]int8, m*k), atEnd), fenced(f[1], make([]int8, n*k), atEnd)
						patterns[0].fill(r, x)
						patterns[0].fill(r, w)
						sums := fenced(f[2], rowSums(w, n, k), atEnd)
						acc, want := fenced(f[3], make([]int32, m*n), atEnd), make([]int32, m*n)
						what := fmt.Sprintf("end %v", atEnd)
						gen.GemmS8(want, x, w, sums, m, k)
						s.GemmS8(acc, x, w, sums, m, k)
						compareS8(t, acc, want, what, m, n, k)
						gen.GemvS8(want, x[:k], w, sums)
						s.GemvS8(acc[:n], x[:k], w, sums)
						compareS8(t, acc[:n], want[:n], what, 1, n, k)
						xs, ws := fenced(f[0], randomF32(r, m), atEnd), fenced(f[1], randomF32(r, n), atEnd)
						bias, dst := fenced(f[2], randomF32(r, n), atEnd), fenced(f[4], randomF32(r, m*n), atEnd)
						res := fenced(f[5], randomF32(r, m*n), atEnd)
						for act := ActNone; act < numActivations; act++ {
							s.EpilogueF32(dst, n, acc, xs, ws, bias, act, res)
							s.EpilogueF32(dst, n, acc, xs, ws, nil, act, nil)
						}
					}
				}
				for _, n := range lengths() {
					x, y := fenced(f[0], randomF32(r, n), atEnd), fenced(f[1], randomF32(r, n), atEnd)
					z, g := fenced(f[2], randomF32(r, n), atEnd), fenced(f[3], randomF32(r, n), atEnd)
					s.LayerNorm(z, x, y, g, y, 1e-5)
					s.RMSNorm(z, x, y, g, 1e-5)
					s.Exp(z, x)
					s.Tanh(z, x)
					s.Sigmoid(z, x)
					s.Add(z, x)
					s.Scale(z, 0.5)
					s.Dot(x, y)
					s.ArgMax(x)
					s.LogSumExp(x)
					for act := ActNone; act < numActivations; act++ {
						s.Activate(z, act)
					}
					s.Softmax(x)
					if n%Lanes == 0 {
						s.LSTM(z, y, fenced(f[4], randomF32(r, 4*n), atEnd), nil, 0, false)
						s.GRU(z, fenced(f[4], randomF32(r, 3*n), atEnd), fenced(f[5], randomF32(r, 3*n), atEnd), 0)
					}
					q := fenced(f[4], make([]int8, n), atEnd)
					s.QuantizeRow(q, y)
					idx, val := fenced(f[4], make([]int32, 5), atEnd), fenced(f[5], make([]float32, 5), atEnd)
					s.TopK(idx, val, x)
					if n > 0 && n <= 68 {
						const dim = 24
						query, kb := fenced(f[4], randomF32(r, dim), atEnd), fenced(f[5], randomF32(r, dim*Pad16(n)), atEnd)
						s.Scores(x, query, kb, 0.5)
						s.StoreKeys(kb, fenced(f[6], randomF32(r, n*dim), atEnd), n, dim, dim)
						v := fenced(f[5], randomF32(r, (n-1)*dim+dim), atEnd)
						s.WeightedSum(query, x, v, dim)
					}
				}
			}
		})
	}
}

// TestLimitsPageEdges: what only measures must not fault either.
func TestLimitsPageEdges(t *testing.T) {
	f := newFence(t, 4096)
	for _, s := range Available() {
		for _, n := range []int{64, 256, 320, 4096} {
			s.Limits.Read(fenced(f, make([]int8, n), false))
			s.Limits.Read(fenced(f, make([]int8, n), true))
		}
	}
}
