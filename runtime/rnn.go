package runtime

import (
	"fmt"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// Recurrent networks: RNN, LSTM and GRU.
//
//	config -> weights   rnn_config.go, this file
//	state -> forward    stream.go: one step or whole sequences, layer by layer
//	words               complete.go: text in, the next words out
//
// Matrices are int8, gates and state float32. The order of sums is (input part + bias) + recurrent part.

// rnn is the Model's read-only view of a file of family "rnn": every slice points into the map.
type rnn struct {
	cfg    *RNNConfig
	embed  embedding // Vocab > 0
	layers []rnnLayer
	head   []linear
	rest   []linear             // head without its biases, for the second part of a fine layer's input
	acts   []kernels.Activation // of head
	tokens *text.Tokenizer      // nil: the input is values or bare ids
}

// rnnLayer is one layer: its forward direction, its reverse one, or both in that order.
type rnnLayer struct {
	*RNNLayer
	directions []rnnDirection
}

// rnnDirection holds the weights of one direction of one layer. See RNNLayer.GateRow for the order of rows.
type rnnDirection struct {
	reverse   bool
	input     linear // [gates*units, in]; all biases but one: see recurrent
	recurrent linear // [gates*units, state]; with a bias in a GRU with ResetAfter; [2*units, state] in one without
	candidate linear // [hidden, state] of a GRU without ResetAfter
	project   linear // [Projection, hidden]
	peephole  []float32
	h0, c0    []float32 // initial state; nil: zeros
}

func (m *Model) bindRNN() error {
	path := m.file.Path()
	cfg, err := ParseRNNConfig(m.file.Meta().Config)
	if err != nil {
		return &ModelError{path, "", err.Error()}
	}
	if m.rnn, err = bindRNN(m.file, cfg); err != nil {
		return err
	}
	if image := m.file.Section(modelfile.SectionTokenizerSource); image != nil {
		m.file.Ahead(image)
		if m.rnn.tokens, err = text.Open(image); err != nil {
			return &ModelError{path, "tokenizer", err.Error()}
		}
		if n := m.rnn.tokens.Size(); n > cfg.Vocab {
			return &ModelError{path, "tokenizer", fmt.Sprintf("has %d tokens, the model %d", n, cfg.Vocab)}
		}
	}
	return nil
}

// bindRNN checks that the file holds exactly the tensors that its config demands.
func bindRNN(file *modelfile.File, cfg *RNNConfig) (*rnn, error) {
	b := &binder{file: file, used: map[string]bool{}}
	r := &rnn{cfg: cfg}
	if cfg.Vocab > 0 {
		layout := modelfile.Rows
		if cfg.TiedOutput {
			layout = modelfile.N16K4
		}
		r.embed = b.embedding("embed", cfg.Vocab, cfg.Input, layout, 1)
	}
	in := cfg.Input
	for i := range cfg.Layers {
		l := rnnLayer{RNNLayer: &cfg.Layers[i]}
		name := fmt.Sprintf("layers.%d", i)
		if l.Direction != directionReverse {
			l.directions = append(l.directions, b.rnnDirection(name, l.RNNLayer, in, false))
		}
		if l.Direction != directionForward {
			l.directions = append(l.directions, b.rnnDirection(name+".reverse", l.RNNLayer, in, true))
		}
		r.layers = append(r.layers, l)
		if in = l.Width(); in >= maxDim-16 {
			return nil, &ModelError{file.Path(), name, fmt.Sprintf("puts out %d values, at most %d may be", in, maxDim-17)}
		}
	}
	for i, h := range cfg.Head {
		name := fmt.Sprintf("head.%d", i)
		if cfg.TiedOutput && i == len(cfg.Head)-1 {
			r.head = append(r.head, b.linear("embed", cfg.Vocab, cfg.Input))
			r.head[i].Bias = b.floats(name+".bias", false, h.Size)
		} else {
			r.head = append(r.head, b.linear(name, h.Size, in))
		}
		r.rest = append(r.rest, r.head[i])
		r.rest[i].Bias = nil
		r.acts = append(r.acts, headActivations[h.Activation])
		if in = h.Size; in >= maxDim-16 && i < len(cfg.Head)-1 {
			return nil, &ModelError{file.Path(), name, fmt.Sprintf("puts out %d values, at most %d may follow", in, maxDim-17)}
		}
	}
	for _, t := range file.Tensors() {
		if !b.used[t.Name] {
			b.fail(t.Name, "is not part of this model")
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return r, nil
}

func (b *binder) rnnDirection(name string, l *RNNLayer, in int, reverse bool) rnnDirection {
	units, gates, state := l.Units(), l.Gates(), l.State()
	d := rnnDirection{reverse: reverse, input: b.linear(name+".input", gates*units, in)}
	switch {
	case l.Cell == CellGRU && !l.ResetAfter:
		d.recurrent = b.linear(name+".recurrent", 2*units, state)
		d.candidate = b.linear(name+".candidate", l.Hidden, state)
	default:
		d.recurrent = b.linear(name+".recurrent", gates*units, state)
	}
	if d.recurrent.Bias != nil && !(l.Cell == CellGRU && l.ResetAfter) || d.candidate.Bias != nil {
		b.fail(name+".recurrent.bias", "must be part of the input's bias here")
	}
	if l.Peepholes {
		d.peephole = b.floats(name+".peephole", true, 3*units)
	}
	if l.Projection > 0 {
		if d.project = b.linear(name+".project", l.Projection, l.Hidden); d.project.Bias != nil {
			b.fail(name+".project.bias", "is not part of this model")
		}
	}
	d.h0 = b.floats(name+".initial.h", false, state)
	if l.Cell == CellLSTM {
		d.c0 = b.floats(name+".initial.c", false, l.Hidden)
	}
	return d
}

// RNNConfig gives a recurrent network's architecture, nil for other families. It must not be changed.
func (m *Model) RNNConfig() *RNNConfig {
	if m.rnn == nil {
		return nil
	}
	return m.rnn.cfg
}

// Words gives a recurrent network's tokenizer, nil for other families and for models of bare numbers.
func (m *Model) Words() *text.Tokenizer {
	if m.rnn == nil {
		return nil
	}
	return m.rnn.tokens
}
