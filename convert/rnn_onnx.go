package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edge-infer/edge-infer/convert/onnx"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// An ONNX graph of LSTM, GRU and RNN nodes in one chain, with a Gather (an embedding) before and MatMul, Gemm, Add, activations and
// Softmax behind. What only moves numbers (Squeeze, Transpose, Reshape) is followed by the names of the axes. Any other node, and any
// that does not fit, is an error that names it.

const onnxDo = "this version reads chains of Gather, LSTM, GRU, RNN, MatMul, Gemm, Add, Tanh, Relu, Sigmoid, Softmax, with " +
	"Squeeze, Unsqueeze, Transpose, Reshape and Gather of the last step between"

// openONNXRNN reads a graph; nil for one without a recurrent node.
func openONNXRNN(src string, o RNNOptions) (*rnnSource, error) {
	m, err := onnx.Open(src)
	if err != nil {
		return nil, err
	}
	recurrent := slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "LSTM" || n.Op == "GRU" || n.Op == "RNN" })
	if !recurrent {
		m.Close()
		return nil, nil
	}
	s := &rnnSource{format: strings.TrimSpace("ONNX recurrent network, " + m.Producer + " " + m.ProducerVersion), path: src, close: m.Close}
	if err := s.onnx(m.Graph, o); err != nil {
		m.Close()
		return nil, err
	}
	return s, nil
}

// axes of values that flow through a graph.
const (
	axisTime  = 't'
	axisBatch = 'b'
	axisDir   = 'd'
	axisUnit  = 'h' // or a linear layer's rows
	axisMany  = '*' // time and batch, folded into one
)

// onnxValue is what is known of a value that depends on the input.
type onnxValue struct {
	axes    string // "" before the first recurrent node: its axes are that node's
	version int    // how many parts of the chain it has passed
	output  string // what it is of the sequence: OutputSteps, OutputLast or OutputState
	ready   bool   // false: a cell state, which only another recurrent node could use
}

// onnxChain is the reading of one graph.
type onnxChain struct {
	s         *rnnSource
	g         *onnx.Graph
	values    map[string]onnxValue
	constants map[string]*onnx.Tensor
	sizes     map[string]bool // computed from shapes: true if it is certain to hold zeros
	version   int
	table     bool // an embedding was there
	biased    bool // the last linear layer has its bias
}

func (s *rnnSource) onnx(g *onnx.Graph, o RNNOptions) error {
	settings, settingsPath, err := readSettings(s.path, o)
	if err != nil {
		return err
	}
	c := &onnxChain{s: s, g: g, values: map[string]onnxValue{}, constants: map[string]*onnx.Tensor{}, sizes: map[string]bool{}}
	for name, t := range g.Initializers {
		c.constants[name] = t
	}
	if len(g.Inputs) == 0 {
		return failure(s.path, "has a graph without inputs", onnxDo)
	}
	c.values[g.Inputs[0]] = onnxValue{output: runtime.OutputSteps, ready: true}
	for _, n := range g.Nodes {
		if err := c.node(n); err != nil {
			return failure(s.path, fmt.Sprintf("node %s: %v", nodeName(n), err), onnxDo)
		}
	}
	for _, name := range g.Outputs {
		if v, ok := c.values[name]; ok && v.ready && v.version == c.version && v.axes != "" {
			s.config.Output = v.output
			return s.words(settings, settingsPath)
		}
	}
	return failure(s.path, "no output of the graph is the end of its chain of layers", onnxDo)
}

// nodeName is how an error names a node: its operator and what identifies it.
func nodeName(n *onnx.Node) string {
	name := n.Name
	if name == "" && len(n.Outputs) > 0 {
		name = n.Outputs[0]
	}
	return fmt.Sprintf("%s %.60q", n.Op, name)
}

