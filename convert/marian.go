package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/pickle"
	"github.com/edge-infer/edge-infer/convert/safetensors"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// marianConfig is what config.json and generation_config.json say, with Hugging Face's defaults for what they leave out.
type marianConfig struct {
	ModelType        string     `json:"model_type"`
	VocabSize        int        `json:"vocab_size"`
	DecoderVocabSize int        `json:"decoder_vocab_size"`
	Dim              int        `json:"d_model"`
	EncoderLayers    int        `json:"encoder_layers"`
	DecoderLayers    int        `json:"decoder_layers"`
	EncoderHeads     int        `json:"encoder_attention_heads"`
	DecoderHeads     int        `json:"decoder_attention_heads"`
	EncoderFFN       int        `json:"encoder_ffn_dim"`
	DecoderFFN       int        `json:"decoder_ffn_dim"`
	Activation       string     `json:"activation_function"`
	MaxPositions     int        `json:"max_position_embeddings"`
	NormEps          float64    `json:"layer_norm_eps"`
	ScaleEmbedding   bool       `json:"scale_embedding"`
	NormalizeBefore  bool       `json:"normalize_before"`
	StaticPositions  *bool      `json:"static_position_embeddings"`
	Share            *bool      `json:"share_encoder_decoder_embeddings"`
	Tie              *bool      `json:"tie_word_embeddings"`
	Pad              *int       `json:"pad_token_id"`
	Start            *int       `json:"decoder_start_token_id"`
	EOS              intOrFirst `json:"eos_token_id"`
	BadWords         [][]int32  `json:"bad_words_ids"`

	Beams             int      `json:"num_beams"`
	LengthPenalty     *float32 `json:"length_penalty"`
	MinLength         int      `json:"min_length"` // these two count the decoder's start token, the next two do not, and win
	MaxLength         int      `json:"max_length"`
	MinNewTokens      *int     `json:"min_new_tokens"`
	MaxNewTokens      *int     `json:"max_new_tokens"`
	NoRepeatNgram     int      `json:"no_repeat_ngram_size"`
	RepetitionPenalty float32  `json:"repetition_penalty"`
}

// intOrFirst is an id that newer files may write as a list.
type intOrFirst struct {
	set   bool
	value int
}

func (v *intOrFirst) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	var list []int
	if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
		*v = intOrFirst{true, list[0]}
		return nil
	}
	if json.Unmarshal(raw, &v.value) != nil {
		return errors.New("eos_token_id is neither an id nor a list of ids")
	}
	v.set = true
	return nil
}

// marianActivations are Hugging Face's names. (Native Marian's gelu is another function.)
var marianActivations = map[string]string{
	"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh",
	"quick_gelu": "gelu_sigmoid", "swish": "silu", "silu": "silu",
}

