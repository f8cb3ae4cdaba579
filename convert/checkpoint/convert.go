package checkpoint

import (
	"encoding/binary"
	"math"
)

// toF32 converts elements of each type, all of them little-endian. Kept as whole loops a type: a call an
// element would be most of the time of reading 300 MB.
var toF32 = map[string]func(dst []float32, step int, raw []byte){
	F32: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/4; i++ {
			dst[i*step] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	},
	F16: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/2; i++ {
			dst[i*step] = Float16(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	},
	BF16: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/2; i++ {
			dst[i*step] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	},
	F64: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/8; i++ {
			dst[i*step] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	},
	I8: func(dst []float32, step int, raw []byte) {
		for i := range raw {
			dst[i*step] = float32(int8(raw[i]))
		}
	},
	U8:   bytesToF32,
	Bool: bytesToF32,
	I16: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/2; i++ {
			dst[i*step] = float32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
		}
	},
	U16: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/2; i++ {
			dst[i*step] = float32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	},
	I32: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/4; i++ {
			dst[i*step] = float32(int32(binary.LittleEndian.Uint32(raw[4*i:])))
		}
	},
	U32: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/4; i++ {
			dst[i*step] = float32(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	},
	I64: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/8; i++ {
			dst[i*step] = float32(int64(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	},
	U64: func(dst []float32, step int, raw []byte) {
		for i := 0; i < len(raw)/8; i++ {
			dst[i*step] = float32(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	},
	F8E4: func(dst []float32, step int, raw []byte) {
		for i, b := range raw {
			dst[i*step] = float8E4(b)
		}
	},
	F8E5: func(dst []float32, step int, raw []byte) {
		for i, b := range raw {
			dst[i*step] = Float16(uint16(b) << 8) // the upper half of a float16
		}
	},
}

func bytesToF32(dst []float32, step int, raw []byte) {
	for i, b := range raw {
		dst[i*step] = float32(b)
	}
}

// toInt converts one element.
var toInt = map[string]func(raw []byte) int64{
	I8:   func(raw []byte) int64 { return int64(int8(raw[0])) },
	U8:   func(raw []byte) int64 { return int64(raw[0]) },
	Bool: func(raw []byte) int64 { return int64(raw[0]) },
	I16:  func(raw []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(raw))) },
	U16:  func(raw []byte) int64 { return int64(binary.LittleEndian.Uint16(raw)) },
	I32:  func(raw []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(raw))) },
	U32:  func(raw []byte) int64 { return int64(binary.LittleEndian.Uint32(raw)) },
	I64:  func(raw []byte) int64 { return int64(binary.LittleEndian.Uint64(raw)) },
}

// Float16 is the value of an IEEE half: 1 sign, 5 exponent, 10 fraction bits. Subnormals are exact,
// infinities and the payload of NaNs are kept.
func Float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h>>10) & 31
	fraction := uint32(h) & 1023
	switch exponent {
	case 0: // zero or subnormal: fraction * 2^-24
		f := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 255<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// float8E4 is the value of an OCP E4M3 byte ("fn": no infinities, S.1111.111 is NaN).
func float8E4(b byte) float32 {
	sign := uint32(b>>7) << 31
	exponent := uint32(b>>3) & 15
	fraction := uint32(b) & 7
	switch {
	case exponent == 0: // fraction * 2^-9
		f := float32(fraction) * (1.0 / (1 << 9))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case exponent == 15 && fraction == 7:
		return math.Float32frombits(sign | 0x7fc00000)
	}
	return math.Float32frombits(sign | (exponent+127-7)<<23 | fraction<<20)
}
