package runtime

import "github.com/edge-infer/edge-infer/kernels"

const (
	// onePiece is how many rows are scanned at a time for one query: those that pass fill half of what may wait.
	onePiece = pendingRows / 2
	// oneSample pieces, evenly spread, are scanned before the others, for a first threshold.
	oneSample = 24
	// onePieceBytes bounds the bytes of a piece.
	onePieceBytes = 256 << 10
)

// scanOne searches a part of the rows for the one query there is. The sums of the sample stay in scratch, so that no row is read twice. Of
// a file with pairs, the fine bits of the rows that passed in one piece are on their way from memory while the next piece is scanned.
func (c *Classifier) scanOne(p *knnPart, from, to int) {
	s, q := &p.searches[0], &c.queries[0]
	piece := max(min(onePiece, onePieceBytes/c.scanned.codes.K&^15), 16)
	pieces := (to - from + piece - 1) / piece
	sampled := 0
	if s.samples = s.samples[:0]; c.opt.K <= maxSample {
		sampled = min((pieces+1)/2, oneSample)
	}
	for i := range sampled {
		at := from + pieces*i/sampled*piece
		acc := p.acc[i*piece:][:min(piece, to-at)]
		c.sums(acc, 0, 1, at, len(acc))
		c.boundNear(p, 0)
		for _, j := range c.survivors(p, acc, 0, at, len(acc)) {
			c.sample(s, q, acc[j], at+int(j))
		}
	}
	c.fetchSamples(p, 0)
	c.rankSamples(p, 0)
	next, waiting := 0, 0
	for i := range pieces {
		at := from + i*piece
		n := min(piece, to-at)
		acc := p.acc[sampled*piece:][:n]
		if next < sampled && pieces*next/sampled == i {
			acc = p.acc[next*piece:][:n]
			next++
		} else {
			c.sums(acc, 0, 1, at, n)
		}
		c.passed(p, acc, at)
		if c.byPairs {
			waiting = c.refine(p, waiting)
		}
	}
	if c.byPairs {
		c.refine(p, waiting)
		c.rankPassed(p, 0, 0)
	}
}

// passed lets the rows wait whose sums reach the bound.
func (c *Classifier) passed(p *knnPart, acc []int32, at int) {
	s := &p.searches[0]
	for _, j := range c.survivors(p, acc, 0, at, len(acc)) {
		row := at + int(j)
		if row >= c.m.cfg.Rows {
			return // padding, to the end
		}
		if s.sampled(int32(row)) {
			continue
		}
		if !c.byPairs {
			c.wait(p, 0, row, acc[j], c.value(p, 0, row, acc[j]))
			continue
		}
		h := c.scanned.codes.K
		kernels.Fetch(c.m.pairs.fine[row*h:][:h])
		s.pending = append(s.pending, pendingRow{row: int32(row), acc: acc[j]})
	}
}
