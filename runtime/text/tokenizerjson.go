package text

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// JSONTokenizer is what a tokenizer.json of Hugging Face says: a Unigram model, which is SentencePiece's, or BPE with ranked pairs.
type JSONTokenizer struct {
	Vocab  map[string]int32
	Prefix []string // tokens that the model wants before each text
	Suffix []string // and behind it

	unigram *spmModel
	pairs   *pairModel
}

// ParseJSON reads a tokenizer.json. What it asks for and cannot be had is an error that names it.
func ParseJSON(raw []byte) (*JSONTokenizer, error) {
	var file struct {
		AddedTokens []struct {
			ID      int32  `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
		Normalizer    json.RawMessage `json:"normalizer"`
		PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
		PostProcessor json.RawMessage `json:"post_processor"`
		Model         json.RawMessage `json:"model"`
	}
	if err := decode("", raw, &file); err != nil {
		return nil, err
	}
	if len(file.AddedTokens) > maxIDs {
		return nil, fmt.Errorf("there are %d added tokens, at most %d may be", len(file.AddedTokens), maxIDs)
	}
	var model struct {
		Type string `json:"type"`
	}
	if len(file.Model) == 0 {
		return nil, errors.New("there is no model")
	}
	if err := decode("model: ", file.Model, &model); err != nil {
		return nil, err
	}
	var how jsonRules
	if err := how.normalizer(file.Normalizer); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if err := how.preTokenizer(file.PreTokenizer); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if how.splitSpaces && how.charsmap == nil {
		how.charsmap = spacesCharsmap()
	}
	t := &JSONTokenizer{}
	if err := t.template(file.PostProcessor); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	special := map[string]bool{}
	for _, token := range file.AddedTokens {
		special[token.Content] = special[token.Content] || token.Special
	}
	var err error
	switch model.Type {
	case "Unigram":
		err = t.readUnigram(file.Model, &how, special)
	case "BPE", "":
		err = t.readBPE(file.Model, &how, special)
	default:
		err = fmt.Errorf("the model is of type %.40q, Unigram and BPE are read", model.Type)
	}
	if err != nil {
		return nil, err
	}
	for _, token := range file.AddedTokens {
		if id, ok := t.Vocab[token.Content]; ok && id != token.ID {
			return nil, fmt.Errorf("the added token %.40q has the id %d, but %d in the model", token.Content, token.ID, id)
		}
		t.Vocab[token.Content] = token.ID
	}
	return t, nil
}

// decode is json.Unmarshal whose errors name the key, and the part of the file that it is in.
func decode(part string, raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var other *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &other):
		return fmt.Errorf("%s%w", part, err)
	}
	what := other.Value
	if other.Field != "" {
		what = other.Field + " is of the kind " + what
	} else {
		what = "this is of the kind " + what
	}
	return fmt.Errorf("%s%s, where another was expected", part, what)
}

// Build compiles the tokenizer into an image for Open, with the ids of vocab, which is Vocab or a part of it.
func (t *JSONTokenizer) Build(vocab map[string]int32) ([]byte, error) {
	if t.unigram != nil {
		return t.unigram.build(vocab)
	}
	t.pairs.vocab = vocab
	return t.pairs.build()
}

// jsonRules is what becomes of text before the model sees it.
type jsonRules struct {
	charsmap     []byte
	dummyPrefix  bool
	removeSpaces bool
	splitSpaces  bool // not at spaces alone, but at all that Unicode calls white
	escape       bool // spaces are written as U+2581
	splitWords   bool // no piece goes beyond the start of a word
	byteLevel    bool
}

// jsonStep is one normalizer or pre-tokenizer; a Sequence has several.
type jsonStep struct {
	Type          string                         `json:"type"`
	Normalizers   []jsonStep                     `json:"normalizers"`
	PreTokenizers []jsonStep                     `json:"pretokenizers"`
	Charsmap      []byte                         `json:"precompiled_charsmap"`
	Pattern       struct{ String, Regex string } `json:"pattern"`
	Content       string                         `json:"content"`
	Prepend       string                         `json:"prepend"`

	Replacement    string `json:"replacement"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool  `json:"split"`
	UseRegex       *bool  `json:"use_regex"`
	StripLeft      *bool  `json:"strip_left"`
	StripRight     *bool  `json:"strip_right"`
}

// steps takes a Sequence apart; null is none.
func steps(raw json.RawMessage, inner func(*jsonStep) []jsonStep) ([]jsonStep, error) {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var first jsonStep
	if err := decode("", raw, &first); err != nil {
		return nil, err
	}
	if first.Type == "Sequence" {
		return inner(&first), nil
	}
	return []jsonStep{first}, nil
}

func (r *jsonRules) normalizer(raw json.RawMessage) error {
	all, err := steps(raw, func(s *jsonStep) []jsonStep { return s.Normalizers })
	if err != nil {
		return err
	}
	for i, s := range all {
		switch {
		case s.Type == "Precompiled" && r.charsmap == nil && i == 0:
			r.charsmap = s.Charsmap
		case s.Type == "Strip" && (s.StripLeft == nil || *s.StripLeft) && (s.StripRight == nil || *s.StripRight):
			// Sentences have no white space around them.
		case s.Type == "Replace" && s.Pattern.Regex == " {2,}" && (s.Content == " " || s.Content == space):
			r.removeSpaces = true
		case s.Type == "Prepend" && s.Prepend == space:
			r.dummyPrefix = true
		case s.Type == "Replace" && s.Pattern.String == " " && s.Content == space:
			r.escape = true
		default:
			return fmt.Errorf("%.40q is not known as number %d; Precompiled is as the first, and Strip, Prepend and Replace of spaces", s.Type, i+1)
		}
	}
	return nil
}

func (r *jsonRules) preTokenizer(raw json.RawMessage) error {
	all, err := steps(raw, func(s *jsonStep) []jsonStep { return s.PreTokenizers })
	if err != nil {
		return err
	}
	for i, s := range all {
		switch {
		case s.Type == "WhitespaceSplit" && i == 0 && len(all) == 2 && all[1].Type == "Metaspace":
			r.removeSpaces, r.splitSpaces = true, true
		case s.Type == "Metaspace" && s.Replacement == space && i == len(all)-1:
			r.escape, r.splitWords = true, s.Split == nil || *s.Split
			switch {
			case s.PrependScheme == "always", s.PrependScheme == "first", s.PrependScheme == "" && (s.AddPrefixSpace == nil || *s.AddPrefixSpace):
				r.dummyPrefix = true
			}
		case s.Type == "ByteLevel" && len(all) == 1 && !r.escape && (s.UseRegex == nil || *s.UseRegex):
			r.byteLevel, r.dummyPrefix = true, s.AddPrefixSpace == nil || *s.AddPrefixSpace
		default:
			return fmt.Errorf("%.40q is not known here; Metaspace is, WhitespaceSplit and Metaspace, and ByteLevel with its regular expression", s.Type)
		}
	}
	return nil
}

// spacesCharsmap are rules that write every white space as a space. (A model's own rules do so themselves.)
func spacesCharsmap() []byte {
	var keys []string
	for _, r := range "\t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000" {
		keys = append(keys, string(r))
	}
	trie, err := buildTrie(keys, make([]uint32, len(keys)))
	if err != nil {
		panic(err) // the keys are above
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(trie))), trie...), " \x00"...)
}

