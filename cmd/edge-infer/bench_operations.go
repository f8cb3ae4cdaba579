package main

import (
	"math/rand/v2"

	"github.com/edge-infer/edge-infer/kernels"
)

// benchOperation is an operation of a kernel set that bench kernels measures.
type benchOperation struct {
	name   string
	takes  func(shape []int) bool
	shapes func(levels []memoryLevel) [][]int // those measured by default

	// prepare makes the data of one of several threads and returns what it calls, and what one call does.
	prepare func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad)
}

// benchLoad is what one call does: multiply-adds of a product, the bytes it reads, and the elements it goes over if it is no product.
type benchLoad struct {
	macs, bytes, elements int
	weights               []int8 // those bytes, of a product
}

// benchOperations lists them in the order in which they are measured. What bounds a product is which rows of x it has, so
// one row (gemv) and more (gemm) are two operations.
var benchOperations = []benchOperation{
	{name: "gemv", takes: func(shape []int) bool { return isProduct(shape) && shape[0] == 1 }, prepare: prepareProduct,
		shapes: func(levels []memoryLevel) [][]int {
			const k = 512
			shapes := [][]int{}
			for _, l := range levels[1:] { // nobody's weights fit into the first level
				shapes = append(shapes, []int{1, max(l.bytes/k&^15, 16), k})
			}
			return shapes
		}},
	{name: "gemm", takes: func(shape []int) bool { return isProduct(shape) && shape[0] > 1 }, prepare: prepareProduct,
		shapes: fixedShapes([]int{8, 1536, 256}, []int{32, 1536, 256}, []int{8, 2048, 512}, []int{32, 2048, 512}, []int{32, 512, 2048})},
	{name: "l1", takes: isProduct, shapes: fixedShapes([]int{1, 1024, 384}),
		prepare: prepareDistance(func(s *kernels.Set) func(acc []int32, x, w []int8, m, k int) { return s.L1S8 })},
	{name: "max", takes: isProduct, shapes: fixedShapes([]int{1, 1024, 384}),
		prepare: prepareDistance(func(s *kernels.Set) func(acc []int32, x, w []int8, m, k int) { return s.MaxS8 })},
	{name: "epilogue", takes: isMatrix, shapes: fixedShapes([]int{32, 64}), prepare: prepareEpilogue},
	vectorOperation("quantize", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		return func() { s.QuantizeRow(q, x) }
	}),
	vectorOperation("layernorm", 3, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		dst := make([]float32, len(x))
		return func() { s.LayerNorm(dst, x, nil, y, z, 1e-5) }
	}),
	vectorOperation("rmsnorm", 2, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		dst := make([]float32, len(x))
		return func() { s.RMSNorm(dst, x, nil, y, 1e-5) }
	}),
	vectorOperation("softmax", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		return func() { s.Softmax(x) }
	}),
	vectorOperation("logsumexp", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		return func() { s.LogSumExp(x) }
	}),
	activation("relu", kernels.ActReLU), activation("gelu", kernels.ActGELU), activation("gelu_tanh", kernels.ActGELUTanh),
	activation("gelu_sigmoid", kernels.ActGELUSigmoid), activation("silu", kernels.ActSiLU),
	vectorOperation("exp", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() { return func() { s.Exp(y, x) } }),
	vectorOperation("tanh", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() { return func() { s.Tanh(y, x) } }),
	vectorOperation("sigmoid", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() { return func() { s.Sigmoid(y, x) } }),
	vectorOperation("add", 2, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		clear(x)
		return func() { s.Add(y, x) }
	}),
	vectorOperation("scale", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() { return func() { s.Scale(x, 1) } }),
	vectorOperation("dot", 2, func(s *kernels.Set, x, y, z []float32, q []int8) func() { return func() { s.Dot(x, y) } }),
	vectorOperation("argmax", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() { return func() { s.ArgMax(x) } }),
	vectorOperation("topk8", 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		idx, val := make([]int32, 8), make([]float32, 8)
		return func() { s.TopK(idx, val, x) }
	}),
	// Gates: units. Which gates come out does not change how long they take: each call goes on from what the last one left.
	{name: "lstm", takes: isUnits, shapes: fixedShapes([]int{512}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n := shape[0]
			h, c, gates := make([]float32, n), make([]float32, n), randomFloats(4*n)
			return func() { s.LSTM(h, c, gates, nil, 0, false) }, benchLoad{bytes: 4 * 5 * n, elements: n}
		}},
	{name: "gru", takes: isUnits, shapes: fixedShapes([]int{512}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n := shape[0]
			h, x, p := make([]float32, n), randomFloats(3*n), make([]float32, 3*n)
			return func() { s.GRU(h, x, p, 0) }, benchLoad{bytes: 4 * 7 * n, elements: n}
		}},
	// Rows of neighbours, one in 64 of which may be near enough.
	{name: "survivors", takes: isUnits, shapes: fixedShapes([]int{1024}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n := shape[0]
			acc, idx, ones := make([]int32, n), make([]int32, n), make([]float32, n)
			for i := range acc {
				acc[i], ones[i] = int32(i%64), 1
			}
			bound := []kernels.Bound{{Acc: 1, Min: 63}}
			return func() { s.Survivors(idx, acc, ones, ones, ones, ones, bound) }, benchLoad{bytes: 4 * 5 * n, elements: n}
		}},
	exactDistance("squares8", func(s *kernels.Set) func(out *[8]float64, x []float64, rows *[8][]float32) { return s.Squares8 }),
	exactDistance("absolute8", func(s *kernels.Set) func(out *[8]float64, x []float64, rows *[8][]float32) { return s.Absolute8 }),
	// Attention: positions by the size of a head.
	{name: "scores", takes: isMatrix, shapes: fixedShapes([]int{64, 64}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n, dim := shape[0], shape[1]
			dst, q, kb := make([]float32, n), randomFloats(dim), randomFloats(kernels.Pad16(n)*dim)
			return func() { s.Scores(dst, q, kb, 0.125) }, benchLoad{bytes: 4 * len(kb), elements: n * dim}
		}},
	{name: "weightedsum", takes: isMatrix, shapes: fixedShapes([]int{64, 64}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n, dim := shape[0], shape[1]
			dst, p, v := make([]float32, dim), make([]float32, n), randomFloats(n*dim)
			return func() { s.WeightedSum(dst, p, v, dim) }, benchLoad{bytes: 4 * len(v), elements: n * dim}
		}},
}

