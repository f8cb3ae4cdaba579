//go:build amd64 || arm64

package kernels

// gemvPairs is GemvS4 by one of the functions above.
func gemvPairs(acc []int32, x, w []int8, f func(acc *int32, x *int8, w *int8, n int, h int)) {
	h, n := pairRows(x, w)
	if n%16 != 0 {
		panic("kernels: GemvS4 needs rows in multiples of 16")
	}
	if acc = cut(acc, n); n > 0 {
		f(&acc[0], &x[0], &w[0], n, h)
	}
}

// rowsPairs is RowsS4 by one of them.
func rowsPairs(acc []int32, x, w []int8, rows []int32, f func(acc *int32, x *int8, w *int8, rows *int32, n int, h int)) {
	acc, h := listedRows(acc, x, w, rows)
	if len(rows) > 0 {
		f(&acc[0], &x[0], &w[0], &rows[0], len(rows), h)
	}
}
