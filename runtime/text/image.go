package text

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The image of a tokenizer: one byte slice, little-endian, used where it lies. Nothing is decoded into Go maps or slices,
// so opening 65,001 pieces allocates one Tokenizer. All loads go byte by byte order through encoding/binary, so any
// alignment will do.
//
//	offset  size  what
//	0       4     magic "EItk"
//	4       4     version, 1; 2 if the sections from denormalize on are there, 3 if merges is, 4 if codes and moses are
//	8       4     size of the whole image
//	12      4     kind: 1 unigram, 2 tokens, 3 words, 4 characters, 5 BPE, 6 word, 7 char (5 to 7 of SentencePiece),
//	              8 BPE with ranked pairs, 9 a list of what Moses' rules and subword-nmt's codes cut
//	16      4     flags, see flag*
//	20      4     unk, int32: the id of an unknown piece; -1 none
//	24      4     score of an unknown character, float32: the lowest score of a normal piece less 10
//	28      4     ids: how many ids there are
//	32      4     pieces: how many pieces the segmentation knows
//	36      4     the longest piece in bytes
//	40      8*n   sections: offset, size; in this order, each on a multiple of 8, zeros between, no holes, nothing after
//
//	section   element               rule
//	strings   bytes                 all piece strings, one after another, in order of id
//	ends      ids uint32            where the string of an id ends; never falls
//	kinds     ids uint16            low byte: kind*; high byte: the byte of a byte piece
//	sorted    n uint32, n <= ids    ids in order of their strings, for ID
//	trie      uint32 units          double array over pieces; a leaf is an index into pieces
//	pieces    float32 score, int32  score and id of each piece; with BPE the id may have unusedBit
//	bytes     0 or 256 int32        id of each byte, with flagByteFallback or flagByteLevel only
//	user      uint32 units          double array over user-defined symbols, that the normalizer leaves alone
//	charsmap  uint32 units          double array of the normalizer; a leaf is an offset into replace
//	replace   bytes                 what the normalizer puts in, each string ended by NUL
//	unkText   bytes                 how an unknown piece is written
//
//	denormalize  uint32 units       double array of the rules for decoded text; a leaf is an offset into written
//	written      bytes              what those put in, each string ended by NUL
//
//	merges    n of 4 uint32         with kind 8: ids of left and right, rank, id of what they make; in order of left, right
//
//	codes     see codes.go          with kind 9
//	moses     lines                 with kind 9: language from, language to, abbreviations
const (
	imageMagic   = "EItk"
	imageVersion = 4 // the newest

	maxIDs         = 1 << 24
	maxPieces      = 1 << 20 // that are built; the largest known vocabularies have 901,629
	maxPieceBytes  = 8000    // SentencePiece refuses longer ones
	maxReplacement = 256     // bytes that one normalization rule may put in; nmt_nfkc needs 33
)

const (
	sectionStrings = iota
	sectionEnds
	sectionKinds
	sectionSorted
	sectionTrie
	sectionPieces
	sectionBytes
	sectionUser
	sectionCharsmap
	sectionReplace
	sectionUnkText
	sectionsVersion1 // how many there are

	sectionDenormalize = iota - 1
	sectionWritten
	sectionMerges
	sectionCodes
	sectionMoses
	sectionCount
)

// sectionsOf is how many sections an image of a version has.
var sectionsOf = [imageVersion + 1]int{1: sectionsVersion1, 2: sectionMerges, 3: sectionCodes, 4: sectionCount}

// headerSize is where the sections of an image start.
func headerSize(sections int) int { return 40 + 8*sections }

var sectionNames = [sectionCount]string{
	"strings", "ends", "kinds", "sorted", "trie", "pieces", "bytes", "user", "charsmap", "replace", "unkText",
	"denormalize", "written", "merges", "codes", "moses",
}

const (
	formatUnigram = 1
	formatTokens  = 2
	formatWords   = 3
	formatChars   = 4
	formatBPE     = 5
	formatSPMWord = 6
	formatSPMChar = 7
	formatRanked  = 8
	formatMoses   = 9
	formatsKnown  = 9
)

