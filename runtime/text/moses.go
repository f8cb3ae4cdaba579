package text

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Words as Moses cuts them: what models are trained with whose text was split by its scripts before BPE. The rules are those of
// sacremoses 0.2, MosesPunctNormalizer, MosesTokenizer (escaping, no protected patterns) and MosesDetokenizer, in their order: each
// works on what the one before has left.

// moses are the rules for a pair of languages.
type moses struct {
	from, to string
	prefixes string // abbreviations that a full stop does not end, a line each, with a line end before the first; "#" behind one: before numbers
}

var mosesPatterns = sync.OnceValue(func() (p struct{ closing, percent, quoteEN, quoteDE, number, afterOther, beforeOther *regexp.Regexp }) {
	p.closing = regexp.MustCompile(`\) ([.!:?;,])`)
	p.percent = regexp.MustCompile(`(\p{Nd}) %`)
	p.quoteEN = regexp.MustCompile(`"([,.]+)`)
	p.quoteDE = regexp.MustCompile(`(\.+)"([\s\p{Z}]*[^<])`)
	p.number = regexp.MustCompile(`(\p{Nd})\x{A0}(\p{Nd})`)
	p.afterOther = regexp.MustCompile(`([^\pN]),`)
	p.beforeOther = regexp.MustCompile(`,([^\pN])`)
	return p
})

// replaceEach replaces pairs of old and new one after another, in all of s each.
func replaceEach(s string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

// oneSpace makes one of each run of spaces.
func oneSpace(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

// normalize makes punctuation plain.
func (m *moses) normalize(s string) string {
	const hard = "\u00a0" // the space that does not break
	p := mosesPatterns()
	s = oneSpace(replaceEach(s, "\r", "", "(", " (", ")", ") "))
	s = p.closing.ReplaceAllString(s, ")$1")
	s = p.percent.ReplaceAllString(replaceEach(s, "( ", "(", " )", ")"), "$1%")
	s = replaceEach(s, " :", ":", " ;", ";", "`", "'", "''", ` " `, "„", `"`, "“", `"`, "”", `"`, "–", "-", "—", " - ")
	s = replaceEach(oneSpace(s), "´", "'", "‘", "'", "‚", "'", "’", "'", "''", `"`, "…", "...",
		hard+"«"+hard, `"`, "«"+hard, `"`, "«", `"`, hard+"»"+hard, `"`, hard+"»", `"`, "»", `"`,
		hard+"%", "%", "nº"+hard, "nº ", hard+":", ":", hard+"ºC", " ºC", hard+"cm", " cm", hard+"?", "?", hard+"!", "!", hard+";", ";", ","+hard, ", ")
	s = oneSpace(s)
	decimal := "$1.$2"
	switch m.from {
	case "en":
		s = p.quoteEN.ReplaceAllString(s, `$1"`)
	case "de", "es", "fr":
		s = p.quoteDE.ReplaceAllString(strings.ReplaceAll(s, `,"`, `",`), `"$1$2`)
	}
	switch m.from {
	case "de", "es", "cz", "cs", "fr":
		decimal = "$1,$2"
	}
	return strings.TrimSpace(p.number.ReplaceAllString(s, decimal))
}

// manyDots stands for each full stop of a run of two or more, so that the rules leave the run alone.
const manyDots = '\uFDD0'

// tokenize cuts normalized text into words.
func (m *moses) tokenize(s string) []string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == manyDots {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	s = m.separate(s)
	p := mosesPatterns()
	s = p.beforeOther.ReplaceAllString(p.afterOther.ReplaceAllString(s, "$1 , "), " , $1")
	if before, ok := strings.CutSuffix(s, ","); ok && before != "" {
		s = before + " , "
	}
	s = m.apostrophes(s)
	words := m.fullStops(strings.Fields(s))
	s = strings.Join(words, " ")
	if before, ok := strings.CutSuffix(s, ".'"); ok {
		s = before + " . ' "
	}
	s = replaceEach(s, string(manyDots), ".", "&", "&amp;", "|", "&#124;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;", "[", "&#91;", "]", "&#93;")
	return strings.Fields(s)
}

// separate puts spaces around every other character than letters, digits and . ' ` , - and around runs of full stops.
func (m *moses) separate(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		dots := 0
		for dots < len(s)-i && s[i+dots] == '.' {
			dots++
		}
		switch {
		case dots > 1:
			b.WriteString(" " + strings.Repeat(string(manyDots), dots) + " ")
			n = dots
		case strings.ContainsRune(".'`,- ", r) || m.alpha(r) || unicode.Is(unicode.Nd, r):
			b.WriteString(s[i : i+n])
		default:
			b.WriteString(" " + s[i:i+n] + " ")
		}
		i += n
	}
	return b.String()
}

// alpha: letters, and marks that are written within words. Characters that stand without spaces are letters in their language only.
func (m *moses) alpha(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return 'a' <= r|0x20 && r|0x20 <= 'z'
	case unicode.Is(unicode.Han, r):
		return m.from == "zh" || m.from == "ja"
	case r >= 0xAC00 && r <= 0xD7A3: // Korean syllables
		return m.from == "ko"
	case r >= 0x3001 && r <= 0xFF65 && (m.from == "zh" || m.from == "ja" || m.from == "ko") && unicode.Is(eastAsianSigns, r):
		return true
	}
	return unicode.IsLetter(r) || unicode.In(r, unicode.Nl, unicode.Other_Alphabetic) || strings.ContainsRune(indicMarks, r)
}

