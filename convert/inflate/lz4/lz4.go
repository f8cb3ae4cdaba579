// Package lz4 reads LZ4 frames, the format of .lz4 files.
//
// Written here and not taken from a library because it is one page: a well-kept one adds its assembly for four
// architectures and 64 KB to a program that has to stay under 6 MB.
// Source: the LZ4 frame and block format descriptions, versions 1.6.4 and 1.5.1 (lz4/doc).
package lz4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// window is how far back a match may reach.
const window = 1 << 16

// Reader decompresses a frame, or several one after the other. It needs the last 64 KB and a block of at most 4 MB.
type Reader struct {
	src io.Reader
	err error

	buf    []byte // what was decompressed: the window, then the block that is being read
	at     int    // of the next byte to give
	packed []byte // of one block

	frames      int
	inFrame     bool
	independent bool // blocks do not reach into the one before
	blockSum    bool
	contentSum  bool
	maxBlock    int
	size        int64 // of the frame's content, or -1
	total       int64 // of the frame so far
	sum         xxh32
}

// NewReader returns a Reader of src. What is wrong with src is said by the first Read.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

func (r *Reader) Read(dst []byte) (int, error) {
	for r.at == len(r.buf) && r.err == nil {
		if r.err = r.more(); r.err == io.EOF && (r.inFrame || r.frames == 0) {
			r.err = io.ErrUnexpectedEOF
		}
	}
	if r.at == len(r.buf) {
		return 0, r.err
	}
	n := copy(dst, r.buf[r.at:])
	r.at += n
	return n, nil
}

// more brings the next block, or the header of the next frame.
func (r *Reader) more() error {
	if !r.inFrame {
		return r.header()
	}
	word, err := r.word()
	if err != nil {
		return err
	}
	if word == 0 {
		return r.end()
	}
	stored, size := word>>31 == 1, int(word&(1<<31-1))
	if size > r.maxBlock {
		return fmt.Errorf("lz4: a block of %d bytes where %d are the most", size, r.maxBlock)
	}
	if cap(r.packed) < size {
		r.packed = make([]byte, size)
	}
	packed := r.packed[:size]
	if err := r.full(packed); err != nil {
		return err
	}
	if r.blockSum {
		sum, err := r.word()
		if err != nil {
			return err
		}
		if x := newXXH32().write(packed); x.sum() != sum {
			return errors.New("lz4: a block has another checksum than it should have")
		}
	}
	// Keep the window, drop what lies before it.
	keep := 0
	if !r.independent {
		keep = min(len(r.buf), window)
	}
	to := r.buf[:0]
	if cap(to) < window+r.maxBlock {
		to = make([]byte, 0, window+r.maxBlock)
	}
	r.buf = append(to, r.buf[len(r.buf)-keep:]...)
	r.at = keep
	if stored {
		r.buf = append(r.buf, packed...)
	} else if r.buf, err = block(r.buf, packed, keep+r.maxBlock); err != nil {
		return err
	}
	r.total += int64(len(r.buf) - r.at)
	if r.contentSum {
		r.sum.write(r.buf[r.at:])
	}
	return nil
}

// end checks what follows the last block.
func (r *Reader) end() error {
	r.inFrame = false
	if r.size >= 0 && r.total != r.size {
		return fmt.Errorf("lz4: %d bytes where %d were announced", r.total, r.size)
	}
	if r.contentSum {
		sum, err := r.word()
		if err != nil {
			return err
		}
		if r.sum.sum() != sum {
			return errors.New("lz4: the content has another checksum than it should have")
		}
	}
	return nil
}

func (r *Reader) header() error {
	var b [15]byte
	if n, err := io.ReadFull(r.src, b[:4]); err != nil {
		if n == 0 && r.frames > 0 {
			return io.EOF
		}
		return io.ErrUnexpectedEOF
	}
	magic := binary.LittleEndian.Uint32(b[:])
	if magic&^15 == 0x184d2a50 { // a frame for other purposes, to be skipped
		size, err := r.word()
		if err == nil {
			r.frames++
			_, err = io.CopyN(io.Discard, r.src, int64(size))
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if magic != 0x184d2204 {
		return errors.New("lz4: this is not a frame")
	}
	if err := r.full(b[:2]); err != nil {
		return err
	}
	flags, n := b[0], 2
	switch {
	case flags>>6 != 1:
		return fmt.Errorf("lz4: version %d of the format is not known", flags>>6)
	case flags&1 != 0:
		return errors.New("lz4: the frame needs a dictionary that is not in it")
	case flags&2 != 0 || b[1]&0x8f != 0 || b[1]>>4 < 4:
		return errors.New("lz4: the header sets bits that have no meaning")
	}
	r.independent, r.blockSum, r.contentSum = flags&0x20 != 0, flags&0x10 != 0, flags&4 != 0
	r.maxBlock = 1 << (8 + 2*(b[1]>>4)) // 4: 64 KB, 5: 256 KB, 6: 1 MB, 7: 4 MB
	if r.size = -1; flags&8 != 0 {
		n += 8
	}
	if err := r.full(b[2 : n+1]); err != nil {
		return err
	}
	if n == 10 {
		r.size = int64(binary.LittleEndian.Uint64(b[2:]))
	}
	if x := newXXH32().write(b[:n]); byte(x.sum()>>8) != b[n] {
		return errors.New("lz4: the header has another checksum than it should have")
	}
	r.inFrame, r.total, r.sum = true, 0, *newXXH32()
	r.buf, r.at = r.buf[:0], 0
	r.frames++
	return nil
}

func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.src, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (r *Reader) word() (uint32, error) {
	var b [4]byte
	err := r.full(b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}

var errBlock = errors.New("lz4: a block is damaged")

// block appends what src stands for to dst, whose content matches may reach into, up to limit bytes in all.
func block(dst, src []byte, limit int) ([]byte, error) {
	length := func(n int) (int, bool) { // 15 is continued in bytes that add up to the first below 255
		if n != 15 {
			return n, true
		}
		for len(src) > 0 {
			b := src[0]
			src = src[1:]
			if n += int(b); b != 255 {
				return n, true
			}
		}
		return 0, false
	}
	for {
		if len(src) == 0 {
			return dst, errBlock
		}
		token := src[0]
		src = src[1:]
		n, ok := length(int(token >> 4))
		if !ok || n > len(src) || n > limit-len(dst) {
			return dst, errBlock
		}
		dst = append(dst, src[:n]...)
		src = src[n:]
		if len(src) == 0 { // the last sequence has no match
			return dst, nil
		}
		if len(src) < 2 {
			return dst, errBlock
		}
		offset := int(src[0]) | int(src[1])<<8
		src = src[2:]
		n, ok = length(int(token & 15))
		n += 4
		if !ok || offset == 0 || offset > len(dst) || n > limit-len(dst) {
			return dst, errBlock
		}
		for n > 0 { // a match may overlap what it makes
			from := len(dst) - offset
			part := dst[from:min(from+n, len(dst))]
			dst = append(dst, part...)
			n -= len(part)
		}
	}
}
