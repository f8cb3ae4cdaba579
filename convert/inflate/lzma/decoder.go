// Package lzma decompresses .lzma and .xz files.
//
// Written here and not taken from a library: the well-kept one (ulikunitz/xz 0.5.17) allocates the dictionary that
// an .xz header asks for, up to 4 GB for a file of 60 bytes, and adds 256 KB to a program that has to stay under 6 MB.
// Here the dictionary grows with what was really written, and dst may end the work with an error.
//
// Source: LZMA specification (Pavlov, 2015) and The .xz File Format 1.2.1 (tukaani.org).
package lzma

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

var errDamaged = errors.New("lzma: the data is damaged")

// source counts what was taken from the input.
type source struct {
	*bufio.Reader
	taken int64
}

func (s *source) ReadByte() (byte, error) {
	b, err := s.Reader.ReadByte()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.taken++
	return b, err
}

func (s *source) full(b []byte) error {
	n, err := io.ReadFull(s.Reader, b)
	s.taken += int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// DecodeAlone decompresses a .lzma file, the format without checksums, to dst. It remembers at most as many bytes of content as most
// says, or a seventh more while that grows.
func DecodeAlone(dst io.Writer, src io.Reader, most int) error {
	in := &source{Reader: bufio.NewReaderSize(src, 1<<16)}
	var head [13]byte
	if err := in.full(head[:]); err != nil {
		return err
	}
	d := &decoder{in: in, dict: dictionary{dst: dst, most: most}}
	if err := d.setProperties(head[0]); err != nil {
		return err
	}
	d.dict.setSize(uint64(binary.LittleEndian.Uint32(head[1:])))
	size := binary.LittleEndian.Uint64(head[5:])
	d.limit = 1<<63 - 1
	if err := d.start(); err != nil {
		return err
	}
	ended, err := d.symbols(size)
	if err != nil {
		return err
	}
	if ended && size != unknown || !ended && size == unknown || d.code != 0 {
		return errDamaged
	}
	return d.dict.flush()
}

// unknown is the size of a stream that ends with a mark.
const unknown = 1<<64 - 1

// dictionary is the last bytes written, a ring that grows up to size.
type dictionary struct {
	dst   io.Writer
	ring  []byte
	pos   int   // of the next byte
	sent  int   // ring[sent:pos] has not been written to dst yet
	size  int   // what the file asks for
	most  int   // what it gets
	total int64 // bytes since the last reset
}

func (d *dictionary) setSize(size uint64) { d.size = int(min(max(size, 4096), math.MaxInt32)) }

// room makes space for one byte or more.
func (d *dictionary) room() error {
	if d.pos < len(d.ring) {
		return nil
	}
	if err := d.flush(); err != nil {
		return err
	}
	if len(d.ring) < d.size {
		limit := min(d.size, d.most)
		if len(d.ring) >= limit {
			return fmt.Errorf("lzma: it needs a dictionary of %d bytes, more than the %d that so small a file gets: compress it with level 6 or lower", d.size, d.most)
		}
		step := limit
		for _, less := range []int{limit / 8, limit / 64} { // what is left behind is hardly a seventh
			if less > len(d.ring) && less >= 1<<16 {
				step = less
			}
		}
		grown := make([]byte, step)
		copy(grown, d.ring)
		d.ring = grown
		return nil
	}
	d.pos, d.sent = 0, 0
	return nil
}

func (d *dictionary) flush() error {
	_, err := d.dst.Write(d.ring[d.sent:d.pos])
	d.sent = d.pos
	return err
}

func (d *dictionary) put(b byte) error {
	if err := d.room(); err != nil {
		return err
	}
	d.ring[d.pos] = b
	d.pos++
	d.total++
	return nil
}

// has says whether there is a byte at a distance, 1 being the last one.
func (d *dictionary) has(distance int64) bool {
	return distance <= min(d.total, int64(d.size))
}

// back gives the byte at a distance that it has.
func (d *dictionary) back(distance int) byte {
	i := d.pos - distance
	if i < 0 {
		i += len(d.ring)
	}
	return d.ring[i]
}

// repeat writes n bytes again that start distance back.
func (d *dictionary) repeat(distance, n int) error {
	for n > 0 {
		if err := d.room(); err != nil {
			return err
		}
		from := d.pos - distance
		if from < 0 {
			from += len(d.ring)
		}
		part := min(n, len(d.ring)-d.pos, len(d.ring)-from)
		if from < d.pos {
			part = min(part, distance) // an overlap repeats what it makes
		}
		copy(d.ring[d.pos:d.pos+part], d.ring[from:from+part])
		d.pos += part
		d.total += int64(part)
		n -= part
	}
	return nil
}

// decoder is the state machine: probabilities of bits, which the range coder turns into symbols.
type decoder struct {
	in    *source
	limit int64 // of compressed bytes that may still be taken
	err   error
	rng   uint32
	code  uint32
	dict  dictionary

	lc, lp, pb uint
	state      int
	rep        [4]uint32 // the last distances, less 1

	isMatch, isRep0Long              [12 << 4]uint16
	isRep, isRepG0, isRepG1, isRepG2 [12]uint16
	posSlot                          [4][64]uint16
	posSpecial                       [128]uint16
	posAlign                         [16]uint16
	matchLen, repLen                 lengths
	literals                         []uint16
}

type lengths struct {
	choice, choice2 uint16
	low, mid        [16][8]uint16
	high            [256]uint16
}

// setProperties reads the byte (pb * 5 + lp) * 9 + lc.
func (d *decoder) setProperties(b byte) error {
	if b >= 9*5*5 {
		return fmt.Errorf("lzma: %d is not a set of properties", b)
	}
	d.lc, d.lp, d.pb = uint(b%9), uint(b/9%5), uint(b/45)
	if d.lc+d.lp > 4 {
		return fmt.Errorf("lzma: lc %d and lp %d are more than 4 together, which xz does not read either", d.lc, d.lp)
	}
	d.reset()
	return nil
}

// reset makes all probabilities one half.
func (d *decoder) reset() {
	if n := 0x300 << (d.lc + d.lp); len(d.literals) != n {
		d.literals = make([]uint16, n)
	}
	d.state, d.rep = 0, [4]uint32{}
	for _, p := range [][]uint16{d.isMatch[:], d.isRep0Long[:], d.isRep[:], d.isRepG0[:], d.isRepG1[:], d.isRepG2[:], d.posSlot[0][:],
		d.posSlot[1][:], d.posSlot[2][:], d.posSlot[3][:], d.posSpecial[:], d.posAlign[:], d.literals} {
		half(p)
	}
	for _, l := range []*lengths{&d.matchLen, &d.repLen} {
		l.choice, l.choice2 = 1024, 1024
		half(l.high[:])
		for i := range l.low {
			half(l.low[i][:])
			half(l.mid[i][:])
		}
	}
}

func half(p []uint16) {
	for i := range p {
		p[i] = 1024
	}
}

// start reads the first five bytes of range-coded data.
func (d *decoder) start() error {
	first := d.next()
	d.rng, d.code = 1<<32-1, 0
	for range 4 {
		d.code = d.code<<8 | uint32(d.next())
	}
	if d.err == nil && first != 0 {
		return errDamaged
	}
	return d.err
}

// next takes one byte; after an error it gives zeros.
func (d *decoder) next() byte {
	if d.limit <= 0 {
		if d.err == nil {
			d.err = errDamaged
		}
		return 0
	}
	d.limit--
	b, err := d.in.ReadByte()
	if err != nil && d.err == nil {
		d.err = err
	}
	return b
}

func (d *decoder) normalize() {
	if d.rng < 1<<24 {
		d.rng <<= 8
		d.code = d.code<<8 | uint32(d.next())
	}
}

// bit decodes one bit and moves its probability.
func (d *decoder) bit(p *uint16) uint32 {
	d.normalize()
	bound := (d.rng >> 11) * uint32(*p)
	if d.code < bound {
		d.rng = bound
		*p += (2048 - *p) >> 5
		return 0
	}
	d.rng -= bound
	d.code -= bound
	*p -= *p >> 5
	return 1
}

// direct decodes n bits that are as likely 0 as 1.
func (d *decoder) direct(n uint) uint32 {
	var v uint32
	for range n {
		d.normalize()
		d.rng >>= 1
		b := uint32(0)
		if d.code >= d.rng {
			d.code -= d.rng
			b = 1
		}
		v = v<<1 | b
	}
	return v
}

// tree decodes a number of n bits, the highest first.
func (d *decoder) tree(p []uint16, n uint) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | d.bit(&p[m])
	}
	return m - 1<<n
}

