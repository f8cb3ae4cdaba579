package reference

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/runtime"
)

// RNN is a recurrent network in float32, its sums in float64: a unit at a time, a step at a time, a sequence at a time. It is
// read-only after NewRNN.
type RNN struct {
	Config  runtime.RNNConfig
	tensors map[string]Tensor
}

// NewRNN takes the tensors by the names and in the order of rows of an .ei8 file and checks every shape against the config.
func NewRNN(config *runtime.RNNConfig, tensors map[string]Tensor) (*RNN, error) {
	r, in := &reader{tensors: tensors}, config.Input
	if config.Vocab > 0 {
		r.matrix("embed", config.Vocab, in)
	}
	for i := range config.Layers {
		l := &config.Layers[i]
		for _, name := range directionNames(i, l) {
			rows := l.Gates() * l.Units()
			r.matrix(name+".input", rows, in)
			r.optional(name+".input.bias", rows)
			if l.Cell == runtime.CellGRU && !l.ResetAfter {
				r.matrix(name+".recurrent", 2*l.Units(), l.State())
				r.matrix(name+".candidate", l.Hidden, l.State())
			} else {
				r.matrix(name+".recurrent", rows, l.State())
				r.optional(name+".recurrent.bias", rows)
			}
			if l.Peepholes {
				r.vector(name+".peephole", 3*l.Units())
			}
			if l.Projection > 0 {
				r.matrix(name+".project", l.Projection, l.Hidden)
			}
			r.optional(name+".initial.h", l.State())
			r.optional(name+".initial.c", l.Hidden)
		}
		in = l.Width()
	}
	for i, h := range config.Head {
		if !config.TiedOutput || i < len(config.Head)-1 {
			r.matrix(fmt.Sprintf("head.%d", i), h.Size, in)
		}
		r.optional(fmt.Sprintf("head.%d.bias", i), h.Size)
		in = h.Size
	}
	return &RNN{*config, tensors}, r.err
}

// directionNames are the prefixes of a layer's tensors, forward first.
func directionNames(layer int, l *runtime.RNNLayer) []string {
	name := fmt.Sprintf("layers.%d", layer)
	switch l.Direction {
	case "reverse":
		return []string{name + ".reverse"}
	case "bidirectional":
		return []string{name, name + ".reverse"}
	}
	return []string{name}
}

// RNNState is the state of one direction of one layer.
type RNNState struct{ H, C []float32 }

// Initial is the state before the first step, of each layer's directions in order.
func (r *RNN) Initial() []RNNState {
	var states []RNNState
	for i := range r.Config.Layers {
		l := &r.Config.Layers[i]
		for _, name := range directionNames(i, l) {
			s := RNNState{H: make([]float32, l.State()), C: make([]float32, l.Hidden)}
			copy(s.H, r.tensors[name+".initial.h"].Data)
			copy(s.C, r.tensors[name+".initial.c"].Data)
			states = append(states, s)
		}
	}
	return states
}

// Embed looks token ids up.
func (r *RNN) Embed(ids []int32) [][]float32 {
	x, n := make([][]float32, len(ids)), r.Config.Input
	for i, id := range ids {
		x[i] = r.tensors["embed"].Data[int(id)*n:][:n]
	}
	return x
}

// Run runs one sequence from the given states, which it leaves at the last ones: steps of output, or one row of it.
func (r *RNN) Run(x [][]float32, states []RNNState) [][]float32 {
	var last []float32
	for i := range r.Config.Layers {
		l := &r.Config.Layers[i]
		y := make([][]float32, len(x))
		last = nil
		for d, name := range directionNames(i, l) {
			state := &states[d]
			for n := range x {
				t := n
				if l.Direction == "reverse" || d == 1 {
					t = len(x) - 1 - n
				}
				r.step(name, l, x[t], state)
				if y[t] == nil {
					y[t] = make([]float32, l.Width())
				}
				copy(y[t][d*l.State():], state.H)
			}
			last = append(last, state.H...)
		}
		states = states[l.Directions():]
		x = y
	}
	switch r.Config.Output {
	case runtime.OutputLast:
		x = x[len(x)-1:]
	case runtime.OutputState:
		x = [][]float32{last}
	}
	out := make([][]float32, len(x))
	for i := range x {
		out[i] = r.head(x[i])
	}
	return out
}

