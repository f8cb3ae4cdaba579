package runtime

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
