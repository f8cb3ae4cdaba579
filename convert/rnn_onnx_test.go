package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
)

// Enough of protobuf to put models together.

func pbVarint(number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), v)
}

func pbBytes(number int, b []byte) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(b))), b...)
}

func pbText(number int, s string) []byte { return pbBytes(number, []byte(s)) }

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// pbFields gives the fields of a message: number and content, of varints their value.
func pbFields(t *testing.T, b []byte, f func(number int, value uint64, content []byte)) {
	t.Helper()
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatal("broken protobuf")
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		switch key & 7 {
		case 0:
			f(int(key>>3), value, nil)
			b = b[n:]
		case 2:
			f(int(key>>3), 0, b[n:n+int(value)])
			b = b[n+int(value):]
		case 5:
			b = b[4:]
		default:
			t.Fatalf("wire type %d", key&7)
		}
	}
}

func pbTensor(name string, values []float32, shape ...int) []byte {
	var raw, b []byte
	for _, d := range shape {
		b = append(b, pbVarint(1, uint64(d))...)
	}
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return join(b, pbVarint(2, 1), pbText(8, name), pbBytes(9, raw))
}

func pbInts(name string, values ...int64) []byte {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return join(pbVarint(1, uint64(len(values))), pbVarint(2, 7), pbText(8, name), pbBytes(9, raw))
}

// pbScalar is a tensor of int64 without axes.
func pbScalar(name string, v int64) []byte {
	return join(pbVarint(2, 7), pbText(8, name), pbBytes(9, binary.LittleEndian.AppendUint64(nil, uint64(v))))
}

// onnxNode is a node; attributes are numbers, lists of numbers or texts.
func onnxNode(op, inputs, outputs string, attributes map[string]any) []byte {
	var b []byte
	for _, in := range strings.Split(inputs, ",") {
		b = append(b, pbText(1, in)...)
	}
	for _, out := range strings.Split(outputs, ",") {
		b = append(b, pbText(2, out)...)
	}
	b = append(b, join(pbText(3, "n_"+op), pbText(4, op))...)
	for name, v := range attributes {
		a := pbText(1, name)
		switch v := v.(type) {
		case int:
			a = append(a, join(pbVarint(3, uint64(int64(v))), pbVarint(20, 2))...)
		case string:
			a = append(a, join(pbText(4, v), pbVarint(20, 3))...)
		case float32:
			a = append(a, binary.LittleEndian.AppendUint32(binary.AppendUvarint(nil, 2<<3|5), math.Float32bits(v))...)
			a = append(a, pbVarint(20, 1)...)
		case []int:
			for _, x := range v {
				a = append(a, pbVarint(8, uint64(int64(x)))...)
			}
			a = append(a, pbVarint(20, 7)...)
		case []string:
			for _, x := range v {
				a = append(a, pbText(9, x)...)
			}
			a = append(a, pbVarint(20, 8)...)
		}
		b = append(b, pbBytes(5, a)...)
	}
	return pbBytes(1, b)
}

func onnxModel(graph ...[]byte) []byte {
	return join(pbVarint(1, 8), pbText(2, "edge-infer test"), pbBytes(7, join(graph...)), pbBytes(8, pbVarint(2, 17)))
}

func onnxInput(name string) []byte  { return pbBytes(11, pbText(1, name)) }
func onnxOutput(name string) []byte { return pbBytes(12, pbText(1, name)) }

// pbRead reads the floats and the shape of a TensorProto.
func pbRead(t *testing.T, path string) (shape []int, values []float32, content []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var dtype uint64
	var raw []byte
	pbFields(t, content, func(number int, v uint64, b []byte) {
		switch number {
		case 1:
			shape = append(shape, int(v))
		case 2:
			dtype = v
		case 4, 9:
			raw = b
		}
	})
	if dtype == 1 {
		for i := 0; i < len(raw); i += 4 {
			values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
		}
	}
	return shape, values, content
}

