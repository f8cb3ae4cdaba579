package text

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// BPE as subword-nmt does it, on words that Moses' rules have cut: pairs of strings merge, "</w>" marks the end of a word, and all
// pieces but the last of a word are written with "@@" behind them.
//
// The section codes holds the pairs: u32 how many, that many of u32 offset, u32 rank; from the offsets on, "left right" ended by NUL,
// in order of bytes. The section moses holds lines: the language from, the language to, abbreviations.
// Source: rsennrich/subword-nmt, apply_bpe.py.

const (
	wordEnd   = "</w>"
	pieceMore = "@@"
)

// BuildMoses compiles a list of tokens, whose ids are their places in it, and the text of a file of BPE codes (version 0.2) into an image
// for Open: text of the language from is cut by Moses' rules and the codes, tokens are put together as text of the language to.
// Of abbreviations it knows what KnowsAbbreviations says, and in other languages initials.
func BuildMoses(tokens []string, codes []byte, from, to string) ([]byte, error) {
	b, err := listBuilder(tokens, formatMoses)
	if err != nil {
		return nil, err
	}
	packed, err := packCodes(codes)
	if err != nil {
		return nil, err
	}
	b.sections[sectionCodes] = raw(packed)
	for _, code := range []string{from, to} {
		if strings.ContainsAny(code, "\n\x00") {
			return nil, fmt.Errorf("the language %q has a line end", code)
		}
	}
	b.sections[sectionMoses] = raw([]byte(from + "\n" + to + "\n" + abbreviations(from)))
	return b.image()
}

// ownAbbreviations are the languages that sacremoses has a list for, but this package does not.
const ownAbbreviations = " as bn ca cs de el es et fi fr ga gu hi hu is it kn lt lv ml mni mr nl or pa pl pt ro ru sk sl sv ta te tdt yue "

// KnowsAbbreviations says whether BuildMoses knows all the abbreviations of a language that sacremoses does.
func KnowsAbbreviations(language string) bool { return !isOneOf(language, ownAbbreviations) }

// abbreviations are those of a language, a line each; with # those that hold before numbers only. The English ones hold in all
// languages without a list of their own.
func abbreviations(language string) string {
	words := "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z"
	switch {
	case language == "zh":
		words += " Ā Č Ē Ģ Ī Ķ Ļ Ņ Š Ū Ž No# Nr#"
	case KnowsAbbreviations(language):
		words += " Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dr Drs Ens Gen Gov Hon Hosp Hr Insp Lt MM MR MRS MS Maj " +
			"Messrs Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph Prof Pvt Rep Reps Res Rev Rs Rt Sen Sens Sfc Sgt Sr St Supt Surg " +
			"e.g i.e rev v vs No# Nos Art# Nr pp# Jan Feb Mar Apr Jun Jul Aug Sep Oct Nov Dec"
	}
	return strings.ReplaceAll(words, " ", "\n") + "\n"
}

// packCodes reads a file of codes: "#version: 0.2", then a pair a line, best first.
func packCodes(file []byte) ([]byte, error) {
	if !utf8.Valid(file) {
		return nil, errors.New("the codes are not UTF-8")
	}
	text := strings.TrimRight(string(file), "\n")
	first, rest, _ := strings.Cut(text, "\n")
	if version, ok := strings.CutPrefix(first, "#version:"); !ok || strings.TrimSpace(version) != "0.2" {
		return nil, fmt.Errorf("the codes begin with %.40q, not with #version: 0.2, which is read", first)
	}
	type code struct{ start, end, rank uint32 } // of a pair in rest
	var all []code
	if rest != "" {
		all = make([]code, 0, strings.Count(rest, "\n")+1)
	}
	pair := func(i int) string { return rest[all[i].start:all[i].end] }
	for at := 0; at < len(rest); {
		end := at + strings.IndexByte(rest[at:], '\n')
		if end < at {
			end = len(rest)
		}
		line := strings.TrimLeft(rest[at:end], "\r ")
		start := end - len(line)
		line = strings.TrimRight(line, "\r ")
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.ContainsAny(right, " \x00") || strings.Contains(left, "\x00") || len(line) >= maxPieceBytes {
			return nil, fmt.Errorf("line %d of the codes, %.60q, is not of two pieces", len(all)+2, line)
		}
		all = append(all, code{uint32(start), uint32(start + len(line)), uint32(len(all))})
		at = end + 1
	}
	sort.Slice(all, func(i, j int) bool {
		c := strings.Compare(pair(i), pair(j))
		return c < 0 || c == 0 && all[i].rank < all[j].rank
	})
	n, size := 0, 4
	for i := range all {
		if n == 0 || pair(n-1) != pair(i) { // of equal ones the first counts
			all[n] = all[i]
			size += 8 + len(pair(n)) + 1
			n++
		}
	}
	all = all[:n]
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(n))
	at := 4 + 8*n
	for i, c := range all {
		out = binary.LittleEndian.AppendUint32(out, uint32(at))
		out = binary.LittleEndian.AppendUint32(out, c.rank)
		at += len(pair(i)) + 1
	}
	for i := range all {
		out = append(append(out, pair(i)...), 0)
	}
	return out, nil
}

