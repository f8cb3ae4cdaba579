//go:build !linux

package kernels

import "testing"

// fence is memory for slices; only on Linux between pages that cannot be touched.
type fence struct{ mem []byte }

func newFence(_ *testing.T, size int) *fence { return &fence{make([]byte, size)} }