// unusedBit, in the table of pieces: BPE merges to this piece, and takes it apart again.
const unusedBit = 1 << 31

const (
	flagDummyPrefix   = 1 << iota // a space is put before the text
	flagRemoveSpaces              // leading, trailing and doubled spaces are dropped
	flagEscape                    // a space is written as U+2581 in pieces
	flagSpaceSuffix               // the dummy space is put after the text instead
	flagByteFallback              // an unknown character becomes its bytes
	flagVocab                     // ids come from a vocabulary that may know more strings than the pieces
	flagDenormalize               // decoded text is normalized by rules of its own, with the next three flags
	flagWrittenPrefix             // flagDummyPrefix, flagRemoveSpaces and flagEscape of those
	flagWrittenRemove
	flagWrittenEscape
	flagByteLevel    // with kind 8: symbols are bytes, each written as a character in pieces
	flagSplitWords   // with kind 8: no piece goes beyond the start of a word
	flagSplitUnknown // with kind 8: each unknown character is one unknown piece, not a run of them
	flagsKnown       = 1<<iota - 1
)

// What Decode does with an id.
const (
	kindText    = iota // written, U+2581 as a space
	kindControl        // not written, and never produced from text
	kindUnknown        // written as unkText
	kindByte           // one byte of a character
	kindsKnown
)

// ImageError says where the image of a tokenizer is broken.
type ImageError struct {
	Section string // "header" or a section of the image
	Offset  int    // from the start of the image
	Reason  string
}

func (e *ImageError) Error() string {
	return fmt.Sprintf("tokenizer: %s at byte %d: %s; convert the model again", e.Section, e.Offset, e.Reason)
}

//go:noinline
func imageError(section string, offset int, format string, args ...any) error {
	return &ImageError{section, offset, fmt.Sprintf(format, args...)}
}

// u32 is element i of a table of uint32.
func u32(b []byte, i uint32) uint32 { return binary.LittleEndian.Uint32(b[4*int(i):]) }

