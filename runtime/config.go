package runtime

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/edge-infer/edge-infer/kernels"
)

// TransformerConfig is the "config" object in the metadata of a file of family "transformer". The converter writes it,
// Open checks it against the tensors. Sizes are counts of elements, not bytes.
type TransformerConfig struct {
	EncoderLayers int `json:"encoder_layers"`
	DecoderLayers int `json:"decoder_layers"`
	Dim           int `json:"dim"`
	Heads         int `json:"heads"`
	FFN           int `json:"ffn"`
	SourceVocab   int `json:"source_vocab"`
	TargetVocab   int `json:"target_vocab"`
	MaxLen        int `json:"max_len"` // rows of the position tables; 0: no table, any length

	PreNorm    bool    `json:"pre_norm"`   // norm before each sublayer and once at the end; false: after each residual
	NormEps    float32 `json:"norm_eps"`   // 1e-5 where the source does not say
	Activation string  `json:"activation"` // of the feed-forward: relu, gelu, gelu_tanh, gelu_sigmoid, silu

	// DecoderMixer is how a target position learns of those before it: "" by self-attention, MixerSSRU by a recurrent state.
	DecoderMixer string `json:"decoder_mixer,omitempty"`

	EmbedScale       float32 `json:"embed_scale"`       // multiplies looked-up embeddings; sqrt(dim) or 1
	SharedEmbeddings bool    `json:"shared_embeddings"` // decoder.embed serves the encoder too
	TiedOutput       bool    `json:"tied_output"`       // decoder.embed is the output matrix

	SourcePrefix []int32 `json:"source_prefix,omitempty"` // ids put before every source sentence
	SourceEOS    bool    `json:"source_eos"`              // SourceEOSID is appended to every source sentence
	SourceEOSID  int32   `json:"source_eos_id"`
	DecoderStart int32   `json:"decoder_start"`      // -1: the first input is the zero embedding (plus its position)
	EOS          int32   `json:"eos"`                // ends a target sentence
	TargetUnk    int32   `json:"target_unk"`         // -1: none
	Suppress     []int32 `json:"suppress,omitempty"` // target ids that are never produced (Marian's bad words)

	// TargetPrefix are ids that every target sentence begins with, and which are no part of the translation: a language's mark.
	TargetPrefix []int32 `json:"target_prefix,omitempty"`

	// BadWords are target ids that do not follow one another like this, unless Options.AllowBadWords says otherwise.
	BadWords [][]int32 `json:"bad_words,omitempty"`
	// Generation is how the model's makers search with it; Model.Defaults gives it.
	Generation *Generation `json:"generation,omitempty"`
}

// Generation is a part of Options, under the same names. What is 0 was not said.
type Generation struct {
	Beam              int     `json:"beam,omitempty"`
	LengthPenalty     float32 `json:"length_penalty,omitempty"`
	MinTarget         int     `json:"min_target,omitempty"`
	MaxTarget         int     `json:"max_target,omitempty"`
	NoRepeatNgram     int     `json:"no_repeat_ngram,omitempty"`
	RepetitionPenalty float32 `json:"repetition_penalty,omitempty"`
}

// Defaults are the options with which the model's makers search: the beams and the length penalty of a generation_config.json. Of a
// model that says nothing they are the zero value. A maximum length above the default is left out: it would only take memory.
func (m *Model) Defaults() Options {
	if m.transformer == nil || m.transformer.cfg.Generation == nil {
		return Options{}
	}
	g := m.transformer.cfg.Generation
	o := Options{Beam: g.Beam, LengthPenalty: g.LengthPenalty, MinTarget: g.MinTarget, NoRepeatNgram: g.NoRepeatNgram, RepetitionPenalty: g.RepetitionPenalty}
	if g.MaxTarget < defaultMaxLen {
		o.MaxTarget = g.MaxTarget
	}
	return o
}

// MixerSSRU is the simpler simple recurrent unit, which a Firefox (Bergamot) model's decoder has instead of self-attention; see ssru.go.
const MixerSSRU = "ssru"

