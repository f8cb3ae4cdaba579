//go:build !noembed

package models_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
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
			tr, err := m.NewTranslator(edge.Options{Batch: shape.batch, Threads: shape.threads, Kernels: set.Name})
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
