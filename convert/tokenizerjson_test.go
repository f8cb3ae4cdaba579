package convert

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// withTokenizerJSON copies the Marian folder with a tokenizer.json instead of its .spm files and vocab.json.
func withTokenizerJSON(t *testing.T, change func(string) string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "in")
	copyFolder(t, marianFolder, folder)
	for _, name := range []string{"source.spm", "target.spm", "vocab.json"} {
		remove(name)(t, folder)
	}
	raw, err := os.ReadFile("testdata/marian-tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "tokenizer.json"), change(string(raw)))
	return folder
}

func unchanged(s string) string { return s }

// TestTokenizerJSON: a folder with the same pieces in a tokenizer.json gives the same tensors, config and translations; the ids are
// those of Hugging Face's tokenizers 0.22.
func TestTokenizerJSON(t *testing.T) {
	want, _ := converted(t, marianFolder, Options{})
	path := filepath.Join(t.TempDir(), "m.ei8")
	if _, err := Convert(context.Background(), withTokenizerJSON(t, unchanged), path, Options{}); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i := range want.Tensors() {
		if !sameTensor(&m.File().Tensors()[i], &want.Tensors()[i]) {
			t.Errorf("%s differs", want.Tensors()[i].Name)
		}
	}
	if got, want := mustJSON(t, m.Config()), mustJSON(t, config(t, want)); got != want {
		t.Errorf("config %s, want %s", got, want)
	}
	spm, err := text.Open(want.Section(modelfile.SectionTokenizerSource))
	if err != nil {
		t.Fatal(err)
	}
	var sc text.Scratch
	for line, ids := range map[string][]int32{
		"this is the time": {23, 7, 51, 50, 48, 54, 53, 3}, "you have no hi ha zebra": {44, 39, 40, 18, 24, 50, 1, 3, 19, 46, 35},
		" i go to the on": {31, 57, 34, 51, 5}, "Ü x": {50, 1, 50, 12},
	} {
		if got := m.Source().Encode(nil, line, &sc); !slices.Equal(got, ids) {
			t.Errorf("%q: %v, want %v", line, got, ids)
		}
		if a, b := string(m.Target().Decode(nil, ids)), string(spm.Decode(nil, ids)); a != b {
			t.Errorf("%v: %q, want %q", ids, a, b)
		}
	}
}

func TestTokenizerJSONRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(string) string
		want   string
	}{
		{"no JSON", func(string) string { return "{" }, "tokenizer.json: byte 1: the JSON ends early; download or write it again"},
		{"another kind", func(s string) string { return strings.Replace(s, `"Unigram"`, `"WordPiece"`, 1) }, `the model is of type "WordPiece", Unigram and BPE are read`},
		{"two ends", func(s string) string {
			return strings.Replace(s, `{"SpecialToken": {"id": "</s>", "type_id": 0}}`, `{"SpecialToken": {"id": "</s>"}}, {"SpecialToken": {"id": "</s>"}}`, 1)
		}, "puts 2 tokens behind each text"},
		{"a token around that is not there", func(s string) string {
			return strings.Replace(s, `{"SpecialToken": {"id": "</s>", "type_id": 0}}`, `{"SpecialToken": {"id": "<e>"}}`, 1)
		}, `puts "<e>" around each text, which is not in its vocabulary`},
		{"too many tokens", func(s string) string { return strings.Replace(s, `["<pad>", 0.0]`, `["<pad>", 0.0], ["zz", -1.0]`, 1) }, `gives "zz" the id 60, outside of the 60 rows of the embeddings`},
		{"ids apart", func(s string) string {
			return strings.Replace(s, `{"id": 1, "content": "<unk>"`, `{"id": 7, "content": "<unk>"`, 1)
		}, `the added token "<unk>" has the id 7, but 1 in the model`},
		{"lower case", func(s string) string {
			return strings.Replace(s, `"normalizer": null`, `"normalizer": {"type": "Lowercase"}`, 1)
		}, `normalizer: "Lowercase" is not known as number 1`},
		{"other words", func(s string) string { return strings.Replace(s, `"WhitespaceSplit"`, `"BertPreTokenizer"`, 1) }, `pre_tokenizer: "BertPreTokenizer" is not known here`},
		{"a piece twice", func(s string) string { return strings.Replace(s, `["▁my", `, `["e", `, 1) }, `"e" is there twice, as `},
		{"score out of range", func(s string) string { return strings.Replace(s, `["<pad>", 0.0]`, `["<pad>", 1e99]`, 1) }, "model: vocab is of the kind number 1e99, where another was expected"},
	} {
		_, err := open(withTokenizerJSON(t, c.change), "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	folder := withTokenizerJSON(t, unchanged)
	remove("tokenizer.json")(t, folder)
	if _, err := open(folder, ""); err == nil || !strings.Contains(err.Error(), "vocab.json: is missing; it gives the tokens their ids; download it as well") {
		t.Error(err)
	}
}