// checkCodes says where a section of codes is broken; "" if nowhere.
func checkCodes(b []byte) (at int, reason string) {
	if len(b) < 4 || uint64(len(b)-4) < 8*uint64(binary.LittleEndian.Uint32(b)) {
		return 0, "the table of pairs does not end where it should"
	}
	n := int(binary.LittleEndian.Uint32(b))
	next := 4 + 8*n
	for i := range n {
		offset := int(binary.LittleEndian.Uint32(b[4+8*i:]))
		if offset != next || offset >= len(b) {
			return 4 + 8*i, fmt.Sprintf("pair %d begins at %d, not at %d", i, offset, next)
		}
		size := bytes.IndexByte(b[offset:], 0)
		if size < 0 {
			return offset, fmt.Sprintf("pair %d has no end", i)
		}
		next = offset + size + 1
	}
	if next != len(b) {
		return next, "bytes follow the last pair"
	}
	return 0, ""
}

// rank finds a pair of neighbours; end says that right ends its word.
func (t *Tokenizer) rank(left, right string, end bool) (rank int, ok bool) {
	low, high := 0, int(binary.LittleEndian.Uint32(t.codes))
	for low < high {
		middle := int(uint(low+high) / 2)
		entry := t.codes[4+8*middle:]
		pair := t.codes[binary.LittleEndian.Uint32(entry):]
		switch comparePair(pair, left, right, end) {
		case 0:
			return int(binary.LittleEndian.Uint32(entry[4:])), true
		case -1:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false
}

// comparePair compares a pair, ended by NUL, with left, a space, right, and wordEnd at the end of a word.
func comparePair(pair []byte, left, right string, end bool) int {
	parts := [4]string{left, " ", right, ""}
	if end {
		parts[3] = wordEnd
	}
	for _, part := range parts {
		for i := range len(part) {
			switch c := pair[0]; { // a NUL is less than all there is in text
			case c < part[i]:
				return -1
			case c > part[i]:
				return 1
			}
			pair = pair[1:]
		}
	}
	if pair[0] != 0 {
		return 1
	}
	return 0
}

// eachSubword calls f for the pieces of a word.
func (t *Tokenizer) eachSubword(word string, f func(string)) {
	size := utf8.RuneCountInString(word)
	if strings.IndexByte(word, 0) >= 0 || size < 2 {
		f(word)
		return
	}
	var sc Scratch
	sc.symbols = make([]symbol, 0, size)
	for i, n := 0, 0; i < len(word); i += n {
		_, n = utf8.DecodeRuneInString(word[i:])
		at := int32(len(sc.symbols))
		sc.symbols = append(sc.symbols, symbol{start: uint32(i), size: uint32(n), previous: at - 1, next: at + 1})
	}
	sc.symbols[len(sc.symbols)-1].next = -1
	offer := func(left, right int32) {
		if left < 0 || right < 0 {
			return
		}
		l, r := &sc.symbols[left], &sc.symbols[right]
		end := r.start + r.size
		if rank, ok := t.rank(word[l.start:r.start], word[r.start:end], int(end) == len(word)); ok {
			sc.push(merge{score: int32(-rank), left: left, right: right, size: l.size + r.size})
		}
	}
	for i := 1; i < len(sc.symbols); i++ {
		offer(int32(i-1), int32(i))
	}
	for len(sc.agenda) > 0 {
		best := sc.pop()
		left, right := &sc.symbols[best.left], &sc.symbols[best.right]
		if left.size == 0 || right.size == 0 || left.size+right.size != best.size {
			continue
		}
		left.size, right.size = best.size, 0
		left.next = right.next
		if left.next >= 0 {
			sc.symbols[left.next].previous = best.left
		}
		offer(left.previous, best.left)
		offer(best.left, left.next)
	}
	for i := int32(0); i >= 0; i = sc.symbols[i].next {
		s := &sc.symbols[i]
		piece := word[s.start : s.start+s.size]
		if s.next >= 0 {
			piece += pieceMore
		}
		f(piece)
	}
}

// openMoses reads the section of rules.
func (t *Tokenizer) openMoses(section []byte) bool {
	first := bytes.IndexByte(section, '\n')
	second := bytes.IndexByte(section[first+1:], '\n') + first + 1
	if first < 0 || second <= first || section[len(section)-1] != '\n' {
		return false
	}
	t.moses = &moses{from: string(section[:first]), to: string(section[first+1 : second]), prefixes: string(section[second:])}
	return true
}

// decodeMoses puts pieces together to words, and those to text.
func (t *Tokenizer) decodeMoses(dst []byte, ids []int32) []byte {
	var b strings.Builder
	for _, id := range ids {
		if id >= 0 && int64(id) < int64(t.ids) && t.kinds[2*id] != kindControl {
			b.Write(t.piece(uint32(id)))
			b.WriteByte(' ')
		}
	}
	return append(dst, t.moses.detokenize(strings.Fields(strings.ReplaceAll(b.String(), pieceMore+" ", "")))...)
}