// TestONNXNodes: every node test of ONNX for LSTM, GRU and RNN. Their weights are inputs; here they are put into the model.
func TestONNXNodes(t *testing.T) {
	folders, _ := filepath.Glob(filepath.Join(rnnFolder, "onnx", "test_*"))
	if len(folders) != 12 {
		t.Fatalf("%d cases", len(folders))
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			model, err := os.ReadFile(filepath.Join(folder, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			var graph []byte
			var inputs, outputs []string
			batchFirst := false
			pbFields(t, model, func(number int, _ uint64, b []byte) {
				if number == 7 {
					graph = b
				}
			})
			pbFields(t, graph, func(number int, _ uint64, b []byte) {
				if number == 11 || number == 12 {
					pbFields(t, b, func(n int, _ uint64, name []byte) {
						if n == 1 && number == 11 {
							inputs = append(inputs, string(name))
						} else if n == 1 {
							outputs = append(outputs, string(name))
						}
					})
				}
				if number == 1 {
					batchFirst = strings.Contains(string(b), "layout")
				}
			})
			var x []float32
			var xShape []int
			for i, name := range inputs {
				shape, values, content := pbRead(t, filepath.Join(folder, "test_data_set_0", fmt.Sprintf("input_%d.pb", i)))
				if name == "X" {
					x, xShape = values, shape
					continue
				}
				var tensor []byte // without the name that it may have
				pbFields(t, content, func(number int, v uint64, b []byte) {
					switch {
					case number == 8:
					case b != nil:
						tensor = append(tensor, pbBytes(number, b)...)
					default:
						tensor = append(tensor, pbVarint(number, v)...)
					}
				})
				graph = append(graph, pbBytes(5, append(tensor, pbText(8, name)...))...)
			}
			path := filepath.Join(t.TempDir(), "model.onnx")
			if err := os.WriteFile(path, join(pbVarint(1, 8), pbBytes(7, graph)), 0o666); err != nil {
				t.Fatal(err)
			}
			steps, batch := xShape[0], xShape[1]
			if batchFirst {
				steps, batch = batch, steps
			}
			for i, out := range outputs {
				// Each output is a model of its own: the graph's other outputs are taken away.
				var only []byte
				pbFields(t, graph, func(number int, v uint64, b []byte) {
					if number == 12 && !strings.Contains(string(b), out+"\x12") {
						return
					}
					if b != nil {
						only = append(only, pbBytes(number, b)...)
					} else {
						only = append(only, pbVarint(number, v)...)
					}
				})
				if err := os.WriteFile(path, join(pbVarint(1, 8), pbBytes(7, only)), 0o666); err != nil {
					t.Fatal(err)
				}
				s, err := openRNN(path, RNNOptions{})
				if err != nil {
					t.Fatal(err)
				}
				_, y, _ := pbRead(t, filepath.Join(folder, "test_data_set_0", fmt.Sprintf("output_%d.pb", i)))
				c := rnnCase{Input: make([][][]float32, batch), Output: make([][][]float32, batch)}
				in, width := xShape[2], s.config.OutputWidth()
				rows := steps
				if out == "Y_h" {
					if rows = 1; s.config.Output != runtime.OutputState {
						t.Fatalf("the output is %q", s.config.Output)
					}
				}
				at := func(b, n, of int) int { // of a row of values
					if batchFirst {
						return b*of + n
					}
					return n*batch + b
				}
				for b := range batch {
					for n := range steps {
						c.Input[b] = append(c.Input[b], x[at(b, n, steps)*in:][:in])
					}
					for n := range rows {
						c.Output[b] = append(c.Output[b], y[at(b, n, rows)*width:][:width])
					}
				}
				checkRNN(t, s, &c)
			}
		})
	}
}

// lopsided gives n numbers that no exchange of gates or rows leaves as they are.
func lopsided(n int, seed float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(0.7 * math.Sin(seed+1.7*float64(i)+0.01*float64(i*i)))
	}
	return x
}

