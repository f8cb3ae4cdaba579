package kernels

// gemvS4AVX2 computes acc[n] = Σ x[j]*upper + x[h+j]*lower over the h bytes j of row n, for all n. See generic_pairs.go.
//
//go:noescape
func gemvS4AVX2(acc *int32, x *int8, w *int8, n int, h int)

// rowsS4AVX2 computes the same for the rows of a list, which lie one after another in w.
//
//go:noescape
func rowsS4AVX2(acc *int32, x *int8, w *int8, rows *int32, n int, h int)

//go:noescape
func gemvS4VNNI(acc *int32, x *int8, w *int8, n int, h int)

//go:noescape
func rowsS4VNNI(acc *int32, x *int8, w *int8, rows *int32, n int, h int)

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

func gemvPairsAVX2(acc []int32, x, w []int8)               { gemvPairs(acc, x, w, gemvS4AVX2) }
func gemvPairsVNNI(acc []int32, x, w []int8)               { gemvPairs(acc, x, w, gemvS4VNNI) }
func rowsPairsAVX2(acc []int32, x, w []int8, rows []int32) { rowsPairs(acc, x, w, rows, rowsS4AVX2) }
func rowsPairsVNNI(acc []int32, x, w []int8, rows []int32) { rowsPairs(acc, x, w, rows, rowsS4VNNI) }
