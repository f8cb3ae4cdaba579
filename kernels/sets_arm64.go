package kernels

const arch = "arm64"

// variants lists the sets of this architecture above generic, slowest first.
var variants []variant
