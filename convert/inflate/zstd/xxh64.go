package zstd

import (
	"encoding/binary"
	"math/bits"
)

const (
	prime1 uint64 = 0x9e3779b185ebca87
	prime2 uint64 = 0xc2b2ae3d27d4eb4f
	prime3 uint64 = 0x165667b19e3779f9
	prime4 uint64 = 0x85ebca77c2b2ae63
	prime5 uint64 = 0x27d4eb2f165667c5
)

// xxh64 is the checksum of a frame's content, XXH64 with the seed 0.
type xxh64 struct {
	lanes [4]uint64
	rest  []byte // fewer than 32 bytes that have not been summed
	total uint64
}

func newSum() *xxh64 {
	first := prime1
	return &xxh64{lanes: [4]uint64{first + prime2, prime2, 0, -first}}
}

func (x *xxh64) write(b []byte) {
	x.total += uint64(len(b))
	if len(x.rest) > 0 {
		n := min(32-len(x.rest), len(b))
		x.rest = append(x.rest, b[:n]...)
		if b = b[n:]; len(x.rest) < 32 {
			return
		}
		x.stripe(x.rest)
		x.rest = x.rest[:0]
	}
	for ; len(b) >= 32; b = b[32:] {
		x.stripe(b)
	}
	x.rest = append(x.rest, b...)
}

func (x *xxh64) stripe(b []byte) {
	for i := range x.lanes {
		x.lanes[i] = round(x.lanes[i], binary.LittleEndian.Uint64(b[8*i:]))
	}
}

func round(lane, input uint64) uint64 {
	return bits.RotateLeft64(lane+input*prime2, 31) * prime1
}

func (x *xxh64) sum() uint64 {
	h := prime5
	if x.total >= 32 {
		h = bits.RotateLeft64(x.lanes[0], 1) + bits.RotateLeft64(x.lanes[1], 7) + bits.RotateLeft64(x.lanes[2], 12) + bits.RotateLeft64(x.lanes[3], 18)
		for _, lane := range x.lanes {
			h = (h^round(0, lane))*prime1 + prime4
		}
	}
	h += x.total
	b := x.rest
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^round(0, binary.LittleEndian.Uint64(b)), 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, v := range b {
		h = bits.RotateLeft64(h^uint64(v)*prime5, 11) * prime1
	}
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
