package text

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
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
			var image []byte
			var err error
			fuzztest.Bounded(t, len(spm), func() { image, err = Build(spm, vocab) })
			if err != nil {
				continue
			}
			tok := mustOpen(t, image, nil)
			fuzztest.Bounded(t, len(image)+len(s), func() {
				exercise(tok, s)
				checkIDs(t, tok, s)
			})
		}
	})
}

// FuzzJSON reads bytes as a tokenizer.json: an error, or a tokenizer that works.
func FuzzJSON(f *testing.F) {
	const rules = `"pre_tokenizer": {"type": "Metaspace", "replacement": "▁"}, "post_processor": {"type": "TemplateProcessing", ` +
		`"single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}]}, "added_tokens": [{"id": 0, "content": "</s>", "special": true}]`
	f.Add([]byte(`{`+rules+`, "model": {"type": "BPE", "unk_token": "?", "vocab": {"</s>": 0, "?": 1, "▁": 2, "a": 3, "b": 4, "ab": 5, "▁ab": 6}, "merges": ["a b", ["▁", "ab"]]}}`), "ab aab")
	f.Add([]byte(`{`+rules+`, "normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, "model": {"type": "Unigram", "unk_id": 1, `+
		`"vocab": [["</s>", 0], ["<unk>", 0], ["▁a", -1.5], ["b", -2], ["a▁b", -3]]}}`), "a b  a▁b")
	files, _ := filepath.Glob("testdata/json/*.tokenizer.json")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(raw) < 16000 {
			f.Add(raw, fuzzTexts[3])
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, s string) {
		var image []byte
		fuzztest.Bounded(t, len(raw), func() {
			if parsed, err := ParseJSON(raw); err == nil {
				image, _ = parsed.Build()
			}
		})
		if image == nil {
			return
		}
		tok := mustOpen(t, image, nil)
		fuzztest.Bounded(t, len(image)+len(s), func() {
			exercise(tok, s)
			checkIDs(t, tok, s)
		})
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
		fuzztest.Bounded(t, len(image)+len(s), func() {
			if tok, err := Open(image); err == nil {
				exercise(tok, s)
			}
		})
	})
}

// manyTokenizers has one of each kind.
func manyTokenizers(f *testing.F) (toks []*Tokenizer) {
	for _, name := range []string{"en", "zh-byte", "bpe-mixed", "bpe-keep", "word-mixed", "char-mixed", "odd-bpe12"} {
		toks = append(toks, openSPM(f, "testdata/"+name+".model"))
	}
	for _, name := range []string{"bpe-words", "bpe-bytelevel", "bpe-fallback"} {
		toks = append(toks, openJSON(f, "testdata/json/"+name+".tokenizer.json"))
	}
	for _, build := range []func([]string) ([]byte, error){BuildTokens, BuildWords, BuildChars} {
		image, err := build([]string{"a", "b", "<unk>"})
		toks = append(toks, mustOpen(f, image, err))
	}
	return toks
}

// FuzzEncode cuts any text with real models and joins the pieces.
func FuzzEncode(f *testing.F) {
	toks := manyTokenizers(f)
	for _, s := range fuzzTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, tok := range toks {
			fuzztest.Bounded(t, len(s), func() {
				checkIDs(t, tok, s)
				var sc Scratch
				out := tok.Decode([]byte("before"), tok.Encode(nil, s, &sc))
				if tok.Kind() != "tokens" && !utf8.Valid(out) {
					t.Fatalf("%q decodes as %q", s, out)
				}
			})
		}
	})
}

// FuzzDecode joins any ids, those that no text becomes and those out of range too: text comes of it, behind what stood there before, and
// what comes of fewer ids as they grow is how it begins.
func FuzzDecode(f *testing.F) {
	toks := manyTokenizers(f)
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 0, 255, 255})
	f.Add([]byte{3, 0, 230, 0, 4, 0, 131, 0, 0, 128})
	f.Fuzz(func(t *testing.T, raw []byte) {
		ids := make([]int32, len(raw)/2)
		for i := range ids {
			ids[i] = int32(int16(binary.LittleEndian.Uint16(raw[2*i:])))
		}
		for _, tok := range toks {
			size := len(ids) * (len(tok.unkText) + 1)
			for _, id := range ids {
				size += len(tok.Piece(id))
			}
			fuzztest.Bounded(t, size, func() {
				out := tok.Decode([]byte("before"), ids)
				if !bytes.HasPrefix(out, []byte("before")) || !utf8.Valid(out) {
					t.Fatalf("%s: %v decodes as %q", tok.Kind(), ids, out)
				}
				for _, n := range []int{len(ids) / 2, max(len(ids)-1, 0)} {
					if part := tok.DecodeGrowing([]byte("before"), ids[:n]); !bytes.HasPrefix(out, part) {
						t.Fatalf("%s: %v decodes as %q, but after %d as %q", tok.Kind(), ids, out, n, part)
					}
				}
			})
		}
	})
}

// FuzzSentences splits any text.
func FuzzSentences(f *testing.F) {
	for _, s := range append(fuzzTexts, "He said: \"3.14 (No. 5)!\" 你好……“再见。” www.w3.org, e.g. U.S. A.\r\nx", "'.' \".\" a.\u2028b\u00a0.\u3000C") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fuzztest.Bounded(t, len(s), func() { checkSpans(t, s) })
	})
}
