//go:build !noembed

package models_test

import (
	"context"
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

func openEmbedded(t *testing.T) *edge.Model {
	t.Helper()
	image, ok := models.Get("zh-en")
	if !ok {
		t.Fatal("this build has no zh-en model")
	}
	m, err := edge.OpenEmbedded("zh-en", image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// The embedded model says the same to 200 sentences on every kernel set, with one thread and two, alone and in batches, on
// every architecture: the expected lines were written on amd64. With -short (under emulation) every fifth sentence.
func TestEmbeddedModelSaysTheSame(t *testing.T) {
	m := openEmbedded(t)
	source, want := readLines(t, "testdata/sentences.zh.txt"), readLines(t, "testdata/sentences.en.txt")
	if len(source) != 200 || len(want) != 200 {
		t.Fatalf("%d sentences, %d translations", len(source), len(want))
	}
	sets, shapes := kernels.Available(), []edge.Options{{Batch: 8, Threads: 2}, {Batch: 1, Threads: 1}}
	if testing.Short() {
		// The best set, and a batch that mixes sentences: emulation is some fifty times slower.
		sets, shapes = sets[len(sets)-1:], shapes[:1]
		var s, w []string
		for i := 0; i < len(source); i += 5 {
			s, w = append(s, source[i]), append(w, want[i])
		}
		source, want = s, w
	}
	for _, set := range sets {
		for _, o := range shapes {
			o.Kernels = set.Name
			tr, err := m.NewTranslator(o)
			if err != nil {
				t.Fatal(err)
			}
			out, err := tr.Translate(context.Background(), source)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range out {
				got = append(got, line.Text)
			}
			if !slices.Equal(got, want) {
				for i := range got {
					if got[i] != want[i] {
						t.Errorf("%s, batch %d, %d threads: %q gives %q, want %q", set.Name, o.Batch, o.Threads, source[i], got[i], want[i])
						break
					}
				}
			}
		}
	}
}

// The sentence that the project begins with.
func TestSeedSentence(t *testing.T) {
	tr, err := openEmbedded(t).NewTranslator(edge.Options{})
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
