package kernels

// l1RowAVX2 computes acc[n] = Σ |x[j] - w[n][j]| for all n, and maxRowAVX2 the largest of them.
//
//go:noescape
func l1RowAVX2(acc *int32, x *int8, w *int8, n int, k int)

//go:noescape
func maxRowAVX2(acc *int32, x *int8, w *int8, n int, k int)

// l1TileVNNI is l1RowAVX2 for up to four rows of x, n and k in multiples of 16. Strides are in bytes.
//
//go:noescape
func l1TileVNNI(acc *int32, accStride int, x *int8, xStride int, w *int8, n int, k int, rows int)

//go:noescape
func l1RowVNNI(acc *int32, x *int8, w *int8, n int, k int)

//go:noescape
func maxRowVNNI(acc *int32, x *int8, w *int8, n int, k int)

//go:noescape
func survivorsF32AVX2(idx, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int) int

//go:noescape
func survivorsF32AVX512(idx, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int) int

func l1AVX2(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for i := 0; i < m && n > 0; i++ {
		l1RowAVX2(&acc[i*n], &x[i*k], &w[0], n, k)
	}
}

func maxAVX2(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for i := 0; i < m && n > 0; i++ {
		maxRowAVX2(&acc[i*n], &x[i*k], &w[0], n, k)
	}
}

func l1VNNI(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	if n == 0 || m == 0 {
		return
	}
	if m == 1 {
		l1RowVNNI(&acc[0], &x[0], &w[0], n, k)
		return
	}
	for i := 0; i < m; i += 4 {
		l1TileVNNI(&acc[i*n], n*4, &x[i*k], k, &w[0], n, k, min(m-i, 4))
	}
}

func maxVNNI(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for i := 0; i < m && n > 0; i++ {
		maxRowVNNI(&acc[i*n], &x[i*k], &w[0], n, k)
	}
}

func survivorsAVX2(idx, acc []int32, scale, residual, norm, length []float32, b []Bound) int {
	idx, acc, scale, residual, norm, length, n := survivorRows(idx, acc, scale, residual, norm, length, len(b))
	if n == 0 {
		return 0
	}
	return survivorsF32AVX2(&idx[0], &acc[0], &scale[0], &residual[0], &norm[0], &length[0], n, &b[0], len(b))
}

func survivorsAVX512(idx, acc []int32, scale, residual, norm, length []float32, b []Bound) int {
	idx, acc, scale, residual, norm, length, n := survivorRows(idx, acc, scale, residual, norm, length, len(b))
	if n == 0 {
		return 0
	}
	return survivorsF32AVX512(&idx[0], &acc[0], &scale[0], &residual[0], &norm[0], &length[0], n, &b[0], len(b))
}