// activations maps the names in TransformerConfig.Activation to the kernels' epilogues.
var activations = map[string]kernels.Activation{
	"relu":         kernels.ActReLU,
	"gelu":         kernels.ActGELU,
	"gelu_tanh":    kernels.ActGELUTanh,
	"gelu_sigmoid": kernels.ActGELUSigmoid,
	"silu":         kernels.ActSiLU,
}

// Limits on what a file may claim. They are far above every known model and keep products of sizes inside int64.
const (
	maxLayers = 1 << 10
	maxDim    = 1 << 17 // int32 sums are exact up to K = 131,071
	maxVocab  = 1 << 24
)

// ParseTransformerConfig decodes and checks the config object alone; the tensors are checked by Open.
func ParseTransformerConfig(raw json.RawMessage) (*TransformerConfig, error) {
	c := &TransformerConfig{}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

func (c *TransformerConfig) validate() error {
	check := func(name string, v, lo, hi int) error {
		if v < lo || v > hi {
			return fmt.Errorf("%s is %d, must be %d to %d", name, v, lo, hi)
		}
		return nil
	}
	for _, f := range []struct {
		name      string
		v, lo, hi int
	}{
		{"encoder_layers", c.EncoderLayers, 1, maxLayers},
		{"decoder_layers", c.DecoderLayers, 1, maxLayers},
		{"dim", c.Dim, 16, maxDim - 16},
		{"heads", c.Heads, 1, c.Dim},
		{"ffn", c.FFN, 1, maxDim - 16},
		{"source_vocab", c.SourceVocab, 1, maxVocab},
		{"target_vocab", c.TargetVocab, 2, maxVocab},
		{"max_len", c.MaxLen, 0, 1 << 20},
		{"decoder_start", int(c.DecoderStart), -1, c.TargetVocab - 1},
		{"eos", int(c.EOS), 0, c.TargetVocab - 1},
		{"source_eos_id", int(c.SourceEOSID), 0, c.SourceVocab - 1},
		{"target_unk", int(c.TargetUnk), -1, c.TargetVocab - 1},
	} {
		if err := check(f.name, f.v, f.lo, f.hi); err != nil {
			return err
		}
	}
	if c.Dim%16 != 0 || c.Dim%c.Heads != 0 {
		return fmt.Errorf("dim %d must be a multiple of 16 and of heads %d", c.Dim, c.Heads)
	}
	if _, ok := activations[c.Activation]; !ok {
		return fmt.Errorf("activation %q is not known", c.Activation)
	}
	if c.DecoderMixer != "" && c.DecoderMixer != MixerSSRU {
		return fmt.Errorf("decoder_mixer %q is not known", c.DecoderMixer)
	}
	if !(c.NormEps > 0 && c.NormEps < 1) {
		return fmt.Errorf("norm_eps is %g, must be between 0 and 1", c.NormEps)
	}
	if !(c.EmbedScale > 0 && c.EmbedScale < 1e6) {
		return fmt.Errorf("embed_scale is %g, must be positive", c.EmbedScale)
	}
	for _, id := range c.SourcePrefix {
		if id < 0 || int(id) >= c.SourceVocab {
			return fmt.Errorf("source_prefix names token %d of %d", id, c.SourceVocab)
		}
	}
	for _, id := range c.Suppress {
		if id < 0 || int(id) >= c.TargetVocab {
			return fmt.Errorf("suppress names token %d of %d", id, c.TargetVocab)
		}
	}
	for _, ids := range c.BadWords {
		if len(ids) == 0 {
			return errors.New("bad_words has one without tokens")
		}
		for _, id := range ids {
			if id < 0 || int(id) >= c.TargetVocab {
				return fmt.Errorf("bad_words names token %d of %d", id, c.TargetVocab)
			}
		}
	}
	for _, id := range c.TargetPrefix {
		if id < 0 || int(id) >= c.TargetVocab || id == c.EOS {
			return fmt.Errorf("target_prefix names token %d of %d, or the end", id, c.TargetVocab)
		}
	}
	if c.Generation != nil {
		if _, err := (&Model{transformer: &transformer{cfg: c}}).Defaults().withDefaults(1 << 20); err != nil {
			return fmt.Errorf("generation: %w", err)
		}
	}
	return nil
}
