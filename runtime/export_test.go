package runtime

import "github.com/edge-infer/edge-infer/kernels"

// Logits are those of the last step, one row a live hypothesis, without padding. For tests.
func (s *Session) Logits(row int) []float32 {
	return s.logits[row*s.vocab:][:s.m.cfg.TargetVocab]
}

// Advance is what Step does to a sentence once its logits are there: token 0's first, one row a live hypothesis, each of the vocabulary
// padded to 16. It says whether the sentence is done. For tests.
func (s *Session) Advance(slot int, logits []float32) bool {
	s.advance(&s.slots[slot], logits)
	return s.Done(slot)
}

// WholeLogits computes all logits of the last step's rows again, in place of what a shortlist gave, and says what each row's words
// could be: nil for all.
func (s *Session) WholeLogits() (logits [][]float32, words [][]int32, err error) {
	rows := len(s.active)
	all := make([]float32, rows*s.vocab)
	err = s.linear(all, s.vocab, s.x, rows, &s.m.output, kernels.ActNone, nil)
	for i, r := range s.active {
		logits = append(logits, all[i*s.vocab:][:s.m.cfg.TargetVocab])
		var ids []int32
		if s.short.slots != nil {
			for id := range s.m.cfg.TargetVocab {
				if g := &s.short.slots[r.slot]; g.words[id/64]&(1<<(id%64)) != 0 {
					ids = append(ids, int32(id))
				}
			}
		}
		words = append(words, ids)
	}
	return logits, words, err
}

// ShortlistRows lets a session's sentences gather so many rows together, until the function that it returns is called.
func ShortlistRows(n int) (restore func()) {
	old := shortlistRows
	shortlistRows = n
	return func() { shortlistRows = old }
}

// BreakBefore is breakBefore. For tests.
func BreakBefore(s string, n int) int { return breakBefore(s, n) }
