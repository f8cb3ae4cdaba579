package kernels

const arch = "amd64"

// variants lists the sets of this architecture above generic, slowest first.
var variants []variant
