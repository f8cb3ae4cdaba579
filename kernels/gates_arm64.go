package kernels

//go:noescape
func lstmNEON(h, c, gates *float32, n int)

//go:noescape
func gruNEON(h, x, p *float32, n int)