// TestONNXAgainstTorch: the same lopsided weights, once in PyTorch's order of gates and once in ONNX's, give the same model.
func TestONNXAgainstTorch(t *testing.T) {
	const in, hidden = 5, 7
	for _, c := range []struct {
		op    string
		gates int
		torch []int // where ONNX's gates are in PyTorch's order
	}{{"LSTM", 4, []int{0, 3, 1, 2}}, {"GRU", 3, []int{1, 0, 2}}, {"RNN", 1, []int{0}}} {
		rows := c.gates * hidden
		w, r, bw, br := lopsided(rows*in, 1), lopsided(rows*hidden, 2), lopsided(rows, 3), lopsided(rows, 4)
		order := func(x []float32, cols int) []float32 {
			var y []float32
			for _, g := range c.torch {
				y = append(y, x[g*hidden*cols:(g+1)*hidden*cols]...)
			}
			return y
		}
		torch := &rnnSource{path: "torch"}
		layer := runtime.RNNLayer{Cell: strings.ToLower(c.op), Hidden: hidden, ResetAfter: c.op == "GRU"}
		if c.op == "RNN" {
			layer.Activation = "tanh"
		}
		torch.config = runtime.RNNConfig{Input: in, Layers: []runtime.RNNLayer{layer}, Output: "steps", Start: -1}
		if err := torch.direction(0, false, in, &rnnWeights{input: w, recurrent: r, inputBias: bw, recurrentBias: br,
			gates: [][]int{1: plainRNN, 3: torchGRU, 4: torchLSTM}[c.gates]}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "model.onnx")
		attributes := map[string]any{"hidden_size": hidden}
		if c.op == "GRU" {
			attributes["linear_before_reset"] = 1
		}
		if err := os.WriteFile(path, onnxModel(
			onnxNode(c.op, "X,W,R,B", "Y", attributes), onnxInput("X"), onnxOutput("Y"),
			pbBytes(5, pbTensor("W", order(w, in), 1, rows, in)), pbBytes(5, pbTensor("R", order(r, hidden), 1, rows, hidden)),
			pbBytes(5, pbTensor("B", append(order(bw, 1), order(br, 1)...), 1, 2*rows))), 0o666); err != nil {
			t.Fatal(err)
		}
		onnx, err := openRNN(path, RNNOptions{})
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := torch.reference()
		b, err2 := onnx.reference()
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for i := range torch.tensors {
			name := torch.tensors[i].spec.Name
			same(t, c.op+" "+name, b.Tensor(name).Data, a.Tensor(name).Data)
		}
		onnx.close()
	}
}

// chain is a model of everything that may stand in a chain: embedding, two layers, of which one reads both ways, linear layers.
func chain(change func(parts map[string][]byte)) []byte {
	parts := map[string][]byte{
		"1embed":  onnxNode("Gather", "table,ids", "x", nil),
		"2lstm":   onnxNode("LSTM", "x,W,R,B", "Y", map[string]any{"hidden_size": 4, "direction": "bidirectional"}),
		"3move":   onnxNode("Transpose", "Y", "Yt", map[string]any{"perm": []int{0, 2, 1, 3}}),
		"4fold":   onnxNode("Reshape", "Yt,shape", "y", nil),
		"5gru":    onnxNode("GRU", "y,W2,R2,,,zeros", "Z", map[string]any{"hidden_size": 3, "clip": float32(0.8)}),
		"6drop":   onnxNode("Squeeze", "Z,one", "z", nil),
		"7last":   onnxNode("Gather", "z,minus", "last", map[string]any{"axis": 0}),
		"8linear": onnxNode("MatMul", "last,M", "m", nil),
		"9bias":   onnxNode("Add", "b,m", "mb", nil),
		"Atanh":   onnxNode("Tanh", "mb", "th", nil),
		"Bgemm":   onnxNode("Gemm", "th,G,gb", "g", map[string]any{"transB": 1}),
		"Csoft":   onnxNode("Softmax", "g", "p", nil),
		"input":   onnxInput("ids"), "output": onnxOutput("p"),
		"tensors": join(pbBytes(5, pbTensor("table", lopsided(6*5, 1), 6, 5)),
			pbBytes(5, pbTensor("W", lopsided(2*16*5, 2), 2, 16, 5)), pbBytes(5, pbTensor("R", lopsided(2*16*4, 3), 2, 16, 4)),
			pbBytes(5, pbTensor("B", lopsided(2*32, 4), 2, 32)), pbBytes(5, pbInts("shape", 0, 0, -1)),
			pbBytes(5, pbTensor("W2", lopsided(9*8, 5), 1, 9, 8)), pbBytes(5, pbTensor("R2", lopsided(27, 6), 1, 9, 3)),
			pbBytes(5, pbTensor("zeros", make([]float32, 3), 1, 1, 3)), pbBytes(5, pbInts("one", 1)), pbBytes(5, pbScalar("minus", -1)),
			pbBytes(5, pbTensor("M", lopsided(3*4, 7), 3, 4)), pbBytes(5, pbTensor("b", lopsided(4, 8), 4)),
			pbBytes(5, pbTensor("G", lopsided(2*4, 9), 2, 4)), pbBytes(5, pbTensor("gb", lopsided(2, 10), 2))),
	}
	if change != nil {
		change(parts)
	}
	var graph []byte
	for _, name := range []string{"1embed", "2lstm", "3move", "4fold", "5gru", "6drop", "7last", "8linear", "9bias", "Atanh", "Bgemm", "Csoft", "input", "output", "tensors"} {
		graph = append(graph, parts[name]...)
	}
	return onnxModel(graph)
}