func benchOperationNames() []string {
	names := []string{}
	for _, op := range benchOperations {
		names = append(names, op.name)
	}
	return names
}

func fixedShapes(shapes ...[]int) func([]memoryLevel) [][]int {
	return func([]memoryLevel) [][]int { return shapes }
}

func isProduct(shape []int) bool {
	return len(shape) == 3 && shape[1]%16 == 0 && shape[2]%16 == 0 && shape[2] <= 131071
}
func isMatrix(shape []int) bool { return len(shape) == 2 && shape[1]%16 == 0 }
func isVector(shape []int) bool { return len(shape) == 1 }
func isUnits(shape []int) bool  { return len(shape) == 1 && shape[0]%16 == 0 }

// vectorOperation is one over vectors of floats, of which it reads reads: x, y, z; q has as many bytes. Not inlined: some twenty
// copies would be most of what the program does before main.
//
//go:noinline
func vectorOperation(name string, reads int, task func(s *kernels.Set, x, y, z []float32, q []int8) func()) benchOperation {
	return benchOperation{name: name, takes: isVector, shapes: fixedShapes([]int{512}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n := shape[0]
			return task(s, randomFloats(n), randomFloats(n), randomFloats(n), make([]int8, kernels.Pad16(n))), benchLoad{bytes: 4 * n * reads, elements: n}
		}}
}

// activation works on a copy each time, as activations of activations soon are all the same.
func activation(name string, act kernels.Activation) benchOperation {
	return vectorOperation(name, 1, func(s *kernels.Set, x, y, z []float32, q []int8) func() {
		return func() {
			copy(y, x)
			s.Activate(y, act)
		}
	})
}

// prepareProduct is a layer: the threads share out the columns of one matrix, as they do in a model.
func prepareProduct(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
	m, n, k := shape[0], shape[1], shape[2]
	n0, n1 := n/16*thread/threads*16, n/16*(thread+1)/threads*16
	n = n1 - n0
	w := &kernels.Weights{N: n, K: k, Data: randomBytes(n * k), Scale: randomFloats(n), Sum: make([]int32, n), Bias: randomFloats(n)}
	x, xScale, dst := randomBytes(m*k), randomFloats(m), make([]float32, m*n)
	scratch := make([]int32, kernels.LinearScratch)
	return func() { s.Linear(dst, n, x, xScale, m, w, 0, n, kernels.ActNone, nil, scratch) },
		benchLoad{macs: m * n * k, bytes: n * k, weights: w.Data}
}

func prepareDistance(of func(s *kernels.Set) func(acc []int32, x, w []int8, m, k int)) func(*kernels.Set, []int, int, int) (func(), benchLoad) {
	return func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
		m, n, k := shape[0], shape[1], shape[2]
		f, acc, x, w := of(s), make([]int32, m*n), randomBytes(m*k), randomBytes(n*k)
		return func() { f(acc, x, w, m, k) }, benchLoad{bytes: n * k, elements: m * n * k}
	}
}

// exactDistance is of eight rows in float64: columns.
func exactDistance(name string, of func(s *kernels.Set) func(out *[8]float64, x []float64, rows *[8][]float32)) benchOperation {
	return benchOperation{name: name, takes: isVector, shapes: fixedShapes([]int{384}),
		prepare: func(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
			n := shape[0]
			f, out, x, rows := of(s), [8]float64{}, make([]float64, n), [8][]float32{}
			for i, v := range randomFloats(n) {
				x[i] = float64(v)
			}
			for i := range rows {
				rows[i] = randomFloats(n)
			}
			return func() { f(&out, x, &rows) }, benchLoad{bytes: 8 * 4 * n, elements: 8 * n}
		}}
}

func prepareEpilogue(s *kernels.Set, shape []int, thread, threads int) (func(), benchLoad) {
	m, n := shape[0], shape[1]
	dst, acc, xScale, wScale, bias := make([]float32, m*n), make([]int32, m*n), randomFloats(m), randomFloats(n), randomFloats(n)
	return func() { s.EpilogueF32(dst, n, acc, xScale, wScale, bias, kernels.ActNone, nil) }, benchLoad{bytes: 4 * m * n, elements: m * n}
}

// randomFloats are between -4 and 4, the same in every run.
func randomFloats(n int) []float32 {
	r := rand.New(rand.NewPCG(3, uint64(n)))
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()*8 - 4
	}
	return x
}

// randomBytes are -127 to 127. Large ones repeat: making them should not take longer than reading them.
func randomBytes(n int) []int8 {
	r := rand.New(rand.NewPCG(4, uint64(n)))
	x := make([]int8, n)
	for i := range min(n, 1<<16) {
		x[i] = int8(r.IntN(255) - 127)
	}
	for done := 1 << 16; done < n; done *= 2 {
		copy(x[done:], x[:done])
	}
	return x
}
