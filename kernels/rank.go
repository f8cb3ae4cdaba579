package kernels

import "math"

// The exact distances of nearest neighbours: of eight rows at a time, since each sum is a chain of dependent additions.

func squares8Generic(out *[8]float64, x []float64, rows *[8][]float32) {
	for i := 0; i < 8; i += 4 {
		a, b, c, d := rows[i][:len(x)], rows[i+1][:len(x)], rows[i+2][:len(x)], rows[i+3][:len(x)]
		var s0, s1, s2, s3 float64
		for j, v := range x {
			d0, d1, d2, d3 := v-float64(a[j]), v-float64(b[j]), v-float64(c[j]), v-float64(d[j])
			s0 += float64(d0 * d0)
			s1 += float64(d1 * d1)
			s2 += float64(d2 * d2)
			s3 += float64(d3 * d3)
		}
		out[i], out[i+1], out[i+2], out[i+3] = s0, s1, s2, s3
	}
}

func absolute8Generic(out *[8]float64, x []float64, rows *[8][]float32) {
	for i := 0; i < 8; i += 4 {
		a, b, c, d := rows[i][:len(x)], rows[i+1][:len(x)], rows[i+2][:len(x)], rows[i+3][:len(x)]
		var s0, s1, s2, s3 float64
		for j, v := range x {
			s0 += math.Abs(v - float64(a[j]))
			s1 += math.Abs(v - float64(b[j]))
			s2 += math.Abs(v - float64(c[j]))
			s3 += math.Abs(v - float64(d[j]))
		}
		out[i], out[i+1], out[i+2], out[i+3] = s0, s1, s2, s3
	}
}
