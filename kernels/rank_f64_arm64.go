package kernels

// squares8F64 and absolute8F64 do Squares8 and Absolute8 for n columns, a multiple of 4 above 0.
//
//go:noescape
func squares8F64NEON(out *[8]float64, x *float64, n int, rows *[8][]float32)

//go:noescape
func absolute8F64NEON(out *[8]float64, x *float64, n int, rows *[8][]float32)

func squares8NEON(out *[8]float64, x []float64, rows *[8][]float32) {
	n := eightRows(x, rows)
	*out = [8]float64{}
	if n > 0 {
		squares8F64NEON(out, &x[0], n, rows)
	}
	squaresFrom(out, x, rows, n)
}

func absolute8NEON(out *[8]float64, x []float64, rows *[8][]float32) {
	n := eightRows(x, rows)
	*out = [8]float64{}
	if n > 0 {
		absolute8F64NEON(out, &x[0], n, rows)
	}
	absoluteFrom(out, x, rows, n)
}
