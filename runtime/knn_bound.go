package runtime

import (
	"math"

	"github.com/edge-infer/edge-infer/kernels"
)

// How a scan of int8 rows is exact.
//
// A row w is stored as ŵ = scale·q with its rounding residual e = |w' - ŵ|, w' = (w - center) / unit. A query x gets x̂ and e_x
// in the same way. By the triangle inequality a distance is at least |x̂ - ŵ| - e_x - e, so a row whose bound exceeds the k-th
// smallest distance found so far cannot be among the k nearest. All others get the distance that defines the answer.
//
//	euclidean           |x̂|² + |ŵ|² - 2 x̂·ŵ <= (T + e)²              T = τ + e_x, |x̂| and |ŵ| exact, x̂·ŵ = s_x scale acc
//	dot                 x·w' <= x̂·ŵ + |x| e + e_x |ŵ|                  must reach the k-th largest product - x·center
//	cosine              the same                                        must reach (1 - τ) |x| |w| - x·center
//	manhattan           scale Σ|q_x - q| <= τ + e_x + e                 e in the 1-norm
//	chebyshev           scale max|q_x - q| <= τ + e_x + e               e in the maximum norm
//	minkowski           scale Σ|q_x - q| <= cols^(1-1/p) τ + e_x + e    by the inequality of power means, as manhattan
//
// kernels.Survivors computes each as one polynomial in float32 with products and sums rounded one by one: at most 8 roundings
// of terms whose magnitudes add up to what slack multiplies below, 2^-21 of it. slack is four times that. Terms below the
// range of float32 lose at most 2^-118, which tiny covers. The distances τ are themselves rounded sums of cols terms: relative
// covers that, underflow the squares that became zero.
const (
	slack = 0x1p-19
	tiny  = 1e-34
	// far is how far from the rows, in units, a query may lie for squares to fit float32. Beyond it every row is ranked.
	far = 0x1p40
)

// query is what the scan knows of one query.
type query struct {
	exhaustive bool    // no bound: every row is ranked
	norm       float64 // |x| as given, for cosine distances

	scale    float32 // x̂ = scale · q
	hat2     float64 // |x̂|²
	square   float64 // |x'|² of what x̂ stands for
	residual float64 // e_x, in the norm of the metric, rounded up
	length   float64 // |x| in units of its own, rounded up
	own      float64 // for products: one over the query's own unit, a power of two that brings it to 0.5..1
	base     float64 // for products: x·center in both units
}

// prepare quantizes x into q8 for the metric of the session.
func (c *Classifier) prepare(q *query, x []float64, q8 []int8) {
	*q = query{exhaustive: c.exhaustive}
	if c.metric.kind == cosine {
		q.norm = norm64(x)
		if !(q.norm > 0x1p-480 && q.norm < 0x1p480) {
			q.exhaustive = true
		}
	}
	clear(q8)
	if q.exhaustive {
		return
	}
	k, y := c.m, c.centred
	product := c.metric.kind == cosine || c.metric.kind == dotProduct
	top := 0.0
	if product {
		_, e := math.Frexp(largest64(x))
		q.own = math.Ldexp(1, -max(e, -500))
		for j, v := range x {
			y[j] = v * q.own
		}
		top = largest64(y)
		q.base = float64(dot64(y, k.center) / k.unit)
	} else {
		inv := 1 / k.unit // exact: a power of two
		for j, center := range k.center {
			y[j] = (x[j] - center) * inv
		}
		top = largest64(y)
	}
	if !(top < far) {
		q.exhaustive = true
		return
	}
	lost := 0.0 // what reducing the query may be off
	if k.axes != nil {
		lost = k.reduce(c.reduced, y)
		if y = c.reduced; product {
			q.base += float64(y[k.cfg.Head]*k.cfg.Tail) + float64(lost*math.Abs(k.cfg.Tail))
		} else {
			y[k.cfg.Head] -= k.cfg.Tail
		}
		top = largest64(y)
	}
	if k.cfg.Class == ClassDifference {
		c.roundDifference(q, y, q8, top)
	} else {
		c.roundProduct(q, y, q8, top, lost)
	}
}

// largest64 is the largest magnitude in x, 0 of nothing.
func largest64(x []float64) (top float64) {
	for _, v := range x {
		if v = math.Abs(v); v > top {
			top = v
		}
	}
	return top
}

// roundProduct makes int8 of y, whose largest magnitude is top, with a scale of its own.
func (c *Classifier) roundProduct(q *query, y []float64, q8 []int8, top, lost float64) {
	s, inv, most := 0.0, 0.0, 127.0
	if c.scanned.small {
		most = KNNSmall
	}
	if top > 0x1p-100 {
		q.scale = float32(top / most)
		s = float64(q.scale)
		inv = 1 / s
	}
	var sum2 int64
	var left, y2 float64
	for j, v := range y {
		n := math.RoundToEven(v * inv) // at most as many: the scale is right to 2^-24
		q8[j] = int8(n)
		sum2 += int64(q8[j]) * int64(q8[j])
		r := v - float64(n*s)
		left += float64(r * r)
		y2 += float64(v * v)
	}
	q.hat2 = float64(float64(s*s) * float64(sum2))
	q.square = y2
	q.length = math.Sqrt(y2) * (1 + c.relative)
	q.residual = float64(math.Sqrt(left)*(1+c.relative)) + float64(q.length*0x1p-50) + lost
}

