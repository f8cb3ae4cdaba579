//go:build !linux && !darwin

package boards

func machine() string { return "" }
