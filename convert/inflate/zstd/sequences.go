package zstd

import (
	"bufio"
	"io"
)

// kinds of codes of a sequence, in the order of their tables.
const (
	literalLengths = iota
	offsets
	matchLengths
)

// Bits behind each code of a literal length and of a match; the lengths of a code begin where those of the one before end.
var (
	literalBits = [36]uint8{16: 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	matchBits   = [53]uint8{32: 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
)

// maxOffsetCode is that of offsets from 128 to 256 MB.
const maxOffsetCode = 27

// rule says of one kind the largest code, the most bits of a state, and the table where a block has none of its own.
type rule struct {
	codes, bits int
	given       table
}

func newDecoder(dst io.Writer, src io.Reader, window int) *decoder {
	return &decoder{
		src: bufio.NewReader(src), dst: dst, most: uint64(min(window, 1<<maxOffsetCode)),
		literalBase: bases(literalBits[:], 0), matchBase: bases(matchBits[:], 3),
		rules: [3]rule{
			literalLengths: {35, 9, fixed(6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1)},
			offsets:        {31, 8, fixed(5, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1)},
			matchLengths: {52, 9, fixed(6, 1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
				1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1)},
		},
	}
}

func bases(bits []uint8, from int) []int {
	all := make([]int, len(bits))
	for i, n := range bits {
		all[i] = from
		from += 1 << n
	}
	return all
}

// sequences reads the rest of a block, copies of literals and of content that came before, and makes the content of it.
func (d *decoder) sequences(b []byte) error {
	if len(b) == 0 {
		return errShort
	}
	count, used := int(b[0]), 1
	switch {
	case count >= 128 && len(b) < 3:
		return errShort
	case count == 255:
		count, used = int(b[1])+int(b[2])<<8+0x7f00, 3
	case count >= 128:
		count, used = (count-128)<<8+int(b[1]), 2
	}
	b = b[used:]
	if count == 0 {
		if len(b) > 0 {
			return corrupt("a block goes on after its literals")
		}
		d.out = append(d.out, d.literals...)
		return nil
	}
	if len(b) == 0 {
		return errShort
	}
	modes := b[0]
	b = b[1:]
	if modes&3 != 0 {
		return corrupt("reserved bits of a block are set")
	}
	for i := range d.tables {
		n, err := d.readTable(i, modes>>(6-2*i)&3, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return d.execute(b, count)
}

// readTable reads or chooses the table of one kind and returns how many bytes it takes.
func (d *decoder) readTable(kind int, mode byte, b []byte) (int, error) {
	rule, own := &d.rules[kind], &d.own[kind]
	switch mode {
	case 0:
		d.tables[kind] = &rule.given
		return 0, nil
	case 1: // always the same code
		if len(b) == 0 {
			return 0, errShort
		}
		if int(b[0]) > rule.codes {
			return 0, corrupt("code %d of %d", b[0], rule.codes)
		}
		own.bits, own.states = 0, append(own.states[:0], state{symbol: b[0]})
		d.tables[kind] = own
		return 1, nil
	case 2:
		n, err := own.read(b, rule.codes, rule.bits)
		d.tables[kind] = own
		return n, err
	}
	if d.tables[kind] == nil {
		return 0, corrupt("a block goes on with a table that no block before it has")
	}
	return 0, nil
}

// execute makes the content of count sequences, and of the literals that remain.
func (d *decoder) execute(b []byte, count int) error {
	bits, err := newBits(b)
	if err != nil {
		return err
	}
	lit, off, match := d.tables[literalLengths], d.tables[offsets], d.tables[matchLengths]
	l, o, m := bits.read(lit.bits), bits.read(off.bits), bits.read(match.bits)
	literals, start := d.literals, len(d.out)
	for i := range count {
		ls, os, ms := lit.states[l], off.states[o], match.states[m]
		if os.symbol > maxOffsetCode {
			return corrupt("a match more than %d MB back", 1<<maxOffsetCode>>20)
		}
		value := 1<<os.symbol + int(bits.read(int(os.symbol)))
		length := d.matchBase[ms.symbol] + int(bits.read(int(matchBits[ms.symbol])))
		copied := d.literalBase[ls.symbol] + int(bits.read(int(literalBits[ls.symbol])))
		if i+1 < count {
			l = uint64(ls.base) + bits.read(int(ls.bits))
			m = uint64(ms.base) + bits.read(int(ms.bits))
			o = uint64(os.base) + bits.read(int(os.bits))
		}
		if bits.left < 0 {
			return errShort
		}
		offset := d.offset(value, copied == 0)
		done := len(d.out) - start
		if copied > len(literals) || done+copied+length > d.blockMax {
			return corrupt("a sequence of %d literals and a match of %d bytes", copied, length)
		}
		d.out = append(d.out, literals[:copied]...)
		literals = literals[copied:]
		if offset < 1 || uint64(offset) > min(uint64(d.window), d.total+uint64(done+copied)) {
			return corrupt("a match %d bytes back", offset)
		}
		from := len(d.out) - offset
		for length > 0 { // a match that overlaps itself repeats its beginning
			n := min(length, len(d.out)-from)
			d.out = append(d.out, d.out[from:from+n]...)
			length -= n
		}
	}
	if bits.left != 0 {
		return corrupt("%d bits are left behind the sequences of a block", bits.left)
	}
	if len(d.out)-start+len(literals) > d.blockMax {
		return corrupt("a block has more content than %d bytes", d.blockMax)
	}
	d.out = append(d.out, literals...)
	return nil
}

// offset is how far back a match lies: value - 3, or for 1 to 3 one of the last offsets, the next one if there are no literals before it.
func (d *decoder) offset(value int, noLiterals bool) int {
	r := &d.recent
	if value > 3 {
		*r = [3]int{value - 3, r[0], r[1]}
		return r[0]
	}
	if noLiterals {
		value++
	}
	switch value {
	case 1:
	case 2:
		r[0], r[1] = r[1], r[0]
	case 3:
		*r = [3]int{r[2], r[0], r[1]}
	default:
		*r = [3]int{r[0] - 1, r[0], r[1]}
	}
	return r[0]
}
