package kernels

import (
	"strings"
	"testing"
)

// TestSortVariants: the core decides between the two sets with SDOT, and nothing else moves.
func TestSortVariants(t *testing.T) {
	for _, c := range []struct {
		arm  bool
		part int
		want string
	}{
		{true, 0xd05, "neon dotprod dotprod-a55 i8mm"},
		{false, 0xd05, "neon dotprod-a55 dotprod i8mm"},
		{true, 0xd0b, "neon dotprod-a55 dotprod i8mm"},
		{true, 0, "neon dotprod-a55 dotprod i8mm"},
	} {
		var names []string
		for _, v := range sortVariants(c.arm, c.part) {
			names = append(names, v.name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("Arm %v, part %#x: %s, want %s", c.arm, c.part, got, c.want)
		}
	}
}

// TestLongDifferences: sums of the largest differences stay exact where 16 bits would overflow.
func TestLongDifferences(t *testing.T) {
	const k = 2064
	x, w := make([]int8, k), make([]int8, 16*k)
	for i := range x {
		x[i] = 127
	}
	for i := range w {
		w[i] = -127
	}
	for _, s := range Available() {
		acc := make([]int32, 16)
		s.L1S8(acc, x, w, 1, k)
		for n, v := range acc {
			if v != 254*k {
				t.Fatalf("%s: [%d] is %d, want %d", s.Name, n, v, 254*k)
			}
		}
	}
}