// template reads what is put around a text.
func (t *JSONTokenizer) template(raw json.RawMessage) error {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	type token struct {
		ID string `json:"id"`
	}
	var p struct {
		Type   string `json:"type"`
		Single []struct {
			Sequence *token `json:"Sequence"`
			Special  *token `json:"SpecialToken"`
		} `json:"single"`
	}
	if err := decode("", raw, &p); err != nil {
		return err
	}
	if p.Type == "ByteLevel" {
		return nil // it moves offsets, not ids
	}
	if p.Type != "TemplateProcessing" {
		return fmt.Errorf("%.40q is not known, TemplateProcessing is", p.Type)
	}
	behind := false
	for _, part := range p.Single {
		switch {
		case part.Sequence != nil && !behind:
			behind = true
		case part.Special != nil && behind:
			t.Suffix = append(t.Suffix, part.Special.ID)
		case part.Special != nil:
			t.Prefix = append(t.Prefix, part.Special.ID)
		default:
			return errors.New("the template for one text has it twice")
		}
	}
	return nil
}

// jsonPiece is one piece of a Unigram model: ["text", score].
type jsonPiece struct {
	text  string
	score float32
}

func (p *jsonPiece) UnmarshalJSON(raw []byte) error {
	parts := []any{&p.text, &p.score}
	err := json.Unmarshal(raw, &parts)
	if err == nil && len(parts) != 2 {
		err = fmt.Errorf("%.60s is not a text and its score", raw)
	}
	return err
}

// jsonPair is one merge, "left right" or ["left", "right"]: both, with a NUL between.
type jsonPair string

