package kernels

// l1RowNEON computes acc[n] = Σ |x[j] - w[n][j]| for all n, and maxRowNEON the largest of them.
//
//go:noescape
func l1RowNEON(acc *int32, x *int8, w *int8, n int, k int)

//go:noescape
func l1RowDOT(acc *int32, x *int8, w *int8, n int, k int)

//go:noescape
func maxRowNEON(acc *int32, x *int8, w *int8, n int, k int)

//go:noescape
func survivorsNEON(idx, acc *int32, scale, residual, norm, length *float32, n int, b *Bound, m int) int

func l1NEON(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for i := 0; i < m && n > 0; i++ {
		l1RowNEON(&acc[i*n], &x[i*k], &w[0], n, k)
	}
}

func l1DOT(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for i := 0; i < m && n > 0; i++ {
		l1RowDOT(&acc[i*n], &x[i*k], &w[0], n, k)
	}
}

func maxNEON(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for i := 0; i < m && n > 0; i++ {
		maxRowNEON(&acc[i*n], &x[i*k], &w[0], n, k)
	}
}

func survivorsVector(idx, acc []int32, scale, residual, norm, length []float32, b []Bound) int {
	idx, acc, scale, residual, norm, length, n := survivorRows(idx, acc, scale, residual, norm, length, len(b))
	if n == 0 {
		return 0
	}
	return survivorsNEON(&idx[0], &acc[0], &scale[0], &residual[0], &norm[0], &length[0], n, &b[0], len(b))
}