// TestONNXChain runs such a model; what it should give was computed with onnxruntime's rules by hand in the reference.
func TestONNXChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, chain(nil), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := openRNN(path, RNNOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.config
	if cfg.Vocab != 6 || cfg.Input != 5 || len(cfg.Layers) != 2 || cfg.Layers[0].Direction != "bidirectional" || cfg.Layers[1].Clip != 0.8 ||
		len(cfg.Head) != 2 || cfg.Head[0].Activation != "tanh" || !cfg.Softmax || cfg.Output != runtime.OutputLast {
		t.Errorf("read as %+v", cfg)
	}
	ref, err := s.reference()
	if err != nil {
		t.Fatal(err)
	}
	// The matrix of MatMul is [in, out], that of Gemm with transB [out, in].
	if m := lopsided(12, 7); ref.Tensor("head.0").Data[1] != m[4] || ref.Tensor("head.1").Data[1] != lopsided(8, 9)[1] {
		t.Error("a matrix was not transposed, or one too many")
	}
	c := rnnCase{IDs: [][]int32{{1, 5, 0, 3}, {2, 2, 4, 1}}}
	for _, ids := range c.IDs {
		c.Output = append(c.Output, ref.Run(ref.Embed(ids), ref.Initial()))
	}
	checkRNN(t, s, &c)
}