// Open checks the image and returns a tokenizer that uses it in place: the image must stay as it is as long as the
// tokenizer is used. Every offset and index in it is checked here, so that Encode and Decode cannot leave it whatever
// it holds. Errors are of type *ImageError. It allocates the Tokenizer and nothing else.
func Open(image []byte) (*Tokenizer, error) {
	t := &Tokenizer{}
	if err := t.open(image); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tokenizer) open(image []byte) error {
	headerError := func(at int, format string, args ...any) error { return imageError("header", at, format, args...) }
	if size := headerSize(sectionsVersion1); len(image) < size {
		return headerError(0, "%d bytes are left, the header alone has %d", len(image), size)
	}
	field := func(at int) uint32 { return binary.LittleEndian.Uint32(image[at:]) }
	if string(image[:4]) != imageMagic {
		return headerError(0, "the first bytes are %q, must be %q", image[:4], imageMagic)
	}
	v := field(4)
	if v < 1 || v > imageVersion {
		return headerError(4, "version %d was written by a newer edge-infer, this one reads 1 to %d", v, imageVersion)
	}
	count := sectionsOf[v]
	if len(image) < headerSize(count) {
		return headerError(0, "%d bytes are left, the header alone has %d", len(image), headerSize(count))
	}
	if uint64(field(8)) != uint64(len(image)) {
		return headerError(8, "the size is %d, the image has %d bytes", field(8), len(image))
	}
	t.format = field(12)
	if t.format < formatUnigram || t.format > formatsKnown {
		return headerError(12, "kind %d was written by a newer edge-infer, this one knows 1 to %d", t.format, formatsKnown)
	}
	t.flags = field(16)
	if t.flags&^flagsKnown != 0 {
		return headerError(16, "flags %#x were written by a newer edge-infer, this one knows %#x", t.flags, flagsKnown)
	}
	t.ids, t.pieces = field(28), field(32)
	if t.ids < 1 || t.ids > maxIDs {
		return headerError(28, "there are %d ids, must be 1 to %d", t.ids, maxIDs)
	}
	if t.pieces > maxIDs || (t.pieces == 0) != t.isList() {
		return headerError(32, "there are %d pieces, must be 1 to %d (none in a list of tokens)", t.pieces, maxIDs)
	}
	t.unk = int32(field(20))
	if t.unk < -1 || int64(t.unk) >= int64(t.ids) {
		return headerError(20, "the unknown id is %d, there are %d ids", t.unk, t.ids)
	}
	if t.unk == -1 && !t.isList() && t.flags&(flagByteFallback|flagByteLevel) == 0 {
		return headerError(20, "there is no unknown id and no byte fallback")
	}
	if ranked := uint32(flagByteLevel | flagSplitWords | flagSplitUnknown); t.flags&ranked != 0 && t.format != formatRanked {
		return headerError(16, "flags %#x do not go with kind %d", t.flags&ranked, t.format)
	}
	t.unkScore = math.Float32frombits(field(24))
	if !finite(t.unkScore) {
		return headerError(24, "the score of unknown characters is %g, must be finite", t.unkScore)
	}
	t.maxPiece = int(field(36))
	if t.maxPiece > maxPieceBytes {
		return headerError(36, "the longest piece has %d bytes, at most %d may be", t.maxPiece, maxPieceBytes)
	}

	var sections [sectionCount][]byte
	end := headerSize(count)
	for i := range sections[:count] {
		at := 40 + 8*i
		offset, size := uint64(field(at)), uint64(field(at+4))
		start := (end + 7) &^ 7
		if offset != uint64(start) {
			return headerError(at, "section %s starts at %d, must start at %d", sectionNames[i], offset, start)
		}
		if offset+size > uint64(len(image)) {
			return headerError(at+4, "section %s ends at %d, the image at %d", sectionNames[i], offset+size, len(image))
		}
		for _, b := range image[end:start] {
			if b != 0 {
				return headerError(end, "the bytes before section %s are not zero", sectionNames[i])
			}
		}
		end = start + int(size)
		sections[i] = image[start:end:end]
		t.starts[i] = start
	}
	if end != len(image) {
		return headerError(8, "%d bytes follow the last section", len(image)-end)
	}
	t.strings, t.ends, t.kinds = sections[sectionStrings], sections[sectionEnds], sections[sectionKinds]
	t.sorted, t.scores, t.bytes = sections[sectionSorted], sections[sectionPieces], sections[sectionBytes]
	t.trie, t.unkText, t.merges = sections[sectionTrie], sections[sectionUnkText], sections[sectionMerges]
	t.codes = sections[sectionCodes]
	if rules := sections[sectionMoses]; len(rules) > 0 && !t.openMoses(rules) {
		return &ImageError{"moses", t.starts[sectionMoses], "it does not begin with two languages, a line each, or does not end in a line end"}
	}
	t.in = rules{t.flags, sections[sectionUser], sections[sectionCharsmap], sections[sectionReplace]}
	t.out = rules{t.flags / flagWrittenPrefix & (flagDummyPrefix | flagRemoveSpaces | flagEscape), nil,
		sections[sectionDenormalize], sections[sectionWritten]}
	return t.check()
}

