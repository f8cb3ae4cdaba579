package runtime

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// A lexical shortlist says which target words can come of each source word. Of 64,000 rows of an output matrix some hundred
// are left for a sentence: they are gathered once, when it has been encoded, into memory that the Plan counts, and every step
// multiplies those alone. A word outside of the list cannot come.

// shortlist is the model's list, where it lies in the file. In u32, little-endian: first, flags, source words, ids; then
// offsets [source words + 1]; then the ids. Source word w has ids[offset[w]:offset[w+1]].
type shortlist struct {
	first        int  // target words below it may always come
	copies       bool // a source word may come out as it is: both languages have one vocabulary
	longest      int  // the most ids of a source word
	offsets, ids []byte
}

// ShortlistInfo is what a model's shortlist amounts to.
type ShortlistInfo struct {
	First   int  `json:"first"`   // target words that may always come
	Longest int  `json:"longest"` // the most words of one source word
	Words   int  `json:"words"`   // of all source words together
	Copies  bool `json:"copies"`  // each source word may come as itself
}

// Shortlist says what the model's list of words holds; nil if it has none.
func (m *Model) Shortlist() *ShortlistInfo {
	if m.transformer == nil || m.transformer.shortlist == nil {
		return nil
	}
	l := m.transformer.shortlist
	return &ShortlistInfo{l.first, l.longest, len(l.ids) / 4, l.copies}
}

const (
	shortlistHeader = 16
	shortlistCopies = 1
)

// shortlistRows is how many rows all sentences of a session may gather together: with 512 columns, 16 MB. A sentence that
// needs more than its share computes the whole product, and its words alone count: it is slower, the result is the same.
var shortlistRows = 1 << 15

// BuildShortlist makes the section of an .ei8: the first target words may always come, and ids[offsets[w]:offsets[w+1]] where
// source word w is; with copies, w as well.
func BuildShortlist(first int, copies bool, offsets, ids []uint32) []byte {
	le := binary.LittleEndian
	flags := uint32(0)
	if copies {
		flags = shortlistCopies
	}
	b := make([]byte, 0, shortlistHeader+4*(len(offsets)+len(ids)))
	for _, v := range []uint32{uint32(first), flags, uint32(len(offsets) - 1), uint32(len(ids))} {
		b = le.AppendUint32(b, v)
	}
	for _, v := range offsets {
		b = le.AppendUint32(b, v)
	}
	for _, v := range ids {
		b = le.AppendUint32(b, v)
	}
	return b
}

// u32At is element i, as a number that holds it where int has 32 bits too.
func u32At(b []byte, i int) int64 { return int64(binary.LittleEndian.Uint32(b[4*i:])) }

// openShortlist checks a section against the model. The error is the reason alone.
func openShortlist(b []byte, cfg *TransformerConfig) (*shortlist, error) {
	if len(b) < shortlistHeader {
		return nil, fmt.Errorf("has %d bytes, must have %d or more", len(b), shortlistHeader)
	}
	first, flags, words, count := u32At(b, 0), u32At(b, 1), u32At(b, 2), u32At(b, 3)
	switch want := shortlistHeader + 4*(words+1+count); {
	case words != int64(cfg.SourceVocab):
		return nil, fmt.Errorf("has lists for %d source words, the model has %d", words, cfg.SourceVocab)
	case first > int64(cfg.TargetVocab):
		return nil, fmt.Errorf("lets the first %d words always come, the model has %d", first, cfg.TargetVocab)
	case flags&^shortlistCopies != 0:
		return nil, fmt.Errorf("has unknown flags %#x", flags)
	case flags == shortlistCopies && cfg.SourceVocab != cfg.TargetVocab:
		return nil, fmt.Errorf("copies words, but the vocabularies have %d and %d", cfg.SourceVocab, cfg.TargetVocab)
	case int64(len(b)) != want:
		return nil, fmt.Errorf("has %d bytes, must have %d", len(b), want)
	}
	l := &shortlist{first: int(first), copies: flags == shortlistCopies, offsets: b[shortlistHeader:][:4*(words+1)], ids: b[shortlistHeader+4*(words+1):]}
	last := int64(0)
	for w := range words + 1 {
		at := u32At(l.offsets, int(w))
		if at < last || at > count || w == 0 && at != 0 || w == words && at != count {
			return nil, fmt.Errorf("has offset %d at source word %d: they must rise from 0 to %d", at, w, count)
		}
		l.longest = max(l.longest, int(at-last))
		last = at
	}
	for i := range int(count) {
		if id := u32At(l.ids, i); id >= int64(cfg.TargetVocab) {
			return nil, fmt.Errorf("names target word %d, the model has %d", id, cfg.TargetVocab)
		}
	}
	return l, nil
}

// shortScratch is what a session needs of its own for a shortlist.
type shortScratch struct {
	slots  []gathered
	logits []float32 // [Beam, vocab]: of one sentence's words, or of all
	slot   int       // of the gathering under way
	part   func(worker, from, to int)
}

// gathered is the part of the output matrix that one sentence needs. With N 0 there were too many rows for it.
type gathered struct {
	linear
	ids   []int32  // the words of its rows, ascending
	words []uint64 // the same as a set, a bit a word
}

