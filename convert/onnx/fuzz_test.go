package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// constants reads the numbers of all tensors of a graph, and of the graphs inside its nodes.
func constants(g *Graph) {
	all := []*Tensor{}
	for _, t := range g.Initializers {
		all = append(all, t)
	}
	for _, n := range g.Nodes {
		for _, a := range n.Attributes {
			if a.Tensor != nil {
				all = append(all, a.Tensor)
			}
			if a.Graph != nil {
				constants(a.Graph)
			}
		}
	}
	for _, t := range all {
		if a, err := t.Array(); err == nil && a.Cols() < 1<<16 {
			row := make([]float64, a.Cols())
			for i := range min(a.Rows(), 10) {
				_ = a.Row(row, i)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"../skl2onnx/testdata/*.onnx", "../testdata/rnn/onnx/*/*.onnx"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if data, err := os.ReadFile(name); err != nil {
				f.Fatal(err)
			} else if len(data) < 5000 {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() {
			if m, err := Read("f", bytes.NewReader(data), int64(len(data))); err == nil {
				constants(m.Graph)
			}
		})
	})
}
