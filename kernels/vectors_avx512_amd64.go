package kernels

import "math"

// The float operations of avx512vnni: sixteen elements in one register, where those of vectors.go have two.

//go:noescape
func expAVX512(dst, x *float32, n int)

//go:noescape
func tanhAVX512(dst, x *float32, n int)

//go:noescape
func sigmoidAVX512(dst, x *float32, n int)

//go:noescape
func geluAVX512(dst, x *float32, n int)

//go:noescape
func geluTanhAVX512(dst, x *float32, n int)

// mulSigmoidAVX512 computes dst = x * sigmoid(s*x).
//
//go:noescape
func mulSigmoidAVX512(dst, x *float32, n int, s float32)

// softmaxAVX512 is Softmax; n is above 0, as in the next two.
//
//go:noescape
func softmaxAVX512(x *float32, n int)

// argMaxAVX512 is ArgMaxAbove, but n if there is none, and ArgMax with a floor of NaN.
//
//go:noescape
func argMaxAVX512(x *float32, n int, floor float32) int

// scoresAVX512 is Scores for n positions; dim is above 0.
//
//go:noescape
func scoresAVX512(dst, q, kb *float32, dim, n int, scale float32)

// storeKeysAVX512 is StoreKeys for n up to 16 and dim a multiple of 16, neither 0; stride is in bytes.
//
//go:noescape
func storeKeysAVX512(kb, k *float32, n, dim, stride int)

// layerNormAVX512 is LayerNorm without a residual.
//
//go:noescape
func layerNormAVX512(dst, x, gamma, beta *float32, n int, eps float32)

// quantizeAVX512 returns the largest of the bits of x without their sign, and rounds x unless these are below those of tinyMax, or an
// infinity's or a NaN's.
//
//go:noescape
func quantizeAVX512(q *int8, x *float32, n int) uint32

//go:noescape
func weightedAVX512(dst, p, v *float32, n, stride, rows int)

// tileEpilogueAVX512 computes all rows of EpilogueF32, for no activation or ReLU; bias and residual may be nil.
//
//go:noescape
func tileEpilogueAVX512(dst *float32, ld int, acc *int32, xScale, wScale, bias, residual *float32, m, n int, relu int)

// improveFloatsAVX512 replaces those float operations of s that gain from registers of sixteen floats. Sums over a vector alone do
// not: their sixteen lanes are one chain of additions either way.
func improveFloatsAVX512(s *Set) {
	s.EpilogueF32, s.QuantizeRow, s.Activate = epilogueAVX512, quantizeRowAVX512, activateAVX512
	s.LayerNorm = wideLayerNorm
	s.Exp, s.Tanh, s.Sigmoid = wideExp, wideTanh, wideSigmoid
	s.Softmax, s.ArgMax, s.argMaxAbove = wideSoftmax, wideArgMax, wideArgMaxAbove
	s.StoreKeys, s.Scores, s.WeightedSum = wideStoreKeys, wideScores, wideWeightedSum
}

func wideExp(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		expAVX512(&dst[0], &x[0], n)
	}
	expGeneric(dst[n:], x[n:])
}

func wideTanh(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		tanhAVX512(&dst[0], &x[0], n)
	}
	tanhGeneric(dst[n:], x[n:])
}

func wideSigmoid(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		sigmoidAVX512(&dst[0], &x[0], n)
	}
	sigmoidGeneric(dst[n:], x[n:])
}

func activateAVX512(x []float32, act Activation) {
	n := whole(len(x))
	if n > 0 {
		p := &x[0]
		switch act {
		case ActGELU:
			geluAVX512(p, p, n)
		case ActGELUTanh:
			geluTanhAVX512(p, p, n)
		case ActGELUSigmoid:
			mulSigmoidAVX512(p, p, n, 1.702)
		case ActSiLU:
			mulSigmoidAVX512(p, p, n, 1)
		case ActTanh:
			tanhAVX512(p, p, n)
		case ActSigmoid:
			sigmoidAVX512(p, p, n)
		default:
			activateVector(x, act)
			return
		}
	}
	activateGeneric(x[n:], act)
}

