package ctranslate2

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// Config is config.json, or before binary version 6, what was stored in its place.
type Config struct {
	UnkToken string
	BOSToken string
	EOSToken string
	// DecoderStartToken is "" where the user of the model has to give it with each sentence.
	DecoderStartToken string
	AddSourceBOS      bool
	AddSourceEOS      bool
	// LayerNormEpsilon is 0 where the file does not say: 1e-5 for LayerNorm, 1e-6 for RMSNorm.
	LayerNormEpsilon float32
	QuantizationType int // 0 CTranslate2's own; others are AWQ
}

// maxConfig and maxVocabulary bound the files that are read whole.
const (
	maxConfig     = 4 << 20
	maxVocabulary = 64 << 20
)

// readFile reads a small file of the folder dir; absent gives nil.
func (m *Model) readFile(dir, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(m.files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, &checkpoint.Error{File: filepath.Join(dir, name), Offset: -1, Reason: fmt.Sprintf("%d bytes where a regular file of at most %d was expected", info.Size(), limit), Do: again}
	}
	text, err := fs.ReadFile(m.files, name)
	if text == nil && err == nil {
		text = []byte{}
	}
	return text, err
}

// readConfig reads config.json. Before version 6 the same facts lie in model.bin as scalars and texts.
func (m *Model) readConfig(dir string) error {
	path := filepath.Join(dir, "config.json")
	text, err := m.readFile(dir, "config.json", maxConfig)
	if err != nil {
		return err
	}
	known := struct {
		UnkToken   string  `json:"unk_token"`
		BOSToken   string  `json:"bos_token"`
		EOSToken   string  `json:"eos_token"`
		StartToken string  `json:"decoder_start_token"`
		SourceBOS  bool    `json:"add_source_bos"`
		SourceEOS  bool    `json:"add_source_eos"`
		Epsilon    float32 `json:"layer_norm_epsilon"`
		Method     int     `json:"quantization_type"`
	}{UnkToken: "<unk>", BOSToken: "<s>", EOSToken: "</s>"}
	c := &m.Config
	c.UnkToken, c.BOSToken, c.EOSToken = known.UnkToken, known.BOSToken, known.EOSToken
	if text != nil {
		if err := checkpoint.DecodeJSON(path, text, &known); err != nil {
			return err
		}
	}
	c.LayerNormEpsilon, c.QuantizationType = known.Epsilon, known.Method
	if m.BinaryVersion >= 6 {
		if text == nil {
			return &checkpoint.Error{File: path, Offset: -1, Reason: "it is missing, and this version of the format needs it", Do: "copy the whole folder"}
		}
		c.UnkToken, c.BOSToken, c.EOSToken, c.DecoderStartToken = known.UnkToken, known.BOSToken, known.EOSToken, known.StartToken
		c.AddSourceBOS, c.AddSourceEOS = known.SourceBOS, known.SourceEOS
		return nil
	}
	for key, dst := range map[string]*string{"unk_token": &c.UnkToken, "bos_token": &c.BOSToken, "eos_token": &c.EOSToken} {
		if *dst, err = m.Text(key, *dst); err != nil {
			return err
		}
	}
	if c.AddSourceBOS, err = m.Flag("with_source_bos", false); err != nil {
		return err
	}
	if c.AddSourceEOS, err = m.Flag("with_source_eos", false); err != nil {
		return err
	}
	user, err := m.Flag("user_decoder_start_tokens", false)
	if err != nil {
		return err
	}
	bos, err := m.Flag("with_target_bos", true)
	switch {
	case user:
	case bos:
		c.DecoderStartToken = c.BOSToken
	default:
		c.DecoderStartToken = c.EOSToken
	}
	return err
}

// A Vocabulary gives each token its number: its place in Tokens.
type Vocabulary struct {
	Path   string
	Tokens []string // where a token occurs twice, its number is that of the first
	Unk    int      // what stands for tokens that are not there
	Added  bool     // the unknown token was not in the file and has been put at the end
}