// eastAsianSigns are punctuation and signs that belong to words in Chinese, Japanese and Korean, as sacremoses has it: the full stop
// and the comma in the middle, but not those of full width.
var eastAsianSigns = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x3001, Hi: 0x3003, Stride: 1}, {Lo: 0x3008, Hi: 0x3011, Stride: 1}, {Lo: 0x3013, Hi: 0x301F, Stride: 1}, {Lo: 0x3030, Hi: 0x3030, Stride: 1},
	{Lo: 0x3037, Hi: 0x3037, Stride: 1}, {Lo: 0x30FB, Hi: 0x30FB, Stride: 1}, {Lo: 0xFE45, Hi: 0xFE46, Stride: 1}, {Lo: 0xFF61, Hi: 0xFF65, Stride: 1},
}}

// indicMarks are viramas and nuktas, which are no letters to Unicode.
const indicMarks = "\u093c\u094d\u09bc\u09cd\u0a3c\u0a4d\u0abc\u0acd\u0b3c\u0b4d\u0bcd\u0c4d\u0cbc\u0ccd\u0d4d\u0dca"

// apostrophes cuts at them: before what follows in English, behind in French and Italian, on both sides elsewhere.
func (m *moses) apostrophes(s string) string {
	if !strings.Contains(s, "'") {
		return s
	}
	other := func(r rune) bool { return !m.alpha(r) }
	switch m.from {
	case "en":
		neither := func(r rune) bool { return !m.alpha(r) && !unicode.IsNumber(r) }
		isS := func(r rune) bool { return r == 's' }
		s = between(s, other, other, " ' ")
		s = between(s, neither, m.alpha, " ' ")
		s = between(s, m.alpha, other, " ' ")
		s = between(s, m.alpha, m.alpha, " '")
		return between(s, unicode.IsNumber, isS, " '")
	case "fr", "it":
		s = between(s, other, other, " ' ")
		s = between(s, other, m.alpha, " ' ")
		s = between(s, m.alpha, other, " ' ")
		return between(s, m.alpha, m.alpha, "' ")
	}
	return strings.ReplaceAll(s, "'", " ' ")
}

// between writes each apostrophe between two such characters as with. A character belongs to one of them at most.
func between(s string, left, right func(rune) bool, with string) string {
	text := []rune(s)
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		b.WriteRune(text[i])
		if i+2 < len(text) && text[i+1] == '\'' && left(text[i]) && right(text[i+2]) {
			b.WriteString(with)
			b.WriteRune(text[i+2])
			i += 2
		}
	}
	return b.String()
}

// fullStops cuts them off words, except off abbreviations and before small letters.
func (m *moses) fullStops(words []string) []string {
	for i, word := range words {
		prefix, ok := strings.CutSuffix(word, ".")
		if !ok || prefix == "" {
			continue
		}
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		first, _ := utf8.DecodeRuneInString(next)
		switch {
		case strings.Contains(prefix, ".") && strings.ContainsFunc(prefix, m.alpha):
		case m.abbreviation(prefix, ""):
		case next != "" && (unicode.IsLower(first) || unicode.Is(unicode.Other_Lowercase, first)):
		case m.abbreviation(prefix, "#") && next != "" && '0' <= next[0] && next[0] <= '9':
		default:
			words[i] = prefix + " ."
		}
	}
	return words
}

func (m *moses) abbreviation(word, mark string) bool {
	return strings.Contains(m.prefixes, "\n"+word+mark+"\n")
}
