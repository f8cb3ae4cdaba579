//go:build !linux && !darwin

package boards

// Machine is the architecture of the kernel, not known here.
func Machine() string { return "" }
