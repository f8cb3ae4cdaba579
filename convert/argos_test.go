package convert

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

const argosJSON = `{"package_version": "1.9", "argos_version": "1.9", "from_code": "en", "from_name": "English", "to_code": "deu", "to_name": "German"}`

// argosFolder lays a package of Argos Translate out of the CTranslate2 model in testdata.
func argosFolder(t *testing.T, folder string) {
	t.Helper()
	copyFolder(t, ct2Folder, filepath.Join(folder, "model"))
	remove("model/source.spm", "model/target.spm", "model/golden.json")(t, folder)
	raw, err := os.ReadFile(filepath.Join(ct2Folder, "source.spm"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "sentencepiece.model"), string(raw))
	writeFile(t, filepath.Join(folder, "metadata.json"), argosJSON)
	writeFile(t, filepath.Join(folder, "README.md"), "---\nlicense: cc0-1.0\n---\n")
	if err := os.MkdirAll(filepath.Join(folder, "stanza", "en"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "stanza", "en", "metadata.json"), "[]")
}

// argosArchive packs a folder, with every file below the name top.
func argosArchive(t *testing.T, path, folder, top string, method uint16) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	err := filepath.Walk(folder, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: top + filepath.ToSlash(rel), Method: method})
		if err != nil {
			return err
		}
		_, err = f.Write(raw)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b.String())
}

// TestArgos: a package gives the same tensors as the CTranslate2 folder in it, stored, compressed and unpacked; languages
// and name are its own.
func TestArgos(t *testing.T) {
	want := fileOf(t, ct2Folder)
	folder := filepath.Join(t.TempDir(), "translate-en_de-1_9")
	argosFolder(t, folder)
	paths := []string{folder, filepath.Join(folder, "metadata.json")}
	for name, form := range map[string]struct {
		top    string
		method uint16
	}{"stored": {"en_de/", zip.Store}, "packed": {"en_de/", zip.Deflate}, "bare": {"", zip.Deflate}} {
		path := filepath.Join(t.TempDir(), name, "translate-en_de-1_9.argosmodel")
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		argosArchive(t, path, folder, form.top, form.method)
		paths = append(paths, path)
	}
	for _, path := range paths {
		f, report := converted(t, path, Options{})
		m := f.Meta()
		if m.Name != "translate-en_de-1_9" || m.Languages != (modelfile.Languages{From: "en", To: "de"}) || m.Licence != "cc0-1.0" ||
			report.Format != "Argos Translate, CTranslate2, binary version 6" || len(report.Warnings) > 0 {
			t.Errorf("%s: %+v, %s, %q", path, m, report.Format, report.Warnings)
		}
		for i := range want.Tensors() {
			if !sameTensor(&f.Tensors()[i], &want.Tensors()[i]) {
				t.Errorf("%s: %s differs", path, want.Tensors()[i].Name)
			}
		}
		if !bytes.Equal(f.Section(modelfile.SectionTokenizerSource), want.Section(modelfile.SectionTokenizerSource)) {
			t.Errorf("%s: tokenizer differs", path)
		}
	}
}

