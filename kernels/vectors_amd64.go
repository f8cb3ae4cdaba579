package kernels

// tileEpilogueAVX512 computes all rows of EpilogueF32, for no activation or ReLU; bias and residual may be nil.
//
//go:noescape
func tileEpilogueAVX512(dst *float32, ld int, acc *int32, xScale, wScale, bias, residual *float32, m, n int, relu int)

// improveFloatsAVX512 replaces those float operations of s that gain from registers of sixteen floats.
func improveFloatsAVX512(s *Set) {
	s.EpilogueF32 = epilogueAVX512
}

func epilogueAVX512(dst []float32, ld int, acc []int32, xScale, wScale, bias []float32, act Activation, residual []float32) {
	m, n := len(xScale), len(wScale)
	if n%16 != 0 {
		panic("kernels: EpilogueF32 needs columns in multiples of 16")
	}
	if m == 0 || n == 0 {
		return
	}
	inPlace := act == ActNone || act == ActReLU
	if !inPlace && residual != nil {
		epilogueVector(dst, ld, acc, xScale, wScale, bias, act, residual) // dst may be the residual, which comes last
		return
	}
	acc = cut(acc, m*n)
	dst = cut(dst, (m-1)*ld+n)
	if bias != nil {
		bias = cut(bias, n)
	}
	if residual != nil {
		residual = cut(residual, (m-1)*ld+n)
	}
	relu := 0
	if act == ActReLU {
		relu = 1
	}
	tileEpilogueAVX512(&dst[0], ld, &acc[0], &xScale[0], &wScale[0], at(bias, 0), at(residual, 0), m, n, relu)
	if !inPlace {
		for i := range m {
			activateVector(dst[i*ld:i*ld+n], act)
		}
	}
}