var marianDialect = dialect{
	layer: func(stack string, n int) string { return fmt.Sprintf("model.%s.layers.%d.", stack, n) },
	parts: map[string][]string{
		"self.qkv":   {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
		"self.out":   {"self_attn.out_proj"},
		"self.norm":  {"self_attn_layer_norm"},
		"cross.q":    {"encoder_attn.q_proj"},
		"cross.kv":   {"encoder_attn.k_proj", "encoder_attn.v_proj"},
		"cross.out":  {"encoder_attn.out_proj"},
		"cross.norm": {"encoder_attn_layer_norm"},
		"ffn.in":     {"fc1"},
		"ffn.out":    {"fc2"},
		"ffn.norm":   {"final_layer_norm"},
	},
	weight: ".weight", bias: ".bias", gamma: ".weight", beta: ".bias",
}

// generationWins follows what is said of a number that config.json need not have from itself.
const generationWins = " (what generation_config.json says counts before config.json)"

// openHuggingFace reads a folder with config.json. Marian is the one architecture that this version knows.
func openHuggingFace(folder string) (*source, error) {
	path := filepath.Join(folder, "config.json")
	var c marianConfig
	if err := readJSON(path, maxConfig, &c); err != nil {
		return nil, err
	}
	switch c.ModelType {
	case "marian":
	case "":
		return nil, failure(path, "has no model_type", readable)
	default:
		return nil, failure(path, fmt.Sprintf("says model_type %q, which is not read yet", c.ModelType), "this version reads \"marian\"")
	}
	// Newer exports keep what concerns generation in a file of its own; it wins where both speak.
	if err := readJSON(filepath.Join(folder, "generation_config.json"), maxConfig, &c); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ckpt, err := openWeights(folder)
	if err != nil {
		return nil, err
	}
	s := &source{format: "Hugging Face Marian, " + ckpt.Format, path: folder, files: os.DirFS(folder), checkpoint: ckpt}
	if err := s.marian(&c); err != nil {
		ckpt.Close()
		return nil, err
	}
	return s, nil
}

// openWeights opens the first of the files that may hold the weights.
func openWeights(folder string) (*checkpoint.Checkpoint, error) {
	for _, f := range []struct {
		name string
		open func(string) (*checkpoint.Checkpoint, error)
	}{
		{"model.safetensors", safetensors.Open},
		{"model.safetensors.index.json", safetensors.Open},
		{"pytorch_model.bin", pickle.OpenTorch},
		{"pytorch_model.bin.index.json", pickle.OpenTorch},
	} {
		path := filepath.Join(folder, f.name)
		if _, err := os.Stat(path); err == nil {
			return f.open(path)
		}
	}
	for _, shards := range []string{"model-*-of-*.safetensors", "pytorch_model-*-of-*.bin"} {
		if found, _ := filepath.Glob(filepath.Join(folder, shards)); len(found) > 0 {
			name := "model.safetensors.index.json"
			if strings.HasSuffix(shards, ".bin") {
				name = "pytorch_model.bin.index.json"
			}
			return nil, failure(filepath.Join(folder, name), "is missing", "it says which weights are in which shard; download it as well")
		}
	}
	reason := "has no weights: neither model.safetensors nor pytorch_model.bin is there"
	for _, other := range []string{"tf_model.h5", "flax_model.msgpack", "rust_model.ot"} {
		if _, err := os.Stat(filepath.Join(folder, other)); err == nil {
			reason += ", and " + other + " is not read"
		}
	}
	return nil, failure(folder, reason, "download model.safetensors or pytorch_model.bin as well")
}

// marian fills in the source from the configuration and the names of the tensors.
func (s *source) marian(c *marianConfig) error {
	if err := s.marianSizes(c); err != nil {
		return err
	}
	b := newBuilder(s.checkpoint, marianDialect)
	to := &s.config

	// Which table serves what. Safetensors keeps one name of tied weights, and not always the same one.
	shared := or(c.Share, true)
	encoderEmbed := firstOf(b, shared, "model.encoder.embed_tokens.weight")
	decoderEmbed := firstOf(b, shared, "model.decoder.embed_tokens.weight", "lm_head.weight")
	to.SharedEmbeddings = shared
	to.TiedOutput = or(c.Tie, true)
	if b.err != nil {
		return b.err
	}
	drop, err := s.marianStart(c, b, decoderEmbed)
	if err != nil {
		return err
	}
	if drop {
		to.SourceVocab--
		to.TargetVocab--
	}

	if !shared {
		b.matrix("encoder.embed", modelfile.Rows, to.SourceVocab, to.Dim, drop, encoderEmbed)
	} else {
		s.marianEmbed(b, drop, decoderEmbed)
	}
	static := or(c.StaticPositions, true)
	s.marianPositions(b, "encoder", static)
	b.optionalNorm("encoder.embed_norm", to.Dim, "model.encoder.layernorm_embedding")
	b.layers("encoder", to.EncoderLayers, to)
	if to.PreNorm {
		b.norm("encoder.norm", to.Dim, "model.encoder.layer_norm")
	}
	if !shared {
		s.marianEmbed(b, drop, decoderEmbed)
	}
	if own, err := b.ownPositions("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"); err != nil {
		return err
	} else if own || !static {
		s.marianPositions(b, "decoder", static)
	}
	b.optionalNorm("decoder.embed_norm", to.Dim, "model.decoder.layernorm_embedding")
	b.layers("decoder", to.DecoderLayers, to)
	if to.PreNorm {
		b.norm("decoder.norm", to.Dim, "model.decoder.layer_norm")
	}
	if !to.TiedOutput {
		b.matrix("decoder.out", modelfile.N16K4, to.TargetVocab, to.Dim, drop, "lm_head.weight")
	}
	b.outputBias(to.TargetVocab, drop, "final_logits_bias")

	s.tensors, err = b.finish(func(t *checkpoint.Tensor) bool {
		switch t.Name {
		case "model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight":
			return shared // further names of the one table
		case "lm_head.weight":
			return to.TiedOutput
		}
		return false
	})
	if err != nil {
		return err
	}
	s.marianGeneration(c)
	return s.marianVocabularies(c, drop)
}

// firstOf returns the first of the names that the file has. model.shared.weight goes first where the table is shared.
func firstOf(b *builder, shared bool, names ...string) string {
	if shared {
		names = append([]string{"model.shared.weight"}, append(names, "model.encoder.embed_tokens.weight", "lm_head.weight")...)
	} else {
		names = append(names, "model.shared.weight")
	}
	for _, name := range names {
		if _, ok := b.ckpt.Lookup(name); ok {
			return name
		}
	}
	b.fail(names[0], "is missing, and so are its other names "+strings.Join(names[1:], ", "), "the file is incomplete")
	return names[0]
}

// marianSizes checks the configuration and takes over what does not depend on the tensors.
func (s *source) marianSizes(c *marianConfig) error {
	path := filepath.Join(s.path, "config.json")
	for _, f := range []struct {
		name  string
		value int
	}{
		{"vocab_size", c.VocabSize}, {"d_model", c.Dim}, {"encoder_layers", c.EncoderLayers}, {"decoder_layers", c.DecoderLayers},
		{"encoder_attention_heads", c.EncoderHeads}, {"decoder_attention_heads", c.DecoderHeads},
		{"encoder_ffn_dim", c.EncoderFFN}, {"decoder_ffn_dim", c.DecoderFFN}, {"max_position_embeddings", c.MaxPositions},
	} {
		if f.value <= 0 || f.value > 1<<24 {
			return failure(path, fmt.Sprintf("%s is %d", f.name, f.value), "the file must give this number, above 0")
		}
	}
	if c.EncoderHeads != c.DecoderHeads || c.EncoderFFN != c.DecoderFFN {
		return failure(path, fmt.Sprintf("encoder and decoder differ: %d and %d heads, ffn %d and %d",
			c.EncoderHeads, c.DecoderHeads, c.EncoderFFN, c.DecoderFFN), "this version runs models where they agree")
	}
	activation, ok := marianActivations[c.Activation]
	if c.Activation == "" {
		activation, ok = "gelu", true
	}
	if !ok {
		return failure(path, fmt.Sprintf("activation_function %q is not known", c.Activation), "this version knows relu, gelu, gelu_new, quick_gelu, swish")
	}
	if c.DecoderVocabSize == 0 || or(c.Share, true) {
		c.DecoderVocabSize = c.VocabSize
	}
	to := &s.config
	to.EncoderLayers, to.DecoderLayers, to.Dim, to.Heads, to.FFN = c.EncoderLayers, c.DecoderLayers, c.Dim, c.EncoderHeads, c.EncoderFFN
	to.SourceVocab, to.TargetVocab, to.MaxLen = c.VocabSize, c.DecoderVocabSize, c.MaxPositions
	to.PreNorm, to.Activation, to.NormEps, to.EmbedScale = c.NormalizeBefore, activation, 1e-5, 1
	if c.NormEps > 0 {
		to.NormEps = float32(c.NormEps)
	}
	if c.ScaleEmbedding {
		to.EmbedScale = float32(math.Sqrt(float64(c.Dim)))
	}
	if !c.EOS.set || c.EOS.value < 0 || c.EOS.value >= min(to.SourceVocab, to.TargetVocab) {
		return failure(path, fmt.Sprintf("eos_token_id %d is not in the vocabulary", c.EOS.value), "it must name the token that ends a sentence"+generationWins)
	}
	to.SourceEOS, to.SourceEOSID, to.EOS = true, int32(c.EOS.value), int32(c.EOS.value)
	return checkSizes(path, to)
}

// marianStart finds out how the decoder starts. Hugging Face adds a row of zeros for <pad> as the last id and starts from
// it: the row is dropped, so that <pad> is never produced, and the decoder starts from the zero embedding. A row that
// training has filled (a fine-tune of tied weights can) is kept, and started from, as Hugging Face does.
func (s *source) marianStart(c *marianConfig, b *builder, embed string) (drop bool, err error) {
	path := filepath.Join(s.path, "config.json")
	start := -1
	if c.Start != nil {
		start = *c.Start
	} else if c.Pad != nil {
		start = *c.Pad
	}
	if start < 0 || start >= s.config.TargetVocab {
		return false, failure(path, fmt.Sprintf("decoder_start_token_id %d is not in the vocabulary", start), "it must name the decoder's first token"+generationWins)
	}
	table, _ := s.checkpoint.Lookup(embed)
	if len(table.Shape) != 2 || table.Cols() != s.config.Dim || table.Rows() != s.config.TargetVocab {
		b.fail(table.Name, fmt.Sprintf("has shape %v, must be [%d %d]", table.Shape, s.config.TargetVocab, s.config.Dim),
			"config.json and the weights belong to different models")
		return false, b.err
	}
	row := make([]float32, s.config.Dim)
	if err := table.ReadF32(row, start, 1); err != nil {
		return false, err
	}
	zero := true
	for _, v := range row {
		zero = zero && v == 0
	}
	s.config.DecoderStart = -1
	if !zero {
		s.config.DecoderStart = int32(start)
	}
	isPad := c.Pad != nil && *c.Pad == start
	drop = zero && isPad && start == s.config.TargetVocab-1 && start == s.config.SourceVocab-1
	if isPad && !drop {
		s.config.Suppress = append(s.config.Suppress, int32(start))
	}
	for _, words := range c.BadWords {
		for _, id := range words {
			if id < 0 || int(id) >= s.config.TargetVocab {
				return false, failure(path, fmt.Sprintf("bad_words_ids names token %d of %d", id, s.config.TargetVocab), "they must be ids of the vocabulary"+generationWins)
			}
		}
		switch {
		case len(words) == 0, isPad && slices.Contains(words, int32(start)): // it never comes
		case len(words) == 1 && words[0] == s.config.EOS: // Hugging Face passes over it, as nothing could end
		default:
			s.config.BadWords = append(s.config.BadWords, words)
		}
	}
	return drop, nil
}

// marianGeneration takes over how the model's makers search.
func (s *source) marianGeneration(c *marianConfig) {
	g := runtime.Generation{Beam: c.Beams, MinTarget: max(c.MinLength-1, 0), MaxTarget: max(c.MaxLength-1, 0), NoRepeatNgram: c.NoRepeatNgram,
		RepetitionPenalty: c.RepetitionPenalty}
	if c.MinNewTokens != nil {
		g.MinTarget = *c.MinNewTokens
	}
	if c.MaxNewTokens != nil {
		g.MaxTarget = *c.MaxNewTokens
	}
	g.MaxTarget = min(g.MaxTarget, c.MaxPositions)
	if c.LengthPenalty != nil {
		g.LengthPenalty = *c.LengthPenalty
	} else if g.Beam > 1 {
		g.LengthPenalty = 1 // Hugging Face's default
	}
	if g.Beam == 1 {
		g.Beam, g.LengthPenalty = 0, 0 // a single hypothesis competes with none
	}
	if g.RepetitionPenalty == 1 {
		g.RepetitionPenalty = 0
	}
	if g == (runtime.Generation{}) {
		return
	}
	with := s.config
	with.Generation = &g
	raw, err := json.Marshal(&with)
	if err == nil {
		_, err = runtime.ParseTransformerConfig(raw)
	}
	if err != nil {
		s.warnings = append(s.warnings, "what generation_config.json says of the search is left out: "+err.Error())
		return
	}
	s.config.Generation = &g
}

func (s *source) marianEmbed(b *builder, drop bool, name string) {
	layout := modelfile.Rows
	if s.config.TiedOutput {
		layout = modelfile.N16K4
	}
	b.matrix("decoder.embed", layout, s.config.TargetVocab, s.config.Dim, drop, name)
}

// marianPositions takes the table as it is, or computes it where newer exports leave it out.
func (s *source) marianPositions(b *builder, stack string, static bool) {
	name := "model." + stack + ".embed_positions.weight"
	t, ok := b.find(name)
	if !ok && !static {
		b.fail(name, "is missing, and static_position_embeddings is false: the table was learned", "the file is incomplete")
		return
	}
	var computed []float32
	if !ok {
		computed = marianSinusoids(s.config.MaxLen, s.config.Dim)
	}
	b.table(stack+".positions", s.config.MaxLen, s.config.Dim, t, computed)
}

// marianSinusoids is Hugging Face Marian's table: all sines, then all cosines, of p / 10000^(2j/dim), from position 0.
func marianSinusoids(rows, dim int) []float32 {
	table := make([]float32, rows*dim)
	for p := range rows {
		for j := range dim / 2 {
			angle := float64(p) / math.Pow(10000, float64(2*j)/float64(dim))
			table[p*dim+j] = float32(math.Sin(angle))
			table[p*dim+dim/2+j] = float32(math.Cos(angle))
		}
	}
	return table
}

// marianVocabularies builds the tokenizers: the .spm files cut text into pieces, vocab.json gives their ids.
func (s *source) marianVocabularies(c *marianConfig, drop bool) error {
	var config struct {
		From     string `json:"source_lang"`
		To       string `json:"target_lang"`
		Separate bool   `json:"separate_vocabs"`
	}
	if err := readJSON(filepath.Join(s.path, "tokenizer_config.json"), maxSmall, &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.languages = modelfile.Languages{From: language(config.From), To: language(config.To)}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(s.path, name))
		return err == nil
	}
	if exists("tokenizer.json") && !exists("source.spm") {
		return s.jsonTokenizer(c.VocabSize, drop)
	}

	sourceName, targetName := "vocab.json", "vocab.json"
	if exists("target_vocab.json") || config.Separate {
		targetName = "target_vocab.json"
	}
	if targetName != sourceName && s.config.SharedEmbeddings {
		return failure(s.path, "has two vocabularies, but one table of embeddings for both", "config.json must say share_encoder_decoder_embeddings: false")
	}
	read := func(name string, rows int) (map[string]int32, error) {
		return readVocabulary(filepath.Join(s.path, name), rows, drop)
	}
	sourceVocab, err := read(sourceName, c.VocabSize)
	if err != nil {
		return err
	}
	targetVocab := sourceVocab
	if targetName != sourceName || c.DecoderVocabSize != c.VocabSize {
		if targetVocab, err = read(targetName, c.DecoderVocabSize); err != nil {
			return err
		}
	}
	s.noteLanguages(func(f func(string, int32)) {
		for name, id := range sourceVocab {
			f(name, id)
		}
	})
	s.config.TargetUnk = -1
	if id, ok := targetVocab["<unk>"]; ok {
		s.config.TargetUnk = id
	}
	return s.spmTokenizers("source.spm", "target.spm", sourceVocab, targetVocab, sourceName != targetName)
}

