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

	"github.com/edge-infer/edge-infer/runtime/alloctest"
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
	image, err := parsed.Build()
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
	const unigram = `{"pre_tokenizer": {"type": "Metaspace", "replacement": "▁"}, "model": {"type": "Unigram", `
	for _, c := range []struct{ file, want string }{
		{``, "unexpected end of JSON input"},
		{`[]`, "this is of the kind array, where another was expected"},
		{`{"model": null}`, "BPE with a pre_tokenizer other than Metaspace and ByteLevel is not read"},
		{`{"model": {"type": "WordLevel"}}`, `the model is of type "WordLevel", Unigram and BPE are read`},
		{`{"model": {"type": "Unigram", "vocab": []}}`, "a Unigram model without Metaspace is not read"},
		{`{"normalizer": {"type": "NFKC"}, "model": {}}`, `normalizer: "NFKC" is not known as number 1; Precompiled is as the first, and Strip, Prepend and Replace of spaces`},
		{`{"pre_tokenizer": {"type": "Whitespace"}, "model": {}}`, `pre_tokenizer: "Whitespace" is not known here; Metaspace is, WhitespaceSplit and Metaspace, and ByteLevel with its regular expression`},
		{`{"post_processor": {"type": "BertProcessing"}, "model": {}}`, `post_processor: "BertProcessing" is not known, TemplateProcessing is`},
		{`{"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]}, "model": {}}`, "post_processor: the template for one text has it twice"},
		{start + `"end_of_word_suffix": "</w>"}}`, "BPE with end_of_word_suffix is not read"},
		{start + `"ignore_merges": true}}`, "BPE with ignore_merges is not read"},
		{start + `"merges": ["a"]}}`, `model: "a" is not of two tokens`},
		{start + `"merges": [["a", "b", "c"]]}}`, `model: ["a", "b", "c"] is not of two tokens`},
		{start + `"merges": [7]}}`, "model: merges is of the kind number, where another was expected"},
		{start + `"merges": []}}`, "model: there is no vocabulary"},
		{start + `"vocab": {"a": 0}}}`, `the vocabulary has no "?", which stands for what is unknown`},
		{start + `"vocab": {"?": 0, "a": 1}, "merges": ["a b"]}}`, `merge 0, of "a" and "b", has a token that is not in the vocabulary`},
		{start + `"vocab": {"?": 0, "a": 1, "aa": 2}, "merges": ["a a", "a a"]}}`, "merges 0 and 1 are of the same two tokens"},
		{start + `"vocab": {"?": 0, "a": 99999}}}`, `the vocabulary gives "a" the id 99999, but has 2 entries`},
		{start + `"vocab": {"?": 0, "a": 0}}}`, `the vocabulary gives the id 0 to "?" and to "a"`},
		{start + `"vocab": {"?": 0, "a": 1}, "byte_fallback": true}}`, `the vocabulary lacks "<0x00>", which stands for the byte 0x00`},
		{`{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0}}}`, `the vocabulary lacks "Ā", which stands for the byte 0x00`},
		{`{"added_tokens": [{"id": 5, "content": "a"}], ` + start[1:] + `"vocab": {"?": 0, "a": 1}}}`, `the added token "a" has the id 5, but 1 in the model`},
		{`null`, "there is no model"},
		{`{}`, "there is no model"},
		{`{"model": 7}`, "model: this is of the kind number, where another was expected"},
		{`{"model": []}`, "model: this is of the kind array, where another was expected"},
		{`{"model": {"type": 1}}`, "model: type is of the kind number, where another was expected"},
		{`{"added_tokens": {}, "model": {}}`, "added_tokens is of the kind object, where another was expected"},
		{`{"added_tokens": [{"id": "1"}], "model": {}}`, "added_tokens.id is of the kind string, where another was expected"},
		{`{"added_tokens": [{"id": 2147483648}], "model": {}}`, "added_tokens.id is of the kind number 2147483648, where another was expected"},
		{`{"normalizer": "NFC", "model": {}}`, "normalizer: this is of the kind string, where another was expected"},
		{`{"normalizer": {"type": "Sequence", "normalizers": {}}, "model": {}}`, "normalizer: normalizers is of the kind object, where another was expected"},
		{`{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "%"}, "model": {}}`, "normalizer: illegal base64 data at input byte 0"},
		{`{"normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip"}, {"type": "Precompiled"}]}, "model": {}}`, `normalizer: "Precompiled" is not known as number 2; Precompiled is as the first, and Strip, Prepend and Replace of spaces`},
		{`{"normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}, "model": {}}`, `normalizer: "Replace" is not known as number 1; Precompiled is as the first, and Strip, Prepend and Replace of spaces`},
		{`{"pre_tokenizer": [], "model": {}}`, "pre_tokenizer: this is of the kind array, where another was expected"},
		{`{"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}, "model": {}}`, `pre_tokenizer: "Metaspace" is not known here; Metaspace is, WhitespaceSplit and Metaspace, and ByteLevel with its regular expression`},
		{`{"pre_tokenizer": {"type": "ByteLevel", "use_regex": false}, "model": {}}`, `pre_tokenizer: "ByteLevel" is not known here; Metaspace is, WhitespaceSplit and Metaspace, and ByteLevel with its regular expression`},
		{`{"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "replacement": "▁"}, {"type": "Digits"}]}, "model": {}}`, `pre_tokenizer: "Metaspace" is not known here; Metaspace is, WhitespaceSplit and Metaspace, and ByteLevel with its regular expression`},
		{`{"post_processor": 1, "model": {}}`, "post_processor: this is of the kind number, where another was expected"},
		{`{"post_processor": {"type": "TemplateProcessing", "single": "$A </s>"}, "model": {}}`, "post_processor: single is of the kind string, where another was expected"},
		{`{"post_processor": {"type": "TemplateProcessing", "single": [{}]}, "model": {}}`, "post_processor: the template for one text has it twice"},
		{start + `"continuing_subword_prefix": "##"}}`, "BPE with continuing_subword_prefix is not read"},
		{start + `"merges": {}}}`, "model: merges is of the kind object, where another was expected"},
		{start + `"merges": ["a b c"]}}`, `model: "a b c" is not of two tokens`},
		{start + `"merges": [" b"]}}`, `model: " b" is not of two tokens`},
		{start + `"merges": [["a", 1]]}}`, "model: merges is of the kind number, where another was expected"},
		{start + `"merges": [null]}}`, "model: null is not of two tokens"},
		{start + `"vocab": []}}`, "model: vocab is of the kind array, where another was expected"},
		{start + `"vocab": {"a": "0"}}}`, "model: vocab is of the kind string, where another was expected"},
		{start + `"vocab": {"a": 0.5}}}`, "model: vocab is of the kind number 0.5, where another was expected"},
		{start + `"vocab": {"?": 0, "a": -1}}}`, `the vocabulary gives "a" the id -1, but has 2 entries`},
		{start + `"vocab": {}}}`, "the vocabulary is empty"},
		{start + `"vocab": {"?": 0, "` + strings.Repeat("a", maxPieceBytes) + `": 1}}}`, `the token "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" has 8000 bytes, must have less than 8000`},
		{unigram + `"vocab": {}}}`, "model: vocab is of the kind object, where another was expected"},
		{unigram + `"vocab": [["a"]]}}`, `model: ["a"] is not a text and its score`},
		{unigram + `"vocab": [[1, 2]]}}`, "model: vocab is of the kind number, where another was expected"},
		{unigram + `"vocab": [["a", "b"]]}}`, "model: vocab is of the kind string, where another was expected"},
		{unigram + `"vocab": [["a", 1e99]]}}`, "model: vocab is of the kind number 1e99, where another was expected"},
		{unigram + `"vocab": [["", 0]]}}`, "piece 0: it is empty"},
		{unigram + `"vocab": [["a", 0], ["a", 0]]}}`, `"a" is there twice, as 0 and as 1`},
		{unigram + `"vocab": []}}`, "model: the vocabulary is empty"},
		{unigram + `"vocab": [["a", 0]]}}`, "there is no unknown piece"},
		{unigram + `"unk_id": "0", "vocab": []}}`, "model: unk_id is of the kind string, where another was expected"},
		{unigram + `"unk_id": 0, "vocab": [["?", 0]]}}`, "there are no normal pieces"},
		{unigram + `"unk_id": 0, "byte_fallback": true, "vocab": [["?", 0], ["a", 0]]}}`, "byte fallback is on, but there is no piece <0x00>"},
	} {
		parsed, err := ParseJSON([]byte(c.file))
		if err == nil {
			_, err = parsed.Build()
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%.200s:\ngot  %v\nwant %s", c.file, err, c.want)
		}
	}
}

