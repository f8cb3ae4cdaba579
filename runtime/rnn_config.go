package runtime

import (
	"encoding/json"
	"fmt"

	"github.com/edge-infer/edge-infer/kernels"
)

// RNNConfig is the "config" object in the metadata of a file of family "rnn". The converter writes it, Open checks it against
// the tensors.
//
//	values, or token ids through an embedding -> Layers -> Head -> softmax
type RNNConfig struct {
	Input  int        `json:"input"`           // values a step; the embedding's width where Vocab is set
	Vocab  int        `json:"vocab,omitempty"` // rows of the embedding; 0: the input is values
	Layers []RNNLayer `json:"layers"`
	Head   []RNNHead  `json:"head,omitempty"` // linear layers behind, in order

	TiedOutput bool   `json:"tied_output,omitempty"` // the embedding is the matrix of the last of Head
	Softmax    bool   `json:"softmax,omitempty"`     // of the output, over its last dimension
	Output     string `json:"output"`                // OutputSteps, OutputLast or OutputState
	Start      int32  `json:"start"`                 // token before every text; -1: none
}

// RNNLayer is one recurrent layer.
type RNNLayer struct {
	Cell       string  `json:"cell"`                 // CellRNN, CellLSTM or CellGRU
	Hidden     int     `json:"hidden"`               // units
	Direction  string  `json:"direction,omitempty"`  // "": forward; "reverse", "bidirectional"
	Activation string  `json:"activation,omitempty"` // of CellRNN: tanh or relu
	Projection int     `json:"projection,omitempty"` // of CellLSTM: the width of its output; 0: Hidden
	Peepholes  bool    `json:"peepholes,omitempty"`  // of CellLSTM
	Coupled    bool    `json:"coupled,omitempty"`    // of CellLSTM: forget = 1 - input
	ResetAfter bool    `json:"reset_after,omitempty"`
	Clip       float32 `json:"clip,omitempty"` // bound of what the activations see; 0: none
}

// RNNHead is one linear layer behind the recurrent ones.
type RNNHead struct {
	Size       int    `json:"size"`
	Activation string `json:"activation,omitempty"` // "": none; those of TransformerConfig, and tanh, sigmoid

	// Fine layers take their input as two int8, the second for what rounding takes from the first. They have no activation.
	Fine bool `json:"fine,omitempty"`
}

// The recurrent cells.
const (
	CellRNN  = "rnn"
	CellLSTM = "lstm"
	CellGRU  = "gru" // ResetAfter: the reset gate multiplies the recurrent product (PyTorch), else the state before it
)

// What a model of family "rnn" puts out.
const (
	OutputSteps = "steps" // a row for every step
	OutputLast  = "last"  // the row of the last step
	OutputState = "state" // the last state of each direction: differs from OutputLast in bidirectional models
)

// Directions of a layer.
const (
	directionForward = ""
	directionReverse = "reverse"
	directionBoth    = "bidirectional"
)

// headActivations are the names in RNNHead.Activation.
var headActivations = map[string]kernels.Activation{
	"": kernels.ActNone, "tanh": kernels.ActTanh, "sigmoid": kernels.ActSigmoid,
	"relu": kernels.ActReLU, "gelu": kernels.ActGELU, "gelu_tanh": kernels.ActGELUTanh, "silu": kernels.ActSiLU,
}

