package bergamot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate"
)

// A lexical shortlist, little-endian:
//
//	u64 magic, u64 checksum of what follows, u64 first, u64 best, u64 offsets, u64 ids
//	offsets × u64, ids × u32
//
// Source word w may become one of ids[offset[w]:offset[w+1]], or of the first most frequent words.
// Sources: browsermt/marian-dev src/data/shortlist.h and .cpp, src/common/hash.h; slimt/Shortlist.cc and slimt/Utils.hh.
const (
	shortlistMagic  = 0xF11A48D5013417F5
	shortlistHeader = 48
	maxShortlist    = 256 << 20 // of the largest published ones, 64,000 words have 10 MB
)

// Shortlist says which target words a source word may become.
type Shortlist struct {
	First   int      // the most frequent target words, which may always come: ids below it
	Best    int      // words a source word at most
	Offsets []uint32 // [source words + 1]
	IDs     []uint32
}

// OpenShortlist reads a whole shortlist and checks it against the sizes of the vocabularies.
func OpenShortlist(path string, source, target int) (*Shortlist, error) {
	file, err := OpenPacked(path, "")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readShortlist(path, file, source, target)
}

func readShortlist(path string, file *inflate.Plain, source, target int) (*Shortlist, error) {
	fail := func(offset int64, format string, args ...any) (*Shortlist, error) {
		return nil, checkpoint.Errorf(path, "", offset, "copy or download it again", format, args...)
	}
	if file.Size < shortlistHeader {
		return fail(0, "has %d bytes, a shortlist has %d before its lists", file.Size, shortlistHeader)
	}
	if file.Size > maxShortlist {
		return fail(0, "has %d bytes, more than any shortlist", file.Size)
	}
	in := &words{in: bufio.NewReaderSize(io.NewSectionReader(file, 0, file.Size), 1<<16)}
	magic, sum := in.u64(), in.u64()
	in.sum = 0
	first, best, offsets, ids := in.u64(), in.u64(), in.u64(), in.u64()
	body := uint64(file.Size - shortlistHeader)
	switch {
	case in.err != nil:
		return nil, &checkpoint.Error{File: path, Offset: 0, Reason: "could not read", Err: in.err}
	case magic != shortlistMagic:
		return nil, &checkpoint.Error{File: path, Offset: 0, Reason: "is not a binary shortlist", Do: "give the lex.*.s2t.bin of the model, not its text form"}
	case offsets > body/8 || ids > body/4 || offsets*8+ids*4 != body:
		return fail(32, "claims %d offsets and %d ids, which do not make its %d bytes", offsets, ids, file.Size)
	}
	s := &Shortlist{First: int(min(first, uint64(target))), Best: int(min(best, math.MaxInt32)), Offsets: make([]uint32, offsets), IDs: make([]uint32, ids)}
	// What is wrong with the numbers counts only if the checksum is right: else they are damaged.
	var bad error
	for i := range s.Offsets {
		v := in.u64()
		if bad == nil && (v > ids || i > 0 && v < uint64(s.Offsets[i-1]) || i == 0 && v != 0 || i == len(s.Offsets)-1 && v != ids) {
			_, bad = fail(shortlistHeader+8*int64(i), "offset %d is %d: they must rise from 0 to %d", i, v, ids)
		}
		s.Offsets[i] = uint32(v)
	}
	for i := range s.IDs {
		s.IDs[i] = in.u32()
		if bad == nil && uint64(s.IDs[i]) >= uint64(target) {
			bad = &checkpoint.Error{File: path, Offset: shortlistHeader + 8*int64(offsets) + 4*int64(i),
				Reason: fmt.Sprintf("names target word %d, the vocabulary has %d", s.IDs[i], target), Do: "it belongs to another model"}
		}
	}
	switch {
	case in.err != nil:
		return nil, &checkpoint.Error{File: path, Offset: shortlistHeader, Reason: "could not read", Err: in.err}
	case sum != in.sum:
		return fail(8, "the checksum does not match: %#x is stored, the content has %#x", sum, in.sum)
	case offsets != uint64(source)+1:
		return nil, &checkpoint.Error{File: path, Offset: 32, Reason: fmt.Sprintf("has lists for %d source words, the vocabulary has %d", max(offsets, 1)-1, source),
			Do: "it belongs to another model"}
	case first > 1<<31 || best > 1<<31:
		return fail(16, "the numbers of frequent words %d and of words a list %d are out of range", first, best)
	case bad != nil:
		return nil, bad
	}
	return s, nil
}

// words reads numbers and sums them up: boost's hash_combine over whole 64-bit words; an odd id at the end is not counted.
type words struct {
	in  *bufio.Reader
	sum uint64
	low uint32 // an id that is half of a word
	odd bool   // whose other half comes next
	err error
}

func (w *words) u64() uint64 {
	var b [8]byte
	if _, err := io.ReadFull(w.in, b[:]); err != nil && w.err == nil {
		w.err = err
	}
	v := binary.LittleEndian.Uint64(b[:])
	w.add(v)
	return v
}

func (w *words) add(v uint64) { w.sum ^= v + 0x9e3779b9 + w.sum<<6 + w.sum>>2 }

func (w *words) u32() uint32 {
	var b [4]byte
	if _, err := io.ReadFull(w.in, b[:]); err != nil && w.err == nil {
		w.err = err
	}
	v := binary.LittleEndian.Uint32(b[:])
	if w.odd {
		w.add(uint64(v)<<32 | uint64(w.low))
	}
	w.low, w.odd = v, !w.odd
	return v
}

func isPathError(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p)
}
