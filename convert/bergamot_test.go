package convert

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/reference"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// Two models that testdata/bergamot/make.py trained: tied embeddings for both languages, and a vocabulary for each. Their files
// are packed with gzip, zstd, or not at all.
const (
	sharedBergamot   = "testdata/bergamot/shared"
	separateBergamot = "testdata/bergamot/separate"
)

func readLines(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
}

func convertBergamot(t *testing.T, src string, o Options) (*Report, *edge.Model) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.ei8")
	report, err := Convert(context.Background(), src, path, o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return report, m
}

// The program that Firefox runs (golden.mjs) gives the same text for every line: with the shortlist and without, with static
// multipliers for activations there and one a row here. Every int8 weight is copied.
func TestSameTextAsBergamot(t *testing.T) {
	for folder, languages := range map[string]string{sharedBergamot: "en es", separateBergamot: "zh en"} {
		report, m := convertBergamot(t, folder, Options{})
		for _, row := range report.Tensors {
			if !row.Copied {
				t.Errorf("%s: %s was not copied", folder, row.Name)
			}
		}
		if l := m.File().Meta().Languages; l.From+" "+l.To != languages {
			t.Errorf("%s: languages %+v", folder, l)
		}
		lines, want := readLines(t, filepath.Join(folder, "lines.txt")), readLines(t, filepath.Join(folder, "bergamot.txt"))
		for _, o := range []edge.Options{{}, {Batch: 7, Threads: 2}, {NoShortlist: true}, {Scores: true}} {
			tr, err := m.NewTranslator(o)
			if err != nil {
				t.Fatal(err)
			}
			out, err := tr.Translate(context.Background(), lines)
			if err != nil {
				t.Fatal(err)
			}
			for i := range lines {
				if out[i].Text != want[i] {
					t.Errorf("%s, %+v, line %d: %q, Bergamot %q", folder, o, i+1, out[i].Text, want[i])
				}
			}
		}
	}
}

// Marian itself (golden.py) in float32, with the numbers that the int8 weights stand for: the same tokens and scores, greedy and with
// four beams. It shares no code with make.py's model, nor with Bergamot's int8 products.
func TestReferenceEqualsMarian(t *testing.T) {
	for _, folder := range []string{sharedBergamot, separateBergamot} {
		m, err := referenceOf(OpenFloats(folder))
		if err != nil {
			t.Fatal(err)
		}
		s, err := openSource(folder, "", BergamotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		source, err := text.Open(s.sourceTokenizer)
		if err != nil {
			t.Fatal(err)
		}
		target := source
		if s.targetTokenizer != nil {
			if target, err = text.Open(s.targetTokenizer); err != nil {
				t.Fatal(err)
			}
		}
		type result struct {
			Tokens []string `json:"tokens"`
			Score  float64  `json:"score"`
		}
		var golden []struct {
			Source string `json:"source"`
			Beam1  result `json:"beam1"`
			Beam4  result `json:"beam4"`
		}
		raw, err := os.ReadFile(filepath.Join(folder, "marian.json"))
		if err == nil {
			err = json.Unmarshal(raw, &golden)
		}
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for _, g := range golden {
			ids := m.Source(source.Encode(nil, g.Source, &text.Scratch{}))
			for beam, want := range map[int]result{1: g.Beam1, 4: g.Beam4} {
				h, err := m.Search(ids, reference.SearchOptions{Beam: beam})
				if err != nil {
					t.Fatal(err)
				}
				var tokens []string
				for _, id := range h.IDs[:len(h.IDs)-1] {
					tokens = append(tokens, target.Piece(id))
				}
				if !slices.Equal(tokens, want.Tokens) {
					t.Errorf("%s, beam %d: %q, Marian %q", g.Source, beam, tokens, want.Tokens)
				}
				worst = max(worst, math.Abs(float64(h.LogProb)-want.Score))
			}
		}
		t.Logf("%s: %d lines, scores differ by at most %.2g", folder, len(golden), worst)
		if worst > 1e-4 {
			t.Errorf("%s: a score differs by %g from Marian's", folder, worst)
		}
	}
}
