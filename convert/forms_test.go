package convert

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/pickle"
	"github.com/edge-infer/edge-infer/convert/safetensors"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// namedTensor is a tensor of float32 to be written in one of the forms.
type namedTensor struct {
	name  string
	shape []int
	data  []byte
}

// tensorsOf reads all of a checkpoint.
func tensorsOf(t *testing.T, c *checkpoint.Checkpoint) []namedTensor {
	t.Helper()
	var all []namedTensor
	for _, name := range c.Names() {
		x, _ := c.Lookup(name)
		values, err := x.F32()
		if err != nil {
			t.Fatal(err)
		}
		n := namedTensor{name: name, shape: x.Shape}
		for _, v := range values {
			n.data = binary.LittleEndian.AppendUint32(n.data, math.Float32bits(v))
		}
		all = append(all, n)
	}
	return all
}

// torchPickle is what torch.save pickles of the tensors; an id of a storage ends in tail.
func torchPickle(tensors []namedTensor, tail string) string {
	var b strings.Builder
	text := func(s string) { b.WriteString("X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s) }
	number := func(n int) { b.WriteString("J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n)))) }
	b.WriteString("\x80\x02}")
	for i, x := range tensors {
		text(x.name)
		b.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((")
		text("storage")
		b.WriteString("ctorch\nFloatStorage\n")
		text(fmt.Sprint(i))
		text("cpu")
		number(len(x.data) / 4)
		b.WriteString(tail + "tQK\x00(")
		for _, d := range x.shape {
			number(d)
		}
		b.WriteString("t(")
		for d := range x.shape {
			step := 1
			for _, inner := range x.shape[d+1:] {
				step *= inner
			}
			number(step)
		}
		b.WriteString("t\x89ccollections\nOrderedDict\n)RtRs")
	}
	return b.String() + "."
}

// writeTorch writes pytorch_model.bin (or a shard of it) as PyTorch does since 1.6.
func writeTorch(t *testing.T, path string, tensors []namedTensor) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	put := func(name string, data []byte) {
		f, err := w.CreateRaw(&zip.FileHeader{Name: "archive/" + name, CRC32: crc32.ChecksumIEEE(data), CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data))})
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("data.pkl", []byte(torchPickle(tensors, "")))
	for i, x := range tensors {
		put(fmt.Sprintf("data/%d", i), x.data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b.String())
}

// writeLegacyTorch writes it as PyTorch did before.
func writeLegacyTorch(t *testing.T, path string, tensors []namedTensor) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.")
	b.WriteString(torchPickle(tensors, "N") + "\x80\x02]")
	for i := range tensors {
		b.WriteString("X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(fmt.Sprint(i))))) + fmt.Sprint(i) + "a")
	}
	b.WriteString(".")
	for _, x := range tensors {
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(x.data)/4)))
		b.Write(x.data)
	}
	writeFile(t, path, b.String())
}

// writeSafetensors writes a file of safetensors.
func writeSafetensors(t *testing.T, path string, tensors []namedTensor) {
	t.Helper()
	header, data := map[string]any{}, []byte{}
	for _, x := range tensors {
		header[x.name] = map[string]any{"dtype": "F32", "shape": x.shape, "data_offsets": []int{len(data), len(data) + len(x.data)}}
		data = append(data, x.data...)
	}
	text := mustJSON(t, header)
	writeFile(t, path, string(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))+text+string(data))
}

// writeShards writes three files, and their index.
func writeShards(t *testing.T, folder, format string, tensors []namedTensor, write func(*testing.T, string, []namedTensor)) {
	t.Helper()
	weights := map[string]string{}
	for i := range 3 {
		shard := fmt.Sprintf(format, i+1, 3)
		part := tensors[i*len(tensors)/3 : (i+1)*len(tensors)/3]
		write(t, filepath.Join(folder, shard), part)
		for _, x := range part {
			weights[x.name] = shard
		}
	}
	name, _, _ := strings.Cut(format, "-%")
	writeFile(t, filepath.Join(folder, name+filepath.Ext(format)+".index.json"), mustJSON(t, map[string]any{"metadata": map[string]any{}, "weight_map": weights}))
}

// convertedBytes converts path and gives the whole file.
func convertedBytes(t *testing.T, path string) []byte {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "m.ei8")
	if _, err := Convert(t.Context(), path, dst, Options{}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fileOf(t *testing.T, path string) *modelfile.File {
	t.Helper()
	f, _ := converted(t, path, Options{})
	return f
}

// TestForms: the same weights give the same bytes, whichever of Hugging Face's forms they came in. (The forms as their own
// libraries wrote them, with tied weights under several names and stored tables, are in TestSameWeights.)
func TestForms(t *testing.T) {
	c, err := safetensors.Open(filepath.Join(marianFolder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tensors := tensorsOf(t, c)
	form := func(write func(folder string)) []byte {
		folder := filepath.Join(t.TempDir(), "in")
		copyFolder(t, marianFolder, folder)
		remove("model.safetensors")(t, folder)
		write(folder)
		return convertedBytes(t, folder)
	}
	want := form(func(folder string) { writeSafetensors(t, filepath.Join(folder, "model.safetensors"), tensors) })
	for name, write := range map[string]func(folder string){
		"zip":    func(folder string) { writeTorch(t, filepath.Join(folder, "pytorch_model.bin"), tensors) },
		"legacy": func(folder string) { writeLegacyTorch(t, filepath.Join(folder, "pytorch_model.bin"), tensors) },
		"safetensors in shards": func(folder string) {
			writeShards(t, folder, "model-%05d-of-%05d.safetensors", tensors, writeSafetensors)
		},
		"zip in shards": func(folder string) { writeShards(t, folder, "pytorch_model-%05d-of-%05d.bin", tensors, writeTorch) },
		"legacy in shards": func(folder string) {
			writeShards(t, folder, "pytorch_model-%05d-of-%05d.bin", tensors, writeLegacyTorch)
		},
	} {
		if got := form(write); !bytes.Equal(got, want) {
			t.Errorf("%s: another file", name)
		}
	}
}

// TestLegacyRNN: state dicts of recurrent networks come through the same reader.
func TestLegacyRNN(t *testing.T) {
	for _, name := range []string{"lstm-3-layer", "gru-3-layer", "words-pt"} {
		path := filepath.Join(rnnFolder, "golden", name+".pt")
		c, err := pickle.OpenTorch(path)
		if err != nil {
			t.Fatal(err)
		}
		tensors := tensorsOf(t, c)
		legacy := filepath.Join(t.TempDir(), name+".pt")
		writeLegacyTorch(t, legacy, tensors)
		if got, want := convertedBytes(t, legacy), convertedBytes(t, path); !bytes.Equal(got, want) {
			t.Errorf("%s: another file", name)
		}
	}
}

// TestHubCache: the root of a model in Hugging Face's cache, one of its snapshots, whose files are links, and either's name.
func TestHubCache(t *testing.T) {
	root := filepath.Join(t.TempDir(), "models--Helsinki-NLP--opus-mt-zh-en")
	blobs, snapshot := filepath.Join(root, "blobs"), filepath.Join(root, "snapshots", "0123abcd")
	copyFolder(t, marianFolder, blobs)
	entries, err := os.ReadDir(blobs)
	if err == nil {
		err = os.MkdirAll(snapshot, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join("..", "..", "blobs", e.Name()), filepath.Join(snapshot, e.Name())); err != nil {
			t.Skip("links cannot be made here:", err)
		}
	}
	want := fileOf(t, marianFolder)
	check := func(path string) {
		t.Helper()
		f := fileOf(t, path)
		if m := f.Meta(); m.Name != "opus-mt-zh-en" || m.Languages != (modelfile.Languages{From: "en", To: "de"}) {
			t.Errorf("%+v", m)
		}
		for i := range want.Tensors() {
			if !sameTensor(&f.Tensors()[i], &want.Tensors()[i]) {
				t.Errorf("%s differs", want.Tensors()[i].Name)
			}
		}
	}
	check(root)
	check(snapshot)
	check(filepath.Join(snapshot, "model.safetensors"))
	refs := filepath.Join(root, "refs")
	if err := os.Mkdir(refs, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(refs, "main"), "0123abcd\n")
	if err := os.Mkdir(filepath.Join(root, "snapshots", "an-older-one"), 0o755); err != nil {
		t.Fatal(err)
	}
	check(root)
	for _, c := range []struct{ ref, want string }{
		{"../../elsewhere", filepath.Join(refs, "main") + ": does not name a revision; name the folder below snapshots that holds config.json"},
		{"", filepath.Join(refs, "main") + ": does not name a revision; name the folder below snapshots that holds config.json"},
		{"4567", filepath.Join(root, "snapshots", "4567") + ": is missing, but refs/main names it; download the model again"},
	} {
		writeFile(t, filepath.Join(refs, "main"), c.ref)
		if _, err := open(root, ""); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	remove(filepath.Join("refs", "main"))(t, root)
	if _, err := open(root, ""); err == nil || err.Error() != filepath.Join(root, "snapshots")+": holds several revisions or none, and refs/main does not say which; name one of the folders in it" {
		t.Error(err)
	}
	// A link whose blob was not downloaded is a missing file.
	remove("config.json")(t, blobs)
	if _, err := open(snapshot, ""); err == nil || !strings.Contains(err.Error(), "model.safetensors: is weights without a config.json beside them") {
		t.Error(err)
	}
}
