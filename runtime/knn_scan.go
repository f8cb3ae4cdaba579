package runtime

import (
	"math"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

const (
	// scanSums is how many int32 sums a scan has at a time: 64 KB.
	scanSums = 16 << 10
	// scanQueries is how many queries share a tile. The more, the more products hide the time that its rows take to arrive.
	scanQueries = 32
	// scanWork bounds the products of one call: it sets the rows of a tile.
	scanWork = 8 << 20
	// maxSample is the largest k for which a first threshold is sought in a sample of the rows.
	maxSample = 64
	// pendingRows wait until they are ranked, those that may be nearest first, so that few of the others need to be: so many of one query,
	// or pendingMany of each of many.
	pendingRows = 1024
	pendingMany = 256
)

// knnPart is what one part of the rows needs for its scan: parts are searched side by side and merged.
type knnPart struct {
	acc, idx    []int32
	found       kernels.Reached // idx among others
	dequantized []float64       // 4 rows, compact files only
	searches    []search        // one a query
	bounds      []kernels.Bound // of each query: what a row must reach to be among the nearest
	norm        []float32       // of each row: what the bounds take for it, see boundProducts
	products    bool            // they are those of boundProducts
}

// search is the state of one query in one part.
type search struct {
	pending  []pendingRow
	heap     []rankedRow         // the nearest so far, the farthest on top; capacity k
	limit    float64             // the k-th distance is not above this
	refined  int64               // rows of which more bits were read: see knn_pairs.go
	refining kernels.Bound       // what those must reach
	passed   [2 * rankRows]int32 // those that did and wait to be ranked
	waiting  int                 // how many
	enough   int                 // pending rows, to rank some
	ranked   int64
	samples  []sample // of the first threshold: best last, so that the worst is at hand
	distance [rankRows]float64
	rows32   [rankRows][]float32
	rows64   [4][]float64
}

type rankedRow struct {
	distance float64
	row      int32
}

// farther is the order of the answer: by distance, equal ones by row.
func (a rankedRow) farther(b rankedRow) bool {
	return a.distance > b.distance || a.distance == b.distance && a.row > b.row
}

// rankRows rows are ranked side by side: each distance is a chain of dependent additions.
const rankRows = 8

// wholeRanks rounds n up to what is ranked in the same time.
func wholeRanks(n int) int { return (n + rankRows - 1) / rankRows * rankRows }

// pendingRow is a row that waits: its sum, and the Value of its bound when it came, which only falls when a limit does: below Min it is
// out. Until there is a limit that is infinite. It is NaN of a row that waits no more.
type pendingRow struct {
	row, acc int32
	value    float32
}

// taken gives the row, which waits no more.
func (r *pendingRow) taken() int32 {
	r.value = float32(math.NaN())
	return r.row
}

// firstRanked of the rows that wait, or about k if that is less, are ranked before the others.
const firstRanked = 16

// sample is a row and how near it seems: larger is nearer.
type sample struct {
	near float32
	row  int32
}

// runAll is Run without its guard.
func (c *Classifier) runAll() error {
	k, n := c.m.codes.K, min(c.count, scanQueries)
	if c.scanned, c.byPairs = &c.m.plane, c.m.pairs != nil && c.count == 1; c.byPairs {
		c.scanned, k = &c.m.pairs.plane, c.m.pairs.columns()
	}
	d := c.m.cfg.Cols
	for i := range c.count {
		c.prepare(&c.queries[i], c.x[i*d:(i+1)*d], c.q8[i*k:(i+1)*k])
	}
	// Rows of a tile: as many as scratch and the work of a call allow.
	c.rowsAt = scanSums / max(n, 1)
	c.rowsAt = max(min(c.rowsAt, scanWork/(max(n, 1)*k))&^63, 16)
	parts := len(c.parts)
	work := threads.Work{Kind: threads.Other, MACs: int64(c.count) * int64(len(c.m.codes.Data))}
	c.pool.Run(parts, parts, work, c.scan)
	for i := range c.count {
		c.collect(i)
	}
	return nil
}

// scanPart searches all queries in one part of the rows.
func (c *Classifier) scanPart(_, part int) {
	p := &c.parts[part]
	blocks := c.scanned.codes.N / 16
	from, to := blocks*part/len(c.parts)*16, blocks*(part+1)/len(c.parts)*16
	scan := false
	p.norm, p.products = c.scanned.norm, false
	for i := range c.count {
		s := &p.searches[i]
		s.heap, s.pending, s.waiting, s.ranked, s.refined, s.limit = s.heap[:0], s.pending[:0], 0, 0, 0, math.Inf(1)
		s.enough = tightenAt
		c.bound(p, i)
		scan = scan || !c.queries[i].exhaustive
	}
	switch {
	case scan && c.count == 1:
		c.scanOne(p, from, to)
	case scan:
		c.scanBatch(p, from, to)
	}
	c.rankAll(p, from, min(to, c.m.cfg.Rows))
	if part == len(c.parts)-1 && c.m.last != nil {
		c.rankLast(p)
	}
	for i := range c.count {
		c.flush(p, i)
	}
}

// use gets ready to read what is scanned of n rows.
func (c *Classifier) use(at, n int) {
	if !c.file.Narrowed() {
		return
	}
	k := c.scanned
	w := &k.codes
	c.file.Use(modelfile.Bytes(w.Data[at*w.K:(at+n)*w.K]), modelfile.Bytes(w.Scale[at:at+n]), modelfile.Bytes(w.Sum[at:at+n]),
		modelfile.Bytes(k.residual[at:at+n]), modelfile.Bytes(k.norm[at:at+n]), modelfile.Bytes(k.length[at:at+n]))
}

// sums computes the products or differences of some queries with n rows, from row at on.
func (c *Classifier) sums(acc []int32, first, queries, at, n int) {
	w := &c.scanned.codes
	c.use(at, n)
	if c.byPairs {
		c.set.GemvS4(acc, c.q8[:2*w.K], w.Data[at*w.K:(at+n)*w.K])
		return
	}
	x, rows := c.q8[first*w.K:(first+queries)*w.K], w.Data[at*w.K:(at+n)*w.K]
	switch {
	case c.metric.kind == manhattan || c.metric.kind == minkowski:
		c.set.L1S8(acc, x, rows, queries, w.K)
	case c.metric.kind == chebyshev:
		c.set.MaxS8(acc, x, rows, queries, w.K)
	case queries == 1:
		c.set.GemvS8(acc, x, rows, w.Sum[at:at+n])
	default:
		c.set.GemmS8(acc, x, rows, w.Sum[at:at+n], queries, w.K)
	}
}

// lengths are those of the rows, where bounds have a use for them: else they are not read.
func (c *Classifier) lengths(p *knnPart) []float32 {
	if c.metric.kind == euclidean {
		return p.norm
	}
	return c.scanned.length
}

// survivors gives the places in acc, [queries, n], of the sums of n rows that reach the bounds of their query, from query first on.
func (c *Classifier) survivors(p *knnPart, acc []int32, first, at, n int) []int32 {
	k := c.scanned
	found := c.set.Survivors(p.idx, acc, k.codes.Scale[at:at+n], k.residual[at:at+n], p.norm[at:at+n], c.lengths(p)[at:at+n],
		p.bounds[first:first+len(acc)/n])
	return p.idx[:found]
}

// flush ranks the rows that wait: first those that may be nearest, then the others that the bound, tighter now, still passes.
func (c *Classifier) flush(p *knnPart, i int) {
	s, b, k := &p.searches[i], &p.bounds[i], c.m
	if len(s.pending) > 4 {
		c.rankBest(p, i)
	}
	var group [2 * rankRows]int32 // the second half is on its way from memory while the first is ranked
	n := 0
	for _, r := range s.pending {
		if !(r.value >= b.Min) ||
			b.Value(r.acc, k.codes.Scale[r.row], k.residual[r.row], p.norm[r.row], k.length[r.row]) < b.Min {
			continue
		}
		c.fetch(r.row)
		group[n] = r.row
		if n++; n == len(group) {
			c.rank(p, i, group[:rankRows])
			n = copy(group[:], group[rankRows:])
		}
	}
	c.rank(p, i, group[:min(n, rankRows)])
	c.rank(p, i, group[min(n, rankRows):n])
	s.pending = s.pending[:0]
}

// fetch asks for a kept row that is going to be ranked.
func (c *Classifier) fetch(row int32) {
	if c.m.rows32 != nil {
		kernels.Fetch(c.m.rows32[int(row)*c.m.stride:][:c.m.cfg.Cols])
	}
}

// nearest drops the waiting rows that do not reach the bound any more, and fills best with places in pending of those that may be nearest:
// the nearest of every len(best)-th. What stays and what is nearer cannot be foreseen, so no branch depends on it.
func (c *Classifier) nearest(p *knnPart, i int, best []uint64) []uint64 {
	s := &p.searches[i]
	left, least := 0, p.bounds[i].Min
	for _, r := range s.pending {
		s.pending[left] = r
		if r.value >= least {
			left++
		}
	}
	s.pending = s.pending[:left]
	best = best[:min(len(best), left)]
	clear(best)
	for at, j := 0, 0; at < left; at++ {
		// As an integer, the value's order is that of a float, and a place below it changes no order of values.
		v := int32(math.Float32bits(s.pending[at].value))
		v ^= int32(uint32(v>>31) >> 1)
		best[j] = max(best[j], uint64(uint32(v)^1<<31)<<32|uint64(at))
		if j++; j == len(best) {
			j = 0
		}
	}
	return best
}

// rankBest ranks the waiting rows that may be nearest.
func (c *Classifier) rankBest(p *knnPart, i int) {
	s := &p.searches[i]
	var room [firstRanked]uint64
	best := c.nearest(p, i, room[:min(firstRanked, wholeRanks(c.opt.K))])
	var rows [firstRanked]int32
	for j, b := range best {
		rows[j] = s.pending[uint32(b)].taken()
		c.fetch(rows[j])
	}
	for at := 0; at < len(best); at += rankRows {
		c.rank(p, i, rows[at:min(at+rankRows, len(best))])
	}
}

// near is how near a row seems by what its int8 say: larger is nearer.
func (c *Classifier) near(q *query, acc int32, scale, norm, length float32) float32 {
	switch c.metric.kind {
	case euclidean:
		return float32(float32(2*q.scale*scale)*float32(acc)) - float32(norm*norm)
	case cosine:
		if length > 0 {
			return (float32(q.base) + float32(float32(q.scale*scale)*float32(acc))) / length
		}
		return 0
	case dotProduct:
		return float32(q.scale*scale) * float32(acc)
	}
	return -float32(acc)
}

// rank computes the exact distances of up to rankRows rows and keeps the nearest.
func (c *Classifier) rank(p *knnPart, i int, rows []int32) {
	if len(rows) == 0 {
		return
	}
	s := &p.searches[i]
	c.distances(p, i, rows)
	s.ranked += int64(len(rows))
	before := s.limit
	for j, row := range rows {
		s.keep(rankedRow{s.distance[j], row})
	}
	if s.limit != before {
		c.bound(p, i)
	}
}

// distances puts the distances of up to rankRows rows from query i into s.distance.
func (c *Classifier) distances(p *knnPart, i int, rows []int32) {
	k, s, d := c.m, &p.searches[i], c.m.cfg.Cols
	x, q := c.x[i*d:(i+1)*d], &c.queries[i]
	if k.rows32 != nil {
		for j := range s.rows32 {
			s.rows32[j] = k.rows32[int(rows[min(j, len(rows)-1)])*k.stride:][:d]
		}
		switch c.metric.kind {
		case euclidean:
			c.set.Squares8(&s.distance, x, &s.rows32)
			for j, v := range s.distance {
				s.distance[j] = math.Sqrt(v)
			}
			return
		case manhattan:
			c.set.Absolute8(&s.distance, x, &s.rows32)
			return
		}
	}
	for at := 0; at < len(rows); at += 4 {
		out := (*[4]float64)(s.distance[at:])
		if k.rows32 != nil {
			distances4(c.metric, x, q.norm, (*[4][]float32)(s.rows32[at:]), out)
			continue
		}
		for j := range 4 {
			row := int(rows[min(at+j, len(rows)-1)])
			if k.rows64 != nil {
				s.rows64[j] = k.rows64[row*k.stride:][:d]
				continue
			}
			s.rows64[j] = p.dequantized[j*d : (j+1)*d]
			k.dequantize(s.rows64[j], row)
		}
		distances4(c.metric, x, q.norm, &s.rows64, out)
	}
}

// dequantize writes what the int8 of a row stand for: center + q * scale * unit. It defines the rows of a compact file.
func (k *knn) dequantize(dst []float64, row int) {
	if i := row - k.codes.N; i >= 0 {
		s := float64(k.lastScale[i]) * k.unit
		for j, q := range k.last[i*k.stride:][:len(dst)] {
			dst[j] = k.center[j] + float64(float64(q)*s)
		}
		return
	}
	DequantizeKNNRow(dst, k.codes.Data[row/16*16*k.codes.K+row%16*4:], k.center, k.codes.Scale[row], k.unit)
}

// DequantizeKNNRow is what a compact file's int8 row means. src begins at the row's first four columns in layout N16K4.
func DequantizeKNNRow(dst []float64, src []int8, center []float64, scale float32, unit float64) {
	s := float64(scale) * unit
	for j := range dst {
		dst[j] = center[j] + float64(float64(src[j/4*64+j%4])*s)
	}
}

// keep puts a row among the nearest if it belongs there.
func (s *search) keep(n rankedRow) {
	h := s.heap
	if len(h) < cap(h) {
		h = append(h, n)
		for i := len(h) - 1; i > 0; {
			up := (i - 1) / 2
			if !h[i].farther(h[up]) {
				break
			}
			h[i], h[up] = h[up], h[i]
			i = up
		}
		s.heap = h
	} else if h[0].farther(n) {
		h[0] = n
		sink(h)
	} else {
		return
	}
	if len(h) == cap(h) {
		s.limit = min(s.limit, h[0].distance)
	}
}

// sink restores the order of a heap whose top was replaced.
func sink(h []rankedRow) {
	for i := 0; ; {
		j := 2*i + 1
		if j >= len(h) {
			return
		}
		if j+1 < len(h) && h[j+1].farther(h[j]) {
			j++
		}
		if !h[j].farther(h[i]) {
			return
		}
		h[i], h[j] = h[j], h[i]
		i = j
	}
}

// rankAll ranks every row for the queries that have no bound. The rows are read once for all of them.
func (c *Classifier) rankAll(p *knnPart, from, to int) {
	any := false
	for i := range c.count {
		any = any || c.queries[i].exhaustive
	}
	if !any {
		return
	}
	var group [rankRows]int32
	for at := from; at < to; at += rankRows {
		n := min(rankRows, to-at)
		for j := range n {
			group[j] = int32(at + j)
		}
		c.useRows(at, n)
		for i := range c.count {
			if c.queries[i].exhaustive {
				c.rank(p, i, group[:n])
			}
		}
	}
}

// rankLast ranks the rows that are in no block.
func (c *Classifier) rankLast(p *knnPart) {
	var group [rankRows]int32
	for at := c.m.codes.N; at < c.m.cfg.Rows; at += rankRows {
		n := min(rankRows, c.m.cfg.Rows-at)
		for j := range n {
			group[j] = int32(at + j)
		}
		for i := range c.count {
			c.rank(p, i, group[:n])
		}
	}
}

// useRows gets ready to rank n rows from row at on, in the order of the file.
func (c *Classifier) useRows(at, n int) {
	k := c.m
	switch {
	case !c.file.Narrowed():
	case k.rows32 != nil:
		c.file.Use(modelfile.Bytes(k.rows32[at*k.stride : (at+n)*k.stride]))
	case k.rows64 != nil:
		c.file.Use(modelfile.Bytes(k.rows64[at*k.stride : (at+n)*k.stride]))
	}
}

// fetchSamples asks for the rows that rankSamples is going to rank.
func (c *Classifier) fetchSamples(p *knnPart, i int) {
	s := &p.searches[i]
	if len(s.samples) < c.opt.K {
		s.samples = s.samples[:0]
	}
	for _, r := range s.samples {
		c.fetch(r.row)
	}
}

// rankSamples sets the first threshold of query i.
func (c *Classifier) rankSamples(p *knnPart, i int) {
	s := &p.searches[i]
	var group [rankRows]int32
	for at := 0; at < len(s.samples); at += rankRows {
		n := min(rankRows, len(s.samples)-at)
		for j := range n {
			group[j] = s.samples[at+j].row
		}
		c.rank(p, i, group[:n])
	}
	c.bound(p, i)
}

// sampled says whether a row was ranked as one of the sample.
func (s *search) sampled(row int32) bool {
	for i := range s.samples {
		if s.samples[i].row == row {
			return true
		}
	}
	return false
}

// sample keeps a row of the sample if it seems to be among the k nearest of it. acc is its sum.
func (c *Classifier) sample(s *search, q *query, acc int32, row int) {
	if row >= c.m.cfg.Rows {
		return // padding
	}
	k := c.scanned
	near := c.near(q, acc, k.codes.Scale[row], k.norm[row], k.length[row])
	n := len(s.samples)
	if n < cap(s.samples) {
		s.samples = s.samples[:n+1]
	} else if n--; !(near > s.samples[n].near) {
		return
	}
	for ; n > 0 && near > s.samples[n-1].near; n-- {
		s.samples[n] = s.samples[n-1]
	}
	s.samples[n] = sample{near, int32(row)}
}

// boundNear sets the bound of query i so that Survivors passes the rows that seem nearer than the k of the sample so far, by what near says.
func (c *Classifier) boundNear(p *knnPart, i int) {
	s, q, b := &p.searches[i], &c.queries[i], &p.bounds[i]
	if len(s.samples) < cap(s.samples) || q.exhaustive {
		c.bound(p, i)
		return
	}
	worst := s.samples[len(s.samples)-1].near
	switch c.metric.kind {
	case euclidean:
		*b = kernels.Bound{Acc: 2 * q.scale, Norm2: -1, Min: worst}
	case cosine:
		*b = kernels.Bound{Acc: q.scale, Len: -worst, Min: -float32(q.base)}
	case dotProduct:
		*b = kernels.Bound{Acc: q.scale, Min: worst}
	default:
		*b = kernels.Bound{Acc: -1 / max(c.m.commonScale, 1e-30), Min: worst}
	}
}

// collect merges what the parts found for query i into results, nearest first.
func (c *Classifier) collect(i int) {
	first := &c.parts[0].searches[i]
	c.ranked[i] = first.ranked
	for p := range c.parts[1:] {
		s := &c.parts[p+1].searches[i]
		for _, n := range s.heap {
			first.keep(n)
		}
		c.ranked[i] += s.ranked
	}
	h := first.heap
	c.found[i] = len(h)
	out := c.results[i*c.opt.K:][:len(h)]
	for n := len(h) - 1; n >= 0; n-- {
		out[n] = Neighbor{int(h[0].row), h[0].distance}
		h[0] = h[n]
		h = h[:n]
		sink(h)
	}
}
