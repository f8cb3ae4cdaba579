package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/edge-infer/edge-infer/quant"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// tinyConfig is a model of one layer a side and four tokens, small enough to write by hand in a test.
func tinyConfig() edge.TransformerConfig {
	return edge.TransformerConfig{
		EncoderLayers: 1, DecoderLayers: 1, Dim: 16, Heads: 2, FFN: 20, SourceVocab: 4, TargetVocab: 4, MaxLen: 32,
		PreNorm: true, NormEps: 1e-5, Activation: "gelu", EmbedScale: 4, TiedOutput: true,
		SourceEOS: true, DecoderStart: -1, TargetUnk: -1,
	}
}

// tinyTensors are the tensors that tinyConfig demands.
func tinyTensors() []modelfile.TensorSpec {
	specs := []modelfile.TensorSpec{
		{Name: "encoder.embed", DType: modelfile.I8, Layout: modelfile.Rows, Shape: []int{4, 16}},
		{Name: "encoder.positions", DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{32, 16}},
		{Name: "decoder.embed", DType: modelfile.I8, Layout: modelfile.N16K4, Shape: []int{4, 16}},
	}
	matrix := func(name string, rows, cols int) {
		specs = append(specs, modelfile.TensorSpec{Name: name, DType: modelfile.I8, Layout: modelfile.N16K4, Shape: []int{rows, cols}})
	}
	vector := func(name string) {
		specs = append(specs, modelfile.TensorSpec{Name: name, DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{16}})
	}
	for _, side := range []string{"encoder", "decoder"} {
		p := side + ".layers.0."
		matrix(p+"self.qkv", 48, 16)
		matrix(p+"self.out", 16, 16)
		matrix(p+"ffn.in", 20, 16)
		matrix(p+"ffn.out", 16, 20)
		norms := []string{p + "self.norm", p + "ffn.norm", side + ".norm"}
		if side == "decoder" {
			matrix(p+"cross.q", 16, 16)
			matrix(p+"cross.kv", 32, 16)
			matrix(p+"cross.out", 16, 16)
			norms = append(norms, p+"cross.norm")
		}
		for _, n := range norms {
			vector(n + ".gamma")
			vector(n + ".beta")
		}
	}
	return specs
}

