package text

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
)

// builder collects the tables of an image.
type builder struct {
	format, flags uint32
	unk           int32
	unkScore      float32
	strings       []string // by id; holes are empty
	kinds         []uint16
	maxPiece      int
	pieces        int
	sections      [sectionCount][]byte
}

// Build compiles a SentencePiece model (the bytes of a .spm or .model file) into an image for Open.
//
// Without vocab the ids are the model's own. With vocab, which is the vocab.json of a Marian model, SentencePiece only
// cuts text into pieces and their ids come from vocab: a piece that vocab lacks becomes vocab's unknown piece.
//
// Texts that the model carries with their pieces, to test its reader, are run: a difference is an error, as the C++ library
// has it, which then does not load the model.
func Build(spm []byte, vocab map[string]int32) ([]byte, error) {
	image, err := build(spm, vocab)
	if err != nil {
		return nil, fmt.Errorf("SentencePiece model: %w", err)
	}
	return image, nil
}

func build(spm []byte, vocab map[string]int32) ([]byte, error) {
	m, err := parseSPM(spm)
	if err != nil {
		return nil, err
	}
	return m.build(vocab)
}

// build compiles a model that was read.
func (m *spmModel) build(vocab map[string]int32) ([]byte, error) {
	if m.modelType < 1 || m.modelType > 4 {
		return nil, fmt.Errorf("the model type is %d, 1 to 4 are known", m.modelType)
	}
	if len(m.pieces) == 0 {
		return nil, errors.New("there are no pieces: is this a SentencePiece model?")
	}
	if len(m.pieces) > maxIDs || len(vocab) > maxIDs {
		return nil, fmt.Errorf("there are %d pieces, at most %d may be", max(len(m.pieces), len(vocab)), maxIDs)
	}

	b := &builder{format: [...]uint32{1: formatUnigram, 2: formatBPE, 3: formatSPMWord, 4: formatSPMChar}[m.modelType], unk: -1}
	denormalize := len(m.denormalizer.charsmap) > 0
	for _, flag := range []struct {
		on  bool
		bit uint32
	}{
		{m.normalizer.dummyPrefix, flagDummyPrefix},
		{m.normalizer.removeSpaces, flagRemoveSpaces},
		{m.normalizer.escape, flagEscape},
		{m.spaceSuffix, flagSpaceSuffix},
		{m.byteFallback, flagByteFallback},
		{vocab != nil, flagVocab},
		{denormalize, flagDenormalize},
		{denormalize && m.denormalizer.dummyPrefix, flagWrittenPrefix},
		{denormalize && m.denormalizer.removeSpaces, flagWrittenRemove},
		{denormalize && m.denormalizer.escape, flagWrittenEscape},
	} {
		if flag.on {
			b.flags |= flag.bit
		}
	}
	reserved, normal, err := m.index()
	if err != nil {
		return nil, err
	}
	idOf := func(i int) int32 { return int32(i) } // id of piece i
	if vocab == nil {
		b.ownIDs(m, reserved)
	} else {
		err = b.vocabIDs(m, reserved, normal, vocab)
		idOf = func(i int) int32 {
			if id, ok := vocab[m.pieces[i].text]; ok {
				return id
			}
			return b.unk
		}
	}
	if err != nil {
		return nil, err
	}
	if err := b.segmentation(m, reserved, normal, idOf); err != nil {
		return nil, err
	}
	b.sections[sectionUnkText] = []byte(m.unkSurface)
	image, err := b.image()
	if err != nil {
		return nil, err
	}
	if err := m.check(image, reserved, normal, b.unkScore); err != nil {
		return nil, err
	}
	return image, nil
}