// roundDifference makes int8 of y with the scale of all rows.
func (c *Classifier) roundDifference(q *query, y []float64, q8 []int8, top float64) {
	q.scale = c.m.commonScale
	s := float64(q.scale)
	var l1, largest, y1 float64
	for j, v := range y {
		n := 0.0
		if s > 0 {
			n = max(min(math.RoundToEven(v/s), 127), -127)
		}
		q8[j] = int8(n)
		r := math.Abs(v - float64(n*s))
		l1 += r
		largest = max(largest, r)
		y1 += math.Abs(v)
	}
	if c.metric.kind == chebyshev {
		q.residual = float64(largest*(1+c.relative)) + float64(top*0x1p-50)
	} else {
		q.residual = float64(l1*(1+c.relative)) + float64(y1*0x1p-50)
	}
}

// bound sets what a row must reach so that its distance to query i may be the limit of its search or less.
func (c *Classifier) bound(p *knnPart, i int) {
	s, q := &p.searches[i], &c.queries[i]
	switch {
	case c.byPairs && c.metric.kind == euclidean:
		c.boundPairs(&p.bounds[i], &s.refining, q, s.limit)
		return
	case p.products:
		c.boundProducts(&p.bounds[i], q, s.limit)
		return
	}
	c.boundRows(&p.bounds[i], q, s.limit)
	s.refining = p.bounds[i]
}

// noBound says that no row is of interest, or that every row passes; false: tau is a distance to bound by.
func noBound(b *kernels.Bound, q *query, tau float64) bool {
	if q.exhaustive {
		*b = kernels.Bound{Min: float32(math.Inf(1))}
		return true
	}
	*b = kernels.Bound{Min: float32(math.Inf(-1))}
	return math.IsInf(tau, 0) || math.IsNaN(tau) // not k distances yet
}

// units is at least the true distance, in units, of a row whose computed euclidean distance is tau or less.
func (c *Classifier) units(tau float64) float64 {
	return (float64(tau*(1+c.relative)) + c.underflow) / c.m.unit
}

// boundRows sets b so that Survivors passes every row whose distance may be tau or less.
func (c *Classifier) boundRows(b *kernels.Bound, q *query, tau float64) {
	if noBound(b, q, tau) {
		return
	}
	k := c.m
	var v [7]float64 // Acc, Res, Res2, Norm, Norm2, Len, Min
	switch c.metric.kind {
	case euclidean:
		t := (float64(tau*(1+c.relative))+c.underflow)/k.unit + q.residual
		t2 := float64(t * t)
		v = [7]float64{2 * float64(q.scale), 2 * t * (1 + slack), 1 + slack, 0, slack - 1, 0,
			q.hat2 - t2 - float64(slack*(q.hat2+t2)) - tiny}
	case manhattan, chebyshev, minkowski:
		if c.metric.kind == minkowski {
			tau = float64((tau + c.underflow) * c.spread)
		}
		t := tau*(1+c.relative)/k.unit + q.residual
		v = [7]float64{-1, 1 + slack, 0, 0, 0, 0, -float64(t*(1+slack)) - tiny}
		if c.metric.kind == chebyshev {
			v[1], v[3] = 0, v[1] // the residual in the maximum norm is where the other class has |ŵ|
		}
	case dotProduct, cosine:
		hat := math.Sqrt(q.hat2)
		// Of pairs, whose norm is |w'|, x·w' = x̂·ŵ + x̂·(w' - ŵ) + (x - x̂)·w', so that |x̂| counts where it is the larger one.
		v = [7]float64{float64(q.scale), max(q.length, hat) * (1 + slack), 0, float64(q.residual*(1+slack)) + float64(slack*hat), 0, 0, 0}
		off := float64(q.length * k.centerNorm * c.relative) // what rounding may have added to base
		if c.metric.kind == cosine {
			a := float64((1 - tau - c.relative) * q.length)
			v[5] = float64(slack*math.Abs(a)) - a
			v[6] = -q.base - float64(slack*math.Abs(q.base)) - off - tiny
			break
		}
		// Distances are negated products, in the query's unit times the rows'.
		p := -float64((tau+c.underflow)*q.own) / k.unit
		v[5] = q.length * c.relative
		v[6] = p - q.base - float64(slack*math.Abs(p-q.base)) - float64(0x1p-50*(math.Abs(p)+math.Abs(q.base))) - off - tiny
	}
	setBound(b, &v)
}

// setBound rounds the coefficients, and leaves b where they do not fit float32: then all rows pass.
func setBound(b *kernels.Bound, v *[7]float64) {
	for _, f := range v {
		if !(math.Abs(f) < 1e36) {
			return
		}
	}
	*b = kernels.Bound{Acc: float32(v[0]), Res: float32(v[1]), Res2: float32(v[2]), Norm: float32(v[3]), Norm2: float32(v[4]), Len: float32(v[5]), Min: float32(v[6])}
}