// TestArgosMoses: a package with bpe.model. (What Moses' rules and the codes make of texts is in TestMosesGoldens of package text.)
func TestArgosMoses(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "translate-en_de-1_0")
	argosFolder(t, folder)
	remove("sentencepiece.model")(t, folder)
	writeFile(t, filepath.Join(folder, "bpe.model"), "#version: 0.2\nt h\nth e</w>\nb a\n")
	vocabulary := []string{"</s>", "<unk>", "the", "th@@", "a@@", "b", "ba@@", ",", "&apos;s", "."}
	for len(vocabulary) < 59 {
		vocabulary = append(vocabulary, fmt.Sprintf("w%d@@", len(vocabulary)))
	}
	writeFile(t, filepath.Join(folder, "model", "shared_vocabulary.json"), mustJSON(t, vocabulary))
	path := filepath.Join(t.TempDir(), "m.ei8")
	report, err := Convert(t.Context(), folder, path, Options{})
	if err != nil || len(report.Warnings) > 0 {
		t.Fatal(err, report)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var sc text.Scratch
	if got := m.Source().Encode(nil, "the ab bab, the.", &sc); !slices.Equal(got, []int32{2, 4, 5, 6, 5, 7, 2, 9}) || m.Source().Kind() != "Moses BPE" {
		t.Errorf("%v %q", got, m.Source().EncodePieces("the ab bab, the.", &sc))
	}
	if got := string(m.Target().Decode(nil, []int32{2, 4, 5, 8, 7, 6, 5, 9, 0})); got != "the ab 's, bab." {
		t.Errorf("%q", got)
	}
	tr, err := m.NewTranslator(edge.Options{MaxTarget: 8})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := tr.Translate(t.Context(), []string{"the ab bab, the."}); err != nil || len(out[0].SourceTokens) != 8 || !m.Config().SourceEOS {
		t.Errorf("%v, %+v", err, out)
	}
	writeFile(t, filepath.Join(folder, "metadata.json"), `{"from_code": "de", "to_code": "en"}`)
	if _, report := converted(t, folder, Options{}); len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], `of the language "de" no abbreviations are known`) {
		t.Errorf("%q", report.Warnings)
	}
}