func (r *RNN) head(x []float32) []float32 {
	for i, h := range r.Config.Head {
		name := fmt.Sprintf("head.%d", i)
		w := r.tensors[name]
		if r.Config.TiedOutput && i == len(r.Config.Head)-1 {
			w = r.tensors["embed"]
		}
		y := make([]float32, h.Size)
		for row := range y {
			y[row] = float32(r.product(w, row, x) + r.at(name+".bias", row))
			if f := rnnActivate[h.Activation]; f != nil {
				y[row] = float32(f(float64(y[row])))
			}
		}
		x = y
	}
	if r.Config.Softmax {
		x = append([]float32{}, x...)
		top, sum := math.Inf(-1), 0.0
		for _, v := range x {
			top = math.Max(top, float64(v))
		}
		for _, v := range x {
			sum += math.Exp(float64(v) - top)
		}
		for i, v := range x {
			x[i] = float32(math.Exp(float64(v)-top) / sum)
		}
	}
	return x
}

// rnnActivate are the activations of linear layers and cells.
var rnnActivate = map[string]func(x float64) float64{
	"tanh": math.Tanh, "sigmoid": sigmoid, "relu": func(x float64) float64 { return math.Max(x, 0) },
	"gelu":      func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) },
	"gelu_tanh": func(x float64) float64 { return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) },
	"silu":      func(x float64) float64 { return x * sigmoid(x) },
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func (r *RNN) product(w Tensor, row int, x []float32) float64 {
	sum := 0.0
	for j, v := range w.Data[row*len(x) : (row+1)*len(x)] {
		sum += float64(v) * float64(x[j])
	}
	return sum
}

// at is an element of a vector that may lack, which is 0 then.
func (r *RNN) at(name string, i int) float64 {
	if t := r.tensors[name]; t.Data != nil {
		return float64(t.Data[i])
	}
	return 0
}

// step advances one direction of one layer: the equations of PyTorch and ONNX as they are written down there.
func (r *RNN) step(name string, l *runtime.RNNLayer, x []float32, s *RNNState) {
	input, recurrent := r.tensors[name+".input"], r.tensors[name+".recurrent"]
	clip := func(v float64) float64 {
		if l.Clip == 0 {
			return v
		}
		return math.Max(math.Min(v, float64(l.Clip)), -float64(l.Clip))
	}
	fromInput := func(gate, u int) float64 {
		row := l.GateRow(gate, u)
		return r.product(input, row, x) + r.at(name+".input.bias", row)
	}
	fromState := func(gate, u int) float64 {
		row := l.GateRow(gate, u)
		return r.product(recurrent, row, s.H) + r.at(name+".recurrent.bias", row)
	}
	peephole := func(p, u int, c float64) float64 {
		if !l.Peepholes {
			return 0
		}
		return r.at(name+".peephole", u/16*48+p*16+u%16) * c
	}
	h := make([]float32, l.Hidden)
	switch l.Cell {
	case runtime.CellRNN:
		for u := range h {
			h[u] = float32(rnnActivate[l.Activation](clip(fromInput(0, u) + fromState(0, u))))
		}
	case runtime.CellLSTM:
		for u := range h {
			c := float64(s.C[u])
			i := sigmoid(clip(fromInput(0, u) + fromState(0, u) + peephole(0, u, c)))
			f := sigmoid(clip(fromInput(1, u) + fromState(1, u) + peephole(1, u, c)))
			if l.Coupled {
				f = 1 - i
			}
			g := math.Tanh(clip(fromInput(2, u) + fromState(2, u)))
			c = f*c + i*g
			o := sigmoid(clip(fromInput(3, u) + fromState(3, u) + peephole(2, u, c)))
			s.C[u] = float32(c)
			h[u] = float32(o * math.Tanh(clip(c)))
		}
		if l.Projection > 0 {
			p := make([]float32, l.Projection)
			for row := range p {
				p[row] = float32(r.product(r.tensors[name+".project"], row, h))
			}
			h = p
		}
	case runtime.CellGRU:
		reset := make([]float64, l.Hidden)
		before := make([]float32, l.Hidden)
		for u := range h {
			reset[u] = sigmoid(clip(fromInput(0, u) + fromState(0, u)))
			before[u] = float32(reset[u] * float64(s.H[u]))
		}
		for u := range h {
			z := sigmoid(clip(fromInput(1, u) + fromState(1, u)))
			n := fromInput(2, u)
			if l.ResetAfter {
				n += reset[u] * fromState(2, u)
			} else {
				n += r.product(r.tensors[name+".candidate"], u, before)
			}
			h[u] = float32((1-z)*math.Tanh(clip(n)) + z*float64(s.H[u]))
		}
	}
	copy(s.H, h)
}

// Tensor gives a tensor by name; without data if there is none.
func (r *RNN) Tensor(name string) Tensor { return r.tensors[name] }
