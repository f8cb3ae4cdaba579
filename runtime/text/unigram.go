package text

import (
	"encoding/binary"
	"math"
)

// pathNode is the best way to cut the text up to one position.
type pathNode struct {
	score float32
	start uint32 // where its last piece starts; unreached if there is no way yet
	id    int32  // of its last piece; -1 for a character that no piece covers
}

const unreached = math.MaxUint32

// resetScore: SentencePiece subtracts the score so far when it grows beyond this, so that float32 keeps its precision in
// long texts.
const resetScore = 100000

// segment normalizes s and leaves its cut in sc.path, runs of unknown text as one segment.
func (t *Tokenizer) segment(s string, sc *Scratch) {
	sc.path = sc.path[:0]
	if t.flags&flagByteLevel != 0 {
		sc.normalized = sc.normalized[:0]
		if t.flags&flagDummyPrefix != 0 && s != "" && s[0] != ' ' {
			sc.normalized = append(sc.normalized, ' ')
		}
		sc.normalized = append(sc.normalized, s...)
	} else {
		sc.normalized = t.in.normalize(sc.normalized[:0], s)
	}
	if uint64(len(sc.normalized)) >= unreached {
		panic("text: more than 4 GiB in one text")
	}
	switch t.format {
	case formatUnigram:
		t.unigram(sc)
	case formatBPE:
		t.bpe(sc)
	case formatRanked:
		t.ranked(sc)
	case formatSPMWord:
		t.eachWord(sc)
	case formatSPMChar:
		t.eachChar(sc)
	}
}

// unigram cuts by the best path.
//
// The best path has the highest sum of scores, added from left to right in float32; of two equal ones the first found
// stays, which starts further left. Time is linear in the text, times the longest piece; memory is linear.
// Source: unigram_model.cc of SentencePiece 0.2.3, Model::EncodeOptimized.
func (t *Tokenizer) unigram(sc *Scratch) {
	text := sc.normalized
	if cap(sc.best) <= len(text) {
		sc.best = make([]pathNode, len(text)+1, len(text)+len(text)/4+64)
	}
	best := sc.best[:len(text)+1]
	for i := range best {
		best[i].start = unreached
	}
	best[0].score = 0

	root := unitOffset(u32(t.trie, 0))
	frontier := 0 // the last position reached
	for start := 0; start < len(text); {
		if score := best[start].score; score < -resetScore || score > resetScore {
			for i := start; i <= frontier; i++ {
				best[i].score -= score
			}
		}
		soFar := best[start].score
		size := charSize(text[start])
		if size > len(text)-start {
			size = len(text) - start
		}
		hasChar := false // some piece is just this character
		limit := len(text)
		if limit-start > t.maxPiece {
			limit = start + t.maxPiece
		}
		node := root
		for i := start; i < limit; i++ {
			c := uint32(text[i])
			node ^= c
			unit := u32(t.trie, node)
			if unit&unitLabel != c {
				break
			}
			node ^= unitOffset(unit)
			if unit&unitHas == 0 {
				continue
			}
			record := t.scores[8*int(u32(t.trie, node)&^unitLeaf):]
			score := math.Float32frombits(binary.LittleEndian.Uint32(record)) + soFar
			if to := &best[i+1]; to.start == unreached || score > to.score {
				*to = pathNode{score, uint32(start), int32(binary.LittleEndian.Uint32(record[4:]))}
			}
			frontier = max(frontier, i+1)
			hasChar = hasChar || i+1-start == size
		}
		if !hasChar {
			score := t.unkScore + soFar
			if to := &best[start+size]; to.start == unreached || score > to.score {
				*to = pathNode{score, uint32(start), -1}
			}
			frontier = max(frontier, start+size)
		}
		start += size
	}

	for end := uint32(len(text)); end > 0; {
		node := &best[end]
		last := len(sc.path) - 1
		if node.id < 0 && last >= 0 && sc.path[last].id < 0 {
			sc.path[last].start = node.start
		} else {
			sc.path = append(sc.path, segment{node.start, end, node.id})
		}
		end = node.start
	}
	for i, j := 0, len(sc.path)-1; i < j; i, j = i+1, j-1 {
		sc.path[i], sc.path[j] = sc.path[j], sc.path[i]
	}
}

// charSize is how long a UTF-8 character is by its first byte; 1 for bytes that begin none.
func charSize(first byte) int {
	switch {
	case first < 0xC0:
		return 1
	case first < 0xE0:
		return 2
	case first < 0xF0:
		return 3
	}
	return 4
}
