package convert

import (
	"os"
	"path/filepath"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/models"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// TestNextWordsInt8 compares the embedded models with the float32 weights that they were made of, which are not in the repository:
// EDGE_INFER_NEXT_WORD names the folder of rnn.pt and lstm.pt (see recipe/next-word). In 1,000 contexts the most likely word must be
// the same in 99 of 100 for the LSTM; half of the contexts are stories, whose food the RNN guesses among near equals: 98 there.
func TestNextWordsInt8(t *testing.T) {
	folder := os.Getenv("EDGE_INFER_NEXT_WORD")
	if folder == "" {
		t.Skip("needs the trained weights in EDGE_INFER_NEXT_WORD")
	}
	stories, err := models.Stories()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rnn", "lstm"} {
		ref, err := OpenRNNReference(filepath.Join(folder, name+".pt"), RNNOptions{})
		if err != nil {
			t.Fatal(err)
		}
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
		same, total := 0, 0
		var scratch text.Scratch
		got := make([]float32, m.RNNConfig().Vocab)
		ref.Config.Output = edge.OutputLast
		for i := 0; total < 1000; i++ {
			// Stories up to their end, and cut anywhere.
			ids := m.Words().Encode([]int32{m.RNNConfig().Start}, stories[i%len(stories)].Text, &scratch)
			if i%2 == 1 {
				ids = ids[:1+(i*7)%len(ids)]
			}
			s.Reset()
			if err := s.Feed(got, ids); err != nil {
				t.Fatal(err)
			}
			want := ref.Run(ref.Embed(ids), ref.Initial())[0]
			best, bestRef := 0, 0
			for j := range got {
				if got[j] > got[best] {
					best = j
				}
				if want[j] > want[bestRef] {
					bestRef = j
				}
			}
			total++
			if best == bestRef {
				same++
			}
		}
		t.Logf("%s: the same word in %d of %d contexts", name, same, total)
		if least := map[string]int{"rnn": 98, "lstm": 99}[name]; same*100 < least*total {
			t.Errorf("%s: the same word in only %d of %d contexts", name, same, total)
		}
	}
}