// writeTiny writes a model of the given tensors with random values; change, if any, may overwrite a tensor's.
func writeTiny(path string, meta *modelfile.Meta, specs []modelfile.TensorSpec, images map[modelfile.Kind][]byte,
	change func(tensor string, values []float32)) error {
	if images[modelfile.SectionTokenizerSource] == nil {
		images = maps.Clone(images)
		if images == nil {
			images = map[modelfile.Kind][]byte{}
		}
		image, err := text.BuildTokens([]string{"</s>", "a", "b", "c"})
		if err != nil {
			return err
		}
		images[modelfile.SectionTokenizerSource] = image
	}
	var sections []modelfile.SectionData
	for _, kind := range []modelfile.Kind{modelfile.SectionTokenizerSource, modelfile.SectionTokenizerTarget, modelfile.SectionShortlist} {
		if image := images[kind]; image != nil {
			sections = append(sections, modelfile.SectionData{Kind: kind, Data: image})
		}
	}
	w, err := modelfile.Create(path, meta, sections, specs, true)
	if err != nil {
		return err
	}
	defer w.Abort()
	random := rand.New(rand.NewSource(1))
	for i := range specs {
		s := &specs[i]
		values := make([]float32, s.Rows()*s.Cols())
		for j := range values {
			values[j] = float32(random.NormFloat64()) / 4
		}
		if change != nil {
			change(s.Name, values)
		}
		var data []byte
		var scale []float32
		var sum []int32
		switch {
		case s.DType == modelfile.F32:
			padded := make([]float32, s.Rows()*s.PaddedCols())
			for r := range s.Rows() {
				copy(padded[r*s.PaddedCols():], values[r*s.Cols():][:s.Cols()])
			}
			data = unsafe.Slice((*byte)(unsafe.Pointer(&padded[0])), len(padded)*4)
		case s.Layout == modelfile.N16K4:
			m, err := quant.Pack(values, s.Cols())
			if err != nil {
				return err
			}
			data = unsafe.Slice((*byte)(unsafe.Pointer(&m.Data[0])), len(m.Data))
			scale, sum = m.Scale, m.Sum
		default:
			q := make([]int8, s.Rows()*s.PaddedCols())
			scale = make([]float32, s.Rows())
			for r := range s.Rows() {
				if scale[r], err = quant.QuantizeRow(q[r*s.PaddedCols():][:s.Cols()], values[r*s.Cols():][:s.Cols()]); err != nil {
					return err
				}
			}
			data = unsafe.Slice((*byte)(unsafe.Pointer(&q[0])), len(q))
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Finish(scale, sum); err != nil {
			return err
		}
	}
	return w.Close()
}

func tinyMeta(t testing.TB, c edge.TransformerConfig) *modelfile.Meta {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return &modelfile.Meta{Name: "tiny", Family: edge.FamilyTransformer, Config: raw}
}

// tinyModel opens a random tiny model, after change (if any) has had its way with config and tensors.
func tinyModel(t testing.TB, config func(*edge.TransformerConfig), tensors func([]modelfile.TensorSpec) []modelfile.TensorSpec,
	images map[modelfile.Kind][]byte) *edge.Model {
	t.Helper()
	m, err := openTiny(t, config, tensors, images)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func openTiny(t testing.TB, config func(*edge.TransformerConfig), tensors func([]modelfile.TensorSpec) []modelfile.TensorSpec,
	images map[modelfile.Kind][]byte) (*edge.Model, error) {
	t.Helper()
	c, specs := tinyConfig(), tinyTensors()
	if config != nil {
		config(&c)
	}
	if tensors != nil {
		specs = tensors(specs)
	}
	path := filepath.Join(t.TempDir(), "tiny.ei8")
	if err := writeTiny(path, tinyMeta(t, c), specs, images, nil); err != nil {
		t.Fatal(err)
	}
	return edge.Open(path)
}

// An intact file whose tensors or numbers do not fit its config is refused by name, before anything runs.
func TestModelsThatDoNotFit(t *testing.T) {
	tinyModel(t, nil, nil, nil) // the unchanged one opens
	type specs = []modelfile.TensorSpec
	find := func(s specs, name string) *modelfile.TensorSpec {
		for i := range s {
			if s[i].Name == name {
				return &s[i]
			}
		}
		t.Fatalf("no tensor %q", name)
		return nil
	}
	for _, c := range []struct {
		want    string
		config  func(*edge.TransformerConfig)
		tensors func(specs) specs
	}{
		{"tensor encoder.embed: is missing", nil, func(s specs) specs { return s[1:] }},
		{"tensor spare: is not part of this model", nil, func(s specs) specs {
			return append(s, modelfile.TensorSpec{Name: "spare", DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{4}})
		}},
		{"encoder.layers.0.self.qkv: has shape [48 32], must be [48 16]", nil, func(s specs) specs {
			find(s, "encoder.layers.0.self.qkv").Shape = []int{48, 32}
			return s
		}},
		{"decoder.embed: has type i8 in layout rows, must be i8 in n16k4", nil, func(s specs) specs {
			find(s, "decoder.embed").Layout = modelfile.Rows
			return s
		}},
		{"decoder.norm.gamma: has shape [4 4], must be [16]", nil, func(s specs) specs {
			find(s, "decoder.norm.gamma").Shape = []int{4, 4}
			return s
		}},
		{"encoder.layers.1.self.qkv: is missing", func(c *edge.TransformerConfig) { c.EncoderLayers = 2 }, nil},
		{"decoder.out: is missing", func(c *edge.TransformerConfig) { c.TiedOutput = false }, func(s specs) specs {
			find(s, "decoder.embed").Layout = modelfile.Rows
			return s
		}},
		{"the vocabularies have 5 and 4 tokens", func(c *edge.TransformerConfig) { c.SharedEmbeddings, c.SourceVocab = true, 5 }, nil},
		{"source tokenizer: has 4 tokens, the model 3", func(c *edge.TransformerConfig) { c.SourceVocab = 3 }, func(s specs) specs {
			find(s, "encoder.embed").Shape[0] = 3
			return s
		}},
		{"encoder_layers is 0", func(c *edge.TransformerConfig) { c.EncoderLayers = 0 }, nil},
		{"encoder_layers is 1048576", func(c *edge.TransformerConfig) { c.EncoderLayers = 1 << 20 }, nil},
		{"dim 24 must be a multiple of 16", func(c *edge.TransformerConfig) { c.Dim = 24 }, nil},
		{"of heads 3", func(c *edge.TransformerConfig) { c.Heads = 3 }, nil},
		{`activation "maxout" is not known`, func(c *edge.TransformerConfig) { c.Activation = "maxout" }, nil},
		{`decoder_mixer "magic" is not known`, func(c *edge.TransformerConfig) { c.DecoderMixer = "magic" }, nil},
		{"norm_eps is 0", func(c *edge.TransformerConfig) { c.NormEps = 0 }, nil},
		{"embed_scale is -1", func(c *edge.TransformerConfig) { c.EmbedScale = -1 }, nil},
		{"eos is 4", func(c *edge.TransformerConfig) { c.EOS = 4 }, nil},
		{"source_prefix names token 9 of 4", func(c *edge.TransformerConfig) { c.SourcePrefix = []int32{9} }, nil},
		{"suppress names token -1 of 4", func(c *edge.TransformerConfig) { c.Suppress = []int32{-1} }, nil},
	} {
		_, err := openTiny(t, c.config, c.tensors, nil)
		var model *edge.ModelError
		if !errors.As(err, &model) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want a ModelError with %q", err, c.want)
		}
	}
}

func TestOtherFamilies(t *testing.T) {
	meta := tinyMeta(t, tinyConfig())
	meta.Family = "perceptron"
	path := filepath.Join(t.TempDir(), "other.ei8")
	if err := writeTiny(path, meta, tinyTensors(), nil, nil); err != nil {
		t.Fatal(err)
	}
	var model *edge.ModelError
	if _, err := edge.Open(path); !errors.As(err, &model) || !strings.Contains(err.Error(), "perceptron") {
		t.Errorf("error %v, want a ModelError that names the family", err)
	}
}

// Every option of the architecture runs: both norms, every activation, tied and separate outputs, start token or none,
// with the same bytes for any batch, and minimum and maximum lengths held.
func TestArchitectures(t *testing.T) {
	for i, change := range []func(*edge.TransformerConfig){
		func(c *edge.TransformerConfig) {},
		func(c *edge.TransformerConfig) { c.Activation = "relu"; c.DecoderStart = 2 },
		func(c *edge.TransformerConfig) { c.Activation = "gelu_tanh"; c.SourcePrefix = []int32{1, 2} },
		func(c *edge.TransformerConfig) { c.Activation = "gelu_sigmoid"; c.Suppress = []int32{3} },
		func(c *edge.TransformerConfig) { c.Activation = "silu"; c.SourceEOS = false },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			m := tinyModel(t, change, nil, nil)
			lines := strings.Split("a b c|c|b b b a|a|c c c c c c c c", "|")
			var want string
			for _, o := range []edge.Options{{Batch: 1}, {Batch: 2}, {Batch: 5, Threads: 2}} {
				o.MinTarget, o.MaxTarget, o.Scores, o.Beam = 3, 7, true, 3
				out := translate(t, m, o, lines)
				for _, line := range out {
					if n := len(line.Tokens); n < 3 || n > 7 {
						t.Errorf("%d tokens, must be 3 to 7", n)
					}
					if len(m.Config().Suppress) > 0 && strings.Contains(line.Text, "c") {
						t.Errorf("suppressed token in %q", line.Text)
					}
				}
				if got := digest(out); want == "" {
					want = got
				} else if got != want {
					t.Errorf("batch %d: digest %s, want %s", o.Batch, got, want)
				}
			}
		})
	}
}

