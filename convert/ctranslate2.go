package convert

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/ctranslate2"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// ctranslate2Activations are in the order of CTranslate2's numbers.
var ctranslate2Activations = []string{"relu", "gelu_tanh", "silu", "gelu", "gelu_sigmoid"}

// sinusoidRows is how many positions are computed for a CTranslate2 model that stores none: as many as Marian has. (CTranslate2
// computes further ones when they are needed.)
const sinusoidRows = 512

var ctranslate2Dialect = dialect{
	layer: func(stack string, n int) string { return fmt.Sprintf("%s/layer_%d/", stack, n) },
	parts: map[string][]string{
		"self.qkv":   {"self_attention/linear_0"},
		"self.out":   {"self_attention/linear_1"},
		"self.norm":  {"self_attention/layer_norm"},
		"cross.q":    {"attention/linear_0"},
		"cross.kv":   {"attention/linear_1"},
		"cross.out":  {"attention/linear_2"},
		"cross.norm": {"attention/layer_norm"},
		"ffn.in":     {"ffn/linear_0"},
		"ffn.out":    {"ffn/linear_1"},
		"ffn.norm":   {"ffn/layer_norm"},
	},
	weight: "/weight", bias: "/bias", gamma: "/gamma", beta: "/beta",
}

// openCTranslate2 reads a folder with model.bin.
func openCTranslate2(folder string) (*source, error) {
	s := &source{path: folder, files: os.DirFS(folder)}
	if err := s.openCTranslate2("."); err != nil {
		return nil, err
	}
	return s, nil
}

// openCTranslate2 reads the folder of that name among the source's files.
func (s *source) openCTranslate2(name string) error {
	files, err := fs.Sub(s.files, name)
	if err != nil {
		return err
	}
	m, err := ctranslate2.Open(files, filepath.Join(s.path, name))
	if err != nil {
		return err
	}
	s.format, s.checkpoint = fmt.Sprintf("CTranslate2, binary version %d", m.BinaryVersion), m.Checkpoint
	if err := s.ctranslate2(m); err != nil {
		m.Close()
		return err
	}
	return nil
}

func (s *source) ctranslate2(m *ctranslate2.Model) error {
	path := filepath.Join(m.Path, "model.bin")
	switch m.Spec {
	case "", "TransformerSpec", "TransformerBase", "TransformerBig":
	default:
		return failure(path, fmt.Sprintf("holds a %s, which is not read yet", m.Spec), "this version reads encoder-decoder models of text (TransformerSpec)")
	}
	o := &ctranslate2Options{model: m, path: path}
	b := newBuilder(m.Checkpoint, ctranslate2Dialect)
	zeroStart, err := s.ctranslate2Config(o, b)
	if err != nil {
		return err
	}
	to := &s.config

	encoderEmbed := b.need(o.encoderEmbed)
	decoderEmbed := b.need("decoder/embeddings/weight")
	output := b.need("decoder/projection/weight")
	if b.err != nil {
		return b.err
	}
	if to.SharedEmbeddings, err = sameNumbers(encoderEmbed, decoderEmbed); err != nil {
		return err
	}
	if to.TiedOutput, err = sameNumbers(output, decoderEmbed); err != nil {
		return err
	}
	embedLayout := modelfile.Rows
	if to.TiedOutput {
		embedLayout = modelfile.N16K4
	}
	decoderTable := func() {
		b.matrix("decoder.embed", embedLayout, to.TargetVocab, to.Dim, false, "decoder/embeddings/weight")
	}
	if to.SharedEmbeddings {
		decoderTable()
	} else {
		b.matrix("encoder.embed", modelfile.Rows, to.SourceVocab, to.Dim, false, o.encoderEmbed)
	}
	encoderTable, stored := b.find("encoder/position_encodings/encodings")
	decoderPositions, decoderStored := b.find("decoder/position_encodings/encodings")
	var computed []float32
	if !stored || !decoderStored {
		computed = sinusoids(to.MaxLen, to.Dim, 1)
	}
	b.table("encoder.positions", to.MaxLen, to.Dim, encoderTable, computed)
	b.optionalNorm("encoder.embed_norm", to.Dim, "encoder/layernorm_embedding")
	b.layers("encoder", to.EncoderLayers, to)
	if to.PreNorm {
		b.norm("encoder.norm", to.Dim, "encoder/layer_norm")
	}
	if !to.SharedEmbeddings {
		decoderTable()
	}
	if own, err := b.ownPositions("encoder/position_encodings/encodings", "decoder/position_encodings/encodings"); err != nil {
		return err
	} else if own {
		b.table("decoder.positions", to.MaxLen, to.Dim, decoderPositions, computed)
	}
	b.optionalNorm("decoder.embed_norm", to.Dim, "decoder/layernorm_embedding")
	b.layers("decoder", to.DecoderLayers, to)
	if to.PreNorm {
		b.norm("decoder.norm", to.Dim, "decoder/layer_norm")
	}
	if !to.TiedOutput {
		b.matrix("decoder.out", modelfile.N16K4, to.TargetVocab, to.Dim, false, "decoder/projection/weight")
	}
	b.outputBias(to.TargetVocab, false, "decoder/projection/bias")
	if s.tensors, err = b.finish(o.harmless); err != nil {
		return err
	}
	return s.ctranslate2Vocabularies(m, zeroStart)
}

