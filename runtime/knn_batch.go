package runtime

import (
	"math"

	"github.com/edge-infer/edge-infer/kernels"
)

// Many queries at once. The matrix kernel reads the rows once for all of them, and is what takes the time: the rows that it passes on are
// few, wait, and are ranked by the way, so that what comes after them must be nearer still.

const (
	// samplePieces pieces of samplePiece rows, evenly spread, are scanned first: rows often lie sorted by class.
	samplePieces = 16
	samplePiece  = 32
	// tightenAt new rows wait before those that seem nearest of all that wait are ranked.
	tightenAt = 64
)

// scanBatch searches a part of the rows for all queries.
func (c *Classifier) scanBatch(p *knnPart, from, to int) {
	if from == to {
		return // more threads than rows
	}
	pieces, rows := 1, 0
	if c.opt.K <= maxSample {
		rows = min(samplePiece, to-from)
		pieces = min(samplePieces, (to-from)/rows, scanSums/(rows*min(c.count, scanQueries)))
	}
	place := func(piece int) int { return from + (to-from)/16*piece/pieces*16 }
	if rows > 0 {
		for first := 0; first < c.count; first += scanQueries {
			c.sampleRows(p, first, min(scanQueries, c.count-first), rows, pieces, place)
		}
	}
	for piece := range pieces {
		for at, end := place(piece)+rows, place(piece+1); at < end; at += c.rowsAt {
			c.scanTile(p, at, min(c.rowsAt, end-at))
		}
	}
	for i := range c.count {
		c.rankPassed(p, i, 0)
	}
}

// sampleRows finds a first threshold for some queries: the exact distances of the k rows (or a few more) of a sample that seem nearest. Without
// it every row would pass until k were ranked, and those that lie first in the file seldom are the nearest. The sums of the sample
// stay in scratch, so that no row is read twice.
func (c *Classifier) sampleRows(p *knnPart, first, queries, rows, pieces int, place func(piece int) int) {
	for i := first; i < first+queries; i++ {
		p.searches[i].samples = p.searches[i].samples[:0]
	}
	sums := func(piece int) []int32 { return p.acc[piece*queries*rows:][:queries*rows] }
	for piece := range pieces {
		at, acc := place(piece), sums(piece)
		if piece+1 < pieces {
			next := place(piece + 1)
			kernels.Fetch(c.m.codes.Data[next*c.m.codes.K : (next+rows)*c.m.codes.K])
		}
		c.sums(acc, first, queries, at, rows)
		for i := first; i < first+queries; i++ {
			c.boundNear(p, i)
		}
		for _, j := range c.survivors(p, acc, first, at, rows) {
			i := first + int(j)/rows
			c.sample(&p.searches[i], &c.queries[i], acc[j], at+int(j)%rows)
		}
	}
	const ahead = 2 // queries whose rows are on their way from memory
	for i := first; i < first+queries+ahead; i++ {
		if i < first+queries {
			c.fetchSamples(p, i)
		}
		if i >= first+ahead {
			c.rankSamples(p, i-ahead)
		}
	}
	if first == 0 {
		c.chooseBound(p, queries)
	}
	for piece := range pieces {
		at, acc := place(piece), sums(piece)
		for _, j := range c.survivors(p, acc, first, at, rows) {
			if i, row := first+int(j)/rows, at+int(j)%rows; !p.searches[i].sampled(int32(row)) {
				c.wait(p, i, row, acc[j], c.value(p, i, row, acc[j]))
			}
		}
	}
}

// scanTile looks for survivors of all queries among n rows.
func (c *Classifier) scanTile(p *knnPart, at, n int) {
	for first := 0; first < c.count; first += scanQueries {
		queries := min(scanQueries, c.count-first)
		found := c.reach(p, first, queries, at, n)
		for f, j := range found.Place {
			q := uint32(j) / uint32(n)
			c.wait(p, first+int(q), at+int(uint32(j)-q*uint32(n)), found.Sum[f], found.Value[f])
		}
		for i := first; i < first+queries; i++ {
			c.tighten(p, i)
		}
	}
}

// wait lets a row wait that may be among the nearest. value is that of its bound.
func (c *Classifier) wait(p *knnPart, i, row int, acc int32, value float32) {
	s := &p.searches[i]
	if row >= c.m.cfg.Rows {
		return // padding
	}
	if len(s.pending) == cap(s.pending) {
		c.flush(p, i)
	}
	if p.bounds[i].Min < -math.MaxFloat32 || value != value {
		value = float32(math.Inf(1)) // no limit, or nothing is known
	}
	s.pending = append(s.pending, pendingRow{int32(row), acc, value})
}

// value is that of the bound of query i for a row with the sum acc.
func (c *Classifier) value(p *knnPart, i, row int, acc int32) float32 {
	k := c.scanned
	return p.bounds[i].Value(acc, k.codes.Scale[row], k.residual[row], p.norm[row], k.length[row])
}

// tighten ranks the rows that it fetched at the tile before and, when many wait, fetches the nearest of them.
func (c *Classifier) tighten(p *knnPart, i int) {
	s := &p.searches[i]
	c.rankPassed(p, i, 0)
	if len(s.pending) < s.enough {
		return
	}
	var room [rankRows]uint64
	for _, b := range c.nearest(p, i, room[:]) {
		row := s.pending[uint32(b)].taken()
		c.fetch(row)
		s.passed[s.waiting] = row
		s.waiting++
	}
	s.enough = len(s.pending) + tightenAt
}

// chooseBound changes to boundProducts where that leaves fewer rows, by what it would do for the first queries.
func (c *Classifier) chooseBound(p *knnPart, queries int) {
	if c.m.pairs == nil || c.metric.kind != euclidean {
		return
	}
	farther := 0.0 // than the center are the nearest rows, together
	for i := range queries {
		farther += c.units(p.searches[i].limit) - math.Sqrt(c.queries[i].hat2)
	}
	if farther > 0 {
		p.norm, p.products = c.m.pairs.norm, true
		for i := range queries {
			c.bound(p, i)
		}
	}
}

// reach finds the sums of n rows that reach the bounds of some queries. Their places are of [queries, n].
func (c *Classifier) reach(p *knnPart, first, queries, at, n int) kernels.Reached {
	acc, found := p.acc[:queries*n], p.found
	if c.m.cfg.Class != ClassDot {
		c.sums(acc, first, queries, at, n)
		found.Place = c.survivors(p, acc, first, at, n)
		for f, j := range found.Place {
			found.Sum[f], found.Value[f] = acc[j], c.value(p, first+int(j)/n, at+int(j)%n, acc[j])
		}
		return found
	}
	k := c.scanned
	c.use(at, n)
	w := &k.codes
	count := c.set.Reach(found, acc, c.q8[first*w.K:(first+queries)*w.K], w.Data[at*w.K:(at+n)*w.K], w.Sum[at:at+n],
		w.Scale[at:at+n], k.residual[at:at+n], p.norm[at:at+n], c.lengths(p)[at:at+n], p.bounds[first:first+queries], k.small)
	found.Place = found.Place[:count]
	return found
}
