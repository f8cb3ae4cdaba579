package boards

// Core is a kind of core: what it can compute, and how fast at most. Multiply is an upper bound by how many vector
// instructions it starts in a cycle; no board was asked.
type Core struct {
	Name     string `json:"name"`
	Part     int    `json:"part"`             // MIDR part number of Arm (implementer 0x41)
	Little   bool   `json:"little,omitempty"` // built to be small: beside others on one chip it is the slow one
	Feature  string `json:"feature"`          // the best instructions for sums of int8 products: one of the Feature constants
	Multiply Figure `json:"multiply"`         // int8 multiply-adds a cycle; 0: not known
}

// What a core can multiply int8 with, under the names that Linux gives the feature.
const (
	FeatureNone    = "none"    // a 32-bit core: plain Go, an instruction a product
	FeatureASIMD   = "asimd"   // Advanced SIMD of Armv8.0
	FeatureDotProd = "asimddp" // SDOT
	FeatureI8MM    = "i8mm"    // SMMLA
)

// Cores are those of Arm that are found on small boards, and the servers that stand in for them when something is tried out.
var Cores = []Core{
	{"ARM1176", 0xb76, false, FeatureNone, estimate(0.28, "116 instructions for 32 products, one a cycle")},
	{"Cortex-A7", 0xc07, true, FeatureNone, estimate(0.55, "116 instructions for 32 products, two a cycle")},
	{"Cortex-A53", 0xd03, true, FeatureASIMD, estimate(5.33, "16 products in 3 instructions, one a cycle")},
	{"Cortex-A35", 0xd04, true, FeatureASIMD, estimate(5.33, "as the Cortex-A53")},
	{"Cortex-A55", 0xd05, true, FeatureDotProd, estimate(16, "one SDOT a cycle")},
	{"Cortex-A57", 0xd07, false, FeatureASIMD, estimate(8, "llvm-mca 19: SMULL on one of two pipes")},
	{"Cortex-A72", 0xd08, false, FeatureASIMD, estimate(8, "llvm-mca 19: SMULL on one of two pipes")},
	{"Cortex-A73", 0xd09, false, FeatureASIMD, estimate(8, "llvm-mca 19, whose model is that of the Cortex-A57")},
	{"Cortex-A76", 0xd0b, false, FeatureDotProd, estimate(32, "llvm-mca 19, Neoverse N1: two SDOT a cycle")},
	{"Neoverse-N1", 0xd0c, false, FeatureDotProd, estimate(32, "llvm-mca 19: two SDOT a cycle")},
	{"Neoverse-N2", 0xd49, false, FeatureI8MM, estimate(64, "llvm-mca 19: two SMMLA a cycle")},
	{"Cortex-A520", 0xd80, true, FeatureI8MM, Figure{}},
	{"Cortex-A720", 0xd81, false, FeatureI8MM, estimate(64, "as the Neoverse N2: two SMMLA a cycle")},
}

// coreOf finds a core of Arm by its part number, nil if it is not known.
func coreOf(implementer, part int) *Core {
	for i := range Cores {
		if c := &Cores[i]; implementer == 0x41 && c.Part == part {
			return c
		}
	}
	return nil
}

// coreNamed finds a core by its name, nil if it is not known.
func coreNamed(name string) *Core {
	for i := range Cores {
		if Cores[i].Name == name {
			return &Cores[i]
		}
	}
	return nil
}

// Figure is a number and where it comes from.
type Figure struct {
	Value    float64 `json:"value"`
	Source   string  `json:"source"`
	Measured bool    `json:"measured"` // on such a board
}

// estimate is a number that was not measured on such a board.
func estimate(value float64, source string) Figure { return Figure{value, source, false} }

// measured is a number that sbc-bench (github.com/ThomasKaiser/sbc-bench, results/NAME.txt at 53f7951) found on such a board.
func measured(value float64, name string) Figure { return Figure{value, "sbc-bench " + name, true} }