func wideLayerNorm(dst, x, residual, gamma, beta []float32, eps float32) {
	n := len(x)
	if n%Lanes != 0 || n == 0 {
		layerNormVector(dst, x, residual, gamma, beta, eps)
		return
	}
	dst, gamma = cut(dst, n), cut(gamma, n)
	if beta != nil {
		beta = cut(beta, n)
	}
	if residual != nil {
		addVector(x, cut(residual, n))
	}
	layerNormAVX512(&dst[0], &x[0], &gamma[0], at(beta, 0), n, eps)
}

func wideSoftmax(x []float32) {
	if len(x) > 0 {
		softmaxAVX512(&x[0], len(x))
	}
}

func wideArgMax(x []float32) int { return wideArgMaxAbove(x, float32(math.NaN())) }

func wideArgMaxAbove(x []float32, floor float32) int {
	if len(x) == 0 {
		return -1
	}
	if i := argMaxAVX512(&x[0], len(x), floor); i < len(x) {
		return i
	}
	return -1
}

func wideScores(dst, q, kb []float32, scale float32) {
	if len(q) == 0 || len(dst) == 0 {
		scoresGeneric(dst, q, kb, scale)
		return
	}
	kb = cut(kb, Pad16(len(dst))*len(q))
	scoresAVX512(&dst[0], &q[0], &kb[0], len(q), len(dst), scale)
}

func wideStoreKeys(kb, k []float32, n, dim, stride int) {
	whole := whole(dim)
	if n == 0 || whole == 0 || stride < 0 {
		storeKeysGeneric(kb, k, n, dim, stride)
		return
	}
	kb, k = cut(kb, Pad16(n)*dim), cut(k, (n-1)*stride+dim)
	for p := 0; p < n; p += Lanes {
		rows, block, keys := min(n-p, Lanes), kb[p*dim:], k[p*stride:]
		storeKeysAVX512(&block[0], &keys[0], rows, whole, stride*4)
		if whole < dim {
			storeKeysGeneric(block[whole*Lanes:], keys[whole:], rows, dim-whole, stride)
		}
	}
}

func wideWeightedSum(dst, p, v []float32, stride int) {
	if len(p) == 0 {
		return
	}
	v = cut(v, (len(p)-1)*stride+len(dst))
	n := whole(len(dst))
	if n > 0 && stride >= 0 {
		weightedAVX512(&dst[0], &p[0], &v[0], n, stride*4, len(p))
	}
	if n < len(dst) {
		weightedSumGeneric(dst[n:], p, v[n:], stride)
	}
}

func quantizeRowAVX512(q []int8, x []float32) (scale float32, ok bool) {
	n := whole(len(x))
	if n != len(x) || n == 0 {
		return quantizeRowVector(q, x) // rows of models are whole
	}
	qx := cut(q, n)
	top := quantizeAVX512(&qx[0], &x[0], n)
	absmax := math.Float32frombits(top)
	if top >= 0x7f800000 || absmax < tinyMax {
		clear(q)
		return 0, top < 0x7f800000
	}
	clear(q[n:])
	return absmax / 127, true
}

func epilogueAVX512(dst []float32, ld int, acc []int32, xScale, wScale, bias []float32, act Activation, residual []float32) {
	m, n := len(xScale), len(wScale)
	if n%16 != 0 {
		panic("kernels: EpilogueF32 needs columns in multiples of 16")
	}
	if m == 0 || n == 0 {
		return
	}
	inPlace := act == ActNone || act == ActReLU
	if !inPlace && residual != nil {
		epilogueVector(dst, ld, acc, xScale, wScale, bias, act, residual) // dst may be the residual, which comes last
		return
	}
	acc = cut(acc, m*n)
	dst = cut(dst, (m-1)*ld+n)
	if bias != nil {
		bias = cut(bias, n)
	}
	if residual != nil {
		residual = cut(residual, (m-1)*ld+n)
	}
	relu := 0
	if act == ActReLU {
		relu = 1
	}
	tileEpilogueAVX512(&dst[0], ld, &acc[0], &xScale[0], &wScale[0], at(bias, 0), at(residual, 0), m, n, relu)
	if !inPlace {
		for i := range m {
			activateAVX512(dst[i*ld:i*ld+n], act)
		}
	}
}
