package text

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// finnishEnding is what is written without a space behind a colon: EU:ssa.
var finnishEnding = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(N|n|A|a|Ä|ä|[Ss]sa|ssä|[Ss]ta|stä|Stä|[Hh]un|[Hh]yn|[Hh]an|[Hh]än|[Hh]ön|[UuYyAaÄäÖö]n|[Ss]een|[Ll]la|[Ll]lä|[Ll]ta|[Ll]tä|[Ll]le|[Kk]si|[Kk]se|[Tt]ta|[Ii]ne)` +
		`(ni|si|mme|nne|nsa)?(ko|kö|han|hän|pa|pä|kaan|kään|kin)$`)
})

// detokenize puts words together as text of the language to.
func (m *moses) detokenize(words []string) string {
	s := replaceEach(" "+strings.Join(words, " ")+" ", " @-@ ", "-", "&bar;", "|", "&#124;", "|", "&lt;", "<", "&gt;", ">", "&bra;", "[", "&ket;", "]",
		"&quot;", `"`, "&apos;", "'", "&#91;", "[", "&#93;", "]", "&amp;", "&")
	words = strings.Fields(s)
	var b strings.Builder
	quotes := map[string]int{}
	space := " " // before the next word
	put := func(before, word, after string) {
		b.WriteString(before + word)
		space = after
	}
	for i, word := range words {
		previous := words[(i+len(words)-1)%len(words)] // before the first stands the last
		first, _ := utf8.DecodeRuneInString(word)
		last, _ := utf8.DecodeLastRuneInString(previous)
		switch {
		case isCJK(first) && m.to != "ko":
			if i > 0 && isCJK(last) {
				space = ""
			}
			put(space, word, " ")
		case allOf(word, func(r rune) bool { return unicode.Is(unicode.Sc, r) || strings.ContainsRune("([{¿¡", r) }):
			put(space, word, "")
		case allOf(word, func(r rune) bool { return strings.ContainsRune(`,.?!:;\%}])`, r) }):
			before := ""
			if m.to == "fr" && len(word) == 1 && strings.Contains(`?!:;\%`, word) {
				before = " "
			}
			put(before, word, " ")
		case m.to == "en" && i > 0 && first == '\'' && startsWithLetter(word[1:]):
			put("", word, " ")
		case m.to == "cs" && i > 1 && isNumber(words[len(words)-2]) && (words[len(words)-1] == "." || words[len(words)-1] == ",") && isNumber(word):
			put("", word, " ")
		case (m.to == "fr" || m.to == "it" || m.to == "ga") && i+1 < len(words) && endsInElision(word) && startsWithLetter(words[i+1]):
			put(space, word, "")
		case allOf(word, func(r rune) bool { return strings.ContainsRune("'\"„“`", r) }):
			m.quote(word, previous, i, quotes, space, put)
		case m.to == "fi" && strings.HasSuffix(previous, ":") && finnishEnding().MatchString(word):
			put(space, word, " ")
		default:
			put(space, word, " ")
		}
	}
	return strings.TrimSpace(oneSpace(b.String()))
}

// quote writes a quotation mark: the first of its kind opens, the next closes.
func (m *moses) quote(word, previous string, i int, quotes map[string]int, space string, put func(before, word, after string)) {
	kind := word
	if strings.Trim(word, "„“”") == "" {
		kind = `"`
	}
	if m.to == "cs" && word == "„" {
		quotes[kind] = 0
	}
	if m.to == "cs" && word == "“" {
		quotes[kind] = 1
	}
	switch {
	case quotes[kind]%2 == 0 && m.to == "en" && word == "'" && i > 0 && strings.HasSuffix(previous, "s"): // the Jones' house
		put("", word, " ")
	case quotes[kind]%2 == 0:
		put(space, word, "")
		quotes[kind]++
	default:
		put("", word, " ")
		quotes[kind]++
	}
}

func allOf(word string, is func(rune) bool) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !is(r) })
}

func isNumber(word string) bool {
	return allOf(word, func(r rune) bool { return '0' <= r && r <= '9' })
}

// startsWithLetter: a letter of a script that separates its words.
func startsWithLetter(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return (&moses{}).alpha(r)
}

func endsInElision(word string) bool {
	before, ok := strings.CutSuffix(word, "'")
	r, _ := utf8.DecodeLastRuneInString(before)
	return ok && (&moses{}).alpha(r)
}

// isCJK: characters of East Asia, which are written without spaces.
func isCJK(r rune) bool {
	for _, span := range [...][2]rune{
		{0x1100, 0x11FF}, {0x2E80, 0xA4CF}, {0xA840, 0xA87F}, {0xAC00, 0xD7AF}, {0xF900, 0xFAFF}, {0xFE30, 0xFE4F}, {0xFF65, 0xFFDC},
		{0x17000, 0x18AFF}, {0x1B000, 0x1B12F}, {0x1B170, 0x1B2FF}, {0x20000, 0x2FFFF},
	} {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}