// TestONNXRefuses: what is not supported is an error that names the node.
func TestONNXRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	for _, c := range []struct {
		part, want string
		new        []byte
	}{
		{"Csoft", `LogSoftmax "n_LogSoftmax"`, onnxNode("LogSoftmax", "g", "p", nil)},
		{"Csoft", "runs over axis 0", onnxNode("Softmax", "g", "p", map[string]any{"axis": 0})},
		{"2lstm", `LSTM "n_LSTM"`, onnxNode("LSTM", "x,W,R,B", "Y", map[string]any{"hidden_size": 5, "direction": "bidirectional"})},
		{"2lstm", `activation "HardSigmoid"`, onnxNode("LSTM", "x,W,R,B", "Y", map[string]any{"direction": "bidirectional", "activations": []string{"HardSigmoid"}})},
		{"2lstm", `direction "sideways"`, onnxNode("LSTM", "x,W,R,B", "Y", map[string]any{"direction": "sideways"})},
		{"2lstm", `attribute "colour"`, onnxNode("LSTM", "x,W,R,B", "Y", map[string]any{"colour": 1})},
		{"2lstm", "needs constant weights", onnxNode("LSTM", "x,,R,B", "Y", nil)},
		{"3move", "permutation [3 2 1 0]", onnxNode("Transpose", "Y", "Yt", map[string]any{"perm": []int{3, 2, 1, 0}})},
		{"3move", "permutation [0 0 1 3]", onnxNode("Transpose", "Y", "Yt", map[string]any{"perm": []int{0, 0, 1, 3}})},
		{"3move", "permutation", onnxNode("Transpose", "Y", "Yt", nil)},
		{"4fold", "last axis", onnxNode("Reshape", "Yt,one", "y", nil)},
		{"5gru", "initial state", onnxNode("GRU", "y,W2,R2,,,b", "Z", map[string]any{"hidden_size": 3})},
		{"6drop", "single direction", onnxNode("Squeeze", "Z,minus", "z", nil)},
		{"7last", "last step", onnxNode("Gather", "z,minus", "last", map[string]any{"axis": 1})},
		{"8linear", "matrix of shape [2 4]", onnxNode("MatMul", "last,G", "m", nil)},
		{"9bias", "not the bias", onnxNode("Add", "m,gb", "mb", nil)},
		{"Bgemm", "alpha 2", onnxNode("Gemm", "th,G", "g", map[string]any{"transB": 1, "alpha": float32(2)})},
		{"Bgemm", "does not take the values of the chain", onnxNode("Gemm", "th,m", "g", nil)},
		{"1embed", "Gather", onnxNode("Gather", "table,ids", "x", map[string]any{"axis": 1})},
		{"1embed", "starts a branch", join(onnxNode("Tanh", "ids", "q", nil), onnxNode("Gather", "table,ids", "x", nil))},
		{"output", "no output", onnxOutput("q")},
		{"input", "without inputs", nil},
	} {
		if err := os.WriteFile(path, chain(func(parts map[string][]byte) { parts[c.part] = c.new }), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Convert(context.Background(), path, filepath.Join(t.TempDir(), "out.ei8"), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", c.part, err, c.want)
		}
	}
}

// A network that was written step by step is told what it is, by who wrote it and what it consists of.
func TestONNXUnrolled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	graph := onnxModel(onnxInput("x"), onnxOutput("h2"), pbBytes(5, pbTensor("W", lopsided(9, 1), 3, 3)),
		onnxNode("MatMul", "x,W", "a", nil), onnxNode("Tanh", "a", "h1", nil), onnxNode("MatMul", "h1,W", "b", nil), onnxNode("Tanh", "b", "h2", nil))
	for producer, want := range map[string]string{"pytorch": "dynamo=False", "someone": "not a graph of nearest neighbours"} {
		if err := os.WriteFile(path, append(graph, pbText(2, producer)...), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Convert(context.Background(), path, filepath.Join(t.TempDir(), "out.ei8"), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", producer, err, want)
		}
	}
}

// TestRNNDamaged cuts and flips sources everywhere: an error or a model, in bounded time, and never a file left behind.
func TestRNNDamaged(t *testing.T) {
	dir := t.TempDir()
	torch, err := os.ReadFile(filepath.Join(rnnFolder, "golden", "rnn-relu.pt"))
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := os.ReadFile(filepath.Join(rnnFolder, "legacy", "lstm-projected-bidirectional.pt"))
	if err != nil {
		t.Fatal(err)
	}
	for name, whole := range map[string][]byte{"m.onnx": chain(nil), "m.pt": torch, "legacy.pt": legacy} {
		path, dst := filepath.Join(dir, name), filepath.Join(dir, "out.ei8")
		run := func(b []byte) error {
			if err := os.WriteFile(path, b, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err := Convert(context.Background(), path, dst, Options{})
			if _, there := os.Stat(dst); (there == nil) != (err == nil) {
				t.Fatalf("%s: error %v, and a file: %v", name, err, there == nil)
			}
			os.Remove(dst)
			return err
		}
		if err := run(whole); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(whole); n += 1 + len(whole)/60 {
			if run(whole[:n]) == nil {
				t.Errorf("%s cut to %d of %d bytes was taken", name, n, len(whole))
			}
		}
		for n := 0; n < len(whole); n += 1 + len(whole)/150 {
			b := append([]byte{}, whole...)
			b[n] ^= 0xff
			_ = run(b)
		}
	}
}
