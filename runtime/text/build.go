package text

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// builder collects the tables of an image.
type builder struct {
	format, flags uint32
	unk           int32
	unkScore      float32
	ids           int
	text          func(id int) string // empty for holes
	kinds         []uint16
	maxPiece      int
	pieces        int
	sections      [sectionCount]section
}

// section is a part of an image that is written when all sizes are known: two copies of it would take too much.
type section struct {
	size  int
	write func(dst []byte) []byte // appends it
}

// raw is a section of bytes that are there.
func raw(data []byte) section {
	return section{len(data), func(dst []byte) []byte { return append(dst, data...) }}
}

// values is a section of n values of 32 bits; each calls put for all of them.
func values(n int, each func(put func(uint32))) section {
	return section{4 * n, func(dst []byte) []byte {
		each(func(v uint32) { dst = binary.LittleEndian.AppendUint32(dst, v) })
		return dst
	}}
}

// list is a section of values of 32 bits that are there.
func list(all []uint32) section {
	return values(len(all), func(put func(uint32)) {
		for _, v := range all {
			put(v)
		}
	})
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
	if vocab == nil {
		return m.build(nil)
	}
	v, err := vocabOf(vocab)
	if err != nil {
		return nil, err
	}
	return m.build(v)
}

// build compiles a model that was read.
func (m *spmModel) build(vocab *Vocab) ([]byte, error) {
	if m.modelType < 1 || m.modelType > 4 {
		return nil, fmt.Errorf("the model type is %d, 1 to 4 are known", m.modelType)
	}
	if len(m.pieces) == 0 {
		return nil, errors.New("there are no pieces: is this a SentencePiece model?")
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
	if err := m.index(); err != nil {
		return nil, err
	}
	idOf := func(i int) int32 { return int32(i) } // id of piece i
	if vocab == nil {
		b.ownIDs(m)
	} else if err := b.vocabIDs(m, vocab); err != nil {
		return nil, err
	} else {
		idOf = func(i int) int32 {
			if id, ok := vocab.ID(m.pieces[i].text); ok {
				return id
			}
			return b.unk
		}
	}
	if err := b.segmentation(m, idOf); err != nil {
		return nil, err
	}
	b.sections[sectionUnkText] = raw([]byte(m.unkSurface))
	image, err := b.image()
	if err != nil {
		return nil, err
	}
	if err := m.check(image, b.unkScore); err != nil {
		return nil, err
	}
	return image, nil
}

// pieceList is pieces of a model in order of their strings, each there once.
type pieceList struct {
	pieces []spmPiece
	order  []uint32
}

// find returns the piece with a string.
func (l pieceList) find(text string) (i int, ok bool) {
	at, ok := sort.Find(len(l.order), func(k int) int { return strings.Compare(text, l.pieces[l.order[k]].text) })
	if !ok {
		return 0, false
	}
	return int(l.order[at]), true
}

// index sorts the pieces as the C++ library keeps them: special pieces apart from the others, the former found first.
func (m *spmModel) index() error {
	normal := 0
	for i := range m.pieces {
		if m.pieces[i].isNormal() {
			normal++
		}
	}
	m.normal = pieceList{m.pieces, make([]uint32, 0, normal)}
	m.reserved = pieceList{m.pieces, make([]uint32, 0, len(m.pieces)-normal)}
	unknowns := 0
	for i := range m.pieces {
		p := &m.pieces[i]
		if p.text == "\x00" && (m.byteFallback || p.kind == pieceUnused) {
			p.kind = pieceUnused // left by converters: <0x00> means the same
			continue
		}
		if strings.IndexByte(p.text, 0) >= 0 {
			return fmt.Errorf("piece %d, %q, holds a NUL", i, p.text)
		}
		to := &m.reserved
		switch p.kind {
		case pieceByte:
			if _, ok := byteOf(p.text); !ok || !m.byteFallback {
				return fmt.Errorf("piece %d, %q, stands for a byte, but is not <0x00> to <0xFF> or byte fallback is off", i, p.text)
			}
		case pieceUnknown:
			if unknowns++; unknowns > 1 {
				return fmt.Errorf("piece %d, %q, is a second unknown piece", i, p.text)
			}
		case pieceControl:
		default:
			to = &m.normal
		}
		to.order = append(to.order, uint32(i))
	}
	for _, list := range []pieceList{m.reserved, m.normal} {
		sort.Slice(list.order, func(i, j int) bool {
			a, b := list.order[i], list.order[j]
			c := strings.Compare(m.pieces[a].text, m.pieces[b].text)
			return c < 0 || c == 0 && a < b
		})
		for k := 1; k < len(list.order); k++ {
			if i := list.order[k]; m.pieces[list.order[k-1]].text == m.pieces[i].text {
				return twice(int(i), m.pieces[i].text)
			}
		}
	}
	if m.modelType == 2 { // BPE keeps no special pieces apart
		for _, i := range m.reserved.order {
			if other, both := m.normal.find(m.pieces[i].text); both {
				return twice(max(int(i), other), m.pieces[i].text)
			}
		}
	}
	if unknowns == 0 && !m.byteFallback {
		return errors.New("there is no unknown piece")
	}
	for c := 0; c < 256 && m.byteFallback; c++ {
		if i, ok := m.reserved.find(byteText(byte(c))); !ok || m.pieces[i].kind != pieceByte {
			return fmt.Errorf("byte fallback is on, but there is no piece %s", byteText(byte(c)))
		}
	}
	return nil
}

func twice(i int, text string) error { return fmt.Errorf("piece %d, %q, is there twice", i, text) }

// ownIDs makes the tables for the model's own ids.
func (b *builder) ownIDs(m *spmModel) {
	b.ids, b.text = len(m.pieces), func(id int) string { return m.pieces[id].text }
	b.kinds = make([]uint16, len(m.pieces))
	for i, p := range m.pieces {
		b.kinds[i] = kindOf(p)
		if p.kind == pieceUnknown {
			b.unk = int32(i)
		}
	}
	// The ids that ID finds: of two pieces with one string the special one.
	found := make([]uint32, 0, len(m.reserved.order)+len(m.normal.order))
	special := m.reserved.order
	for _, i := range m.normal.order {
		same := false
		for len(special) > 0 && m.pieces[special[0]].text <= m.pieces[i].text {
			same = m.pieces[special[0]].text == m.pieces[i].text
			found, special = append(found, special[0]), special[1:]
		}
		if !same {
			found = append(found, i)
		}
	}
	b.sections[sectionSorted] = list(append(found, special...))
}

// vocabIDs makes the tables for the ids of vocab. What Decode does with a string is what the model says of it.
func (b *builder) vocabIDs(m *spmModel, vocab *Vocab) error {
	b.fill(vocab)
	unk, ok := vocab.ID(m.unkPiece)
	if !ok {
		unk, ok = vocab.ID("<unk>")
	}
	if !ok {
		return fmt.Errorf("the vocabulary has no %s", m.unkPiece)
	}
	b.unk = unk
	vocab.Each(func(text string, id int32) {
		kind := uint16(kindText)
		if i, ok := m.reserved.find(text); ok {
			kind = kindOf(m.pieces[i])
		} else if isControl(text) {
			if _, ok := m.normal.find(text); !ok {
				kind = kindControl
			}
		}
		b.kinds[id] = kind
	})
	b.kinds[unk] = kindUnknown
	return nil
}

// fill sets the strings and the sorted table from a vocabulary.
func (b *builder) fill(vocab *Vocab) {
	b.ids, b.text = len(vocab.texts), func(id int) string { return vocab.texts[id] }
	b.kinds = make([]uint16, b.ids)
	b.sections[sectionSorted] = list(vocab.order)
}

// segmentation makes the tables that cut text into pieces.
func (b *builder) segmentation(m *spmModel, idOf func(int) int32) error {
	lowest := float32(math.MaxFloat32)
	pieces := pieceList{m.pieces, m.normal.order} // what the trie finds
	var user []string
	for _, i := range m.normal.order {
		switch p := &m.pieces[i]; p.kind {
		case pieceUserDefined:
			user = append(user, p.text)
		case pieceUnused:
			if b.format != formatBPE && len(pieces.order) == len(m.normal.order) {
				pieces.order = slices.DeleteFunc(slices.Clone(pieces.order), func(i uint32) bool { return m.pieces[i].kind == pieceUnused })
			}
		default:
			lowest = min(lowest, p.score)
		}
	}
	if len(pieces.order) == 0 {
		return errors.New("there are no normal pieces")
	}
	b.unkScore = lowest - 10
	if !finite(b.unkScore) {
		return fmt.Errorf("the lowest score is %g", lowest)
	}
	b.sections[sectionPieces] = values(2*len(pieces.order), func(put func(uint32)) {
		for _, i := range pieces.order {
			p := &m.pieces[i]
			score, id := p.score, uint32(idOf(int(i)))
			if p.kind == pieceUserDefined && b.format == formatUnigram {
				// Above every sum of normal scores, and the longer the better.
				score = float32(0.1 * float64(len(p.text)-1))
			}
			if p.kind == pieceUnused {
				id |= unusedBit
			}
			put(math.Float32bits(score))
			put(id)
		}
	})
	for _, i := range pieces.order {
		b.maxPiece = max(b.maxPiece, len(m.pieces[i].text))
	}
	b.pieces = len(pieces.order)
	if err := b.trie(sectionTrie, pieces); err != nil {
		return err
	}
	if len(user) > 0 {
		if err := b.trie(sectionUser, trieList{user, make([]uint32, len(user))}); err != nil {
			return err
		}
	}
	if m.byteFallback {
		b.sections[sectionBytes] = values(256, func(put func(uint32)) {
			for c := range 256 {
				i, _ := m.reserved.find(byteText(byte(c)))
				put(uint32(idOf(i)))
			}
		})
	}
	if err := b.charsmap(sectionCharsmap, sectionReplace, m.normalizer.charsmap); err != nil {
		return err
	}
	return within("rules for decoding", b.charsmap(sectionDenormalize, sectionWritten, m.denormalizer.charsmap))
}

// trie makes a section of keys.
func (b *builder) trie(at int, keys trieKeys) error {
	units, err := buildTrie(keys)
	b.sections[at] = raw(units)
	return err
}

// charsmap makes the two sections of the normalizer's rules.
func (b *builder) charsmap(units, replace int, blob []byte) error {
	trie, texts, err := splitCharsmap(blob)
	b.sections[units], b.sections[replace] = raw(trie), raw(texts)
	return err
}

// The pieces are the keys of a trie whose values are their places in the list.
func (l pieceList) Len() int           { return len(l.order) }
func (l pieceList) key(i int) string   { return l.pieces[l.order[i]].text }
func (l pieceList) value(i int) uint32 { return uint32(i) }

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
	b := &builder{format: format, unk: -1}
	vocab, err := newVocab(len(tokens), int32(len(tokens)-1), func(add func(string, int32) error) error {
		for i, token := range tokens {
			if err := add(token, int32(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	b.fill(vocab)
	for i, token := range tokens {
		if isControl(token) {
			b.kinds[i] = kindControl
		}
	}
	if unk, ok := vocab.ID("<unk>"); ok {
		b.unk = unk
		b.kinds[unk] = kindUnknown
	}
	b.sections[sectionUnkText] = raw([]byte("<unk>"))
	return b, nil
}

// image puts the sections together, and opens the result, so that what Build makes is what Open takes.
func (b *builder) image() ([]byte, error) {
	total := 0
	for id := range b.ids {
		total += len(b.text(id))
	}
	b.sections[sectionStrings] = section{total, func(dst []byte) []byte {
		for id := range b.ids {
			dst = append(dst, b.text(id)...)
		}
		return dst
	}}
	b.sections[sectionEnds] = values(b.ids, func(put func(uint32)) {
		end := 0
		for id := range b.ids {
			end += len(b.text(id))
			put(uint32(end))
		}
	})
	b.sections[sectionKinds] = section{2 * b.ids, func(dst []byte) []byte {
		for _, kind := range b.kinds {
			dst = binary.LittleEndian.AppendUint16(dst, kind)
		}
		return dst
	}}
	version := 1 // the lowest that will do, so that older programs can read it
	for v := 2; v <= imageVersion; v++ {
		for _, s := range b.sections[sectionsOf[v-1]:sectionsOf[v]] {
			if s.size > 0 {
				version = v
			}
		}
	}
	count := sectionsOf[version]
	size := uint64(headerSize(count))
	for _, s := range b.sections[:count] {
		size = (size+7)&^7 + uint64(s.size)
	}
	if size > math.MaxInt32 {
		return nil, fmt.Errorf("the tokenizer would have %d bytes, at most 2 GiB may be", size)
	}
	image := make([]byte, headerSize(count), size)
	copy(image, imageMagic)
	for i, v := range []uint32{
		uint32(version), uint32(size), b.format, b.flags, uint32(b.unk), math.Float32bits(b.unkScore),
		uint32(b.ids), uint32(b.pieces), uint32(b.maxPiece),
	} {
		binary.LittleEndian.PutUint32(image[4+4*i:], v)
	}
	for i, s := range b.sections[:count] {
		for len(image)%8 != 0 {
			image = append(image, 0)
		}
		binary.LittleEndian.PutUint32(image[40+8*i:], uint32(len(image)))
		binary.LittleEndian.PutUint32(image[44+8*i:], uint32(s.size))
		if s.size > 0 {
			image = s.write(image)
		}
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
