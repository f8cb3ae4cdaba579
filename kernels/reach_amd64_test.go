package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestReachTest holds the test before the test to what it promises: nothing that reaches a bound fails it, down to the last bit.
func TestReachTest(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 4))
	for range 20000 {
		k := 16 * (1 + r.IntN(8000))
		magnitude := func() float32 { return float32(math.Exp(r.NormFloat64() * 12)) }
		scale, residual, norm, length := magnitude(), magnitude(), magnitude(), magnitude()
		acc := int32(r.IntN(2*127*127*k+1) - 127*127*k)
		b := Bound{Acc: magnitude(), Res: magnitude(), Res2: magnitude(), Norm: -magnitude(), Norm2: -magnitude(), Len: -magnitude()}
		b.Min = b.Value(acc, scale, residual, norm, length)
		top := [4]float32{scale, residual, norm, length}
		for _, square := range []bool{false, true} {
			test, extent := b.test(&top, k, square), length
			if square {
				extent = norm * norm
			}
			if v := float32(float32(acc)*scale) + float32(extent*test.factor); v < test.least {
				t.Fatalf("%+v, square %v: %v of %d, %v is below %v", b, square, v, acc, top, test.least)
			}
		}
	}
}

func init() { crossing = true } // whatever pays here: small or not, both ways are tested
