package lzma

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"
)

var (
	xzMagic = []byte("\xfd7zXZ\x00")
	xzEnd   = []byte("YZ")
	errXZ   = errors.New("xz: the file is damaged")
)

// xzCheck is the checksum of a block's content.
type xzCheck struct {
	name string
	size int
	make func() hash.Hash
}

var xzChecks = map[byte]xzCheck{
	0: {"none", 0, nil},
	1: {"CRC32", 4, func() hash.Hash { return crc32.NewIEEE() }},
	4: {"CRC64", 8, func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }}, // the table is made once
}

// DecodeXZ decompresses an .xz file to dst: any number of streams and blocks, whose one filter must be LZMA2. All
// checksums are compared. Of most see DecodeAlone.
func DecodeXZ(dst io.Writer, src io.Reader, most int) error {
	in := &source{Reader: bufio.NewReaderSize(src, 1<<16)}
	d := &decoder{in: in, dict: dictionary{most: most}}
	for first := true; ; first = false {
		if !first { // zeros may follow a stream, four at a time, and then another stream
			for {
				b, err := in.Peek(4)
				if len(b) == 0 && err == io.EOF {
					return nil
				}
				if len(b) < 4 {
					return errXZ
				}
				if binary.LittleEndian.Uint32(b) != 0 {
					break
				}
				_, _ = in.Discard(4) // they were seen
			}
		}
		if err := d.stream(dst); err != nil {
			return err
		}
	}
}

// xzRecord is what the index says of a block.
type xzRecord struct{ unpadded, size uint64 }

func (d *decoder) stream(dst io.Writer) error {
	in := d.in
	var head [12]byte
	if err := in.full(head[:]); err != nil {
		return err
	}
	if !bytes.Equal(head[:6], xzMagic) || crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return errXZ
	}
	check, ok := xzChecks[head[7]]
	if head[7] == 10 && head[6] == 0 { // crypto/sha256 would bring 100 KB and 33 MB of address space to the program
		return errors.New("xz: its checksum is SHA-256: compress it with --check=crc64, the default")
	}
	if !ok || head[6] != 0 {
		return fmt.Errorf("xz: flags %#x are not known", head[6:8])
	}
	var blocks []xzRecord
	for {
		size, err := in.ReadByte()
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		b, err := d.block(dst, size, check)
		if err != nil {
			return err
		}
		blocks = append(blocks, b)
	}
	size, err := index(in, blocks)
	if err != nil {
		return err
	}
	var foot [12]byte
	if err := in.full(foot[:]); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(foot[4:10]) != binary.LittleEndian.Uint32(foot[:]) || !bytes.Equal(foot[8:10], head[6:8]) ||
		!bytes.Equal(foot[10:], xzEnd) || 4*(int64(binary.LittleEndian.Uint32(foot[4:]))+1) != size {
		return errXZ
	}
	return nil
}

// block decompresses a block whose header takes (size + 1) * 4 bytes, the first of which was read.
func (d *decoder) block(dst io.Writer, size byte, check xzCheck) (xzRecord, error) {
	in := d.in
	head := make([]byte, 4*(int(size)+1))
	head[0] = size
	if err := in.full(head[1:]); err != nil {
		return xzRecord{}, err
	}
	end := len(head) - 4
	if crc32.ChecksumIEEE(head[:end]) != binary.LittleEndian.Uint32(head[end:]) {
		return xzRecord{}, errXZ
	}
	r := bytes.NewReader(head[2:end])
	number := func(announced bool) uint64 {
		if !announced {
			return unknown
		}
		v, err := binary.ReadUvarint(r)
		if err != nil {
			return unknown - 1 // fits nothing
		}
		return v
	}
	flags := head[1]
	packed, plain := number(flags&0x40 != 0), number(flags&0x80 != 0)
	filter, length := number(true), number(true)
	bits, err := r.ReadByte()
	if flags&0x3f != 0 || filter != 0x21 {
		return xzRecord{}, errors.New("xz: it uses another filter than LZMA2: compress it without options")
	}
	if err != nil || length != 1 || bits > 40 {
		return xzRecord{}, errXZ
	}
	for r.Len() > 0 {
		if b, _ := r.ReadByte(); b != 0 {
			return xzRecord{}, errXZ
		}
	}
	dictionarySize := uint64(2|bits&1) << (bits/2 + 11)
	out := &hashing{dst: dst}
	if check.make != nil {
		out.hash = check.make()
	}
	before := in.taken
	if err := d.chunks(out, dictionarySize); err != nil {
		return xzRecord{}, err
	}
	taken := uint64(in.taken - before)
	if packed != unknown && taken != packed || plain != unknown && out.size != plain {
		return xzRecord{}, errXZ
	}
	tail := make([]byte, (4-taken%4)%4+uint64(check.size))
	if err := in.full(tail); err != nil {
		return xzRecord{}, err
	}
	padding := tail[:len(tail)-check.size]
	if len(bytes.Trim(padding, "\x00")) != 0 {
		return xzRecord{}, errXZ
	}
	if check.make != nil {
		sum := out.hash.Sum(nil)
		slices.Reverse(sum) // stored little-endian
		if !bytes.Equal(sum, tail[len(padding):]) {
			return xzRecord{}, fmt.Errorf("xz: the content has another %s than it should have", check.name)
		}
	}
	return xzRecord{uint64(len(head)) + taken + uint64(check.size), out.size}, nil
}

