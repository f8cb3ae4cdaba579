package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/onnx"
	"github.com/edge-infer/edge-infer/runtime"
)

// An ONNX graph of LSTM, GRU and RNN nodes in one chain, with a Gather (an embedding) before and MatMul, Gemm, Add, activations and
// Softmax behind. What only moves numbers (Squeeze, Transpose, Reshape) is followed by the names of the axes. Any other node, and any
// that does not fit, is an error that names it.

const onnxDo = "this version reads chains of Gather, LSTM, GRU, RNN, MatMul, Gemm, Add, Tanh, Relu, Sigmoid, Softmax, with " +
	"Squeeze, Unsqueeze, Transpose, Reshape, and Gather, Slice and Concat of last steps and directions between"

// openONNXRNN reads a graph; nil for one without a recurrent node.
func openONNXRNN(src string, o RNNOptions) (*rnnSource, error) {
	m, err := onnx.Open(src)
	if err != nil {
		return nil, err
	}
	if !hasNode(m.Graph, "LSTM", "GRU", "RNN") {
		m.Close()
		return nil, unrolled(m)
	}
	s := &rnnSource{format: strings.TrimSpace("ONNX recurrent network, " + m.Producer + " " + m.ProducerVersion), path: src, close: m.Close}
	if err := s.onnx(m.Graph, o); err != nil {
		m.Close()
		return nil, err
	}
	return s, nil
}

func hasNode(g *onnx.Graph, ops ...string) bool {
	return slices.ContainsFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(ops, n.Op) })
}

// unrolled is the error for what PyTorch's newer exporter makes of nn.RNN: a product and a tanh for each step of one length, and no word
// that they are a network. Nil for a graph that is none such; neighbours have a TopK.
func unrolled(m *onnx.Model) error {
	if m.Producer != "pytorch" || hasNode(m.Graph, "TopK") || !hasNode(m.Graph, "Tanh", "Relu", "Sigmoid") {
		return nil
	}
	return failure(m.Path, "is a PyTorch graph without an LSTM, GRU or RNN node; the newer exporter of PyTorch writes nn.RNN step by step, for one length",
		"export it with torch.onnx.export(..., dynamo=False), or convert the checkpoint (.pt, .safetensors) instead")
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
	axes   string     // "" before the first recurrent node: its axes are that node's
	parts  []onnxPart // what lies along its axis of directions or, folded, side by side in a row
	output string     // what it is of the sequence: OutputSteps, OutputLast or OutputState
}

// onnxPart is what one direction of a layer puts out, or the end of the layers behind.
type onnxPart struct {
	version int  // how many parts of the chain it has passed
	side    int  // 1: the second direction of a bidirectional layer
	cell    bool // a cell state, which only another recurrent node could use
}

// onnxChain is the reading of one graph.
type onnxChain struct {
	s         *rnnSource
	g         *onnx.Graph
	values    map[string]onnxValue
	constants map[string]*onnx.Tensor
	sizes     map[string]bool // computed from shapes: true if it is certain to hold zeros
	given     map[string]bool // states that come with the call, and what is cut out of them
	version   int
	table     bool // an embedding was there
	biased    bool // the last linear layer has its bias
}

func (s *rnnSource) onnx(g *onnx.Graph, o RNNOptions) error {
	settings, settingsPath, err := readSettings(s.path, o)
	if err != nil {
		return err
	}
	c := &onnxChain{s: s, g: g, values: map[string]onnxValue{}, constants: map[string]*onnx.Tensor{}, sizes: map[string]bool{}, given: map[string]bool{}}
	for name, t := range g.Initializers {
		c.constants[name] = t
	}
	if len(g.Inputs) == 0 {
		return failure(s.path, "has a graph without inputs", onnxDo)
	}
	c.values[g.Inputs[0]] = onnxValue{output: runtime.OutputSteps}
	for _, name := range g.Inputs[1:] {
		c.given[name] = true
	}
	for _, n := range g.Nodes {
		var elsewhere *checkpoint.Error // its numbers are in another file
		if err := c.node(n); errors.As(err, &elsewhere) {
			return elsewhere
		} else if err != nil {
			return failure(s.path, fmt.Sprintf("node %s: %v", nodeName(n), err), onnxDo)
		}
	}
	for _, name := range g.Outputs {
		if v, ok := c.values[name]; ok && c.whole(v) {
			s.config.Output = v.output
			return s.finish(settings, settingsPath)
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
	known, given := true, false
	for i, name := range n.Inputs {
		if _, ok := c.values[name]; ok {
			data = append(data, i)
		} else if c.given[name] {
			given = true
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
	case n.Op == "Shape" && (len(data) == 1 || given):
		c.sizes[n.Outputs[0]] = false
		return nil
	case len(data) == 0 && known && given:
		return c.state(n)
	case len(data) == 0 && known:
		return c.size(n)
	case n.Op == "Concat" && len(data) > 0 && len(data) == len(n.Inputs):
		return c.concat(n)
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
	switch n.Op {
	case "LSTM", "GRU", "RNN":
		return c.recurrent(n, v)
	case "Identity", "Cast", "Dropout":
		c.values[n.Outputs[0]] = v
		return nil
	case "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Flatten":
		return c.move(n, v)
	case "Gather", "Slice":
		if v.axes != "" {
			return c.pick(n, v)
		}
	case "MatMul", "Gemm", "Add", "Tanh", "Relu", "Sigmoid", "Softmax":
		return c.behind(n, v)
	}
	return fmt.Errorf("is not supported here")
}

// whole reports whether v is all that the end of the chain so far puts out: the directions of the last layer in their order, or
// what is behind it.
func (c *onnxChain) whole(v onnxValue) bool {
	want := 1
	if len(c.s.config.Head) == 0 && len(c.s.config.Layers) > 0 {
		want = c.directions()
	}
	for i, p := range v.parts {
		if p.version != c.version || p.side != i || p.cell {
			return false
		}
	}
	return v.axes != "" && len(v.parts) == want && v.output != outputFirst
}

// state follows a state that comes with the call to the layer that it is for. Such a state is set by Restore.
func (c *onnxChain) state(n *onnx.Node) error {
	switch n.Op {
	case "Gather", "Slice", "Split", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Cast", "Identity":
		for _, name := range n.Outputs {
			c.given[name] = true
		}
		return nil
	}
	return fmt.Errorf("computes with another input than the first, %.60q, of which only parts may be taken", n.Inputs[0])
}

// size follows what is computed from constants and shapes alone: it may only become zeros for an initial state, or a shape.
func (c *onnxChain) size(n *onnx.Node) error {
	zero := false
	switch n.Op {
	case "Gather", "Slice", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Cast", "Identity", "Expand":
		zero = c.isZero(n.Inputs[0])
	case "Concat":
		zero = !slices.ContainsFunc(n.Inputs, func(name string) bool { return !c.isZero(name) })
	case "Mul", "Add", "Sub", "Div":
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

// onnxEnd and above stand for the end of an axis.
const onnxEnd = 1 << 30

// ints gives a list that a node has as an attribute or, in newer operator sets, as a constant input. Numbers far out are bounded.
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
		list[i] = int(max(min(v, onnxEnd), -onnxEnd))
	}
	return list, err == nil
}
