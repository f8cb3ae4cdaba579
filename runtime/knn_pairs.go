package runtime

import (
	"math"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// Pairs: the rows once more, in four bits a column, for one query at a time.
//
// One query is bound by memory, so a first pass reads half the bytes: ŵ = scale·v of pairs.coarse (layout of kernels.GemvS4), with a
// residual e = w' - ŵ of norm E. The scale is the one that makes e orthogonal to ŵ, so that |ŵ|² = |w'|² - |e|². Rows that pass get four more
// bits a column, f of pairs.fine, which stand for e up to a residual of norm F; those that still pass get their exact distance.
//
// Euclidean distances have two bounds, of which the better is taken. With |x' - x̂| = e_x and n = |w'|,
//
//	|x' - w'|² = |x'|² + n² - 2 x'·w'      x'·w' <= x̂·ŵ + |x̂| E + e_x n       or, after the second step, x̂·(ŵ + f) + |x̂| F + e_x n
//	|x' - w'|  >= |x̂ - ŵ| - e_x - E        |x̂ - ŵ|² = |x̂|² + n² - E² - 2 x̂·ŵ
//
// The first is better unless the nearest rows are nearer than the center is. Products are bounded as those of int8 rows. With many queries
// the matrix kernel on the int8 rows is faster; the first bound, with the norms n, serves these as well. As only batches read them,
// those rows have seven bits (KNNSmall), for which some sets multiply faster (kernels.Set.Reach): about twice as many rows are left to
// rank.

// pairs is the part of a knn that describes them.
type pairs struct {
	plane
	fine         []int8 // [rows, codes.K]
	fineScale    []float32
	fineResidual []float32 // F, rounded up
}

// KNNSmall is the largest magnitude of the int8 rows of a file with pairs.
const KNNSmall = 63

// columns is how many columns a query has for GemvS4.
func (p *pairs) columns() int {
	if p == nil {
		return 0
	}
	return 2 * p.codes.K
}

// PairBytes is how many bytes a row of so many columns takes in each of the two steps.
func PairBytes(cols int) int { return kernels.Pad16((cols + 1) / 2) }

// DecodePairs writes what the h bytes of src stand for: values[j] of columns 0 to 2h-1.
func DecodePairs(values, src []int8) {
	h := len(src)
	for j := 0; j < h; j += 2 {
		values[j], values[j+1], values[h+j], values[h+j+1] = kernels.Pair(src[j], src[j+1])
	}
}

func (k *knn) bindPairs(b *binder) {
	n, h := k.cfg.Rows, PairBytes(k.cfg.Cols)
	p := &pairs{}
	p.codes = b.linear("pairs.coarse", n, h).Weights
	p.residual = b.floats("pairs.coarse.residual", true, n)
	p.norm = b.floats("pairs.norm", true, n)
	p.length = k.length
	if t := b.tensor("pairs.fine", true, modelfile.I8, modelfile.Rows, n, h); t != nil {
		p.fine, p.fineScale = t.I8(), t.Scale
	}
	p.fineResidual = b.floats("pairs.fine.residual", true, n)
	k.pairs = p
}

// boundPairs is boundRows for euclidean distances in both steps.
func (c *Classifier) boundPairs(coarse, fine *kernels.Bound, q *query, tau float64) {
	c.boundProducts(fine, q, tau)
	*coarse = *fine
	t := c.units(tau) + q.residual
	if hat := math.Sqrt(q.hat2); t < hat && !noBound(coarse, q, tau) {
		t2 := float64(t * t)
		// Acc, Res, Res2, Norm, Norm2, Len, Min
		setBound(coarse, &[7]float64{2 * float64(q.scale), 2 * t * (1 + slack), 2 * (1 + slack), 0, slack - 1, 0,
			q.hat2 - t2 - float64(slack*(q.hat2+t2)) - tiny})
	}
}

// boundProducts is boundRows for euclidean distances by the first of the two, of rows with their norms n. It serves int8 rows as well.
func (c *Classifier) boundProducts(b *kernels.Bound, q *query, tau float64) {
	if noBound(b, q, tau) {
		return
	}
	t := c.units(tau)
	t2 := float64(t * t)
	setBound(b, &[7]float64{2 * float64(q.scale), 2 * math.Sqrt(q.hat2) * (1 + slack), 0, 2 * q.residual * (1 + slack), slack - 1, 0,
		q.square - t2 - float64(slack*(q.square+q.hat2+t2)) - tiny})
}

// refine looks at more bits of the first n rows that wait, ranks those that pass, and returns how many are left to wait.
func (c *Classifier) refine(p *knnPart, n int) (left int) {
	k, s := c.m.pairs, &p.searches[0]
	length := k.length
	if c.metric.kind == euclidean {
		length = k.norm
	}
	rows, more := p.idx[:n], p.acc[len(p.acc)-onePiece:][:n]
	for j, r := range s.pending[:n] {
		rows[j] = r.row
	}
	c.set.RowsS4(more, c.q8[:2*k.codes.K], k.fine, rows)
	s.refined += int64(n)
	for j, r := range s.pending[:n] {
		// The product of both steps, then the rest of the bound.
		sum := float32(k.codes.Scale[r.row]*float32(r.acc)) + float32(k.fineScale[r.row]*float32(more[j]))
		if s.refining.Value(1, sum, k.fineResidual[r.row], k.norm[r.row], length[r.row]) < s.refining.Min {
			continue
		}
		c.fetch(r.row)
		s.passed[s.waiting] = r.row
		if s.waiting++; s.waiting == len(s.passed) {
			c.rankPassed(p, 0, rankRows) // the others are on their way from memory
		}
	}
	left = copy(s.pending, s.pending[n:])
	s.pending = s.pending[:left]
	return left
}

// rankPassed ranks the rows of query i that passed, down to the last left of them.
func (c *Classifier) rankPassed(p *knnPart, i, left int) {
	s := &p.searches[i]
	for s.waiting > left {
		n := min(s.waiting, rankRows)
		c.rank(p, i, s.passed[:n])
		s.waiting = copy(s.passed[:], s.passed[n:s.waiting])
	}
}