// ctranslate2Options reads the scalars of model.bin and keeps the first error.
type ctranslate2Options struct {
	model        *ctranslate2.Model
	path         string
	encoderEmbed string // the name of the encoder's table, which has changed over time
	err          error
}

func (o *ctranslate2Options) int(name string, fallback int64) int {
	v, err := o.model.Int(name, fallback)
	if err != nil && o.err == nil {
		o.err = err
	}
	return int(v)
}

// both reads an option of encoder and decoder, which must agree.
func (o *ctranslate2Options) both(name string, fallback int64) int {
	e, d := o.int("encoder/"+name, fallback), o.int("decoder/"+name, fallback)
	if e != d && o.err == nil {
		o.err = failure(o.path, fmt.Sprintf("%s is %d in the encoder and %d in the decoder", name, e, d), "this version runs models where they agree")
	}
	return e
}

// scale is what looked-up embeddings are multiplied with: a flag (sqrt(dim) or 1), or a number.
func (o *ctranslate2Options) scale(stack string, dim int) float32 {
	t, ok := o.model.Lookup(stack + "/scale_embeddings")
	if !ok {
		t, ok = o.model.Lookup(stack + "/embeddings/multiply_by_sqrt_depth")
	}
	root := float32(math.Sqrt(float64(dim)))
	if !ok {
		return root
	}
	v, err := o.model.Float(t.Name, 0)
	if err != nil && o.err == nil {
		o.err = err
	}
	switch {
	case t.DType != checkpoint.I8:
		return v
	case v != 0:
		return root
	}
	return 1
}

// layers counts a stack's layers.
func (o *ctranslate2Options) layers(stack string) int {
	prefixes := map[string]bool{}
	for _, name := range append(o.model.Names(), o.model.Aliases()...) {
		if rest, ok := strings.CutPrefix(name, stack+"/layer_"); ok {
			if n, _, ok := strings.Cut(rest, "/"); ok && n != "norm" {
				prefixes[n] = true
			}
		}
	}
	return len(prefixes)
}

// ctranslate2Features are what CTranslate2 runs and this version does not, by the last part of a variable's name.
var ctranslate2Features = []struct{ name, what string }{
	{"relative_position_keys", "relative positions"},
	{"relative_position_values", "relative positions"},
	{"relative_asymmetric_position_keys", "relative positions"},
	{"relative_attention_bias", "positions as a bias of attention, as T5 has them"},
	{"alibi", "positions as a linear bias of attention (ALiBi)"},
	{"rotary_dim", "rotary positions"},
	{"rotary_base", "rotary positions"},
	{"multi_query", "attention whose heads share keys and values"},
	{"multi_query_attention", "attention whose heads share keys and values"},
	{"num_heads_kv", "attention whose heads share keys and values"},
	{"head_dim", "heads of another size than dimensions by heads"},
	{"queries_scale", "another scale of queries than the root of a head's size"},
	{"sliding_window", "attention to a window of positions"},
	{"merged_encoder_attention", "attention to source and target at once"},
	{"q_norm", "norms of queries"},
	{"k_norm", "norms of keys"},
	{"v_norm", "norms of values"},
	{"input_layer_norm", "norms before and after each part"},
	{"pre_feedforward_layer_norm", "norms before and after each part"},
	{"linear_0_noact", "a gated feed-forward"},
	{"project_in", "projections around the decoder"},
	{"project_out", "projections around the decoder"},
	{"layer_norm_use_residual", "norms that add one to their weights"},
	{"final_logit_softcapping", "bounded logits"},
	{"scale_outputs", "scaled outputs"},
}

