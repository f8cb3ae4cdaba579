package text

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"sort"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// smallModel has what models have: special, user-defined and unused pieces, and few letters.
func smallModel() *protoModel {
	m := &protoModel{}
	m.add("<unk>", pieceUnknown, 0).add("<s>", pieceControl, 0).add("</s>", pieceControl, 0)
	m.add("<sep>", pieceUserDefined, 0).add("▁", pieceNormal, -3).add("▁a", pieceNormal, -2).add("a", pieceNormal, -4)
	m.add("ab", pieceNormal, -3.5).add("b", pieceNormal, -4).add("bb", pieceUnused, -1).add("你好", pieceNormal, -5)
	m.add("l", pieceNormal, -4).add("o", pieceNormal, -4)
	return m
}

func mustOpen(t testing.TB, image []byte, err error) *Tokenizer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Open(image)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestOwnIDs(t *testing.T) {
	image, err := Build(smallModel().bytes(), nil)
	tok := mustOpen(t, image, err)
	if tok.Kind() != "unigram" || tok.Size() != 13 || tok.Unk() != 0 {
		t.Errorf("kind %s, size %d, unk %d", tok.Kind(), tok.Size(), tok.Unk())
	}
	for id := int32(0); int(id) < tok.Size(); id++ {
		if got, ok := tok.ID(tok.Piece(id)); got != id || !ok {
			t.Errorf("ID(Piece(%d)) = %d, %v", id, got, ok)
		}
	}
	if id, ok := tok.ID("none"); id != 0 || ok {
		t.Errorf("ID of a piece that is not there: %d, %v", id, ok)
	}
	if tok.Piece(-1) != "" || tok.Piece(13) != "" {
		t.Error("ids out of range have pieces")
	}
	// A normal piece may have the string of a control piece: ID finds the control piece, text gives the normal one.
	image, err = Build(smallModel().add("</s>", pieceNormal, -1).add("<s>", pieceNormal, -1).bytes(), nil)
	twins := mustOpen(t, image, err)
	var sc Scratch
	for i, text := range []string{"</s>", "<s>"} {
		if id, _ := twins.ID(text); id != int32(2-i) {
			t.Errorf("ID(%s) = %d", text, id)
		}
		if ids := twins.Encode(nil, text, &sc); !equal(ids, []int32{4, int32(13 + i)}) {
			t.Errorf("Encode(%s) = %v", text, ids)
		}
	}
	for _, c := range []struct {
		text, pieces string
	}{
		{"", ""},
		{" \u3000", "▁|\u3000"},
		{"ab", "▁a|b"},
		{"bb", "▁|b|b"}, // bb is unused
		{"a<sep>a", "▁a|<sep>|a"},
		{"<s>", "▁|<s>"},      // an unknown run, not the control piece
		{"xyz龘a", "▁|xyz龘|a"}, // one unknown run
		{"\xff\xffa", "▁|\uFFFD\uFFFD|a"},
		{"  a   a ", "▁a|▁a"},
	} {
		if got := strings.Join(tok.EncodePieces(c.text, &sc), "|"); got != c.pieces {
			t.Errorf("EncodePieces(%q) = %q, want %q", c.text, got, c.pieces)
		}
	}
}

