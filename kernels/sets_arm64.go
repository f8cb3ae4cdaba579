package kernels

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"
)

const arch = "arm64"

// variants lists the sets of this architecture above generic, slowest first.
var variants = sortVariants(cpuid.CPU.VendorID == cpuid.ARM, cpuid.CPU.Model>>4)

// singleLoads are the part numbers of Arm's cores on which dotprod-a55 is faster than dotprod (by llvm-mca: cost.md). On
// others it is not slower by much, so that it does not matter which of a board's cores the part number was read from.
var singleLoads = map[int]bool{0xd05: true} // Cortex-A55

// sortVariants puts dotprod-a55 above or below dotprod by the part number in MIDR_EL1, if Arm designed the core.
func sortVariants(arm bool, part int) []variant {
	neon := variant{
		name: "neon", needs: "Advanced SIMD", // in every Armv8-A that runs Linux or macOS: A53, A72
		usable: func() bool { return true },
		improve: func(s *Set) {
			s.GemvS8, s.GemmS8 = gemvNEON, gemmNEON
			s.L1S8, s.MaxS8, s.Survivors = l1NEON, maxNEON, survivorsVector
			s.GemvS4, s.RowsS4 = gemvPairsNEON, rowsPairsNEON
			s.Squares8, s.Absolute8 = squares8NEON, absolute8NEON
			s.Limits = limitsNEON
			improveFloats(s)
			s.lstm, s.gru = lstmNEON, gruNEON
		},
	}
	paired := variant{
		name: "dotprod", needs: "FEAT_DotProd (SDOT)", // A76
		usable: hasDOT,
		improve: func(s *Set) {
			s.GemvS8, s.GemmS8 = gemvDOT, gemmDOT
			s.L1S8 = l1DOT
			s.GemvS4, s.RowsS4 = gemvPairsDOT, rowsPairsDOT
			s.Limits = limitsDOT
		},
	}
	single := variant{
		name: "dotprod-a55", needs: "FEAT_DotProd (SDOT); loads for the Cortex-A55",
		usable: hasDOT,
		improve: func(s *Set) {
			paired.improve(s)
			s.GemvS8 = gemvDOTA55
		},
	}
	matrix := variant{
		name: "i8mm", needs: "FEAT_I8MM (SMMLA)", // Armv8.6: A510, A710, Neoverse N2, Apple M2
		usable: func() bool { return hasDOT() && cpuid.CPU.Supports(cpuid.I8MM) },
		improve: func(s *Set) {
			paired.improve(s)
			s.GemmS8 = gemmI8MM
			s.Limits = limitsI8MM
		},
	}
	if arm && singleLoads[part] {
		single.why = fmt.Sprintf("part 0x%03x is one of the cores that load one register at a time faster than several", part)
		return []variant{neon, paired, single, matrix}
	}
	paired.why = "the core is none of those that load one register at a time faster than several"
	return []variant{neon, single, paired, matrix}
}

func hasDOT() bool { return cpuid.CPU.Supports(cpuid.ASIMDDP) }
