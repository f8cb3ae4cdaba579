package text

import (
	"unicode"
	"unicode/utf8"
)

// Two more kinds of image, for models whose vocabulary is words or characters: lists of tokens like the kind "tokens", and a rule
// for cutting text.
//
//	words  a run of letters, marks and digits; an apostrophe (' or U+2019) with the run behind it, if a run is before it (Tom 's,
//	       don 't); every other character that is no space by itself
//	chars  every character, spaces too

// BuildWords compiles a list of words, whose ids are their places in it. <unk> is the unknown word if it is there; other strings
// like <s> are control pieces, which text never becomes.
func BuildWords(words []string) ([]byte, error) { return buildList(words, formatWords) }

// BuildChars compiles a list of characters in the same way.
func BuildChars(chars []string) ([]byte, error) { return buildList(chars, formatChars) }

// nextWord is the first word of s and what is left behind it; word is "" at the end of the text. run says that the character
// before s belongs to a run, so that an apostrophe may go on.
func nextWord(s string, run bool) (word, rest string, inRun bool) {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case wordRune(r):
			n = runLength(s)
			return s[:n], s[n:], true
		case apostrophe(r) && run:
			if m := runLength(s[n:]); m > 0 {
				return s[:n+m], s[n+m:], true
			}
			return s[:n], s[n:], false
		case unicode.IsSpace(r):
			s, run = s[n:], false
		default:
			return s[:n], s[n:], false
		}
	}
	return "", "", false
}

// runLength is the number of bytes of letters, marks and digits that s starts with.
func runLength(s string) int {
	for i, r := range s {
		if !wordRune(r) {
			return i
		}
	}
	return len(s)
}

func wordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r))
}

func apostrophe(r rune) bool { return r == '\'' || r == '\u2019' }

// eachPart calls f for the tokens of s, by the rule of the tokenizer's kind.
func (t *Tokenizer) eachPart(s string, f func(string)) {
	switch t.format {
	case formatWords:
		for word, rest, run := nextWord(s, false); word != ""; word, rest, run = nextWord(rest, run) {
			f(word)
		}
	case formatChars:
		for len(s) > 0 {
			_, n := utf8.DecodeRuneInString(s)
			f(s[:n])
			s = s[n:]
		}
	case formatMoses:
		for _, word := range t.moses.tokenize(t.moses.normalize(s)) {
			t.eachSubword(word, f)
		}
	default:
		eachToken(s, f)
	}
}

// IsText reports whether an id stands for text: not for an unknown word, a control piece, or nothing.
func (t *Tokenizer) IsText(id int32) bool {
	return id >= 0 && int64(id) < int64(t.ids) && t.kinds[2*id] == kindText && len(t.piece(uint32(id))) > 0
}

// partID is the id of a token of a text: that of its string, unless that is a control piece, else the unknown one.
func (t *Tokenizer) partID(part string) int32 {
	id, ok := t.ID(part)
	if ok && t.format != formatTokens && t.kinds[2*id] != kindText {
		return t.unk
	}
	return id
}

// joins says whether a word is written without a space between it and the one before.
func (t *Tokenizer) joins(before, word []byte) bool {
	if t.format == formatChars || len(before) == 0 {
		return true
	}
	if t.format == formatTokens {
		return false
	}
	switch r, n := utf8.DecodeRune(word); r {
	case '.', ',', '!', '?', ';', ':', ')', ']', '}', '%', '…', '”', '。', '，', '！', '？', '；', '：', '、', '）', '」', '』':
		return true
	case '\'', '\u2019':
		if len(word) > n {
			return true
		}
	}
	switch last, _ := utf8.DecodeLastRune(before); last {
	case '(', '[', '{', '“', '（', '「', '『':
		return true
	}
	return false
}
