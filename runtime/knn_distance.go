package runtime

import "math"

// metric is a metric as the loops below know it.
type metric struct {
	kind metricKind
	p    float64 // of minkowski
}

type metricKind uint8

const (
	euclidean metricKind = iota
	manhattan
	chebyshev
	minkowski
	cosine
	dotProduct
)

var metricKinds = map[string]metricKind{
	MetricEuclidean: euclidean, MetricManhattan: manhattan, MetricChebyshev: chebyshev,
	MetricMinkowski: minkowski, MetricCosine: cosine, MetricDot: dotProduct,
}

// distances4 computes the distances that define the answer: from x to four rows, in float64, by direct differences summed in
// column order. Four at a time because each sum is a chain of dependent additions. xNorm is |x|, for cosine.
func distances4[T float32 | float64](m metric, x []float64, xNorm float64, r *[4][]T, out *[4]float64) {
	a, b, c, d := r[0][:len(x)], r[1][:len(x)], r[2][:len(x)], r[3][:len(x)]
	var s0, s1, s2, s3 float64
	switch m.kind {
	case euclidean:
		for j, v := range x {
			d0, d1, d2, d3 := v-float64(a[j]), v-float64(b[j]), v-float64(c[j]), v-float64(d[j])
			s0 += float64(d0 * d0)
			s1 += float64(d1 * d1)
			s2 += float64(d2 * d2)
			s3 += float64(d3 * d3)
		}
		s0, s1, s2, s3 = math.Sqrt(s0), math.Sqrt(s1), math.Sqrt(s2), math.Sqrt(s3)
	case manhattan:
		for j, v := range x {
			s0 += math.Abs(v - float64(a[j]))
			s1 += math.Abs(v - float64(b[j]))
			s2 += math.Abs(v - float64(c[j]))
			s3 += math.Abs(v - float64(d[j]))
		}
	case chebyshev:
		for j, v := range x {
			s0 = max(s0, math.Abs(v-float64(a[j])))
			s1 = max(s1, math.Abs(v-float64(b[j])))
			s2 = max(s2, math.Abs(v-float64(c[j])))
			s3 = max(s3, math.Abs(v-float64(d[j])))
		}
	case minkowski:
		for j, v := range x {
			s0 += pow64(math.Abs(v-float64(a[j])), m.p)
			s1 += pow64(math.Abs(v-float64(b[j])), m.p)
			s2 += pow64(math.Abs(v-float64(c[j])), m.p)
			s3 += pow64(math.Abs(v-float64(d[j])), m.p)
		}
		s0, s1, s2, s3 = pow64(s0, 1/m.p), pow64(s1, 1/m.p), pow64(s2, 1/m.p), pow64(s3, 1/m.p)
	case cosine:
		var n0, n1, n2, n3 float64
		for j, v := range x {
			d0, d1, d2, d3 := float64(a[j]), float64(b[j]), float64(c[j]), float64(d[j])
			s0 += float64(v * d0)
			s1 += float64(v * d1)
			s2 += float64(v * d2)
			s3 += float64(v * d3)
			n0 += float64(d0 * d0)
			n1 += float64(d1 * d1)
			n2 += float64(d2 * d2)
			n3 += float64(d3 * d3)
		}
		s0, s1 = cosineDistance(s0, xNorm, n0), cosineDistance(s1, xNorm, n1)
		s2, s3 = cosineDistance(s2, xNorm, n2), cosineDistance(s3, xNorm, n3)
	case dotProduct:
		for j, v := range x {
			s0 += float64(v * float64(a[j]))
			s1 += float64(v * float64(b[j]))
			s2 += float64(v * float64(c[j]))
			s3 += float64(v * float64(d[j]))
		}
		s0, s1, s2, s3 = 0-s0, 0-s1, 0-s2, 0-s3 // 0-0 is 0, -0 is not printed well
	}
	out[0], out[1], out[2], out[3] = s0, s1, s2, s3
}

// cosineDistance is 1 - dot/(|x| |w|), kept in 0..2, and 1 where either vector is zero.
func cosineDistance(dot, xNorm, squares float64) float64 {
	n := xNorm * math.Sqrt(squares)
	if n == 0 {
		return 1
	}
	return min(max(1-dot/n, 0), 2)
}

// norm64 is |x|, squares summed in column order.
func norm64(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v * v)
	}
	return math.Sqrt(s)
}

// dot64 is x·y, summed in column order.
func dot64(x, y []float64) float64 {
	s := 0.0
	for j, v := range x {
		s += float64(v * y[j])
	}
	return s
}

// pow64 is x^p for x >= 0 and p > 0, the same bits everywhere: package math differs between architectures. A whole p is
// multiplied out; else exp(p log x), right to about |p log x| units in the last place.
func pow64(x, p float64) float64 {
	if n := int(p); float64(n) == p {
		y := 1.0
		for ; n > 0; n >>= 1 {
			if n&1 == 1 {
				y = float64(y * x)
			}
			x = float64(x * x)
		}
		return y
	}
	if x == 0 || math.IsInf(x, 1) {
		return x
	}
	return exp64(float64(p * log64(x)))
}

const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
)

// log64 is the natural logarithm of a finite x > 0, below one unit in the last place.
// Source: FreeBSD's e_log.c (Sun Microsystems 1993).
func log64(x float64) float64 {
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	f--
	k := float64(e)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	t1 := s2 * (6.666666666666735130e-01 + float64(s4*(2.857142874366239149e-01+float64(s4*(1.818357216161805012e-01+float64(s4*1.479819860511658591e-01))))))
	t2 := s4 * (3.999999999940941908e-01 + float64(s4*(2.222219843214978396e-01+float64(s4*1.531383769920937332e-01))))
	r := float64(t1) + float64(t2)
	half := float64(float64(0.5*f) * f)
	return float64(k*ln2Hi) - ((half - (float64(s*(half+r)) + float64(k*ln2Lo))) - f)
}

// exp64 is e^x, below one unit in the last place.
// Source: FreeBSD's e_exp.c (Sun Microsystems 1993).
func exp64(x float64) float64 {
	switch {
	case x > 709.782712893384:
		return math.Inf(1)
	case x < -745.1332191019411:
		return 0
	}
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	hi := x - float64(k*ln2Hi)
	lo := float64(k * ln2Lo)
	r := hi - lo
	t := float64(r * r)
	c := r - float64(t*(1.66666666666666657415e-01+float64(t*(-2.77777777770155933842e-03+float64(t*(6.61375632143793436117e-05+
		float64(t*(-1.65339022054652515390e-06+float64(t*4.13813679705723846039e-08)))))))))
	y := 1 - ((lo - float64(r*c)/(2-c)) - hi)
	return math.Ldexp(y, int(k))
}

// KNNDistance is the distance of two vectors of one length that defines the answer. It panics on an unknown metric.
func KNNDistance(name string, p float64, x, y []float64) float64 {
	var out [4]float64
	KNNDistances(name, p, x, &[4][]float64{y, y, y, y}, &out)
	return out[0]
}

// KNNDistances is KNNDistance of x and four vectors at once, which takes little more time than one. It panics on an unknown metric.
func KNNDistances(name string, p float64, x []float64, rows *[4][]float64, out *[4]float64) {
	kind, ok := metricKinds[name]
	if !ok {
		panic("runtime: metric " + name)
	}
	n := 0.0
	if kind == cosine {
		n = norm64(x)
	}
	distances4(metric{kind, p}, x, n, rows, out)
}
