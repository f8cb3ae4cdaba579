package text

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"unicode"
	"unicode/utf8"
)

// BPE as Hugging Face's tokenizers do it: not the piece that two neighbours make has a rank, but the pair. Text is cut into words
// first, and in the byte level form its symbols are bytes, each written as a character that can be seen.
// Source: huggingface/tokenizers, models/bpe/word.rs and model.rs, pre_tokenizers/byte_level.rs and metaspace.rs.

const mergeBytes = 16 // of one entry of the table of merges

// pair finds the merge of two ids: its rank and what it makes.
func (t *Tokenizer) pair(left, right int32) (rank, id int32, ok bool) {
	if left < 0 || right < 0 {
		return 0, 0, false
	}
	low, high := 0, len(t.merges)/mergeBytes
	for low < high {
		middle := int(uint(low+high) / 2)
		entry := t.merges[middle*mergeBytes:]
		l, r := int32(binary.LittleEndian.Uint32(entry)), int32(binary.LittleEndian.Uint32(entry[4:]))
		switch {
		case l == left && r == right:
			return int32(binary.LittleEndian.Uint32(entry[8:])), int32(binary.LittleEndian.Uint32(entry[12:])), true
		case l < left || l == left && r < right:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, 0, false
}

// ranked cuts the normalized text into words, and merges the symbols of each.
func (t *Tokenizer) ranked(sc *Scratch) {
	text := sc.normalized
	for start := 0; start < len(text); {
		end := len(text)
		switch {
		case t.flags&flagByteLevel != 0:
			end = start + gpt2Word(text[start:])
		case t.flags&flagSplitWords != 0:
			for end = start + 1; end < len(text) && !startsWithSpace(text[end:]); end++ {
			}
		}
		t.mergeWord(sc, start, end)
		start = end
	}
}

// mergeWord merges the symbols of text[start:end], the lowest rank first, of equal ones the one on the left.
func (t *Tokenizer) mergeWord(sc *Scratch, start, end int) {
	text := sc.normalized
	sc.begin(text[start:end])
	for at := start; at < end; {
		n, id := 1, int32(-1)
		if t.flags&flagByteLevel != 0 {
			id = int32(u32(t.bytes, uint32(text[at])))
		} else {
			n = min(charSize(text[at]), end-at)
			if index, ok := t.lookup(text[at : at+n]); ok {
				_, id, _ = t.record(index)
			}
		}
		i := int32(len(sc.symbols))
		sc.symbols = append(sc.symbols, symbol{start: uint32(at), size: uint32(n), previous: i - 1, next: i + 1, id: id})
		at += n
	}
	sc.symbols[len(sc.symbols)-1].next = -1
	for i := 1; i < len(sc.symbols); i++ {
		t.offerPair(sc, int32(i-1), int32(i))
	}
	for len(sc.agenda) > 0 {
		best := sc.pop()
		left, right := &sc.symbols[best.left], &sc.symbols[best.right]
		if left.size == 0 || right.size == 0 || left.size+right.size != best.size {
			continue
		}
		left.size, right.size, left.id = best.size, 0, best.id
		left.next = right.next
		if left.next >= 0 {
			sc.symbols[left.next].previous = best.left
		}
		t.offerPair(sc, left.previous, best.left)
		t.offerPair(sc, best.left, left.next)
	}
	for i := int32(0); i >= 0; i = sc.symbols[i].next {
		s := &sc.symbols[i]
		if s.id < 0 && t.flags&flagSplitUnknown == 0 {
			sc.unknown(s.start, s.size)
		} else {
			sc.path = append(sc.path, segment{s.start, s.start + s.size, s.id})
		}
	}
}

// offerPair puts two neighbours on the agenda if they merge.
func (t *Tokenizer) offerPair(sc *Scratch, left, right int32) {
	if left < 0 || right < 0 {
		return
	}
	l, r := &sc.symbols[left], &sc.symbols[right]
	if rank, id, ok := t.pair(l.id, r.id); ok {
		sc.push(merge{score: -rank, left: left, right: right, size: l.size + r.size, id: id})
	}
}

// gpt2Word is the length of the word that text begins with, by the rule of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func gpt2Word(text []byte) int {
	for _, ending := range [...]string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if len(text) >= len(ending) && string(text[:len(ending)]) == ending {
			return len(ending)
		}
	}
	at := 0
	if text[0] == ' ' {
		at = 1
	}
	if n := runOf(text[at:], gpt2Class(text[at:])); n > 0 {
		return at + n
	}
	// White space: the last of it belongs to the word that follows, if one does.
	n, last := 0, 0
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		if !unicode.IsSpace(r) {
			break
		}
		n, last = n+size, size
	}
	if n < len(text) && n > last {
		n -= last
	}
	return n
}

