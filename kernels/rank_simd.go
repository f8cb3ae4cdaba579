//go:build amd64 || arm64

package kernels

import "math"

// What the assembly of Squares8 and Absolute8 leaves to Go: the check of the rows before, and fewer than four columns after.

// eightRows panics unless the rows are as long as x, and returns for how many columns there are whole fours.
func eightRows(x []float64, rows *[8][]float32) int {
	for _, r := range rows {
		_ = cut(r, len(x))
	}
	return len(x) &^ 3
}

// squaresFrom adds the squares of columns n and on, absoluteFrom the differences.
func squaresFrom(out *[8]float64, x []float64, rows *[8][]float32, n int) {
	for j := n; j < len(x); j++ {
		for i := range out {
			d := x[j] - float64(rows[i][j])
			out[i] += float64(d * d)
		}
	}
}

func absoluteFrom(out *[8]float64, x []float64, rows *[8][]float32, n int) {
	for j := n; j < len(x); j++ {
		for i := range out {
			out[i] += math.Abs(x[j] - float64(rows[i][j]))
		}
	}
}
