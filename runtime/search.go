package runtime

import (
	"github.com/edge-infer/edge-infer/kernels"
)

// Greedy and beam search. The beam follows CTranslate2's definition (OpenNMT/CTranslate2, src/decoding.cc), so that a model
// gives the same sentences in both: twice as many candidates as beams a step; a candidate that ends among the first beams
// is set aside and an unfinished one takes its place; without a length penalty the search ends when its best candidate
// ends and NBest hypotheses have, with one when as many hypotheses as beams have ended. limits.go holds what steers the
// choice of tokens: prefixes, alternatives, and what may not come.

type slotState uint8

const (
	slotFree slotState = iota
	slotPending
	slotDecoding
	slotDone
)

// slot is one sentence under way.
type slot struct {
	state  slotState
	source []int32
	length int // tokens decoded so far, those of the prefix among them
	live   int // hypotheses that still grow
	prefix int // how many tokens were given: the first ones of now.tokens
	hidden int // how many of those are the model's own prefix, which is no part of a result

	alternative int     // k > 0: the k-th best token follows the prefix, and the search begins after it
	past        int     // where the tokens begin that the search counts and remembers: 0, or after the alternative
	bonus       float32 // the log-probability of the alternative

	now  hypotheses
	next hypotheses // filled by a step of the beam, then swapped with now

	ended       int  // hypotheses that have ended; only the best len(results) are kept
	topEnded    bool // the best candidate of some step was an end
	results     []Hypothesis
	resultSpace []int32 // [NBest+1, MaxTarget]: the tokens of results, and one spare row
	spare       []int32
}

// hypotheses are the growing ends of a search, at most Beam of them.
type hypotheses struct {
	tokens []int32   // [Beam, MaxTarget]
	score  []float32 // [Beam] sum of log-probabilities
	last   []int32   // [Beam] the next input
	// ancestors [Beam, MaxTarget] names for every position the beam in whose cache its key and value lie: hypotheses that
	// share their past share the cache, and reordering a beam copies these bytes only.
	ancestors []uint8
}

func (h *hypotheses) allocate(a *arena, part string, o Options) {
	h.tokens = take[int32](a, part, o.Beam, o.MaxTarget)
	h.score = take[float32](a, part, o.Beam)
	h.last = take[int32](a, part, o.Beam)
	h.ancestors = take[uint8](a, part, o.Beam, o.MaxTarget)
}

func (t *slot) allocate(a *arena, part string, o Options) {
	t.source = take[int32](a, part, o.MaxSource)
	t.now.allocate(a, part, o)
	if o.Beam > 1 {
		t.next.allocate(a, part, o)
	}
	t.results = take[Hypothesis](a, part, o.NBest)[:0]
	t.resultSpace = take[int32](a, part, o.NBest+1, o.MaxTarget)
}

// begin starts a sentence whose source is set: one hypothesis, no token yet, its input the start token.
func (t *slot) begin(start int32, own, given []int32, alternative int) {
	t.state = slotPending
	t.length, t.live, t.ended, t.topEnded = 0, 1, 0, false
	width := len(t.now.tokens) / len(t.now.score)
	t.hidden = copy(t.now.tokens, own)
	t.prefix = t.hidden + copy(t.now.tokens[t.hidden:], given)
	t.alternative, t.past, t.bonus = alternative, 0, 0
	if alternative > 0 {
		t.past = t.prefix
	}
	clear(t.now.ancestors[:min(t.prefix+2, width)]) // one hypothesis until the prefix and the alternative have been taken
	t.now.last[0], t.now.score[0] = start, 0
	t.results = t.results[:0]
	t.spare = t.resultSpace[:width]
}

// searchScratch holds the candidates of one step of one sentence.
type searchScratch struct {
	index      []int32
	value      []float32
	candidates []candidate
	best       []candidate
}

type candidate struct {
	beam  int
	token int32
	score float32
}

func (c *searchScratch) allocate(a *arena, part string, o Options) {
	n := max(2*o.Beam, o.Alternatives)
	c.index = take[int32](a, part, n)
	c.value = take[float32](a, part, n)
	c.candidates = take[candidate](a, part, o.Beam, 2*o.Beam)[:0]
	c.best = take[candidate](a, part, 2*o.Beam)[:0]
}