// check is the one pass over the tables. It trusts nothing but the header.
func (t *Tokenizer) check() error {
	fail := func(section int, at int, format string, args ...any) error {
		return imageError(sectionNames[section], t.starts[section]+at, format, args...)
	}
	byteIDs := 0
	if t.flags&(flagByteFallback|flagByteLevel) != 0 {
		byteIDs = 256
	}
	for _, want := range [...]struct{ section, got, want int }{
		{sectionEnds, len(t.ends), 4 * int(t.ids)},
		{sectionKinds, len(t.kinds), 2 * int(t.ids)},
		{sectionPieces, len(t.scores), 8 * int(t.pieces)},
		{sectionBytes, len(t.bytes), 4 * byteIDs},
	} {
		if want.got != want.want {
			return fail(want.section, 0, "it has %d bytes, must have %d", want.got, want.want)
		}
	}
	if len(t.sorted)%4 != 0 || len(t.sorted) > 4*int(t.ids) {
		return fail(sectionSorted, 0, "it has %d bytes, must be a multiple of 4 up to %d", len(t.sorted), 4*t.ids)
	}

	last := uint32(0)
	for i := uint32(0); i < t.ids; i++ {
		end := u32(t.ends, i)
		if end < last {
			return fail(sectionEnds, 4*int(i), "string %d ends at %d, before it starts at %d", i, end, last)
		}
		last = end
		kind := t.kinds[2*i]
		if kind >= kindsKnown || (kind != kindByte && t.kinds[2*i+1] != 0) {
			return fail(sectionKinds, 2*int(i), "id %d has the kind %d, %d", i, kind, t.kinds[2*i+1])
		}
	}
	if uint64(last) != uint64(len(t.strings)) {
		return fail(sectionEnds, 4*int(t.ids-1), "the last string ends at %d, must end at %d", last, len(t.strings))
	}
	for i := 0; i < len(t.sorted); i += 4 {
		if id := binary.LittleEndian.Uint32(t.sorted[i:]); id >= t.ids {
			return fail(sectionSorted, i, "id %d, there are %d", id, t.ids)
		}
	}
	for i := 0; i < len(t.bytes); i += 4 {
		if id := binary.LittleEndian.Uint32(t.bytes[i:]); id >= t.ids {
			return fail(sectionBytes, i, "id %d, there are %d", id, t.ids)
		}
	}
	for i := 0; i < len(t.scores); i += 8 {
		score := math.Float32frombits(binary.LittleEndian.Uint32(t.scores[i:]))
		id := binary.LittleEndian.Uint32(t.scores[i+4:])
		if t.format == formatBPE {
			id &^= unusedBit
		}
		if id >= t.ids || !finite(score) {
			return fail(sectionPieces, i, "piece %d has the score %g and the id %d of %d", i/8, score, int32(id), t.ids)
		}
	}

	if len(t.merges)%mergeBytes != 0 || len(t.merges) > 0 && t.format != formatRanked {
		return fail(sectionMerges, 0, "it has %d bytes, must be a multiple of %d, and none but with kind %d", len(t.merges), mergeBytes, formatRanked)
	}
	for i := 0; i < len(t.merges); i += mergeBytes {
		left, right := binary.LittleEndian.Uint32(t.merges[i:]), binary.LittleEndian.Uint32(t.merges[i+4:])
		rank, made := binary.LittleEndian.Uint32(t.merges[i+8:]), binary.LittleEndian.Uint32(t.merges[i+12:])
		if left >= t.ids || right >= t.ids || made >= t.ids || rank > math.MaxInt32 {
			return fail(sectionMerges, i, "merge %d names %d, %d and %d of %d ids, rank %d", i/mergeBytes, left, right, made, t.ids, rank)
		}
	}

	if moses := t.format == formatMoses; moses != (len(t.codes) > 0) || moses != (t.moses != nil) {
		return fail(sectionMoses, 0, "codes and rules go with kind %d, and only with it; rules are lines", formatMoses)
	} else if moses {
		if at, reason := checkCodes(t.codes); reason != "" {
			return fail(sectionCodes, at, "%s", reason)
		}
	}

	for i, replace := range [...][]byte{t.in.replace, t.out.replace} {
		section := [...]int{sectionReplace, sectionWritten}[i]
		if n := len(replace); n > 0 && replace[n-1] != 0 {
			return fail(section, n-1, "the last string does not end in NUL")
		}
		run := 0
		for i, b := range replace {
			if run++; b == 0 {
				run = 0
			} else if run > maxReplacement {
				return fail(section, i, "a replacement is longer than %d bytes", maxReplacement)
			}
		}
	}
	for _, da := range [...]struct {
		section int
		units   []byte
		limit   int
	}{
		{sectionTrie, t.trie, int(t.pieces)},
		{sectionUser, t.in.user, math.MaxInt32},
		{sectionCharsmap, t.in.charsmap, len(t.in.replace)},
		{sectionDenormalize, t.out.charsmap, len(t.out.replace)},
	} {
		if len(da.units) == 0 && (da.section != sectionTrie || t.isList()) {
			continue
		}
		if at, reason := checkTrie(da.units, da.limit); reason != "" {
			return fail(da.section, at, "%s", reason)
		}
	}
	return nil
}

func finite(x float32) bool { return x-x == 0 }
