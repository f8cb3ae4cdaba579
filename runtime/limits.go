package runtime

import (
	"slices"

	"github.com/edge-infer/edge-infer/kernels"
)

// What steers a search from outside: tokens that are given, and tokens that may not come. All of it equals CTranslate2's
// (OpenNMT/CTranslate2, src/decoding.cc and src/decoding_utils.cc).

// force takes the next token of the prefix. Its log-probability does not count.
func (t *slot) force() {
	t.now.last[0] = t.now.tokens[t.length]
	t.length++
}

// unlikely is the score of a candidate that has to lose against every other.
const unlikely = -1e10

// keepGoing makes an end token lose that comes right after a prefix and is not the best candidate: a beam is wide enough to
// find one there, and what ends at once would beat every longer hypothesis where length is not made up for (CTranslate2 issue 277).
func (s *Session) keepGoing(t *slot, best []candidate) {
	if t.prefix == 0 || t.length != t.prefix {
		return
	}
	for k := 1; k < len(best); k++ {
		if best[k].token == s.m.cfg.EOS {
			best[k] = candidate{0, 0, unlikely}
		}
	}
}

// branch takes the slot's alternative after the prefix. The search that follows knows of the tokens so far through the decoder
// alone: its length, and what it may not repeat, begin after them. A token that is not there, or is less probable than
// MinAlternative, gives no hypothesis.
func (s *Session) branch(t *slot, logits []float32) {
	c, k := &s.search, t.alternative
	norm := s.set.LogSumExp(logits)
	if s.set.TopK(c.index[:k], c.value, logits) < k || c.value[k-1] == -maxFloat32 {
		t.state = slotDone
		return
	}
	t.bonus = c.value[k-1] - norm
	if kernels.ExpF32(t.bonus) < s.opt.MinAlternative {
		t.state = slotDone
		return
	}
	t.now.tokens[t.length], t.now.last[0] = c.index[k-1], c.index[k-1]
	t.length++
	t.past = t.length
	if t.length == s.opt.MaxTarget {
		s.end(t, t.now.tokens[:t.length], 0)
		t.state = slotDone
	}
}

// mask makes tokens lose that may never come, or not yet.
func (s *Session) mask(t *slot, w words) {
	for _, id := range s.m.cfg.Suppress {
		w.forbid(id)
	}
	if !s.opt.AllowBadWords {
		for _, ids := range s.m.cfg.BadWords {
			if len(ids) == 1 {
				w.forbid(ids[0])
			}
		}
	}
	tooShort := t.length < s.opt.MinTarget || t.alternative > 0 && t.length == t.prefix
	if tooShort {
		w.forbid(s.m.cfg.EOS)
	}
}

// forbid makes a token lose, if it is among the words.
func (w words) forbid(id int32) {
	if at := w.at(id); at >= 0 {
		w.logits[at] = -maxFloat32
	}
}

// restrains says whether what may come depends on what came, which takes the whole of the logits.
func (o *Options) restrains(c *TransformerConfig) bool {
	sequences := slices.ContainsFunc(c.BadWords, func(ids []int32) bool { return len(ids) > 1 })
	return o.NoRepeatNgram > 0 || o.RepetitionPenalty != 1 || sequences && !o.AllowBadWords
}

// restrain changes the logits of tokens that hypothesis b has had, or must not have again.
func (s *Session) restrain(t *slot, b int, logits []float32) {
	past := t.now.tokens[b*s.opt.MaxTarget:][t.past:t.length]
	if p := s.opt.RepetitionPenalty; p != 1 {
		for i, id := range past {
			if slices.Contains(past[:i], id) {
				continue // penalized already
			}
			if logits[id] < 0 {
				logits[id] *= p
			} else {
				logits[id] /= p
			}
		}
	}
	for _, ids := range s.m.cfg.BadWords {
		if last := len(ids) - 1; !s.opt.AllowBadWords && last > 0 && len(past) >= last && slices.Equal(past[len(past)-last:], ids[:last]) {
			logits[ids[last]] = -maxFloat32
		}
	}
	if n := s.opt.NoRepeatNgram; n > 0 && len(past) >= n {
		begin := past[len(past)-(n-1):] // of an n-gram; what followed it before must not follow again
		for i := range past[n-1:] {
			if slices.Equal(past[i:i+n-1], begin) {
				logits[past[i+n-1]] = -maxFloat32
			}
		}
	}
}
