package kernels

// rowsS8I8MM computes acc[i][n] = Σ x[i][j] * w[n][j] for 5 to 32 rows of x, not 1 to 4 more than a multiple of 8, and n in
// whole blocks of sixteen; with add, it adds that to acc. k is at most 2048 for up to 8 rows, 512 for more. Strides are in
// bytes, wStride from block to block.
//
//go:noescape
func rowsS8I8MM(acc *int32, accStride int, x *int8, xStride int, w *int8, wStride int, n int, k int, rows int, add bool)

// i8mmCols bounds the columns of one call into assembly: the garbage collector waits for it.
const i8mmCols = 128

func gemmI8MM(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	n := len(sums)
	if len(w) == 0 || m == 0 {
		clear(acc)
		return
	}
	// SMMLA does rows in pairs, four pairs to a tile; for a rest of up to four SDOT is as fast.
	i := 0
	for m-i > 4 {
		rows, size := min(m-i, 32), 512
		if rest := rows % 8; rest <= 4 {
			rows -= rest
		}
		if rows <= 8 {
			size = 2048
		}
		for b := 0; b < n; b += i8mmCols {
			for j := 0; j < k; j += size {
				rowsS8I8MM(&acc[i*n+b], n*4, &x[i*k+j], k, &w[b*k+j*16], k*16, min(n-b, i8mmCols), min(k-j, size), rows, j > 0)
			}
		}
		i += rows
	}
	if i < m {
		rowsDOT(acc[i*n:], x[i*k:], w, n, m-i, k)
	}
}