// hashing passes on what is written, counts and hashes it.
type hashing struct {
	dst  io.Writer
	hash hash.Hash // or nil
	size uint64
}

func (h *hashing) Write(b []byte) (int, error) {
	h.size += uint64(len(b))
	if h.hash != nil {
		h.hash.Write(b)
	}
	return h.dst.Write(b)
}

// index reads the list of blocks behind them, whose first byte was read, and gives its size.
func index(in *source, blocks []xzRecord) (int64, error) {
	sum := crc32.NewIEEE()
	sum.Write([]byte{0})
	size := int64(1)
	var err error
	take := func() byte {
		b, e := in.ReadByte()
		if e != nil && err == nil {
			err = e
		}
		sum.Write([]byte{b})
		size++
		return b
	}
	number := func() (v uint64) {
		for i := range 9 {
			b := take()
			v |= uint64(b&0x7f) << (7 * i)
			if b < 0x80 {
				break
			}
		}
		return v
	}
	if number() != uint64(len(blocks)) {
		return 0, cmp.Or(err, errXZ)
	}
	for _, b := range blocks {
		if (xzRecord{number(), number()}) != b {
			return 0, cmp.Or(err, errXZ)
		}
	}
	for size%4 != 0 {
		if take() != 0 {
			return 0, errXZ
		}
	}
	want := sum.Sum32()
	var crc [4]byte
	if e := in.full(crc[:]); e != nil || err != nil {
		return 0, cmp.Or(err, e)
	}
	if binary.LittleEndian.Uint32(crc[:]) != want {
		return 0, errXZ
	}
	return size + 4, nil
}

// chunks decompresses LZMA2: chunks that are stored or LZMA, each with its sizes.
func (d *decoder) chunks(dst io.Writer, dictionarySize uint64) error {
	in := d.in
	d.dict = dictionary{dst: dst, ring: d.dict.ring, most: d.dict.most}
	d.dict.setSize(dictionarySize)
	needDictionary, needProperties := true, true
	for {
		control, err := in.ReadByte()
		if err != nil {
			return err
		}
		if control == 0 {
			return d.dict.flush()
		}
		if control >= 0xe0 || control == 1 {
			d.dict.total = 0
			needDictionary, needProperties = false, true
		}
		if needDictionary {
			return errDamaged
		}
		var sizes [4]byte
		if control < 0x80 {
			if control > 2 {
				return errDamaged
			}
			if err := in.full(sizes[:2]); err != nil {
				return err
			}
			if err := d.stored(int(binary.BigEndian.Uint16(sizes[:])) + 1); err != nil {
				return err
			}
			continue
		}
		if err := in.full(sizes[:]); err != nil {
			return err
		}
		plain := uint64(control&0x1f)<<16 + uint64(binary.BigEndian.Uint16(sizes[:])) + 1
		packed := int64(binary.BigEndian.Uint16(sizes[2:])) + 1
		switch {
		case control >= 0xc0:
			b, err := in.ReadByte()
			if err != nil {
				return err
			}
			if err := d.setProperties(b); err != nil {
				return err
			}
			needProperties = false
		case needProperties:
			return errDamaged
		case control >= 0xa0:
			d.reset()
		}
		d.limit = packed
		if err := d.start(); err != nil {
			return err
		}
		ended, err := d.symbols(plain)
		if err != nil {
			return err
		}
		if ended || d.limit != 0 || d.code != 0 {
			return errDamaged
		}
	}
}

// stored copies n bytes.
func (d *decoder) stored(n int) error {
	for n > 0 {
		if err := d.dict.room(); err != nil {
			return err
		}
		part := d.dict.ring[d.dict.pos:min(d.dict.pos+n, len(d.dict.ring))]
		if err := d.in.full(part); err != nil {
			return err
		}
		d.dict.pos += len(part)
		d.dict.total += int64(len(part))
		n -= len(part)
	}
	return nil
}
