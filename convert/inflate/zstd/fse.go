package zstd

import (
	"encoding/binary"
	"math/bits"
)

// table decodes symbols by finite states: a state stands for a symbol, and with some bits leads to the next.
type table struct {
	bits   int // of a state
	states []state
}

type state struct {
	symbol, bits uint8
	base         uint16
}

// read reads a table of symbols up to most, with at most maxBits bits a state, and returns how many bytes it takes.
func (t *table) read(b []byte, most, maxBits int) (int, error) {
	at := 0 // in bits
	take := func(n int) int {
		v := 0
		for i := range n {
			if p := (at + i) / 8; p < len(b) {
				v |= int(b[p]>>((at+i)%8)&1) << i
			}
		}
		at += n
		return v
	}
	size := take(4) + 5
	if size > maxBits {
		return 0, corrupt("a table of %d bits, there may be %d", size, maxBits)
	}
	var counts [256]int16
	n := 0
	for left := 1 << size; left > 0; {
		if n > most || at > 8*len(b) {
			return 0, corrupt("a table of more than %d symbols, or one that was cut", most+1)
		}
		width := bits.Len(uint(left + 1))
		value := take(width)
		low := 1<<(width-1) - 1
		short := 1<<width - 2 - left // so many values need a bit less
		if value&low < short {
			at--
			value &= low
		} else if value > low {
			value -= short
		}
		count := value - 1 // -1 is for less than one state
		if left -= max(count, -count); left < 0 {
			return 0, corrupt("a table of too many states")
		}
		counts[n] = int16(count)
		n++
		for repeat := 3; count == 0 && repeat == 3; n += repeat {
			if repeat = take(2); n+repeat > most+1 {
				return 0, corrupt("a table of more than %d symbols", most+1)
			}
		}
	}
	if at > 8*len(b) {
		return 0, errShort
	}
	t.build(size, counts[:n])
	return (at + 7) / 8, nil
}

// fixed is a table that the format gives.
func fixed(size int, counts ...int16) (t table) {
	t.build(size, counts)
	return t
}

// build spreads the symbols over the states. Those that are too rare for one get the last.
func (t *table) build(size int, counts []int16) {
	t.bits = size
	total := 1 << size
	if cap(t.states) < total {
		t.states = make([]state, total)
	}
	t.states = t.states[:total]
	var next [256]uint16
	last := total - 1
	for s, count := range counts {
		if next[s] = uint16(count); count == -1 {
			next[s] = 1
			t.states[last].symbol = uint8(s)
			last--
		}
	}
	at, step := 0, total>>1+total>>3+3
	for s, count := range counts {
		for range max(count, 0) {
			t.states[at].symbol = uint8(s)
			for at = (at + step) & (total - 1); at > last; {
				at = (at + step) & (total - 1)
			}
		}
	}
	for i := range t.states {
		s := &t.states[i]
		n := next[s.symbol]
		next[s.symbol]++
		s.bits = uint8(size - bits.Len16(n) + 1)
		s.base = n<<s.bits - uint16(total)
	}
}

// bitReader reads a stream from its end; behind its beginning there are zeros, and left is below 0.
type bitReader struct {
	data []byte
	left int // bits
}

// newBits starts at the highest bit of the last byte that is set, which only marks the end.
func newBits(b []byte) (bitReader, error) {
	if len(b) == 0 || b[len(b)-1] == 0 {
		return bitReader{}, corrupt("a stream of bits without an end")
	}
	return bitReader{b, 8*len(b) - 9 + bits.Len8(b[len(b)-1])}, nil
}

// peek gives the next n bits, at most 32.
func (r *bitReader) peek(n int) uint64 {
	at := r.left - n
	if at >= 0 && at>>3+8 <= len(r.data) {
		return binary.LittleEndian.Uint64(r.data[at>>3:]) >> (at & 7) & (1<<n - 1)
	}
	return r.peekEdge(at, n)
}

func (r *bitReader) peekEdge(at, n int) uint64 {
	var full [8]byte
	if at <= -n {
		return 0
	}
	copy(full[:], r.data[max(at, 0)>>3:])
	v := binary.LittleEndian.Uint64(full[:]) >> (max(at, 0) & 7)
	if at < 0 {
		v <<= -at
	}
	return v & (1<<n - 1)
}

func (r *bitReader) read(n int) uint64 {
	v := r.peek(n)
	r.left -= n
	return v
}
