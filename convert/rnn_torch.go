package convert

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/pickle"
	"github.com/edge-infer/edge-infer/convert/safetensors"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// A PyTorch state dict of nn.RNN, nn.LSTM and nn.GRU, with nn.Embedding before and nn.Linear behind. The names inside a recurrent
// module are PyTorch's own; the parts around it are recognised by their shapes, in the order of the file, or named by the map.

const (
	firstInput = "weight_ih_l0" // every recurrent module has it
	mapDo      = "say which tensors are what: --map rnn=PREFIX --map embed=NAME --map head.0=NAME"
)

// openTorchRNN reads a state dict; nil for one without a recurrent module that belongs to another reader.
func openTorchRNN(src string, o RNNOptions) (*rnnSource, error) {
	var ckpt *checkpoint.Checkpoint
	var err error
	if strings.EqualFold(filepath.Ext(src), ".safetensors") {
		ckpt, err = safetensors.Open(src)
	} else {
		ckpt, err = pickle.OpenTorch(src)
	}
	partOfFolder := filepath.Base(src) == "pytorch_model.bin" || filepath.Base(src) == "model.safetensors"
	if err != nil {
		if partOfFolder || strings.EqualFold(filepath.Ext(src), ".bin") {
			return nil, nil
		}
		return nil, err
	}
	prefixes := recurrentModules(ckpt)
	if len(prefixes) == 0 {
		ckpt.Close()
		if partOfFolder || filepath.Ext(src) == ".bin" {
			return nil, nil
		}
		return nil, failure(src, "has no recurrent module: no tensor's name ends in "+firstInput,
			"give a state dict with an nn.RNN, nn.LSTM or nn.GRU; for a Transformer, the folder that holds config.json")
	}
	s := &rnnSource{format: "PyTorch recurrent network, " + ckpt.Format, path: src, close: ckpt.Close}
	if err := s.torch(ckpt, prefixes, o); err != nil {
		ckpt.Close()
		return nil, err
	}
	return s, nil
}

