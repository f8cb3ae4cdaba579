package kernels

// peakNEON and peakDOT multiply and add 256 pairs of int8 n times, peakI8MM 512.
//
//go:noescape
func peakNEON(n int)

//go:noescape
func peakDOT(n int)

//go:noescape
func peakI8MM(n int)

// readNEON reads n bytes, a multiple of 256 above 0.
//
//go:noescape
func readNEON(p *int8, n int)

var (
	limitsNEON = Limits{Peak: peakOf(peakNEON, 256), Read: readVector}
	limitsDOT  = Limits{Peak: peakOf(peakDOT, 256), Read: readVector}
	limitsI8MM = Limits{Peak: peakOf(peakI8MM, 512), Read: readVector}
)

func peakOf(loop func(n int), macs int) func(int) int {
	return func(n int) int {
		if n < 1 {
			return 0
		}
		loop(n)
		return macs * n
	}
}

func readVector(p []int8) uint64 {
	if n := len(p) &^ 255; n > 0 {
		readNEON(&p[0], n)
	}
	return 0
}
