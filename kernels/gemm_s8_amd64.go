package kernels

// tileS8AVX2 computes acc[i][n] = Σ x[i][j] * w[n][j] for up to four rows of x and one block of sixteen n. Strides are in bytes.
//
//go:noescape
func tileS8AVX2(acc *int32, accStride int, x *int8, xStride int, w *int8, k int, rows int)

// gemvS8AVX2 computes acc[n] = Σ x[j] * w[n][j] for all n.
//
//go:noescape
func gemvS8AVX2(acc *int32, x *int8, w *int8, n int, k int)

// gemvS8VNNI is like gemvS8AVX2; sums are those of the weight rows.
//
//go:noescape
func gemvS8VNNI(acc *int32, x *int8, w *int8, sums *int32, n int, k int)

func gemvAVX2(acc []int32, x []int8, w []int8, sums []int32) {
	acc, x, w = checkGemm(acc, x, w, sums, 1, len(x))
	if len(w) == 0 {
		clear(acc)
		return
	}
	gemvS8AVX2(&acc[0], &x[0], &w[0], len(sums), len(x))
}

func gemmAVX2(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	n := len(sums)
	if len(w) == 0 || m == 0 {
		clear(acc)
		return
	}
	groups := (m + 3) / 4 // of one row more or less
	for b := 0; b < n; b += 16 {
		for g := range groups {
			i, to := m*g/groups, m*(g+1)/groups
			tileS8AVX2(&acc[i*n+b], n*4, &x[i*k], k, &w[b*k], k, to-i)
		}
	}
}

func gemvVNNI(acc []int32, x []int8, w []int8, sums []int32) {
	acc, x, w = checkGemm(acc, x, w, sums, 1, len(x))
	if len(w) == 0 {
		clear(acc)
		return
	}
	gemvS8VNNI(&acc[0], &x[0], &w[0], &sums[0], len(sums), len(x))
}