// recurrentModules are the prefixes of the recurrent modules ("", "encoder.lstm."), in the order of the file.
func recurrentModules(c *checkpoint.Checkpoint) []string {
	var prefixes []string
	for _, name := range c.Names() {
		if prefix, ok := strings.CutSuffix(name, firstInput); ok && (prefix == "" || strings.HasSuffix(prefix, ".")) {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

func (s *rnnSource) torch(c *checkpoint.Checkpoint, prefixes []string, o RNNOptions) error {
	settings, settingsPath, err := readSettings(s.path, o)
	if err != nil {
		return err
	}
	if name, ok := settings.Map["rnn"]; ok {
		prefix := strings.TrimSuffix(name, ".") + "."
		if name == "" || !slices.Contains(prefixes, prefix) {
			return failure(s.path, fmt.Sprintf("has no recurrent module %q; it has %s", name, quoted(prefixes)), "")
		}
		prefixes = []string{prefix}
	}
	t := &torchRNN{s: s, c: c, used: map[string]bool{}, settings: settings}
	for _, prefix := range prefixes {
		if err := t.module(prefix); err != nil {
			return err
		}
	}
	s.config.Output = settings.Output
	if s.config.Output == "" {
		s.config.Output = runtime.OutputSteps
	}
	s.config.Softmax = settings.Softmax
	if err := t.around(prefixes[0]); err != nil {
		return err
	}
	for _, name := range c.Names() {
		if !t.used[name] {
			return &checkpoint.Error{File: s.path, Tensor: name, Offset: -1, Do: mapDo,
				Reason: fmt.Sprintf("of shape %v has no place in the models that this version runs", t.shape(name))}
		}
	}
	return s.finish(settings, settingsPath)
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = strconv.Quote(strings.TrimSuffix(n, "."))
	}
	return strings.Join(all, ", ")
}

// torchRNN is the reading of one state dict.
type torchRNN struct {
	s        *rnnSource
	c        *checkpoint.Checkpoint
	used     map[string]bool
	settings *rnnSettings
}

func (t *torchRNN) shape(name string) []int {
	if x, ok := t.c.Lookup(name); ok {
		return x.Shape
	}
	return nil
}

// floats reads a tensor whole and checks its shape, in which -1 stands for any size; a missing one is nil unless it is required.
func (t *torchRNN) floats(name string, required bool, shape ...int) ([]float32, error) {
	x, ok := t.c.Lookup(name)
	if !ok {
		if required {
			return nil, &checkpoint.Error{File: t.s.path, Tensor: name, Offset: -1, Reason: "is missing", Do: "the checkpoint is incomplete; save it again"}
		}
		return nil, nil
	}
	t.used[name] = true
	fits := len(x.Shape) == len(shape)
	for i := 0; fits && i < len(shape); i++ {
		fits = x.Shape[i] == shape[i] && shape[i] > 0
	}
	if !fits {
		return nil, &checkpoint.Error{File: t.s.path, Tensor: name, Offset: -1,
			Reason: fmt.Sprintf("has shape %v, must be %v", x.Shape, shape), Do: "the tensors belong to different models"}
	}
	return x.F32()
}

// module reads one nn.RNN, nn.LSTM or nn.GRU: which of them it is, the numbers of rows tell.
func (t *torchRNN) module(prefix string) error {
	s := t.s
	bad := func(format string, args ...any) error {
		return failure(s.path, fmt.Sprintf("the recurrent module %q ", strings.TrimSuffix(prefix, "."))+fmt.Sprintf(format, args...), "")
	}
	ih, hh := t.shape(prefix+firstInput), t.shape(prefix+"weight_hh_l0")
	if len(ih) != 2 || len(hh) != 2 || ih[0] != hh[0] || ih[0] < 1 || ih[1] < 1 || hh[1] < 1 {
		return bad("has weights of shapes %v and %v", ih, hh)
	}
	layer := runtime.RNNLayer{Hidden: hh[1]}
	gates := torchLSTM
	if hr := t.shape(prefix + "weight_hr_l0"); hr != nil {
		if len(hr) != 2 || hr[0] != hh[1] || hr[1] < 1 {
			return bad("has a projection of shape %v behind states of %d", hr, hh[1])
		}
		layer.Hidden, layer.Projection = hr[1], hr[0]
	}
	switch {
	case ih[0] == 4*layer.Hidden:
		layer.Cell = runtime.CellLSTM
	case ih[0] == 3*layer.Hidden:
		layer.Cell, layer.ResetAfter, gates = runtime.CellGRU, true, torchGRU
	case ih[0] == layer.Hidden:
		layer.Cell, layer.Activation, gates = runtime.CellRNN, "tanh", plainRNN
		if t.settings.Activation != "" {
			layer.Activation = t.settings.Activation
		} else {
			s.warnings = append(s.warnings, "a checkpoint of nn.RNN does not say whether it is tanh or relu; tanh is taken (\"activation\" in the settings)")
		}
	default:
		return bad("has %d rows of weights for %d units: neither RNN (1 a unit), GRU (3) nor LSTM (4)", ih[0], layer.Hidden)
	}
	both := t.shape(prefix+firstInput+"_reverse") != nil
	if both {
		layer.Direction = "bidirectional"
	}
	in := ih[1]
	if len(s.config.Layers) == 0 {
		s.config.Input = in
	} else if width := s.config.Layers[len(s.config.Layers)-1].Width(); width != in {
		return bad("takes %d values a step, and the module before it puts out %d; %s", in, width, mapDo)
	}
	for n := 0; t.shape(fmt.Sprintf("%sweight_ih_l%d", prefix, n)) != nil; n++ {
		i := len(s.config.Layers)
		s.config.Layers = append(s.config.Layers, layer)
		for d := range layer.Directions() {
			if err := t.direction(i, fmt.Sprintf("_l%d%s", n, []string{"", "_reverse"}[d]), prefix, d == 1, in, gates); err != nil {
				return err
			}
		}
		in = layer.Width()
	}
	return nil
}

func (t *torchRNN) direction(i int, suffix, prefix string, reverse bool, in int, gates []int) error {
	l := &t.s.config.Layers[i]
	w := &rnnWeights{gates: gates}
	var err error
	read := func(to *[]float32, name string, required bool, shape ...int) {
		if err == nil {
			*to, err = t.floats(prefix+name+suffix, required, shape...)
		}
	}
	rows := l.Gates() * l.Hidden
	read(&w.input, "weight_ih", true, rows, in)
	read(&w.recurrent, "weight_hh", true, rows, l.State())
	read(&w.inputBias, "bias_ih", false, rows)
	read(&w.recurrentBias, "bias_hh", w.inputBias != nil, rows)
	if l.Projection > 0 {
		read(&w.project, "weight_hr", true, l.Projection, l.Hidden)
	}
	if err != nil {
		return err
	}
	return t.s.direction(i, reverse, in, w)
}

// around finds the embedding before the recurrent modules and the linear layers behind them.
func (t *torchRNN) around(firstModule string) error {
	s := t.s
	var embed string
	var heads []string // names of weights
	seen := false
	for _, name := range t.c.Names() {
		if name == firstModule+firstInput {
			seen = true
		}
		x, _ := t.c.Lookup(name)
		if t.used[name] || len(x.Shape) != 2 {
			continue
		}
		_, hasBias := t.c.Lookup(strings.TrimSuffix(name, "weight") + "bias")
		if !seen && !hasBias && embed == "" && x.Shape[1] == s.config.Input {
			embed = name
		} else if seen {
			heads = append(heads, name)
		}
	}
	weight := func(name string) string {
		if _, ok := t.c.Lookup(name); ok {
			return name
		}
		return name + ".weight"
	}
	if name, ok := t.settings.Map["embed"]; ok {
		embed = weight(name)
	}
	for i := 0; ; i++ {
		name, ok := t.settings.Map[fmt.Sprintf("head.%d", i)]
		if !ok {
			break
		}
		if i == 0 {
			heads = nil
		}
		heads = append(heads, weight(name))
	}
	// An embedding registered after the module, or a classifier before it, would be taken for the other: the shapes must chain.
	var table *checkpoint.Tensor
	if embed != "" {
		var ok bool
		if table, ok = t.c.Lookup(embed); !ok || len(table.Shape) != 2 || table.Shape[1] != s.config.Input {
			return failure(s.path, fmt.Sprintf("the embedding %q of shape %v does not fit a recurrent module of %d inputs", embed, t.shape(embed), s.config.Input), mapDo)
		}
		t.used[embed] = true
		s.config.Vocab = table.Shape[0]
	}
	return t.heads(table, heads)
}

func (t *torchRNN) heads(table *checkpoint.Tensor, names []string) error {
	s := t.s
	in := s.config.Layers[len(s.config.Layers)-1].Width()
	type biased struct{ name, bias string }
	var added []biased
	for i, name := range names {
		w, ok := t.c.Lookup(name)
		if !ok || len(w.Shape) != 2 || w.Shape[1] != in {
			return failure(s.path, fmt.Sprintf("the linear layer %q of shape %v does not fit behind %d values", name, t.shape(name), in), mapDo)
		}
		t.used[name] = true
		if i == len(names)-1 && table != nil && w.SameData(table) {
			s.config.TiedOutput = true
		} else {
			s.addFrom(fmt.Sprintf("head.%d", i), modelfile.I8, modelfile.N16K4, w)
		}
		s.config.Head = append(s.config.Head, runtime.RNNHead{Size: w.Shape[0]})
		added = append(added, biased{fmt.Sprintf("head.%d.bias", i), strings.TrimSuffix(name, "weight") + "bias"})
		in = w.Shape[0]
	}
	// Safetensors keeps tied weights once: the output layer is then a bias without a matrix.
	for _, name := range t.c.Names() {
		x, _ := t.c.Lookup(name)
		prefix, ok := strings.CutSuffix(name, "bias")
		_, hasWeight := t.c.Lookup(prefix + "weight")
		if table != nil && ok && !hasWeight && !t.used[name] && len(x.Shape) == 1 && x.Shape[0] == s.config.Vocab && in == s.config.Input {
			added = append(added, biased{fmt.Sprintf("head.%d.bias", len(s.config.Head)), name})
			s.config.Head = append(s.config.Head, runtime.RNNHead{Size: s.config.Vocab})
			s.config.TiedOutput = true
			break
		}
	}
	for i, b := range added {
		if x, ok := t.c.Lookup(b.bias); ok {
			t.used[b.bias] = true
			if len(x.Shape) != 1 || x.Shape[0] != s.config.Head[i].Size {
				return failure(s.path, fmt.Sprintf("the bias %q has shape %v, must be [%d]", b.bias, x.Shape, s.config.Head[i].Size), "")
			}
			s.addFrom(b.name, modelfile.F32, modelfile.Rows, x)
		}
	}
	if table != nil {
		layout := modelfile.Rows
		if s.config.TiedOutput {
			layout = modelfile.N16K4
		}
		s.addFrom("embed", modelfile.I8, layout, table)
	}
	acts := t.settings.HeadActivations
	if len(acts) > len(s.config.Head) {
		return failure(s.path, fmt.Sprintf("has %d linear layers, and the settings name %d activations", len(s.config.Head), len(acts)), "")
	}
	for i, a := range acts {
		s.config.Head[i].Activation = a
	}
	if len(s.config.Head) > 1 && acts == nil {
		s.warnings = append(s.warnings, "a checkpoint does not say what stands between its linear layers; nothing is taken (\"head_activations\" in the settings)")
	}
	return nil
}
