package convert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// TestMalformedVocabulary has every way in which a vocab.json for embeddings of four rows can be wrong.
func TestMalformedVocabulary(t *testing.T) {
	good := `{"</s>": 0, "<unk>": 1, "a": 2, "<pad>": 3}`
	if vocab, err := parseVocabulary("f", []byte("\uFEFF"+good+"\n"), 4, true); err != nil || len(vocab) != 3 || vocab["a"] != 2 {
		t.Fatal(vocab, err)
	}
	change := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "byte 0: the JSON ends early; download or write it again"},
		{"space", " \n", "byte 2: the JSON ends early; download or write it again"},
		{"a page", "<!DOCTYPE html>", "byte 0: this is not JSON: invalid character '<' looking for beginning of value; download or write it again"},
		{"a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "byte 0: this is not JSON: invalid character 'v' looking for beginning of value; download or write it again"},
		{"gzip", "\x1f\x8b\x08\x00", "byte 1: the JSON is not UTF-8; download or write it again"},
		{"UTF-16", "\xff\xfe{\x00", "byte 0: the JSON is not UTF-8; download or write it again"},
		{"Latin-1", change("a", "\xe4"), "byte 25: the JSON is not UTF-8; download or write it again"},
		{"a character cut in two", change("a", "\xe4\xb8"), "byte 25: the JSON is not UTF-8; download or write it again"},
		{"a list of tokens", `["</s>", "<unk>", "a", "<pad>"]`, "byte 1: an array where an object of tokens and their ids was expected; download it again"},
		{"a list of pairs", `[["</s>", 0]]`, "byte 1: an array where an object of tokens and their ids was expected; download it again"},
		{"null", "null", "byte 4: null where an object of tokens and their ids was expected; download it again"},
		{"a number", "4", "byte 1: the number 4 where an object of tokens and their ids was expected; download it again"},
		{"a string", `"</s>"`, `byte 6: the string "</s>" where an object of tokens and their ids was expected; download it again`},
		{"true", "true", "byte 4: true where an object of tokens and their ids was expected; download it again"},
		{"tokens a line", "</s>\n<unk>\na\n", "byte 0: this is not JSON: invalid character '<' looking for beginning of value; download or write it again"},
		{"tokens and ids a line", "</s> 0\n<unk> 1\n", "byte 0: this is not JSON: invalid character '<' looking for beginning of value; download or write it again"},
		{"cut in a token", good[:20], "byte 20: the JSON ends early; download or write it again"},
		{"cut behind a token", good[:17], "byte 17: the JSON ends early; download or write it again"},
		{"cut behind an id", good[:24], "byte 24: the JSON ends early; download or write it again"},
		{"cut before the end", good[:len(good)-1], "byte 42: the JSON ends early; download or write it again"},
		{"a comma too many", change("3}", "3,}"), "byte 43: this is not JSON: invalid character '}' looking for beginning of object key string; download or write it again"},
		{"a comma too few", change("0,", "0"), `byte 11: this is not JSON: invalid character '"' after object key:value pair; download or write it again`},
		{"a colon too few", change(`"a":`, `"a"`), "byte 28: this is not JSON: invalid character '2' after object key; download or write it again"},
		{"single quotes", change(`"a"`, `'a'`), "byte 24: this is not JSON: invalid character '\\'' looking for beginning of object key string; download or write it again"},
		{"no quotes", change(`"a"`, `a`), "byte 24: this is not JSON: invalid character 'a' looking for beginning of object key string; download or write it again"},
		{"a comment", change("{", "{ # ids\n"), "byte 2: this is not JSON: invalid character '#' looking for beginning of object key string; download or write it again"},
		{"an escape that is none", change(`"a"`, `"\x61"`), "byte 26: this is not JSON: invalid character 'x' in string escape code; download or write it again"},
		{"a line end in a token", change(`"a"`, "\"a\n\""), "byte 26: this is not JSON: invalid character '\\n' in string literal; download or write it again"},
		{"NUL in a token", change(`"a"`, "\"a\x00\""), "byte 26: this is not JSON: invalid character '\\x00' in string literal; download or write it again"},
		{"text behind", good + "x", "byte 43: this is not JSON: invalid character 'x' after top-level value; download or write it again"},
		{"another object behind", good + good, "byte 43: this is not JSON: invalid character '{' after top-level value; download or write it again"},
		{"nested without end", strings.Repeat(`{"a":`, 1<<15), "byte 50000: this is not JSON: invalid character '{' exceeded max depth; download or write it again"},
		{"an id in quotes", change("2", `"2"`), `byte 32: "a" has the string "2" for its id where a whole number was expected; download it again`},
		{"an id of null", change("2", "null"), `byte 33: "a" has null for its id where a whole number was expected; download it again`},
		{"an id of true", change("2", "true"), `byte 33: "a" has true for its id where a whole number was expected; download it again`},
		{"an id in a list", change("2", "[2]"), `byte 30: "a" has an array for its id where a whole number was expected; download it again`},
		{"an id in an object", change("2", `{"id": 2}`), `byte 30: "a" has an object for its id where a whole number was expected; download it again`},
		{"half an id", change("2", "2.5"), `byte 32: "a" has the number 2.5 for its id where a whole number was expected; download it again`},
		{"an id with a fraction of 0", change("2", "2.0"), `byte 32: "a" has the number 2.0 for its id where a whole number was expected; download it again`},
		{"an id with an exponent", change("2", "2e0"), `byte 32: "a" has the number 2e0 for its id where a whole number was expected; download it again`},
		{"an id of NaN", change("2", "NaN"), "byte 29: this is not JSON: invalid character 'N' looking for beginning of value; download or write it again"},
		{"an id with a leading 0", change("2", "02"), "byte 30: this is not JSON: invalid character '2' after object key:value pair; download or write it again"},
		{"an id with a plus", change("2", "+2"), "byte 29: this is not JSON: invalid character '+' looking for beginning of value; download or write it again"},
		{"a negative id", change("2", "-1"), `byte 31: "a" has the id -1, outside of the 4 rows of the embeddings; it belongs to another model`},
		{"an id beyond the rows", change("2", "4"), `byte 30: "a" has the id 4, outside of the 4 rows of the embeddings; it belongs to another model`},
		{"id 2^31", change("2", "2147483648"), `byte 39: "a" has the id 2147483648, outside of the 4 rows of the embeddings; it belongs to another model`},
		{"id 2^64", change("2", "18446744073709551616"), `byte 49: "a" has the number 18446744073709551616 for its id where a whole number was expected; download it again`},
		{"an id twice", change("2", "1"), `byte 30: the id 1 is that of "<unk>" and of "a"; download it again`},
		{"a token twice", change(`"a"`, `"<unk>"`), `byte 34: "<unk>" is there twice; download it again`},
		{"a token twice by escape", change(`"a"`, `"\u003cunk>"`), `byte 39: "<unk>" is there twice; download it again`},
		{"a token too few", change(`"a": 2, "<pad>": 3`, `"a": 2`), "has 3 tokens, but the embeddings have 4 rows; it belongs to another model"},
		{"a token too many", change("3}", `3, "b": 0}`), "byte 50: there are more tokens than the embeddings have rows, 4; it belongs to another model"},
		{"nothing", "{}", "has 0 tokens, but the embeddings have 4 rows; it belongs to another model"},
	} {
		fuzztest.Bounded(t, len(c.text), func() {
			_, err := parseVocabulary("f", []byte(c.text), 4, false)
			var bad *checkpoint.Error
			if !errors.As(err, &bad) || err.Error() != "f: "+c.want {
				t.Errorf("%s:\ngot  %v\nwant f: %s", c.name, err, c.want)
			}
		})
	}
	folder := t.TempDir()
	large := filepath.Join(folder, "large.json")
	writeFile(t, large, "{}")
	if err := os.Truncate(large, maxSmall+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "none.json"): "is missing; it gives the tokens their ids; download it as well",
		large:                              "is 67108865 bytes long; no such file is; it is damaged, or not what its name says",
		folder:                             "is a folder, not a file",
	} {
		if _, err := readVocabulary(path, 4, false); err == nil || err.Error() != path+": "+want {
			t.Errorf("got  %v\nwant %s: %s", err, path, want)
		}
	}
	// Of many tokens, those beyond the rows are not even kept.
	many := "{" + strings.Repeat(`"`+strings.Repeat("x", 6)+`": 0, `, 1<<16) + `"a": 1}`
	fuzztest.Bounded(t, len(many), func() { _, _ = parseVocabulary("f", []byte(many), 4, false) })
}
