package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Span is s[Start:End].
type Span struct{ Start, End int }

// Sentences appends the sentences of s to dst, in order and without the white space around them: what lies between two
// spans is white space. It works by rules, for Chinese and Japanese and for languages in Latin, Greek or Cyrillic script:
//
//   - A line end ends a sentence.
//   - 。！？；… end one, and so do . ! ? before a space or a Chinese character. Several marks in a row are one end, and
//     quotes and brackets that close stay with it. No end lies before a comma, a colon or a dash, nor before a small letter.
//   - A full stop is no end inside numbers, addresses and names (3.14, www.w3.org, main.go), after a title (Dr. Li),
//     after an abbreviation (e.g. this) or initial (J. Smith), before the number it counts (No. 5), and after a number that
//     counts an item (1. First). U.S., Inc. and the like end a sentence only before a word that often begins one.
//
// It does not allocate beyond dst.
func Sentences(dst []Span, s string) []Span {
	p := splitter{s: s}
	start := 0
	for {
		end, ok := p.next(start)
		from, to := trim(s, start, end)
		if from < to {
			dst = append(dst, Span{from, to})
		}
		if !ok {
			return dst
		}
		start = end
	}
}

type splitter struct {
	s      string
	quotes int // straight double quotes so far in this line
}

// next finds where the sentence that begins at start ends. ok is false at the end of the text.
func (p *splitter) next(start int) (end int, ok bool) {
	s := p.s
	token := start    // where the present run without spaces and Chinese characters begins
	hasWord := false  // a letter or digit so far
	numberEnd := true // only digits and spaces so far
	for i := start; i < len(s); {
		if c := s[i] | 0x20; 'a' <= c && c <= 'z' {
			hasWord, numberEnd = true, false
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			p.quotes = 0
			return i + n, true
		case isMark(r):
			after := p.marks(i)
			if hasWord {
				last := p.closers(after)
				if p.isEnd(i, after, last, token, numberEnd) {
					return last, last < len(s)
				}
				i = last
			} else {
				i = after
			}
			continue
		}
		i += n
		if r == '"' {
			p.quotes++
		}
		space := unicode.IsSpace(r)
		if space || isChinese(r) {
			token = i
		}
		hasWord = hasWord || isWord(r)
		numberEnd = numberEnd && (space || unicode.IsDigit(r))
	}
	return len(s), false
}

// marks returns the end of the run of marks that begins at i.
func (p *splitter) marks(i int) int {
	for i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[i:])
		if !isMark(r) {
			break
		}
		i += n
	}
	return i
}

// closers returns the end of the closing quotes and brackets at i. A straight quote closes if one is open, or if no word
// follows it.
func (p *splitter) closers(i int) int {
	for i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[i:])
		switch {
		case strings.ContainsRune("”’»›)]}」』）】〉》〕］｝", r):
		case r == '"' && (p.quotes%2 == 1 || i+n == len(p.s) || p.s[i+n] == ' ' || p.s[i+n] == '\n'):
			p.quotes++
		case r == '\'' && !startsWithWord(p.s[i+n:]):
		default:
			return i
		}
		i += n
	}
	return i
}

// isEnd decides whether the marks s[at:after], with the closers up to last, end a sentence.
func (p *splitter) isEnd(at, after, last, token int, numberOnly bool) bool {
	s := p.s
	rest := strings.TrimLeft(s[last:], " \t\u3000\u00a0")
	spaced := len(rest) < len(s)-last
	next, _ := utf8.DecodeRuneInString(rest)
	if rest == "" || next == '\n' || next == '\r' {
		return true
	}
	if strings.ContainsRune("，、：；,:;—–-", next) && !spaced {
		return false
	}
	if !wordFollows(rest) {
		return false
	}
	// The first letter of what follows, behind quotes and brackets that open.
	word := strings.TrimLeft(rest, "\"'“‘«‹([{「『（【〈《〔［｛¿¡")
	first, _ := utf8.DecodeRuneInString(word)

	if strings.ContainsAny(s[at:after], "。！？；｡") {
		return true
	}
	if !spaced {
		if !isChinese(next) || strings.HasPrefix(s[token:at], "www.") || strings.Contains(s[token:at], "://") {
			return false
		}
	}
	if unicode.IsLower(first) {
		return false
	}
	if s[at:after] != "." {
		return true
	}
	if numberOnly && at-token <= 3 {
		return false
	}
	return !p.abbreviated(s[token:at], word, last > after)
}