// refuse names the first thing in the model that this version does not run.
func (o *ctranslate2Options) refuse(to *runtime.TransformerConfig) error {
	for _, name := range o.model.Names() {
		t, _ := o.model.Lookup(name)
		parts := strings.Split(name, "/")
		last := parts[len(parts)-1]
		switch last {
		case "weight", "gamma", "bias", "beta": // it is the module that tells
			last = parts[max(len(parts)-2, 0)]
		}
		what := ""
		for _, f := range ctranslate2Features {
			if last == f.name {
				what = f.what
			}
		}
		if norm, ok := strings.CutSuffix(name, "layer_norm/gamma"); ok && what == "" {
			if _, ok := o.model.Lookup(norm + "layer_norm/beta"); !ok {
				what = "norms by the root mean square (RMS)"
			}
		}
		if what == "" {
			continue
		}
		if len(t.Shape) == 0 {
			off := float32(0) // what the value is where all is as usual
			switch last {
			case "num_heads_kv":
				off = float32(to.Heads)
			case "head_dim":
				off = float32(to.Dim / to.Heads)
			case "queries_scale":
				off = float32(1 / math.Sqrt(float64(to.Dim/to.Heads)))
			case "scale_outputs":
				off = 1
			}
			v, err := o.model.Float(name, 0)
			if err != nil {
				return err
			}
			if v == off || v == 0 && last != "scale_outputs" {
				continue
			}
		}
		return &checkpoint.Error{File: o.path, Tensor: name, Offset: -1, Reason: "the model has " + what, Do: "this version does not run it"}
	}
	for _, stack := range []string{"encoder", "decoder"} {
		if _, ok := o.model.Lookup(stack + "/layer_norm/gamma"); to.PreNorm && !ok {
			return failure(o.path, "has norms before each part, but none at the end of its "+stack, "this version does not run it")
		}
	}
	return nil
}

// harmless tells what may stay behind: scalars that say what we do anyway, and scales, which are read with their weights.
func (o *ctranslate2Options) harmless(t *checkpoint.Tensor) bool {
	if strings.HasSuffix(t.Name, "/weight_scale") {
		return true
	}
	last := t.Name[strings.LastIndex(t.Name, "/")+1:]
	switch last {
	case "num_heads", "pre_norm", "activation", "embeddings_merge", "alignment_layer", "alignment_heads", "scale_embeddings",
		"start_from_zero_embedding", "multiply_by_sqrt_depth", "alibi_use_positive_positions", "scale_alibi", "rotary_interleave":
		return true
	case "unk_token", "bos_token", "eos_token", "with_source_bos", "with_source_eos", "with_target_bos", "user_decoder_start_tokens":
		return true
	}
	for _, f := range ctranslate2Features {
		if last == f.name {
			return true // else refuse would have found it
		}
	}
	return false
}

// ctranslate2Config takes over sizes and options.
func (s *source) ctranslate2Config(o *ctranslate2Options, b *builder) (zeroStart bool, err error) {
	to, m := &s.config, o.model
	o.encoderEmbed = "encoder/embeddings/weight"
	if _, ok := m.Lookup(o.encoderEmbed); !ok {
		o.encoderEmbed = "encoder/embeddings_0/weight"
	}
	if _, ok := m.Lookup("encoder/embeddings_1/weight"); ok || len(m.Source) > 1 {
		return false, failure(o.path, "has several input features a token", "this version runs models of one")
	}
	encoder, decoder, ffn := b.need(o.encoderEmbed), b.need("decoder/embeddings/weight"), b.need("encoder/layer_0/ffn/linear_0/weight")
	if b.err != nil {
		return false, b.err
	}
	to.SourceVocab, to.TargetVocab, to.Dim, to.FFN = encoder.Rows(), decoder.Rows(), encoder.Cols(), ffn.Rows()
	to.EncoderLayers, to.DecoderLayers = o.layers("encoder"), o.layers("decoder")
	to.Heads = o.both("num_heads", 8)
	to.PreNorm = o.both("pre_norm", 1) != 0
	if o.err != nil {
		return false, o.err
	}
	if to.Heads <= 0 || to.Dim%to.Heads != 0 {
		return false, failure(o.path, fmt.Sprintf("%d heads do not divide %d dimensions", to.Heads, to.Dim), "")
	}
	if err := o.refuse(to); err != nil {
		return false, err
	}
	activation := o.both("activation", 0)
	if activation < 0 || activation >= len(ctranslate2Activations) {
		return false, failure(o.path, fmt.Sprintf("activation %d is not known", activation), "this version knows 0 to 4: relu, gelu_tanh, swish, gelu, gelu_sigmoid")
	}
	to.Activation = ctranslate2Activations[activation]
	to.NormEps = 1e-5
	if m.Config.LayerNormEpsilon != 0 {
		to.NormEps = m.Config.LayerNormEpsilon
	}
	to.EmbedScale = o.scale("encoder", to.Dim)
	if d := o.scale("decoder", to.Dim); d != to.EmbedScale && o.err == nil {
		return false, failure(o.path, fmt.Sprintf("embeddings are scaled by %g in the encoder and %g in the decoder", to.EmbedScale, d), "this version runs models where they agree")
	}
	to.MaxLen = sinusoidRows
	for i, stack := range []string{"encoder", "decoder"} {
		if t, ok := m.Lookup(stack + "/position_encodings/encodings"); ok {
			if i == 0 || t.Rows() < to.MaxLen {
				to.MaxLen = t.Rows()
			}
		}
	}
	zeroStart = o.int("decoder/start_from_zero_embedding", 0) != 0
	if o.err != nil {
		return false, o.err
	}
	return zeroStart, checkSizes(o.path, to)
}

