package kernels

import "github.com/klauspost/cpuid/v2"

const arch = "arm64"

// variants lists the sets of this architecture above generic, slowest first.
var variants = []variant{
	{
		name: "neon", needs: "Advanced SIMD", // in every Armv8-A that runs Linux or macOS: A53, A72
		usable: func() bool { return true },
		improve: func(s *Set) {
			s.GemvS8, s.GemmS8 = gemvNEON, gemmNEON
			s.L1S8, s.MaxS8, s.Survivors = l1NEON, maxNEON, survivorsVector
			s.Limits = limitsNEON
			improveFloats(s)
		},
	},
	{
		name: "dotprod", needs: "FEAT_DotProd (SDOT)", // A55, A76
		usable: func() bool { return cpuid.CPU.Supports(cpuid.ASIMDDP) },
		improve: func(s *Set) {
			s.GemvS8, s.GemmS8 = gemvDOT, gemmDOT
			s.L1S8 = l1DOT
			s.Limits = limitsDOT
		},
	},
	{
		name: "i8mm", needs: "FEAT_I8MM (SMMLA)", // Armv8.6: A510, A710, Neoverse N2, Apple M2
		usable: func() bool { return cpuid.CPU.Supports(cpuid.ASIMDDP, cpuid.I8MM) },
		improve: func(s *Set) {
			s.GemmS8 = gemmI8MM
			s.Limits = limitsI8MM
		},
	},
}
