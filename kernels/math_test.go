package kernels

import (
	"math"
	"testing"
)

// ulp returns how far got is from want, in units in the last place of want as a float32.
func ulp(got float32, want float64) float64 {
	if math.IsNaN(want) {
		if got != got {
			return 0
		}
		return math.Inf(1)
	}
	w := float32(want)
	if got == w {
		// Equal after rounding, or both infinite.
		if math.IsInf(want, 0) || math.IsInf(float64(w), 0) {
			return 0
		}
	}
	_, e := math.Frexp(want)
	unit := math.Ldexp(1, max(e, -125)-24)
	return math.Abs(float64(got)-want) / unit
}

// TestMathErrors holds the bounds of math.go against float64, over every exponent and sign, and finely where each function bends.
func TestMathErrors(t *testing.T) {
	flushed := func(f func(float64) float64) func(float64) float64 {
		return func(x float64) float64 {
			if y := f(x); math.Abs(y) >= minNormal || math.IsNaN(y) {
				return y
			}
			return 0
		}
	}
	for _, c := range []struct {
		name  string
		got   func(float32) float32
		want  func(float64) float64
		bound float64
		edges []float32
	}{
		{"exp", exp32, flushed(math.Exp), 1.0, []float32{expMin, expMax, 0.34657359, 0}},
		{"log", log32, math.Log, 0.8, []float32{1, 0.70710678, 1.41421356, minNormal, 0}},
		{"tanh", tanh32, math.Tanh, 1.3, []float32{0.625, 9.01, 0}},
		{"sigmoid", sigmoid32, flushed(func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }), 2.2, []float32{expMin, 17, 0}},
		{"erf", erf32, math.Erf, 1.6, []float32{0.92, 4, 3.83, 0}},
	} {
		worst, at := 0.0, float32(0)
		check := func(x float32) {
			if u := ulp(c.got(x), c.want(float64(x))); !(u <= worst) {
				worst, at = u, x
			}
			if y := c.got(x); y != 0 && math.Abs(float64(y)) < minNormal && math.Abs(float64(x)) >= minNormal {
				t.Fatalf("%s(%g) = %g, a denormal", c.name, x, y)
			}
		}
		step := uint32(4093) // prime, so that the mantissas differ from exponent to exponent
		if testing.Short() {
			step = 300007
		}
		for b := uint64(0); b < 1<<32; b += uint64(step) {
			check(math.Float32frombits(uint32(b)))
		}
		for _, e := range c.edges {
			b := math.Float32bits(e)
			for d := -2000; d <= 2000; d++ {
				check(math.Float32frombits(b + uint32(d)))
				check(-math.Float32frombits(b + uint32(d)))
			}
		}
		for x := float32(-18); x < 18; x += float32(step) * 3e-8 {
			check(x)
		}
		for _, x := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), 0, math.Copysign(0, -1), math.MaxFloat32, -math.MaxFloat32} {
			check(float32(x))
		}
		t.Logf("%-8s %.3f ulp at %g", c.name, worst, at)
		if !(worst <= c.bound) {
			t.Errorf("%s is %.3f ulp off at %g (%g, want %g), more than the documented %g", c.name, worst, at, c.got(at), c.want(float64(at)), c.bound)
		}
	}
}