// index maps strings to pieces as the C++ library does: special pieces apart from the others, the former found first.
func (m *spmModel) index() (reserved, normal map[string]int, err error) {
	reserved, normal = map[string]int{}, make(map[string]int, len(m.pieces))
	unknowns := 0
	for i := range m.pieces {
		p := &m.pieces[i]
		if p.text == "\x00" && (m.byteFallback || p.kind == pieceUnused) {
			p.kind = pieceUnused // left by converters: <0x00> means the same
			continue
		}
		if strings.IndexByte(p.text, 0) >= 0 {
			return nil, nil, fmt.Errorf("piece %d, %q, holds a NUL", i, p.text)
		}
		to := normal
		switch p.kind {
		case pieceByte:
			if _, ok := byteOf(p.text); !ok || !m.byteFallback {
				return nil, nil, fmt.Errorf("piece %d, %q, stands for a byte, but is not <0x00> to <0xFF> or byte fallback is off", i, p.text)
			}
			to = reserved
		case pieceUnknown:
			if unknowns++; unknowns > 1 {
				return nil, nil, fmt.Errorf("piece %d, %q, is a second unknown piece", i, p.text)
			}
			to = reserved
		case pieceControl:
			to = reserved
		}
		_, twice := to[p.text]
		if m.modelType == 2 && !twice { // BPE keeps no special pieces apart
			_, special := reserved[p.text]
			_, plain := normal[p.text]
			twice = special || plain
		}
		if twice {
			return nil, nil, fmt.Errorf("piece %d, %q, is there twice", i, p.text)
		}
		to[p.text] = i
	}
	if unknowns == 0 && !m.byteFallback {
		return nil, nil, errors.New("there is no unknown piece")
	}
	for c := 0; c < 256 && m.byteFallback; c++ {
		if i, ok := reserved[byteText(byte(c))]; !ok || m.pieces[i].kind != pieceByte {
			return nil, nil, fmt.Errorf("byte fallback is on, but there is no piece %s", byteText(byte(c)))
		}
	}
	return reserved, normal, nil
}

// ownIDs makes the tables for the model's own ids.
func (b *builder) ownIDs(m *spmModel, reserved map[string]int) {
	b.strings = make([]string, len(m.pieces))
	b.kinds = make([]uint16, len(m.pieces))
	var found []uint32 // ids that ID finds: of two pieces with one string the special one
	for i, p := range m.pieces {
		b.strings[i] = p.text
		b.kinds[i] = kindOf(p)
		if p.kind == pieceUnknown {
			b.unk = int32(i)
		}
		if r, ok := reserved[p.text]; ok && r == i || !ok && p.text != "\x00" {
			found = append(found, uint32(i))
		}
	}
	b.sort(found)
}

// vocabIDs makes the tables for the ids of vocab. What Decode does with a string is what the model says of it.
func (b *builder) vocabIDs(m *spmModel, reserved, normal map[string]int, vocab map[string]int32) error {
	size, err := b.fill(vocab)
	if err != nil {
		return err
	}
	unk, ok := vocab[m.unkPiece]
	if !ok {
		unk, ok = vocab["<unk>"]
	}
	if !ok {
		return fmt.Errorf("the vocabulary has no %s", m.unkPiece)
	}
	b.unk = unk
	b.kinds = make([]uint16, size)
	for text, id := range vocab {
		kind := uint16(kindText)
		if i, ok := reserved[text]; ok {
			kind = kindOf(m.pieces[i])
		} else if _, ok := normal[text]; !ok && isControl(text) {
			kind = kindControl
		}
		b.kinds[id] = kind
	}
	b.kinds[unk] = kindUnknown
	return nil
}

// fill sets the strings and the sorted table from a vocabulary; ids may have holes, but not many.
func (b *builder) fill(vocab map[string]int32) (size int, err error) {
	limit := 2*len(vocab) + 1024
	for text, id := range vocab {
		if id < 0 || int(id) >= min(limit, maxIDs) {
			return 0, fmt.Errorf("the vocabulary gives %q the id %d, but has %d entries", text, id, len(vocab))
		}
		size = max(size, int(id)+1)
	}
	if size == 0 {
		return 0, errors.New("the vocabulary is empty")
	}
	b.strings = make([]string, size)
	taken := make([]bool, size)
	found := make([]uint32, 0, len(vocab))
	for text, id := range vocab {
		if taken[id] {
			first, second := b.strings[id], text
			if first > second {
				first, second = second, first
			}
			return 0, fmt.Errorf("the vocabulary gives the id %d to %q and to %q", id, first, second)
		}
		b.strings[id], taken[id] = text, true
		found = append(found, uint32(id))
	}
	b.sort(found)
	return size, nil
}