// TestJSONStrings: what is read in place is what encoding/json reads.
func TestJSONStrings(t *testing.T) {
	for _, value := range []string{`""`, `"a"`, `"a\"b\\\/\b\f\n\r\t"`, `"\u00e9\u4f60"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx\ude00"`, `"\ud83d\u0041"`, `"\ude00\ud83d\ude00"`,
		"\"a\xffb\\n\"", "\"\xe4\xb8\"", `"\u0000"`, `null`} {
		var want string
		if err := json.Unmarshal([]byte(value), &want); err != nil {
			t.Fatal(value, err)
		}
		if got, err := jsonString(value); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", value, got, err, want)
		}
	}
	file := ` { "a" : [ 1 , "]" , { "x" : [ ] } ] , "b\"" : -1.5e3,"c":null , "d":{}}`
	var got []string
	if err := eachMember(strings.TrimSpace(file), func(name, value string) error {
		got = append(got, name, value)
		return nil
	}); err != nil || !slices.Equal(got, []string{`"a"`, `[ 1 , "]" , { "x" : [ ] } ]`, `"b\""`, `-1.5e3`, `"c"`, `null`, `"d"`, `{}`}) {
		t.Errorf("%q, %v", got, err)
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
		if n := alloctest.PerRun(10, func() {
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
