package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// RNNOptions are the part of Options that only recurrent networks look at.
type RNNOptions struct {
	// Settings is a JSON file that says what a checkpoint does not; "": the one beside it with its name and .json, if there is one.
	Settings string
	// Map says which of the source's names play which part: "rnn=decoder.lstm", "embed=tokens", "head.0=classifier".
	Map []string
}

// rnnSettings is the content of that JSON file. Everything may be left out.
type rnnSettings struct {
	Activation      string            `json:"activation"`       // of nn.RNN: tanh (its default) or relu
	HeadActivations []string          `json:"head_activations"` // one for each linear layer behind; "": none
	Fine            bool              `json:"fine"`             // the last linear layer takes its input as two int8
	Output          string            `json:"output"`           // steps (default), last or state
	Softmax         bool              `json:"softmax"`
	Tokenizer       string            `json:"tokenizer"`  // words, chars, tokens (with spaces between) or sentencepiece
	Vocabulary      string            `json:"vocabulary"` // file: a token a line, or JSON; of sentencepiece its model
	Start           string            `json:"start"`      // token that comes before every text
	Map             map[string]string `json:"map"`        // as RNNOptions.Map
}

// rnnSource is a recurrent network that has been understood. Its recurrent matrices are in memory, in the order of an .ei8; tables
// of words stay in their file.
type rnnSource struct {
	format, path string
	config       runtime.RNNConfig
	tensors      []tensor
	tokenizer    []byte
	warnings     []string
	close        func() error
}

// openRNN reads a recurrent network; nil for a source that is something else.
func openRNN(src string, o RNNOptions) (*rnnSource, error) {
	info, err := os.Stat(src)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil // the other readers say what is wrong
	}
	switch strings.ToLower(filepath.Ext(src)) {
	case ".pt", ".pth", ".bin", ".safetensors":
		return openTorchRNN(src, o)
	case ".onnx":
		return openONNXRNN(src, o)
	}
	return nil, nil
}

// convertRNN writes src as an .ei8 of family "rnn". On any error, and when ctx ends, no file is left behind.
func convertRNN(ctx context.Context, dst string, src *rnnSource, o Options) (*Report, error) {
	started := time.Now()
	defer src.close()
	raw, err := json.Marshal(&src.config)
	if err != nil {
		return nil, err
	}
	if _, err := runtime.ParseRNNConfig(raw); err != nil {
		return nil, failure(src.path, err.Error(), "the model is of a shape that edge-infer cannot run")
	}
	meta := &modelfile.Meta{
		Name: o.Name, Family: runtime.FamilyRNN, Languages: modelfile.Languages{From: o.From, To: o.To}, Licence: o.Licence,
		Attributions: o.Attributions, Source: o.Source, Tool: "edge-infer " + runtime.Version, Config: raw,
	}
	if meta.Name == "" {
		meta.Name = strings.TrimSuffix(filepath.Base(src.path), filepath.Ext(src.path))
	}
	var sections []modelfile.SectionData
	if src.tokenizer != nil {
		sections = append(sections, modelfile.SectionData{Kind: modelfile.SectionTokenizerSource, Data: src.tokenizer})
	}
	report := &Report{Format: src.format, Source: src.path, Path: dst, Warnings: src.warnings}
	if err := write(ctx, &source{tensors: src.tensors}, dst, meta, sections, o, report); err != nil {
		return nil, err
	}
	info, err := os.Stat(dst)
	if err != nil {
		return nil, err
	}
	report.FileBytes, report.Duration = info.Size(), time.Since(started)
	return report, nil
}

// rnnWeights are the weights of one direction of one layer as the source has them: gates one after another, hidden rows each.
type rnnWeights struct {
	input, recurrent         []float32 // [gates*hidden, in], [gates*hidden, state]
	inputBias, recurrentBias []float32 // gates*hidden each; nil: zeros
	gates                    []int     // where the source keeps our gates: i, f, g, o of an LSTM, r, z, n of a GRU
	peephole                 []float32 // 3*hidden
	peepholes                []int     // where the source keeps our peepholes: i, f, o
	project                  []float32 // [projection, hidden]
	h0, c0                   []float32
}

// The orders of gates, see rnnWeights.gates.
var (
	torchLSTM     = []int{0, 1, 2, 3} // i, f, g, o
	torchGRU      = []int{0, 1, 2}    // r, z, n
	onnxLSTM      = []int{0, 2, 3, 1} // i, o, f, c
	onnxPeepholes = []int{0, 2, 1}    // i, o, f
	onnxGRU       = []int{1, 0, 2}    // z, r, h
	plainRNN      = []int{0}
)