// TestArgosMalformed: what is said of packages that cannot be used. (Damaged archives are in package archive.)
func TestArgosMalformed(t *testing.T) {
	both := func(fs ...func(t *testing.T, folder string)) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) {
			for _, f := range fs {
				f(t, folder)
			}
		}
	}
	cut := func(name string, size int64) func(t *testing.T, folder string) {
		return func(t *testing.T, folder string) {
			if err := os.Truncate(filepath.Join(folder, filepath.FromSlash(name)), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, folder string)
		want   string // ROOT stands for the package
	}{
		{"no metadata", remove("metadata.json"), "ROOT: has no metadata.json; it is no package of Argos Translate, or damaged; download it again"},
		{"empty metadata", put("metadata.json", ""), "ROOT/en_de/metadata.json: byte 0: the JSON ends early; download or write it again"},
		{"metadata is a list", put("metadata.json", "[]"), "ROOT/en_de/metadata.json: byte 1: an array where an object was expected; download or write it again"},
		{"metadata cut", put("metadata.json", argosJSON[:50]), "ROOT/en_de/metadata.json: byte 50: the JSON ends early; download or write it again"},
		{"code is a number", put("metadata.json", `{"from_code": 1}`), "ROOT/en_de/metadata.json: byte 15: from_code is a number where a string was expected; download or write it again"},
		{"finds sentences", put("metadata.json", `{"type": "sbd"}`), "ROOT/en_de/metadata.json: says type \"sbd\"; this version reads packages that translate"},
		{"no model", remove("model/model.bin"), "ROOT/en_de/model/model.bin: is missing; it holds the weights; download the package again"},
		{"no vocabulary", remove("model/shared_vocabulary.json"), "ROOT/en_de/model: neither shared_vocabulary nor target_vocabulary (.json or .txt) is there; copy the whole folder"},
		{"no config", remove("model/config.json"), "ROOT/en_de/model/config.json: it is missing, and this version of the format needs it; copy the whole folder"},
		{"no tokenizer", remove("sentencepiece.model"), "ROOT/en_de/sentencepiece.model: is missing; it cuts text into the pieces that the vocabulary numbers; download the package again"},
		{"codes of another version", both(remove("sentencepiece.model"), put("bpe.model", "a b\n")), "ROOT/en_de/bpe.model: the codes begin with \"a b\", not with #version: 0.2, which is read; download the package again"},
		{"empty tokenizer", put("sentencepiece.model", ""), "ROOT/en_de/sentencepiece.model: SentencePiece model: there are no pieces: is this a SentencePiece model?; download it again"},
		{"tokenizer is text", put("sentencepiece.model", "not a model"), "ROOT/en_de/sentencepiece.model: SentencePiece model: byte 0 has the wire type 6: is this a SentencePiece model?; download it again"},
		{"empty model", put("model/model.bin", ""), "ROOT/en_de/model/model.bin: byte 0: the file ends inside the binary version; download or convert it again"},
		{"model is text", put("model/model.bin", "<html>"), "ROOT/en_de/model/model.bin: byte 0: binary version 1836345404; 1 to 6 are known; give the folder of a CTranslate2 model"},
		{"model cut", cut("model/model.bin", 100000), "ROOT/en_de/model/model.bin: tensor \"decoder/layer_1/ffn/linear_1/weight\": byte 93196: it claims 10240 bytes where 6804 are left: the file is cut short; download or convert it again"},
		{"vocabulary is text", put("model/shared_vocabulary.json", "a\nb\n"), "ROOT/en_de/model/shared_vocabulary.json: byte 0: this is not JSON: invalid character 'a' looking for beginning of value; download or write it again"},
		{"another vocabulary", put("model/shared_vocabulary.json", `["</s>", "<unk>", "a"]`), "ROOT/en_de/model/shared_vocabulary.json: has 3 tokens (the unknown token counted), but the embeddings have 59 rows; it belongs to another model"},
		{"config is text", put("model/config.json", "x"), "ROOT/en_de/model/config.json: byte 0: this is not JSON: invalid character 'x' looking for beginning of value; download or write it again"},
		{"config without start", put("model/config.json", `{"decoder_start_token": "<none>", "eos_token": "<end>"}`), "ROOT/en_de/model/shared_vocabulary.json: lacks \"<end>\", which is the end of a sentence; it belongs to another model"},
	} {
		folder := filepath.Join(t.TempDir(), "in")
		argosFolder(t, folder)
		c.change(t, folder)
		path := filepath.Join(t.TempDir(), "x.argosmodel")
		argosArchive(t, path, folder, "en_de/", zip.Deflate)
		out := t.TempDir()
		_, err := Convert(context.Background(), path, filepath.Join(out, "m.ei8"), Options{})
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || filepath.ToSlash(strings.ReplaceAll(err.Error(), path, "ROOT")) != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, filepath.ToSlash(strings.ReplaceAll(err.Error(), path, "ROOT")), c.want)
		}
		wantEmpty(t, out)
	}
	path := filepath.Join(t.TempDir(), "x.argosmodel")
	writeFile(t, path, "<html>")
	if _, err := open(path, ""); err == nil || err.Error() != path+": is not a zip archive, as packages of Argos Translate are; download it again" {
		t.Error(err)
	}
	folder := filepath.Join(t.TempDir(), "in")
	argosFolder(t, filepath.Join(folder, "a"))
	argosFolder(t, filepath.Join(folder, "b"))
	argosArchive(t, path, folder, "", zip.Store)
	if _, err := open(path, ""); err == nil || err.Error() != path+`: has several packages: "a" and "b"; unpack it, and name the folder of one` {
		t.Error(err)
	}
	argosFolder(t, folder)
	writeFile(t, filepath.Join(folder, "metadata.json"), `{"from_code": "en", "to_code": "de", "target_prefix": "__de__"}`)
	want := filepath.Join(folder, "metadata.json") + `: says target_prefix "__de__", which is not in the model's vocabulary; download the package again`
	if _, err := open(folder, ""); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	writeFile(t, filepath.Join(folder, "metadata.json"), `{"from_code": "en", "to_code": "de", "target_prefix": "ing"}`)
	f, _ := converted(t, folder, Options{})
	if c := config(t, f); !slices.Equal(c.TargetPrefix, []int32{37}) || !slices.Equal(f.Meta().Requires, []string{"target_prefix"}) {
		t.Errorf("%+v, requires %q", c, f.Meta().Requires)
	}
}
