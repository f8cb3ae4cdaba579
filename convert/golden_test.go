package convert

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/reference"
	"github.com/edge-infer/edge-infer/runtime"
)

// Folders in testdata whose golden.json is from PyTorch (make_golden.py) or CTranslate2.
const (
	marianFolder   = "testdata/marian-safetensors"
	binFolder      = "testdata/marian-bin"
	halfFolder     = "testdata/marian-half"
	separateFolder = "testdata/marian-separate"
	ct2Folder      = "testdata/ct2-float32"
	int8Folder     = "testdata/ct2-int8"
)

// pytorchGolden is what transformers gives; beam4_of_7 is four beams of exactly 7 tokens without a length penalty.
type pytorchGolden struct {
	Items []struct {
		Source      []int32   `json:"source"` // with </s>
		FirstLogits []float32 `json:"first_logits"`
		Greedy      []int32   `json:"greedy"`
		Beam4Of7    []int32   `json:"beam4_of_7"`
	} `json:"items"`
}

// ctranslate2Golden is what CTranslate2 gives under many settings.
type ctranslate2Golden struct {
	Items []ctranslate2Item `json:"items"`
}

type ctranslate2Item struct {
	Source      []int32   `json:"source"`
	FirstLogits []float32 `json:"first_logits"`
	Runs        []struct {
		Beam          int     `json:"beam_size"`
		LengthPenalty float32 `json:"length_penalty"`
		MinLength     int     `json:"min_decoding_length"`
		MaxLength     int     `json:"max_decoding_length"`
		IDs           []int32 `json:"ids"`
		Score         float32 `json:"score"`
		// The next best ones, up to five in all, where the search has a length penalty.
		FurtherIDs    [][]int32 `json:"further_ids"`
		FurtherScores []float32 `json:"further_scores"`
	} `json:"runs"`
}

