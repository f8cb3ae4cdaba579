package text

import (
	"math"
	"slices"
	"unsafe"
)

// The kinds BPE, word and char of SentencePiece. Source: bpe_model.cc, word_model.cc, char_model.cc of SentencePiece 0.2.3.

// symbol is a stretch of the text that BPE may merge with its neighbour. A merged one is left behind with size 0.
type symbol struct {
	start, size    uint32
	previous, next int32 // -1 at the ends
	frozen         bool  // user-defined: never merged
	id             int32 // with ranked pairs; -1: unknown
}

// merge is a pair of neighbours that together make a piece. It is out of date once their sizes no longer add up to size.
type merge struct {
	score       int32 // the bits of the float32, so changed that they compare as integers
	left, right int32
	size        uint32
	id          int32 // with ranked pairs: of the piece
}

// before is the order of merging: the highest score, of equal ones the one on the left.
func (m *merge) before(o *merge) bool {
	return m.score > o.score || m.score == o.score && m.left < o.left
}

// lookup finds the piece that text is: its place in the table of pieces.
func (t *Tokenizer) lookup(text []byte) (index uint32, ok bool) {
	if len(text) > t.maxPiece {
		return 0, false
	}
	node := unitOffset(u32(t.trie, 0))
	unit := uint32(0)
	for _, c := range text {
		node ^= uint32(c)
		if unit = u32(t.trie, node); unit&unitLabel != uint32(c) {
			return 0, false
		}
		node ^= unitOffset(unit)
	}
	if unit&unitHas == 0 {
		return 0, false
	}
	return u32(t.trie, node) &^ unitLeaf, true
}

// record reads the table of pieces: the score, so changed that it compares as an integer, and the id.
func (t *Tokenizer) record(index uint32) (score, id int32, unused bool) {
	score = int32(u32(t.scores, 2*index))
	if score < 0 {
		score ^= math.MaxInt32
	}
	bits := u32(t.scores, 2*index+1)
	return score, int32(bits &^ unusedBit), bits&unusedBit != 0
}

// symbolSize is the size of what begins text: a user-defined symbol, or a character.
func (t *Tokenizer) symbolSize(text []byte) (size int, user bool) {
	if n, _ := longest(t.in.user, unsafe.String(&text[0], len(text)), maxUserKeys); n > 0 {
		return n, true
	}
	return min(charSize(text[0]), len(text)), false
}

// bpe merges neighbours, best score first, until no two make a piece. Time is n log n in the text.
func (t *Tokenizer) bpe(sc *Scratch) {
	text := sc.normalized
	sc.begin(text)
	clear(sc.splits)
	for at := 0; at < len(text); {
		n, user := t.symbolSize(text[at:])
		i := int32(len(sc.symbols))
		sc.symbols = append(sc.symbols, symbol{start: uint32(at), size: uint32(n), previous: i - 1, next: i + 1, frozen: user})
		at += n
	}
	if len(sc.symbols) == 0 {
		return
	}
	sc.symbols[len(sc.symbols)-1].next = -1
	for i := 1; i < len(sc.symbols); i++ {
		t.offer(sc, int32(i-1), int32(i))
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
		t.offer(sc, left.previous, best.left)
		t.offer(sc, best.left, left.next)
	}
	for i := int32(0); i >= 0; i = sc.symbols[i].next {
		t.resegment(sc, sc.symbols[i].start, sc.symbols[i].size, 0)
	}
}

// offer puts two neighbours on the agenda if they make a piece.
func (t *Tokenizer) offer(sc *Scratch, left, right int32) {
	if left < 0 || right < 0 {
		return
	}
	l, r := &sc.symbols[left], &sc.symbols[right]
	if l.frozen || r.frozen {
		return
	}
	size := l.size + r.size
	index, ok := t.lookup(sc.normalized[l.start : l.start+size])
	if !ok {
		return
	}
	score, _, unused := t.record(index)
	sc.push(merge{score: score, left: left, right: right, size: size})
	if unused {
		if sc.splits == nil {
			sc.splits = map[uint32]uint32{}
		}
		sc.splits[index] = l.size // as in C++ the last split of a piece holds, wherever it stood
	}
}

// maxDepth: pieces in pieces that are taken apart, before the C++ library gives up.
const maxDepth = 100

// resegment appends a symbol to the path, one that is unused taken apart again.
func (t *Tokenizer) resegment(sc *Scratch, start, size uint32, depth int) {
	index, ok := t.lookup(sc.normalized[start : start+size])
	if ok && depth <= maxDepth {
		if _, _, unused := t.record(index); unused {
			left, ok := sc.splits[index]
			if ok {
				t.resegment(sc, start, left, depth+1)
				t.resegment(sc, start+left, size-left, depth+1)
			} else {
				sc.unknown(start, size)
			}
			return
		}
	}
	t.step(sc, start, size)
}

// step appends a stretch of the text to the path: a piece, or unknown.
func (t *Tokenizer) step(sc *Scratch, start, size uint32) {
	index, ok := t.lookup(sc.normalized[start : start+size])
	if !ok {
		sc.unknown(start, size)
		return
	}
	_, id, _ := t.record(index)
	sc.path = append(sc.path, segment{start, start + size, id})
}

// unknown appends unknown text to the path: a run of it is one segment.
func (sc *Scratch) unknown(start, size uint32) {
	if last := len(sc.path) - 1; last >= 0 && sc.path[last].id < 0 {
		sc.path[last].end = start + size
		return
	}
	sc.path = append(sc.path, segment{start, start + size, -1})
}

// eachChar cuts into characters and user-defined symbols.
func (t *Tokenizer) eachChar(sc *Scratch) {
	for at := 0; at < len(sc.normalized); {
		n, _ := t.symbolSize(sc.normalized[at:])
		t.step(sc, uint32(at), uint32(n))
		at += n
	}
}

// eachWord cuts before each U+2581.
func (t *Tokenizer) eachWord(sc *Scratch) {
	text := sc.normalized
	start := 0
	for at := 0; at < len(text); {
		if at > start && startsWithSpace(text[at:]) {
			t.step(sc, uint32(start), uint32(at-start))
			start = at
		}
		at += min(charSize(text[at]), len(text)-at)
	}
	if start < len(text) {
		t.step(sc, uint32(start), uint32(len(text)-start))
	}
}

// begin makes room for a symbol for each character of text; the agenda is seldom as long.
func (sc *Scratch) begin(text []byte) {
	symbols := 0
	for _, c := range text {
		if c&0xC0 != 0x80 {
			symbols++
		}
	}
	sc.symbols, sc.agenda = slices.Grow(sc.symbols[:0], symbols), sc.agenda[:0]
}

// push and pop keep sc.agenda a heap, the best merge first.
func (sc *Scratch) push(m merge) {
	sc.agenda = append(sc.agenda, m)
	a := sc.agenda
	i := len(a) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !m.before(&a[parent]) {
			break
		}
		a[i] = a[parent]
		i = parent
	}
	a[i] = m
}

func (sc *Scratch) pop() merge {
	a := sc.agenda
	best, last := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	sc.agenda = a
	for i := 0; len(a) > 0; {
		child := 2*i + 1
		if child+1 < len(a) && a[child+1].before(&a[child]) {
			child++
		}
		if child >= len(a) || !a[child].before(&last) {
			a[i] = last
			break
		}
		a[i] = a[child]
		i = child
	}
	return best
}
