package zstd

import "math/bits"

const (
	maxHuffmanBits = 11
	maxWeightBits  = 6 // of a state of the table for weights
)

// huffman decodes literals: the next bits of a stream are the index of an entry.
type huffman struct {
	bits    int // of an index; 0: there is no code yet
	entries [1 << maxHuffmanBits]struct{ symbol, bits uint8 }
	weights table
}

// read reads the code, given by weights of symbols, and returns how many bytes it takes.
func (h *huffman) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, errShort
	}
	var weights [256]uint8
	head, b, n := int(b[0]), b[1:], 0
	used := head
	if head >= 128 { // four bits each
		n = head - 127
		if used = (n + 1) / 2; used > len(b) {
			return 0, errShort
		}
		for i := range n {
			weights[i] = b[i/2] >> (4 - 4*(i%2)) & 15
		}
	} else {
		if used > len(b) {
			return 0, errShort
		}
		var err error
		if n, err = h.readWeights(weights[:255], b[:used]); err != nil {
			return 0, err
		}
	}
	return 1 + used, h.build(weights[:], n)
}

// readWeights reads weights that are packed with a table of their own, by two states in turns, until the stream has ended.
func (h *huffman) readWeights(weights []uint8, b []byte) (n int, err error) {
	used, err := h.weights.read(b, 255, maxWeightBits)
	if err != nil {
		return 0, err
	}
	r, err := newBits(b[used:])
	if err != nil {
		return 0, err
	}
	t := &h.weights
	var now [2]uint64
	now[0], now[1] = r.read(t.bits), r.read(t.bits)
	if r.left < 0 {
		return 0, errShort
	}
	for turn := 0; ; turn ^= 1 {
		if n+2 > len(weights) {
			return 0, corrupt("a code of more than 256 symbols")
		}
		s := t.states[now[turn]]
		weights[n] = s.symbol
		n++
		now[turn] = uint64(s.base) + r.read(int(s.bits))
		if r.left < 0 { // the other state has the last one
			weights[n] = t.states[now[turn^1]].symbol
			return n + 1, nil
		}
	}
}

// build makes the entries: a symbol of weight w has 2^(w-1) of them. The weight of the symbol after the last makes them complete.
func (h *huffman) build(weights []uint8, n int) error {
	total := 0
	for _, w := range weights[:n] {
		if w > maxHuffmanBits {
			return corrupt("a code of more than %d bits", maxHuffmanBits)
		}
		total += 1 << w >> 1
	}
	size := bits.Len(uint(total))
	missing := 1<<size - total
	if total == 0 || size > maxHuffmanBits || missing&(missing-1) != 0 {
		return corrupt("a code that is not complete")
	}
	weights[n] = uint8(bits.Len(uint(missing)))
	h.bits = size
	at := 0
	for w := 1; w <= size; w++ {
		for s, weight := range weights[:n+1] {
			if int(weight) != w {
				continue
			}
			for range 1 << (w - 1) {
				h.entries[at].symbol, h.entries[at].bits = uint8(s), uint8(size+1-w)
				at++
			}
		}
	}
	return nil
}

// decode fills dst from a stream that must have just as many symbols.
func (h *huffman) decode(dst, b []byte) error {
	r, err := newBits(b)
	if err != nil {
		return err
	}
	for i := range dst {
		e := &h.entries[r.peek(h.bits)]
		dst[i] = e.symbol
		r.left -= int(e.bits)
	}
	if r.left != 0 {
		return corrupt("a stream of literals has too few bits, or too many")
	}
	return nil
}
