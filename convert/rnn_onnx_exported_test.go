package convert

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestONNXExported: what PyTorch's two exporters write of models with several layers, states as outputs, last steps and states of
// both directions taken out and put beside each other, and numbers in a file beside the model. testdata/make_rnn_onnx.py made them.
func TestONNXExported(t *testing.T) {
	goldens, _ := filepath.Glob(filepath.Join(rnnFolder, "exported", "*.golden.json"))
	if len(goldens) != 8 {
		t.Fatalf("%d goldens", len(goldens))
	}
	for _, golden := range goldens {
		name := strings.TrimSuffix(golden, ".golden.json")
		t.Run(filepath.Base(name), func(t *testing.T) {
			var c rnnCase
			if err := readJSON(golden, maxSmall, &c); err != nil {
				t.Fatal(err)
			}
			s, err := openRNN(name+".onnx", RNNOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkRNN(t, s, &c)
		})
	}
}

// TestONNXNumbersApart: a model whose numbers lie in a file beside it is nothing without that file.
func TestONNXNumbersApart(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(rnnFolder, "exported", "numbers-apart.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "alone.onnx")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	want := `its numbers are in the file "numbers-apart.onnx.data", which is not in the folder ` + folder +
		"; copy all files of the model into one folder, or export it with external_data=False"
	if _, err := openRNN(path, RNNOptions{}); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Fatal(err)
	}
}

// TestONNXParts: of a layer's output the last step and whole directions may be taken, and be put beside each other in their order.
func TestONNXParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	// Behind the second layer, whose output z has the axes steps, batch, units: nodes that make of it what the linear layer reads.
	z := func(op, inputs string, axis int) []byte {
		return onnxNode(op, inputs, "last", map[string]any{"axis": axis})
	}
	for _, c := range []struct {
		want  string // "": no error
		nodes []byte
	}{
		{"", z("Gather", "z,minus", 0)},
		{"", z("Gather", "z,-1", 0)},
		{"", z("Gather", "z,-1", -3)},
		{"", onnxNode("Slice", "z,-1,end,0", "last", nil)},
		{"", onnxNode("Slice", "z,-1,end,0,1", "last", nil)},
		{"", join(onnxNode("Slice", "z,0,end,1,1", "same", nil), z("Gather", "same,minus", 0))},
		{"", join(onnxNode("Slice", "z,0,3,2", "same", nil), z("Gather", "same,minus", 0))},
		{"the last step, or whole directions, are supported", z("Gather", "z,-2", 0)},
		{"the last step, or whole directions, are supported", z("Gather", "z,minus", 1)},
		{"part of a layer's output", z("Gather", "z,0", 0)},
		{"the step 2", onnxNode("Slice", "z,-1,end,0,2", "last", nil)},
		{"must have starts and ends", onnxNode("Slice", "z,-1", "last", nil)},
		{"takes axis 7 of 3", onnxNode("Slice", "z,-1,end,7", "last", nil)},
		{"must be one constant number", onnxNode("Slice", "z,W,end,0", "last", nil)},
		{"not whole directions", onnxNode("Slice", "z,1,3,2", "last", nil)},
		{"not whole directions", onnxNode("Slice", "z,-9,end,2", "last", nil)},
		{"along axis 1", z("Concat", "z,z", 1)},
		{"along axis 9", z("Concat", "z,z", 9)},
		{"different steps beside each other", join(onnxNode("Gather", "z,minus", "e", nil), onnxNode("Gather", "z,zero", "f", nil), z("Concat", "e,f", 1))},
		{"part of a layer's output", join(onnxNode("Gather", "z,minus", "e", nil), z("Concat", "e,e", 1))},
		{"beside each other", join(onnxNode("Gather", "z,minus", "e", nil), z("Concat", "z,e", 1))},
		{"of which only parts may be taken", join(onnxNode("Tanh", "h0", "t", nil), z("Gather", "z,minus", 0))},
	} {
		model := chain(func(parts map[string][]byte) {
			parts["7last"] = c.nodes
			parts["input"] = join(parts["input"], onnxInput("h0"))
			for name, v := range map[string]int64{"-1": -1, "-2": -2, "-9": -9, "0": 0, "1": 1, "2": 2, "3": 3, "7": 7, "end": math.MaxInt64} {
				parts["tensors"] = join(parts["tensors"], pbBytes(5, pbInts(name, v)))
			}
			parts["tensors"] = join(parts["tensors"], pbBytes(5, pbScalar("zero", 0)))
		})
		if err := os.WriteFile(path, model, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Convert(context.Background(), path, filepath.Join(t.TempDir(), "out.ei8"), Options{})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.nodes, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "node ")):
			t.Errorf("%q: %v, want %q", c.nodes, err, c.want)
		}
	}
}