// sinusoids is the table that CTranslate2 computes where a model stores none (first 1), and Marian always (first 0): all sines,
// then all cosines, of (first + row) / 10000^(j/(dim/2-1)), in float32 as they do.
func sinusoids(rows, dim, first int) []float32 {
	increment := float32(math.Log(10000)) / float32(dim/2-1)
	table := make([]float32, rows*dim)
	for p := range rows {
		for j := range dim / 2 {
			timescale := float32(math.Exp(float64(float32(-increment * float32(j)))))
			angle := float64(float32(float32(first+p) * timescale))
			table[p*dim+j] = float32(math.Sin(angle))
			table[p*dim+dim/2+j] = float32(math.Cos(angle))
		}
	}
	return table
}

// ctranslate2Vocabularies checks the vocabularies against the embeddings, finds the special tokens and builds the tokenizers:
// with SentencePiece models beside model.bin, text goes in; without, tokens do, as in CTranslate2 itself.
func (s *source) ctranslate2Vocabularies(m *ctranslate2.Model, zeroStart bool) error {
	to, c := &s.config, &m.Config
	for _, v := range []struct {
		vocabulary *ctranslate2.Vocabulary
		rows       int
	}{{m.Source[0], to.SourceVocab}, {m.Target, to.TargetVocab}} {
		if len(v.vocabulary.Tokens) != v.rows {
			return failure(v.vocabulary.Path, fmt.Sprintf("has %d tokens (the unknown token counted), but the embeddings have %d rows",
				len(v.vocabulary.Tokens), v.rows), "it belongs to another model")
		}
	}
	source, target := indexOf(m.Source[0]), indexOf(m.Target)
	find := func(vocab map[string]int32, v *ctranslate2.Vocabulary, token, what string) (int32, error) {
		id, ok := vocab[token]
		if !ok {
			return 0, failure(v.Path, fmt.Sprintf("lacks %q, which is the %s", token, what), "it belongs to another model")
		}
		return id, nil
	}
	var err error
	if to.EOS, err = find(target, m.Target, c.EOSToken, "end of a sentence"); err != nil {
		return err
	}
	if zeroStart {
		to.DecoderStart = -1
	} else if c.DecoderStartToken == "" {
		return failure(m.Path, "has no decoder_start_token: it wants one with each sentence, such as the language to translate into", "this version does not run such models")
	} else if to.DecoderStart, err = find(target, m.Target, c.DecoderStartToken, "decoder's first token"); err != nil {
		return err
	}
	to.TargetUnk = int32(m.Target.Unk)
	if c.AddSourceBOS {
		bos, err := find(source, m.Source[0], c.BOSToken, "start of a source sentence")
		if err != nil {
			return err
		}
		to.SourcePrefix = []int32{bos}
	}
	to.SourceEOS = c.AddSourceEOS
	if id, ok := source[c.EOSToken]; ok {
		to.SourceEOSID = id
	} else if to.SourceEOS {
		return failure(m.Source[0].Path, fmt.Sprintf("lacks %q, which ends a source sentence", c.EOSToken), "it belongs to another model")
	}

	sourceSPM, targetSPM := s.spmBeside()
	if sourceSPM == "" && s.moses == nil {
		return s.tokenLists(m)
	}
	if zeroStart && !to.SourceEOS {
		// Marian models end every source sentence with </s>. The conversion from Hugging Face leaves that to its tokenizer,
		// so config.json does not say it.
		if _, ok := source[c.EOSToken]; ok {
			to.SourceEOS = true
		}
	}
	if s.moses != nil {
		return s.mosesTokenizers(m)
	}
	return s.spmTokenizers(sourceSPM, targetSPM, source, target, !m.Shared)
}

// indexOf gives each token its id; where a token occurs twice, the first counts.
func indexOf(v *ctranslate2.Vocabulary) map[string]int32 {
	index := make(map[string]int32, len(v.Tokens))
	for i, token := range v.Tokens {
		if _, ok := index[token]; !ok {
			index[token] = int32(i)
		}
	}
	return index
}
