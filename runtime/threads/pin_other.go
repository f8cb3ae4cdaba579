//go:build !linux

package threads

// Pin binds the calling thread to one CPU; the goroutine should be locked to it. Elsewhere than on Linux it does nothing.
func Pin(cpu int) error { return nil }

// Allowed are the CPUs that this process may run on, in ascending order; nil if the system does not say.
func Allowed() []int { return nil }