// Weights that drive an activation out of float32's range are an error that names the layer, and the session goes on.
func TestNumbersOutOfRange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.ei8")
	err := writeTiny(path, tinyMeta(t, tinyConfig()), tinyTensors(), nil, func(tensor string, values []float32) {
		if tensor == "decoder.layers.0.ffn.norm.gamma" {
			for i := range values {
				values[i] = 3e38
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := m.NewSession(edge.Options{MaxTarget: 4})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the session is usable again after the error
		if slot, err := s.Add([]int32{1, 2}); slot != 0 || err != nil {
			t.Fatal(slot, err)
		}
		_, err = s.Step()
		var model *edge.ModelError
		if !errors.As(err, &model) || !strings.Contains(err.Error(), "decoder.layers.0.ffn.in") {
			t.Errorf("error %v, want a ModelError that names the layer", err)
		}
	}
}

// The file is cut while it is mapped: a typed error, not a crash, and the process lives.
func TestFileCutWhileMapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.ei8")
	if err := writeTiny(path, tinyMeta(t, tinyConfig()), tinyTensors(), nil, nil); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tr, err := m.NewTranslator(edge.Options{MaxTarget: 8, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err = tr.Translate(context.Background(), []string{"a b c"})
	var format *modelfile.FormatError
	if !errors.As(err, &format) {
		t.Errorf("error %v, want a FormatError", err)
	}
}
