package kernels

// The operations of nearest neighbours: differences of int8 rows, and which rows may be near enough. Products are those of
// GemvS8 and GemmS8. Each function below is the meaning of the field of Set that bears its name.

// Bound holds the coefficients of Survivors. What they stand for is decided by its caller: runtime/knn_bound.go.
type Bound struct {
	Acc, Res, Res2, Norm, Norm2, Len, Min float32
}

// distanceRows panics unless the shapes of L1S8 and MaxS8 fit, and returns the number of rows of w.
func distanceRows(acc []int32, x, w []int8, m, k int) int {
	if k <= 0 || k%16 != 0 || m < 0 || len(w)%(16*k) != 0 {
		panic("kernels: distances need K in multiples of 16 and whole blocks of 16 rows")
	}
	n := len(w) / k
	_, _ = cut(acc, m*n), cut(x, m*k)
	return n
}

func l1S8Generic(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for b := 0; b < n; b += 16 {
		block := w[b*k : (b+16)*k]
		for i := range m {
			a := (*[16]int32)(acc[i*n+b:])
			*a = [16]int32{}
			for at, xi := 0, x[i*k:(i+1)*k]; len(xi) >= 4; at, xi = at+64, xi[4:] {
				x0, x1, x2, x3 := int32(xi[0]), int32(xi[1]), int32(xi[2]), int32(xi[3])
				w := (*[64]int8)(block[at:])
				for r := range a {
					q := (*[4]int8)(w[r*4:])
					a[r] += abs32(x0-int32(q[0])) + abs32(x1-int32(q[1])) + abs32(x2-int32(q[2])) + abs32(x3-int32(q[3]))
				}
			}
		}
	}
}

func maxS8Generic(acc []int32, x, w []int8, m, k int) {
	n := distanceRows(acc, x, w, m, k)
	for b := 0; b < n; b += 16 {
		block := w[b*k : (b+16)*k]
		for i := range m {
			a := (*[16]int32)(acc[i*n+b:])
			*a = [16]int32{}
			for at, xi := 0, x[i*k:(i+1)*k]; len(xi) >= 4; at, xi = at+64, xi[4:] {
				x0, x1, x2, x3 := int32(xi[0]), int32(xi[1]), int32(xi[2]), int32(xi[3])
				w := (*[64]int8)(block[at:])
				for r := range a {
					q := (*[4]int8)(w[r*4:])
					a[r] = max(a[r], abs32(x0-int32(q[0])), abs32(x1-int32(q[1])), abs32(x2-int32(q[2])), abs32(x3-int32(q[3])))
				}
			}
		}
	}
}

// abs32 is |x| without a branch.
func abs32(x int32) int32 {
	s := x >> 31
	return (x ^ s) - s
}

// survivorRows panics unless the shapes of Survivors fit, and cuts the slices to them. n is the number of rows.
func survivorRows(idx, acc []int32, scale, residual, norm, length []float32, m int) (_, _ []int32, _, _, _, _ []float32, n int) {
	if m == 0 || len(acc)%(16*m) != 0 {
		panic("kernels: Survivors needs queries, and rows in multiples of 16")
	}
	n = len(acc) / m
	return cut(idx, len(acc)), acc, cut(scale, n), cut(residual, n), cut(norm, n), cut(length, n), n
}

func survivorsGeneric(idx, acc []int32, scale, residual, norm, length []float32, b []Bound) int {
	idx, acc, scale, residual, norm, length, n := survivorRows(idx, acc, scale, residual, norm, length, len(b))
	found := 0
	for block := 0; block < n; block += 16 {
		s, r := (*[16]float32)(scale[block:]), (*[16]float32)(residual[block:])
		v, l := (*[16]float32)(norm[block:]), (*[16]float32)(length[block:])
		for i := range b {
			b := &b[i]
			for j, a := range (*[16]int32)(acc[i*n+block:]) {
				if !(b.Value(a, s[j], r[j], v[j], l[j]) < b.Min) {
					idx[found] = int32(i*n + block + j)
					found++
				}
			}
		}
	}
	return found
}

// Value is what Survivors compares with Min: the same operations in the same order.
func (b *Bound) Value(acc int32, scale, residual, norm, length float32) float32 {
	v := float32(float32(b.Acc*scale) * float32(acc))
	v += float32(residual * (b.Res + float32(residual*b.Res2)))
	v += float32(norm * (b.Norm + float32(norm*b.Norm2)))
	return v + float32(length*b.Len)
}
