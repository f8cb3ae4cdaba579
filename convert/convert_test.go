package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/reference"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// converted converts a folder of testdata and opens the result.
func converted(t *testing.T, folder string, o Options) (*modelfile.File, *Report) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "out.ei8")
	report, err := Convert(context.Background(), folder, dst, o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.Open(dst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, report
}

// sameTensor compares two tensors byte for byte.
func sameTensor(a, b *modelfile.Tensor) bool {
	return a.DType == b.DType && a.Layout == b.Layout && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Data, b.Data) &&
		slices.Equal(a.Scale, b.Scale) && slices.Equal(a.Sum, b.Sum)
}

// TestSameWeights: one model in three forms gives the same tensors, byte for byte: safetensors without tables of positions,
// pickle with them, and CTranslate2's conversion.
func TestSameWeights(t *testing.T) {
	want, _ := converted(t, marianFolder, Options{})
	for _, folder := range []string{binFolder, ct2Folder} {
		got, _ := converted(t, folder, Options{})
		if len(got.Tensors()) != len(want.Tensors()) {
			t.Fatalf("%s: %d tensors, want %d", folder, len(got.Tensors()), len(want.Tensors()))
		}
		for i := range want.Tensors() {
			w := &want.Tensors()[i]
			g, ok := got.Lookup(w.Name)
			if !ok || !sameTensor(g, w) {
				t.Errorf("%s: tensor %s differs", folder, w.Name)
			}
		}
		if !bytes.Equal(got.Section(modelfile.SectionTokenizerSource), want.Section(modelfile.SectionTokenizerSource)) {
			t.Errorf("%s: tokenizer differs", folder)
		}
		a, b := config(t, got), config(t, want)
		b.SourceEOS = a.SourceEOS // the one thing that CTranslate2's config.json may leave open; compared below
		if got, want := mustJSON(t, a), mustJSON(t, b); got != want {
			t.Errorf("%s: config %s, want %s", folder, got, want)
		}
		if !a.SourceEOS {
			t.Errorf("%s: a Marian model ends its source sentences with </s>", folder)
		}
	}
}

