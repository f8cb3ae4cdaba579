package modelfile

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The layout of version 1. FORMAT.md is the prose to these numbers.
const (
	magic        = "\x89EI8\r\n\x1a\n" // as PNG's: a transfer in text mode breaks it
	majorVersion = 1

	headerSize  = 32 // magic, version u32, sections u32, total u64, CRC of table u32, CRC of bytes 0..27 u32
	entrySize   = 32 // kind u32, flags u32, offset u64, size u64, CRC u32, zero u32
	recordSize  = 40 // of a tensor, before its shape and its name
	indexHeader = 8  // count u32, zero u32
	align       = 64 // of sections, and of each array of a tensor

	flagMust = 1 // a reader that does not know the kind must refuse the file

	scaleNone = 0
	scaleRow  = 1 // float32, one a row
)

// Limits on what a file may claim, far above every use, so that a hostile file costs no more than its own size in memory.
const (
	maxSections = 64
	maxTensors  = 1 << 16
	maxRank     = 8
	maxMeta     = 1 << 20
	maxName     = 255
	maxCols     = 1<<17 - 1 // N16K4: int32 sums of products are exact up to here
)

var le = binary.LittleEndian

// alignUp is n up to the next multiple of 64. n is at most a file's size, far from overflow.
func alignUp(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// section is a line of the section table.
type section struct {
	kind   Kind
	flags  uint32
	offset uint64
	size   uint64
	crc    uint32
}

func (s *section) encode(b []byte) {
	le.PutUint32(b[0:], uint32(s.kind))
	le.PutUint32(b[4:], s.flags)
	le.PutUint64(b[8:], s.offset)
	le.PutUint64(b[16:], s.size)
	le.PutUint32(b[24:], s.crc)
	le.PutUint32(b[28:], 0)
}

func decodeSection(b []byte) section {
	return section{
		kind:   Kind(le.Uint32(b[0:])),
		flags:  le.Uint32(b[4:]),
		offset: le.Uint64(b[8:]),
		size:   le.Uint64(b[16:]),
		crc:    le.Uint32(b[24:]),
	}
}

// encodeHeader writes the first 32 bytes. table is the section table as it stands in the file.
func encodeHeader(b []byte, sections int, total uint64, table []byte) {
	copy(b, magic)
	le.PutUint32(b[8:], majorVersion)
	le.PutUint32(b[12:], uint32(sections))
	le.PutUint64(b[16:], total)
	le.PutUint32(b[24:], checksum(table))
	le.PutUint32(b[28:], checksum(b[:28]))
}

// extent says where the arrays of a tensor lie in the file. A shape and a starting point allow exactly one: the reader
// computes it too, and refuses a record that says otherwise. Sizes of 0 mean that there is no such array.
type extent struct {
	data, dataSize   uint64
	scale, scaleSize uint64
	sum, sumSize     uint64
	end              uint64
}

// place computes the extent of a tensor whose data starts at the first multiple of 64 from at on. It is also the check of
// everything a spec may say apart from its name. The error is the reason without the tensor's name.
func (s *TensorSpec) place(at uint64) (e extent, err error) {
	if s.DType.Size() == 0 {
		if s.DType == I4 || s.DType > I4 {
			return e, fmt.Errorf(newer+": needs tensors of %v", s.DType)
		}
		return e, fmt.Errorf("has no type")
	}
	switch {
	case s.Layout > N16K4:
		return e, fmt.Errorf(newer+": needs tensors in %v", s.Layout)
	case s.Layout == 0:
		return e, fmt.Errorf("has no layout")
	case s.Layout == N16K4 && s.DType != I8:
		return e, fmt.Errorf("is %v in layout n16k4, which is for i8", s.DType)
	}
	if len(s.Shape) < 1 || len(s.Shape) > maxRank {
		return e, fmt.Errorf("has %d dimensions, must have 1 to %d", len(s.Shape), maxRank)
	}
	rows, cols := uint64(1), uint64(0)
	for i, d := range s.Shape {
		if d < 1 {
			return e, fmt.Errorf("has a dimension of %d, must be 1 or more", d)
		}
		if cols = uint64(d); i < len(s.Shape)-1 {
			if rows, err = mul(rows, uint64(d)); err != nil {
				return e, err
			}
		}
	}
	if s.Layout == N16K4 && cols > maxCols {
		return e, fmt.Errorf("has rows of %d elements, n16k4 allows %d", cols, maxCols)
	}
	cols = (cols + 15) &^ 15
	if s.Layout == N16K4 {
		rows = (rows + 15) &^ 15
	}
	elems, err := mul(rows, cols)
	if err != nil {
		return e, err
	}
	if e.dataSize, err = mul(elems, uint64(s.DType.Size())); err != nil {
		return e, err
	}
	// From here on no sum can overflow: each size is at most 2^48.
	e.data = alignUp(at)
	e.end = e.data + e.dataSize
	if s.DType == I8 {
		e.scale, e.scaleSize = alignUp(e.end), 4*rows
		e.end = e.scale + e.scaleSize
	}
	if s.Layout == N16K4 {
		e.sum, e.sumSize = alignUp(e.end), 4*rows
		e.end = e.sum + e.sumSize
	}
	return e, nil
}

// mul multiplies sizes, and refuses products of which no file is large enough.
func mul(a, b uint64) (uint64, error) {
	if hi, lo := bits.Mul64(a, b); hi == 0 && lo <= 1<<48 {
		return lo, nil
	}
	return 0, fmt.Errorf("has a shape of more than 2^48 bytes")
}

// appendRecord appends the index record of a tensor: fixed part, shape, name, zeros up to a multiple of 8.
func (s *TensorSpec) appendRecord(b []byte, e extent) []byte {
	scaleType := byte(scaleNone)
	if s.DType == I8 {
		scaleType = scaleRow
	}
	b = append(b, byte(len(s.Name)), byte(s.DType), byte(s.Layout), byte(len(s.Shape)), scaleType, 0, 0, 0)
	b = le.AppendUint64(b, 0) // group along K: the whole row
	b = le.AppendUint64(b, e.data)
	b = le.AppendUint64(b, e.scale)
	b = le.AppendUint64(b, e.sum)
	for _, d := range s.Shape {
		b = le.AppendUint64(b, uint64(d))
	}
	b = append(b, s.Name...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

// checkName holds tensor names to what every tool and every terminal can show.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("has no name")
	}
	if len(name) > maxName {
		return fmt.Errorf("has a name of %d bytes, %d are allowed", len(name), maxName)
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '/':
		default:
			return fmt.Errorf("has a name with the byte %#02x; letters, digits and . _ - / are allowed", c)
		}
	}
	return nil
}
