package kernels

import "math"

// generic is the meaning of every operation; each is one short Go function below, the int8 products first.
func generic() Set {
	return Set{
		Name:        "generic",
		GemvS8:      gemvS8Generic,
		GemmS8:      gemmS8Generic,
		EpilogueF32: epilogueF32Generic,
		QuantizeRow: quantizeRowGeneric,
		LayerNorm:   layerNormGeneric,
		RMSNorm:     rmsNormGeneric,
		Softmax:     softmaxGeneric,
		LogSumExp:   logSumExpGeneric,
		Activate:    activateGeneric,
		Exp:         expGeneric,
		Tanh:        tanhGeneric,
		Sigmoid:     sigmoidGeneric,
		Add:         addGeneric,
		Scale:       scaleGeneric,
		Dot:         dotGeneric,
		StoreKeys:   storeKeysGeneric,
		Scores:      scoresGeneric,
		WeightedSum: weightedSumGeneric,
		L1S8:        l1S8Generic,
		MaxS8:       maxS8Generic,
		GemvS4:      gemvS4Generic,
		RowsS4:      rowsS4Generic,
		Survivors:   survivorsGeneric,
		Squares8:    squares8Generic,
		Absolute8:   absolute8Generic,
		ArgMax:      argMaxGeneric,
		TopK:        topKGeneric,
		Limits:      Limits{Read: readGeneric},
	}
}

// cut returns s[:n] and panics if s is shorter, even if its array goes on: the slices of callers lie side by side in one.
func cut[T any](s []T, n int) []T { return s[:n:len(s)] }

// checkGemm panics unless the shapes of GemmS8 fit, and cuts the slices to them, so that assembly may trust the lengths.
func checkGemm(acc []int32, x, w []int8, sums []int32, m, k int) ([]int32, []int8, []int8) {
	n := len(sums)
	if n%16 != 0 || k%16 != 0 || m < 0 || k < 0 {
		panic("kernels: GemmS8 needs N and K in multiples of 16")
	}
	return cut(acc, m*n), cut(x, m*k), cut(w, n*k)
}

func gemvS8Generic(acc []int32, x []int8, w []int8, sums []int32) {
	gemmS8Generic(acc, x, w, sums, 1, len(x))
}

func gemmS8Generic(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	n := len(sums)
	for b := 0; b < n; b += 16 {
		block := w[b*k : (b+16)*k]
		for i := 0; i < m; i++ {
			xi := x[i*k : (i+1)*k]
			a := (*[16]int32)(acc[i*n+b:])
			for g := 0; g < 16; g += 4 {
				a[g], a[g+1], a[g+2], a[g+3] = dot4S8(xi, block, g*4)
			}
		}
	}
}

// dot4S8 sums four weight rows, whose 16 bytes of each block of 64 begin at off. Four sums and four of x fit the
// registers of 32-bit ARM; two bounds checks cover 32 products. len(x) is a multiple of 16.
func dot4S8(x, block []int8, off int) (a0, a1, a2, a3 int32) {
	for j := 0; j < len(x); j += 8 {
		xj, w := (*[8]int8)(x[j:]), (*[80]int8)(block[j*16+off:])
		x0, x1, x2, x3 := int32(xj[0]), int32(xj[1]), int32(xj[2]), int32(xj[3])
		a0 += x0*int32(w[0]) + x1*int32(w[1]) + x2*int32(w[2]) + x3*int32(w[3])
		a1 += x0*int32(w[4]) + x1*int32(w[5]) + x2*int32(w[6]) + x3*int32(w[7])
		a2 += x0*int32(w[8]) + x1*int32(w[9]) + x2*int32(w[10]) + x3*int32(w[11])
		a3 += x0*int32(w[12]) + x1*int32(w[13]) + x2*int32(w[14]) + x3*int32(w[15])
		x0, x1, x2, x3 = int32(xj[4]), int32(xj[5]), int32(xj[6]), int32(xj[7])
		a0 += x0*int32(w[64]) + x1*int32(w[65]) + x2*int32(w[66]) + x3*int32(w[67])
		a1 += x0*int32(w[68]) + x1*int32(w[69]) + x2*int32(w[70]) + x3*int32(w[71])
		a2 += x0*int32(w[72]) + x1*int32(w[73]) + x2*int32(w[74]) + x3*int32(w[75])
		a3 += x0*int32(w[76]) + x1*int32(w[77]) + x2*int32(w[78]) + x3*int32(w[79])
	}
	return
}

