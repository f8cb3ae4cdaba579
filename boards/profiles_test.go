package boards

import (
	"math"
	"slices"
	"testing"
)

func TestProfiles(t *testing.T) {
	if len(Profiles) < 16 {
		t.Errorf("%d profiles", len(Profiles))
	}
	names := map[string]bool{}
	for _, p := range Profiles {
		if names[p.Name] || Find(p.Name) == nil || p.Title == "" || p.SoC == "" {
			t.Errorf("%+v: comes twice, or lacks a title or chip", p)
		}
		names[p.Name] = true
		figures := []Figure{p.Free, p.Fast().CoreKind().Multiply}
		for _, c := range p.Clusters {
			if c.CoreKind() == nil || c.Count < 1 || c.L1 < 8 {
				t.Errorf("%s: cores %+v", p.Name, c)
				continue
			}
			figures = append(figures, c.MHz, c.Read)
		}
		for _, f := range figures {
			if !(f.Value > 0) || f.Source == "" {
				t.Errorf("%s: %+v is no figure with a source", p.Name, f)
			}
		}
		if len(p.RAM) == 0 || !slices.IsSorted(p.RAM) || p.Free.Value >= float64(p.RAM[0]) {
			t.Errorf("%s: %v MB of RAM, %v free", p.Name, p.RAM, p.Free)
		}
		// The rule by which free memory is guessed holds for what was measured.
		if guessed := 0.85*float64(p.RAM[0]) - 100; p.Free.Measured && math.Abs(guessed/p.Free.Value-1) > 0.07 {
			t.Errorf("%s: %.0f MB free, the rule says %.0f", p.Name, p.Free.Value, guessed)
		}
		for _, m := range p.Models {
			if got := (&Board{Model: m + " 1.0"}).Profile(); got == nil || got.Name != p.Name {
				t.Errorf("%q is taken for %+v, not %s", m, got, p.Name)
			}
		}
	}
	for _, model := range []string{"", "Raspberry Pi", "Raspberry Pi Pico", "ThinkPad X1"} {
		if got := (&Board{Model: model}).Profile(); got != nil {
			t.Errorf("%q is taken for %s", model, got.Name)
		}
	}
}

// Ceilings computed by hand.
func TestLeast(t *testing.T) {
	pi4, orion, zero := Find("pi-4b"), Find("orion-o6"), Find("pi-zero")
	const mb = 1e6
	for _, c := range []struct {
		name    string
		board   *Profile
		cores   int
		passes  []Pass
		seconds float64
		bound   string
	}{
		// 43.31 MB at 4331 MB/s; 43.31 M multiply-adds at 4 x 1800 MHz x 8 would take 0.75 ms
		{"one row from memory", pi4, 4, []Pass{{43.31 * mb, 43.31 * mb, 1}}, 0.01, BoundMemory},
		{"twice", pi4, 4, []Pass{{43.31 * mb, 43.31 * mb, 2}}, 0.02, BoundMemory},
		{"64 rows", pi4, 4, []Pass{{43.31 * mb, 64 * 43.31 * mb, 1}}, 64 * 43.31 * mb / 57.6e9, BoundMultiply},
		{"one core", pi4, 1, []Pass{{43.31 * mb, 64 * 43.31 * mb, 1}}, 64 * 43.31 * mb / 14.4e9, BoundMultiply},
		{"more cores than there are", pi4, 99, []Pass{{43.31 * mb, 64 * 43.31 * mb, 1}}, 64 * 43.31 * mb / 57.6e9, BoundMultiply},
		// 0.5 MB stay in the second-level cache of 1 MB
		{"from the cache", pi4, 4, []Pass{{0.5 * mb, 0.5 * mb, 10}}, 10 * 0.5 * mb / 57.6e9, BoundMultiply},
		// beside 43.31 MB they have to come back, once
		{"read once, then near", pi4, 4, []Pass{{43.31 * mb, 43.31 * mb, 1}, {0.5 * mb, 0.5 * mb, 10}},
			0.01 + 0.5/4331 + 9*0.5*mb/57.6e9, BoundMemory},
		// SMMLA takes two rows: 64 multiply-adds a cycle, 32 of one row
		{"one row of SMMLA", orion, 8, []Pass{{1 * mb, 1 * mb, 1}}, 1 * mb / (8 * 2500e6 * 32), BoundMultiply},
		{"four rows of SMMLA", orion, 8, []Pass{{1 * mb, 4 * mb, 1}}, 4 * mb / (8 * 2500e6 * 64), BoundMultiply},
		{"without a cache", zero, 1, []Pass{{1000, 1000, 1}}, 1000 / 0.28e9, BoundMultiply},
		{"no multiply-adds", pi4, 4, []Pass{{43.31 * mb, 0, 1}}, 0.01, BoundMemory},
	} {
		seconds, bound := c.board.Least(c.passes, c.cores)
		if math.Abs(seconds/c.seconds-1) > 1e-9 || bound != c.bound {
			t.Errorf("%s: %g s, bound by %s; want %g, %s", c.name, seconds, bound, c.seconds, c.bound)
		}
	}
}

// On boards with two kinds of cores the big ones compute.
func TestFast(t *testing.T) {
	for name, want := range map[string]string{
		"orange-pi-5": "Cortex-A76", "rock-5b": "Cortex-A76", "nanopi-m4v2": "Cortex-A72", "khadas-vim3": "Cortex-A73",
		"orion-o6": "Cortex-A720", "pi-zero-2-w": "Cortex-A53",
	} {
		if got := Find(name).Fast().Core; got != want {
			t.Errorf("%s computes on its %s, want %s", name, got, want)
		}
	}
}