// allocateShortlist takes the memory, as much as the longest sentence can need, if that fits the session's share.
func (s *Session) allocateShortlist(a *arena) {
	l, o, out := s.m.shortlist, s.opt, &s.m.output
	if l == nil || o.NoShortlist {
		return
	}
	const part = "shortlist"
	most := l.first + 1 + l.longest*o.MaxSource
	if l.copies {
		most += o.MaxSource
	}
	rows := min(kernels.Pad16(most), s.vocab, max(shortlistRows/o.Batch&^15, 16))
	s.short.slots = take[gathered](a, part, o.Batch)
	if a.counting {
		s.short.slots = make([]gathered, o.Batch)
	}
	for i := range s.short.slots {
		g := &s.short.slots[i]
		g.ids = take[int32](a, part, rows)
		g.words = take[uint64](a, part, (s.vocab+63)/64)
		g.name, g.K = out.name, out.K
		g.Data = take[int8](a, part, rows, out.K)
		g.Scale = take[float32](a, part, rows)
		g.Sum = take[int32](a, part, rows)
		if out.Bias != nil {
			g.Bias = take[float32](a, part, rows)
		}
	}
	s.short.logits = take[float32](a, part, o.Beam, s.vocab)
	s.short.part = s.gatherBlocks
}

// gather makes the rows of one slot's sentence.
func (s *Session) gather(slot int) {
	if s.short.slots == nil {
		return
	}
	g, l := &s.short.slots[slot], s.m.shortlist
	clear(g.words)
	set := func(id int) { g.words[id/64] |= 1 << (id % 64) }
	set(int(s.m.cfg.EOS)) // else the sentence could not end
	for id := range l.first {
		set(id)
	}
	for _, w := range s.slots[slot].source {
		if l.copies {
			set(int(w))
		}
		for i := int(u32At(l.offsets, int(w))); i < int(u32At(l.offsets, int(w)+1)); i++ {
			set(int(u32At(l.ids, i)))
		}
	}
	count := 0
	for _, set := range g.words {
		count += bits.OnesCount64(set)
	}
	g.ids, g.N = g.ids[:0], 0
	if kernels.Pad16(count) > cap(g.ids) {
		return
	}
	for i, set := range g.words {
		for ; set != 0; set &= set - 1 {
			g.ids = append(g.ids, int32(i*64+bits.TrailingZeros64(set)))
		}
	}
	g.N = kernels.Pad16(count)
	s.short.slot = slot
	s.pool.Run(s.opt.Threads, g.N/16, threads.Work{Kind: threads.Other, MACs: int64(g.N) * int64(g.K)}, s.short.part)
}

// gatherBlocks copies rows, 16 a block, out of the blocks they lie in, four columns at a time.
func (s *Session) gatherBlocks(_, from, to int) {
	g, out := &s.short.slots[s.short.slot], &s.m.output
	for n := from * 16; n < to*16; n++ {
		data, r := g.Data[n/16*16*g.K:][:16*g.K], n%16
		if n >= len(g.ids) { // padding
			for at := r * 4; at < len(data); at += 64 {
				*(*[4]int8)(data[at:]) = [4]int8{}
			}
			g.Scale[n], g.Sum[n] = 0, 0
			if g.Bias != nil {
				g.Bias[n] = 0
			}
			continue
		}
		id := int(g.ids[n])
		block := out.Data[id/16*16*g.K:][:16*g.K]
		dst, src := data[r*4:], block[id%16*4:]
		for at := 0; at < len(dst); at += 64 {
			*(*[4]int8)(dst[at:]) = *(*[4]int8)(src[at:])
		}
		g.Scale[n], g.Sum[n] = out.Scale[id], out.Sum[id]
		if g.Bias != nil {
			g.Bias[n] = out.Bias[id]
		}
	}
}

// shortOutput is the end of a decoding step: the logits of the words that can come, sentence by sentence, from s.q8. Greedy
// search takes the best at once; otherwise they go to where the whole product's would be, all others being lost.
func (s *Session) shortOutput() {
	rows := len(s.active)
	for from := 0; from < rows; {
		t := &s.slots[s.active[from].slot]
		g := &s.short.slots[s.active[from].slot]
		w := &g.linear
		if g.N == 0 {
			w = &s.m.output
		}
		s.job = linearJob{dst: s.short.logits, ld: s.vocab, from: from, rows: t.live, w: w}
		s.pool.Run(s.opt.Threads, w.N/16, product(&s.set, t.live, w, w.N/16), s.linearPart)
		for i := range t.live {
			logits := words{logits: s.short.logits[i*s.vocab:][:len(g.ids)], ids: g.ids}
			if g.N == 0 {
				logits = words{logits: s.short.logits[i*s.vocab:][:s.m.cfg.TargetVocab]}
				for id := range logits.logits {
					if g.words[id/64]&(1<<(id%64)) == 0 {
						logits.logits[id] = -maxFloat32
					}
				}
			}
			if s.greedy {
				s.mask(t, logits)
				s.choices[from+i] = choice{token: -1}
				if at := s.set.ArgMax(logits.logits); at >= 0 {
					s.choices[from+i] = choice{logits.logits[at], logits.id(at)}
				}
				continue
			}
			all := s.logits[(from+i)*s.vocab:][:s.m.cfg.TargetVocab]
			if g.N == 0 {
				copy(all, logits.logits)
				continue
			}
			for id := range all {
				all[id] = -maxFloat32
			}
			for at, v := range logits.logits {
				all[g.ids[at]] = v
			}
		}
		from += t.live
	}
}

// words are logits of some of the vocabulary: of ids, or without them of the tokens from the first on.
type words struct {
	logits []float32
	from   int
	ids    []int32 // ascending
}

// at finds a token among them; -1 if it is not.
func (w *words) at(id int32) int {
	if w.ids != nil {
		if i, ok := slices.BinarySearch(w.ids, id); ok {
			return i
		}
		return -1
	}
	if i := int(id) - w.from; i >= 0 && i < len(w.logits) {
		return i
	}
	return -1
}

func (w *words) id(at int) int32 {
	if w.ids != nil {
		return w.ids[at]
	}
	return int32(w.from + at)
}