func epilogueF32Generic(dst []float32, ld int, acc []int32, xScale, wScale, bias []float32, act Activation, residual []float32) {
	n := len(wScale)
	if n%16 != 0 {
		panic("kernels: EpilogueF32 needs columns in multiples of 16")
	}
	for i, xs := range xScale {
		d, a := dst[i*ld:i*ld+n:len(dst)], acc[i*n:(i+1)*n:len(acc)]
		for j := 0; j < n; j += 16 {
			// Sixteen at a time, finished before any is stored: residual may be dst.
			var v [16]float32
			aj, ws := (*[16]int32)(a[j:]), (*[16]float32)(wScale[j:])
			for l := range v {
				v[l] = float32(float32(aj[l]) * float32(xs*ws[l]))
			}
			if bias != nil {
				addGeneric(v[:], bias[j:j+16])
			}
			if act != ActNone {
				activateGeneric(v[:], act)
			}
			if residual != nil {
				addGeneric(v[:], residual[i*ld+j:i*ld+j+16:len(residual)])
			}
			copy(d[j:], v[:])
		}
	}
}

// tinyMax is 2^-100: a row whose largest element is smaller is taken as zero, since 127/absmax nears the end of float32.
const tinyMax = 0x1p-100

func quantizeRowGeneric(q []int8, x []float32) (scale float32, ok bool) {
	qx := cut(q, len(x))
	// As integers, magnitudes order like floats, with infinities and NaN above all.
	var top uint32
	for _, v := range x {
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
	quantizeGeneric(qx, x, inv)
	clear(q[len(x):])
	return absmax / 127, true
}

func quantizeGeneric(q []int8, x []float32, inv float32) {
	for i, v := range x {
		t := float32(v*inv) + roundMagic
		q[i] = int8(min(max(int32(math.Float32bits(t))-0x4b400000, -127), 127))
	}
}

// fold16 adds the lanes of a sum: i+8, i+4, i+2, i+1.
func fold16(l *[Lanes]float32) float32 {
	for h := Lanes / 2; h > 0; h /= 2 {
		for i := 0; i < h; i++ {
			l[i] += l[i+h]
		}
	}
	return l[0]
}

func sumGeneric(x []float32) float32 {
	var l [Lanes]float32
	for ; len(x) >= Lanes; x = x[Lanes:] {
		v := (*[Lanes]float32)(x)
		for j := range l {
			l[j] += v[j]
		}
	}
	for j, v := range x {
		l[j] += v
	}
	return fold16(&l)
}

func dotGeneric(x, y []float32) float32 {
	y = cut(y, len(x))
	var l [Lanes]float32
	for len(x) >= Lanes && len(y) >= Lanes {
		v, w := (*[Lanes]float32)(x), (*[Lanes]float32)(y)
		for j := range l {
			l[j] += float32(v[j] * w[j])
		}
		x, y = x[Lanes:], y[Lanes:]
	}
	y = y[:len(x)]
	for j, v := range x {
		l[j] += float32(v * y[j])
	}
	return fold16(&l)
}

func layerNormGeneric(dst, x, residual, gamma, beta []float32, eps float32) {
	dst, gamma = cut(dst, len(x)), cut(gamma, len(x))
	if residual != nil {
		addGeneric(x, cut(residual, len(x)))
	}
	n := float32(len(x))
	mean := sumGeneric(x) / n
	var l [Lanes]float32
	for j, v := range x {
		d := v - mean
		l[j%Lanes] += float32(d * d)
	}
	inv := 1 / sqrt32(fold16(&l)/n+eps)
	if beta == nil {
		for j, v := range x {
			dst[j] = float32(float32((v-mean)*inv) * gamma[j])
		}
		return
	}
	beta = cut(beta, len(x))
	for j, v := range x {
		dst[j] = float32(float32((v-mean)*inv)*gamma[j]) + beta[j]
	}
}

func rmsNormGeneric(dst, x, residual, gamma []float32, eps float32) {
	dst, gamma = cut(dst, len(x)), cut(gamma, len(x))
	if residual != nil {
		addGeneric(x, cut(residual, len(x)))
	}
	inv := 1 / sqrt32(dotGeneric(x, x)/float32(len(x))+eps)
	for j, v := range x {
		dst[j] = float32(float32(v*inv) * gamma[j])
	}
}

// maxGeneric returns the largest element, NaN left out; -Inf if there is none.
func maxGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

func softmaxGeneric(x []float32) {
	m := maxGeneric(x)
	for i, v := range x {
		x[i] = exp32(v - m)
	}
	normaliseGeneric(x, 1/sumGeneric(x))
}

func normaliseGeneric(x []float32, inv float32) {
	for i, v := range x {
		v = float32(v * inv)
		if v < minNormal {
			v = 0
		}
		x[i] = v
	}
}

func logSumExpGeneric(x []float32) float32 {
	if len(x) == 0 {
		return float32(math.NaN())
	}
	m := maxGeneric(x)
	var l [Lanes]float32
	for j, v := range x {
		l[j%Lanes] += exp32(v - m)
	}
	return m + log32(fold16(&l))
}

func activateGeneric(x []float32, act Activation) {
	switch act {
	case ActNone:
	case ActReLU:
		for i, v := range x {
			if 0 > v {
				x[i] = 0
			}
		}
	case ActTanh:
		tanhGeneric(x, x)
	case ActSigmoid:
		sigmoidGeneric(x, x)
	default:
		for i, v := range x {
			x[i] = activate32(v, act)
		}
	}
}

func expGeneric(dst, x []float32) {
	dst = cut(dst, len(x))
	for i, v := range x {
		dst[i] = exp32(v)
	}
}

func tanhGeneric(dst, x []float32) {
	dst = cut(dst, len(x))
	for i, v := range x {
		dst[i] = tanh32(v)
	}
}

func sigmoidGeneric(dst, x []float32) {
	dst = cut(dst, len(x))
	for i, v := range x {
		dst[i] = sigmoid32(v)
	}
}

func addGeneric(dst, x []float32) {
	dst = cut(dst, len(x))
	for i, v := range x {
		dst[i] += v
	}
}

func scaleGeneric(dst []float32, s float32) {
	for i, v := range dst {
		dst[i] = float32(v * s)
	}
}

// storeKeysGeneric takes sixteen elements of a position at a time: one line is read and sixteen are written, which stay at hand for the
// next position.
func storeKeysGeneric(kb, k []float32, n, dim, stride int) {
	if n == 0 || dim == 0 {
		return
	}
	kb, k = cut(kb, Pad16(n)*dim), cut(k, (n-1)*stride+dim)
	if n%Lanes != 0 {
		clear(kb[n/Lanes*Lanes*dim:])
	}
	for j := 0; j < dim; j += 16 {
		for p := range n {
			b := kb[p/Lanes*Lanes*dim+j*Lanes+p%Lanes:]
			for i, v := range k[p*stride+j:][:min(dim-j, 16)] {
				b[i*Lanes] = v
			}
		}
	}
}

func scoresGeneric(dst, q, kb []float32, scale float32) {
	size := Lanes * len(q)
	for ; len(dst) > 0; kb = kb[size:] {
		var s [Lanes]float32
		block := cut(kb, size)
		for _, v := range q {
			k := (*[Lanes]float32)(block)
			for j := range s {
				s[j] += float32(v * k[j])
			}
			block = block[Lanes:]
		}
		for j := range s {
			s[j] = float32(s[j] * scale)
		}
		dst = dst[copy(dst, s[:]):]
	}
}

func weightedSumGeneric(dst, p, v []float32, stride int) {
	for i, s := range p {
		vi := v[i*stride : i*stride+len(dst) : len(v)]
		for j, e := range vi {
			dst[j] += float32(s * e)
		}
	}
}

func argMaxGeneric(x []float32) int {
	best, m := -1, float32(0)
	for i, v := range x {
		if v > m || best < 0 && v == v {
			best, m = i, v
		}
	}
	return best
}

func topKGeneric(idx []int32, val []float32, x []float32) int {
	if len(idx) == 0 {
		return 0
	}
	return insertTopK(idx, cut(val, len(idx)), 0, x, 0)
}

// insertTopK goes on with a list of n elements: x begins at index first.
func insertTopK(idx []int32, val []float32, n int, x []float32, first int) int {
	k := len(idx)
	for i, v := range x {
		if n == k && !(v > val[k-1]) || v != v {
			continue // almost always: the list is full and its last is larger
		}
		if n < k {
			n++
		}
		j := n - 1
		for ; j > 0 && v > val[j-1]; j-- {
			val[j], idx[j] = val[j-1], idx[j-1]
		}
		val[j], idx[j] = v, int32(first+i)
	}
	return n
}