func (c *onnxChain) node(n *onnx.Node) error {
	if n.Domain != "" && n.Domain != "ai.onnx" {
		return fmt.Errorf("is of the domain %.60q, which is not supported", n.Domain)
	}
	if len(n.Outputs) == 0 {
		return fmt.Errorf("has no output")
	}
	var data []int
	known := true
	for i, name := range n.Inputs {
		if _, ok := c.values[name]; ok {
			data = append(data, i)
		} else if _, size := c.sizes[name]; !size && c.constants[name] == nil && name != "" {
			known = false
		}
	}
	switch {
	case n.Op == "Constant":
		if a := n.Attributes["value"]; a != nil && a.Tensor != nil {
			c.constants[n.Outputs[0]] = a.Tensor
			return nil
		}
		c.sizes[n.Outputs[0]] = false
		return nil
	case n.Op == "Shape" && len(data) == 1:
		c.sizes[n.Outputs[0]] = false
		return nil
	case len(data) == 0 && known:
		return c.size(n)
	case n.Op == "Gather" && len(data) == 1 && data[0] == 1 && c.constants[n.Inputs[0]] != nil:
		return c.embed(n)
	case len(data) != 1 || data[0] != 0:
		if n.Op == "Add" && len(data) == 1 { // a bias may stand on either side
			n = &onnx.Node{Name: n.Name, Op: n.Op, Inputs: []string{n.Inputs[1], n.Inputs[0]}, Outputs: n.Outputs, Attributes: n.Attributes}
			break
		}
		return fmt.Errorf("does not take the values of the chain as its first input and constants beside them")
	}
	v := c.values[n.Inputs[0]]
	if !v.ready {
		return fmt.Errorf("uses the cell state of a layer, which only the layer itself may")
	}
	switch n.Op {
	case "LSTM", "GRU", "RNN":
		return c.recurrent(n, v)
	case "Identity", "Cast", "Dropout":
		c.values[n.Outputs[0]] = v
		return nil
	case "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Flatten":
		return c.move(n, v)
	case "Gather":
		if v.axes != "" {
			return c.pick(n, v)
		}
	case "MatMul", "Gemm", "Add", "Tanh", "Relu", "Sigmoid", "Softmax":
		return c.behind(n, v)
	}
	return fmt.Errorf("is not supported here")
}

// size follows what is computed from constants and shapes alone: it may only become zeros for an initial state, or a shape.
func (c *onnxChain) size(n *onnx.Node) error {
	zero := false
	switch n.Op {
	case "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Mul", "Add", "Sub", "Div", "Cast", "Identity", "Reshape":
	case "Expand":
		zero = c.isZero(n.Inputs[0])
	case "ConstantOfShape":
		a := n.Attributes["value"]
		zero = a == nil || a.Tensor == nil || allZeros(a.Tensor)
	default:
		return fmt.Errorf("is not supported here")
	}
	c.sizes[n.Outputs[0]] = zero
	return nil
}

func (c *onnxChain) isZero(name string) bool {
	t := c.constants[name]
	return c.sizes[name] || t != nil && allZeros(t)
}

func allZeros(t *onnx.Tensor) bool {
	values, err := onnxFloats(t)
	return err == nil && !slices.ContainsFunc(values, func(v float32) bool { return v != 0 })
}

// onnxFloats gives all numbers of a constant, in its order.
func onnxFloats(t *onnx.Tensor) ([]float32, error) {
	a, err := t.Array()
	if err != nil {
		return nil, err
	}
	values := make([]float32, 0, min(a.Rows()*a.Cols(), 1<<20))
	row := make([]float64, a.Cols())
	for i := range a.Rows() {
		if err := a.Row(row, i); err != nil {
			return nil, err
		}
		for _, v := range row {
			values = append(values, float32(v))
		}
	}
	return values, nil
}

// ints gives a list that a node has as an attribute or, in newer operator sets, as a constant input.
func (c *onnxChain) ints(n *onnx.Node, attribute string, input int) ([]int, bool) {
	if a := n.Attributes[attribute]; a != nil {
		list := make([]int, len(a.Ints))
		for i, v := range a.Ints {
			list[i] = int(v)
		}
		return list, true
	}
	if input < 0 || input >= len(n.Inputs) || c.constants[n.Inputs[input]] == nil {
		return nil, false
	}
	values, err := onnxFloats(c.constants[n.Inputs[input]])
	list := make([]int, len(values))
	for i, v := range values {
		list[i] = int(v)
	}
	return list, err == nil
}

// width is the number of values of a row at the end of the chain so far.
func (c *onnxChain) width() int {
	if len(c.s.config.Head) > 0 || len(c.s.config.Layers) > 0 {
		return c.s.config.OutputWidth()
	}
	return c.s.config.Input
}

