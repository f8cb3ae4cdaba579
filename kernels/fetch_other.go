//go:build !amd64

package kernels

// Fetch asks for p to be brought into the second-level cache, where that pays; here it does nothing.
func Fetch[T int8 | float32](p []T) {}

// FetchFirst is Fetch into the first-level cache.
func FetchFirst[T int8 | float32](p []T) {}
