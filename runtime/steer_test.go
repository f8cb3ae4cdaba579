package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
)

func newTranslator(t *testing.T, m *edge.Model, o edge.Options) *edge.Translator {
	t.Helper()
	tr, err := m.NewTranslator(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func translateLines(t *testing.T, tr *edge.Translator, lines ...string) []edge.Translation {
	t.Helper()
	out, err := tr.Translate(context.Background(), lines)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// all are the variants of a line, best first.
func all(r edge.Translation) []edge.Variant { return append([]edge.Variant{r.Variant}, r.Others...) }

// TestVariants: what a Translator gives for a line is what its Session gives for the sentence, in every way to search; of several
// sentences the k-th of each together.
func TestVariants(t *testing.T) {
	m := openAren(t)
	const first, second = "آ ت ز م و ن", "ع ز ة"
	for _, o := range []edge.Options{
		{Beam: 5, NBest: 4, LengthPenalty: 1}, {Beam: 3, NBest: 3, Batch: 4}, {Alternatives: 4}, {Alternatives: 3, Beam: 2, Batch: 2, LengthPenalty: 0.5},
		{Alternatives: 6, MinAlternative: 0.01}, {Beam: 4, NBest: 2, MinTarget: 9, NoRepeatNgram: 2, RepetitionPenalty: 1.2},
	} {
		o.MaxTarget = 24
		s, err := m.NewSession(o)
		if err != nil {
			t.Fatal(err)
		}
		search := func(line string, alternatives int) (found []edge.Variant) {
			for k := min(alternatives, 1); k <= alternatives; k++ {
				slot, err := s.Start(edge.Sentence{Source: sourceIDs(m, line), Alternative: k})
				for err == nil && !s.Done(slot) {
					_, err = s.Step()
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range s.Best(slot) {
					v := edge.Variant{Text: string(m.Target().Decode(nil, h.Tokens)), Score: h.Score}
					for _, id := range h.Tokens {
						v.Tokens = append(v.Tokens, m.Target().Piece(id))
					}
					found = append(found, v)
				}
				s.Release(slot)
			}
			return found
		}
		a := search(first, o.Alternatives)
		b := search(second, 0)
		tr := newTranslator(t, m, o)
		out := translateLines(t, tr, first, second, first+"\n"+second)
		if got := all(out[0]); fmt.Sprint(got) != fmt.Sprint(a) {
			t.Errorf("%+v: %v, want %v", o, got, a)
		}
		if o.Alternatives == 0 && len(a) != o.NBest || o.MinAlternative > 0 && len(a) == o.Alternatives {
			t.Errorf("%+v: %d variants", o, len(a))
		}
		for k, v := range all(out[2]) {
			other := b[0]
			if k < len(b) {
				other = b[k]
			}
			if v.Text != a[k].Text+"\n"+other.Text || v.Score != a[k].Score+other.Score || len(v.Tokens) != len(a[k].Tokens)+len(other.Tokens) {
				t.Errorf("%+v: two sentences, variant %d: %+v", o, k, v)
			}
		}
	}
}

func sourceIDs(m *edge.Model, line string) (ids []int32) {
	for _, token := range strings.Fields(line) {
		id, _ := m.Source().ID(token)
		ids = append(ids, id)
	}
	return ids
}

// TestPrefix: a translation that is made to begin as it does anyway stays the same; made to begin otherwise, it begins so. What the
// model cannot write is refused, and leaves the prefix as it was.
func TestPrefix(t *testing.T) {
	m := openAren(t)
	const line = "آ ت ز م و ن"
	for _, o := range []edge.Options{{}, {Beam: 4, LengthPenalty: 1}, {Batch: 3}} {
		tr := newTranslator(t, m, o)
		plain := translateLines(t, tr, line)[0].Text
		for _, prefix := range []string{"a t", "o d", ""} {
			if err := tr.SetPrefix(prefix); err != nil {
				t.Fatal(err)
			}
			out := translateLines(t, tr, line, line+"\n"+line)
			if got := out[0].Text; !strings.HasPrefix(got, prefix) || strings.HasPrefix(plain, prefix) && got != plain {
				t.Errorf("%+v, prefix %q: %q, without %q", o, prefix, got, plain)
			}
			if got := out[1].Text; got != out[0].Text+"\n"+plain {
				t.Errorf("%+v, prefix %q: the second sentence begins with it too: %q", o, prefix, got)
			}
		}
	}
	tr := newTranslator(t, m, edge.Options{MaxTarget: 4})
	if err := tr.SetPrefixTokens("a z"); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]string{
		"ж":       `the prefix "ж" has characters that the model cannot write`,
		"a\xff":   "the prefix is not valid UTF-8 (byte 2 of the line is 0xff)",
		"a a a a": "a prefix of 4 tokens leaves no room in a translation of at most 4",
	} {
		var input *edge.InputError
		if err := tr.SetPrefix(prefix); !errors.As(err, &input) || err.Error() != want {
			t.Errorf("%q: %v, want %s", prefix, err, want)
		}
	}
	if err := tr.SetPrefixTokens("a ж"); err == nil || err.Error() != `the prefix has the token "ж", which is not in the model's vocabulary` {
		t.Error(err)
	}
	if got := translateLines(t, tr, line)[0].Text; !strings.HasPrefix(got, "a z") {
		t.Errorf("%q does not begin with the prefix that was there", got)
	}
}

// TestStream: the parts together are the text, and they come one by one.
func TestStream(t *testing.T) {
	m := openAren(t)
	tr := newTranslator(t, m, edge.Options{})
	for _, line := range []string{"آ ت ز م و ن", "آ ت ز\n\nع ز ة\n", "", "\n"} {
		want := translateLines(t, tr, line)[0]
		for _, stream := range []func(context.Context, string, func(string) error) (edge.Translation, error){tr.Stream, tr.StreamTokens} {
			if line != "آ ت ز م و ن" {
				stream = tr.Stream
			}
			var parts []string
			got, err := stream(context.Background(), line, func(part string) error {
				parts = append(parts, part)
				return nil
			})
			if err != nil || got.Text != want.Text || strings.Join(parts, "") != want.Text || len(parts) < len(want.Tokens) {
				t.Errorf("%q: %v, %q in %q, want %q", line, err, got.Text, parts, want.Text)
			}
		}
	}
	gone := errors.New("nobody reads")
	if _, err := tr.Stream(context.Background(), "آ ت ز", func(string) error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
	if got := translateLines(t, tr, "آ ت ز م و ن")[0].Text; got != "a t z m o n" {
		t.Errorf("after an error: %q", got)
	}
	for _, o := range []edge.Options{{Beam: 2}, {Batch: 2}, {Alternatives: 2}} {
		var input *edge.InputError
		if _, err := newTranslator(t, m, o).Stream(context.Background(), "آ", nil); !errors.As(err, &input) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// withVocabulary copies a Hugging Face folder and gives some ids other tokens.
func withVocabulary(t *testing.T, folder string, tokens map[int32]string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "in")
	if err := os.CopyFS(to, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int32{}
	path := filepath.Join(to, "vocab.json")
	readJSON(t, path, &vocab)
	for token, id := range vocab {
		if _, ok := tokens[id]; ok {
			delete(vocab, token)
		}
	}
	for id, token := range tokens {
		vocab[token] = id
	}
	raw, err := json.Marshal(vocab)
	if err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestLanguages: a model with tokens for target languages gets one before every sentence, from the line or from SetLanguage. The ids
// are those of transformers' MarianTokenizer 5.23 with this vocabulary: ">>fra<< abc cab" is 50 43 19 9 4 35 19.
func TestLanguages(t *testing.T) {
	m := convertFolder(t, withVocabulary(t, "../convert/testdata/marian-safetensors", map[int32]string{50: ">>fra<<", 51: ">>deu<<"}))
	if got := m.Languages(); !slices.Equal(got, []string{"deu", "fra"}) {
		t.Errorf("languages %q", got)
	}
	s, err := m.NewSession(edge.Options{MaxTarget: 16})
	if err != nil {
		t.Fatal(err)
	}
	text := func(ids ...int32) string {
		h := decodeOne(t, s, ids, func() {})
		return string(m.Target().Decode(nil, h.Tokens))
	}
	french, german := text(50, 43, 19, 9, 4, 35, 19), text(51, 43, 19, 9, 4, 35, 19)
	none, twice := text(43, 19, 9, 4, 35, 19), text(50, 43, 19, 9, 4, 35, 19)+"\n"+text(50, 43, 19)
	tr := newTranslator(t, m, edge.Options{MaxTarget: 16})
	lines := []string{"abc cab", ">>fra<< abc cab", ">>deu<<abc cab", " >>fra<< abc cab\nab", ">> abc", ">>fra<<"}
	for i, want := range []string{none, french, german, twice} {
		if got := translateLines(t, tr, lines...)[i]; got.Text != want || i == 1 && got.SourceTokens[0] != ">>fra<<" {
			t.Errorf("%q: %q of %q, want %q", lines[i], got.Text, got.SourceTokens, want)
		}
	}
	if err := tr.SetLanguage("deu"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{german, french, german, twice} {
		if got := translateLines(t, tr, lines...)[i]; got.Text != want {
			t.Errorf("German unless it says otherwise, %q: %q, want %q", lines[i], got.Text, want)
		}
	}
	const unknown = "the model has no target language >>ita<<; it has deu, fra"
	if err := tr.SetLanguage("ita"); err == nil || err.Error() != unknown {
		t.Error(err)
	}
	if got := translateLines(t, tr, ">>ita<< abc"); got[0].Err == nil || got[0].Err.Error() != unknown {
		t.Error(got[0].Err)
	}
	// A long sentence is cut, and each part has the language.
	tr = newTranslator(t, m, edge.Options{MaxSource: 8, MaxTarget: 8})
	out := translateLines(t, tr, ">>fra<< "+strings.Repeat("abc ", 6))[0]
	if n := strings.Count(strings.Join(out.SourceTokens, " "), ">>fra<<"); n != 3 || len(out.SourceTokens) != 3+18 {
		t.Errorf("%q", out.SourceTokens)
	}
	tr = newTranslator(t, m, edge.Options{MaxSource: 2})
	if got := translateLines(t, tr, ">>fra<< abc")[0]; got.Err == nil {
		t.Errorf("no room: %+v", got)
	}
}

// TestDefaults: options as the model's makers search, and bad words that do not come unless they are allowed.
func TestDefaults(t *testing.T) {
	folder := withVocabulary(t, "../convert/testdata/marian-safetensors", nil)
	plain := newTranslator(t, convertFolder(t, folder), edge.Options{MaxTarget: 16})
	best := translateLines(t, plain, "abc cab")[0]
	if len(best.Tokens) < 3 {
		t.Fatalf("%q", best.Tokens)
	}
	first, _ := convertFolder(t, folder).Target().ID(best.Tokens[0])
	second, _ := convertFolder(t, folder).Target().ID(best.Tokens[1])
	generation := fmt.Sprintf(`{"num_beams": 3, "length_penalty": 0.5, "min_length": 3, "max_length": 12, "bad_words_ids": [[59], [%d, %d], [7]]}`, first, second)
	if err := os.WriteFile(filepath.Join(folder, "generation_config.json"), []byte(generation), 0o600); err != nil {
		t.Fatal(err)
	}
	m := convertFolder(t, folder)
	o := m.Defaults()
	if o.Beam != 3 || o.LengthPenalty != 0.5 || o.MinTarget != 2 || o.MaxTarget != 11 {
		t.Errorf("%+v", o)
	}
	for _, o := range []edge.Options{{MaxTarget: 16}, {MaxTarget: 16, Beam: 3}} {
		if out := translateLines(t, newTranslator(t, m, o), "abc cab")[0]; slices.Equal(out.Tokens[:2], best.Tokens[:2]) {
			t.Errorf("%+v: bad words %q came", o, out.Tokens[:2])
		}
	}
	if out := translateLines(t, newTranslator(t, m, edge.Options{MaxTarget: 16, AllowBadWords: true}), "abc cab")[0]; out.Text != best.Text {
		t.Errorf("bad words allowed: %q, want %q", out.Text, best.Text)
	}
	if o := openAren(t).Defaults(); o.Beam != 0 {
		t.Errorf("of a model that says nothing: %+v", o)
	}
}

// TestModelsOwnPrefix: what a model begins every sentence with is taken as a prefix is, counted in the score, and not shown.
func TestModelsOwnPrefix(t *testing.T) {
	m, own := openAren(t), openAren(t)
	const line = "آ ت ز م و ن"
	first, _ := m.Target().ID("o")
	own.Config().TargetPrefix = []int32{first}
	for _, o := range []edge.Options{{Scores: true}, {Beam: 4, NBest: 3, LengthPenalty: 1}, {Alternatives: 2}} {
		want, got := newTranslator(t, m, o), newTranslator(t, own, o)
		if err := errors.Join(want.SetPrefixTokens("o d"), got.SetPrefixTokens("d")); err != nil {
			t.Fatal(err)
		}
		a, b := all(translateLines(t, want, line+"\n"+line)[0]), all(translateLines(t, got, line)[0])
		for k := range b {
			first, _, _ := strings.Cut(a[k].Text, "\n")
			if first != "o "+b[k].Text {
				t.Errorf("%+v, %d: %q, want %q without its first token", o, k, b[k].Text, first)
			}
		}
	}
	if err := newTranslator(t, own, edge.Options{MaxTarget: 2}).SetPrefixTokens("d"); err == nil {
		t.Error("there is no room for a prefix, but it was taken")
	}
}
