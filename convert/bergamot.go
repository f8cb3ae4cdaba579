package convert

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edge-infer/edge-infer/convert/bergamot"
	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// BergamotOptions name files of a Firefox (Bergamot) model that do not lie beside its weights, or are called otherwise.
type BergamotOptions struct {
	Vocabs    []string // SentencePiece models: one of both languages, or of the source and of the target
	Shortlist string
}

// bergamotDialect: matrices and biases are "..._Wq" and "..._bq", which the star stands for.
var bergamotDialect = dialect{
	layer: func(stack string, n int) string { return fmt.Sprintf("%s_l%d_", stack, n+1) },
	parts: map[string][]string{
		"self.qkv":   {"self_*q", "self_*k", "self_*v"},
		"self.out":   {"self_*o"},
		"self.norm":  {"self_Wo_ln"},
		"ssru.in":    {"rnn_*", "rnn_*f"},
		"ssru.norm":  {"rnn_ffn_ln"},
		"cross.q":    {"context_*q"},
		"cross.kv":   {"context_*k", "context_*v"},
		"cross.out":  {"context_*o"},
		"cross.norm": {"context_Wo_ln"},
		"ffn.in":     {"ffn_*1"},
		"ffn.out":    {"ffn_*2"},
		"ffn.norm":   {"ffn_ffn_ln"},
	},
	weight: "W", bias: "b", gamma: "_scale", beta: "_bias",
}

// bergamotFiles are the parts of a model. The model's name without "model." and what compresses it says which vocabularies and
// shortlist belong to it: model.enes.intgemm.alphas.bin goes with vocab.enes.spm and lex.50.50.enes.s2t.bin.
type bergamotFiles struct {
	model, sourceVocab, targetVocab, shortlist string // shortlist "": none
	pair                                       string // "enes", or "" where the name does not say
}

// findBergamot looks whether src is a Firefox model: a folder of one, or its file of weights. A folder of several is an error.
func findBergamot(src string) (model string, err error) {
	info, err := os.Stat(src)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		if name := plainName(filepath.Base(src)); strings.HasSuffix(name, ".bin") && strings.Contains(name, ".intgemm") {
			return src, nil
		}
		return "", nil
	}
	found, err := filesLike(src, func(name string) bool {
		return strings.HasPrefix(name, "model.") && strings.Contains(name, ".intgemm") && strings.HasSuffix(name, ".bin")
	})
	if len(found) > 1 {
		return "", failure(src, "holds several models: "+strings.Join(found, ", "), "name the one that you mean")
	}
	if len(found) == 0 || err != nil {
		return "", err
	}
	return filepath.Join(src, found[0]), nil
}

