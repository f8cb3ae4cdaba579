package kernels

// tileS8NEON computes acc[i][n] = Σ x[i][j] * w[n][j] for two rows of x and one block of sixteen n. Strides are in bytes.
//
//go:noescape
func tileS8NEON(acc *int32, accStride int, x *int8, xStride int, w *int8, k int)

// gemvS8NEON computes acc[n] = Σ x[j] * w[n][j] for all n.
//
//go:noescape
func gemvS8NEON(acc *int32, x *int8, w *int8, n int, k int)

// tileS8DOT is like tileS8NEON for up to four rows.
//
//go:noescape
func tileS8DOT(acc *int32, accStride int, x *int8, xStride int, w *int8, k int, rows int)

// gemvS8DOT is like gemvS8NEON.
//
//go:noescape
func gemvS8DOT(acc *int32, x *int8, w *int8, n int, k int)

// gemvS8DOTA55 is like gemvS8NEON.
//
//go:noescape
func gemvS8DOTA55(acc *int32, x *int8, w *int8, n int, k int)

func gemvNEON(acc []int32, x []int8, w []int8, sums []int32) {
	acc, x, w = checkGemm(acc, x, w, sums, 1, len(x))
	if len(w) == 0 {
		clear(acc)
		return
	}
	gemvS8NEON(&acc[0], &x[0], &w[0], len(sums), len(x))
}

func gemmNEON(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	n := len(sums)
	if len(w) == 0 || m == 0 {
		clear(acc)
		return
	}
	for b := 0; b < n; b += 16 {
		i := 0
		for ; i+2 <= m; i += 2 {
			tileS8NEON(&acc[i*n+b], n*4, &x[i*k], k, &w[b*k], k)
		}
		if i < m {
			gemvS8NEON(&acc[i*n+b], &x[i*k], &w[b*k], 16, k)
		}
	}
}

func gemvDOT(acc []int32, x []int8, w []int8, sums []int32) {
	acc, x, w = checkGemm(acc, x, w, sums, 1, len(x))
	if len(w) == 0 {
		clear(acc)
		return
	}
	gemvS8DOT(&acc[0], &x[0], &w[0], len(sums), len(x))
}

func gemvDOTA55(acc []int32, x []int8, w []int8, sums []int32) {
	acc, x, w = checkGemm(acc, x, w, sums, 1, len(x))
	if len(w) == 0 {
		clear(acc)
		return
	}
	gemvS8DOTA55(&acc[0], &x[0], &w[0], len(sums), len(x))
}

func gemmDOT(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	if len(w) == 0 || m == 0 {
		clear(acc)
		return
	}
	rowsDOT(acc, x, w, len(sums), m, k)
}

// rowsDOT is gemmDOT of at least one row and one block: four rows at a time, a last single one by itself.
func rowsDOT(acc []int32, x []int8, w []int8, n, m, k int) {
	for b := 0; b < n; b += 16 {
		i := 0
		for ; i+1 < m; i += 4 {
			tileS8DOT(&acc[i*n+b], n*4, &x[i*k], k, &w[b*k], k, min(m-i, 4))
		}
		if i < m {
			gemvS8DOT(&acc[i*n+b], &x[i*k], &w[b*k], 16, k)
		}
	}
}
