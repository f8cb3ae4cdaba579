package kernels

//go:noescape
func lstmAVX2(h, c, gates *float32, n int)

//go:noescape
func gruAVX2(h, x, p *float32, n int)

//go:noescape
func lstmAVX512(h, c, gates *float32, n int)

//go:noescape
func gruAVX512(h, x, p *float32, n int)
