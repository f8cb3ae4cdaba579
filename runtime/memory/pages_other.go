//go:build !linux

package memory

// PreferLargePages asks the system to put p into large pages, and says whether it is willing. Elsewhere than on Linux it is not asked.
func PreferLargePages[T float32 | byte](p []T) bool { return false }

// PreferSmallPages takes that back.
func PreferSmallPages[T float32 | byte](p []T) {}