// advance appends the step's tokens to the hypotheses of a sentence. logits [live, vocab].
func (s *Session) advance(t *slot, logits []float32) {
	for b := range t.live {
		row := logits[b*s.vocab:][:s.m.cfg.TargetVocab]
		s.restrain(t, b, row)
		s.mask(t, words{logits: row})
	}
	switch {
	case t.alternative > 0 && t.length == t.prefix:
		s.branch(t, logits[:s.m.cfg.TargetVocab])
	case s.opt.Beam == 1:
		s.advanceGreedy(t, logits[:s.m.cfg.TargetVocab])
	default:
		s.advanceBeam(t, logits)
	}
}

// maxFloat32 stands for infinity in masked logits, as in CTranslate2: a masked token loses, yet nothing becomes NaN.
const maxFloat32 = 3.40282346638528859811704183484516925440e+38

func (s *Session) advanceGreedy(t *slot, logits []float32) {
	best := s.set.ArgMax(logits)
	s.append(t, best, logits[best]-s.set.LogSumExp(logits))
}

// append adds a token, chosen with that log-probability, to a sentence of greedy search.
func (s *Session) append(t *slot, token int, score float32) {
	h := &t.now
	h.score[0] += score
	h.tokens[t.length] = int32(token)
	h.last[0] = int32(token)
	t.length++
	if int32(token) == s.m.cfg.EOS || t.length == s.opt.MaxTarget {
		s.end(t, h.tokens[:t.length], h.score[0])
		t.state = slotDone
	}
}

// choice is the largest logit of a row so far and its token; -1: none yet.
type choice struct {
	value float32
	token int32
}

// better keeps the larger of two choices, the earlier token of equal ones.
func (c *choice) better(value float32, token int) {
	if c.token < 0 || value > c.value {
		*c = choice{value, int32(token)}
	}
}

// best returns where logits have their largest, if that is better than what was chosen from the tokens before; else -1.
func (s *Session) best(logits []float32, before choice) int {
	if before.token < 0 {
		return s.set.ArgMax(logits)
	}
	return s.set.ArgMaxAbove(logits, before.value)
}

// outputCols is how many columns of the output matrix are computed before they are looked at: a batch of 32 rows of them
// stays in a second-level cache.
const outputCols = 512

// outputParts is how many parts of the output matrix are dealt out to the threads.
func (s *Session) outputParts() int { return min(s.vocab/16, s.opt.Threads*8) }

// choose finds each row's best token among part's share of the output columns.
func (s *Session) choose(worker, part int) {
	rows, blocks, parts := len(s.active), s.vocab/16, s.outputParts()
	w, best := &s.workers[worker], s.choices[part*rows:][:rows]
	for i := range best {
		best[i].token = -1
	}
	end := blocks * (part + 1) / parts * 16
	for n0, n1 := blocks*part/parts*16, 0; n0 < end; n0 = n1 {
		n1 = s.m.output.use(s.file, n0, min(n0+outputCols, end))
		cols := s.m.output.columns(n0, n1)
		s.set.Linear(w.logits, outputCols, s.q8, s.q8Scale, rows, &cols, 0, n1-n0, kernels.ActNone, nil, w.tile)
		real := min(n1, s.m.cfg.TargetVocab) - n0
		for i := range rows {
			row := w.logits[i*outputCols:][:real]
			s.mask(&s.slots[s.active[i].slot], words{logits: row, from: n0})
			if at := s.best(row, best[i]); at >= 0 {
				best[i] = choice{row[at], int32(n0 + at)}
			}
		}
	}
}

// chosen is a row's best token over all parts; -1 if no logit is a number.
func (s *Session) chosen(row int) int {
	rows := len(s.active)
	best := s.choices[row]
	if s.short.slots != nil {
		return int(best.token)
	}
	for part := 1; part < s.outputParts(); part++ {
		if c := s.choices[part*rows+row]; c.token >= 0 {
			best.better(c.value, int(c.token))
		}
	}
	return int(best.token)
}

