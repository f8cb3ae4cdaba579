package kernels

// AppendScores puts key in its place in kb, as the position len(dst)-1, and computes Scores of all positions up to it.
//
// Shapes: as Scores has them, len(key) >= len(q), and at least one position. Panics if a slice is shorter. Does not allocate.
func (s *Set) AppendScores(dst, q, kb, key []float32, scale float32) {
	dim, pos := len(q), len(dst)-1
	kb, key = cut(kb, Pad16(len(dst))*dim), cut(key, dim)
	if s.appendScores != nil && dim > 0 {
		s.appendScores(dst, q, kb, key, scale)
		return
	}
	block := kb[pos&^15*dim:]
	for d, v := range key {
		block[d*16+pos%16] = v
	}
	s.Scores(dst, q, kb, scale)
}
