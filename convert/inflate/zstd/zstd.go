// Package zstd decodes Zstandard (RFC 8878): frames with or without checksums, no dictionaries. It is a tenth of the library that
// the tests compare it with, and needs no random numbers. It reads from top to bottom:
//
//	Decode -> frame -> block -> literals (huffman.go) -> sequences (fse.go gives their tables) -> execute
package zstd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	magic          = 0xfd2fb528
	skippableMagic = 0x184d2a50 // and the 15 after it
	maxBlock       = 128 << 10
)

// ErrWindow is returned for a frame that refers further back than Decode was told to remember.
var ErrWindow = errors.New("window size exceeded")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("corrupt zstd data: "+format, args...)
}

// Decode writes the content of all frames of src to dst. It holds at most window bytes and two blocks of a frame at a time, and no
// more than about the content has. Errors: ErrWindow; io.ErrUnexpectedEOF for a stream that was cut; those of src and dst; others for
// what is corrupt.
func Decode(dst io.Writer, src io.Reader, window int) error {
	d := newDecoder(dst, src, window)
	for {
		var head [4]byte
		if _, err := io.ReadFull(d.src, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return unexpected(err)
		}
		var err error
		switch m := binary.LittleEndian.Uint32(head[:]); {
		case m == magic:
			err = d.frame()
		case m&^15 == skippableMagic:
			err = d.skip()
		default:
			err = corrupt("a frame starts with %08x", m)
		}
		if err != nil {
			return err
		}
	}
}