// direction adds the tensors of one direction of layer i, whose rows RNNLayer.GateRow orders. The two biases of a gate are one,
// but for the candidate of a GRU with ResetAfter, whose recurrent bias the reset gate multiplies.
func (s *rnnSource) direction(i int, reverse bool, in int, w *rnnWeights) error {
	l := &s.config.Layers[i]
	name := fmt.Sprintf("layers.%d", i)
	if reverse {
		name += ".reverse"
	}
	hidden, state, rows := l.Hidden, l.State(), l.Gates()*l.Units()
	input, bias := make([]float32, rows*in), make([]float32, rows)
	recurrentRows, candidate := rows, []float32(nil)
	if l.Cell == runtime.CellGRU && !l.ResetAfter {
		recurrentRows, candidate = 2*l.Units(), make([]float32, hidden*state)
	}
	recurrent, recurrentBias := make([]float32, recurrentRows*state), []float32(nil)
	if l.ResetAfter && w.recurrentBias != nil {
		recurrentBias = make([]float32, rows)
	}
	for gate := range l.Gates() {
		for u := range hidden {
			from, to := w.gates[gate]*hidden+u, l.GateRow(gate, u)
			copy(input[to*in:(to+1)*in], w.input[from*in:])
			if gate == 2 && candidate != nil {
				copy(candidate[u*state:(u+1)*state], w.recurrent[from*state:])
			} else {
				copy(recurrent[to*state:(to+1)*state], w.recurrent[from*state:])
			}
			if w.inputBias != nil {
				bias[to] = w.inputBias[from]
			}
			if w.recurrentBias == nil {
				continue
			}
			if recurrentBias != nil && gate == 2 {
				recurrentBias[to] = w.recurrentBias[from]
			} else {
				bias[to] += w.recurrentBias[from]
			}
		}
	}
	add := func(part string, dtype modelfile.DType, values []float32, shape ...int) error {
		if values == nil {
			return nil
		}
		return s.add(name+part, dtype, values, shape...)
	}
	var peephole []float32
	if w.peephole != nil {
		peephole = make([]float32, 3*l.Units())
		for p, from := range w.peepholes {
			for u := range hidden {
				peephole[u/16*48+p*16+u%16] = w.peephole[from*hidden+u]
			}
		}
	}
	if w.inputBias == nil && w.recurrentBias == nil {
		bias = nil
	}
	for _, err := range []error{
		add(".input", modelfile.I8, input, rows, in),
		add(".input.bias", modelfile.F32, bias, rows),
		add(".recurrent", modelfile.I8, recurrent, recurrentRows, state),
		add(".recurrent.bias", modelfile.F32, recurrentBias, rows),
		add(".candidate", modelfile.I8, candidate, hidden, state),
		add(".peephole", modelfile.F32, peephole, 3*l.Units()),
		add(".project", modelfile.I8, w.project, l.Projection, hidden),
		add(".initial.h", modelfile.F32, w.h0, state),
		add(".initial.c", modelfile.F32, w.c0, hidden),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// add adds a tensor whose numbers are in memory.
func (s *rnnSource) add(name string, dtype modelfile.DType, values []float32, shape ...int) error {
	t := tensor{spec: modelfile.TensorSpec{Name: name, DType: dtype, Layout: modelfile.Rows, Shape: shape}}
	if dtype == modelfile.I8 {
		t.spec.Layout = modelfile.N16K4
	}
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	from, err := checkpoint.NewTensor(s.path, name, checkpoint.F32, shape, checkpoint.Layout{Source: bytes.NewReader(raw), Limit: int64(len(raw))})
	if err != nil {
		return err
	}
	t.parts = []part{{from, shape[0]}}
	s.tensors = append(s.tensors, t)
	return nil
}

// addFrom adds a tensor that stays in its file.
func (s *rnnSource) addFrom(name string, dtype modelfile.DType, layout modelfile.Layout, from *checkpoint.Tensor) {
	spec := modelfile.TensorSpec{Name: name, DType: dtype, Layout: layout, Shape: from.Shape}
	s.tensors = append(s.tensors, tensor{spec: spec, parts: []part{{from, from.Shape[0]}}})
}

// readSettings reads the JSON file beside the checkpoint, or the one that the options name.
func readSettings(src string, o RNNOptions) (*rnnSettings, string, error) {
	settings, path := &rnnSettings{}, o.Settings
	if path == "" {
		path = strings.TrimSuffix(src, filepath.Ext(src)) + ".json"
		if _, err := os.Stat(path); err != nil {
			path = ""
		}
	}
	if path != "" {
		raw, err := readSmall(path)
		if err != nil {
			return nil, "", err
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields() // a misspelt setting must not be ignored
		if err := decoder.Decode(settings); err != nil {
			return nil, "", failure(path, "is not the JSON of settings that it should be: "+err.Error(), "README.md lists what may be set")
		}
	}
	if settings.Map == nil {
		settings.Map = map[string]string{}
	}
	for _, pair := range o.Map {
		ours, theirs, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, "", failure(src, fmt.Sprintf("the map %q is not OURS=THEIRS", pair), "write it like rnn=decoder.lstm")
		}
		settings.Map[ours] = theirs
	}
	return settings, path, nil
}

// finish does what the settings say of the whole model; path is where they come from.
func (s *rnnSource) finish(settings *rnnSettings, path string) error {
	if settings.Fine {
		n := len(s.config.Head)
		if n == 0 {
			return failure(path, "says \"fine\" of a model without a linear layer", "leave it out")
		}
		s.config.Head[n-1].Fine = true
	}
	return s.words(settings, path)
}

// words makes the tokenizer that the settings name; path is where they come from, and relative names start there.
func (s *rnnSource) words(settings *rnnSettings, path string) error {
	s.config.Start = -1
	if settings.Vocabulary == "" {
		if settings.Tokenizer != "" || settings.Start != "" {
			return failure(path, "names a tokenizer without a vocabulary", "say \"vocabulary\": \"vocab.txt\"")
		}
		if s.config.Vocab > 0 {
			s.warnings = append(s.warnings, "no vocabulary is given: the model takes numbers of tokens, not text")
		}
		return nil
	}
	if s.config.Vocab == 0 {
		return failure(path, "gives a vocabulary to a model without an embedding", "leave it out, or name the embedding with --map embed=NAME")
	}
	file := settings.Vocabulary
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(path), file)
	}
	raw, err := readSmall(file)
	if err != nil {
		return err
	}
	if settings.Tokenizer == "sentencepiece" {
		if s.tokenizer, err = text.Build(raw, nil); err != nil {
			return failure(file, err.Error(), "")
		}
	} else {
		tokens, err := readWords(file, raw)
		if err != nil {
			return err
		}
		build := map[string]func([]string) ([]byte, error){"": text.BuildWords, "words": text.BuildWords, "chars": text.BuildChars, "tokens": text.BuildTokens}[settings.Tokenizer]
		if build == nil {
			return failure(path, fmt.Sprintf("names the tokenizer %q, which is not known", settings.Tokenizer), "words, chars, tokens and sentencepiece are")
		}
		if s.tokenizer, err = build(tokens); err != nil {
			return failure(file, err.Error(), "")
		}
	}
	tokenizer, err := text.Open(s.tokenizer)
	if err != nil {
		return err
	}
	if n := tokenizer.Size(); n > s.config.Vocab {
		return failure(file, fmt.Sprintf("has %d tokens, the embedding %d rows", n, s.config.Vocab), "the vocabulary belongs to another model")
	}
	if settings.Start != "" {
		id, ok := tokenizer.ID(settings.Start)
		if !ok {
			return failure(path, fmt.Sprintf("starts texts with %q, which is not in the vocabulary", settings.Start), "")
		}
		s.config.Start = id
	}
	return nil
}