func (s *Session) advanceBeam(t *slot, logits []float32) {
	c, eos := &s.search, s.m.cfg.EOS
	best := s.bestCandidates(t, logits)
	last := t.length+1 == s.opt.MaxTarget

	live, spare := 0, s.opt.Beam // spare: the next candidate that may take an ended one's place
	for k := 0; k < min(s.opt.Beam, len(best)); k++ {
		next := best[k]
		if next.token == eos || last {
			if k == 0 {
				t.topEnded = true
			}
			n := copy(t.spare, t.now.tokens[next.beam*s.opt.MaxTarget:][:t.length])
			t.spare[n] = next.token
			s.end(t, t.spare[:n+1], next.score)
			for ; spare < len(best); spare++ {
				if best[spare].token != eos {
					next = best[spare]
					spare++
					break
				}
			}
		}
		c.candidates[k] = next
		live++
	}
	done := last || live == 0 || t.ended >= s.opt.Beam
	if s.opt.LengthPenalty == 0 {
		done = last || live == 0 || t.topEnded && t.ended >= s.opt.NBest
	}
	if done {
		t.state = slotDone
		return
	}
	for k, cand := range c.candidates[:live] {
		t.grow(k, cand, s.opt.MaxTarget)
	}
	t.now, t.next = t.next, t.now
	t.length++
	t.live = live
}

// grow writes candidate c as hypothesis k of the next step.
func (t *slot) grow(k int, c candidate, width int) {
	n := t.length
	to, from := k*width, c.beam*width
	copy(t.next.tokens[to:], t.now.tokens[from:][:n])
	copy(t.next.ancestors[to:], t.now.ancestors[from:][:n])
	t.next.tokens[to+n] = c.token
	t.next.ancestors[to+n] = uint8(c.beam) // position n was computed, and cached, by its parent
	t.next.ancestors[to+n+1] = uint8(k)    // position n+1 will be its own
	t.next.score[k], t.next.last[k] = c.score, c.token
}

// bestCandidates returns the 2*Beam best continuations of all live hypotheses, best first; among equal scores the lower
// beam, then the lower token, comes first.
func (s *Session) bestCandidates(t *slot, logits []float32) []candidate {
	c := &s.search
	c.candidates = c.candidates[:0]
	for b := range t.live {
		row := logits[b*s.vocab:][:s.m.cfg.TargetVocab]
		norm := s.set.LogSumExp(row)
		for i := range s.set.TopK(c.index[:2*s.opt.Beam], c.value, row) {
			c.candidates = append(c.candidates, candidate{b, c.index[i], c.value[i] - norm + t.now.score[b]})
		}
	}
	// Selection of a few from a few: at most 2*Beam out of 2*Beam*Beam, each list already sorted.
	c.best = c.best[:0]
	for len(c.best) < min(cap(c.best), len(c.candidates)) {
		top := -1
		for i := range c.candidates {
			if c.candidates[i].beam >= 0 && (top < 0 || c.candidates[i].score > c.candidates[top].score) {
				top = i
			}
		}
		c.best = append(c.best, c.candidates[top])
		c.candidates[top].beam = -1
	}
	c.candidates = c.candidates[:cap(c.candidates)]
	s.keepGoing(t, c.best)
	return c.best
}

// end registers a hypothesis that has ended, keeping the best NBest of them, sorted; ties keep their order.
func (s *Session) end(t *slot, tokens []int32, score float32) {
	t.ended++
	if n := len(tokens) - t.past; n > 0 {
		score /= lengthNorm(n, s.opt.LengthPenalty)
	}
	score += t.bonus
	at := len(t.results)
	for at > 0 && t.results[at-1].Score < score {
		at--
	}
	if at == cap(t.results) {
		return
	}
	// A row of resultSpace for it: an unused one, or that of the hypothesis that falls off the end.
	width := s.opt.MaxTarget
	var row []int32
	if len(t.results) < cap(t.results) {
		row = t.resultSpace[(len(t.results)+1)*width:][:width]
		t.results = t.results[:len(t.results)+1]
	} else {
		row = t.results[len(t.results)-1].Tokens
		row = row[:width]
	}
	copy(t.results[at+1:], t.results[at:])
	n := copy(row, tokens[t.hidden:])
	cut := row[n-1] != s.m.cfg.EOS
	if !cut {
		n--
	}
	t.results[at] = Hypothesis{row[:n], score, cut}
}

// lengthNorm is length^penalty.
func lengthNorm(length int, penalty float32) float32 {
	switch penalty {
	case 0:
		return 1
	case 1:
		return float32(length)
	}
	return kernels.ExpF32(penalty * kernels.LogF32(float32(length)))
}
