package kernels

import "github.com/klauspost/cpuid/v2"

const arch = "amd64"

// variants lists the sets of this architecture above generic, slowest first.
var variants = []variant{
	{
		name: "avx2", needs: "AVX2",
		usable: func() bool { return cpuid.CPU.Supports(cpuid.AVX2) },
		improve: func(s *Set) {
			s.GemvS8, s.GemmS8 = gemvAVX2, gemmAVX2
			s.L1S8, s.MaxS8, s.Survivors = l1AVX2, maxAVX2, survivorsAVX2
			s.GemvS4, s.RowsS4 = gemvPairsAVX2, rowsPairsAVX2
			s.Squares8, s.Absolute8 = squares8AVX2, absolute8AVX2
			improveFloats(s)
			s.TopK = topKAVX2
			s.lstm, s.gru = lstmAVX2, gruAVX2
			s.Limits = limitsAVX2
		},
	},
	{
		name: "avx512vnni", needs: "AVX512 F, BW, DQ, VL and VNNI",
		usable: func() bool {
			return cpuid.CPU.Supports(cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.AVX512VNNI)
		},
		improve: func(s *Set) {
			s.GemvS8, s.GemmS8, s.fused, s.cols = gemvVNNI, gemmVNNI, linearVNNI, 1024
			improveFloatsAVX512(s)
			s.lstm, s.gru = lstmAVX512, gruAVX512
			s.Limits = limitsVNNI
			s.L1S8, s.MaxS8, s.Survivors = l1VNNI, maxVNNI, survivorsAVX512
			s.reach = reachRowsVNNI
			s.GemvS4, s.RowsS4 = gemvPairsVNNI, rowsPairsVNNI
			s.Squares8, s.Absolute8 = squares8AVX512, absolute8AVX512
		},
	},
}
