//go:build !noembed

package models_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/models"
)

func readLines(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
}

// The embedded model says the same to 200 sentences on every kernel set, with one thread and two, alone and in batches, on
// every architecture: the expected lines were written on amd64. Generic, a hundred times slower, says all of them in one
// shape and every tenth in the others. With -short (under emulation) every fifth.
func TestEmbeddedModelSaysTheSame(t *testing.T) {
	m := openModel(t, "zh-en")
	chinese, english := readLines(t, "testdata/sentences.zh.txt"), readLines(t, "testdata/sentences.en.txt")
	if len(chinese) != 200 || len(english) != 200 {
		t.Fatalf("%d sentences, %d translations", len(chinese), len(english))
	}
	sets, shapes := kernels.Available(), runShapes
	if testing.Short() {
		// The best set, and a batch that mixes sentences: emulation is some fifty times slower.
		sets, shapes = sets[len(sets)-1:], runShapes[3:4]
	}
	for i, set := range sets {
		for _, shape := range shapes {
			every := 1
			if testing.Short() {
				every = 5
			} else if i == 0 && shape != runShapes[3] {
				every = 10
			}
			var source, want []string
			for j := 0; j < len(chinese); j += every {
				source, want = append(source, chinese[j]), append(want, english[j])
			}
			tr, err := m.NewTranslator(edge.Options{Beam: 1, Batch: shape.batch, Threads: shape.threads, Kernels: set.Name})
			if err != nil {
				t.Fatal(err)
			}
			out, err := tr.Translate(context.Background(), source)
			if err != nil {
				t.Fatal(err)
			}
			for j, line := range out {
				if line.Text != want[j] {
					t.Errorf("%s, batch %d, %d threads: %q gives %q, want %q", set.Name, shape.batch, shape.threads, source[j], line.Text, want[j])
					break
				}
			}
		}
	}
}

// The sentence that the project begins with.
func TestSeedSentence(t *testing.T) {
	tr, err := openModel(t, "zh-en").NewTranslator(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := tr.Translate(context.Background(), []string{"我正在吃饭"})
	if err != nil {
		t.Fatal(err)
	}
	if s := out[0].Text; s != "I am eating." && s != "I'm eating." {
		t.Errorf("我正在吃饭 gives %q", s)
	}
}

// block gives the rows of the table in a document's block <!-- name -->, head left out.
func block(t *testing.T, lines []string, name string) (rows [][]string) {
	t.Helper()
	start := slices.Index(lines, fmt.Sprintf("<!-- %s -->", name))
	end := slices.Index(lines, fmt.Sprintf("<!-- /%s -->", name))
	if start < 0 || end < start {
		t.Fatalf("no block %q", name)
	}
	for _, line := range lines[start+1 : end] {
		if strings.HasPrefix(line, "| ") {
			rows = append(rows, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	if len(rows) < 3 {
		t.Fatalf("block %q has no table", name)
	}
	return rows[2:]
}

// The card and the recipe show what the model says, unedited.
func TestCardShowsWhatTheModelSays(t *testing.T) {
	m := openModel(t, "zh-en")
	tr, err := m.NewTranslator(m.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	card, recipe := readLines(t, "zh-en.md"), readLines(t, "../../convert/recipe/zh-en/README.md")
	for _, c := range []struct {
		rows            [][]string
		source, english int // columns
	}{{block(t, card, "everyday"), 0, 1}, {block(t, card, "weak"), 1, 2}, {block(t, recipe, "ten"), 0, 1}} {
		for i, row := range c.rows {
			if testing.Short() && i%5 != 0 {
				continue // as above
			}
			out, err := tr.Translate(context.Background(), []string{row[c.source]})
			if err != nil {
				t.Fatal(err)
			}
			if out[0].Text != row[c.english] {
				t.Errorf("%s: %q is shown, the model says %q", row[c.source], row[c.english], out[0].Text)
			}
		}
	}
}

// A share-alike source makes the weights share-alike, and all who must be named are: in the file and on the card.
func TestLicence(t *testing.T) {
	meta := openModel(t, "zh-en").File().Meta()
	if meta.Licence != "CC-BY-SA-4.0" {
		t.Errorf("the licence is %q", meta.Licence)
	}
	card := strings.Join(readLines(t, "zh-en.md"), "\n")
	for _, source := range []string{"Tatoeba", "CC-CEDICT", "3AM", "ConvLab-2", "MLQE-PE", "Python documentation", "PHP manual", "OpenCC"} {
		if !slices.ContainsFunc(meta.Attributions, func(a string) bool { return strings.Contains(a, source) }) {
			t.Errorf("%s is not attributed in the file", source)
		}
		if !strings.Contains(card, source) {
			t.Errorf("%s is not on the card", source)
		}
	}
	if !strings.Contains(card, meta.Licence) {
		t.Error("the card does not state the licence")
	}
	if image, _ := models.Get("zh-en"); len(image) > 12_000_000 {
		t.Errorf("the file has %d bytes, more than 12 MB", len(image))
	}
}

// Traditional characters and full-width forms read as their simplified and half-width ones do.
func TestOtherForms(t *testing.T) {
	tr, err := openModel(t, "zh-en").NewTranslator(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range readLines(t, "../../convert/recipe/zh-en/forms.tsv") {
		out, err := tr.Translate(context.Background(), strings.Split(line, "\t"))
		if err != nil {
			t.Fatal(err)
		}
		if len(out) != 2 || out[0].Text != out[1].Text {
			t.Errorf("%s: %+v", line, out)
		}
	}
}
