package convert

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// largeRNN writes a model with random weights: an embedding of words, two layers of hidden units, and a word as output.
func largeRNN(tb testing.TB, cell string, hidden, words int) *edge.Model {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64()) * 0.05
		}
		return x
	}
	layer := edge.RNNLayer{Cell: cell, Hidden: hidden, ResetAfter: cell == edge.CellGRU}
	s := &rnnSource{path: "random", close: func() error { return nil }}
	s.config = edge.RNNConfig{Input: hidden, Vocab: words, Layers: []edge.RNNLayer{layer, layer}, Head: []edge.RNNHead{{Size: words}}, Output: edge.OutputSteps, Start: -1}
	if err := s.add("embed", modelfile.I8, random(words*hidden), words, hidden); err != nil {
		tb.Fatal(err)
	}
	s.tensors[0].spec.Layout = modelfile.Rows
	for i := range s.config.Layers {
		rows := layer.Gates() * hidden
		w := &rnnWeights{input: random(rows * hidden), recurrent: random(rows * hidden), inputBias: random(rows), recurrentBias: random(rows), gates: torchLSTM[:layer.Gates()]}
		if err := s.direction(i, false, hidden, w); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.add("head.0", modelfile.I8, random(words*hidden), words, hidden); err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), "large.ei8")
	if _, err := convertRNN(context.Background(), path, s, Options{}); err != nil {
		tb.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// BenchmarkLSTM measures 2 x 512 units with 10,000 words, on one thread: a single step, and each of 64 steps at a time.
func BenchmarkLSTM(b *testing.B) {
	const words = 10000
	m := largeRNN(b, edge.CellLSTM, 512, words)
	for _, set := range kernels.Available() {
		for _, steps := range []int{1, 64} {
			s, err := m.NewStream(edge.StreamOptions{Kernels: set.Name})
			if err != nil {
				b.Fatal(err)
			}
			ids, out := make([]int32, steps), make([]float32, steps*words)
			for i := range ids {
				ids[i] = int32(i * 997 % words)
			}
			b.Run(fmt.Sprintf("%s/steps=%d", set.Name, steps), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := s.RunTokens(out, ids, steps, nil); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*steps), "us/step")
			})
		}
	}
}

// TestRNNLarge: many words and steps, whole, streamed, in a batch and with threads, on every set: the same bytes.
func TestRNNLarge(t *testing.T) {
	const words, steps = 96, 40
	for _, cell := range []string{edge.CellLSTM, edge.CellGRU} {
		m := largeRNN(t, cell, 80, words)
		ids, want := make([]int32, 2*steps), make([]float32, steps*words)
		for i := range ids {
			ids[i] = int32(i * 31 % words)
		}
		run := func(o edge.StreamOptions) []float32 {
			s, err := m.NewStream(o)
			if err != nil {
				t.Fatal(err)
			}
			out := make([]float32, o.Batch*steps*words)
			if err := s.RunTokens(out, ids[:o.Batch*steps], steps, nil); err != nil {
				t.Fatal(err)
			}
			return out
		}
		for i, set := range kernels.Available() {
			if i == 0 {
				want = run(edge.StreamOptions{Batch: 1, Kernels: set.Name, MaxSteps: steps})
			}
			same(t, set.Name+" whole", run(edge.StreamOptions{Batch: 1, Kernels: set.Name, MaxSteps: 7}), want)
			same(t, set.Name+" batch", run(edge.StreamOptions{Batch: 2, Kernels: set.Name, Threads: 2}), want)
			s, err := m.NewStream(edge.StreamOptions{Kernels: set.Name})
			if err != nil {
				t.Fatal(err)
			}
			row := make([]float32, words)
			for n := range steps {
				if err := s.StepTokens(row, ids[n:n+1]); err != nil {
					t.Fatal(err)
				}
				same(t, set.Name+" streamed", row, want[n*words:][:words])
			}
		}
	}
}

// BenchmarkLSTMLayers measures the two layers alone, for counting instructions (16 words are next to nothing).
func BenchmarkLSTMLayers(b *testing.B) {
	m := largeRNN(b, edge.CellLSTM, 512, 16)
	for _, set := range kernels.Available() {
		b.Run(set.Name, func(b *testing.B) {
			s, err := m.NewStream(edge.StreamOptions{Kernels: set.Name})
			if err != nil {
				b.Fatal(err)
			}
			ids := []int32{3}
			for b.Loop() {
				if err := s.StepTokens(nil, ids); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