// ParseRNNConfig decodes and checks the config object alone; the tensors are checked by Open.
func ParseRNNConfig(raw json.RawMessage) (*RNNConfig, error) {
	c := &RNNConfig{}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

func (c *RNNConfig) validate() error {
	within := func(name string, v, lo, hi int) error {
		if v < lo || v > hi {
			return fmt.Errorf("%s is %d, must be %d to %d", name, v, lo, hi)
		}
		return nil
	}
	if err := within("input", c.Input, 1, maxDim-16); err != nil {
		return err
	}
	if err := within("vocab", c.Vocab, 0, maxVocab); err != nil {
		return err
	}
	if err := within("start", int(c.Start), -1, max(c.Vocab, 0)-1); err != nil {
		return err
	}
	if len(c.Layers) < 1 || len(c.Layers) > maxLayers {
		return fmt.Errorf("there are %d layers, must be 1 to %d", len(c.Layers), maxLayers)
	}
	for i := range c.Layers {
		if err := c.Layers[i].validate(); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	if len(c.Head) > 64 {
		return fmt.Errorf("there are %d linear layers, at most 64 may be", len(c.Head))
	}
	for i, h := range c.Head {
		if err := within(fmt.Sprintf("the size of linear layer %d", i), h.Size, 1, maxVocab); err != nil {
			return err
		}
		if _, ok := headActivations[h.Activation]; !ok {
			return fmt.Errorf("the activation %q of linear layer %d is not known", h.Activation, i)
		}
		if h.Fine && h.Activation != "" {
			return fmt.Errorf("linear layer %d is fine and has an activation: it may have one of them", i)
		}
	}
	switch c.Output {
	case OutputSteps, OutputLast, OutputState:
	default:
		return fmt.Errorf("output %q is not known", c.Output)
	}
	if !c.TiedOutput {
		return nil
	}
	into := c.Layers[len(c.Layers)-1].Width()
	if n := len(c.Head); n > 1 {
		into = c.Head[n-2].Size
	}
	if c.Vocab == 0 || len(c.Head) == 0 || c.Head[len(c.Head)-1].Size != c.Vocab || into != c.Input {
		return fmt.Errorf("tied_output needs a last linear layer from %d values to %d words", c.Input, c.Vocab)
	}
	return nil
}

func (l *RNNLayer) validate() error {
	switch {
	case l.Cell != CellRNN && l.Cell != CellLSTM && l.Cell != CellGRU:
		return fmt.Errorf("cell %q is not known", l.Cell)
	case l.Hidden < 1 || l.Hidden > 1<<15:
		return fmt.Errorf("hidden is %d, must be 1 to %d", l.Hidden, 1<<15)
	case l.Direction != directionForward && l.Direction != directionReverse && l.Direction != directionBoth:
		return fmt.Errorf("direction %q is not known", l.Direction)
	case l.Cell == CellRNN && l.Activation != "tanh" && l.Activation != "relu":
		return fmt.Errorf("activation %q is not known", l.Activation)
	case l.Cell != CellRNN && l.Activation != "":
		return fmt.Errorf("activation %q is for the cell rnn alone", l.Activation)
	case l.Cell != CellLSTM && (l.Projection != 0 || l.Peepholes || l.Coupled):
		return fmt.Errorf("projection, peepholes and coupled gates are for the cell lstm alone")
	case l.Projection < 0 || l.Projection >= l.Hidden && l.Projection != 0:
		return fmt.Errorf("projection is %d, must be below hidden, which is %d", l.Projection, l.Hidden)
	case l.Cell != CellGRU && l.ResetAfter:
		return fmt.Errorf("reset_after is for the cell gru alone")
	case !(l.Clip >= 0 && l.Clip < 1e30):
		return fmt.Errorf("clip is %g, must be 0 or positive", l.Clip)
	}
	return nil
}

// State is the number of values of one direction's output: Projection, or Hidden without one.
func (l *RNNLayer) State() int {
	if l.Projection > 0 {
		return l.Projection
	}
	return l.Hidden
}

// Directions is 1, or 2 for a bidirectional layer.
func (l *RNNLayer) Directions() int {
	if l.Direction == directionBoth {
		return 2
	}
	return 1
}

// Width is the number of values that the layer puts out a step: those of its directions, side by side.
func (l *RNNLayer) Width() int { return l.Directions() * l.State() }

// Gates is how many rows of weights each unit has.
func (l *RNNLayer) Gates() int {
	switch l.Cell {
	case CellLSTM:
		return 4
	case CellGRU:
		return 3
	}
	return 1
}

// Units is Hidden padded to 16, so that groups of units are whole.
func (l *RNNLayer) Units() int { return kernels.Pad16(l.Hidden) }

// GateRow is the row of the input matrix, and of its bias, that holds a gate of a unit: groups of 16 units, in them gate after
// gate. The gates of an LSTM are i, f, g, o, those of a GRU r, z, n. Where the reset gate of a GRU comes before the recurrent
// product, r and z make groups of 32 and all n follow: they are multiplied later, by a matrix of their own.
func (l *RNNLayer) GateRow(gate, unit int) int {
	gates := l.Gates()
	if l.Cell == CellGRU && !l.ResetAfter {
		if gate == 2 {
			return 2*l.Units() + unit
		}
		gates = 2
	}
	return unit/16*16*gates + gate*16 + unit%16
}

// OutputWidth is the number of values of one row of output.
func (c *RNNConfig) OutputWidth() int {
	if n := len(c.Head); n > 0 {
		return c.Head[n-1].Size
	}
	return c.Layers[len(c.Layers)-1].Width()
}

// Backward reports whether a layer reads from the end: such a model needs whole sequences.
func (c *RNNConfig) Backward() bool {
	for i := range c.Layers {
		if c.Layers[i].Direction != directionForward {
			return true
		}
	}
	return false
}