func readGolden(t *testing.T, folder string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// referenceOf makes the reference of what OpenFloats or FloatsOf gave.
func referenceOf(config *runtime.TransformerConfig, tensors map[string]checkpoint.Floats, err error) (*reference.Transformer, error) {
	if err != nil {
		return nil, err
	}
	return reference.New(config, tensors)
}

func openReference(t *testing.T, folder string) *reference.Transformer {
	t.Helper()
	m, err := referenceOf(OpenFloats(folder))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// firstLogits runs the encoder and one step, with caches and without: the two must agree.
func firstLogits(t *testing.T, m *reference.Transformer, source []int32) []float32 {
	t.Helper()
	memory, err := m.Encode(source)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.NewDecoder(memory).Step(m.Config.DecoderStart)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// furthest is the largest difference of two vectors; the longer one's tail is left out: transformers has the logit of <pad>.
func furthest(a, b []float32) float64 {
	var d float64
	for i := range min(len(a), len(b)) {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// TestPyTorch compares the reference on the source weights with transformers, and for the pre-norm form with the PyTorch
// code that trains our own model.
func TestPyTorch(t *testing.T) {
	for _, folder := range []string{marianFolder, binFolder, halfFolder, separateFolder} {
		t.Run(filepath.Base(folder), func(t *testing.T) { comparePyTorch(t, folder, openReference(t, folder)) })
	}
}

func comparePyTorch(t *testing.T, folder string, m *reference.Transformer) {
	t.Helper()
	var golden pytorchGolden
	readGolden(t, folder, &golden)
	var worst float64
	for i, item := range golden.Items {
		d := furthest(firstLogits(t, m, item.Source), item.FirstLogits)
		if worst = max(worst, d); d > 1e-4 {
			t.Errorf("item %d: first logits differ by %g", i, d)
		}
		h, err := m.Greedy(item.Source, reference.SearchOptions{MaxLength: 24})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.IDs, item.Greedy) {
			t.Errorf("item %d: greedy %v, want %v", i, h.IDs, item.Greedy)
		}
		if item.Beam4Of7 == nil {
			continue
		}
		h, err = m.Search(item.Source, reference.SearchOptions{Beam: 4, MinLength: 7, MaxLength: 7})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.IDs, item.Beam4Of7) {
			t.Errorf("item %d: beam %v, want %v", i, h.IDs, item.Beam4Of7)
		}
	}
	t.Logf("%d items, logits within %.2g", len(golden.Items), worst)
}

// TestCTranslate2 compares the reference with CTranslate2 in float32, on float32 and on int8 weights, under every setting of
// the search.
func TestCTranslate2(t *testing.T) {
	for _, folder := range []string{ct2Folder, int8Folder} {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var golden ctranslate2Golden
			readGolden(t, folder, &golden)
			compareRuns(t, openReference(t, folder), golden.Items)
		})
	}
	// The folder that the conversion was made from gives the same.
	t.Run("from Hugging Face", func(t *testing.T) {
		var golden ctranslate2Golden
		readGolden(t, ct2Folder, &golden)
		compareRuns(t, openReference(t, marianFolder), golden.Items)
	})
}

func compareRuns(t *testing.T, m *reference.Transformer, items []ctranslate2Item) {
	t.Helper()
	var worst, worstScore float64
	runs := 0
	for i, item := range items {
		d := furthest(firstLogits(t, m, item.Source), item.FirstLogits)
		if worst = max(worst, d); d > 1e-4 {
			t.Errorf("item %d: first logits differ by %g", i, d)
		}
		for _, run := range item.Runs {
			if run.Beam > 8 && i >= 3 {
				continue // slow, and shows the same thing each time: more candidates than a vocabulary
			}
			o := reference.SearchOptions{Beam: run.Beam, LengthPenalty: run.LengthPenalty, MinLength: run.MinLength, MaxLength: run.MaxLength}
			all, err := m.Hypotheses(item.Source, o)
			if err != nil {
				t.Fatal(err)
			}
			wantIDs, wantScores := append([][]int32{run.IDs}, run.FurtherIDs...), append([]float32{run.Score}, run.FurtherScores...)
			for k, want := range wantIDs {
				got := all[k]
				d := math.Abs(float64(got.Score - wantScores[k]))
				if worstScore = max(worstScore, d); d > 1e-4 || !slices.Equal(got.IDs, want) {
					t.Errorf("item %d, beam %d, penalty %g, %d to %d tokens, hypothesis %d: %v %g, want %v %g", i, run.Beam, run.LengthPenalty,
						run.MinLength, run.MaxLength, k, got.IDs, got.Score, want, wantScores[k])
				}
			}
			runs++
		}
	}
	t.Logf("%d items, %d runs, logits within %.2g, scores within %.2g", len(items), runs, worst, worstScore)
}

// TestTransliteration runs a real, trained model: CTranslate2's own test model, 20 names, and the words that CTranslate2's
// tests expect of it. Its positions are computed, from 1; another table gives 18 names.
func TestTransliteration(t *testing.T) {
	const folder = "testdata/aren-transliteration"
	var golden struct {
		Items []struct {
			Source      []string  `json:"source"`
			Hypothesis  []string  `json:"hypothesis"`
			LogProb     float64   `json:"cum_log_prob"`
			FirstLogits []float32 `json:"first_step_logits"`
		} `json:"items"`
	}
	readGolden(t, folder, &golden)
	m := openReference(t, folder)
	source, target := readTokens(t, folder+"/source_vocabulary.txt"), readTokens(t, folder+"/target_vocabulary.txt")
	translate := func(tokens []string, o reference.SearchOptions) (string, reference.Hypothesis, []int32) {
		var ids []int32
		for _, token := range tokens {
			ids = append(ids, int32(max(slices.Index(source, token), 0)))
		}
		ids = m.Source(ids)
		h, err := m.Search(ids, o)
		if err != nil {
			t.Fatal(err)
		}
		var name string
		for _, id := range h.IDs {
			if id != m.Config.EOS {
				name += target[id]
			}
		}
		return name, h, ids
	}
	var worst, worstScore float64
	for i, item := range golden.Items {
		name, h, ids := translate(item.Source, reference.SearchOptions{})
		if want := strings.Join(item.Hypothesis, ""); name != want {
			t.Errorf("%d: %s, want %s", i, name, want)
		}
		worst = max(worst, furthest(firstLogits(t, m, ids), item.FirstLogits))
		worstScore = max(worstScore, math.Abs(float64(h.LogProb)-item.LogProb))
	}
	if len(golden.Items) != 20 || worst > 1e-3 || worstScore > 1e-3 {
		t.Errorf("%d items, logits within %g, scores within %g", len(golden.Items), worst, worstScore)
	}
	t.Logf("%d names, logits within %.2g, scores within %.2g", len(golden.Items), worst, worstScore)
	for name, letters := range map[string]string{"atzmon": "آتزمون", "achison": "آتشيسون", "azza": "آزا"} {
		if got, _, _ := translate(strings.Split(letters, ""), reference.SearchOptions{Beam: 2, LengthPenalty: 1}); got != name {
			t.Errorf("%s: %s, want %s", letters, got, name)
		}
	}
	// The same names, and azza, by CTranslate2 itself under many settings; and its int8 form of the model.
	for _, form := range []struct{ folder, golden string }{
		{folder, "testdata/aren-ctranslate2.json"},
		{"testdata/aren-transliteration-i8", "testdata/aren-i8-ctranslate2.json"},
	} {
		var runs ctranslate2Golden
		raw, err := os.ReadFile(form.golden)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &runs); err != nil {
			t.Fatal(err)
		}
		compareRuns(t, openReference(t, form.folder), runs.Items)
	}
}

func readTokens(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return append(strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n"), "<unk>")
}