// move follows an operator that only moves numbers.
func (c *onnxChain) move(n *onnx.Node, v onnxValue) error {
	if v.axes == "" { // before the first layer: ids or values on their way, whose axes only the layer knows
		if n.Op == "Reshape" || n.Op == "Flatten" {
			return fmt.Errorf("folds the input, which is not supported")
		}
		c.values[n.Outputs[0]] = v
		return nil
	}
	rank := len(v.axes)
	switch n.Op {
	case "Transpose":
		perm, ok := c.ints(n, "perm", -1)
		if !ok || len(perm) != rank {
			return fmt.Errorf("has the permutation %v of %d axes", perm, rank)
		}
		moved := make([]byte, rank)
		seen := 0
		for i, p := range perm {
			if p < 0 || p >= rank {
				return fmt.Errorf("has the permutation %v of %d axes", perm, rank)
			}
			moved[i] = v.axes[p]
			seen |= 1 << p
		}
		if seen != 1<<rank-1 || moved[rank-1] != axisUnit {
			return fmt.Errorf("has the permutation %v, after which the values of a row no longer lie together", perm)
		}
		v.axes = string(moved)
	case "Squeeze":
		axes, ok := c.ints(n, "axes", 1)
		if !ok || len(axes) != 1 {
			return fmt.Errorf("must name one axis")
		}
		at := axes[0]
		if at < 0 {
			at += rank
		}
		if at < 0 || at >= rank || v.axes[at] != axisDir || c.directions() != 1 {
			return fmt.Errorf("removes axis %d, which is not that of a single direction", axes[0])
		}
		v.axes = v.axes[:at] + v.axes[at+1:]
	case "Unsqueeze":
		return fmt.Errorf("is not supported behind a recurrent layer")
	default:
		// Directions and units may be folded where they lie side by side, and time and batch into rows.
		if i := strings.IndexByte(v.axes, axisDir); i >= 0 && i != rank-2 {
			return fmt.Errorf("folds directions that do not lie beside their units")
		}
		rows := strings.TrimRight(v.axes, "dh")
		shape, ok := c.ints(n, "shape", 1)
		switch {
		case n.Op == "Flatten":
			if rows != "b" {
				return fmt.Errorf("folds steps into values")
			}
			v.axes = "bh"
		case !ok || len(shape) == 0 || shape[len(shape)-1] != -1 && shape[len(shape)-1] != c.width() && !(shape[len(shape)-1] == 0 && len(shape) == rank && !strings.Contains(v.axes, "d")):
			return fmt.Errorf("folds values into the shape %v, whose last axis is not a row of %d values", shape, c.width())
		case len(shape)-1 == len(rows):
			v.axes = rows + "h"
		case len(shape) == 2:
			v.axes = string(axisMany) + "h"
		default:
			return fmt.Errorf("folds %d axes into the shape %v", rank, shape)
		}
	}
	c.values[n.Outputs[0]] = v
	return nil
}

func (c *onnxChain) directions() int {
	return c.s.config.Layers[len(c.s.config.Layers)-1].Directions()
}

// pick follows a Gather of one element of an axis: the last step, or the single direction.
func (c *onnxChain) pick(n *onnx.Node, v onnxValue) error {
	axis := 0
	if a := n.Attributes["axis"]; a != nil {
		axis = int(a.Int)
	}
	index, ok := c.ints(n, "", 1)
	if axis < 0 {
		axis += len(v.axes)
	}
	if !ok || len(index) != 1 || axis < 0 || axis >= len(v.axes) {
		return fmt.Errorf("picks %v of axis %d, which is not supported", index, axis)
	}
	if t := c.constants[n.Inputs[1]]; len(t.Shape) != 0 {
		return fmt.Errorf("picks a list of one: a single index is supported")
	}
	switch {
	case v.axes[axis] == axisTime && index[0] == -1:
		v.output = runtime.OutputLast
	case v.axes[axis] == axisDir && c.directions() == 1 && (index[0] == 0 || index[0] == -1):
	default:
		return fmt.Errorf("picks element %d of an axis, where the last step is supported", index[0])
	}
	v.axes = v.axes[:axis] + v.axes[axis+1:]
	c.values[n.Outputs[0]] = v
	return nil
}

// behind adds a linear layer, its bias, its activation, or the softmax.
func (c *onnxChain) behind(n *onnx.Node, v onnxValue) error {
	if v.axes == "" || v.version != c.version {
		return fmt.Errorf("starts a branch, or comes before the recurrent layers")
	}
	if strings.IndexByte(v.axes, axisDir) >= 0 && c.directions() > 1 {
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
	v.version = c.version
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
	if v.axes != "" && (v.version != c.version || len(c.s.config.Head) > 0 || v.output != runtime.OutputSteps) {
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
	for o, axes := range []string{map[bool]string{false: "tdbh", true: "btdh"}[layout], map[bool]string{false: "dbh", true: "bdh"}[layout], ""} {
		if o < len(n.Outputs) && n.Outputs[o] != "" {
			c.values[n.Outputs[o]] = onnxValue{axes, c.version, []string{runtime.OutputSteps, runtime.OutputState, runtime.OutputState}[o], o < 2}
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
		} else if input < len(n.Inputs) && c.constants[n.Inputs[input]] == nil && n.Inputs[input] != "" && !c.isZero(n.Inputs[input]) && !slices.Contains(c.g.Inputs, n.Inputs[input]) {
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
