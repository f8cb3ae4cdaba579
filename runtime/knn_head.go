package runtime

import (
	"math"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// The head of a file: int8 rows of fewer columns.
//
// Let P be some orthonormal axes, h = P v what a centred vector v has along them, and t = sqrt(|v|² - |h|²) the norm of what it
// keeps outside. Then for any two vectors
//
//	|v - w|² >= |h_v - h_w|² + (t_v - t_w)²        v·w <= h_v·h_w + t_v t_w
//
// so that the vectors (h, t), of head + 1 columns, have distances that are never larger and products that are never smaller.
// They are quantized and scanned in the place of the rows, with the same bound; survivors get their exact distance from the
// kept rows. Where the data has directions that matter this reads a fraction of the bytes. The exactness rests on the axes being
// orthonormal, which bindHead checks, not on which axes they are.

// orthonormal bounds |p_i·p_j - δ_ij| of the axes, computed in float64.
const orthonormal = 1e-13

// HeadError bounds how far the computed (h, t) of a vector of norm 1 may be from the true one: t is the root of a difference, and
// axes are orthonormal up to rounding.
func HeadError(cols, head int) float64 {
	return math.Sqrt(float64(float64(cols+16)*0x1p-48) + float64(float64(4*head)*orthonormal))
}

func (k *knn) bindHead(b *binder) {
	head, d := k.cfg.Head, k.cfg.Cols
	t := b.tensor("head.axes", true, modelfile.F64, modelfile.Rows, head, d)
	if t == nil {
		return
	}
	k.axes = t.F64()
	for i := range head {
		for j := range i + 1 {
			want := 0.0
			if i == j {
				want = 1
			}
			p := Product64(k.axes[i*k.stride:][:d], k.axes[j*k.stride:][:d])
			if !(math.Abs(p-want) <= orthonormal) {
				b.fail("head.axes", "has axes %d and %d with the product %v, must be orthonormal", j, i, p)
				return
			}
		}
	}
}

// reduce puts (h, t) of v into dst, and returns how far they may be off.
func (k *knn) reduce(dst, v []float64) (lost float64) {
	return ReduceKNN(dst, v, k.axes, k.stride)
}

// ReduceKNN puts the products of v with the axes, len(dst)-1 rows of the given stride, into dst, and after them the norm of what v
// keeps outside. It returns a bound on the error of all together.
func ReduceKNN(dst, v, axes []float64, stride int) (lost float64) {
	head, d := len(dst)-1, len(v)
	all := Product64(v, v)
	inside := 0.0
	i := 0
	// Four axes at a time: each sum is a chain of dependent additions.
	for ; i+4 <= head; i += 4 {
		a, b := axes[i*stride:][:d], axes[(i+1)*stride:][:d]
		c, e := axes[(i+2)*stride:][:d], axes[(i+3)*stride:][:d]
		var s0, s1, s2, s3 float64
		for j, x := range v {
			s0 += float64(x * a[j])
			s1 += float64(x * b[j])
			s2 += float64(x * c[j])
			s3 += float64(x * e[j])
		}
		dst[i], dst[i+1], dst[i+2], dst[i+3] = s0, s1, s2, s3
	}
	for ; i < head; i++ {
		dst[i] = Product64(v, axes[i*stride:][:d])
	}
	for _, h := range dst[:head] {
		inside += float64(h * h)
	}
	dst[head] = math.Sqrt(max(all-inside, 0))
	return math.Sqrt(all) * HeadError(d, head)
}

// Product64 is x·y in four sums, for where the order does not matter.
func Product64(x, y []float64) float64 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x, y = x[4:], y[4:] {
		s0 += float64(x[0] * y[0])
		s1 += float64(x[1] * y[1])
		s2 += float64(x[2] * y[2])
		s3 += float64(x[3] * y[3])
	}
	for j, v := range x {
		s0 += float64(v * y[j])
	}
	return (s0 + s1) + (s2 + s3)
}
