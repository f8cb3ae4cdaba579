package kernels

import "unsafe"

// Limits are loops that show what the core in hand could do at most. They compute nothing; a benchmark divides by them.
type Limits struct {
	// Peak runs n rounds of the set's multiply instructions on registers alone and returns how many multiply-adds that
	// were. It is nil where there is no such loop, as for generic, whose instructions the compiler picks.
	Peak func(n int) (macs int)

	// Read reads p once, in order, and returns nothing of interest.
	Read func(p []int8) uint64
}

// readGeneric reads eight bytes at a time into four sums.
func readGeneric(p []int8) uint64 {
	if len(p) < 64 || uintptr(unsafe.Pointer(&p[0]))%8 != 0 {
		return 0
	}
	var a, b, c, d uint64
	for q := unsafe.Slice((*uint64)(unsafe.Pointer(&p[0])), len(p)/8); len(q) >= 8; q = q[8:] {
		a += q[0] + q[4]
		b += q[1] + q[5]
		c += q[2] + q[6]
		d += q[3] + q[7]
	}
	return a + b + c + d
}