// TestSameFile: float32 weights give the same file, byte for byte, and so the same translations, whether they come from Hugging Face
// (safetensors, pickle) or from CTranslate2; with a bias of the output and with one that is zero, which CTranslate2 leaves out. (The
// other ways in which Hugging Face's weights may lie are in TestForms.)
func TestSameFile(t *testing.T) {
	file := func(folder string, changes ...func(*testing.T, string)) []byte {
		in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "m.ei8")
		copyFolder(t, folder, in)
		for _, change := range changes {
			change(t, in)
		}
		if _, err := Convert(t.Context(), in, out, Options{Name: "m", From: "en", To: "de"}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	want := file(marianFolder)
	for _, folder := range []string{binFolder, ct2Folder} {
		if !bytes.Equal(file(folder), want) {
			t.Errorf("%s: another file", folder)
		}
	}
	zero := func(t *testing.T, folder string) {
		for i := range 60 {
			poison("final_logits_bias", i, 0)(t, folder)
		}
	}
	without := file(marianFolder, zero)
	if len(without) >= len(want) {
		t.Errorf("a bias of zeros takes space: %d bytes, with a bias %d", len(without), len(want))
	}
	path := filepath.Join(t.TempDir(), "m.ei8")
	writeFile(t, path, string(without))
	m, err := runtime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

func config(t *testing.T, f *modelfile.File) *runtime.TransformerConfig {
	t.Helper()
	c, err := runtime.ParseTransformerConfig(f.Meta().Config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestInt8IsCopied: CTranslate2's int8 arrives unchanged, so that the file stands for exactly the same weights.
func TestInt8IsCopied(t *testing.T) {
	f, report := converted(t, int8Folder, Options{})
	s, err := open(int8Folder, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	checked := 0
	for _, from := range s.tensors {
		if from.spec.DType != modelfile.I8 {
			continue
		}
		to, _ := f.Lookup(from.spec.Name)
		row, first := make([]int8, from.spec.Cols()), 0
		for _, p := range from.parts {
			for i := range p.rows {
				if err := p.from.ReadI8(row, i, 1); err != nil {
					t.Fatal(err)
				}
				for j, want := range row {
					n, at := first+i, 0
					if to.Layout == modelfile.N16K4 {
						at = n/16*16*to.PaddedCols() + j/4*64 + n%16*4 + j%4
					} else {
						at = n*to.PaddedCols() + j
					}
					if to.I8()[at] != want {
						t.Fatalf("%s: row %d, column %d is %d, want %d", from.spec.Name, n, j, to.I8()[at], want)
					}
					checked++
				}
			}
			first += p.rows
		}
	}
	for _, row := range report.Tensors {
		if !row.Copied || row.MaxError() != 0 {
			t.Errorf("%s: copied %v, error %g", row.Name, row.Copied, row.MaxError())
		}
	}
	m, err := referenceOf(FloatsOf(f))
	if err != nil {
		t.Fatal(err)
	}
	var golden ctranslate2Golden
	readGolden(t, int8Folder, &golden)
	compareRuns(t, m, golden.Items)
	t.Logf("%d weights", checked)
}

// TestQuantizationCost bounds what int8 weights change: every weight within half a step of its row, and few tokens.
func TestQuantizationCost(t *testing.T) {
	for _, folder := range []string{marianFolder, separateFolder} {
		f, report := converted(t, folder, Options{})
		exact, err := referenceOf(OpenFloats(folder))
		if err != nil {
			t.Fatal(err)
		}
		rounded, err := referenceOf(FloatsOf(f))
		if err != nil {
			t.Fatal(err)
		}
		if worst := report.Worst(); worst == nil || worst.SNR() < 35 {
			t.Errorf("%s: worst tensor %+v", folder, worst)
		}
		if mean := report.Mean(); mean.Cosine() < 0.9999 || mean.Max() == 0 {
			t.Errorf("%s: cosine %g, largest error %g", folder, mean.Cosine(), mean.Max())
		}
		var golden pytorchGolden
		readGolden(t, folder, &golden)
		same := 0
		for _, item := range golden.Items {
			o := reference.SearchOptions{MaxLength: 24}
			a, errA := exact.Greedy(item.Source, o)
			b, errB := rounded.Greedy(item.Source, o)
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			if slices.Equal(a.IDs, b.IDs) {
				same++
			}
		}
		if same < len(golden.Items)*3/4 {
			t.Errorf("%s: int8 weights keep %d of %d sentences", folder, same, len(golden.Items))
		}
		t.Logf("%s: %d of %d sentences unchanged, worst SNR %.1f dB", folder, same, len(golden.Items), report.Worst().SNR())
	}
}

// TestReport: the figures add up, and the table has a line for each matrix.
func TestReport(t *testing.T) {
	var calls int
	var last, all int64
	f, r := converted(t, marianFolder, Options{Progress: func(tensor string, done, total int64) {
		if calls++; tensor == "" || done < last || done > total {
			t.Errorf("progress %q %d of %d after %d", tensor, done, total, last)
		}
		last, all = done, total
	}})
	if calls == 0 || last != all || all != r.BytesBefore() {
		t.Errorf("progress ended at %d of %d, the tensors are %d", last, all, r.BytesBefore())
	}
	// 59 x 32 embeddings, 2 encoder and 2 decoder layers of d 32 and ffn 80, a bias of 59, 64 positions.
	layer := int64(4*32*32 + 4*32 + 2*32*80 + 80 + 32 + 2*64)
	cross := int64(4*32*32 + 4*32 + 64)
	if want := 59*32 + 4*layer + 2*cross + 59 + 64*32; r.Parameters() != want {
		t.Errorf("%d parameters, want %d", r.Parameters(), want)
	}
	if r.FileBytes != f.Size() {
		t.Errorf("file of %d bytes, reported %d", f.Size(), r.FileBytes)
	}
	var data int64
	for _, x := range f.Tensors() {
		data += int64(len(x.Data)) + 4*int64(len(x.Scale)+len(x.Sum))
	}
	if r.BytesAfter() != data {
		t.Errorf("tensors of %d bytes, reported %d", data, r.BytesAfter())
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"decoder.layers.1.cross.kv", "64x32", "worst: ", "mean", "SNR dB", "in float32"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	t.Log("\n" + table.String())
}

// TestMeta: options win over what the source says.
func TestMeta(t *testing.T) {
	f, _ := converted(t, marianFolder, Options{})
	m := f.Meta()
	if m.Name != "marian-safetensors" || m.Languages != (modelfile.Languages{From: "en", To: "de"}) || m.Licence != "" ||
		m.Tool != "edge-infer "+runtime.Version || m.Family != "transformer" {
		t.Errorf("%+v", m)
	}
	f, _ = converted(t, marianFolder, Options{Name: "n", From: "zh", To: "fr", Licence: "CC-BY-4.0", Source: "here", Attributions: []string{"a", "b"}})
	m = f.Meta()
	if m.Name != "n" || m.Languages != (modelfile.Languages{From: "zh", To: "fr"}) || m.Licence != "CC-BY-4.0" || m.Source != "here" ||
		!slices.Equal(m.Attributions, []string{"a", "b"}) {
		t.Errorf("%+v", m)
	}

	folder := filepath.Join(t.TempDir(), "opus-mt-zho-en")
	copyFolder(t, ct2Folder, folder)
	writeFile(t, filepath.Join(folder, "README.md"), "---\nlanguage: zh\nlicense: cc-by-4.0\n---\n# x\n")
	f, _ = converted(t, folder, Options{})
	if m := f.Meta(); m.Languages != (modelfile.Languages{From: "zh", To: "en"}) || m.Licence != "cc-by-4.0" || m.Name != "opus-mt-zho-en" {
		t.Errorf("%+v", m)
	}
}

// TestTokenizers: ids come from vocab.json, not from the SentencePiece model; <pad> is gone.
func TestTokenizers(t *testing.T) {
	f, _ := converted(t, marianFolder, Options{})
	if f.Section(modelfile.SectionTokenizerTarget) != nil {
		t.Error("one vocabulary and two equal SentencePiece models need one image")
	}
	tok, err := text.Open(f.Section(modelfile.SectionTokenizerSource))
	if err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int32{}
	if err := readJSON(filepath.Join(marianFolder, "vocab.json"), maxSmall, &vocab); err != nil {
		t.Fatal(err)
	}
	for piece, want := range vocab {
		id, ok := tok.ID(piece)
		if piece == "<pad>" {
			if ok {
				t.Error("<pad> is still there")
			}
		} else if !ok || id != want {
			t.Errorf("%q is %d, want %d", piece, id, want)
		}
	}
	if tok.Size() != 59 || config(t, f).TargetVocab != 59 || config(t, f).DecoderStart != -1 {
		t.Errorf("%d tokens, config %+v", tok.Size(), config(t, f))
	}
	folder := filepath.Join(t.TempDir(), "in")
	copyFolder(t, separateFolder, folder)
	raw, err := os.ReadFile(filepath.Join(folder, "source.spm"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "target.spm"), string(raw))
	for _, folder := range []string{separateFolder, folder} {
		f, _ = converted(t, folder, Options{})
		if f.Section(modelfile.SectionTokenizerTarget) == nil {
			t.Error("two vocabularies need two images")
		}
	}
}

// TestStart: the row of <pad> is dropped when it is the zero row at the end. One that training has filled is kept, as what
// the decoder starts from, and is never produced; bad_words_ids add to that.
func TestStart(t *testing.T) {
	change := func(changes ...func(*testing.T, string)) *runtime.TransformerConfig {
		folder := filepath.Join(t.TempDir(), "in")
		copyFolder(t, marianFolder, folder)
		for _, f := range changes {
			f(t, folder)
		}
		f, _ := converted(t, folder, Options{})
		return config(t, f)
	}
	one := math.Float32bits(1)
	for i, c := range []struct {
		got             *runtime.TransformerConfig
		vocab           int
		start, suppress []int32
		bad             string
	}{
		{change(), 59, []int32{-1}, nil, "null"},
		{change(edit("config.json", map[string]any{"bad_words_ids": [][]int{{59}, {7}, {8, 9}, {0}}})), 59, []int32{-1}, nil, "[[7],[8,9]]"},
		{change(poison("model.shared.weight", 59*32, one)), 60, []int32{59}, []int32{59}, "null"},
		{change(edit("config.json", map[string]any{"decoder_start_token_id": 3})), 60, []int32{3}, nil, "null"},
		{change(edit("config.json", map[string]any{"decoder_start_token_id": nil, "bad_words_ids": nil}),
			generation(`{"decoder_start_token_id": 59, "eos_token_id": [0], "bad_words_ids": [[5]]}`)), 59, []int32{-1}, nil, "[[5]]"},
	} {
		if c.got.TargetVocab != c.vocab || c.got.SourceVocab != c.vocab || c.got.DecoderStart != c.start[0] || !slices.Equal(c.got.Suppress, c.suppress) ||
			mustJSON(t, c.got.BadWords) != c.bad {
			t.Errorf("%d: %+v", i, c.got)
		}
	}
}

func generation(text string) func(*testing.T, string) {
	return func(t *testing.T, folder string) { writeFile(t, filepath.Join(folder, "generation_config.json"), text) }
}

// TestGeneration: how the model's makers search becomes the model's default; what no search here can do is said and left out.
func TestGeneration(t *testing.T) {
	for _, c := range []struct{ file, want, warning string }{
		{`{}`, "null", ""},
		{`{"num_beams": 1, "length_penalty": 2.0, "repetition_penalty": 1.0}`, "null", ""},
		{`{"num_beams": 4, "bad_words_ids": null}`, `{"beam":4,"length_penalty":1}`, ""},
		{`{"num_beams": 6, "length_penalty": 0.6, "min_length": 3, "max_length": 30, "no_repeat_ngram_size": 3, "repetition_penalty": 1.2}`,
			`{"beam":6,"length_penalty":0.6,"min_target":2,"max_target":29,"no_repeat_ngram":3,"repetition_penalty":1.2}`, ""},
		{`{"min_length": 3, "max_length": 30, "min_new_tokens": 4, "max_new_tokens": 20}`, `{"min_target":4,"max_target":20}`, ""},
		{`{"min_length": 30, "max_length": 20}`, "null", "what generation_config.json says of the search is left out: config: generation: minimum target length 29 is above the maximum 19"},
		{`{"max_length": -3}`, "null", ""},
		{`{"max_new_tokens": -3}`, "null", "what generation_config.json says of the search is left out: config: generation: maximum target length is -3, must be 1 to 1048576 for this model"},
		{`{"num_beams": 500}`, "null", "what generation_config.json says of the search is left out: config: generation: beam is 500, must be 1 to 64 for this model"},
	} {
		folder := filepath.Join(t.TempDir(), "in")
		copyFolder(t, marianFolder, folder)
		generation(c.file)(t, folder)
		f, report := converted(t, folder, Options{})
		if got := mustJSON(t, config(t, f).Generation); got != c.want || strings.Join(report.Warnings, "\n") != c.warning {
			t.Errorf("%s: %s, warnings %q", c.file, got, report.Warnings)
		}
	}
}

// TestSpecialTokens: the target's own vocabulary says which ids end and start a sentence.
func TestSpecialTokens(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "in")
	copyFolder(t, "testdata/aren-transliteration", folder)
	path := filepath.Join(folder, "target_vocabulary.txt")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, strings.Replace(string(raw), "<s>\n</s>\na\n", "a\n<s>\n</s>\n", 1))
	f, _ := converted(t, folder, Options{})
	if c := config(t, f); c.EOS != 3 || c.DecoderStart != 2 || c.SourceEOSID != 2 || c.TargetUnk != 42 {
		t.Errorf("%+v", c)
	}
}

// inMemory makes a tensor of bytes.
func inMemory(t *testing.T, name, dtype string, data []byte, shape ...int) *checkpoint.Tensor {
	t.Helper()
	x, err := checkpoint.NewTensor("memory", name, dtype, shape, checkpoint.Layout{Source: bytes.NewReader(data), Limit: int64(len(data))})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestWrite: what the models at hand do not have: a row with -128, which is quantized anew, a fused bias of which a part is
// missing, rows that are no multiple of 16 in both layouts.
func TestWrite(t *testing.T) {
	const rows, cols = 19, 5
	data, scales := make([]byte, rows*cols), make([]byte, 0, 4*rows)
	for i := range data {
		data[i] = byte(int8(i*37%255 - 127))
	}
	data[7*cols+2] = 0x80
	for i := range rows {
		scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(float32(2+i)))
	}
	weights := inMemory(t, "w", checkpoint.I8, data, rows, cols)
	weights.Scale = inMemory(t, "w_scale", checkpoint.F32, scales, rows)
	bias := inMemory(t, "b", checkpoint.F32, scales[:8], 2)
	tokens, err := text.BuildTokens([]string{"a", "<unk>"})
	if err != nil {
		t.Fatal(err)
	}
	i8 := func(name string, layout modelfile.Layout) tensor {
		return tensor{spec: modelfile.TensorSpec{Name: name, DType: modelfile.I8, Layout: layout, Shape: []int{rows, cols}}, parts: []part{{weights, rows}}}
	}
	s := &source{tensors: []tensor{i8("blocks", modelfile.N16K4), i8("rows", modelfile.Rows),
		{spec: modelfile.TensorSpec{Name: "bias", DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{6}}, parts: []part{{nil, 2}, {bias, 2}, {nil, 2}}}}}
	dst := filepath.Join(t.TempDir(), "m.ei8")
	meta := &modelfile.Meta{Name: "x", Family: "transformer"}
	report := &Report{}
	if err := write(context.Background(), s, dst, meta, []modelfile.SectionData{{Kind: modelfile.SectionTokenizerSource, Data: tokens}}, Options{}, report); err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.Open(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{"blocks", "rows"} {
		to, _ := f.Lookup(name)
		for n := range rows {
			for j := range cols {
				at := n*16 + j
				if to.Layout == modelfile.N16K4 {
					at = n/16*16*16 + j/4*64 + n%16*4 + j%4
				}
				q, stored := to.I8()[at], int8(data[n*cols+j])
				if n != 7 && (q != stored || to.Scale[n] != 1/float32(2+n)) {
					t.Errorf("%s: row %d, column %d is %d with scale %g", name, n, j, q, to.Scale[n])
				}
				if got, want := float64(q)*float64(to.Scale[n]), float64(stored)/float64(2+n); math.Abs(got-want) > 0.51*float64(to.Scale[n]) {
					t.Errorf("%s: row %d, column %d stands for %g, want %g", name, n, j, got, want)
				}
			}
		}
	}
	b, _ := f.Lookup("bias")
	if want := []float32{0, 0, 2, 3, 0, 0}; !slices.Equal(b.F32()[:6], want) {
		t.Errorf("bias %v, want %v", b.F32()[:6], want)
	}
}

// TestActivations: the names that mean the same in different libraries, and those that do not.
func TestActivations(t *testing.T) {
	for theirs, want := range map[string]string{"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "quick_gelu": "gelu_sigmoid", "swish": "silu"} {
		folder := filepath.Join(t.TempDir(), "in")
		copyFolder(t, marianFolder, folder)
		edit("config.json", map[string]any{"activation_function": theirs})(t, folder)
		f, _ := converted(t, folder, Options{})
		if got := config(t, f).Activation; got != want {
			t.Errorf("%s is %s, want %s", theirs, got, want)
		}
	}
	if !slices.Equal(ctranslate2Activations, []string{"relu", "gelu_tanh", "silu", "gelu", "gelu_sigmoid"}) {
		t.Error("CTranslate2 numbers its activations ReLU, GELUTanh, Swish, GELU, GELUSigmoid")
	}
}

// TestDeterminism: the same source gives the same bytes.
func TestDeterminism(t *testing.T) {
	var files [2][]byte
	for i := range files {
		dst := filepath.Join(t.TempDir(), "m.ei8")
		if _, err := Convert(context.Background(), separateFolder, dst, Options{}); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(dst); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two conversions differ")
	}
}

// TestCancel: a context that ends stops the conversion in the middle, and nothing stays behind.
func TestCancel(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Convert(ctx, marianFolder, filepath.Join(folder, "m.ei8"), Options{Progress: func(string, int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	wantEmpty(t, folder)
}

func TestForce(t *testing.T) {
	folder := t.TempDir()
	dst := filepath.Join(folder, "m.ei8")
	writeFile(t, dst, "precious")
	if _, err := Convert(context.Background(), marianFolder, dst, Options{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
	if _, err := Convert(context.Background(), filepath.Join(folder, "none"), dst, Options{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the source was looked at first: %v", err)
	}
	if raw, _ := os.ReadFile(dst); string(raw) != "precious" {
		t.Error("the existing file was touched")
	}
	if _, err := Convert(context.Background(), marianFolder, dst, Options{Force: true}); err != nil {
		t.Fatal(err)
	}
	if f, err := modelfile.Open(dst); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	// A conversion that fails leaves the old file.
	if _, err := Convert(context.Background(), t.TempDir(), dst, Options{Force: true}); err == nil {
		t.Error("an empty folder was converted")
	}
	if f, err := modelfile.Open(dst); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

// TestSinusoids: both tables begin as their definitions say; a wrong choice is a silent loss of quality.
func TestSinusoids(t *testing.T) {
	const dim = 8
	marian, ct2 := marianSinusoids(3, dim), sinusoids(3, dim, 1)
	for p := range 3 {
		for j := range dim / 2 {
			at := float64(p) / math.Pow(10000, float64(j)/(dim/2))
			if got := float64(marian[p*dim+j]); math.Abs(got-math.Sin(at)) > 1e-7 {
				t.Errorf("marian sine %d %d: %g", p, j, got)
			}
			if got := float64(marian[p*dim+dim/2+j]); math.Abs(got-math.Cos(at)) > 1e-7 {
				t.Errorf("marian cosine %d %d: %g", p, j, got)
			}
			at = float64(p+1) / math.Pow(10000, float64(j)/(dim/2-1))
			if got := float64(ct2[p*dim+j]); math.Abs(got-math.Sin(at)) > 1e-6 {
				t.Errorf("ctranslate2 sine %d %d: %g", p, j, got)
			}
		}
	}
}
