package text

import (
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func words(t testing.TB, list ...string) *Tokenizer {
	t.Helper()
	image, err := BuildWords(append([]string{"<unk>", "<s>"}, list...))
	return mustOpen(t, image, err)
}

// TestWordsCut: the rule, from the outside.
func TestWordsCut(t *testing.T) {
	tok := words(t, "a")
	var sc Scratch
	for _, c := range []struct{ text, want string }{
		{"Tom is a cat. Tom's favorite food is", "Tom|is|a|cat|.|Tom|'s|favorite|food|is"},
		{"I don't know, \"really\"!", "I|don|'t|know|,|\"|really|\"|!"},
		{"d’accord l'été 3.14 50%", "d|’accord|l|'été|3|.|14|50|%"},
		{"'tis o' the '", "'|tis|o|'|the|'"},
		{"rock'n'roll a''b", "rock|'n|'roll|a|'|'|b"},
		{"naïve cafe\u0301 日本語 x²", "naïve|cafe\u0301|日本語|x²"},
		{"a…b—c  \t\n d\u3000e", "a|…|b|—|c|d|e"},
		{"\xff\xfea", "\xff|\xfe|a"},
		{"", ""}, {" \n ", ""},
	} {
		if got := strings.Join(tok.EncodePieces(c.text, &sc), "|"); got != c.want {
			t.Errorf("%q is cut into %q, want %q", c.text, got, c.want)
		}
	}
}

// TestWordsRoundTrip: ids, unknown words, and text that looks like a control piece.
func TestWordsRoundTrip(t *testing.T) {
	tok := words(t, "Tom", "'s", "cat", "is", "here", ".", "(", ")", "\"", "<", "s", ">", "'")
	if tok.Kind() != "words" || tok.Unk() != 0 {
		t.Errorf("kind %q, unk %d", tok.Kind(), tok.Unk())
	}
	var sc Scratch
	ids := tok.Encode(nil, "Tom's cat is (here).", &sc)
	if got := string(tok.Decode(nil, ids)); got != "Tom's cat is (here)." {
		t.Errorf("%v comes back as %q", ids, got)
	}
	if ids := tok.Encode(nil, "dog <s> <unk>", &sc); !slices.Equal(ids, []int32{0, 11, 12, 13, 11, 0, 13}) {
		t.Errorf("unknown and control pieces: %v", ids)
	}
	if n := alloctest.PerRun(20, func() { ids = tok.Encode(ids[:0], "Tom's cat is here", &sc) }); n != 0 {
		t.Errorf("Encode allocates %v times", n)
	}
}

func TestChars(t *testing.T) {
	image, err := BuildChars([]string{"<unk>", "a", "é", " ", "日"})
	tok := mustOpen(t, image, err)
	var sc Scratch
	ids := tok.Encode(nil, "aé 日x\xff", &sc)
	if !slices.Equal(ids, []int32{1, 2, 3, 4, 0, 0}) || tok.Kind() != "chars" {
		t.Errorf("%s: %v", tok.Kind(), ids)
	}
	if got := string(tok.Decode(nil, ids[:4])); got != "aé 日" {
		t.Errorf("back as %q", got)
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// FuzzWords: the tokens of a text are the text without its spaces, whatever it holds.
func FuzzWords(f *testing.F) {
	for _, s := range append(fuzzTexts, "Tom's don''t 'a' ’b’", "\u0301a '\u0301") {
		f.Add(s)
	}
	tok := words(f, "a", "'s", "b")
	image, err := BuildChars([]string{"a", "<unk>"})
	chars := mustOpen(f, image, err)
	f.Fuzz(func(t *testing.T, s string) {
		fuzztest.Bounded(t, len(s), func() {
			var sc Scratch
			want := squeeze(squeeze(s)) // twice: bytes on both sides of a space may together be one
			if got := squeeze(strings.Join(tok.EncodePieces(s, &sc), "")); got != want {
				t.Fatalf("%q is cut into %q", s, got)
			}
			if got := strings.Join(chars.EncodePieces(s, &sc), ""); got != s {
				t.Fatalf("%q is cut into %q", s, got)
			}
			checkIDs(t, tok, s)
			checkIDs(t, chars, s)
			exercise(tok, s)
			exercise(chars, s)
		})
	})
}
