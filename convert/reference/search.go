package reference

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// SearchOptions are CTranslate2's, by the same names. Zero values: beam 1 (greedy), one hypothesis, at most 256 tokens, at
// least 0, no penalty for repeating.
type SearchOptions struct {
	Beam          int
	Hypotheses    int     // how many are wanted: without a length penalty the search goes on until there are so many
	MaxLength     int     // tokens, those of Prefix and the end token among them
	MinLength     int     // the end token is not produced before so many other tokens
	LengthPenalty float32 // the score is divided by length^LengthPenalty

	RepetitionPenalty float32 // logits of tokens that came before are divided by it, or multiplied where they are below 0
	NoRepeatNgram     int     // no sequence of so many tokens comes twice; 0: any may
	Prefix            []int32 // what every hypothesis begins with
}

// Hypothesis is one finished sentence.
type Hypothesis struct {
	IDs     []int32 // Prefix first, with the end token where it was produced
	LogProb float32 // sum of the tokens' log-probabilities, 0 for those of Prefix
	Score   float32 // LogProb / len(IDs)^LengthPenalty
}

func (o SearchOptions) orDefaults() SearchOptions {
	o.Beam = max(o.Beam, 1)
	o.Hypotheses = max(o.Hypotheses, 1)
	if o.MaxLength == 0 {
		o.MaxLength = 256
	}
	if o.RepetitionPenalty == 0 {
		o.RepetitionPenalty = 1
	}
	return o
}

// Search is the best of Hypotheses.
func (t *Transformer) Search(source []int32, o SearchOptions) (Hypothesis, error) {
	all, err := t.Hypotheses(source, o)
	if err != nil {
		return Hypothesis{}, err
	}
	return all[0], nil
}

// Hypotheses returns the finished ones of a search, best first: one for a beam of 1, which is greedy, else the beam's.
func (t *Transformer) Hypotheses(source []int32, o SearchOptions) ([]Hypothesis, error) {
	memory, err := t.Encode(source)
	if err != nil {
		return nil, err
	}
	return t.SearchFrom(t.NewDecoder(memory), t.Config.DecoderStart, o)
}

// Stepper is what a search asks of a decoder, and all that it knows of a model but its Config.
type Stepper interface {
	Step(token int32) (logits []float32, err error) // takes a token, and gives the logits [Vt] of the next, which are the caller's
	Clone() Stepper
}

// Greedy is the one hypothesis of a search without beams.
func (t *Transformer) Greedy(source []int32, o SearchOptions) (Hypothesis, error) {
	o.Beam = 1
	return t.Search(source, o)
}

// SearchFrom continues what d has taken so far by last and what comes after it.
func (t *Transformer) SearchFrom(d Stepper, last int32, o SearchOptions) ([]Hypothesis, error) {
	o = o.orDefaults()
	if o.Beam > 1 {
		return t.beam(d, last, o)
	}
	h, err := t.greedy(d, last, o)
	return []Hypothesis{h}, err
}

// greedy takes the most probable token at each step; ties go to the lowest id.
func (t *Transformer) greedy(d Stepper, last int32, o SearchOptions) (Hypothesis, error) {
	var h Hypothesis
	for step := range o.MaxLength {
		logProbs, err := t.logProbs(d, last, h.IDs, o)
		if err != nil {
			return Hypothesis{}, err
		}
		forced := step < len(o.Prefix)
		if forced {
			last = o.Prefix[step]
		} else {
			last = int32(top(logProbs, 1)[0])
			h.LogProb += logProbs[last]
		}
		h.IDs = append(h.IDs, last)
		if last == t.Config.EOS && !forced {
			break
		}
	}
	h.finish(o)
	return h, nil
}

// Alternatives returns one hypothesis for each of the n most probable tokens after Prefix, in that order: every one is
// followed by a search of its own, which knows nothing of the tokens before it but through the decoder. The score is the
// token's log-probability and the score of what follows. Those whose token is less probable than atLeast are left out.
func (t *Transformer) Alternatives(source []int32, n int, atLeast float32, o SearchOptions) ([]Hypothesis, error) {
	memory, err := t.Encode(source)
	if err != nil {
		return nil, err
	}
	return t.AlternativesFrom(t.NewDecoder(memory), n, atLeast, o)
}