const (
	classSpace = iota // the end of the text too
	classLetter
	classNumber
	classOther
)

func gpt2Class(text []byte) int {
	r, n := utf8.DecodeRune(text)
	switch {
	case n == 0 || unicode.IsSpace(r):
		return classSpace
	case unicode.IsLetter(r):
		return classLetter
	case unicode.IsNumber(r):
		return classNumber
	}
	return classOther
}

// runOf is the length of the characters of one class that text begins with; none of white space.
func runOf(text []byte, class int) (n int) {
	for class != classSpace && n < len(text) && gpt2Class(text[n:]) == class {
		_, size := utf8.DecodeRune(text[n:])
		n += size
	}
	return n
}

// byteRune is the character that a byte is written as in the pieces of the byte level form: itself if it can be seen, else the next
// of those from U+0100 on.
func byteRune(c byte) rune {
	switch {
	case c <= ' ':
		return rune(c) + 0x100
	case c >= 0x7F && c <= 0xA0:
		return rune(c) - 0x7F + 0x121
	case c == 0xAD:
		return 0x143
	}
	return rune(c)
}

// runeByte is the inverse of byteRune.
func runeByte(r rune) (c byte, ok bool) {
	switch {
	case r >= 0x100 && r <= 0x120:
		return byte(r - 0x100), true
	case r >= 0x121 && r <= 0x142:
		return byte(r - 0x121 + 0x7F), true
	case r == 0x143:
		return 0xAD, true
	}
	return byte(r), r > ' ' && r < 0x7F || r > 0xA0 && r <= 0xFF && r != 0xAD
}

// appendBytes appends the bytes that a piece of the byte level form stands for; characters that stand for none as they are.
func appendBytes(dst, piece []byte) []byte {
	for len(piece) > 0 {
		r, n := utf8.DecodeRune(piece)
		if c, ok := runeByte(r); ok && r != utf8.RuneError {
			dst = append(dst, c)
		} else {
			dst = append(dst, piece[:n]...)
		}
		piece = piece[n:]
	}
	return dst
}

// appendValid appends b with U+FFFD for what is no character: one for as many bytes as begin one together, as Rust has it.
func appendValid(dst, b []byte) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			for n < len(b) && !utf8.FullRune(b[:n+1]) {
				n++
			}
			dst = append(dst, replacement...)
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

// pairModel is BPE with ranked pairs, before it is compiled.
type pairModel struct {
	control      map[string]bool
	merges       string // an array of pairs, as JSON
	unk          string // "": none
	flags        uint32
	charsmap     []byte
	byteFallback bool
}

// textKeys are those tokens of a vocabulary that text is cut into, as keys of a trie whose values are their places.
type textKeys struct {
	vocab *Vocab
	ids   []uint32
}

func (k textKeys) Len() int           { return len(k.ids) }
func (k textKeys) key(i int) string   { return k.vocab.texts[k.ids[i]] }
func (k textKeys) value(i int) uint32 { return uint32(i) }

