package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edge-infer/edge-infer/convert/onnx"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// The layers of an ONNX graph: embedding, recurrent ones, linear ones with their activations, softmax.

// behind adds a linear layer, its bias, its activation, or the softmax.
func (c *onnxChain) behind(n *onnx.Node, v onnxValue) error {
	if !c.whole(v) {
		return fmt.Errorf("starts a branch, takes a part of a layer's output, or comes before the recurrent layers")
	}
	if strings.IndexByte(v.axes, axisDir) >= 0 && len(v.parts) > 1 {
		return fmt.Errorf("takes the two directions apart")
	}
	s := c.s
	head := &s.config.Head
	if s.config.Softmax {
		return fmt.Errorf("comes behind the softmax, which must be the last")
	}
	last := len(*head) - 1
	switch n.Op {
	case "MatMul", "Gemm":
		if err := c.linear(n); err != nil {
			return err
		}
	case "Add":
		bias, err := c.constant(n.Inputs[1], "its second input")
		if err != nil {
			return err
		}
		if last < 0 || c.biased || (*head)[last].Activation != "" || len(bias) != (*head)[last].Size {
			return fmt.Errorf("is not the bias of a linear layer")
		}
		if err := s.add(fmt.Sprintf("head.%d.bias", last), modelfile.F32, bias, len(bias)); err != nil {
			return err
		}
		c.biased = true
	case "Softmax":
		axis := -1
		if a := n.Attributes["axis"]; a != nil {
			axis = int(a.Int)
		}
		if axis != -1 && axis != len(v.axes)-1 {
			return fmt.Errorf("runs over axis %d, which is not that of the values", axis)
		}
		s.config.Softmax = true
	default:
		if last < 0 || (*head)[last].Activation != "" {
			return fmt.Errorf("does not follow a linear layer")
		}
		(*head)[last].Activation = strings.ToLower(n.Op)
		c.biased = true
	}
	c.version++
	v.parts = []onnxPart{{version: c.version}}
	c.values[n.Outputs[0]] = v
	return nil
}

func (c *onnxChain) constant(name, what string) ([]float32, error) {
	t := c.constants[name]
	if t == nil {
		return nil, fmt.Errorf("%s is not a constant of the model", what)
	}
	return onnxFloats(t)
}

func (c *onnxChain) linear(n *onnx.Node) error {
	if len(n.Inputs) < 2 || c.constants[n.Inputs[1]] == nil || len(c.constants[n.Inputs[1]].Shape) != 2 {
		return fmt.Errorf("needs a constant matrix")
	}
	shape := c.constants[n.Inputs[1]].Shape
	w, err := onnxFloats(c.constants[n.Inputs[1]])
	if err != nil {
		return err
	}
	in, out := shape[0], shape[1]
	transposed := false
	var bias []float32
	if n.Op == "Gemm" {
		for _, name := range []string{"alpha", "beta"} {
			if a := n.Attributes[name]; a != nil && a.Float != 1 {
				return fmt.Errorf("has the %s %g, only 1 is supported", name, a.Float)
			}
		}
		if a := n.Attributes["transA"]; a != nil && a.Int != 0 {
			return fmt.Errorf("transposes its rows")
		}
		if a := n.Attributes["transB"]; a != nil && a.Int != 0 {
			in, out, transposed = out, in, true
		}
		if len(n.Inputs) > 2 && n.Inputs[2] != "" {
			if bias, err = c.constant(n.Inputs[2], "its bias"); err != nil {
				return err
			}
			if len(bias) != out {
				return fmt.Errorf("has a bias of %d values for %d rows", len(bias), out)
			}
		}
	}
	if in != c.width() || in < 1 || out < 1 {
		return fmt.Errorf("multiplies rows of %d values by a matrix of shape %v", c.width(), shape)
	}
	if !transposed {
		rows := make([]float32, len(w))
		for i := range in {
			for j := range out {
				rows[j*in+i] = w[i*out+j]
			}
		}
		w = rows
	}
	s, name := c.s, fmt.Sprintf("head.%d", len(c.s.config.Head))
	s.config.Head = append(s.config.Head, runtime.RNNHead{Size: out})
	if c.biased = bias != nil; c.biased {
		if err := s.add(name+".bias", modelfile.F32, bias, out); err != nil {
			return err
		}
	}
	return s.add(name, modelfile.I8, w, out, in)
}

