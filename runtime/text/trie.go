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

// trieKeys are the keys of a trie with their values: sorted, different, not empty, without NUL.
type trieKeys interface {
	Len() int
	key(i int) string
	value(i int) uint32
}

// trieList are keys whose values lie beside them.
type trieList struct {
	keys   []string
	values []uint32
}

func (l trieList) Len() int           { return len(l.keys) }
func (l trieList) key(i int) string   { return l.keys[i] }
func (l trieList) value(i int) uint32 { return l.values[i] }

// trieBuilder places nodes in blocks of 256 units. Only the last openBlocks blocks are searched for free units, and known of more than
// their content: that keeps building linear, for a few percent of units never used.
type trieBuilder struct {
	keys           trieKeys
	units          []byte    // a free one is a leaf: never equal to a byte, never reached
	labels         [256]byte // of the node that is being placed
	fixed          [window]bool
	base           [window]bool       // some node's children are based here
	next, previous [window + 1]uint32 // ring of free units in the open blocks; its head is unit 0, the root
}

const (
	openBlocks = 16
	window     = 2 * openBlocks * 256 // what the tables know of, by the last bits of a unit's number
	ringHead   = window
	maxUnits   = 1 << 23 // 32 MB; 256,000 pieces of many languages need a million
)

// slot is the place of a unit in the ring.
func slot(unit uint32) uint32 {
	if unit == 0 {
		return ringHead
	}
	return unit % window
}

var errTrieTooBig = errors.New("the pieces are too many for one trie")

// buildTrie returns the units of a trie of the keys, little-endian.
func buildTrie(keys trieKeys) ([]byte, error) {
	b := &trieBuilder{keys: keys}
	size := 1
	for i := range keys.Len() {
		size += len(keys.key(i)) + 1 // its leaf, and a node for each byte that the key before it does not have
		if i > 0 {
			size -= shared(keys.key(i-1), keys.key(i))
		}
	}
	if size > maxUnits {
		return nil, errTrieTooBig
	}
	b.units = make([]byte, 0, 4*(size+size/16+openBlocks*256))
	b.grow()
	b.set(0, 0)
	b.fixed[0] = true
	b.base[0] = true // a child by NUL at the root's own place cannot be
	b.children(0, 0, keys.Len(), 0)
	return b.units, nil
}

func (b *trieBuilder) set(unit, value uint32) {
	binary.LittleEndian.PutUint32(b.units[4*int(unit):], value)
}

// shared is how many bytes two strings have in common at their beginning.
func shared(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// children places the nodes below node, which stands for the first depth bytes of the keys low to high.
func (b *trieBuilder) children(node uint32, low, high, depth int) {
	labels := b.labels[:0]
	for i := low; i < high; i++ {
		label := byte(0)
		if key := b.keys.key(i); len(key) > depth {
			label = key[depth]
		}
		if len(labels) == 0 || labels[len(labels)-1] != label {
			labels = append(labels, label)
		}
	}
	base := b.place(node, labels)
	unit, relative := u32(b.units, node), node^base
	if relative < 1<<21 {
		unit |= relative << 10
	} else {
		unit |= relative<<2 | 1<<9
	}
	for _, label := range labels {
		b.take(base ^ uint32(label))
		b.set(base^uint32(label), uint32(label))
	}
	if labels[0] == 0 {
		unit |= unitHas
		b.set(base, unitLeaf|b.keys.value(low))
		low++
	}
	b.set(node, unit)
	for low < high {
		label, end := b.keys.key(low)[depth], low+1
		for end < high && b.keys.key(end)[depth] == label {
			end++
		}
		b.children(base^uint32(label), low, end, depth+1)
		low = end
	}
}

// place finds a base where all labels are free.
func (b *trieBuilder) place(node uint32, labels []byte) uint32 {
	for {
	search:
		for unit := b.next[ringHead]; unit != 0; unit = b.next[slot(unit)] {
			base := unit ^ uint32(labels[0])
			relative := node ^ base
			if b.base[base%window] || relative >= 1<<21 && relative&0xFF != 0 {
				continue
			}
			for _, label := range labels[1:] {
				if b.fixed[(base^uint32(label))%window] {
					continue search
				}
			}
			b.base[base%window] = true
			return base
		}
		b.grow()
	}
}

// grow adds a block of free units and closes the oldest open block.
func (b *trieBuilder) grow() {
	start := uint32(len(b.units) / 4)
	for i := start; i < start+256; i++ {
		b.units = binary.LittleEndian.AppendUint32(b.units, unitLeaf)
		b.fixed[i%window], b.base[i%window] = false, false
		if i == 0 {
			continue
		}
		tail := b.previous[ringHead]
		b.next[slot(tail)], b.previous[slot(i)] = i, tail
		b.next[slot(i)], b.previous[ringHead] = 0, i
	}
	if start >= openBlocks*256 {
		for i := start - openBlocks*256; i < start-openBlocks*256+256; i++ {
			if i != 0 && !b.fixed[i%window] {
				b.unlink(i)
			}
		}
	}
}

func (b *trieBuilder) take(unit uint32) {
	b.fixed[unit%window] = true
	b.unlink(unit)
}

func (b *trieBuilder) unlink(unit uint32) {
	next, previous := b.next[slot(unit)], b.previous[slot(unit)]
	b.next[slot(previous)], b.previous[slot(next)] = next, previous
}
