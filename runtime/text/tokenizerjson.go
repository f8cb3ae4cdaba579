package text

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// JSONTokenizer is what a tokenizer.json of Hugging Face says: a Unigram model, which is SentencePiece's, or BPE with ranked pairs.
type JSONTokenizer struct {
	Vocab  *Vocab
	Prefix []string // tokens that the model wants before each text
	Suffix []string // and behind it

	unigram *spmModel
	pairs   *pairModel
}

// ParseJSON reads a tokenizer.json. What it asks for and cannot be had is an error that names it.
func ParseJSON(raw []byte) (*JSONTokenizer, error) {
	var file struct {
		AddedTokens   addedTokens `json:"added_tokens"`
		Normalizer    jsonRaw     `json:"normalizer"`
		PreTokenizer  jsonRaw     `json:"pre_tokenizer"`
		PostProcessor jsonRaw     `json:"post_processor"`
		Model         jsonRaw     `json:"model"`
	}
	if err := decode("", raw, &file); err != nil {
		return nil, err
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
	var err error
	switch model.Type {
	case "Unigram":
		err = t.readUnigram(file.Model, &how, file.AddedTokens)
	case "BPE", "":
		err = t.readBPE(file.Model, &how, file.AddedTokens)
	default:
		err = fmt.Errorf("the model is of type %.40q, Unigram and BPE are read", model.Type)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// addedTokens are tokens that lie beside the model.
type addedTokens []addedToken

type addedToken struct {
	text    string
	id      int32
	special bool
}

func (a *addedTokens) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if text == "null" {
		return nil
	}
	n := jsonCount(text)
	if err := checkCount(n); err != nil {
		return err
	}
	all := make(addedTokens, 0, n)
	err := eachElement(text, func(element string) error {
		var token addedToken
		err := eachMember(element, func(name, value string) (err error) {
			switch name {
			case `"id"`:
				token.id, err = jsonInt(value)
			case `"content"`:
				token.text, err = jsonString(value)
			case `"special"`:
				token.special = value == "true"
			}
			return inField(strings.Trim(name, `"`), err)
		})
		if err == nil && token.text == "" {
			err = fmt.Errorf("the added token number %d is empty", len(all)+1)
		}
		all = append(all, token)
		return err
	})
	*a = all
	return err
}

// specials says of the added tokens whether text never becomes them.
func (a addedTokens) specials() map[string]bool {
	special := make(map[string]bool, len(a))
	for _, token := range a {
		special[token.text] = special[token.text] || token.special
	}
	return special
}

// join makes the vocabulary of count tokens of the model, with ids up to last, and the added ones that it lacks.
func (a addedTokens) join(count int, last int32, each func(add func(string, int32) error) error) (*Vocab, error) {
	own, err := newVocab(count, last, each)
	if err != nil || len(a) == 0 {
		return own, err
	}
	more := make(map[string]int32)
	for _, token := range a {
		id, ok := own.ID(token.text)
		if !ok {
			id, ok = more[token.text]
		}
		if ok && id != token.id {
			return nil, fmt.Errorf("the added token %.40q has the id %d, but %d in the model", token.text, token.id, id)
		}
		if !ok {
			more[token.text] = token.id
			last = max(last, token.id)
		}
	}
	if len(more) == 0 {
		return own, nil
	}
	return newVocab(count+len(more), last, func(add func(string, int32) error) error {
		for _, id := range own.order {
			if err := add(own.texts[id], int32(id)); err != nil {
				return err
			}
		}
		for token, id := range more {
			if err := add(token, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// decode is json.Unmarshal whose errors name the key, and the part of the file that it is in.
func decode(part string, raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s%w", part, otherWords(err))
	}
	return nil
}

// otherWords says of an error of encoding/json, if it is about another kind of value than expected, which one.
func otherWords(err error) error {
	var other *json.UnmarshalTypeError
	if !errors.As(err, &other) {
		return err
	}
	what := "this"
	if other.Field != "" {
		what = other.Field
	}
	return fmt.Errorf("%s is of the kind %s, where another was expected", what, other.Value)
}

// inField says of an error of another kind in which field it is.
func inField(name string, err error) error {
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) {
		other.Field = strings.TrimSuffix(name+"."+other.Field, ".")
	}
	return err
}

// Build compiles the tokenizer into an image for Open.
func (t *JSONTokenizer) Build() ([]byte, error) {
	if t.unigram != nil {
		return t.unigram.build(t.Vocab)
	}
	return t.pairs.build(t.Vocab)
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

// jsonStep is one normalizer or pre-tokenizer.
type jsonStep struct {
	Type     string                         `json:"type"`
	Charsmap []byte                         `json:"precompiled_charsmap"`
	Pattern  struct{ String, Regex string } `json:"pattern"`
	Content  string                         `json:"content"`
	Prepend  string                         `json:"prepend"`

	Replacement    string `json:"replacement"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool  `json:"split"`
	UseRegex       *bool  `json:"use_regex"`
	StripLeft      *bool  `json:"strip_left"`
	StripRight     *bool  `json:"strip_right"`
}

// jsonSteps are the steps of a Sequence.
type jsonSteps []jsonStep

const maxSteps = 32

func (s *jsonSteps) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if text == "null" {
		return nil
	}
	if *s != nil {
		return errors.New("the steps are there twice")
	}
	n := jsonCount(text)
	if n > maxSteps {
		return fmt.Errorf("there are %d steps, at most %d are read", n, maxSteps)
	}
	*s = make(jsonSteps, 0, n)
	return eachElement(text, func(element string) error {
		var step jsonStep
		err := json.Unmarshal([]byte(element), &step)
		*s = append(*s, step)
		return err
	})
}

// steps takes a Sequence apart; null is none.
func steps(raw jsonRaw) ([]jsonStep, error) {
	if !raw.given() {
		return nil, nil
	}
	var first struct {
		jsonStep
		Normalizers   jsonSteps `json:"normalizers"`
		PreTokenizers jsonSteps `json:"pretokenizers"`
	}
	if err := decode("", raw, &first); err != nil {
		return nil, err
	}
	if first.Type == "Sequence" {
		return append(first.Normalizers, first.PreTokenizers...), nil
	}
	return []jsonStep{first.jsonStep}, nil
}

func (r *jsonRules) normalizer(raw jsonRaw) error {
	all, err := steps(raw)
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

func (r *jsonRules) preTokenizer(raw jsonRaw) error {
	all, err := steps(raw)
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
	trie, err := buildTrie(trieList{keys, make([]uint32, len(keys))})
	if err != nil {
		panic(err) // the keys are above
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(trie))), trie...), " \x00"...)
}

// template reads what is put around a text.
func (t *JSONTokenizer) template(raw jsonRaw) error {
	if !raw.given() {
		return nil
	}
	var p struct {
		Type   string  `json:"type"`
		Single jsonRaw `json:"single"`
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
	if !p.Single.given() {
		return nil
	}
	behind := false
	err := eachElement(string(p.Single), func(element string) error {
		var part struct {
			Sequence *struct{}            `json:"Sequence"`
			Special  *struct{ ID string } `json:"SpecialToken"`
		}
		if err := json.Unmarshal([]byte(element), &part); err != nil {
			return err
		}
		switch {
		case len(t.Prefix)+len(t.Suffix) == maxSteps:
			return fmt.Errorf("the template for one text has more than %d tokens", maxSteps)
		case part.Sequence != nil && !behind:
			behind = true
		case part.Special != nil && behind:
			t.Suffix = append(t.Suffix, part.Special.ID)
		case part.Special != nil:
			t.Prefix = append(t.Prefix, part.Special.ID)
		default:
			return errors.New("the template for one text has it twice")
		}
		return nil
	})
	return otherWords(inField("single", err))
}

// jsonPieces are the pieces of a Unigram model: an array of ["text", score].
type jsonPieces []spmPiece

func (p *jsonPieces) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if text == "null" {
		return nil
	}
	n := jsonCount(text)
	if err := checkCount(n); err != nil {
		return err
	}
	all := make(jsonPieces, 0, n)
	err := eachElement(text, func(element string) (err error) {
		piece, n := spmPiece{kind: pieceNormal}, 0
		err = eachElement(element, func(part string) (err error) {
			switch n++; n {
			case 1:
				piece.text, err = jsonString(part)
			case 2:
				piece.score, err = jsonFloat(part)
			}
			return err
		})
		if err == nil && n != 2 {
			err = fmt.Errorf("%.60s is not a text and its score", element)
		}
		all = append(all, piece)
		return err
	})
	*p = all
	return err
}

// jsonMerges is an array of merges, checked.
type jsonMerges string

func (m *jsonMerges) UnmarshalJSON(raw []byte) error {
	if *m = jsonMerges(raw); *m == "null" {
		*m = ""
		return nil
	}
	return eachElement(string(*m), func(merge string) error {
		_, _, err := mergePair(merge)
		return err
	})
}

// mergePair is one merge, "left right" or ["left", "right"].
func mergePair(merge string) (left, right string, err error) {
	n := 2
	if merge[0] == '"' {
		line, err := jsonString(merge)
		if err != nil {
			return "", "", err
		}
		n = strings.Count(line, " ") + 1
		left, right, _ = strings.Cut(line, " ")
	} else if merge != "null" {
		n = 0
		err = eachElement(merge, func(part string) (err error) {
			switch n++; n {
			case 1:
				left, err = jsonString(part)
			case 2:
				right, err = jsonString(part)
			}
			return err
		})
	}
	if err == nil && (n != 2 || left == "" || right == "" || strings.Contains(left, "\x00") || strings.Contains(right, "\x00")) {
		err = fmt.Errorf("%.60s is not of two tokens", merge)
	}
	return left, right, err
}

// readUnigram makes a SentencePiece model of it.
func (t *JSONTokenizer) readUnigram(raw jsonRaw, how *jsonRules, added addedTokens) error {
	var model struct {
		UnkID        *int       `json:"unk_id"`
		Vocab        jsonPieces `json:"vocab"`
		ByteFallback bool       `json:"byte_fallback"`
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
	m := &spmModel{pieces: model.Vocab, modelType: 1, unkSurface: " \u2047 ", unkPiece: "<unk>", byteFallback: model.ByteFallback}
	m.normalizer = spmRules{how.charsmap, how.dummyPrefix, how.removeSpaces, true}
	special := added.specials()
	for i := range m.pieces {
		piece := &m.pieces[i]
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
	}
	t.unigram = m
	var err error
	t.Vocab, err = added.join(len(m.pieces), int32(len(m.pieces)-1), func(add func(string, int32) error) error {
		for i := range m.pieces {
			if err := add(m.pieces[i].text, int32(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// jsonTokens is an object of tokens and their ids, counted and checked.
type jsonTokens struct {
	text  string
	count int
	last  int32
}

func (v *jsonTokens) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if text == "null" {
		return nil
	}
	*v = jsonTokens{text: text} // a key that is there twice counts as it stands last
	if err := checkCount(jsonCount(text)); err != nil {
		return err
	}
	return eachMember(text, func(name, value string) error {
		id, err := jsonInt(value)
		v.count, v.last = v.count+1, max(v.last, id)
		return err
	})
}

// each calls add for every token.
func (v *jsonTokens) each(add func(token string, id int32) error) error {
	return eachMember(v.text, func(name, value string) error {
		id, err := jsonInt(value)
		if err != nil {
			return err
		}
		token, err := jsonString(name)
		if err != nil {
			return err
		}
		return add(token, id)
	})
}

// readBPE reads a model of ranked pairs.
func (t *JSONTokenizer) readBPE(raw jsonRaw, how *jsonRules, added addedTokens) error {
	var model struct {
		Vocab        jsonTokens `json:"vocab"`
		Merges       jsonMerges `json:"merges"`
		Unk          string     `json:"unk_token"`
		FuseUnk      bool       `json:"fuse_unk"`
		ByteFallback bool       `json:"byte_fallback"`
		Prefix       string     `json:"continuing_subword_prefix"`
		Suffix       string     `json:"end_of_word_suffix"`
		IgnoreMerges bool       `json:"ignore_merges"`
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
	m := &pairModel{control: added.specials(), unk: model.Unk, byteFallback: model.ByteFallback, charsmap: how.charsmap, merges: string(model.Merges)}
	delete(m.control, model.Unk)
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
	if model.Vocab.text == "" {
		return errors.New("model: there is no vocabulary")
	}
	t.pairs = m
	var err error
	t.Vocab, err = added.join(model.Vocab.count, model.Vocab.last, model.Vocab.each)
	return err
}