// embed takes a Gather from a constant table by the input as the embedding.
func (c *onnxChain) embed(n *onnx.Node) error {
	t := c.constants[n.Inputs[0]]
	v := c.values[n.Inputs[1]]
	if a := n.Attributes["axis"]; a != nil && a.Int != 0 || len(t.Shape) != 2 || v.axes != "" || c.table {
		return fmt.Errorf("is not the look-up of ids in a table at the beginning")
	}
	values, err := onnxFloats(t)
	if err != nil {
		return err
	}
	c.table = true
	c.s.config.Vocab, c.s.config.Input = t.Shape[0], t.Shape[1]
	from := &rnnSource{path: c.s.path}
	if err := from.add("embed", modelfile.I8, values, t.Shape...); err != nil {
		return err
	}
	from.tensors[0].spec.Layout = modelfile.Rows
	c.s.tensors = append(c.s.tensors, from.tensors...)
	c.values[n.Outputs[0]] = v
	return nil
}

// recurrent adds a layer.
func (c *onnxChain) recurrent(n *onnx.Node, v onnxValue) error {
	if len(n.Inputs) < 3 {
		return fmt.Errorf("has %d inputs, must have X, W and R", len(n.Inputs))
	}
	if v.axes != "" && (!c.whole(v) || len(c.s.config.Head) > 0 || v.output != runtime.OutputSteps) {
		return fmt.Errorf("does not take all steps of the layer before it")
	}
	layer, layout, err := c.layer(n)
	if err != nil {
		return err
	}
	if want := map[bool]string{false: "tbh", true: "bth"}[layout]; v.axes != "" && v.axes != want {
		return fmt.Errorf("takes the axes %q of the layer before it as %q", v.axes, want)
	}
	w := c.constants[n.Inputs[1]]
	if w == nil || len(w.Shape) != 3 {
		return fmt.Errorf("needs constant weights W of three axes")
	}
	in := w.Shape[2]
	switch {
	case v.axes != "" && in != c.width(), v.axes == "" && c.table && in != c.s.config.Input:
		return fmt.Errorf("takes %d values a step, and %d come", in, c.width())
	case v.axes == "" && len(c.s.config.Layers) > 0:
		return fmt.Errorf("is a second layer on the input")
	case v.axes == "":
		c.s.config.Input = in
	}
	i := len(c.s.config.Layers)
	c.s.config.Layers = append(c.s.config.Layers, *layer)
	if in < 1 || layer.Hidden < 1 || layer.Hidden > 1<<15 {
		return fmt.Errorf("has %d values a step and %d units", in, layer.Hidden)
	}
	if err := c.weights(n, i, in); err != nil {
		return err
	}
	c.version++
	parts := make([]onnxPart, layer.Directions())
	cells := make([]onnxPart, layer.Directions())
	for side := range parts {
		parts[side] = onnxPart{version: c.version, side: side}
		cells[side] = onnxPart{version: c.version, side: side, cell: true}
	}
	steps, state := "tdbh", "dbh"
	if layout {
		steps, state = "btdh", "bdh"
	}
	for o, v := range []onnxValue{{steps, parts, runtime.OutputSteps}, {state, parts, runtime.OutputState}, {state, cells, runtime.OutputState}} {
		if o < len(n.Outputs) && n.Outputs[o] != "" {
			c.values[n.Outputs[o]] = v
		}
	}
	return nil
}