// readVocabularies looks for the files in the order in which CTranslate2 does.
func (m *Model) readVocabularies(dir string) error {
	var err error
	load := func(name string) *Vocabulary {
		if err != nil {
			return nil
		}
		var v *Vocabulary
		v, err = m.readVocabulary(dir, name)
		return v
	}
	if v := load("shared_vocabulary"); v != nil {
		m.Source, m.Target, m.Shared = []*Vocabulary{v}, v, true
		return err
	}
	if v := load("vocabulary"); v != nil { // language models, encoders, Whisper
		m.Source, m.Target, m.Shared = []*Vocabulary{v}, v, true
		return err
	}
	m.Target = load("target_vocabulary")
	if v := load("source_vocabulary"); v != nil {
		m.Source = []*Vocabulary{v}
	}
	for i := 1; m.Source == nil || i > 1; i++ {
		v := load(fmt.Sprintf("source_%d_vocabulary", i))
		if v == nil {
			break
		}
		m.Source = append(m.Source, v)
	}
	if err != nil {
		return err
	}
	if m.Target == nil || m.Source == nil {
		missing := "target_vocabulary"
		if m.Target != nil {
			missing = "source_vocabulary"
		}
		return &checkpoint.Error{File: dir, Offset: -1, Reason: fmt.Sprintf("neither shared_vocabulary nor %s (.json or .txt) is there", missing), Do: "copy the whole folder"}
	}
	return nil
}

// readVocabulary reads NAME.json, else NAME.txt; neither gives nil.
func (m *Model) readVocabulary(dir, name string) (*Vocabulary, error) {
	unk := m.Config.UnkToken
	path := filepath.Join(dir, name+".json")
	text, err := m.readFile(dir, name+".json", maxVocabulary)
	parse := parseJSON
	if text == nil && err == nil {
		path = filepath.Join(dir, name+".txt")
		text, err = m.readFile(dir, name+".txt", maxVocabulary)
		parse = parseText
	}
	if text == nil || err != nil {
		return nil, err
	}
	tokens, err := parse(path, text)
	if err != nil {
		return nil, err
	}
	v := &Vocabulary{Path: path, Tokens: tokens, Unk: -1}
	for i, t := range tokens {
		if t == unk {
			v.Unk = i
			break
		}
	}
	if v.Unk < 0 {
		v.Unk, v.Added = len(tokens), true
		v.Tokens = append(v.Tokens, unk)
	}
	return v, nil
}

// tooMany refuses files of almost nothing but separators, whose tokens would take many times their size.
func tooMany(path string, tokens, size int) error {
	if int64(tokens) > int64(size)/2+1<<16 {
		return &checkpoint.Error{File: path, Offset: -1, Reason: fmt.Sprintf("%d tokens in %d bytes: most of them are empty", tokens, size), Do: again}
	}
	return nil
}

// parseText splits at newlines. A carriage return at the end of a line belongs to the token, unless every
// line has one: some vocabularies have tokens that end so.
func parseText(path string, text []byte) ([]string, error) {
	if err := tooMany(path, bytes.Count(text, []byte("\n")), len(text)); err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, nil
	}
	tokens := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, t := range tokens {
		if !strings.HasSuffix(t, "\r") {
			return tokens, nil
		}
	}
	for i, t := range tokens {
		tokens[i] = strings.TrimSuffix(t, "\r")
	}
	return tokens, nil
}

// parseJSON reads an array of strings.
func parseJSON(path string, text []byte) ([]string, error) {
	commas := bytes.Count(text, []byte(","))
	if err := tooMany(path, commas, len(text)); err != nil {
		return nil, err
	}
	tokens := make([]string, 0, commas+1) // is filled in place, while it is large enough
	if err := checkpoint.DecodeJSON(path, text, &tokens); err != nil {
		return nil, err
	}
	if tokens == nil {
		return nil, &checkpoint.Error{File: path, Offset: -1, Reason: "null where an array of tokens was expected", Do: again}
	}
	if i := firstNull(text); i >= 0 { // which encoding/json takes for ""
		return nil, &checkpoint.Error{File: path, Offset: -1, Reason: fmt.Sprintf("token %d is null", i), Do: again}
	}
	return tokens, nil
}

// firstNull is the index of the first null in an array of strings and nulls that is valid JSON; -1 if there is none.
func firstNull(array []byte) (index int) {
	for i, quoted := 0, false; i < len(array); i++ {
		switch c := array[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && c == ',':
			index++
		case !quoted && c == 'n':
			return index
		}
	}
	return -1
}
