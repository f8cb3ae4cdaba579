package kernels

// gemvS4NEON computes acc[n] = Σ x[j]*upper + x[h+j]*lower over the h bytes j of row n, for all n. See generic_pairs.go.
//
//go:noescape
func gemvS4NEON(acc *int32, x *int8, w *int8, n int, h int)

// rowsS4NEON computes the same for the rows of a list, which lie one after another in w.
//
//go:noescape
func rowsS4NEON(acc *int32, x *int8, w *int8, rows *int32, n int, h int)

//go:noescape
func gemvS4DOT(acc *int32, x *int8, w *int8, n int, h int)

//go:noescape
func rowsS4DOT(acc *int32, x *int8, w *int8, rows *int32, n int, h int)

func gemvPairsNEON(acc []int32, x, w []int8)               { gemvPairs(acc, x, w, gemvS4NEON) }
func gemvPairsDOT(acc []int32, x, w []int8)                { gemvPairs(acc, x, w, gemvS4DOT) }
func rowsPairsNEON(acc []int32, x, w []int8, rows []int32) { rowsPairs(acc, x, w, rows, rowsS4NEON) }
func rowsPairsDOT(acc []int32, x, w []int8, rows []int32)  { rowsPairs(acc, x, w, rows, rowsS4DOT) }