// abbreviated says whether the full stop after the token belongs to it and does not end the sentence before word.
func (p *splitter) abbreviated(token, word string, closed bool) bool {
	token = strings.TrimLeft(token, "\"'“‘«‹([{「『（【〈《〔［｛-–—/")
	if closed || token == "" {
		return false
	}
	first, _ := utf8.DecodeRuneInString(word)
	switch {
	case isOneOf(token, titles):
		return true
	case isOneOf(token, counters) && unicode.IsDigit(first):
		return true
	case isOneOf(token, endings) || isInitials(token):
		return !isOneOf(firstWord(word), starters)
	}
	return false
}

// Lists of words, each between spaces.
const (
	// A name or an example follows: never an end.
	titles = " Mr Mrs Ms Mx Dr Prof Rev Fr St Mt Ft Gen Col Maj Capt Cpt Lt Sgt Cpl Adm Cmdr Gov Sen Rep Pres Hon Messrs " +
		"Mme Mlle Herr Hr Sr Sra Srta e.g eg i.e ie cf v vs viz al approx ca resp incl excl Dept Univ Assoc Bros "
	// An end unless a number follows.
	counters = " No Nos Nr Art Fig Figs Tab Vol Ch Sec Eq Eqs Ex p pp ver Ver " +
		"Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec "
	// An end only before a word that often begins a sentence.
	endings = " etc Inc Ltd Co Corp Jr LLC Ave Blvd Rd a.m p.m A.M P.M Ph.D M.D B.A M.A B.Sc M.Sc Esq Mon Tue Wed Thu Fri Sat Sun "
	// Words that begin sentences more often than names.
	starters = " The A An This That These Those He She It They We I You There Here His Her Its Their Our My Your But And Or " +
		"So If In On At As For From With After Before When While Since Then However What Who Why How Where Which Is Are " +
		"Was Were Do Does Did Can Could Will Would Not No Yes Now Also Although Because By To Some Many Most All Both Each "
)

func isOneOf(word, list string) bool {
	if word == "" {
		return false
	}
	for from := 1; ; from++ {
		i := strings.Index(list[from:], word)
		if i < 0 {
			return false
		}
		from += i
		if end := from + len(word); list[from-1] == ' ' && end < len(list) && list[end] == ' ' {
			return true
		}
	}
}

// isInitials: J, U.S, J.R.R; letters with full stops between.
func isInitials(token string) bool {
	for {
		r, n := utf8.DecodeRuneInString(token)
		if n == 0 || !unicode.IsLetter(r) || isChinese(r) {
			return false
		}
		token = token[n:]
		if token == "" {
			return true
		}
		if token[0] != '.' {
			return false
		}
		token = token[1:]
	}
}

func firstWord(s string) string {
	for i, r := range s {
		if !unicode.IsLetter(r) {
			return s[:i]
		}
	}
	return s
}

func startsWithWord(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return isWord(r)
}

// wordFollows says whether a letter or digit comes before the line ends. It gives up, and says yes, after a while.
func wordFollows(s string) bool {
	for i, r := range s {
		if r == '\n' || r == '\r' {
			return false
		}
		if i > 64 || isWord(r) {
			return true
		}
	}
	return false
}

func isWord(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func isMark(r rune) bool {
	switch r {
	case '.', '!', '?', '。', '！', '？', '；', '…', '｡', '‼', '⁇', '⁈', '⁉', '؟', '۔', '।', '॥':
		return true
	}
	return false
}

// isChinese: characters written without spaces, and their punctuation.
func isChinese(r rune) bool {
	switch {
	case r >= 0x4E00 && r <= 0x9FFF:
		return true
	case r < 0x2E80:
		return r == '…' || r == '“' || r == '”' || r == '‘' || r == '’'
	}
	return r <= 0x30FF || r >= 0xFF00 && r <= 0xFFEF || unicode.Is(unicode.Han, r)
}

// trim takes the white space off both ends of s[start:end].
func trim(s string, start, end int) (int, int) {
	end = start + len(strings.TrimRightFunc(s[start:end], unicode.IsSpace))
	return end - len(strings.TrimLeftFunc(s[start:end], unicode.IsSpace)), end
}