// readWords reads tokens in the order of their ids: a line each, a JSON list, or a JSON object of token and id.
func readWords(path string, raw []byte) ([]string, error) {
	bad := func(format string, args ...any) ([]string, error) {
		return nil, failure(path, fmt.Sprintf(format, args...), "a vocabulary is a token a line, a JSON list of tokens, or a JSON object from token to number")
	}
	var list []string
	var ids map[string]int
	if trimmed := bytes.TrimSpace(raw); strings.HasSuffix(path, ".json") && len(trimmed) > 0 && trimmed[0] == '{' {
		if err := json.Unmarshal(raw, &ids); err != nil {
			return bad("is not the JSON it should be: %v", err)
		}
		list = make([]string, len(ids))
		taken := make([]bool, len(ids))
		for token, id := range ids {
			if id < 0 || id >= len(ids) || taken[id] {
				return bad("gives %q the number %d; %d tokens have the numbers from 0, each once", token, id, len(ids))
			}
			list[id], taken[id] = token, true
		}
	} else if strings.HasSuffix(path, ".json") {
		if err := json.Unmarshal(raw, &list); err != nil {
			return bad("is not the JSON it should be: %v", err)
		}
	} else {
		lines := strings.TrimSuffix(string(raw), "\n")
		if lines != "" && strings.Count(lines, "\r\n") == strings.Count(lines, "\n") {
			lines = strings.ReplaceAll(strings.TrimSuffix(lines, "\r"), "\r\n", "\n")
		}
		list = strings.Split(lines, "\n")
	}
	if len(list) == 0 || len(list) == 1 && list[0] == "" {
		return bad("has no tokens")
	}
	return list, nil
}