// TestVocab: Marian's vocab.json gives the ids; SentencePiece only cuts.
func TestVocab(t *testing.T) {
	vocab := map[string]int32{
		"</s>": 0, "<unk>": 1, "▁a": 2, "b": 3, "你好": 4, "龘": 5, "▁target": 6, ">>xx<<": 7, "<pad>": 8, "<s>x": 9, "l": 10,
	}
	image, err := Build(smallModel().bytes(), vocab)
	tok := mustOpen(t, image, err)
	var sc Scratch
	for _, c := range []struct {
		text string
		ids  []int32
	}{
		{"a", []int32{2}},
		{"ab", []int32{2, 3}},
		{"a你好", []int32{2, 4}},
		{"a龘", []int32{2, 5}},      // an unknown run that the vocabulary knows
		{"a龘龘", []int32{2, 1}},     // and one that it does not
		{"ao", []int32{2, 1}},      // a piece that the vocabulary lacks
		{"a</s>", []int32{2, 1}},   // an unknown run that equals a control piece stays unknown
		{"a>>xx<<", []int32{2, 1}}, // as does one that equals the mark of a language
	} {
		if got := tok.Encode(nil, c.text, &sc); !equal(got, c.ids) {
			t.Errorf("Encode(%q) = %v, want %v", c.text, got, c.ids)
		}
	}
	if id, ok := tok.ID(">>xx<<"); id != 7 || !ok {
		t.Errorf("ID of the language mark: %d, %v", id, ok)
	}
	if got := string(tok.Decode(nil, []int32{7, 6, 2, 3, 1, 8, 0, 5})); got != "target ab ⁇ 龘" {
		t.Errorf("Decode: %q", got)
	}
	for _, c := range []struct {
		vocab map[string]int32
		want  string
	}{
		{map[string]int32{"a": 0}, "no <unk>"},
		{map[string]int32{"<unk>": 0, "a": 1, "b": 1}, `id 1 to "a" and to "b"`},
		{map[string]int32{"<unk>": 0, "a": -1}, "the id -1"},
		{map[string]int32{"<unk>": 0, "a": 1 << 30}, "the id 1073741824"},
		{map[string]int32{}, "empty"},
	} {
		if _, err := Build(smallModel().bytes(), c.vocab); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("vocabulary %v: %v, want an error with %q", c.vocab, err, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	image, err := BuildTokens([]string{"<blank>", "<s>", "</s>", "a", "你", "<unk>"})
	tok := mustOpen(t, image, err)
	var sc Scratch
	if got := tok.Encode(nil, " a 你\tzz  a\n", &sc); !equal(got, []int32{3, 4, 5, 3}) {
		t.Errorf("Encode: %v", got)
	}
	if got := tok.EncodePieces(" a zz", &sc); !equal(got, []string{"a", "zz"}) {
		t.Errorf("EncodePieces: %v", got)
	}
	if got := string(tok.Decode([]byte("> "), []int32{1, 3, 4, 5, 2, 99, -1})); got != "> a 你 <unk>" {
		t.Errorf("Decode: %q", got)
	}
	if tok.Kind() != "tokens" || tok.Unk() != 5 {
		t.Errorf("kind %s, unk %d", tok.Kind(), tok.Unk())
	}
	image, err = BuildTokens([]string{"a", "b"})
	tok = mustOpen(t, image, err)
	if got := tok.Encode(nil, "b c", &sc); !equal(got, []int32{1, -1}) || tok.Unk() != -1 {
		t.Errorf("without <unk>: %v", got)
	}
	if _, err := BuildTokens([]string{"a", "b", "a"}); err == nil || !strings.Contains(err.Error(), `"a" is there twice, as 0 and as 2`) {
		t.Errorf("duplicate: %v", err)
	}
	if _, err := BuildTokens(nil); err == nil {
		t.Error("an empty list is taken")
	}
}

func TestBuildErrors(t *testing.T) {
	kind := smallModel()
	kind.trainer = protoVarint(nil, 3, 5)
	denormal := smallModel()
	denormal.rest = protoBytes(nil, 5, string(protoBytes(nil, 2, "rules")))
	bytesWithout := smallModel()
	bytesWithout.trainer = protoVarint(nil, 35, 1)
	charsmap := func(size uint32, rest string) []byte {
		m := smallModel()
		m.normalizer = protoBytes(nil, 2, string(binary.LittleEndian.AppendUint32(nil, size))+rest)
		return m.bytes()
	}
	charsmapOf := func(blob string) []byte {
		m := smallModel()
		m.normalizer = protoBytes(nil, 2, blob)
		return m.bytes()
	}
	kindOf := func(n uint64) []byte {
		m := smallModel()
		m.trainer = protoVarint(nil, 3, n)
		return m.bytes()
	}
	withBytes := func(piece string) []byte {
		m := smallModel().add(piece, pieceByte, 0)
		m.trainer = protoVarint(nil, 35, 1)
		return m.bytes()
	}
	bpe := smallModel().add("</s>", pieceNormal, 0)
	bpe.trainer = protoVarint(nil, 3, 2)
	only := &protoModel{}
	for _, c := range []struct {
		name string
		spm  []byte
		want string
	}{
		{"kind", kind.bytes(), "the model type is 5, 1 to 4 are known"},
		{"empty", nil, "there are no pieces: is this a SentencePiece model?"},
		{"text", []byte("hello, world"), "byte 2 ends a group that was not begun"},
		{"cut", smallModel().bytes()[:50], "field 1 at byte 45 claims 14 bytes, 3 are left"},
		{"denormalizer", denormal.bytes(), "rules for decoding: the normalizer's trie claims 1701606770 bytes, 1 are left"},
		{"bytes missing", bytesWithout.bytes(), "byte fallback is on, but there is no piece <0x00>"},
		{"byte without fallback", smallModel().add("<0x41>", pieceByte, 0).bytes(), `piece 13, "<0x41>", stands for a byte, but is not <0x00> to <0xFF> or byte fallback is off`},
		{"twice", smallModel().add("ab", pieceNormal, 0).bytes(), `piece 13, "ab", is there twice`},
		{"twice, in BPE one special", bpe.bytes(), `piece 13, "</s>", is there twice`},
		{"second unknown", smallModel().add("<u>", pieceUnknown, 0).bytes(), `piece 13, "<u>", is a second unknown piece`},
		{"no unknown", only.add("a", pieceNormal, 0).bytes(), "there is no unknown piece"},
		{"NUL", smallModel().add("a\x00", pieceNormal, 0).bytes(), "piece 13, \"a\\x00\", holds a NUL"},
		{"empty piece", smallModel().add("", pieceNormal, 0).bytes(), "piece 13: it is empty"},
		{"long piece", smallModel().add(strings.Repeat("a", maxPieceBytes), pieceNormal, 0).bytes(), "piece 13: it has 8000 bytes, must have less than 8000"},
		{"score", smallModel().add("z", pieceNormal, float32(math.NaN())).bytes(), "piece 13: its score is NaN, must be finite"},
		{"type", smallModel().add("z", 9, 0).bytes(), "piece 13: its type is 9, 1 to 6 are known"},
		{"JSON", []byte(`{"model": {"type": "Unigram"}}`), "field 4 at byte 1 claims 109 bytes, 27 are left"},
		{"gzip", []byte("\x1f\x8b\x08\x00"), "byte 0 has the wire type 7: is this a SentencePiece model?"},
		{"a Git LFS pointer", []byte("version https://git-lfs"), "byte 0 has the wire type 6: is this a SentencePiece model?"},
		{"a field without a number", []byte{2, 0}, "byte 0 is no protobuf field: is this a SentencePiece model?"},
		{"a field number without end", bytes.Repeat([]byte{0xff}, 11), "byte 0 is no protobuf field: is this a SentencePiece model?"},
		{"a field number of 2^60", binary.AppendUvarint(nil, 1<<63|2), "byte 0 is no protobuf field: is this a SentencePiece model?"},
		{"wire type 7", []byte{1<<3 | 7}, "byte 0 has the wire type 7: is this a SentencePiece model?"},
		{"a number without end", append([]byte{9 << 3}, bytes.Repeat([]byte{0xff}, 11)...), "the file ends inside field 9 at byte 0"},
		{"cut in a number", []byte{9 << 3, 0x80}, "the file ends inside field 9 at byte 0"},
		{"cut in 64 bits", []byte{9<<3 | 1, 0, 0, 0, 0, 0, 0, 0}, "the file ends inside field 9 at byte 0"},
		{"cut in 32 bits", []byte{9<<3 | 5, 0, 0, 0}, "the file ends inside field 9 at byte 0"},
		{"cut in a size", []byte{9<<3 | 2, 0x80}, "the file ends inside field 9 at byte 0"},
		{"a field of 2^63 bytes", binary.AppendUvarint([]byte{9<<3 | 2}, 1<<63), "field 9 at byte 0 claims 9223372036854775808 bytes, 0 are left"},
		{"a group without end", []byte{9<<3 | 3}, "the file ends inside group 9"},
		{"the end of no group", []byte{9<<3 | 4}, "byte 0 ends a group that was not begun"},
		{"the end of another group", []byte{9<<3 | 3, 8<<3 | 4}, "byte 1 ends a group that was not begun"},
		{"101 groups", bytes.Repeat([]byte{9<<3 | 3}, 101), "byte 100: groups are nested too deep"},
		{"cut in a piece", protoBytes(nil, 1, "\x0a\x05ab"), "piece 0: field 1 at byte 0 claims 5 bytes, 2 are left"},
		{"a piece cut in its score", protoBytes(nil, 1, "\x0a\x01a\x15\x00\x00"), "piece 0: the file ends inside field 2 at byte 3"},
		{"cut in the trainer", protoBytes(nil, 2, "\x18"), "trainer: the file ends inside field 3 at byte 0"},
		{"cut in the normalizer", protoBytes(nil, 3, "\x12\x7f"), "normalizer: field 2 at byte 0 claims 127 bytes, 0 are left"},
		{"cut in a self-test", protoBytes(nil, 4, "\x0a\x03\x0a\x05a"), "self-test: field 1 at byte 0 claims 5 bytes, 1 are left"},
		{"kind 0", kindOf(0), "the model type is 0, 1 to 4 are known"},
		{"kind 2^40", kindOf(1 << 40), "the model type is 1099511627776, 1 to 4 are known"},
		{"infinite score", smallModel().add("z", pieceNormal, float32(math.Inf(-1))).bytes(), "piece 13: its score is -Inf, must be finite"},
		{"type 0", smallModel().add("z", 0, 0).bytes(), "piece 13: its type is 0, 1 to 6 are known"},
		{"only special pieces", (&protoModel{}).add("<unk>", pieceUnknown, 0).add("</s>", pieceControl, 0).bytes(), "there are no normal pieces"},
		{"no pieces but rules", (&protoModel{}).bytes(), "there are no pieces: is this a SentencePiece model?"},
		{"two bytes alike", smallModel().add("<0x41>", pieceByte, 0).add("<0x41>", pieceByte, 0).bytes(), `piece 13, "<0x41>", stands for a byte, but is not <0x00> to <0xFF> or byte fallback is off`},
		{"a byte that is none", withBytes("<0xGG>"), `piece 13, "<0xGG>", stands for a byte, but is not <0x00> to <0xFF> or byte fallback is off`},
		{"a byte in small letters", withBytes("<0xff>"), `piece 13, "<0xff>", stands for a byte, but is not <0x00> to <0xFF> or byte fallback is off`},
		{"rules of three bytes", charsmapOf("abc"), "the normalizer's rules have 3 bytes, must have more than 4"},
		{"rules without a trie", charsmapOf("\x00\x00\x00\x00ab\x00"), "the normalizer's trie is empty"},
		{"a trie of five bytes", charsmapOf("\x05\x00\x00\x00aaaaab\x00"), "tokenizer: charsmap at byte 2432: it must be a multiple of 1024 bytes, and not empty; convert the model again"},
		{"rules of 2^32-1 bytes", charsmapOf("\xff\xff\xff\xffab"), "the normalizer's trie claims 4294967295 bytes, 2 are left"},
		{"another self-test", withSelfTest(1, "a", "b"), `its self-test fails: text 0, "a", becomes "▁a", should be "b"; the file was changed, or needs another reader`},
		{"charsmap short", charsmap(1024, "x"), "the normalizer's trie claims 1024 bytes, 1 are left"},
		{"charsmap trie", charsmap(1024, strings.Repeat("\xff", 1024)+"a\x00"), "tokenizer: charsmap at byte 2432: the root is a leaf; convert the model again"},
		{"charsmap long", charsmap(1024, strings.Repeat("\x00", 3)+"\x80"+strings.Repeat("\x00\x00\x00\x80", 255)+strings.Repeat("a", maxReplacement+1)+"\x00"), "tokenizer: replace at byte 3712: a replacement is longer than 256 bytes; convert the model again"},
		{"charsmap end", charsmap(1024, strings.Repeat("\x00", 1024)+"ab"), "tokenizer: replace at byte 3457: the last string does not end in NUL; convert the model again"},
	} {
		image, err := Build(c.spm, nil)
		if err == nil || image != nil || err.Error() != "SentencePiece model: "+c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}

// exercise runs everything a tokenizer can do; on a broken image the results mean nothing, but nothing may panic.
func exercise(tok *Tokenizer, s string) {
	var sc Scratch
	ids := tok.Encode(nil, s, &sc)
	tok.EncodePieces(s, &sc)
	tok.Decode(nil, ids)
	all := make([]int32, 0, 4096)
	for id := int32(-1); int(id) <= tok.Size() && len(all) < cap(all); id++ {
		all = append(all, id)
		tok.ID(tok.Piece(id))
	}
	tok.Decode(nil, all)
	tok.ID(s)
}

// byteModel is smallModel with rules, a user-defined symbol that the rules would change, and byte fallback.
func byteModel(t testing.TB) *protoModel {
	m := smallModel()
	m.normalizer = protoBytes(nil, 2, string(testCharsmap(t)))
	m.trainer = protoVarint(nil, 35, 1)
	m.add("<a>", pieceUserDefined, 0).add("<", pieceUserDefined, 0)
	for c := 0; c < 256; c++ {
		m.add(byteText(byte(c)), pieceByte, 0)
	}
	return m
}

// testCharsmap: a to b, e and a combining acute to é, full-width A to A, an ideographic space to two spaces.
func testCharsmap(t testing.TB) []byte {
	rules, err := buildTrie(trieList{[]string{"a", "e\u0301", "\u3000", "\uFF21"}, []uint32{0, 2, 5, 8}})
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(rules))), rules...), "b\x00é\x00  \x00A\x00"...)
}

