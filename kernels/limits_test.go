package kernels

import "testing"

// TestLimits: the loops that benchmarks divide by run on every set and count what they do.
func TestLimits(t *testing.T) {
	for _, s := range Available() {
		if peak := s.Limits.Peak; peak != nil {
			if one := peak(1); one <= 0 || peak(1000) != 1000*one || peak(0) != 0 {
				t.Errorf("%s: %d multiply-adds in a round, %d in a thousand", s.Name, one, peak(1000))
			}
		}
		for _, n := range []int{0, 1, 63, 64, 255, 256, 257, 4096} {
			s.Limits.Read(make([]int8, n))
		}
	}
}
