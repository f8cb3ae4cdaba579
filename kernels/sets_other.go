//go:build !amd64 && !arm64

package kernels

const arch = "a machine without kernels of its own"

// variants lists the sets of this architecture above generic, slowest first.
var variants []variant