// sort makes the table that ID searches.
func (b *builder) sort(ids []uint32) {
	sort.Slice(ids, func(i, j int) bool { return b.strings[ids[i]] < b.strings[ids[j]] })
	for _, id := range ids {
		b.sections[sectionSorted] = binary.LittleEndian.AppendUint32(b.sections[sectionSorted], id)
	}
}

// segmentation makes the tables that cut text into pieces.
func (b *builder) segmentation(m *spmModel, reserved, normal map[string]int, idOf func(int) int32) error {
	lowest := float32(math.MaxFloat32)
	pieces := make(map[string]int, len(normal)) // what the trie finds
	var user []string
	for text, i := range normal {
		kind := m.pieces[i].kind
		if kind == pieceUserDefined {
			user = append(user, text)
		} else if kind != pieceUnused {
			lowest = min(lowest, m.pieces[i].score)
		}
		if kind != pieceUnused || b.format == formatBPE {
			pieces[text] = i
		}
	}
	if len(pieces) == 0 {
		return errors.New("there are no normal pieces")
	}
	b.unkScore = lowest - 10
	if !finite(b.unkScore) {
		return fmt.Errorf("the lowest score is %g", lowest)
	}
	keys := make([]string, 0, len(pieces))
	for text := range pieces {
		keys = append(keys, text)
		b.maxPiece = max(b.maxPiece, len(text))
	}
	sort.Strings(keys)
	values := make([]uint32, len(keys))
	for k, text := range keys {
		values[k] = uint32(k)
		p := &m.pieces[pieces[text]]
		score, id := p.score, uint32(idOf(pieces[text]))
		if p.kind == pieceUserDefined && b.format == formatUnigram {
			// Above every sum of normal scores, and the longer the better.
			score = float32(0.1 * float64(len(text)-1))
		}
		if p.kind == pieceUnused {
			id |= unusedBit
		}
		table := &b.sections[sectionPieces]
		*table = binary.LittleEndian.AppendUint32(*table, math.Float32bits(score))
		*table = binary.LittleEndian.AppendUint32(*table, id)
	}
	b.pieces = len(keys)
	var err error
	if b.sections[sectionTrie], err = buildTrie(keys, values); err != nil {
		return err
	}
	if len(user) > 0 {
		sort.Strings(user)
		if b.sections[sectionUser], err = buildTrie(user, make([]uint32, len(user))); err != nil {
			return err
		}
	}
	for c := 0; c < 256 && m.byteFallback; c++ {
		id := idOf(reserved[byteText(byte(c))])
		b.sections[sectionBytes] = binary.LittleEndian.AppendUint32(b.sections[sectionBytes], uint32(id))
	}
	if b.sections[sectionCharsmap], b.sections[sectionReplace], err = splitCharsmap(m.normalizer.charsmap); err != nil {
		return err
	}
	b.sections[sectionDenormalize], b.sections[sectionWritten], err = splitCharsmap(m.denormalizer.charsmap)
	if err != nil {
		return fmt.Errorf("rules for decoding: %w", err)
	}
	return nil
}

// BuildTokens compiles a list of tokens, the id of each being its place, into an image for Open: the tokenizer of models
// whose text comes as tokens with spaces between. A token that is not in the list becomes <unk>, or -1 if the list has
// no <unk>.
func BuildTokens(tokens []string) ([]byte, error) { return buildList(tokens, formatTokens) }

func buildList(tokens []string, format uint32) ([]byte, error) {
	b, err := listBuilder(tokens, format)
	if err != nil {
		return nil, err
	}
	return b.image()
}

