package text

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

type mosesGolden struct {
	from, to, text, again string
	pieces                []string
}

func readMosesGolden(t testing.TB) (golden []mosesGolden) {
	t.Helper()
	raw, err := os.ReadFile("testdata/moses/golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var g mosesGolden
		if err := json.Unmarshal(lines.Bytes(), &[]any{&g.from, &g.to, &g.text, &g.pieces, &g.again}); err != nil {
			t.Fatal(err)
		}
		golden = append(golden, g)
	}
	return golden
}

func mosesCodes(t testing.TB) []byte {
	t.Helper()
	codes, err := os.ReadFile("testdata/moses/bpe.model")
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

// TestMosesGoldens: pieces and text are those of sacremoses and subword-nmt (testdata/make_moses_golden.py), for ten pairs of languages. Texts
// with abbreviations are left out in languages whose lists are not known here.
func TestMosesGoldens(t *testing.T) {
	golden := readMosesGolden(t)
	ids := map[string]int{}
	vocabulary := []string{"<unk>", "<s>", "</s>"}
	for _, g := range golden {
		for _, piece := range g.pieces {
			if ids[piece] == 0 {
				ids[piece] = len(vocabulary)
				vocabulary = append(vocabulary, piece)
			}
		}
	}
	tokenizers := map[string]*Tokenizer{}
	var sc Scratch
	for _, g := range golden {
		if !KnowsAbbreviations(g.from) && (strings.Contains(g.text, ". ") || g.text == "a.") {
			continue
		}
		tok := tokenizers[g.from+g.to]
		if tok == nil {
			image, err := BuildMoses(vocabulary, mosesCodes(t), g.from, g.to)
			if err != nil {
				t.Fatal(err)
			}
			if tok, err = Open(image); err != nil {
				t.Fatal(err)
			}
			tokenizers[g.from+g.to] = tok
		}
		if got := tok.EncodePieces(g.text, &sc); !slices.Equal(got, g.pieces) {
			t.Errorf("%s: %q:\n got %q\nwant %q", g.from, g.text, got, g.pieces)
		}
		var want []int32
		for _, piece := range g.pieces {
			want = append(want, int32(ids[piece]))
		}
		if got := tok.Encode(nil, g.text, &sc); !slices.Equal(got, want) {
			t.Errorf("%s: %q: %v, want %v", g.from, g.text, got, want)
		}
		if got := string(tok.Decode(nil, want)); got != g.again {
			t.Errorf("%s to %s: %q:\n got %q\nwant %q", g.from, g.to, g.pieces, got, g.again)
		}
	}
	if len(golden) < 500 || len(tokenizers) != 10 {
		t.Errorf("%d texts of %d pairs", len(golden), len(tokenizers))
	}
}

func TestMosesRefused(t *testing.T) {
	for codes, want := range map[string]string{
		"":                         `the codes begin with "", not with #version: 0.2, which is read`,
		"a b\n":                    `the codes begin with "a b", not with #version: 0.2, which is read`,
		"#version: 0.1\na b\n":     `the codes begin with "#version: 0.1", not with #version: 0.2, which is read`,
		"#version: 0.2\na b\na\n":  `line 3 of the codes, "a", is not of two pieces`,
		"#version: 0.2\na b c\n":   `line 2 of the codes, "a b c", is not of two pieces`,
		"#version: 0.2\n\na b\n":   `line 2 of the codes, "", is not of two pieces`,
		"#version: 0.2\na b\x00\n": "line 2 of the codes, \"a b\\x00\", is not of two pieces",
		"#version: 0.2\na \xff\n":  "the codes are not UTF-8",
		"#version: 0.2\n" + strings.Repeat("a", 9000) + " b": "is not of two pieces",
	} {
		if _, err := BuildMoses([]string{"<unk>"}, []byte(codes), "en", "de"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", codes, err, want)
		}
	}
	if _, err := BuildMoses([]string{"<unk>"}, []byte("#version: 0.2\n"), "e\nn", "de"); err == nil {
		t.Error("a language with a line end was taken")
	}
}

// A long word takes no more than the time of a sorted list.
func TestMosesLongWord(t *testing.T) {
	image, err := BuildMoses([]string{"<unk>"}, mosesCodes(t), "en", "de")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Open(image)
	if err != nil {
		t.Fatal(err)
	}
	var sc Scratch
	for _, text := range []string{strings.Repeat("there", 20000), strings.Repeat("'", 50000), strings.Repeat("a.", 50000), strings.Repeat(",", 50000), strings.Repeat("( ", 50000)} {
		tok.Encode(nil, text, &sc)
		tok.Decode(nil, make([]int32, 1000))
	}
}

// FuzzMoses reads bytes as codes and a list of tokens: an error, or a tokenizer that works.
func FuzzMoses(f *testing.F) {
	codes := string(mosesCodes(f))
	codes = codes[:strings.LastIndexByte(codes[:2000], '\n')]
	golden := readMosesGolden(f)
	for i := 0; i < len(golden); i += len(golden) / 20 {
		g := golden[i]
		f.Add("<unk>\n"+strings.Join(g.pieces, "\n"), codes, g.from, g.to, g.text)
	}
	f.Fuzz(func(t *testing.T, tokens, codes, from, to, s string) {
		var image []byte
		var err error
		list := strings.Split(tokens, "\n")
		fuzztest.Bounded(t, len(tokens)+len(codes)+len(from)+len(to), func() { image, err = BuildMoses(list, []byte(codes), from, to) })
		if err != nil {
			return
		}
		tok := mustOpen(t, image, nil)
		fuzztest.Bounded(t, len(image)+len(s), func() {
			exercise(tok, s)
			checkIDs(t, tok, s)
		})
	})
}