func (p *jsonPair) UnmarshalJSON(raw []byte) error {
	var parts []string
	if raw[0] == '"' {
		var line string
		if err := json.Unmarshal(raw, &line); err != nil {
			return err
		}
		parts = strings.Split(line, " ")
	} else if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != 2 || slices.Contains(parts, "") || strings.Contains(parts[0]+parts[1], "\x00") {
		return fmt.Errorf("%.60s is not of two tokens", raw)
	}
	*p = jsonPair(parts[0] + "\x00" + parts[1])
	return nil
}

// readUnigram makes a SentencePiece model of it.
func (t *JSONTokenizer) readUnigram(raw json.RawMessage, how *jsonRules, special map[string]bool) error {
	var model struct {
		UnkID        *int        `json:"unk_id"`
		Vocab        []jsonPiece `json:"vocab"`
		ByteFallback bool        `json:"byte_fallback"`
	}
	if err := decode("model: ", raw, &model); err != nil {
		return err
	}
	if how.byteLevel || !how.escape {
		return errors.New("a Unigram model without Metaspace is not read")
	}
	if len(model.Vocab) == 0 {
		return errors.New("model: the vocabulary is empty")
	}
	m := &spmModel{modelType: 1, unkSurface: " \u2047 ", unkPiece: "<unk>", byteFallback: model.ByteFallback}
	m.normalizer = spmRules{how.charsmap, how.dummyPrefix, how.removeSpaces, true}
	t.unigram, t.Vocab = m, make(map[string]int32, len(model.Vocab))
	for i, entry := range model.Vocab {
		piece := spmPiece{text: entry.text, score: entry.score, kind: pieceNormal}
		_, isByte := byteOf(piece.text)
		switch {
		case model.UnkID != nil && *model.UnkID == i:
			piece.kind, m.unkPiece = pieceUnknown, piece.text
		case special[piece.text] || isControl(piece.text):
			piece.kind = pieceControl
		case isByte && model.ByteFallback:
			piece.kind = pieceByte
		case how.splitWords && strings.LastIndex(piece.text, space) > 0:
			piece.kind = pieceUnused // it would go beyond a word
		}
		if err := piece.check(); err != nil {
			return fmt.Errorf("piece %d: %w", i, err)
		}
		if first, twice := t.Vocab[piece.text]; twice {
			return fmt.Errorf("pieces %d and %d are the same", first, i)
		}
		t.Vocab[piece.text] = int32(i)
		m.pieces = append(m.pieces, piece)
	}
	return nil
}

// readBPE reads a model of ranked pairs.
func (t *JSONTokenizer) readBPE(raw json.RawMessage, how *jsonRules, special map[string]bool) error {
	var model struct {
		Vocab        map[string]int32 `json:"vocab"`
		Merges       []jsonPair       `json:"merges"`
		Unk          string           `json:"unk_token"`
		FuseUnk      bool             `json:"fuse_unk"`
		ByteFallback bool             `json:"byte_fallback"`
		Prefix       string           `json:"continuing_subword_prefix"`
		Suffix       string           `json:"end_of_word_suffix"`
		IgnoreMerges bool             `json:"ignore_merges"`
	}
	if err := decode("model: ", raw, &model); err != nil {
		return err
	}
	for _, unknown := range []struct {
		name string
		on   bool
	}{
		{"continuing_subword_prefix", model.Prefix != ""}, {"end_of_word_suffix", model.Suffix != ""}, {"ignore_merges", model.IgnoreMerges},
		{"a pre_tokenizer other than Metaspace and ByteLevel", !how.escape && !how.byteLevel},
		{"a normalizer before ByteLevel", how.byteLevel && (how.charsmap != nil || how.removeSpaces)},
	} {
		if unknown.on {
			return fmt.Errorf("BPE with %s is not read", unknown.name)
		}
	}
	m := &pairModel{control: map[string]bool{}, unk: model.Unk, byteFallback: model.ByteFallback, charsmap: how.charsmap}
	for token, is := range special {
		m.control[token] = is && token != model.Unk
	}
	for _, flag := range []struct {
		on  bool
		bit uint32
	}{
		{how.dummyPrefix, flagDummyPrefix}, {how.removeSpaces, flagRemoveSpaces}, {how.escape, flagEscape},
		{how.splitWords, flagSplitWords}, {how.byteLevel, flagByteLevel}, {!model.FuseUnk, flagSplitUnknown},
	} {
		if flag.on {
			m.flags |= flag.bit
		}
	}
	m.merges = model.Merges
	if t.pairs, t.Vocab = m, model.Vocab; t.Vocab == nil {
		return errors.New("model: there is no vocabulary")
	}
	return nil
}