func TestRules(t *testing.T) {
	image, err := Build(byteModel(t).bytes(), nil)
	tok := mustOpen(t, image, err)
	var sc Scratch
	for _, c := range []struct{ text, pieces string }{
		{"a", "▁|b"},
		{"<a>a", "▁|<a>|b"}, // the longest user-defined symbol, untouched by the rules
		{"<aa", "▁|<|b|b"},
		{"b \u3000b", "▁|b|▁|b"}, // behind a space, all spaces of a rule go
		{"b \u3000", "▁|b"},
		{"\uFF21", "▁|<0x41>"},
	} {
		if got := strings.Join(tok.EncodePieces(c.text, &sc), "|"); got != c.pieces {
			t.Errorf("EncodePieces(%q) = %q, want %q", c.text, got, c.pieces)
		}
	}
}

// TestScoreAndSpaces: an unknown character costs 10 more than the worst piece. By hand: x alone and all of y are -15 - 1,
// xy and 13 times y are -1 - 13 * 1.12.
func TestScoreAndSpaces(t *testing.T) {
	y := strings.Repeat("y", 14)
	m := (&protoModel{}).add("<unk>", pieceUnknown, 0).add("worst", pieceNormal, -5).add("xy", pieceNormal, -1)
	m.add("y", pieceNormal, -1.12).add(y, pieceNormal, -1)
	m.normalizer = protoVarint(nil, 3, 0)
	image, err := Build(m.bytes(), nil)
	tok := mustOpen(t, image, err)
	if got := tok.EncodePieces("x"+y, &Scratch{}); len(got) != 14 || got[0] != "xy" {
		t.Errorf("EncodePieces: %q", got)
	}
	m.normalizer = nil
	m.trainer = protoVarint(nil, 24, 1) // the space goes behind
	image, err = Build(m.bytes(), nil)
	tok = mustOpen(t, image, err)
	if got := tok.EncodePieces(" y y ", &Scratch{}); !equal(got, []string{"y", "▁", "y", "▁"}) {
		t.Errorf("EncodePieces: %q", got)
	}
	m.trainer = nil
	// Without rules to drop spaces all of them stay.
	m.normalizer = protoVarint(nil, 4, 0)
	image, err = Build(m.bytes(), nil)
	tok = mustOpen(t, image, err)
	if got := tok.EncodePieces("  y  ", &Scratch{}); !equal(got, []string{"▁▁▁", "y", "▁▁"}) {
		t.Errorf("EncodePieces: %q", got)
	}
}