// noteLanguages says so where the model has several target languages.
func (s *source) noteLanguages(each func(func(token string, id int32))) {
	first := ""
	each(func(name string, _ int32) {
		if strings.HasPrefix(name, ">>") && strings.HasSuffix(name, "<<") && (first == "" || name < first) {
			first = name
		}
	})
	if len(first) > 4 {
		s.warnings = append(s.warnings, fmt.Sprintf("the model has several target languages: choose one with --to %s, or begin lines with %s", first[2:len(first)-2], first))
	}
}

// readJSON reads a file of at most so many bytes.
func readJSON(path string, most int64, into any) error {
	raw, err := readAtMost(path, most)
	if err != nil {
		return err
	}
	return checkpoint.DecodeJSON(path, raw, into)
}

// Bounds of the files that are read whole; and of configurations, which become structures many times their size.
const (
	maxSmall  = 64 << 20
	maxConfig = 256 << 10
)

// readSmall reads a file that has to fit into memory, and never one of unreasonable size.
func readSmall(path string) ([]byte, error) { return readAtMost(path, maxSmall) }

func readAtMost(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, failure(path, "is a folder, not a file", "")
	}
	if !info.Mode().IsRegular() {
		return nil, failure(path, "is not a regular file", "")
	}
	if info.Size() > most {
		return nil, failure(path, fmt.Sprintf("is %d bytes long; no such file is", info.Size()), "it is damaged, or not what its name says")
	}
	return os.ReadFile(path)
}

// readSmallIn is readSmall for a file in files; path is its name in errors.
func readSmallIn(files fs.FS, name, path string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, failure(path, "is not a regular file", "")
	}
	if err == nil && info.Size() > maxSmall {
		return nil, failure(path, fmt.Sprintf("is %d bytes long; no such file is", info.Size()), "it is damaged, or not what its name says")
	}
	var raw []byte
	if err == nil {
		raw, err = fs.ReadFile(files, name)
	}
	if err != nil {
		return nil, &checkpoint.Error{File: path, Offset: -1, Reason: "cannot be read", Err: err}
	}
	return raw, nil
}

func or(p *bool, otherwise bool) bool {
	if p == nil {
		return otherwise
	}
	return *p
}