// reverse decodes a number of n bits, the lowest first.
func (d *decoder) reverse(p []uint16, n uint) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := d.bit(&p[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

func (d *decoder) length(l *lengths, posState int) int {
	switch {
	case d.bit(&l.choice) == 0:
		return int(d.tree(l.low[posState][:], 3))
	case d.bit(&l.choice2) == 0:
		return 8 + int(d.tree(l.mid[posState][:], 3))
	}
	return 16 + int(d.tree(l.high[:], 8))
}

// distance decodes how far back a match of a length lies, less 1.
func (d *decoder) distance(length int) uint32 {
	slot := d.tree(d.posSlot[min(length, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	n := uint(slot>>1 - 1)
	v := (2 | slot&1) << n
	if slot < 14 {
		return v + d.reverse(d.posSpecial[v-slot:], n)
	}
	return v + d.direct(n-4)<<4 + d.reverse(d.posAlign[:], 4)
}

func (d *decoder) literal() byte {
	last := byte(0)
	if d.dict.total > 0 {
		last = d.dict.back(1)
	}
	context := (uint(d.dict.total)&(1<<d.lp-1))<<d.lc + uint(last)>>(8-d.lc)
	p := d.literals[0x300*context:]
	m := uint32(1)
	if d.state >= 7 { // after a match: its next byte says which bits are unlikely
		match := uint32(d.dict.back(int(d.rep[0]) + 1))
		for m < 0x100 {
			expected := match >> 7 & 1
			match <<= 1
			b := d.bit(&p[(1+expected)<<8+m])
			m = m<<1 | b
			if b != expected {
				break
			}
		}
	}
	for m < 0x100 {
		m = m<<1 | d.bit(&p[m])
	}
	return byte(m)
}

// symbols decodes size bytes, or up to the mark that ends the data; it says whether that mark came.
func (d *decoder) symbols(size uint64) (ended bool, err error) {
	for size > 0 {
		if d.err != nil {
			return false, d.err
		}
		posState := int(uint(d.dict.total) & (1<<d.pb - 1))
		if d.bit(&d.isMatch[d.state<<4+posState]) == 0 {
			if err := d.dict.put(d.literal()); err != nil {
				return false, err
			}
			switch {
			case d.state < 4:
				d.state = 0
			case d.state < 10:
				d.state -= 3
			default:
				d.state -= 6
			}
			if size != unknown {
				size--
			}
			continue
		}
		n := 0
		if d.bit(&d.isRep[d.state]) == 0 {
			n = d.length(&d.matchLen, posState)
			d.rep = [4]uint32{d.distance(n), d.rep[0], d.rep[1], d.rep[2]}
			d.after(7)
			if d.rep[0] == 1<<32-1 {
				d.normalize()
				return true, d.err
			}
			n += 2
		} else {
			n = d.again(posState)
		}
		if d.err == nil && (!d.dict.has(int64(d.rep[0])+1) || uint64(n) > size) {
			return false, errDamaged
		}
		if d.err != nil {
			return false, d.err
		}
		if err := d.dict.repeat(int(d.rep[0])+1, n); err != nil {
			return false, err
		}
		if size != unknown {
			size -= uint64(n)
		}
	}
	d.normalize()
	return false, d.err
}

// after moves the state behind a match of some kind, of which there are two: after literals and after matches.
func (d *decoder) after(state int) {
	if d.state >= 7 {
		state += 3
		if state > 11 {
			state = 11
		}
	}
	d.state = state
}

// again decodes a match at one of the last distances, and gives its length.
func (d *decoder) again(posState int) int {
	if d.bit(&d.isRepG0[d.state]) == 0 {
		if d.bit(&d.isRep0Long[d.state<<4+posState]) == 0 {
			d.after(9)
			return 1
		}
	} else {
		i := 1
		if d.bit(&d.isRepG1[d.state]) == 1 {
			i = 2 + int(d.bit(&d.isRepG2[d.state]))
		}
		distance := d.rep[i]
		copy(d.rep[1:i+1], d.rep[:i])
		d.rep[0] = distance
	}
	n := d.length(&d.repLen, posState)
	d.after(8)
	return n + 2
}
