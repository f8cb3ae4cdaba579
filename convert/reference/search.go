package reference

import (
	"fmt"
	"math"
	"sort"
)

// SearchOptions are CTranslate2's, by the same names. Zero values: beam 1 (greedy), at most 256 tokens, at least 0.
type SearchOptions struct {
	Beam          int
	MaxLength     int     // tokens, the end token among them
	MinLength     int     // the end token is not produced before so many other tokens
	LengthPenalty float32 // the score is divided by length^LengthPenalty
}

// Hypothesis is one finished sentence.
type Hypothesis struct {
	IDs     []int32 // with the end token where it was produced
	LogProb float32 // sum of the tokens' log-probabilities
	Score   float32 // LogProb / len(IDs)^LengthPenalty
}

func (o SearchOptions) orDefaults() SearchOptions {
	if o.Beam == 0 {
		o.Beam = 1
	}
	if o.MaxLength == 0 {
		o.MaxLength = 256
	}
	return o
}

// Search is Greedy for a beam of 1, else the best of Beam: that is how CTranslate2 chooses.
func (t *Transformer) Search(source []int32, o SearchOptions) (Hypothesis, error) {
	if o.orDefaults().Beam == 1 {
		return t.Greedy(source, o)
	}
	all, err := t.Beam(source, o)
	if err != nil {
		return Hypothesis{}, err
	}
	return all[0], nil
}

// Greedy takes the most probable token at each step; ties go to the lowest id.
func (t *Transformer) Greedy(source []int32, o SearchOptions) (Hypothesis, error) {
	o = o.orDefaults()
	memory, err := t.Encode(source)
	if err != nil {
		return Hypothesis{}, err
	}
	d := t.NewDecoder(memory)
	var h Hypothesis
	last := t.Config.DecoderStart
	for step := range o.MaxLength {
		logProbs, err := t.logProbs(d, last, step, o)
		if err != nil {
			return Hypothesis{}, err
		}
		best := top(logProbs, 1)[0]
		last = int32(best)
		h.IDs = append(h.IDs, last)
		h.LogProb += logProbs[best]
		if last == t.Config.EOS {
			break
		}
	}
	h.finish(o)
	return h, nil
}

// beam is one unfinished hypothesis.
type beam struct {
	decoder *Decoder
	ids     []int32
	score   float32 // sum of log-probabilities
}

// Beam returns the finished hypotheses, best first. It follows CTranslate2's definition:
//
//   - of all continuations of all beams, the best 2 * Beam are candidates, in order of their sum of log-probabilities;
//   - a candidate among the first Beam that ends is a finished hypothesis, and the next best one that does not end takes
//     its place, so that Beam hypotheses stay alive;
//   - the search ends when Beam hypotheses are finished, at MaxLength (where all Beam are taken as they are), or, without a
//     length penalty, as soon as one has finished after the first-ranked candidate did;
//   - the finished ones are ranked by their sum divided by length^LengthPenalty, the end token counted.
func (t *Transformer) Beam(source []int32, o SearchOptions) ([]Hypothesis, error) {
	o = o.orDefaults()
	c := &t.Config
	memory, err := t.Encode(source)
	if err != nil {
		return nil, err
	}
	beams := []beam{{decoder: t.NewDecoder(memory)}}
	if 2*o.Beam > c.TargetVocab {
		// One beam has not enough continuations: the others are there from the start, and lose against it.
		for len(beams) < o.Beam {
			beams = append(beams, beam{decoder: t.NewDecoder(memory), score: -math.MaxFloat32})
		}
	}

	var finished []Hypothesis
	firstFinished := false
	for step := range o.MaxLength {
		var totals []float32 // [beams * Vt]
		for _, b := range beams {
			last := c.DecoderStart
			if step > 0 {
				last = b.ids[step-1]
			}
			logProbs, err := t.logProbs(b.decoder, last, step, o)
			if err != nil {
				return nil, err
			}
			for _, p := range logProbs {
				totals = append(totals, p+b.score)
			}
		}
		candidates := top(totals, 2*o.Beam)
		id := func(candidate int) int32 { return int32(candidate % c.TargetVocab) }
		ids := func(candidate int) []int32 {
			return append(append([]int32{}, beams[candidate/c.TargetVocab].ids...), id(candidate))
		}

		lastStep := step+1 == o.MaxLength
		spare := o.Beam // the next candidate that may take a finished one's place
		var alive []int
		for k, candidate := range candidates[:o.Beam] {
			if lastStep || id(candidate) == c.EOS {
				firstFinished = firstFinished || k == 0
				h := Hypothesis{IDs: ids(candidate), LogProb: totals[candidate]}
				h.finish(o)
				finished = append(finished, h)
				for ; spare < len(candidates); spare++ {
					if id(candidates[spare]) != c.EOS {
						candidate = candidates[spare]
						spare++
						break
					}
				}
			}
			alive = append(alive, candidate)
		}
		earlyExit := o.LengthPenalty == 0 && firstFinished && len(finished) > 0
		if lastStep || earlyExit || (o.LengthPenalty != 0 && len(finished) >= o.Beam) {
			break
		}

		next := make([]beam, len(alive))
		for k, candidate := range alive {
			next[k] = beam{beams[candidate/c.TargetVocab].decoder.Clone(), ids(candidate), totals[candidate]}
		}
		beams = next
	}
	sort.SliceStable(finished, func(i, j int) bool { return finished[i].Score > finished[j].Score })
	return finished, nil
}

// logProbs feeds last to d and returns the log-probabilities [Vt] of the next token, those that may not come at the end.
func (t *Transformer) logProbs(d *Decoder, last int32, step int, o SearchOptions) ([]float32, error) {
	logits, err := d.Step(last)
	if err != nil {
		return nil, err
	}
	for i, v := range logits {
		if v != v {
			return nil, fmt.Errorf("reference: logit %d is NaN at step %d", i, step)
		}
	}
	if step < o.MinLength {
		logits[t.Config.EOS] = -math.MaxFloat32
	}
	for _, id := range t.Config.Suppress {
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