// AlternativesFrom is Alternatives of a decoder that has taken nothing yet.
func (t *Transformer) AlternativesFrom(d Stepper, n int, atLeast float32, o SearchOptions) ([]Hypothesis, error) {
	o = o.orDefaults()
	last := t.Config.DecoderStart
	for _, id := range o.Prefix {
		if _, err := d.Step(last); err != nil {
			return nil, err
		}
		last = id
	}
	first := o
	first.MinLength = 1
	logProbs, err := t.logProbs(d, last, nil, first)
	if err != nil {
		return nil, err
	}
	rest := o
	rest.Prefix = nil
	rest.MaxLength -= len(o.Prefix) + 1
	rest.MinLength -= len(o.Prefix) + 1
	var out []Hypothesis
	for _, id := range top(logProbs, n) {
		if math.Exp(float64(logProbs[id])) < float64(atLeast) {
			break
		}
		h := Hypothesis{IDs: append(append([]int32{}, o.Prefix...), int32(id)), LogProb: logProbs[id], Score: logProbs[id]}
		if rest.MaxLength > 0 {
			found, err := t.SearchFrom(d.Clone(), int32(id), rest)
			if err != nil {
				return nil, err
			}
			h.IDs = append(h.IDs, found[0].IDs...)
			h.LogProb += found[0].LogProb
			h.Score += found[0].Score
		}
		out = append(out, h)
	}
	return out, nil
}

// beam is one unfinished hypothesis.
type beam struct {
	decoder Stepper
	ids     []int32
	score   float32 // sum of log-probabilities
}

// candidate is a continuation of a beam.
type candidate struct {
	beam  int
	id    int32
	score float32
}

// unlikely is the score of a candidate that has to lose against every other.
const unlikely = -1e10

// beam returns the finished hypotheses, best first. It follows CTranslate2's definition:
//
//   - of all continuations of all beams, the best 2 * Beam are candidates, in order of their sum of log-probabilities;
//   - a candidate among the first Beam that ends is a finished hypothesis, and the next best one that does not end takes
//     its place, so that Beam hypotheses stay alive;
//   - the search ends when Beam hypotheses are finished, at MaxLength (where all Beam are taken as they are), or, without a
//     length penalty, as soon as Hypotheses have finished after the first-ranked candidate did;
//   - the finished ones are ranked by their sum divided by length^LengthPenalty, the end token counted;
//   - while Prefix lasts, every candidate is its next token, the first one with score 0, the others unlikely; right after it
//     an end token that is not the best candidate becomes the unlikely token 0 (CTranslate2 issue 277).
func (t *Transformer) beam(d Stepper, last int32, o SearchOptions) ([]Hypothesis, error) {
	c := &t.Config
	beams := []beam{{decoder: d}}
	if 2*o.Beam > c.TargetVocab {
		// One beam has not enough continuations: the others are there from the start, and lose against it.
		for len(beams) < o.Beam {
			beams = append(beams, beam{decoder: d.Clone(), score: -math.MaxFloat32})
		}
	}

	var finished []Hypothesis
	firstFinished := false
	for step := range o.MaxLength {
		var totals []float32 // [beams * Vt]
		for _, b := range beams {
			if step > 0 {
				last = b.ids[step-1]
			}
			logProbs, err := t.logProbs(b.decoder, last, b.ids, o)
			if err != nil {
				return nil, err
			}
			for _, p := range logProbs {
				totals = append(totals, p+b.score)
			}
		}
		var candidates []candidate
		for k, i := range top(totals, 2*o.Beam) {
			next := candidate{i / c.TargetVocab, int32(i % c.TargetVocab), totals[i]}
			switch {
			case step < len(o.Prefix) && k == 0:
				next = candidate{0, o.Prefix[step], 0}
			case step < len(o.Prefix):
				next = candidate{0, o.Prefix[step], unlikely}
			case step == len(o.Prefix) && step > 0 && k > 0 && next.id == c.EOS:
				next = candidate{0, 0, unlikely}
			}
			candidates = append(candidates, next)
		}
		ids := func(next candidate) []int32 { return append(append([]int32{}, beams[next.beam].ids...), next.id) }

		lastStep := step+1 == o.MaxLength
		spare := o.Beam // the next candidate that may take a finished one's place
		var alive []candidate
		for k, next := range candidates[:o.Beam] {
			if lastStep || next.id == c.EOS && step >= len(o.Prefix) {
				firstFinished = firstFinished || k == 0
				h := Hypothesis{IDs: ids(next), LogProb: next.score}
				h.finish(o)
				finished = append(finished, h)
				for ; spare < len(candidates); spare++ {
					if candidates[spare].id != c.EOS {
						next = candidates[spare]
						spare++
						break
					}
				}
			}
			alive = append(alive, next)
		}
		earlyExit := o.LengthPenalty == 0 && firstFinished && len(finished) >= o.Hypotheses
		if lastStep || earlyExit || (o.LengthPenalty != 0 && len(finished) >= o.Beam) {
			break
		}

		next := make([]beam, len(alive))
		for k, a := range alive {
			next[k] = beam{beams[a.beam].decoder.Clone(), ids(a), a.score}
		}
		beams = next
	}
	sort.SliceStable(finished, func(i, j int) bool { return finished[i].Score > finished[j].Score })
	return finished, nil
}

