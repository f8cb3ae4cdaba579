package kernels

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkElements runs every operation on floats and every distance of every set once a turn, in the sizes of models. On
// amd64 its ns/elem are times; on arm64 under emulation cost.sh counts the instructions of so many turns instead.
func BenchmarkElements(b *testing.B) {
	const n, dim, positions = 512, 64, 64
	r := rand.New(rand.NewPCG(1, 1))
	x, y, z, gamma := randomF32(r, n), randomF32(r, n), randomF32(r, n), randomF32(r, n)
	acc, q := make([]int32, n), make([]int8, n)
	for i := range acc {
		acc[i] = int32(r.IntN(60000) - 30000)
	}
	xs := []float32{0.01}
	query, kb, v, scores := randomF32(r, dim), randomF32(r, dim*positions), randomF32(r, dim*positions), randomF32(r, positions)
	vocab := randomF32(r, 32000)
	idx, val := make([]int32, 4), make([]float32, 4)
	w := make([]int8, n*dim)
	patterns[0].fill(r, w)
	rows, list := make([]int32, n), make([]int32, n)
	gates := make([]float32, 4*n)
	bounds := []Bound{{0.001, 1, 1, 1, -1, 1, 1e9}}
	wide, kept, exact := make([]float64, n), [8][]float32{x, y, z, gamma, x, y, z, gamma}, [8]float64{}
	for _, s := range Available() {
		for _, op := range []struct {
			name string
			size int
			run  func()
		}{
			{"EpilogueF32", n, func() { s.EpilogueF32(z, n, acc, xs, gamma, y, ActNone, x) }},
			{"EpilogueF32-SiLU", n, func() { s.EpilogueF32(z, n, acc, xs, gamma, y, ActSiLU, nil) }},
			{"QuantizeRow", n, func() { s.QuantizeRow(q, x) }},
			{"LayerNorm", n, func() { s.LayerNorm(z, x, nil, gamma, y, 1e-5) }},
			{"RMSNorm", n, func() { s.RMSNorm(z, x, nil, gamma, 1e-5) }},
			{"Softmax", n, func() { s.Softmax(z) }},
			{"LogSumExp", n, func() { s.LogSumExp(x) }},
			{"ReLU", n, func() { s.Activate(z, ActReLU) }},
			{"GELU", n, func() { copy(z, x); s.Activate(z, ActGELU) }},
			{"GELUTanh", n, func() { copy(z, x); s.Activate(z, ActGELUTanh) }},
			{"GELUSigmoid", n, func() { copy(z, x); s.Activate(z, ActGELUSigmoid) }},
			{"SiLU", n, func() { copy(z, x); s.Activate(z, ActSiLU) }},
			{"Exp", n, func() { s.Exp(z, x) }},
			{"Tanh", n, func() { s.Tanh(z, x) }},
			{"Sigmoid", n, func() { s.Sigmoid(z, x) }},
			{"Add", n, func() { s.Add(z, x) }},
			{"Scale", n, func() { s.Scale(z, 1) }},
			{"Dot", n, func() { s.Dot(x, y) }},
			{"StoreKeys", dim * positions, func() { s.StoreKeys(kb, v, positions, dim, dim) }},
			{"Scores", dim * positions, func() { s.Scores(scores, query, kb, 0.125) }},
			{"WeightedSum", dim * positions, func() { clear(query); s.WeightedSum(query, scores, v, dim) }},
			{"ArgMax", len(vocab), func() { s.ArgMax(vocab) }},
			{"TopK", len(vocab), func() { s.TopK(idx, val, vocab) }},
			{"LSTM", n, func() { s.LSTM(z, y, gates, nil, 0, false) }},
			{"GRU", n, func() { s.GRU(z, gates[:3*n], gates[:3*n], 0) }},
			{"L1S8", n * dim, func() { s.L1S8(rows, q[:dim], w, 1, dim) }},
			{"MaxS8", n * dim, func() { s.MaxS8(rows, q[:dim], w, 1, dim) }},
			{"GemvS4", n * dim, func() { s.GemvS4(rows, q[:dim], w[:n*dim/2]) }},
			{"RowsS4", n * dim, func() { s.RowsS4(rows, q[:dim], w[:n*dim/2], list) }},
			{"Squares8", n * 8, func() { s.Squares8(&exact, wide, &kept) }},
			{"Absolute8", n * 8, func() { s.Absolute8(&exact, wide, &kept) }},
			{"Survivors", n, func() { s.Survivors(rows, acc, x, gamma, gamma, x, bounds) }},
		} {
			b.Run(s.Name+"/"+op.name, func(b *testing.B) {
				for range b.N {
					op.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(op.size), "ns/elem")
			})
		}
	}
}
