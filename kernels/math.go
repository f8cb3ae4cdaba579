package kernels

import "math"

// The scalar functions that every set's vectors repeat step for step. Maximal errors over all float32, in units in the
// last place of the exact result, held by TestMathErrors:
//
//	exp 1.0, log 0.8, tanh 1.3, sigmoid 2.2, erf 1.6
//
// A product that is returned is rounded here too (float32(...)): inlined into a sum it could be fused otherwise.
// Polynomials were fitted for the smallest greatest error, then rounded to float32. None produces a denormal, except that
// tanh and erf of a denormal (which are that denormal, or nearly) are given as they are.

const (
	roundMagic = 12582912    // 1.5 * 2^23: adding it leaves the integer nearest to x in the low bits, ties to even
	minNormal  = 0x1p-126    // the least float32 that is not denormal
	log2e      = 1.44269504  // 1/log(2)
	ln2Hi      = 0.693359375 // log(2) in 9 bits, so that n*ln2Hi is exact
	ln2Lo      = -2.12194440e-4
	expMax     = 88.7228317  // the largest float32 with a finite exp
	expMin     = -87.3365402 // below it exp would be denormal, and is given as 0
)

// exp32 returns e^x, 0 below expMin and +Inf above expMax.
func exp32(x float32) float32 {
	if !(x <= expMax) {
		if x > expMax {
			return float32(math.Inf(1))
		}
		return x // NaN
	}
	if x < expMin {
		return 0
	}
	// x = n*log(2) + r, |r| <= log(2)/2; e^x = 2^n * e^r.
	t := float32(x*log2e) + roundMagic
	n := t - roundMagic
	r := x - float32(n*ln2Hi)
	r -= float32(n * ln2Lo)
	p := float32(0.0013814675621688366)
	p = float32(p*r) + 0.008368716575205326
	p = float32(p*r) + 0.04166838526725769
	p = float32(p*r) + 0.1666652113199234
	p = float32(p*r) + 0.4999999403953552
	p = (float32(float32(p*r)*r) + r) + 1
	// The low bits of t hold n; shifted into the exponent they multiply p by 2^n.
	return math.Float32frombits(math.Float32bits(p) + math.Float32bits(t)<<23)
}

// log32 returns the natural logarithm: NaN below 0, -Inf at 0.
func log32(x float32) float32 {
	if !(x > 0) {
		if x == 0 {
			return float32(math.Inf(-1))
		}
		return float32(math.NaN())
	}
	if x > math.MaxFloat32 {
		return x // +Inf
	}
	e := int32(0)
	if x < minNormal {
		x *= 1 << 23
		e = -23
	}
	// x = 2^e * m, sqrt(1/2) <= m < sqrt(2): 0x3f3504f3 is sqrt(1/2).
	b := int32(math.Float32bits(x)) - 0x3f3504f3
	e += b >> 23
	m := math.Float32frombits(uint32(b&0x7fffff + 0x3f3504f3))
	// log(1+f) = f - (f²/2 - s*(f²/2 + R)), s = f/(2+f), R = z*(2/3 + ...), z = s².
	f := m - 1
	s := f / (2 + f)
	z := float32(s * s)
	r := float32(0.23582616448402405)
	r = float32(r*z) + 0.28537285327911377
	r = float32(r*z) + 0.4000033438205719
	r = float32(r*z) + 0.6666666269302368
	r = float32(r * z)
	h := float32(0.5 * float32(f*f))
	k := float32(e)
	lo := float32(s*(h+r)) + float32(k*ln2Lo)
	return float32(k*ln2Hi) + (f - (h - lo))
}

// tanh32 returns the hyperbolic tangent.
func tanh32(x float32) float32 {
	a := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
	if a < 0.625 {
		z := float32(x * x)
		p := float32(-0.005716999061405659)
		p = float32(p*z) + 0.02065054140985012
		p = float32(p*z) - 0.05374348163604736
		p = float32(p*z) + 0.13331490755081177
		p = float32(p*z) - 0.3333328366279602
		return float32(float32(p*z)*x) + x
	}
	y := 1 - 2/(exp32(a+a)+1)
	return math.Float32frombits(math.Float32bits(y) | math.Float32bits(x)&(1<<31))
}

// sigmoid32 returns 1/(1+e^-x), computed from e^-|x| so that it is accurate, and 0 rather than denormal, far below 0.
func sigmoid32(x float32) float32 {
	e := exp32(math.Float32frombits(math.Float32bits(x) | 1<<31))
	num := float32(1)
	if x < 0 {
		num = e
	}
	return num / (1 + e)
}

// erf32 returns the error function.
func erf32(x float32) float32 {
	a := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
	if a < 0.92 {
		z := float32(x * x)
		p := float32(8.345207606907934e-05)
		p = float32(p*z) - 0.0008137432741932571
		p = float32(p*z) + 0.005200633779168129
		p = float32(p*z) - 0.02685927040874958
		p = float32(p*z) + 0.11283694207668304
		p = float32(p*z) - 0.37612634897232056
		p = float32(p*z) + 0.12837916612625122
		return float32(p*x) + x
	}
	// erf(a) = 1 - e^-Q(a); beyond 4 it is 1.
	if a > 4 {
		a = 4
	}
	q := float32(-0.00019607110880315304)
	q = float32(q*a) + 0.0030447293538600206
	q = float32(q*a) - 0.022233812138438225
	q = float32(q*a) + 0.10394781827926636
	q = float32(q*a) + 0.6371614336967468
	q = float32(q*a) + 1.1276893615722656
	q = float32(q*a) + 0.00019198295194655657
	y := 1 - exp32(-q)
	return math.Float32frombits(math.Float32bits(y) | math.Float32bits(x)&(1<<31))
}

// sqrt32 is rounded correctly: the double rounding of a float64 root is harmless in float32.
func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

func gelu32(x float32) float32 {
	return float32(float32(0.5*x) * (1 + erf32(float32(x*0.70710678118))))
}

func geluTanh32(x float32) float32 {
	c := float32(float32(x*x) * x)
	return float32(float32(0.5*x) * (1 + tanh32(float32(0.7978845608*(x+float32(0.044715*c))))))
}

// activate32 is the meaning of every Activation.
func activate32(x float32, act Activation) float32 {
	switch act {
	case ActNone:
		return x
	case ActReLU:
		if 0 > x {
			return 0
		}
		return x
	case ActGELU:
		return gelu32(x)
	case ActGELUTanh:
		return geluTanh32(x)
	case ActGELUSigmoid:
		return float32(x * sigmoid32(float32(1.702*x)))
	case ActSiLU:
		return float32(x * sigmoid32(x))
	case ActTanh:
		return tanh32(x)
	case ActSigmoid:
		return sigmoid32(x)
	}
	panic("kernels: unknown activation")
}
