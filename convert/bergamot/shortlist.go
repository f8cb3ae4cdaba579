package bergamot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

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
	file, err := open(path, "")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readShortlist(path, file, source, target)
}

func readShortlist(path string, file *inflate.Plain, source, target int) (*Shortlist, error) {
	fail := func(offset int64, format string, args ...any) (*Shortlist, error) {
		return nil, &checkpoint.Error{File: path, Offset: offset, Reason: fmt.Sprintf(format, args...), Do: "copy or download it again"}
	}
	if file.Size < shortlistHeader {
		return fail(0, "has %d bytes, a shortlist has %d before its lists", file.Size, shortlistHeader)
	}
	if file.Size > maxShortlist {
		return fail(0, "has %d bytes, more than any shortlist", file.Size)
	}
	raw := make([]byte, file.Size)
	if _, err := file.ReadAt(raw, 0); err != nil {
		return nil, &checkpoint.Error{File: path, Offset: 0, Reason: "could not read", Err: err}
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at:]) }
	if u64(0) != shortlistMagic {
		return nil, &checkpoint.Error{File: path, Offset: 0, Reason: "is not a binary shortlist", Do: "give the lex.*.s2t.bin of the model, not its text form"}
	}
	first, best, offsets, ids := u64(16), u64(24), u64(32), u64(40)
	body := uint64(len(raw) - shortlistHeader)
	if offsets > body/8 || ids > body/4 || offsets*8+ids*4 != body {
		return fail(32, "claims %d offsets and %d ids, which do not make its %d bytes", offsets, ids, len(raw))
	}
	if sum := checksum(raw[16:]); sum != u64(8) {
		return fail(8, "the checksum does not match: %#x is stored, the content has %#x", u64(8), sum)
	}
	if offsets != uint64(source)+1 {
		return nil, &checkpoint.Error{File: path, Offset: 32, Reason: fmt.Sprintf("has lists for %d source words, the vocabulary has %d", max(offsets, 1)-1, source),
			Do: "it belongs to another model"}
	}
	if first > 1<<31 || best > 1<<31 {
		return fail(16, "the numbers of frequent words %d and of words a list %d are out of range", first, best)
	}
	s := &Shortlist{First: min(int(first), target), Best: int(best), Offsets: make([]uint32, offsets), IDs: make([]uint32, ids)}
	for i := range s.Offsets {
		at := shortlistHeader + 8*i
		v := u64(at)
		if v > ids || i > 0 && v < uint64(s.Offsets[i-1]) || i == 0 && v != 0 || i == len(s.Offsets)-1 && v != ids {
			return fail(int64(at), "offset %d is %d: they must rise from 0 to %d", i, v, ids)
		}
		s.Offsets[i] = uint32(v)
	}
	for i := range s.IDs {
		at := shortlistHeader + 8*int(offsets) + 4*i
		id := binary.LittleEndian.Uint32(raw[at:])
		if uint64(id) >= uint64(target) {
			return nil, &checkpoint.Error{File: path, Offset: int64(at), Reason: fmt.Sprintf("names target word %d, the vocabulary has %d", id, target),
				Do: "it belongs to another model"}
		}
		s.IDs[i] = id
	}
	return s, nil
}

// checksum is boost's hash_combine over whole 64-bit words; an odd id at the end is not counted.
func checksum(b []byte) uint64 {
	seed := uint64(0)
	for ; len(b) >= 8; b = b[8:] {
		seed ^= binary.LittleEndian.Uint64(b) + 0x9e3779b9 + seed<<6 + seed>>2
	}
	return seed
}

func isPathError(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p)
}
