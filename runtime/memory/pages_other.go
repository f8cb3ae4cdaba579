//go:build !linux

package memory

// PreferLargePages asks the system to put p into large pages. Elsewhere than on Linux it does nothing.
func PreferLargePages(p []float32) {}
