// Package text turns text into the ids that a model knows, and back.
//
// Reading the source: Build (build.go) compiles a SentencePiece model (spm.go) into an image (image.go), which is stored
// in the model file; Open checks an image and uses it in place; Encode normalizes text (normalize.go) and cuts it into
// pieces (unigram.go, bpe.go, merges.go); Decode is below. Sentences (sentences.go) splits paragraphs.
//
// Pieces, ids and decoded text equal those of the C++ library SentencePiece 0.2.3, bit for bit: the reason for each odd
// rule is that the models were trained with it. A tokenizer.json (tokenizerjson.go) of Hugging Face becomes an image as well.
package text

import (
	"bytes"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Tokenizer is read-only and may be used by many goroutines at once, each with its own Scratch.
type Tokenizer struct {
	format, flags uint32
	ids, pieces   uint32
	unk           int32
	unkScore      float32
	maxPiece      int

	in, out rules // for text, and for decoded text

	strings, ends, kinds, sorted []byte // all of these lie in the image
	trie, scores, bytes, merges  []byte
	unkText, codes               []byte
	moses                        *moses            // with formatMoses
	starts                       [sectionCount]int // of the sections, for error messages
}

// Kind names the method: "unigram", "BPE", "word" or "char" of SentencePiece, a list of "tokens", "words" or "chars", "ranked BPE" or
// "Moses BPE".
func (t *Tokenizer) Kind() string {
	return [formatsKnown + 1]string{"", "unigram", "tokens", "words", "chars", "BPE", "word", "char", "ranked BPE", "Moses BPE"}[t.format]
}

// isList: the vocabulary is a list, without scores or rules.
func (t *Tokenizer) isList() bool {
	return t.format >= formatTokens && t.format <= formatChars || t.format == formatMoses
}

// Size is the number of ids: all ids are below it.
func (t *Tokenizer) Size() int { return int(t.ids) }

// Unk is the id of unknown pieces, -1 if there is none.
func (t *Tokenizer) Unk() int32 { return t.unk }

// piece is the string of an id, in the image.
func (t *Tokenizer) piece(id uint32) []byte {
	start := uint32(0)
	if id > 0 {
		start = u32(t.ends, id-1)
	}
	return t.strings[start:u32(t.ends, id)]
}

// Piece is the string of an id; empty for an id out of range, or one that the vocabulary left out.
func (t *Tokenizer) Piece(id int32) string {
	if id < 0 || int64(id) >= int64(t.ids) {
		return ""
	}
	return string(t.piece(uint32(id)))
}

// ID finds a piece by its string, special ones like </s> or >>fra<< too. It does not allocate.
func (t *Tokenizer) ID(piece string) (int32, bool) {
	low, high := 0, len(t.sorted)/4
	for low < high {
		middle := int(uint(low+high) / 2)
		id := u32(t.sorted, uint32(middle))
		text := t.piece(id)
		if string(text) == piece {
			return int32(id), true
		}
		if string(text) < piece {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return t.unk, false
}

// Scratch is the working memory of Encode. It grows to about 15 bytes for each byte of the longest text, 40 with BPE, and is
// kept. The zero value is ready; one goroutine at a time.
type Scratch struct {
	normalized []byte
	best       []pathNode
	path       []segment
	symbols    []symbol
	agenda     []merge
	splits     map[uint32]uint32 // BPE: unused piece -> bytes of its left part
}

// segment is one piece of the best cut, start to end in the normalized text; id is -1 for an unknown run.
type segment struct {
	start, end uint32
	id         int32
}

// Encode appends the ids of s to dst: without any mark for beginning or end. Invalid bytes count as U+FFFD each.
// It does not allocate once dst and sc have grown, and panics if the normalized text has 4 GiB or more.
//
// In the kind "tokens", s is cut at spaces, tabs and line ends; in the kinds "words" and "chars" as words.go says. A token that is
// not in the list is Unk(), which is -1 if the list has no <unk>.
func (t *Tokenizer) Encode(dst []int32, s string, sc *Scratch) []int32 {
	if t.isList() {
		t.eachPart(s, func(part string) { dst = append(dst, t.partID(part)) })
		return dst
	}
	t.segment(s, sc)
	for _, seg := range sc.path {
		switch {
		case seg.id >= 0:
			dst = append(dst, seg.id)
		case t.flags&flagByteFallback != 0:
			for _, c := range sc.normalized[seg.start:seg.end] {
				dst = append(dst, int32(u32(t.bytes, uint32(c))))
			}
		default:
			dst = append(dst, t.unknownRun(sc.normalized[seg.start:seg.end]))
		}
	}
	return dst
}

// unknownRun is the id of a run of characters that no piece covers. The vocabulary may have the very string, from the
// other side's pieces, and Marian would find it; but text never becomes a control piece.
func (t *Tokenizer) unknownRun(run []byte) int32 {
	if t.flags&flagVocab != 0 && len(run) < maxPieceBytes {
		// The compiler turns no conversion in a call into a copy only if the call is inlined, so: no ID(string(run)).
		low, high := 0, len(t.sorted)/4
		for low < high {
			middle := int(uint(low+high) / 2)
			id := u32(t.sorted, uint32(middle))
			text := t.piece(id)
			if string(text) == string(run) {
				if t.kinds[2*id] == kindText {
					return int32(id)
				}
				return t.unk
			}
			if string(text) < string(run) {
				low = middle + 1
			} else {
				high = middle
			}
		}
	}
	return t.unk
}

// EncodePieces is Encode that gives the pieces themselves: an unknown run as it is in the text, a byte as <0xE2>.
// It allocates: for tests and for showing.
func (t *Tokenizer) EncodePieces(s string, sc *Scratch) []string {
	var pieces []string
	if t.isList() {
		t.eachPart(s, func(part string) { pieces = append(pieces, strings.Clone(part)) })
		return pieces
	}
	t.segment(s, sc)
	for _, seg := range sc.path {
		text := sc.normalized[seg.start:seg.end]
		if t.flags&flagByteLevel != 0 {
			pieces = append(pieces, t.Piece(seg.id))
			continue
		}
		if seg.id >= 0 || t.flags&flagByteFallback == 0 {
			pieces = append(pieces, string(text))
			continue
		}
		for _, c := range text {
			pieces = append(pieces, byteText(c))
		}
	}
	return pieces
}

// eachToken calls f for the parts of s between spaces, tabs and line ends.
func eachToken(s string, f func(string)) {
	for start, i := 0, 0; ; i++ {
		if i < len(s) && s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r' {
			continue
		}
		if i > start {
			f(s[start:i])
		}
		if i >= len(s) {
			return
		}
		start = i + 1
	}
}

const (
	space       = "\u2581" // how pieces write a space
	replacement = "\uFFFD" // what invalid bytes become
)

// Decode appends the text of ids to dst: pieces put together, U+2581 as a space, the space that Encode put before the
// text taken off, bytes of a character joined (broken ones as U+FFFD), control pieces dropped, an unknown piece as " ⁇ ".
// In the kind "tokens", tokens are written with a space between, in "words" without one before a full stop and the like. Ids out of range are passed over.
// It does not allocate once dst has grown.
func (t *Tokenizer) Decode(dst []byte, ids []int32) []byte {
	switch {
	case t.flags&flagByteLevel != 0:
		return t.decodeBytes(dst, ids)
	case t.format == formatMoses:
		return t.decodeMoses(dst, ids)
	}
	begin := len(dst)
	atStart := true // nothing but control pieces so far
	pending := -1   // where the bytes of byte pieces begin that are not checked yet
	for _, id := range ids {
		if id < 0 || int64(id) >= int64(t.ids) {
			continue
		}
		kind := t.kinds[2*id]
		if t.isList() {
			if kind != kindControl {
				if len(dst) > begin && !t.joins(dst[begin:], t.piece(uint32(id))) {
					dst = append(dst, ' ')
				}
				dst = append(dst, t.piece(uint32(id))...)
			}
			continue
		}
		if kind == kindByte {
			if pending < 0 {
				pending = len(dst)
			}
			dst = append(dst, t.kinds[2*id+1])
			continue
		}
		if pending >= 0 {
			dst, pending = fixUTF8(dst, pending), -1
		}
		if len(dst) > begin {
			atStart = false
		}
		switch kind {
		case kindControl:
		case kindUnknown:
			dst = append(dst, t.unkText...)
		default:
			piece := t.piece(uint32(id))
			if atStart && t.flags&(flagDummyPrefix|flagRemoveSpaces) != 0 && startsWithSpace(piece) {
				piece = piece[len(space):]
				// Without removal of spaces only one is taken off: any other is the text's own.
				atStart = t.flags&flagRemoveSpaces != 0
			}
			for i := 0; i < len(piece); {
				if startsWithSpace(piece[i:]) {
					dst = append(dst, ' ')
					i += len(space)
				} else {
					dst = append(dst, piece[i])
					i++
				}
			}
		}
	}
	if pending >= 0 {
		dst = fixUTF8(dst, pending)
	}
	if t.flags&flagDenormalize != 0 {
		end := len(dst)
		dst = t.out.normalize(dst, unsafe.String(unsafe.SliceData(dst[begin:]), end-begin)) // behind it: dst may move, what was read does not
		dst = append(dst[:begin], dst[end:]...)
	}
	return dst
}

// decodeBytes is Decode of the byte level form.
func (t *Tokenizer) decodeBytes(dst []byte, ids []int32) []byte {
	begin := len(dst)
	for _, id := range ids {
		if id >= 0 && int64(id) < int64(t.ids) {
			switch t.kinds[2*id] {
			case kindControl:
			case kindUnknown:
				dst = append(dst, t.unkText...)
			default:
				dst = appendBytes(dst, t.piece(uint32(id)))
			}
		}
	}
	if t.flags&flagDummyPrefix != 0 && len(dst) > begin && dst[begin] == ' ' {
		dst = append(dst[:begin], dst[begin+1:]...)
	}
	end := len(dst)
	dst = appendValid(dst, dst[begin:end]) // behind it: dst may move, what was read does not
	return append(dst[:begin], dst[end:]...)
}

// DecodeGrowing appends as much of Decode's text as no further ids can change: bytes of a character that is not complete are left
// out, and all text of a model that rewrites what was decoded.
func (t *Tokenizer) DecodeGrowing(dst []byte, ids []int32) []byte {
	if t.flags&flagDenormalize != 0 || t.format == formatMoses {
		return dst
	}
	if t.flags&flagByteLevel != 0 {
		begin := len(dst)
		dst = t.Decode(dst, ids)
		for i := 0; i < utf8.UTFMax-1 && bytes.HasSuffix(dst[begin:], []byte(replacement)); i++ {
			dst = dst[:len(dst)-len(replacement)] // a character that may become whole
		}
		return dst
	}
	n := len(ids) // ids out of range are passed over: bytes on both sides of one belong together
	for n > 0 && (ids[n-1] < 0 || int64(ids[n-1]) >= int64(t.ids) || t.kinds[2*ids[n-1]] == kindByte) {
		n--
	}
	return t.Decode(dst, ids[:n])
}

// Languages are the languages that the vocabulary has a mark for, such as >>fra<<, without the angles; in order of bytes.
func (t *Tokenizer) Languages() []string {
	var found []string
	for i := range len(t.sorted) / 4 {
		if piece := t.piece(u32(t.sorted, uint32(i))); isLanguage(string(piece)) {
			found = append(found, string(piece[2:len(piece)-2]))
		}
	}
	return found
}

func startsWithSpace(b []byte) bool {
	return len(b) >= len(space) && b[0] == space[0] && b[1] == space[1] && b[2] == space[2]
}

// fixUTF8 replaces each invalid byte of b[from:] by U+FFFD.
func fixUTF8(b []byte, from int) []byte {
	invalid := 0
	for i := from; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			invalid++
		}
		i += n
	}
	if invalid == 0 {
		return b
	}
	// Move the tail back to front, so that it grows in place.
	end := len(b)
	for i := 0; i < 2*invalid; i++ {
		b = append(b, 0)
	}
	copy(b[from+2*invalid:], b[from:end])
	to := from
	for i := from + 2*invalid; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			to += copy(b[to:], replacement)
		} else {
			to += copy(b[to:], b[i:i+n])
		}
		i += n
	}
	return b
}
