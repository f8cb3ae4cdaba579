package runtime

// Logits are those of the last step, one row a live hypothesis, without padding. For tests.
func (s *Session) Logits(row int) []float32 {
	return s.logits[row*s.vocab:][:s.m.cfg.TargetVocab]
}