// TestBrokenImages cuts and changes images everywhere: Open refuses them, or they can be used without a panic.
func TestBrokenImages(t *testing.T) {
	images := map[string][]byte{}
	var err error
	if images["own ids"], err = Build(byteModel(t).bytes(), nil); err != nil {
		t.Fatal(err)
	}
	if images["vocabulary"], err = Build(smallModel().bytes(), map[string]int32{"<unk>": 0, "a": 1, "龘": 2}); err != nil {
		t.Fatal(err)
	}
	if images["tokens"], err = BuildTokens([]string{"<unk>", "a", "b"}); err != nil {
		t.Fatal(err)
	}
	vocab, err := vocabOf(map[string]int32{"?": 0, "a": 1, "b": 2, "ab": 3, "abab": 4, "▁": 5})
	if err != nil {
		t.Fatal(err)
	}
	ranked := &pairModel{unk: "?", flags: flagEscape | flagSplitWords, merges: `["a b", "ab ab"]`}
	if images["ranked"], err = ranked.build(vocab); err != nil {
		t.Fatal(err)
	}
	if images["moses"], err = BuildMoses([]string{"<unk>", "a", "a@@", "b"}, []byte("#version: 0.2\na b</w>\na a\n"), "en", "de"); err != nil {
		t.Fatal(err)
	}
	text := "a ab abab \u3000 <sep> bb 你好 \xff <a> 龘 \uFF21"
	for name, image := range images {
		t.Run(name, func(t *testing.T) {
			refused, opened := 0, 0
			try := func(mustFail bool, what string, image []byte) {
				defer func() {
					if r := recover(); r != nil {
						t.Fatalf("%s: panic: %v", what, r)
					}
				}()
				tok, err := Open(image)
				if err != nil {
					var broken *ImageError
					if refused++; !errors.As(err, &broken) {
						t.Fatalf("%s: %T is no *ImageError", what, err)
					}
					return
				}
				if opened++; mustFail {
					t.Errorf("%s: opened", what)
				}
				exercise(tok, text)
				checkIDs(t, tok, text)
			}
			try(false, "whole", image)
			for n := 0; n < len(image); n += 1 + n/64 {
				try(true, fmt.Sprint("cut to ", n), image[:n])
			}
			longer := append(bytes.Clone(image), make([]byte, 8)...)
			try(true, "longer", longer)
			binary.LittleEndian.PutUint32(longer[8:], uint32(len(longer)))
			try(true, "longer, and the header says so", longer)
			for i := range image {
				x := [...]byte{1, 0x80, 0xFF}[i%3]
				changed := bytes.Clone(image)
				changed[i] ^= x
				try(i < 12, fmt.Sprintf("byte %d ^ %#x", i, x), changed)
			}
			for section := range sectionsVersion1 - 1 {
				at := 40 + 8*section
				end := int(binary.LittleEndian.Uint32(image[at:]) + binary.LittleEndian.Uint32(image[at+4:]))
				if end < int(binary.LittleEndian.Uint32(image[at+8:])) {
					changed := bytes.Clone(image)
					changed[end] = 1
					try(true, "padding behind "+sectionNames[section], changed)
				}
			}
			ends := int(binary.LittleEndian.Uint32(image[40+8*sectionEnds:]))
			changed := bytes.Clone(image)
			changed[ends], changed[ends+4] = image[ends+4], image[ends]
			try(true, "ends that fall", changed)
			t.Logf("%d refused, %d opened and used", refused, opened)
		})
	}
}

