package text

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var fuzzTexts = []string{
	"", " ", "a ab  bb", "你好，world! 3.14 <sep>▲▲▲b", "\x00\xff\xe4\xb8 e\u0301 \u3000Ａ ﬁ ①", "龘龘 <s> </s> <0x41>", "Dr. A. \"B.\" 。！",
}

// FuzzBuild reads bytes as a SentencePiece model: an error, or a tokenizer that works.
func FuzzBuild(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.model")
	for _, file := range files {
		spm, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(spm) < 1000 {
			f.Add(spm, "ab a▁é的😀")
		}
	}
	f.Add(smallModel().bytes(), fuzzTexts[4])
	f.Add(byteModel(f).bytes(), fuzzTexts[3])
	f.Fuzz(func(t *testing.T, spm []byte, s string) {
		for _, vocab := range []map[string]int32{nil, {"<unk>": 0, "</s>": 1, "a": 2, "▁a": 3, "龘": 5}} {
			image, err := Build(spm, vocab)
			if err != nil {
				continue
			}
			tok := mustOpen(t, image, nil)
			exercise(tok, s)
			checkIDs(t, tok, s)
		}
	})
}

// checkIDs: Encode gives ids that are there, one for each of EncodePieces.
func checkIDs(t *testing.T, tok *Tokenizer, s string) {
	var sc Scratch
	ids := tok.Encode(nil, s, &sc)
	for _, id := range ids {
		if id < 0 && tok.Unk() >= 0 || int(id) >= tok.Size() {
			t.Fatalf("Encode(%q) gives the id %d of %d", s, id, tok.Size())
		}
	}
	if pieces := tok.EncodePieces(s, &sc); len(pieces) != len(ids) {
		t.Fatalf("Encode(%q): %d ids, %d pieces", s, len(ids), len(pieces))
	}
}

// FuzzOpen opens bytes as an image: an error, or a tokenizer that does not panic.
func FuzzOpen(f *testing.F) {
	add := func(image []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(image, strings.Join(fuzzTexts, "\n"))
	}
	add(BuildTokens([]string{"<unk>", "a", "b"}))
	add(Build((&protoModel{}).add("<unk>", pieceUnknown, 0).add("a", pieceNormal, -1).bytes(), nil))
	add(Build(byteModel(f).bytes(), nil))
	add(Build(smallModel().bytes(), map[string]int32{"<unk>": 0, "a": 1, "龘": 2}))
	f.Fuzz(func(t *testing.T, image []byte, s string) {
		if len(image) > 12 {
			binary.LittleEndian.PutUint32(image[8:], uint32(len(image))) // else every change of size ends there
		}
		if tok, err := Open(image); err == nil {
			exercise(tok, s)
		}
	})
}

// FuzzEncode cuts and joins any text with real models, and splits it into sentences.
func FuzzEncode(f *testing.F) {
	var toks []*Tokenizer
	for _, name := range []string{"en", "zh-byte", "bpe-mixed", "bpe-keep", "word-mixed", "char-mixed", "odd-bpe12"} {
		toks = append(toks, openSPM(f, "testdata/"+name+".model"))
	}
	tokens, err := BuildTokens([]string{"a", "b", "<unk>"})
	toks = append(toks, mustOpen(f, tokens, err))
	for _, s := range fuzzTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkSpans(t, s)
		for _, tok := range toks {
			checkIDs(t, tok, s)
			var sc Scratch
			out := tok.Decode([]byte("before"), tok.Encode(nil, s, &sc))
			if tok.Kind() != "tokens" && !utf8.Valid(out) {
				t.Fatalf("%q decodes as %q", s, out)
			}
		}
	})
}
