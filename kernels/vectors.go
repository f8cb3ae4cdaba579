//go:build amd64 || arm64

package kernels

import "math"

// The float operations of the vector sets. Assembly does whole groups of sixteen elements (its functions are declared in
// vectors_asm.go, and mean the same on both architectures); here the rest goes through the scalar functions of generic,
// which are the same bits, and sums are folded.

// improveFloats replaces the float operations of s.
func improveFloats(s *Set) {
	s.EpilogueF32, s.QuantizeRow, s.Activate = epilogueVector, quantizeRowVector, activateVector
	s.LayerNorm, s.RMSNorm, s.Softmax, s.LogSumExp = layerNormVector, rmsNormVector, softmaxVector, logSumExpVector
	s.Exp, s.Tanh, s.Sigmoid, s.Add, s.Scale = expVector, tanhVector, sigmoidVector, addVector, scaleVector
	s.Dot, s.Scores, s.WeightedSum, s.ArgMax, s.TopK = dotVector, scoresVector, weightedSumVector, argMaxVector, topKVector
}

// whole returns how much of n the assembly does.
func whole(n int) int { return n &^ 15 }

func expVector(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		vecExp(&dst[0], &x[0], n)
	}
	expGeneric(dst[n:], x[n:])
}

func tanhVector(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		vecTanh(&dst[0], &x[0], n)
	}
	tanhGeneric(dst[n:], x[n:])
}

func sigmoidVector(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		vecSigmoid(&dst[0], &x[0], n)
	}
	sigmoidGeneric(dst[n:], x[n:])
}

func addVector(dst, x []float32) {
	dst = cut(dst, len(x))
	n := whole(len(x))
	if n > 0 {
		vecAdd(&dst[0], &x[0], n)
	}
	addGeneric(dst[n:], x[n:])
}

func scaleVector(dst []float32, s float32) {
	n := whole(len(dst))
	if n > 0 {
		vecScale(&dst[0], n, s)
	}
	scaleGeneric(dst[n:], s)
}

func activateVector(x []float32, act Activation) {
	n := whole(len(x))
	if n > 0 {
		p := &x[0]
		switch act {
		case ActNone:
		case ActReLU:
			vecReLU(p, n)
		case ActGELU:
			vecGELU(p, p, n)
		case ActGELUTanh:
			vecGELUTanh(p, p, n)
		case ActGELUSigmoid:
			vecMulSigmoid(p, p, n, 1.702)
		case ActSiLU:
			vecMulSigmoid(p, p, n, 1)
		case ActTanh:
			vecTanh(p, p, n)
		case ActSigmoid:
			vecSigmoid(p, p, n)
		default:
			panic("kernels: unknown activation")
		}
	}
	activateGeneric(x[n:], act)
}

func epilogueVector(dst []float32, ld int, acc []int32, xScale, wScale, bias []float32, act Activation, residual []float32) {
	n := len(wScale)
	if n%16 != 0 {
		panic("kernels: EpilogueF32 needs columns in multiples of 16")
	}
	if n == 0 {
		return
	}
	if bias != nil {
		bias = cut(bias, n)
	}
	for i, xs := range xScale {
		d, a := dst[i*ld:i*ld+n:len(dst)], acc[i*n:(i+1)*n:len(acc)]
		var res []float32
		if residual != nil {
			res = residual[i*ld : i*ld+n : len(residual)]
		}
		switch act {
		case ActNone:
			vecEpilogue(&d[0], &a[0], &wScale[0], at(bias, 0), at(res, 0), n, xs, 0)
		case ActReLU:
			vecEpilogue(&d[0], &a[0], &wScale[0], at(bias, 0), at(res, 0), n, xs, 1)
		default:
			// A piece at a time beside dst, which may be the residual.
			var piece [64]float32
			for j := 0; j < n; j += len(piece) {
				v := piece[:min(len(piece), n-j)]
				vecEpilogue(&v[0], &a[j], &wScale[j], at(bias, j), nil, len(v), xs, 0)
				activateVector(v, act)
				if res != nil {
					vecAdd(&v[0], &res[j], len(v))
				}
				copy(d[j:], v)
			}
		}
	}
}

// at returns &x[i], or nil for a nil x.
func at(x []float32, i int) *float32 {
	if x == nil {
		return nil
	}
	return &x[i]
}

func quantizeRowVector(q []int8, x []float32) (scale float32, ok bool) {
	qx := cut(q, len(x))
	n := whole(len(x))
	var top uint32
	if n > 0 {
		top = vecAbsMax(&x[0], n)
	}
	for _, v := range x[n:] {
		top = max(top, math.Float32bits(v)&^(1<<31))
	}
	if top >= 0x7f800000 {
		clear(q)
		return 0, false
	}
	absmax := math.Float32frombits(top)
	if absmax < tinyMax {
		clear(q)
		return 0, true
	}
	inv := 127 / absmax
	if n > 0 {
		vecQuantize(&qx[0], &x[0], n, inv)
	}
	quantizeGeneric(qx[n:], x[n:], inv)
	clear(q[len(x):])
	return absmax / 127, true
}

// sumVector sums whole groups in assembly and adds the rest to its lanes.
func sumVector(x []float32) float32 {
	var l [Lanes]float32
	n := whole(len(x))
	if n > 0 {
		vecSum(&l, &x[0], n)
	}
	for j, v := range x[n:] {
		l[j] += v
	}
	return fold16(&l)
}

