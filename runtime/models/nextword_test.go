package models_test

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
	"github.com/edge-infer/edge-infer/runtime/models"
)

// TestNextWordsInt8: in 1,000 contexts the int8 models say the word that the float32 weights they were made of say in PyTorch, in
// at least 99 of 100. convert/recipe/next-word/contexts.py wrote down what those say.
func TestNextWordsInt8(t *testing.T) {
	if testing.Short() {
		t.Skip("the same bits on every CPU; here 2,000 texts")
	}
	stories, err := models.Stories()
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) == 0 {
		t.Skip("built without models")
	}
	f, err := os.Open("testdata/next-words.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	contexts := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if len(contexts) != 1000 {
		t.Fatalf("%d contexts", len(contexts))
	}
	for column, name := range []string{"rnn", "lstm"} {
		image, _ := models.Get(name)
		m, err := edge.OpenEmbedded(name, image)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		c, err := m.NewCompleter(edge.StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		same := 0
		for i := range contexts {
			fields := strings.Split(contexts[i], "\t")
			story, err1 := strconv.Atoi(fields[0])
			read, err2 := strconv.Atoi(fields[1])
			if err1 != nil || err2 != nil || len(fields) != 4 {
				t.Fatalf("context %d is %q", i, contexts[i])
			}
			text := strings.Join(strings.Split(stories[story].Text, " ")[:read], " ")
			done, err := c.Complete(context.Background(), text, edge.CompleteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if done.Words[0].Word == fields[2+column] {
				same++
			} else {
				t.Logf("%s after %q: int8 %s, float32 %s", name, text, done.Words[0].Word, fields[2+column])
			}
		}
		t.Logf("%s: the same word in %d of %d contexts", name, same, len(contexts))
		if same*100 < 99*len(contexts) {
			t.Errorf("%s: the same word in only %d of %d contexts", name, same, len(contexts))
		}
	}
}

// TestNextWordsAllocateNothing: not a word, not a text.
func TestNextWordsAllocateNothing(t *testing.T) {
	for _, name := range []string{"rnn", "lstm"} {
		image, ok := models.Get(name)
		if !ok {
			t.Skip("built without models")
		}
		m, err := edge.OpenEmbedded(name, image)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		s, err := m.NewStream(edge.StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := m.NewCompleter(edge.StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var text []byte
		dst, ids := make([]float32, 3*m.RNNConfig().Vocab), []int32{5, 9, 700}
		if n := alloctest.PerRun(10, func() {
			if s.StepTokens(dst[:m.RNNConfig().Vocab], ids[:1]) != nil || s.RunTokens(dst, ids, 3, nil) != nil || s.Feed(dst[:m.RNNConfig().Vocab], ids) != nil {
				t.Fatal("a step failed")
			}
			for _, temperature := range []float32{0, 0.8} {
				text, _, err = c.Append(context.Background(), text[:0], "Tom likes to eat", edge.CompleteOptions{Words: 3, Temperature: temperature})
				if err != nil || len(text) == 0 {
					t.Fatalf("%q, %v", text, err)
				}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