// plainName is a file's name without what says how it is compressed.
func plainName(name string) string {
	for _, suffix := range []string{".gz", ".zst", ".xz", ".bz2"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// filesLike lists the files of a folder whose plain name is wanted, one form of each: the first by name, which is the plain one.
func filesLike(folder string, wanted func(plain string) bool) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []string
	seen := map[string]bool{}
	for _, e := range entries { // sorted by name
		if plain := plainName(e.Name()); wanted(plain) && !seen[plain] {
			seen[plain] = true
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// companions finds the files that belong to the weights.
func companions(model string, o BergamotOptions) (bergamotFiles, error) {
	f := bergamotFiles{model: model, shortlist: o.Shortlist}
	folder, name := filepath.Split(model)
	if folder == "" {
		folder = "."
	}
	if parts := strings.Split(plainName(name), "."); len(parts) > 2 && parts[0] == "model" && !strings.HasPrefix(parts[1], "intgemm") {
		f.pair = parts[1]
	}
	// find gives the one file with that prefix and suffix, of the model's pair if there are several; "" for none.
	find := func(prefix, suffix string) (string, error) {
		found, err := filesLike(folder, func(name string) bool { return strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) })
		if f.pair != "" && len(found) > 1 {
			found = slices.DeleteFunc(found, func(name string) bool { return !strings.Contains(name, "."+f.pair+".") })
		}
		if err != nil || len(found) == 0 {
			return "", err
		}
		if len(found) > 1 {
			return "", failure(folder, "holds several files that could belong to the model: "+strings.Join(found, ", "), "name the vocabulary with --vocab, the shortlist with --shortlist")
		}
		return filepath.Join(folder, found[0]), nil
	}
	var err error
	switch {
	case len(o.Vocabs) > 2:
		return f, failure(o.Vocabs[2], "is a third vocabulary", "give one of both languages, or those of the source and of the target")
	case len(o.Vocabs) > 0:
		f.sourceVocab, f.targetVocab = o.Vocabs[0], o.Vocabs[len(o.Vocabs)-1]
	default:
		if f.sourceVocab, err = find("srcvocab", ".spm"); err == nil {
			f.targetVocab, err = find("trgvocab", ".spm")
		}
		if err == nil && f.sourceVocab == "" && f.targetVocab == "" {
			f.sourceVocab, err = find("vocab", ".spm")
			f.targetVocab = f.sourceVocab
		}
		if err != nil {
			return f, err
		}
		pair := f.pair
		if pair == "" {
			pair = "*"
		}
		for _, v := range []struct{ have, other, lacks string }{
			{f.sourceVocab, f.targetVocab, "srcvocab." + pair + ".spm"}, {f.targetVocab, f.sourceVocab, "trgvocab." + pair + ".spm"},
		} {
			if v.have == "" {
				if v.other == "" {
					v.lacks = fmt.Sprintf("vocab.%s.spm (or srcvocab.%s.spm and trgvocab.%s.spm)", pair, pair, pair)
				}
				return f, failure(folder, "lacks "+v.lacks+", which cuts text into the pieces that the model numbers",
					"download it as well, or name it with --vocab")
			}
		}
	}
	if f.shortlist == "" {
		f.shortlist, err = find("lex.", ".bin")
	}
	return f, err
}

// openBergamot reads a Firefox model.
func openBergamot(model, spill string, o BergamotOptions) (*source, error) {
	files, err := companions(model, o)
	if err != nil {
		return nil, err
	}
	m, err := bergamot.Open(model, spill)
	if err != nil {
		return nil, err
	}
	format := "Firefox (Bergamot), Marian binary version 1"
	if m.Method != "" {
		format += ", " + m.Method
	}
	s := &source{format: format, path: filepath.Dir(model), files: os.DirFS(filepath.Dir(model)), checkpoint: m.Checkpoint}
	if err := s.bergamot(m, files); err != nil {
		m.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) bergamot(m *bergamot.Model, files bergamotFiles) error {
	o := &bergamotConfig{file: m.Path, config: &m.Config}
	o.sizes(&s.config)
	if o.err != nil {
		return o.err
	}
	b := newBuilder(m.Checkpoint, bergamotDialect)
	to := &s.config
	sourceTable, targetTable := "encoder_Wemb", "decoder_Wemb"
	if to.SharedEmbeddings {
		sourceTable, targetTable = "Wemb", "Wemb"
	}
	encoderEmbed, decoderEmbed := b.need(sourceTable), b.need(targetTable)
	if b.err != nil {
		return b.err
	}
	to.SourceVocab, to.TargetVocab = encoderEmbed.Rows(), decoderEmbed.Rows()
	if err := checkSizes(m.Path, to); err != nil {
		return err
	}
	if to.SharedEmbeddings {
		b.matrix("decoder.embed", modelfile.N16K4, to.TargetVocab, to.Dim, false, targetTable)
	} else {
		b.matrix("encoder.embed", modelfile.Rows, to.SourceVocab, to.Dim, false, sourceTable)
	}
	b.table("encoder.positions", to.MaxLen, to.Dim, nil, sinusoids(to.MaxLen, to.Dim, 0))
	b.layers("encoder", to.EncoderLayers, to)
	if !to.SharedEmbeddings {
		b.matrix("decoder.embed", modelfile.N16K4, to.TargetVocab, to.Dim, false, targetTable)
	}
	b.layers("decoder", to.DecoderLayers, to)
	b.outputBias(to.TargetVocab, false, "decoder_ff_logit_out_b")
	var err error
	s.tensors, err = b.finish(func(t *checkpoint.Tensor) bool {
		// Multipliers for activations, found with the training data. Here each row gets its own at run time.
		return strings.HasSuffix(t.Name, "_QuantMultA")
	})
	if err != nil {
		return err
	}
	return s.bergamotCompanions(files)
}

// bergamotConfig reads special:model.yml and keeps the first error.
type bergamotConfig struct {
	file   string
	config *bergamot.Config
	err    error
}

//go:noinline
func (o *bergamotConfig) fail(reason, do string) {
	if o.err == nil {
		o.err = &checkpoint.Error{File: o.file, Tensor: "special:model.yml", Offset: -1, Reason: reason, Do: do}
	}
}

func (o *bergamotConfig) int(key string, fallback int) int {
	n, err := o.config.Int(key, fallback)
	if err != nil {
		o.fail(err.Error(), "")
	}
	return n
}

// size is a number that must be there.
func (o *bergamotConfig) size(key string) int {
	n := o.int(key, 0)
	if n <= 0 || n > 1<<24 {
		o.fail(fmt.Sprintf("%s is %d", key, n), "the file must give this number, above 0")
	}
	return n
}

func (o *bergamotConfig) bool(key string, fallback bool) bool {
	v, err := o.config.Bool(key, fallback)
	if err != nil {
		o.fail(err.Error(), "")
	}
	return v
}

const bergamotRuns = "this version runs what Firefox publishes: Transformers with an SSRU decoder, norms after each sublayer, tied output embeddings"

// must refuses a model that is built otherwise.
func (o *bergamotConfig) must(key, fallback, want string) {
	if v := o.config.String(key, fallback); v != want {
		o.fail(fmt.Sprintf("%s is %q, must be %q", key, v, want), bergamotRuns)
	}
}

func (o *bergamotConfig) off(key string) {
	if o.bool(key, false) {
		o.fail(key+" is true", bergamotRuns)
	}
}

// sizes takes over what does not depend on the tensors, by Marian's names and defaults (src/common/config_parser.cpp).
func (o *bergamotConfig) sizes(to *runtime.TransformerConfig) {
	o.must("type", "", "transformer")
	o.must("transformer-decoder-autoreg", "self-attention", "rnn")
	o.must("dec-cell", "gru", "ssru")
	o.must("transformer-preprocess", "", "")
	o.must("transformer-postprocess", "dan", "dan")
	o.must("transformer-postprocess-emb", "d", "d")
	o.must("transformer-postprocess-top", "", "")
	for _, key := range []string{"layer-normalization", "transformer-no-projection", "transformer-rnn-projection", "transformer-train-position-embeddings",
		"transformer-train-positions", "transformer-no-affine", "transformer-no-bias", "transformer-pool", "right-left", "output-omit-bias"} {
		o.off(key)
	}
	if tied := o.config.List("transformer-tied-layers"); len(tied) > 0 {
		o.fail("transformer-tied-layers is "+strings.Join(tied, ", "), bergamotRuns)
	}
	if n := o.int("transformer-ffn-depth", 2); n != 2 {
		o.fail(fmt.Sprintf("transformer-ffn-depth is %d, must be 2", n), bergamotRuns)
	}
	if n := o.int("transformer-decoder-ffn-depth", 0); n != 0 && n != 2 {
		o.fail(fmt.Sprintf("transformer-decoder-ffn-depth is %d, must be 2", n), bergamotRuns)
	}
	if n := o.int("lemma-dim-emb", 0); n != 0 {
		o.fail(fmt.Sprintf("lemma-dim-emb is %d: the vocabulary has factors", n), bergamotRuns)
	}
	to.EncoderLayers, to.DecoderLayers, to.Dim = o.size("enc-depth"), o.size("dec-depth"), o.size("dim-emb")
	to.Heads, to.FFN = o.size("transformer-heads"), o.size("transformer-dim-ffn")
	if n := o.int("transformer-decoder-dim-ffn", 0); n != 0 && n != to.FFN {
		o.fail(fmt.Sprintf("transformer-decoder-dim-ffn is %d, transformer-dim-ffn %d", n, to.FFN), "this version runs models where they agree")
	}
	// Marian's gelu is x·sigmoid(1.702x), and swish x·sigmoid(x).
	activations := map[string]string{"relu": "relu", "swish": "silu", "gelu": "gelu_sigmoid"}
	name := o.config.String("transformer-ffn-activation", "swish")
	if to.Activation = activations[name]; to.Activation == "" {
		o.fail(fmt.Sprintf("transformer-ffn-activation is %q", name), "this version knows relu, swish, gelu")
	}
	to.SharedEmbeddings = o.bool("tied-embeddings-all", false)
	if !to.SharedEmbeddings && (!o.bool("tied-embeddings", false) || o.bool("tied-embeddings-src", false)) {
		o.fail("neither tied-embeddings-all nor tied-embeddings is true", bergamotRuns)
	}
	to.TiedOutput = true
	to.DecoderMixer = runtime.MixerSSRU
	to.MaxLen = sinusoidRows
	to.NormEps = 1e-6 // src/layers/generic.h; slimt/TensorOps.cc has the same. Positions: src/graph/node_initializers.cpp, slimt/TensorOps.cc
	to.EmbedScale = float32(math.Sqrt(float64(to.Dim)))
	to.DecoderStart = -1
	to.SourceEOS = true
}

// bergamotCompanions builds the tokenizers, whose ids are the model's own, and the shortlist.
func (s *source) bergamotCompanions(files bergamotFiles) error {
	to := &s.config
	read := func(path string, rows int) ([]byte, *text.Tokenizer, error) {
		raw, err := readUnpacked(path)
		if err != nil {
			return nil, nil, err
		}
		image, err := text.Build(raw, nil)
		if err != nil {
			return nil, nil, failure(path, err.Error(), "download it again")
		}
		t, err := text.Open(image)
		if err != nil {
			return nil, nil, failure(path, err.Error(), "download it again")
		}
		if t.Size() != rows {
			return nil, nil, failure(path, fmt.Sprintf("has %d pieces, but the embeddings have %d rows", t.Size(), rows), "it belongs to another model")
		}
		return image, t, nil
	}
	image, source, err := read(files.sourceVocab, to.SourceVocab)
	if err != nil {
		return err
	}
	s.sourceTokenizer = image
	target := source
	if files.targetVocab != files.sourceVocab {
		if s.targetTokenizer, target, err = read(files.targetVocab, to.TargetVocab); err != nil {
			return err
		}
	} else if to.SourceVocab != to.TargetVocab {
		return failure(files.sourceVocab, fmt.Sprintf("is the only vocabulary, but the embeddings have %d and %d rows", to.SourceVocab, to.TargetVocab),
			"name both with --vocab, the source's first")
	}
	for _, v := range []struct {
		of   *text.Tokenizer
		path string
		eos  *int32
	}{{source, files.sourceVocab, &to.SourceEOSID}, {target, files.targetVocab, &to.EOS}} {
		id, ok := v.of.ID("</s>")
		if !ok {
			return failure(v.path, `lacks "</s>", which ends a sentence`, "it belongs to another model")
		}
		*v.eos = id
	}
	to.TargetUnk = target.Unk()
	s.languages = bergamotLanguages(s.path, files.pair)
	if files.shortlist == "" {
		s.warnings = append(s.warnings, fmt.Sprintf("there is no lexical shortlist (lex.*.s2t.bin) beside the model: each step computes all %d words", to.TargetVocab))
		return nil
	}
	list, err := bergamot.OpenShortlist(files.shortlist, to.SourceVocab, to.TargetVocab)
	if err != nil {
		return err
	}
	// With one vocabulary for both languages Bergamot lets every source piece come out as it went in: names, numbers.
	s.shortlist = runtime.BuildShortlist(list.First, files.targetVocab == files.sourceVocab, list.Offsets, list.IDs)
	return nil
}

// readUnpacked reads a file that has to fit into memory, compressed or not.
func readUnpacked(path string) ([]byte, error) {
	const limit = 64 << 20
	f, err := bergamot.OpenPacked(path, "")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size > limit {
		return nil, failure(path, fmt.Sprintf("is %d bytes long; no such file is", f.Size), "it is damaged, or not what its name says")
	}
	raw := make([]byte, f.Size)
	if _, err := f.ReadAt(raw, 0); err != nil && f.Size > 0 {
		return nil, failure(path, "could not be read: "+err.Error(), "")
	}
	return raw, nil
}

// bergamotLanguages are those of the metadata.json beside published models, else the two halves of "enes".
func bergamotLanguages(folder, pair string) modelfile.Languages {
	var meta struct {
		Source string `json:"sourceLanguage"`
		Target string `json:"targetLanguage"`
	}
	if readJSON(filepath.Join(folder, "metadata.json"), maxConfig, &meta) == nil && meta.Source != "" && meta.Target != "" {
		return modelfile.Languages{From: meta.Source, To: meta.Target}
	}
	if len(pair) == 4 {
		return modelfile.Languages{From: pair[:2], To: pair[2:]}
	}
	return modelfile.Languages{}
}
