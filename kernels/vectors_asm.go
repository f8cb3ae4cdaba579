//go:build amd64 || arm64

package kernels

// Assembly over whole groups of sixteen floats; n is a multiple of 16 above 0, rows and dim are above 0. See vectors.go.

//go:noescape
func vecExp(dst, x *float32, n int)

//go:noescape
func vecTanh(dst, x *float32, n int)

//go:noescape
func vecSigmoid(dst, x *float32, n int)

//go:noescape
func vecGELU(dst, x *float32, n int)

//go:noescape
func vecGELUTanh(dst, x *float32, n int)

// vecMulSigmoid computes dst = x * sigmoid(s*x).
//
//go:noescape
func vecMulSigmoid(dst, x *float32, n int, s float32)

// vecExpSum computes e = exp(x-m), stores it if dst is not nil, and sums it into lanes.
//
//go:noescape
func vecExpSum(lanes *[16]float32, dst, x *float32, n int, m float32)

// vecNormalise computes x *= inv, and 0 where that is below 2^-126.
//
//go:noescape
func vecNormalise(x *float32, n int, inv float32)

// vecEpilogue computes one row: dst = relu(acc*(xs*wScale) + bias) + residual; bias and residual may be nil.
//
//go:noescape
func vecEpilogue(dst *float32, acc *int32, wScale, bias, residual *float32, n int, xs float32, relu int)

//go:noescape
func vecReLU(x *float32, n int)

//go:noescape
func vecAdd(dst, x *float32, n int)

//go:noescape
func vecScale(x *float32, n int, s float32)

//go:noescape
func vecSum(lanes *[16]float32, x *float32, n int)

//go:noescape
func vecDot(lanes *[16]float32, x, y *float32, n int)

// vecSquares sums (x-mean)².
//
//go:noescape
func vecSquares(lanes *[16]float32, x *float32, n int, mean float32)

// vecNorm computes dst = ((x-mean)*inv)*gamma + beta; beta may be nil.
//
//go:noescape
func vecNorm(dst, x, gamma, beta *float32, n int, mean, inv float32)

// vecAbsMax returns the largest of the bits of x without their sign.
//
//go:noescape
func vecAbsMax(x *float32, n int) uint32

// vecQuantize computes q = clamp(roundToEven(x*inv), -127, 127).
//
//go:noescape
func vecQuantize(q *int8, x *float32, n int, inv float32)

// vecMax returns the largest element, NaN left out.
//
//go:noescape
func vecMax(x *float32, n int) float32

// vecFind returns where the first sixteen elements begin of which one is at least m; n if there are none.
//
//go:noescape
func vecFind(x *float32, n int, m float32) int

// vecScores computes dst = (Σ q[d]*kb[d]) * scale for sixteen positions, d in order.
//
//go:noescape
func vecScores(dst, q, kb *float32, dim int, scale float32)

// vecWeighted adds to dst[j] the products p[i] * v[i*stride+j], i in order; stride is in bytes.
//
//go:noescape
func vecWeighted(dst, p, v *float32, n, stride, rows int)
