package lz4

import (
	"encoding/binary"
	"math/bits"
)

// xxh32 is the hash XXH32 with seed 0.
// Source: xxHash fast digest algorithm, version 0.1.1 (Cyan4973/xxHash/doc).
type xxh32 struct {
	lanes [4]uint32
	buf   [16]byte
	held  int // bytes in buf
	total uint64
}

const (
	prime1 uint32 = 2654435761
	prime2 uint32 = 2246822519
	prime3 uint32 = 3266489917
	prime4 uint32 = 668265263
	prime5 uint32 = 374761393
)

func newXXH32() *xxh32 {
	seed := uint32(0)
	return &xxh32{lanes: [4]uint32{seed + prime1 + prime2, seed + prime2, seed, seed - prime1}}
}

func (x *xxh32) write(b []byte) *xxh32 {
	x.total += uint64(len(b))
	if x.held > 0 {
		n := copy(x.buf[x.held:], b)
		x.held += n
		b = b[n:]
		if x.held < len(x.buf) {
			return x
		}
		x.stripe(x.buf[:])
		x.held = 0
	}
	for ; len(b) >= 16; b = b[16:] {
		x.stripe(b)
	}
	x.held = copy(x.buf[:], b)
	return x
}

func (x *xxh32) stripe(b []byte) {
	for i := range x.lanes {
		x.lanes[i] = bits.RotateLeft32(x.lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*prime2, 13) * prime1
	}
}

func (x *xxh32) sum() uint32 {
	h := prime5
	if x.total >= 16 {
		h = bits.RotateLeft32(x.lanes[0], 1) + bits.RotateLeft32(x.lanes[1], 7) + bits.RotateLeft32(x.lanes[2], 12) + bits.RotateLeft32(x.lanes[3], 18)
	}
	h += uint32(x.total)
	b := x.buf[:x.held]
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*prime3, 17) * prime4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}