func dotVector(x, y []float32) float32 {
	y = cut(y, len(x))
	var l [Lanes]float32
	n := whole(len(x))
	if n > 0 {
		vecDot(&l, &x[0], &y[0], n)
	}
	y = y[n:]
	for j, v := range x[n:] {
		l[j] += float32(v * y[j])
	}
	return fold16(&l)
}

// normVector computes dst = ((x-mean)*inv)*gamma + beta. For RMSNorm mean is 0, which changes nothing.
func normVector(dst, x, gamma, beta []float32, mean, inv float32) {
	n := whole(len(x))
	if n > 0 {
		vecNorm(&dst[0], &x[0], &gamma[0], at(beta, 0), n, mean, inv)
	}
	for j := n; j < len(x); j++ {
		dst[j] = float32(float32((x[j]-mean)*inv) * gamma[j])
		if beta != nil {
			dst[j] += beta[j]
		}
	}
}

func layerNormVector(dst, x, residual, gamma, beta []float32, eps float32) {
	dst, gamma = cut(dst, len(x)), cut(gamma, len(x))
	if beta != nil {
		beta = cut(beta, len(x))
	}
	if residual != nil {
		addVector(x, cut(residual, len(x)))
	}
	size := float32(len(x))
	mean := sumVector(x) / size
	var l [Lanes]float32
	n := whole(len(x))
	if n > 0 {
		vecSquares(&l, &x[0], n, mean)
	}
	for j, v := range x[n:] {
		d := v - mean
		l[j] += float32(d * d)
	}
	normVector(dst, x, gamma, beta, mean, 1/sqrt32(fold16(&l)/size+eps))
}

func rmsNormVector(dst, x, residual, gamma []float32, eps float32) {
	dst, gamma = cut(dst, len(x)), cut(gamma, len(x))
	if residual != nil {
		addVector(x, cut(residual, len(x)))
	}
	normVector(dst, x, gamma, nil, 0, 1/sqrt32(dotVector(x, x)/float32(len(x))+eps))
}

func maxVector(x []float32) float32 {
	n := whole(len(x))
	m := maxGeneric(x[n:])
	if n > 0 {
		if v := vecMax(&x[0], n); v > m {
			m = v
		}
	}
	return m
}

var minusInf = float32(math.Inf(-1))

// expSumVector returns Σexp(x-m), and stores the terms in x if store.
func expSumVector(x []float32, m float32, store bool) float32 {
	var l [Lanes]float32
	n := whole(len(x))
	if n > 0 {
		dst := &x[0]
		if !store {
			dst = nil
		}
		vecExpSum(&l, dst, &x[0], n, m)
	}
	if rest := x[n:]; len(rest) > 0 {
		// A whole group, filled up with what gives 0.
		var tail, add [Lanes]float32
		for j := copy(tail[:], rest); j < Lanes; j++ {
			tail[j] = minusInf
		}
		vecExpSum(&add, &tail[0], &tail[0], Lanes, m)
		for j := range rest {
			l[j] += add[j]
		}
		if store {
			copy(rest, tail[:])
		}
	}
	return fold16(&l)
}

func softmaxVector(x []float32) {
	inv := 1 / expSumVector(x, maxVector(x), true)
	n := whole(len(x))
	if n > 0 {
		vecNormalise(&x[0], n, inv)
	}
	normaliseGeneric(x[n:], inv)
}

func logSumExpVector(x []float32) float32 {
	if len(x) == 0 {
		return float32(math.NaN())
	}
	m := maxVector(x)
	return m + log32(expSumVector(x, m, false))
}

func scoresVector(dst, q, kb []float32, scale float32) {
	size := Lanes * len(q)
	if size == 0 {
		scoresGeneric(dst, q, kb, scale)
		return
	}
	for ; len(dst) > 0; kb = kb[size:] {
		block := cut(kb, size)
		if len(dst) >= Lanes {
			vecScores(&dst[0], &q[0], &block[0], len(q), scale)
			dst = dst[Lanes:]
			continue
		}
		var s [Lanes]float32
		vecScores(&s[0], &q[0], &block[0], len(q), scale)
		copy(dst, s[:])
		return
	}
}

func weightedSumVector(dst, p, v []float32, stride int) {
	if len(p) == 0 {
		return
	}
	v = cut(v, (len(p)-1)*stride+len(dst))
	n := whole(len(dst))
	if n > 0 && stride >= 0 {
		vecWeighted(&dst[0], &p[0], &v[0], n, stride*4, len(p))
	}
	if n < len(dst) {
		weightedSumGeneric(dst[n:], p, v[n:], stride)
	}
}

func argMaxVector(x []float32) int {
	n := whole(len(x))
	if n == 0 {
		return argMaxGeneric(x)
	}
	m := maxVector(x)
	// m is -Inf if there is nothing but NaN: then nothing equals it.
	i := vecFind(&x[0], n, m)
	for ; i < len(x); i++ {
		if x[i] == m {
			return i
		}
	}
	return -1
}

func topKVector(idx []int32, val []float32, x []float32) int {
	k := len(idx)
	val = cut(val, k)
	if k == 0 {
		return 0
	}
	n, i := 0, 0
	for i < len(x) {
		if n == k && len(x)-i >= Lanes {
			// The list is full: skip to where something reaches its last.
			if i += vecFind(&x[i], whole(len(x)-i), val[k-1]); i == len(x) {
				break
			}
		}
		end := min(i+Lanes, len(x))
		n = insertTopK(idx, val, n, x[i:end], i)
		i = end
	}
	return n
}
