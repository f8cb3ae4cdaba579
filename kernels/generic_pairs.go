package kernels

// Pairs of int4: a byte of a row stands for two columns, so that a scan reads half as many bytes as of int8.
//
// Byte j of h bytes holds column j in its upper four bits and column h+j in its lower four. Nothing is masked when they are unpacked:
//
//	column j        the byte itself as an int8, whose lowest four bits are the other column's
//	column h+j      of bytes 2i and 2i+1 as one little-endian int16, shifted left by four, byte j-2i as an int8
//
// so both have steps of 16, from an origin that the bits below move. Who makes a row chooses column h+2i first, then column 2i, column
// h+2i+1 and column 2i+1, and each time knows the bits below: they cost no precision.

// Pair is what two neighbouring bytes of a row stand for: columns 2i and 2i+1, then columns h+2i and h+2i+1.
func Pair(b0, b1 int8) (upper0, upper1, lower0, lower1 int8) {
	return b0, b1, b0 << 4, b1<<4 | int8(uint8(b0)>>4)
}

// pairRows panics unless the shapes of GemvS4 and RowsS4 fit, and returns h and the number of rows of w.
func pairRows(x, w []int8) (h, n int) {
	h = len(x) / 2
	if h == 0 || len(x)%32 != 0 || len(w)%h != 0 {
		panic("kernels: pairs of int4 need columns in multiples of 32 and whole rows")
	}
	return h, len(w) / h
}

func gemvS4Generic(acc []int32, x, w []int8) {
	h, n := pairRows(x, w)
	if n%16 != 0 {
		panic("kernels: GemvS4 needs rows in multiples of 16")
	}
	acc = cut(acc, n)
	upper, lower := x[:h], x[h:]
	for b := 0; b < n; b += 16 {
		block := w[b*h : (b+16)*h]
		for r := range 16 {
			sum := int32(0)
			for j := 0; j < h; j += 4 {
				q := (*[4]int8)(block[j*16+r*4:])
				sum += dotPairs(q[0], q[1], (*[2]int8)(upper[j:]), (*[2]int8)(lower[j:]))
				sum += dotPairs(q[2], q[3], (*[2]int8)(upper[j+2:]), (*[2]int8)(lower[j+2:]))
			}
			acc[b+r] = sum
		}
	}
}

func dotPairs(b0, b1 int8, x, y *[2]int8) int32 {
	u0, u1, l0, l1 := Pair(b0, b1)
	return int32(x[0])*int32(u0) + int32(x[1])*int32(u1) + int32(y[0])*int32(l0) + int32(y[1])*int32(l1)
}

// listedRows panics unless RowsS4 can read all rows of the list, and cuts acc to it.
func listedRows(acc []int32, x, w []int8, rows []int32) (_ []int32, h int) {
	h, n := pairRows(x, w)
	for _, r := range rows {
		if uint(r) >= uint(n) {
			panic("kernels: RowsS4 of a row that there is not")
		}
	}
	return cut(acc, len(rows)), h
}

func rowsS4Generic(acc []int32, x, w []int8, rows []int32) {
	acc, h := listedRows(acc, x, w, rows)
	upper, lower := x[:h], x[h:]
	for i, r := range rows {
		row, sum := w[int(r)*h:(int(r)+1)*h], int32(0)
		for j := 0; j < h; j += 2 {
			q := (*[2]int8)(row[j:])
			sum += dotPairs(q[0], q[1], (*[2]int8)(upper[j:]), (*[2]int8)(lower[j:]))
		}
		acc[i] = sum
	}
}