// build compiles the model.
func (m *pairModel) build(vocab *Vocab) ([]byte, error) {
	b := &builder{format: formatRanked, flags: m.flags | flagVocab, unk: -1}
	if m.byteFallback {
		b.flags |= flagByteFallback
	}
	b.fill(vocab)
	keys := textKeys{vocab, make([]uint32, 0, vocab.Len())}
	for _, i := range vocab.order {
		text, id := vocab.texts[i], int32(i)
		if len(text) >= maxPieceBytes {
			return nil, fmt.Errorf("the token %.40q has %d bytes, must have less than %d", text, len(text), maxPieceBytes)
		}
		c, isByte := byteOf(text)
		switch {
		case m.control[text] || isControl(text):
			b.kinds[id] = kindControl
			continue
		case isByte && m.byteFallback:
			b.kinds[id] = kindByte | uint16(c)<<8
			continue
		case text == "":
			continue
		}
		keys.ids = append(keys.ids, uint32(id))
		b.maxPiece = max(b.maxPiece, len(text))
	}
	if m.unk != "" {
		id, ok := vocab.ID(m.unk)
		if !ok {
			return nil, fmt.Errorf("the vocabulary has no %q, which stands for what is unknown", m.unk)
		}
		b.unk, b.kinds[id] = id, kindUnknown
	}
	if len(keys.ids) == 0 {
		return nil, errors.New("there are no tokens of text")
	}
	b.sections[sectionPieces] = values(2*len(keys.ids), func(put func(uint32)) {
		for _, id := range keys.ids {
			put(0)
			put(id)
		}
	})
	b.pieces = len(keys.ids)
	if err := b.trie(sectionTrie, keys); err != nil {
		return nil, err
	}
	if err := byteTable(b, vocab); err != nil {
		return nil, err
	}
	if err := m.mergeTable(b, vocab); err != nil {
		return nil, err
	}
	if err := b.charsmap(sectionCharsmap, sectionReplace, m.charsmap); err != nil {
		return nil, err
	}
	b.sections[sectionUnkText] = raw([]byte(" \u2047 "))
	return b.image()
}

// byteTable gives every byte its id, where text may come down to bytes.
func byteTable(b *builder, vocab *Vocab) error {
	if b.flags&(flagByteLevel|flagByteFallback) == 0 {
		return nil
	}
	ids := make([]uint32, 256)
	for c := range ids {
		token := byteText(byte(c))
		if b.flags&flagByteLevel != 0 {
			token = string(byteRune(byte(c)))
		}
		id, ok := vocab.ID(token)
		if !ok {
			return fmt.Errorf("the vocabulary lacks %q, which stands for the byte 0x%02X", token, c)
		}
		ids[c] = uint32(id)
	}
	b.sections[sectionBytes] = list(ids)
	return nil
}

// mergeTable sorts the merges by their pairs.
func (m *pairModel) mergeTable(b *builder, vocab *Vocab) error {
	if m.merges == "" {
		return nil
	}
	type entry struct{ left, right, rank, made int32 }
	entries := make([]entry, 0, jsonCount(m.merges))
	err := eachElement(m.merges, func(pair string) error {
		rank := len(entries)
		first, second, err := mergePair(pair)
		if err != nil {
			return err
		}
		left, okLeft := vocab.ID(first)
		right, okRight := vocab.ID(second)
		made, ok := vocab.joined(first, second)
		if !okLeft || !okRight || !ok {
			return fmt.Errorf("merge %d, of %.40q and %.40q, has a token that is not in the vocabulary", rank, first, second)
		}
		entries = append(entries, entry{left, right, int32(rank), made})
		return nil
	})
	if err != nil {
		return err
	}
	sort.SliceStable(entries, func(i, j int) bool {
		a, b := &entries[i], &entries[j]
		return a.left < b.left || a.left == b.left && a.right < b.right
	})
	for i := 1; i < len(entries); i++ {
		if a, b := &entries[i-1], &entries[i]; a.left == b.left && a.right == b.right {
			return fmt.Errorf("merges %d and %d are of the same two tokens", a.rank, b.rank)
		}
	}
	b.sections[sectionMerges] = values(4*len(entries), func(put func(uint32)) {
		for _, e := range entries {
			for _, v := range [...]int32{e.left, e.right, e.rank, e.made} {
				put(uint32(v))
			}
		}
	})
	return nil
}
