package text

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A double-array trie in the format of Darts-clone, which is the format of the normalizer in a SentencePiece model.
// A unit is 32 bits:
//
//	node  bits 0-7 label, 8 has a leaf, 9 scale of the offset, 10-30 offset, 31 zero
//	leaf  bits 0-30 value, 31 one
//
// The child of node i by byte c is unit i ^ offset ^ c if that unit has the label c; the leaf of node i is unit
// i ^ offset. Unit 0 is the root. No key holds a NUL, no two nodes have the same i ^ offset.
// Source: Yata, Darts-clone (BSD), as in SentencePiece 0.2.3.
const (
	unitLeaf  = 1 << 31
	unitLabel = unitLeaf | 0xFF // a leaf has no label that a byte could equal
	unitHas   = 1 << 8
)

func unitOffset(u uint32) uint32 { return u >> 10 << (u >> 6 & 8) }

// longest returns the length of the longest key that begins s, and its value; 0 if there is none. Only the first maxKeys
// keys are looked at, as SentencePiece does, and no more bytes than a piece may have: a broken trie can go in circles.
func longest(units []byte, s string, maxKeys int) (length int, value uint32) {
	if len(units) == 0 {
		return 0, 0
	}
	if len(s) > maxPieceBytes {
		s = s[:maxPieceBytes]
	}
	node := unitOffset(u32(units, 0))
	for i := 0; i < len(s); i++ {
		node ^= uint32(s[i])
		unit := u32(units, node)
		if unit&unitLabel != uint32(s[i]) {
			break
		}
		node ^= unitOffset(unit)
		if unit&unitHas != 0 {
			length, value = i+1, u32(units, node)&^unitLeaf
			if maxKeys--; maxKeys == 0 {
				break
			}
		}
	}
	return length, value
}

// checkTrie makes sure that no walk leaves the units and that every leaf holds less than limit. It returns the offset
// of the first bad unit and why it is bad.
func checkTrie(units []byte, limit int) (at int, reason string) {
	if len(units) == 0 || len(units)%1024 != 0 {
		return 0, "it must be a multiple of 1024 bytes, and not empty"
	}
	size := uint32(len(units) / 4)
	for i, rest := uint32(0), units; i < size; i, rest = i+1, rest[4:] {
		unit := binary.LittleEndian.Uint32(rest)
		if unit&unitLeaf != 0 {
			if i == 0 {
				return 0, "the root is a leaf"
			}
			if int64(unit&^unitLeaf) >= int64(limit) {
				return int(4 * i), fmt.Sprintf("a leaf holds %d, must be less than %d", unit&^unitLeaf, limit)
			}
			continue
		}
		child := i ^ unitOffset(unit)
		if child|0xFF >= size {
			return int(4 * i), "its children lie behind the end"
		}
		// units[4*child+3] holds the bit that makes it a leaf.
		if unit&unitHas != 0 && (i == 0 || units[4*child+3] < unitLeaf>>24) {
			return int(4 * i), "its leaf is none"
		}
	}
	return 0, ""
}

// trieBuilder places nodes in blocks of 256 units. Only the last openBlocks blocks are searched for free units: that
// keeps building linear, for a few percent of units never used.
type trieBuilder struct {
	keys     []string // sorted, different, not empty, without NUL
	values   []uint32
	units    []uint32
	fixed    []bool   // the unit is taken
	base     []bool   // some node's children are based here
	next     []uint32 // ring of free units in the open blocks; 0, the root, is its head
	previous []uint32
}

const openBlocks = 16

var errTrieTooBig = errors.New("the pieces are too many for one trie")

// buildTrie returns the units of a trie of the keys.
func buildTrie(keys []string, values []uint32) ([]byte, error) {
	b := &trieBuilder{keys: keys, values: values}
	b.grow()
	b.take(0)
	b.base[0] = true // a child by NUL at the root's own place cannot be
	if err := b.children(0, 0, len(keys), 0); err != nil {
		return nil, err
	}
	image := make([]byte, 0, 4*len(b.units))
	for i, unit := range b.units {
		if !b.fixed[i] {
			unit = unitLeaf // never equal to a byte, never reached as a leaf
		}
		image = binary.LittleEndian.AppendUint32(image, unit)
	}
	return image, nil
}

// children places the nodes below node, which stands for the first depth bytes of keys[low:high].
func (b *trieBuilder) children(node uint32, low, high, depth int) error {
	var labels []byte
	for i := low; i < high; i++ {
		label := byte(0)
		if len(b.keys[i]) > depth {
			label = b.keys[i][depth]
		}
		if len(labels) == 0 || labels[len(labels)-1] != label {
			labels = append(labels, label)
		}
	}
	base, err := b.place(node, labels)
	if err != nil {
		return err
	}
	relative := node ^ base
	if relative < 1<<21 {
		b.units[node] |= relative << 10
	} else {
		b.units[node] |= relative<<2 | 1<<9
	}
	for _, label := range labels {
		b.take(base ^ uint32(label))
		b.units[base^uint32(label)] = uint32(label)
	}
	if labels[0] == 0 {
		b.units[node] |= unitHas
		b.units[base] = unitLeaf | b.values[low]
		low++
	}
	for low < high {
		label, end := b.keys[low][depth], low+1
		for end < high && b.keys[end][depth] == label {
			end++
		}
		if err := b.children(base^uint32(label), low, end, depth+1); err != nil {
			return err
		}
		low = end
	}
	return nil
}

// place finds a base where all labels are free.
func (b *trieBuilder) place(node uint32, labels []byte) (uint32, error) {
	for {
	search:
		for unit := b.next[0]; unit != 0; unit = b.next[unit] {
			base := unit ^ uint32(labels[0])
			relative := node ^ base
			if b.base[base] || relative >= 1<<21 && relative&0xFF != 0 {
				continue
			}
			for _, label := range labels[1:] {
				if b.fixed[base^uint32(label)] {
					continue search
				}
			}
			b.base[base] = true
			return base, nil
		}
		if len(b.units) >= 1<<28 {
			return 0, errTrieTooBig
		}
		b.grow()
	}
}

// grow adds a block of free units and closes the oldest open block.
func (b *trieBuilder) grow() {
	start := uint32(len(b.units))
	b.units = append(b.units, make([]uint32, 256)...)
	b.fixed = append(b.fixed, make([]bool, 256)...)
	b.base = append(b.base, make([]bool, 256)...)
	b.next = append(b.next, make([]uint32, 256)...)
	b.previous = append(b.previous, make([]uint32, 256)...)
	for i := start; i < start+256; i++ {
		if i == 0 {
			continue
		}
		tail := b.previous[0]
		b.next[tail], b.previous[i] = i, tail
		b.next[i], b.previous[0] = 0, i
	}
	if start >= openBlocks*256 {
		for i := start - openBlocks*256; i < start-openBlocks*256+256; i++ {
			if i != 0 && !b.fixed[i] {
				b.unlink(i)
			}
		}
	}
}

func (b *trieBuilder) take(unit uint32) {
	b.fixed[unit] = true
	if unit != 0 {
		b.unlink(unit)
	}
}

func (b *trieBuilder) unlink(unit uint32) {
	b.next[b.previous[unit]] = b.next[unit]
	b.previous[b.next[unit]] = b.previous[unit]
}
