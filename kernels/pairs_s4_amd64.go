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

func gemvPairsAVX2(acc []int32, x, w []int8)               { gemvPairs(acc, x, w, gemvS4AVX2) }
func gemvPairsVNNI(acc []int32, x, w []int8)               { gemvPairs(acc, x, w, gemvS4VNNI) }
func rowsPairsAVX2(acc []int32, x, w []int8, rows []int32) { rowsPairs(acc, x, w, rows, rowsS4AVX2) }
func rowsPairsVNNI(acc []int32, x, w []int8, rows []int32) { rowsPairs(acc, x, w, rows, rowsS4VNNI) }
