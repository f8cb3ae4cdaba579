package modelfile

import "hash/crc32"

// The polynomial is Castagnoli's, for which amd64 and arm64 have instructions.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// combineCRC is the checksum of a and b one after the other, from their own checksums and the length of b. It lets a
// section be checked in pieces by several goroutines while the file holds one plain CRC32C.
//
// A CRC is the remainder of a polynomial over GF(2), so appending n bytes multiplies it by x^(8n). As zlib's crc32_combine.
func combineCRC(a, b uint32, lenB int) uint32 {
	shift := uint32(1) << 31 // x^0; bits are reflected, the highest is the constant term
	power := uint32(1) << 23 // x^8
	for n := lenB; n > 0; n >>= 1 {
		if n&1 != 0 {
			shift = mulPoly(shift, power)
		}
		power = mulPoly(power, power)
	}
	return mulPoly(shift, a) ^ b
}

// mulPoly multiplies two polynomials modulo Castagnoli's.
func mulPoly(a, b uint32) (p uint32) {
	for m := uint32(1) << 31; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return p
}
