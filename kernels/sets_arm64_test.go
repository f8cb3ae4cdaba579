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
