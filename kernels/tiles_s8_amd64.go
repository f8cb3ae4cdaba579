package kernels

// tileVNNI is one call of narrowS8VNNI or wideS8VNNI: m rows of x by n rows of w over k columns. Strides are in bytes.
type tileVNNI struct {
	x       *int8 // xStride from row to row
	xStride int
	w       *int8 // wStride from block to block
	wStride int
	sums    *int32 // of the rows of w over all columns
	acc     *int32 // [m, n]
	k, m, n int    // m*k <= xPanel
	more    int    // 1: go on from what acc holds
	next    int    // bring what lies from w + next on into the cache, from two blocks to two blocks; narrowS8VNNI: 0, the next blocks while passing by some

	// The rest is for wideS8VNNI.
	groups        int // of the rows, six to twelve in each
	larger        int // how many of them, the first, have one row more than the others
	rows          int // one more than the others have
	fetch         int // how many bytes every sixteen k bring in, at most 256 of each block of what comes
	second        int // from block to block of that; 256 if all of it is one run
	dst, residual *float32
	ld            int // of both, from row to row
	place         int // 1: dst is not in a cache that is near, and is asked for while the sums are made
	xScale        *float32
	wScale, bias  *float32
	relu          int

	starts *int32 // of each row of w, for Winograd's inner product: x and w have no element outside -64 to 63. Without dst
	ready  int    // 1: they are there; 0: they are computed

	tests  *testVNNI // of each row of x; see below. Without dst; wScale is part of it
	extent *float32
	square int     // 1: of extent, the square
	marks  *uint64 // of each block of w: every row of x shifts in from below whether some of its sums pass
}

// narrowS8VNNI computes acc[i][j] = Σ x[i][l] * w[j][l], with more added to what acc holds, for up to six rows of x.
//
//go:noescape
func narrowS8VNNI(t *tileVNNI)

// wideS8VNNI does the same for six rows or more. With dst it leaves acc alone and goes on to what EpilogueF32 does, without
// activation or with ReLU, while the sums are in registers; bias and residual may be nil. With tests it says
// where sums pass as well.
//
//go:noescape
func wideS8VNNI(t *tileVNNI)

const (
	narrowRows = 6        // the most rows of x for narrowS8VNNI
	wideRows   = 12       // the most of a group of wideS8VNNI
	xPanel     = 16 << 10 // how many bytes of x both keep in their frames
	nearDst    = 64 << 10 // bytes of dst that stay in the second level from one call to the next
)

// floatsVNNI is what EpilogueF32 needs beside the sums, but for activations other than ReLU.
type floatsVNNI struct {
	dst, xScale, wScale, bias, residual []float32
	ld                                  int
	relu                                bool
}

// multiplyVNNI computes GemmS8, or GemmS8 and EpilogueF32 in one if there is f, or the first step of Reach if there is r. These two need more
// than narrowRows.
func multiplyVNNI(acc []int32, x, w []int8, sums []int32, m, k int, f *floatsVNNI, r *reachVNNI) {
	n := len(sums)
	t := tileVNNI{xStride: k, wStride: 16 * k, sums: &sums[0], n: n}
	if f != nil {
		if f.residual != nil || 4*len(f.dst) > nearDst {
			t.place = 1
		}
		t.wScale, t.bias, t.ld = &f.wScale[0], at(f.bias, 0), 4*f.ld
		if f.relu {
			t.relu = 1
		}
	}
	if r != nil {
		t.wScale, t.extent, t.square, t.marks = r.scale, r.extent, r.square, &r.marks[0]
		if r.cross {
			t.starts = &r.starts[0]
		}
	}
	// At most as many rows, shared out evenly, then as many columns, at a time as the panel holds.
	rows := xPanel / min(k, 512)
	parts := (m + rows - 1) / rows
	for part := range parts {
		i, to := m*part/parts, m*(part+1)/parts
		t.m, t.acc = to-i, &acc[i*n]
		t.groups = (t.m + wideRows - 1) / wideRows
		t.larger, t.rows = t.m%t.groups, t.m/t.groups+1
		t.next, t.second = 2*t.wStride, 256          // the two blocks behind
		t.fetch = (8 + t.groups - 1) / t.groups * 64 // of the 8 lines that are two blocks by sixteen k
		cols := min(k, xPanel/t.m&^15)
		for j := 0; j < k; j += cols {
			t.x, t.w = &x[i*k+j], &w[j*16]
			t.k, t.more = min(cols, k-j), min(j, 1)
			if t.m <= narrowRows {
				t.next = 0
				if cols < k {
					t.next = n*k + n*j - j*16 // passing by some columns brings in as large a part of the n rows that follow
				}
				narrowS8VNNI(&t)
				continue
			}
			if cols < k {
				t.next = cols * 16 // the next columns of the same two blocks
				if j+cols >= k {
					t.next = n*k - j*16 // the first columns of the n rows that follow
				}
				t.second, t.fetch = t.wStride, (4+t.groups-1)/t.groups*64
			}
			if f != nil && j+cols >= k {
				t.dst, t.residual, t.xScale = &f.dst[i*f.ld], at(f.residual, i*f.ld), &f.xScale[i]
			}
			if r != nil && j+cols >= k {
				t.tests = &r.tests[i]
			}
			wideS8VNNI(&t)
			t.dst, t.tests = nil, nil
			if cols == k {
				t.ready = 1 // for the next rows of x
			}
		}
	}
}

func gemmVNNI(acc []int32, x []int8, w []int8, sums []int32, m, k int) {
	acc, x, w = checkGemm(acc, x, w, sums, m, k)
	if len(w) == 0 || m == 0 {
		clear(acc)
		return
	}
	multiplyVNNI(acc, x, w, sums, m, k, nil, nil)
}

// linearVNNI is Set.fused.
func linearVNNI(dst []float32, ld int, acc []int32, x, w []int8, sums []int32, xScale, wScale, bias []float32, act Activation, residual []float32) bool {
	m, n := len(xScale), len(wScale)
	after := act != ActNone && act != ActReLU
	if m <= narrowRows || len(x) == 0 || n == 0 || after && residual != nil { // dst may be the residual, which comes last
		return false
	}
	k := len(x) / m
	acc, x, w = checkGemm(acc, x, w, sums[:n], m, k)
	if bias != nil {
		bias = cut(bias, n)
	}
	if residual != nil {
		residual = cut(residual, (m-1)*ld+n)
	}
	f := floatsVNNI{cut(dst, (m-1)*ld+n), xScale, wScale, bias, residual, ld, act == ActReLU}
	multiplyVNNI(acc, x, w, sums[:n], m, k, &f, nil)
	if after {
		for i := range m {
			activateAVX512(dst[i*ld:i*ld+n], act)
		}
	}
	return true
}
