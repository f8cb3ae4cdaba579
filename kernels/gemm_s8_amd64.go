package kernels

// tileS8AVX2 computes acc[i][n] = Σ x[i][j] * w[n][j] for up to four rows of x and one block of sixteen n. Strides are in bytes.
//
//go:noescape
func tileS8AVX2(acc *int32, accStride int, x *int8, xStride int, w *int8, k int, rows int)

// gemvS8AVX2 computes acc[n] = Σ x[j] * w[n][j] for all n.
//
//go:noescape
func gemvS8AVX2(acc *int32, x *int8, w *int8, n int, k int)

// gemmS8VNNI computes acc[i][j] = Σ x[i][l] * w[j][l], with more = 1 added to what acc holds, for m rows of x, xStride bytes
// from row to row, and n rows of w, wStride bytes from block to block, over k columns. m*k <= xPanel, groups = ceil(m/6). Every
// sixteen k it brings fetch <= 256 bytes of the weights to come into the cache: those from w + next on, or if next is 0 the next
// four blocks while it passes by four.
//
//go:noescape
func gemmS8VNNI(acc *int32, x *int8, xStride int, w *int8, wStride int, sums *int32, k int, m int, n int, groups int, more int, fetch int, next int)

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

func gemmVNNI(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	n := len(sums)
	if len(w) == 0 || m == 0 {
		clear(acc)
		return
	}
	// At most as many rows, shared out evenly, then as many columns, at a time as the panel holds.
	rows := xPanel / min(k, 512)
	tiles := (m + rows - 1) / rows
	for t := range tiles {
		i, to := m*t/tiles, m*(t+1)/tiles
		groups := (to - i + 5) / 6
		fetch := min((16+groups-1)/groups, 4) * 64 // of 16 lines that are four blocks by sixteen k
		cols := min(k, xPanel/(to-i)&^15)
		for j := 0; j < k; j += cols {
			next := 0
			if cols < k {
				next = n*k + n*j - j*16 // passing by some columns brings in as large a part of the n rows that follow
			}
			gemmS8VNNI(&acc[i*n], &x[i*k+j], k, &w[j*16], 16*k, &sums[0], min(cols, k-j), to-i, n, groups, min(j, 1), fetch, next)
		}
	}
}

// xPanel is how many bytes of x gemmS8VNNI keeps in its frame.
const xPanel = 16 << 10