func listBuilder(tokens []string, format uint32) (*builder, error) {
	vocab := make(map[string]int32, len(tokens))
	b := &builder{format: format, unk: -1}
	for i, token := range tokens {
		if first, twice := vocab[token]; twice {
			return nil, fmt.Errorf("tokens: %q is there twice, as %d and as %d", token, first, i)
		}
		vocab[token] = int32(i)
	}
	size, err := b.fill(vocab)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	b.kinds = make([]uint16, size)
	for i, token := range tokens {
		if isControl(token) {
			b.kinds[i] = kindControl
		}
	}
	if unk, ok := vocab["<unk>"]; ok {
		b.unk = unk
		b.kinds[unk] = kindUnknown
	}
	b.sections[sectionUnkText] = []byte("<unk>")
	return b, nil
}

// image puts the sections together, and opens the result, so that what Build makes is what Open takes.
func (b *builder) image() ([]byte, error) {
	for i, s := range b.strings {
		b.sections[sectionStrings] = append(b.sections[sectionStrings], s...)
		b.sections[sectionEnds] = binary.LittleEndian.AppendUint32(b.sections[sectionEnds], uint32(len(b.sections[sectionStrings])))
		b.sections[sectionKinds] = binary.LittleEndian.AppendUint16(b.sections[sectionKinds], b.kinds[i])
	}
	version := 1 // the lowest that will do, so that older programs can read it
	for v := 2; v <= imageVersion; v++ {
		for _, s := range b.sections[sectionsOf[v-1]:sectionsOf[v]] {
			if len(s) > 0 {
				version = v
			}
		}
	}
	count := sectionsOf[version]
	size := uint64(headerSize(count))
	for _, s := range b.sections[:count] {
		size = (size+7)&^7 + uint64(len(s))
	}
	if size > math.MaxInt32 {
		return nil, fmt.Errorf("the tokenizer would have %d bytes, at most 2 GiB may be", size)
	}
	image := make([]byte, headerSize(count), size)
	copy(image, imageMagic)
	for i, v := range []uint32{
		uint32(version), uint32(size), b.format, b.flags, uint32(b.unk), math.Float32bits(b.unkScore),
		uint32(len(b.strings)), uint32(b.pieces), uint32(b.maxPiece),
	} {
		binary.LittleEndian.PutUint32(image[4+4*i:], v)
	}
	for i, s := range b.sections[:count] {
		for len(image)%8 != 0 {
			image = append(image, 0)
		}
		binary.LittleEndian.PutUint32(image[40+8*i:], uint32(len(image)))
		binary.LittleEndian.PutUint32(image[44+8*i:], uint32(len(s)))
		image = append(image, s...)
	}
	if _, err := Open(image); err != nil {
		return nil, err
	}
	return image, nil
}

func kindOf(p spmPiece) uint16 {
	switch p.kind {
	case pieceControl:
		return kindControl
	case pieceUnknown:
		return kindUnknown
	case pieceByte:
		c, _ := byteOf(p.text)
		return kindByte | uint16(c)<<8
	}
	return kindText
}

// isControl says whether a string that only the vocabulary knows is a mark, not text: an end, a filler, a language.
func isControl(text string) bool {
	switch text {
	case "<s>", "</s>", "<pad>", "<blank>":
		return true
	}
	return isLanguage(text)
}

// isLanguage says whether a string marks a language, such as >>fra<<.
func isLanguage(text string) bool {
	return len(text) > 4 && strings.HasPrefix(text, ">>") && strings.HasSuffix(text, "<<")
}

// byteText is the piece of a byte: <0x00> to <0xFF>.
func byteText(c byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{'<', '0', 'x', digits[c>>4], digits[c&15], '>'})
}

func byteOf(piece string) (byte, bool) {
	if len(piece) != 6 {
		return 0, false
	}
	digit := func(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
	c := byte(digit(piece[3])<<4 | digit(piece[4])&15)
	return c, byteText(c) == piece
}
