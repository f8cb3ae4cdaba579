package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkMatrix measures the int8 products alone, in the shapes of models: one token, eight, and a sentence.
func BenchmarkMatrix(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range Available() {
		for _, c := range [][3]int{{1, 2048, 512}, {8, 2048, 512}, {64, 2048, 512}} {
			m, n, k := c[0], c[1], c[2]
			x, w, acc := make([]int8, m*k), make([]int8, n*k), make([]int32, m*n)
			patterns[0].fill(r, x)
			patterns[0].fill(r, w)
			sums := rowSums(w, n, k)
			b.Run(fmt.Sprintf("%s/m=%d,n=%d,k=%d", s.Name, m, n, k), func(b *testing.B) {
				for b.Loop() {
					if m == 1 {
						s.GemvS8(acc, x, w, sums)
					} else {
						s.GemmS8(acc, x, w, sums, m, k)
					}
				}
				b.ReportMetric(float64(m*n*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GMAC/s")
			})
		}
	}
}

// BenchmarkLinear measures products with their epilogue, as a layer runs them.
func BenchmarkLinear(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	scratch := make([]int32, LinearScratch)
	for _, s := range Available() {
		for _, c := range [][3]int{{1, 512, 512}, {8, 2048, 512}, {40, 1536, 512}} {
			m, n, k := c[0], c[1], c[2]
			x, xs, dst := make([]int8, m*k), randomF32(r, m), make([]float32, m*n)
			w := &Weights{N: n, K: k, Data: make([]int8, n*k), Scale: randomF32(r, n), Bias: randomF32(r, n)}
			patterns[0].fill(r, x)
			patterns[0].fill(r, w.Data)
			w.Sum = rowSums(w.Data, n, k)
			b.Run(fmt.Sprintf("%s/m=%d,n=%d,k=%d", s.Name, m, n, k), func(b *testing.B) {
				for b.Loop() {
					s.Linear(dst, n, x, xs, m, w, 0, n, ActReLU, nil, scratch)
				}
				b.ReportMetric(float64(m*n*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GMAC/s")
			})
		}
	}
}
