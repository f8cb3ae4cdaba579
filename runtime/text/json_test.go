package text

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func parseJSON(t testing.TB, path string) *JSONTokenizer {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func openJSON(t testing.TB, path string) *Tokenizer {
	t.Helper()
	parsed := parseJSON(t, path)
	image, err := parsed.Build(parsed.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Open(image)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestJSONGoldens: ids and decoded text are those of Hugging Face's tokenizers (testdata/make_json_golden.py). An unknown piece is
// written as " ⁇ " here, as SentencePiece does, and not at all there; and white space around a text, which no sentence has, counts here
// only where it is not dropped. (White space that a model's own rules leave alone splits words there, not here: one line.)
func TestJSONGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/json/*.tokenizer.json")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".tokenizer.json")
		t.Run(filepath.Base(name), func(t *testing.T) {
			tok := openJSON(t, file)
			raw, err := os.ReadFile(name + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			var sc Scratch
			lines := bufio.NewScanner(bytes.NewReader(raw))
			lines.Buffer(nil, 1<<20)
			compared := 0
			for lines.Scan() {
				var input, decoded string
				var ids []int32
				if err := json.Unmarshal(lines.Bytes(), &[]any{&input, &ids, &decoded}); err != nil {
					t.Fatal(err)
				}
				if strings.TrimSpace(input) != input || strings.Contains(input, "\u00a0") && filepath.Base(name) == "unigram-words" {
					continue
				}
				compared++
				if got := tok.Encode(nil, input, &sc); !slices.Equal(got, ids) {
					t.Errorf("%q: %v %q, want %v", input, got, tok.EncodePieces(input, &sc), ids)
				}
				if tok.Unk() < 0 || !slices.Contains(ids, tok.Unk()) {
					if got := string(tok.Decode(nil, ids)); got != strings.TrimPrefix(decoded, " ") {
						t.Errorf("%v: %q, want %q", ids, got, decoded)
					}
				}
			}
			if compared < 140 {
				t.Errorf("%d lines", compared)
			}
		})
	}
}

func TestJSONRefused(t *testing.T) {
	const start = `{"pre_tokenizer": {"type": "Metaspace", "replacement": "▁"}, "model": {"type": "BPE", "unk_token": "?", `
	for _, c := range []struct{ file, want string }{
		{``, "unexpected end of JSON input"},
		{`[]`, "json: cannot unmarshal array"},
		{`{"model": null}`, "BPE with a pre_tokenizer other than Metaspace and ByteLevel is not read"},
		{`{"model": {"type": "WordLevel"}}`, `the model is of type "WordLevel", Unigram and BPE are read`},
		{`{"model": {"type": "Unigram", "vocab": []}}`, "a Unigram model without Metaspace is not read"},
		{`{"normalizer": {"type": "NFKC"}, "model": {}}`, `normalizer: "NFKC" is not known as number 1`},
		{`{"pre_tokenizer": {"type": "Whitespace"}, "model": {}}`, `pre_tokenizer: "Whitespace" is not known here`},
		{`{"post_processor": {"type": "BertProcessing"}, "model": {}}`, `post_processor: "BertProcessing" is not known, TemplateProcessing is`},
		{`{"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}, "model": {}}`, "has it twice"},
		{start + `"end_of_word_suffix": "</w>"}}`, "BPE with end_of_word_suffix is not read"},
		{start + `"ignore_merges": true}}`, "BPE with ignore_merges is not read"},
		{start + `"merges": ["a"]}}`, `model: "a" is not of two tokens`},
		{start + `"merges": [["a", "b", "c"]]}}`, `model: ["a", "b", "c"] is not of two tokens`},
		{start + `"merges": [7]}}`, "model: json: cannot unmarshal number"},
		{`{"pre_tokenizer": {"type": "Metaspace", "replacement": "▁"}, "model": {"type": "Unigram", "vocab": [["a"]]}}`, "is not a text and its score"},
		{start + `"merges": []}}`, "model: there is no vocabulary"},
		{start + `"vocab": {"a": 0}}}`, `the vocabulary has no "?"`},
		{start + `"vocab": {"?": 0, "a": 1}, "merges": ["a b"]}}`, `merge 0, of "a" and "b", has a token that is not in the vocabulary`},
		{start + `"vocab": {"?": 0, "a": 1, "aa": 2}, "merges": ["a a", "a a"]}}`, "merges 0 and 1 are of the same two tokens"},
		{start + `"vocab": {"?": 0, "a": 99999}}}`, `the vocabulary gives "a" the id 99999, but has 2 entries`},
		{start + `"vocab": {"?": 0, "a": 0}}}`, `the vocabulary gives the id 0 to "?" and to "a"`},
		{start + `"vocab": {"?": 0, "a": 1}, "byte_fallback": true}}`, `the vocabulary lacks "<0x00>", which stands for the byte 0x00`},
		{`{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0}}}`, `the vocabulary lacks "Ā", which stands for the byte 0x00`},
		{`{"added_tokens": [{"id": 5, "content": "a"}], ` + start[1:] + `"vocab": {"?": 0, "a": 1}}}`, `the added token "a" has the id 5, but 1 in the model`},
	} {
		parsed, err := ParseJSON([]byte(c.file))
		if err == nil {
			_, err = parsed.Build(parsed.Vocab)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.file, err, c.want)
		}
	}
}

// Bytes that make no character become U+FFFD, as many as begin one together a single one. (The texts are Python's and Rust's.)
func TestAppendValid(t *testing.T) {
	for in, want := range map[string]string{
		"\xe6\x88\xe6\x88": "\ufffd\ufffd", "\xf0\x9f\x98": "\ufffd", "\xff\xff": "\ufffd\ufffd", "\xe6A": "\ufffdA", "\xf0\x9fA": "\ufffdA", "\xc0\x80": "\ufffd\ufffd",
		"\xed\xa0\x80": "\ufffd\ufffd\ufffd", "a\xe4\xb8b": "a\ufffdb", "\xf4\x90\x80": "\ufffd\ufffd\ufffd", "\ufffd你": "\ufffd你", "": "",
	} {
		if got := string(appendValid(nil, []byte(in))); got != want {
			t.Errorf("%x: %q, want %q", in, got, want)
		}
	}
}

// TestRankedAllocatesNothing, and its time grows as a sorted list's does.
func TestRankedAllocatesNothing(t *testing.T) {
	for _, name := range []string{"bpe-words", "bpe-bytelevel", "bpe-fallback"} {
		tok := openJSON(t, "testdata/json/"+name+".tokenizer.json")
		var sc Scratch
		text := strings.Repeat("It's 3 o'clock, 你好。 ", 40)
		ids := tok.Encode(nil, text, &sc)
		dst := tok.Decode(nil, ids)
		if n := testing.AllocsPerRun(10, func() {
			ids = tok.Encode(ids[:0], text, &sc)
			dst = tok.Decode(dst[:0], ids)
		}); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
		long := strings.Repeat("a", 1<<17)
		tok.Encode(nil, long, &sc) // one long word: many seconds if each merge looked at all of it
		for n := 0; n < len(ids); n += 7 {
			if part := tok.DecodeGrowing(nil, ids[:n]); !bytes.HasPrefix(dst, part) {
				t.Fatalf("%s: %q of the first %d ids does not begin the text", name, part, n)
			}
		}
	}
}