// logProbs feeds last to d and returns the log-probabilities [Vt] of the token that follows past. Those that may not come
// have next to none: their logits are cut before the others share the probability.
func (t *Transformer) logProbs(d Stepper, last int32, past []int32, o SearchOptions) ([]float32, error) {
	logits, err := d.Step(last)
	if err != nil {
		return nil, err
	}
	for i, v := range logits {
		if v != v {
			return nil, fmt.Errorf("reference: logit %d is NaN at step %d", i, len(past))
		}
	}
	for i, id := range past {
		switch {
		case slices.Contains(past[:i], id): // penalized already
		case logits[id] < 0:
			logits[id] *= o.RepetitionPenalty
		default:
			logits[id] /= o.RepetitionPenalty
		}
	}
	for _, id := range t.banned(past, o) {
		logits[id] = -math.MaxFloat32
	}
	best := logits[top(logits, 1)[0]]
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v - best))
	}
	lse := best + float32(math.Log(sum))
	for i := range logits {
		logits[i] -= lse
	}
	return logits, nil
}

// banned are the tokens that may not follow past.
func (t *Transformer) banned(past []int32, o SearchOptions) []int32 {
	ids := slices.Clone(t.Config.Suppress)
	if len(past) < o.MinLength {
		ids = append(ids, t.Config.EOS)
	}
	for _, words := range t.Config.BadWords {
		if last := len(words) - 1; len(past) >= last && slices.Equal(past[len(past)-last:], words[:last]) {
			ids = append(ids, words[last])
		}
	}
	if n := o.NoRepeatNgram; n > 0 && len(past) >= n {
		begin := past[len(past)-(n-1):] // of an n-gram; what followed it before must not follow again
		for i := 0; i+n <= len(past); i++ {
			if slices.Equal(past[i:i+n-1], begin) {
				ids = append(ids, past[i+n-1])
			}
		}
	}
	return ids
}

func (h *Hypothesis) finish(o SearchOptions) {
	h.Score = h.LogProb / float32(math.Pow(float64(len(h.IDs)), float64(o.LengthPenalty)))
}

// top returns the indices of the n largest values, largest first, ties by index.
func top(x []float32, n int) []int {
	var best []int
	for i, v := range x {
		if len(best) == n && v <= x[best[n-1]] {
			continue
		}
		at := sort.Search(len(best), func(j int) bool { return x[best[j]] < v })
		if len(best) < n {
			best = append(best, 0)
		}
		copy(best[at+1:], best[at:])
		best[at] = i
	}
	return best
}