// layer reads the attributes of a recurrent node.
func (c *onnxChain) layer(n *onnx.Node) (l *runtime.RNNLayer, batchFirst bool, err error) {
	l = &runtime.RNNLayer{Cell: map[string]string{"LSTM": runtime.CellLSTM, "GRU": runtime.CellGRU, "RNN": runtime.CellRNN}[n.Op]}
	wanted := map[string][]string{"LSTM": {"sigmoid", "tanh", "tanh"}, "GRU": {"sigmoid", "tanh"}, "RNN": {"tanh"}}[n.Op]
	if l.Cell == runtime.CellRNN {
		l.Activation = "tanh"
	}
	for name, a := range n.Attributes {
		switch name {
		case "hidden_size":
			l.Hidden = int(a.Int)
		case "direction":
			switch a.Text {
			case "forward", "":
			case "reverse", "bidirectional":
				l.Direction = a.Text
			default:
				return nil, false, fmt.Errorf("has the direction %.40q", a.Text)
			}
		case "clip":
			l.Clip = a.Float
		case "input_forget":
			l.Coupled = a.Int != 0
		case "linear_before_reset":
			l.ResetAfter = a.Int != 0
		case "layout":
			batchFirst = a.Int != 0
		case "activations":
			for i, text := range a.Strings {
				f := strings.ToLower(text)
				if l.Cell == runtime.CellRNN && (f == "tanh" || f == "relu") && (i == 0 || f == l.Activation) {
					l.Activation = f
				} else if f != wanted[i%len(wanted)] {
					return nil, false, fmt.Errorf("has the activation %.40q, where %s is supported", text, wanted[i%len(wanted)])
				}
			}
		case "activation_alpha", "activation_beta":
			if len(a.Floats) > 0 {
				return nil, false, fmt.Errorf("has %s, which none of the supported activations takes", name)
			}
		default:
			return nil, false, fmt.Errorf("has the attribute %.40q, which is not known", name)
		}
	}
	if r := c.constants[n.Inputs[2]]; l.Hidden == 0 && r != nil && len(r.Shape) == 3 {
		l.Hidden = r.Shape[2]
	}
	l.Peepholes = len(n.Inputs) > 7 && n.Inputs[7] != "" && l.Cell == runtime.CellLSTM
	return l, batchFirst, nil
}

// weights reads X, W, R, B, sequence_lens, initial_h, initial_c, P, each with the directions first.
func (c *onnxChain) weights(n *onnx.Node, i, in int) error {
	l := &c.s.config.Layers[i]
	directions, rows, hidden := l.Directions(), l.Gates()*l.Hidden, l.Hidden
	read := func(input int, what string, perDirection int) ([]float32, error) {
		if input >= len(n.Inputs) || n.Inputs[input] == "" {
			return nil, nil
		}
		values, err := c.constant(n.Inputs[input], what)
		if err == nil && len(values) != directions*perDirection {
			err = fmt.Errorf("%s has %d values, must have %d", what, len(values), directions*perDirection)
		}
		return values, err
	}
	var all [8][]float32
	var err error
	for _, x := range []struct {
		input int
		what  string
		size  int
	}{{1, "W", rows * in}, {2, "R", rows * hidden}, {3, "B", 2 * rows}, {7, "P", 3 * hidden}} {
		if all[x.input], err = read(x.input, x.what, x.size); err != nil {
			return err
		}
	}
	if all[1] == nil || all[2] == nil {
		return fmt.Errorf("has no weights")
	}
	for _, input := range []int{5, 6} { // a state that comes with the call is set by Restore; one in the model begins every sequence
		if input < len(n.Inputs) && n.Inputs[input] != "" && c.constants[n.Inputs[input]] != nil && !c.isZero(n.Inputs[input]) {
			if all[input], err = read(input, "the initial state", hidden); err != nil {
				return fmt.Errorf("%w: one state for all sequences is supported", err)
			}
		} else if input < len(n.Inputs) && c.constants[n.Inputs[input]] == nil && n.Inputs[input] != "" && !c.isZero(n.Inputs[input]) && !c.given[n.Inputs[input]] {
			return fmt.Errorf("has an initial state that is computed: %.60q", n.Inputs[input])
		}
	}
	if len(n.Inputs) > 4 && n.Inputs[4] != "" && c.constants[n.Inputs[4]] == nil && !slices.Contains(c.g.Inputs, n.Inputs[4]) {
		return fmt.Errorf("has lengths of sequences that are computed: %.60q", n.Inputs[4])
	}
	part := func(values []float32, d, size int) []float32 {
		if values == nil {
			return nil
		}
		return values[d*size : (d+1)*size]
	}
	for d := range directions {
		w := &rnnWeights{
			gates:     map[string][]int{runtime.CellLSTM: onnxLSTM, runtime.CellGRU: onnxGRU, runtime.CellRNN: plainRNN}[l.Cell],
			peepholes: onnxPeepholes,
			input:     part(all[1], d, rows*in), recurrent: part(all[2], d, rows*hidden),
			peephole: part(all[7], d, 3*hidden), h0: part(all[5], d, hidden), c0: part(all[6], d, hidden),
		}
		if b := part(all[3], d, 2*rows); b != nil {
			w.inputBias, w.recurrentBias = b[:rows], b[rows:]
		}
		if err := c.s.direction(i, d == 1 || l.Direction == "reverse", in, w); err != nil {
			return err
		}
	}
	return nil
}
