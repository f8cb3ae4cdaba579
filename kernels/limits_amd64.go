package kernels

// peakAVX2 multiplies and adds 96 pairs of int16 n times.
//
//go:noescape
func peakAVX2(n int)

// peakVNNI multiplies and adds 1024 pairs of int8 n times.
//
//go:noescape
func peakVNNI(n int)

// readAVX2 and readAVX512 read n bytes, a multiple of 256 above 0.
//
//go:noescape
func readAVX2(p *int8, n int)

//go:noescape
func readAVX512(p *int8, n int)

var limitsAVX2 = Limits{
	Peak: func(n int) int {
		if n < 1 {
			return 0
		}
		peakAVX2(n)
		return 96 * n
	},
	Read: func(p []int8) uint64 {
		if n := len(p) &^ 255; n > 0 {
			readAVX2(&p[0], n)
		}
		return 0
	},
}

var limitsVNNI = Limits{
	Peak: func(n int) int {
		if n < 1 {
			return 0
		}
		peakVNNI(n)
		return 1024 * n
	},
	Read: func(p []int8) uint64 {
		if n := len(p) &^ 255; n > 0 {
			readAVX512(&p[0], n)
		}
		return 0
	},
}
