package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/convert"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// rewrite copies a model with another config and, for kinds that are not nil in sections, other sections. The tensors stay.
func rewrite(path string, from *modelfile.File, config []byte, sections map[modelfile.Kind][]byte) error {
	meta := *from.Meta()
	meta.Config = config
	var kept []modelfile.SectionData
	for _, s := range from.Sections() {
		switch s.Kind {
		case modelfile.SectionMeta, modelfile.SectionTensors, modelfile.SectionTensorData:
			continue
		}
		data := from.Section(s.Kind)
		if other := sections[s.Kind]; other != nil {
			data = other
		}
		kept = append(kept, modelfile.SectionData{Kind: s.Kind, Data: data})
	}
	var specs []modelfile.TensorSpec
	for _, t := range from.Tensors() {
		specs = append(specs, t.Spec())
	}
	w, err := modelfile.Create(path, &meta, kept, specs, true)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, t := range from.Tensors() {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
		if err := w.Finish(t.Scale, t.Sum); err != nil {
			return err
		}
	}
	return w.Close()
}

// fuzzModels has a small model of each family, the Transformer with a shortlist.
func fuzzModels(f *testing.F) (models []*modelfile.File) {
	dir := f.TempDir()
	tiny := filepath.Join(dir, "transformer.ei8")
	shortlist := edge.BuildShortlist(1, true, []uint32{0, 1, 2, 2, 3}, []uint32{2, 3, 1})
	if err := writeTiny(tiny, tinyMeta(f, tinyConfig()), tinyTensors(), map[modelfile.Kind][]byte{modelfile.SectionShortlist: shortlist}, nil); err != nil {
		f.Fatal(err)
	}
	paths := []string{tiny}
	table := filepath.Join(dir, "rows.csv")
	if err := os.WriteFile(table, []byte("1,2,3,a\n2,3,5,b\n0,1,0,a\n7,7,1,b\n"), 0o666); err != nil {
		f.Fatal(err)
	}
	for _, source := range []string{"../convert/testdata/rnn/golden/words-tied-pt.pt", "../convert/testdata/rnn/golden/lstm-projected-bidirectional.pt", table} {
		path := filepath.Join(dir, filepath.Base(source)+".ei8")
		if _, err := convert.Convert(context.Background(), source, path, convert.Options{}); err != nil {
			f.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		file, err := modelfile.Open(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { file.Close() })
		models = append(models, file)
	}
	return models
}

// use runs a model, of whichever family it is, within 64 MB. What comes of it does not matter.
func use(m *edge.Model) {
	const memory = 64 << 20
	ctx := context.Background()
	switch m.Family() {
	case edge.FamilyTransformer:
		for _, o := range []edge.Options{{Memory: memory, MaxTarget: 5}, {Memory: memory, Beam: 2, NBest: 2, MaxTarget: 5, Batch: 2, NoShortlist: true}} {
			tr, err := m.NewTranslator(o)
			if err != nil {
				continue
			}
			_, _ = tr.Translate(ctx, []string{"a b c", "a", "zz a. 你好。"})
		}
	case edge.FamilyRNN:
		c := m.RNNConfig()
		o := edge.StreamOptions{Memory: memory, MaxSteps: 3}
		if c.Vocab > 0 {
			if done, err := m.NewCompleter(o); err == nil {
				_, _ = done.Complete(ctx, "a b zz", edge.CompleteOptions{Words: 2, Top: 2})
			}
		} else if s, err := m.NewStream(o); err == nil {
			_ = s.Run(make([]float32, 3*c.OutputWidth()), make([]float32, 3*c.Input), 3, nil)
		}
	case edge.FamilyKNN:
		c := m.KNN()
		for _, all := range []bool{false, true} {
			n, err := m.NewClassifier(edge.KNNOptions{Memory: memory, RankAll: all})
			if err != nil {
				continue
			}
			if i, err := n.Add(make([]float64, c.Cols)); err == nil && n.Run() == nil {
				near := n.Neighbors(i)
				for output := range c.Outputs {
					if c.Task == edge.TaskClassify {
						_ = n.Label(near[0].Row, output)
					} else {
						_ = n.Target(near[0].Row, output)
					}
				}
			}
		}
	}
}

// FuzzModel opens sound files with any config, any tokenizer and any shortlist, and runs those that are taken.
func FuzzModel(f *testing.F) {
	models := fuzzModels(f)
	for i, m := range models {
		var image []byte
		for _, kind := range []modelfile.Kind{modelfile.SectionTokenizerSource, modelfile.SectionShortlist} {
			if data := m.Section(kind); data != nil {
				image = data
				f.Add(uint8(i), []byte(m.Meta().Config), bytes.Clone(image), kind == modelfile.SectionShortlist)
			}
		}
		if image == nil {
			f.Add(uint8(i), []byte(m.Meta().Config), []byte{}, false)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, which uint8, config, image []byte, shortlist bool) {
		if !json.Valid(config) {
			return
		}
		from := models[int(which)%len(models)]
		sections := map[modelfile.Kind][]byte{modelfile.SectionTokenizerSource: image}
		if shortlist {
			sections = map[modelfile.Kind][]byte{modelfile.SectionShortlist: image}
		}
		if len(image) == 0 {
			sections = nil
		}
		path := filepath.Join(dir, "m.ei8")
		if err := rewrite(path, from, config, sections); err != nil {
			return
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		var m *edge.Model
		fuzztest.Bounded(t, int(info.Size()), func() { m, err = edge.Open(path) })
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), path) {
				t.Errorf("%q", err)
			}
			return
		}
		use(m)
		m.Close()
	})
}

// FuzzTranslate gives any lines to a model: valid UTF-8 comes out, or an error about the line, and the line beside it is as it is alone.
func FuzzTranslate(f *testing.F) {
	m, err := edge.OpenEmbedded("tiny", tinyImage(f))
	if err != nil {
		f.Fatal(err)
	}
	tr, err := m.NewTranslator(edge.Options{Batch: 3, MaxTarget: 6})
	if err != nil {
		f.Fatal(err)
	}
	ctx := context.Background()
	alone, err := tr.Translate(ctx, []string{"b c"})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", " ", "a b", "a\nb\r\n\x00", "\xff\xfe", "a. B c! 你好。", strings.Repeat("a b c ", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<14 {
			return
		}
		fuzztest.Bounded(t, len(s), func() {
			out, err := tr.Translate(ctx, []string{s, "b c"})
			if err != nil {
				t.Fatal(err)
			}
			if (out[0].Err == nil) != utf8.ValidString(s) || !utf8.ValidString(out[0].Text) {
				t.Errorf("%q becomes %q, %v", s, out[0].Text, out[0].Err)
			}
			if out[1].Text != alone[0].Text || out[1].Err != nil {
				t.Errorf("beside %q another line becomes %q, %v; alone %q", s, out[1].Text, out[1].Err, alone[0].Text)
			}
		})
	})
}

// tinyImage is the content of a tiny model's file that takes any character.
func tinyImage(f *testing.F) string {
	image, err := text.BuildChars([]string{"</s>", "a", "b", "<unk>"})
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "tiny.ei8")
	if err := writeTiny(path, tinyMeta(f, tinyConfig()), tinyTensors(), map[modelfile.Kind][]byte{modelfile.SectionTokenizerSource: image}, nil); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return string(raw)
}