func TestAllocations(t *testing.T) {
	image, err := Build(madeModel(marianSize), nil)
	if err != nil {
		t.Fatal(err)
	}
	var keep *Tokenizer
	if n := alloctest.PerRun(3, func() { keep, _ = Open(image) }); n > 1 {
		t.Errorf("Open allocates %v times for %d pieces", n, keep.Size())
	}
	for _, name := range []string{"en", "zh-byte", "bpe-mixed", "word-mixed", "char-mixed", "odd-bpe12"} {
		tok := openSPM(t, "testdata/"+name+".model")
		var sc Scratch
		var ids []int32
		var out []byte
		text := strings.Repeat("你好龘 Hello, \xff world! <sep>", 20)
		if n := alloctest.PerRun(10, func() {
			ids = tok.Encode(ids[:0], text, &sc)
			out = tok.Decode(out[:0], ids)
			tok.ID("▁the")
		}); n > 0 {
			t.Errorf("%s: Encode and Decode allocate %v times", name, n)
		}
	}
	// The lookup of unknown runs in a vocabulary too.
	image, err = Build(smallModel().bytes(), map[string]int32{"<unk>": 0, "龘": 1, "a": 2, "x": 3})
	tok := mustOpen(t, image, err)
	var sc Scratch
	ids := tok.Encode(nil, "a龘a x 龘龘", &sc)
	if n := alloctest.PerRun(10, func() { ids = tok.Encode(ids[:0], "a龘a x 龘龘", &sc) }); n > 0 {
		t.Errorf("vocabulary: Encode allocates %v times", n)
	}
}

