package convert

import (
	"fmt"
	"strings"

	"github.com/edge-infer/edge-infer/convert/onnx"
	"github.com/edge-infer/edge-infer/runtime"
)

// What stands between the layers of an ONNX graph and only moves numbers: axes are exchanged, folded and removed, parts are taken
// out and put beside each other.

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
		if at < 0 || at >= rank || !(v.axes[at] == axisDir && len(v.parts) == 1 || v.axes[at] == axisTime && v.output != runtime.OutputSteps) {
			return fmt.Errorf("removes axis %d, which is not that of a single direction or of the last step", axes[0])
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

// pick follows a Gather or a Slice of a part of an axis: the last step, some of the directions, or everything.
func (c *onnxChain) pick(n *onnx.Node, v onnxValue) error {
	axis, from, to, keep, err := c.span(n, v)
	if err != nil {
		return err
	}
	everything := from == 0 && to >= onnxEnd
	last := from == -1 && to >= onnxEnd
	unit := 0 // how much of the axis a part takes
	switch v.axes[axis] {
	case axisDir:
		unit = 1
	case axisUnit:
		if len(c.s.config.Head) == 0 && len(c.s.config.Layers) > 0 {
			unit = c.s.config.Layers[len(c.s.config.Layers)-1].State()
		}
	}
	switch {
	case everything:
	case unit > 0:
		size := unit * len(v.parts)
		if from < 0 {
			from += size
		}
		if to < 0 {
			to += size
		}
		to = min(to, size)
		if from < 0 || from >= to || from%unit != 0 || to%unit != 0 {
			return fmt.Errorf("takes [%d, %d) of %d values, which are not whole directions", from, to, size)
		}
		v.parts = v.parts[from/unit : to/unit]
	case v.axes[axis] == axisTime && last:
		v.output = runtime.OutputLast
	case v.axes[axis] == axisTime && from == 0 && to == 1:
		v.output = outputFirst
	default:
		return fmt.Errorf("picks [%d, %d) of axis %d, where the last step, or whole directions, are supported", from, to, axis)
	}
	if v.output == outputFirst && c.ends(v) {
		v.output = runtime.OutputState
	}
	if !keep {
		v.axes = v.axes[:axis] + v.axes[axis+1:]
	}
	c.values[n.Outputs[0]] = v
	return nil
}

// outputFirst is the first step's output: of a direction that reads from the end its state, of others nothing to be had.
const outputFirst = "first"

// ends reports whether v is what its directions end in: their states, or the outputs of the steps that each of them reads last.
func (c *onnxChain) ends(v onnxValue) bool {
	for _, p := range v.parts {
		backward := p.side == 1 || c.s.config.Layers[len(c.s.config.Layers)-1].Direction == "reverse"
		if v.output != runtime.OutputState && (p.version != c.version || backward != (v.output == outputFirst)) {
			return false
		}
	}
	return v.output != runtime.OutputSteps
}

// span gives what a Gather or Slice takes: [from, to) of an axis, of which both may count from the end, and whether the axis stays.
func (c *onnxChain) span(n *onnx.Node, v onnxValue) (axis, from, to int, keep bool, err error) {
	one := func(input, otherwise int) int {
		if input >= len(n.Inputs) || n.Inputs[input] == "" {
			return otherwise
		}
		list, ok := c.ints(n, "", input)
		if !ok || len(list) != 1 {
			err = fmt.Errorf("takes %v, which must be one constant number", list)
			return 0
		}
		return list[0]
	}
	if n.Op == "Gather" {
		if a := n.Attributes["axis"]; a != nil {
			axis = int(a.Int)
		}
		from = one(1, 0)
		if to = from + 1; to == 0 {
			to = onnxEnd
		}
		if t := c.constants[n.Inputs[1]]; t != nil {
			keep = len(t.Shape) > 0
		}
	} else {
		if len(n.Inputs) < 3 {
			return 0, 0, 0, false, fmt.Errorf("has %d inputs, must have starts and ends", len(n.Inputs))
		}
		from, to, axis, keep = one(1, 0), one(2, 0), one(3, 0), true
		if step := one(4, 1); err == nil && step != 1 {
			err = fmt.Errorf("has the step %d, only 1 is supported", step)
		}
	}
	if axis < 0 {
		axis += len(v.axes)
	}
	if err == nil && (axis < 0 || axis >= len(v.axes)) {
		err = fmt.Errorf("takes axis %d of %d", axis, len(v.axes))
	}
	return axis, from, to, keep, err
}

// concat puts directions, or states of layers, beside each other: along their axis, or in a row.
func (c *onnxChain) concat(n *onnx.Node) error {
	all := c.values[n.Inputs[0]]
	all.parts = nil
	axis := 0
	if a := n.Attributes["axis"]; a != nil {
		axis = int(a.Int)
	}
	if axis < 0 {
		axis += len(all.axes)
	}
	if axis < 0 || axis >= len(all.axes) || all.axes[axis] != axisDir && (all.axes[axis] != axisUnit || strings.IndexByte(all.axes, axisDir) >= 0) {
		return fmt.Errorf("puts values beside each other along axis %d, where only directions and rows are supported", axis)
	}
	for _, name := range n.Inputs {
		v := c.values[name]
		if v.axes != all.axes {
			return fmt.Errorf("puts the axes %q and %q beside each other", all.axes, v.axes)
		}
		if v.output != all.output {
			if !c.ends(v) || !c.ends(all) {
				return fmt.Errorf("puts what is of different steps beside each other")
			}
			all.output = runtime.OutputState
		}
		all.parts = append(all.parts, v.parts...)
	}
	c.values[n.Outputs[0]] = all
	return nil
}