// decoder is the state of a frame, and memory that the next one takes over.
type decoder struct {
	src  *bufio.Reader
	dst  io.Writer
	most uint64 // bytes that a window may have

	window, blockMax int
	total            uint64 // bytes of the frame that were decoded
	out              []byte // the last of them, a window or more if there are as many
	packed, literals []byte // of a block
	huffman          huffman
	tables           [3]*table // of the block before: literal lengths, offsets, match lengths
	own              [3]table
	recent           [3]int // offsets
	rules            [3]rule
	literalBase      []int
	matchBase        []int
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// number reads an integer of n bytes.
func (d *decoder) number(n int) (v uint64, err error) {
	var b [8]byte
	_, err = io.ReadFull(d.src, b[:n])
	return binary.LittleEndian.Uint64(b[:]), unexpected(err)
}

func (d *decoder) skip() error {
	size, err := d.number(4)
	if err == nil {
		_, err = io.CopyN(io.Discard, d.src, int64(size))
	}
	return unexpected(err)
}

func (d *decoder) frame() error {
	flags, err := d.number(1)
	if err != nil {
		return err
	}
	if flags&8 != 0 {
		return corrupt("a reserved bit of a frame is set")
	}
	single, checked := flags&0x20 != 0, flags&4 != 0
	window := uint64(0)
	if !single {
		b, err := d.number(1)
		if err != nil {
			return err
		}
		base := uint64(1) << (10 + b>>3)
		window = base + base/8*(b&7)
	}
	if dictionary, err := d.number([]int{0, 1, 2, 4}[flags&3]); err != nil {
		return err
	} else if dictionary != 0 {
		return fmt.Errorf("it needs the dictionary %d", dictionary)
	}
	sizeBytes := []int{0, 2, 4, 8}[flags>>6]
	if single && sizeBytes == 0 {
		sizeBytes = 1
	}
	size, err := d.number(sizeBytes)
	if err != nil {
		return err
	}
	if sizeBytes == 2 {
		size += 256
	}
	if single {
		window = size
	}
	if window > d.most {
		return ErrWindow
	}
	d.window, d.blockMax = int(window), int(min(window, maxBlock))
	d.total, d.out, d.recent = 0, d.out[:0], [3]int{1, 4, 8}
	d.huffman.bits, d.tables = 0, [3]*table{}
	sum := newSum()
	for last := false; !last; {
		start := len(d.out)
		if start > d.window+maxBlock { // what is older than the window goes
			d.out = d.out[:copy(d.out, d.out[start-d.window:])]
			start = d.window
		}
		if last, err = d.block(); err != nil {
			return err
		}
		content := d.out[start:]
		if d.total += uint64(len(content)); sizeBytes > 0 && d.total > size {
			return corrupt("a frame has more content than the %d bytes that it says", size)
		}
		if checked {
			sum.write(content)
		}
		if _, err := d.dst.Write(content); err != nil {
			return err
		}
	}
	if sizeBytes > 0 && d.total != size {
		return corrupt("a frame has %d bytes of content and says %d", d.total, size)
	}
	if checked {
		if want, err := d.number(4); err != nil {
			return err
		} else if uint32(want) != uint32(sum.sum()) {
			return corrupt("the checksum does not match")
		}
	}
	return nil
}

// room makes sure that n bytes can be appended to the content: what a frame says of its window is not believed before there is a
// megabyte of content.
func (d *decoder) room(n int) {
	need := len(d.out) + n
	if need <= cap(d.out) {
		return
	}
	size := max(2*cap(d.out), need)
	if size > 1<<20 {
		size = max(d.window+2*maxBlock, need)
	}
	d.out = append(make([]byte, 0, size), d.out...)
}

func (d *decoder) block() (last bool, err error) {
	head, err := d.number(3)
	if err != nil {
		return false, err
	}
	last = head&1 != 0
	kind, size := head>>1&3, int(head>>3)
	if kind == 3 {
		return false, corrupt("a block of the reserved kind")
	}
	if size > d.blockMax {
		return false, corrupt("a block of %d bytes in a frame with a window of %d", size, d.window)
	}
	switch kind {
	case 0: // as it is
		d.room(size)
		n := len(d.out)
		d.out = d.out[:n+size]
		_, err = io.ReadFull(d.src, d.out[n:])
		return last, unexpected(err)
	case 1: // one byte again and again
		b, err := d.src.ReadByte()
		d.room(size)
		for range size {
			d.out = append(d.out, b)
		}
		return last, unexpected(err)
	}
	if cap(d.packed) < size {
		d.packed = make([]byte, size)
	}
	packed := d.packed[:size]
	if _, err := io.ReadFull(d.src, packed); err != nil {
		return false, unexpected(err)
	}
	d.room(d.blockMax)
	rest, err := d.readLiterals(packed)
	if err != nil {
		return false, err
	}
	return last, d.sequences(rest)
}

var errShort = corrupt("a block ends too soon")

// readLiterals fills d.literals and returns what follows them in the block.
func (d *decoder) readLiterals(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	kind, format := b[0]&3, b[0]>>2&3
	bytes, bits := [...]int{1, 2, 1, 3}[format], 0
	if kind >= 2 {
		bytes, bits = [...]int{3, 3, 4, 5}[format], [...]int{10, 10, 14, 18}[format]
	}
	if len(b) < bytes {
		return nil, errShort
	}
	var full [8]byte
	copy(full[:], b[:bytes])
	head := binary.LittleEndian.Uint64(full[:])
	b = b[bytes:]
	if kind < 2 {
		size := int(head >> 3)
		if bytes > 1 {
			size = int(head >> 4)
		}
		stored := size
		if kind == 1 { // one byte again and again
			stored = 1
		}
		if size > d.blockMax || stored > len(b) {
			return nil, errShort
		}
		d.growLiterals(size)
		copy(d.literals, b[:min(stored, size)])
		if kind == 1 {
			for i := range d.literals {
				d.literals[i] = b[0]
			}
		}
		return b[stored:], nil
	}
	mask := uint64(1)<<bits - 1
	size, packed := int(head>>4&mask), int(head>>(4+bits)&mask)
	if size > d.blockMax || packed > len(b) {
		return nil, errShort
	}
	d.growLiterals(size)
	data, rest := b[:packed], b[packed:]
	if kind == 2 {
		n, err := d.huffman.read(data)
		if err != nil {
			return nil, err
		}
		data = data[n:]
	} else if d.huffman.bits == 0 {
		return nil, corrupt("a block goes on with codes that no block before it has")
	}
	if format == 0 {
		return rest, d.huffman.decode(d.literals, data)
	}
	// Four streams, the sizes of three of them first.
	if len(data) < 6 || size < 6 {
		return nil, errShort
	}
	sizes, data := data[:6], data[6:]
	part := (size + 3) / 4
	for i := range 4 {
		stream, to := len(data), d.literals[min(i*part, size):min((i+1)*part, size)]
		if i < 3 {
			stream = int(binary.LittleEndian.Uint16(sizes[2*i:]))
		}
		if stream > len(data) {
			return nil, errShort
		}
		if err := d.huffman.decode(to, data[:stream]); err != nil {
			return nil, err
		}
		data = data[stream:]
	}
	return rest, nil
}

func (d *decoder) growLiterals(size int) {
	if cap(d.literals) < size {
		d.literals = make([]byte, size)
	}
	d.literals = d.literals[:size]
}