// TestLongText: memory stays linear where nothing cuts the text.
func TestLongText(t *testing.T) {
	for _, name := range []string{"zh-byte", "bpe-mixed"} {
		tok := openSPM(t, "testdata/"+name+".model")
		text := strings.Repeat("这是一个没有空格的长文本", 100_000/36)
		var sc Scratch
		ids := tok.Encode(nil, text, &sc)
		if got := string(tok.Decode(nil, ids)); got != text {
			t.Errorf("%s: a long text does not come back", name)
		}
		if size := cap(sc.normalized) + 12*cap(sc.best) + 12*cap(sc.path) + 20*cap(sc.symbols) + 16*cap(sc.agenda); size > 60*len(text) {
			t.Errorf("%s: scratch of %d bytes for a text of %d", name, size, len(text))
		}
	}
}

// TestTrie compares the double array with a plain search, and with one so large that blocks are closed.
func TestTrie(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for _, size := range []int{1, 10, 1000, 30000} {
		set := map[string]uint32{}
		for len(set) < size {
			key := make([]byte, 1+rnd.Intn(6))
			for i := range key {
				key[i] = byte(1 + rnd.Intn(255))
				if size <= 1000 {
					key[i] = byte('a' + rnd.Intn(4))
				}
			}
			set[string(key)] = uint32(len(set))
		}
		var keys []string
		for key := range set {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		values := make([]uint32, len(keys))
		for i, key := range keys {
			values[i] = set[key]
		}
		units, err := buildTrie(trieList{keys, values})
		if err != nil {
			t.Fatal(err)
		}
		if at, reason := checkTrie(units, size); reason != "" {
			t.Fatalf("%d keys: unit at %d: %s", size, at, reason)
		}
		for n := 0; n < 20000; n++ {
			text := keys[rnd.Intn(len(keys))] + keys[rnd.Intn(len(keys))]
			if n%3 == 0 {
				text = text[1:] + "\x00"
			}
			want, value := 0, uint32(0)
			for end := 1; end <= len(text); end++ {
				if v, ok := set[text[:end]]; ok {
					want, value = end, v
				}
			}
			if got, v := longest(units, text, 1000); got != want || v != value {
				t.Fatalf("%d keys: longest(%q) = %d, %d, want %d, %d", size, text, got, v, want, value)
			}
		}
		if per := float64(len(units)) / float64(len(keys)); size == 30000 && per > 40 {
			t.Errorf("%.1f bytes a key", per)
		}
	}
}
