package pickle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func TestTorch(t *testing.T) {
	for _, name := range []string{"types", "views", "nested", "linear", "tiny", "types_legacy", "views_legacy", "nested_legacy", "tiny_legacy"} {
		c, err := OpenTorch("testdata/" + name + ".pt")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkpointtest.Compare(t, c, "testdata/"+strings.TrimSuffix(name, "_legacy")+".json")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTied tells which of the views are one tensor.
func TestTied(t *testing.T) {
	for _, name := range []string{"views", "views_legacy"} {
		testTied(t, "testdata/"+name+".pt")
	}
}

func testTied(t *testing.T, path string) {
	c, err := OpenTorch(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	base, _ := c.Lookup("base")
	for name, want := range map[string]bool{"tied": true, "parameter": true, "transposed": false, "part": false, "row": false, "cube": false} {
		x, ok := c.Lookup(name)
		if !ok || base.SameData(x) != want {
			t.Errorf("%s: tied to base: %v, want %v", name, !want, want)
		}
	}
	if names := strings.Join(c.Names()[:5], " "); names != "base tied parameter transposed part" {
		t.Error("not in the order of the file:", names)
	}
}

// TestOtherFiles opens what is not a state dict, as PyTorch wrote it.
func TestOtherFiles(t *testing.T) {
	for name, want := range map[string]string{
		"evil.pt":          "byte 237: evil/data.pkl: byte 173: the pickle asks to run posix.system: refused; nothing was run; do not load it in Python; get the model as .safetensors, or from someone you trust",
		"module.pt":        "it holds a whole Python object, a torch.nn.modules.linear.Linear, which only its own program can load; save model.state_dict() instead: torch.save(model.state_dict(), 'OUT')",
		"quantized.pt":     "it is not a plain tensor: a torch._utils._rebuild_qtensor; save the model as plain float32, float16 or bfloat16 tensors",
		"sparse.pt":        "it is not a plain tensor: a torch._utils._rebuild_sparse_tensor; save the model as plain float32, float16 or bfloat16 tensors",
		"no_tensors.pt":    "it has no tensors by name; its keys are \"epoch\", \"lr\"; save model.state_dict() instead",
		"compressed.pt":    "member \"tiny/data.pkl\" is compressed or encrypted, which torch.save never does; " + remedy,
		"everything_2.pkl": "it is not a file of torch.save: neither a zip archive, which starts with \"PK\", nor the form before PyTorch 1.6",
	} {
		_, err := OpenTorch("testdata/" + name)
		if err == nil || !strings.HasSuffix(err.Error(), want) || !strings.HasPrefix(err.Error(), "testdata/"+name) {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
		}
	}
	var refused *RefusedError
	if _, err := OpenTorch("testdata/evil.pt"); !errors.As(err, &refused) || refused.Name != "posix.system" {
		t.Error(err)
	}
	if _, err := os.Stat("pwned"); err == nil {
		t.Fatal("a pickle was run")
	}
	c, err := OpenTorch("testdata/complex.pt")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	x, _ := c.Lookup("w")
	if _, err := x.F32(); err == nil || !strings.Contains(err.Error(), "elements of type c64 have no float32 value here; convert the checkpoint to float32 first") {
		t.Error(err)
	}
	if _, err := OpenTorch("testdata"); err == nil || err.Error() != "testdata: it is not a regular file; give the file itself" {
		t.Error(err)
	}
	if _, err := OpenTorch("testdata/none.pt"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// member is one file of an archive.
type member struct{ name, data string }

// archive makes what torch.save would, stored and with offsets of its own.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(m.data)),
			CompressedSize64: uint64(len(m.data)), UncompressedSize64: uint64(len(m.data))}
		f, err := w.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func torchBytes(data []byte) (*checkpoint.Checkpoint, error) {
	f := &TorchFile{Path: "f", file: bytes.NewReader(data), closer: io.NopCloser(nil), storage: make(map[string]extent)}
	if err := f.load(int64(len(data))); err != nil {
		return nil, err
	}
	c := checkpoint.New("torch", "f", f)
	if err := f.stateDict(c); err != nil {
		return nil, err
	}
	checkpointtest.Drain(c)
	return c, nil
}

// The pieces of a state dict {"w": tensor} as torch pickles it.
const (
	storage = "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
	rest    = "\x89ccollections\nOrderedDict\n)R"
)

// tensor pickles {"w": _rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())}.
func tensor(args string) string {
	return "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(" + args + "tRs."
}

func TestTorchMalformed(t *testing.T) {
	good := tensor(storage + "K\x00K\x02K\x03\x86K\x03K\x01\x86" + rest)
	data := member{"a/data/0", strings.Repeat("\x00\x00\x80\x3f", 6)}
	file := func(pickle string) []byte { return archive(t, member{"a/data.pkl", pickle}, data) }
	if c, err := torchBytes(file(good)); err != nil {
		t.Fatal(err)
	} else if x, _ := c.Lookup("w"); x.Rows() != 2 || x.Cols() != 3 || x.Offset == 0 {
		t.Fatal("w is", x)
	}
	change := func(old, new string) []byte {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q", old)
		}
		return file(strings.Replace(good, old, new, 1))
	}
	bigMember := file(good)
	central := bytes.Index(bigMember, []byte("PK\x01\x02"))
	second := central + bytes.Index(bigMember[central+4:], []byte("PK\x01\x02")) + 4
	huge := append([]byte(nil), bigMember...)
	for i := range 8 { // both sizes of the second member
		huge[second+20+i] = 0x70
	}
	lost := append([]byte(nil), bigMember...)
	copy(lost[second+42:], "\xff\xff\x00\x00") // offset of its local header
	damaged := append([]byte(nil), bigMember...)
	damaged[bytes.Index(damaged, []byte("FloatStorage"))] = 'B'

	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "f: byte 0: it is empty; download it again"},
		{"LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00"), "f: byte 0: it is a Git LFS pointer, not the model itself; run git lfs pull"},
		{"text", []byte("<html>"), "f: byte 0: it is not a file of torch.save: neither a zip archive, which starts with \"PK\", nor the form before PyTorch 1.6"},
		{"tar", []byte(strings.Repeat("\x00", 257) + "ustar" + strings.Repeat("\x00", 300)), "f: byte 0: it is a tar archive, the oldest form of torch.save, which is not read; open it with the PyTorch of its time, and save it again with a newer one"},
		{"cut", bigMember[:central], "f: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download or save it again"},
		{"other zip", archive(t, member{"readme", "x"}), "f: the zip archive has no data.pkl: not a file of torch.save"},
		{"deep pickle", archive(t, member{"a/b/data.pkl", good}), "f: the zip archive has no data.pkl: not a file of torch.save"},
		{"two pickles", archive(t, member{"a/data.pkl", good}, member{"b/data.pkl", good}), "f: the archive has two pickles, \"a/data.pkl\" and \"b/data.pkl\""},
		{"storage twice", archive(t, member{"a/data.pkl", good}, data, data), "f: byte 278: the archive has member \"a/data/0\" twice"},
		{"big-endian", archive(t, member{"a/data.pkl", good}, data, member{"a/byteorder", "big"}), "f: byte 281: its numbers are big-endian; re-save it on a little-endian machine"},
		{"byteorder", archive(t, member{"a/data.pkl", good}, data, member{"a/byteorder", "middle"}), "f: byte 281: byteorder is \"middle\" where little or big was expected"},
		{"TorchScript", archive(t, member{"a/data.pkl", good}, member{"a/constants.pkl", "x"}), "f: byte 223: it is a TorchScript archive (torch.jit.save), a program rather than weights; save model.state_dict() with torch.save instead"},
		{"member too large", huge, "f: byte 216: member \"a/data/0\" claims 1886417008 bytes, more than the file has; download it again"},
		{"member lost", lost, "f: member \"a/data/0\" cannot be found: EOF; download it again"},
		{"bad CRC", damaged, "f: byte 40: member \"a/data.pkl\" is damaged: zip: checksum error; download it again"},
		{"bytes behind", file(good + "x"), "f: byte 178: a/data.pkl has 1 bytes after the end of its pickle"},
		{"no pickle", file(""), "f: byte 40: a/data.pkl is damaged: byte 0 of the pickle: the pickle ends early, at byte 0"},
		{"not a dict", file("\x80\x02K\x01."), "f: byte 40: it holds an int where a dictionary of tensors was expected; save model.state_dict() instead: torch.save(model.state_dict(), 'OUT')"},
		{"empty dict", file("}."), "f: byte 40: it has no tensors by name; its keys are none; save model.state_dict() instead"},
		{"dict in itself", file("}q\x00X\x05\x00\x00\x00modelh\x00s."), "f: byte 40: it has no tensors by name; its keys are \"model\"; save model.state_dict() instead"},
		{"parameter in itself", file("}X\x01\x00\x00\x00wctorch._utils\n_rebuild_parameter\n]\x85Rs."), "f: tensor \"w\": byte 40: a list where a tensor was expected"},
		{"parameter of nothing", file("}X\x01\x00\x00\x00wctorch._utils\n_rebuild_parameter\n)Rs."), "f: tensor \"w\": byte 40: a parameter without a tensor"},
		{"name", change("X\x01\x00\x00\x00w", "K\x01"), "f: byte 40: the name of a tensor is an int"},
		{"name twice", file(good[:len(good)-1] + good[3:]), "f: tensor \"w\": byte 350: the name occurs twice; save or download the checkpoint again"},
		{"arguments", file(tensor(storage)), "f: tensor \"w\": byte 40: torch._utils._rebuild_tensor_v2 has 1 arguments"},
		{"no storage", file(tensor("NK\x00K\x02K\x03\x86K\x03K\x01\x86" + rest)), "f: tensor \"w\": byte 40: None where a storage was expected"},
		{"storage id", change("X\x07\x00\x00\x00storage", "X\x07\x00\x00\x00module_"), "f: tensor \"w\": byte 40: the id of its storage is not (\"storage\", type, key, location, size)"},
		{"storage id is a list", change("K\x06tQ", "K\x06lQ"), "f: tensor \"w\": byte 40: the id of its storage is not (\"storage\", type, key, location, size)"},
		{"storage size", change("K\x06tQ", "J\xff\xff\xff\xfftQ"), "f: tensor \"w\": byte 40: the id of its storage is not (\"storage\", type, key, location, size)"},
		{"storage type", change("FloatStorage", "OddStorage"), "f: tensor \"w\": byte 40: its storage is a torch.OddStorage, which is not known"},
		{"untyped", change("FloatStorage", "UntypedStorage"), "f: tensor \"w\": byte 40: its storage does not say of what type its elements are"},
		{"key", change("X\x01\x00\x00\x000", "X\x01\x00\x00\x001"), "f: tensor \"w\": byte 40: its data, member \"data/1\", is not in the file"},
		{"storage too short", change("K\x06tQ", "K\x07tQ"), "f: tensor \"w\": byte 40: its storage has 7 elements of 4 bytes, but member \"data/0\" has 24 bytes"},
		{"member longer than its storage", change("K\x06tQ", "K\x05tQ"), "f: tensor \"w\": byte 216: shape [2 3] of f32 needs 24 bytes but only 20 are there"},
		{"offset", change("K\x00K\x02", "K\x07K\x02"), "f: tensor \"w\": byte 40: it starts at element 7 of a storage of 6"},
		{"negative offset", change("K\x00K\x02", "J\xff\xff\xff\xffK\x02"), "f: tensor \"w\": byte 40: it starts at element -1 of a storage of 6"},
		{"size", change("K\x02K\x03\x86", "N"), "f: tensor \"w\": byte 40: its size is None where a short tuple of integers was expected"},
		{"negative size", change("K\x02K\x03\x86", "J\xff\xff\xff\xffK\x03\x86"), "f: tensor \"w\": byte 40: its size has an int where an integer from 0 was expected"},
		{"stride", change("K\x03K\x01\x86", "K\x03G\x3f\xf0\x00\x00\x00\x00\x00\x00\x86"), "f: tensor \"w\": byte 40: its stride has a float where an integer from 0 was expected"},
		{"one stride", change("K\x03K\x01\x86", "K\x03\x85"), "f: tensor \"w\": byte 214: 1 strides for 2 dimensions"},
		{"too large", change("K\x02K\x03\x86", "K\x03K\x03\x86"), "f: tensor \"w\": byte 216: shape [3 3] of f32 needs 36 bytes but only 24 are there"},
		{"product overflows", change("K\x02K\x03\x86K\x03K\x01\x86", strings.Repeat("J\xff\xff\xff\x7f", 3)+"\x87K\x03K\x01K\x01\x87"), "f: tensor \"w\": byte 229: shape [2147483647 2147483647 2147483647] has more elements than this machine can count"},
		{"2^100", change("K\x02K\x03\x86", "\x8a\x0d"+strings.Repeat("\x00", 12)+"\x10K\x03\x86"), "f: tensor \"w\": byte 40: its size has an int where an integer from 0 was expected"},
		{"expanded", change("K\x02K\x03\x86K\x03K\x01\x86", "J\x00\x00\x00\x01K\x03\x86K\x00K\x01\x86"), "f: tensor \"w\": byte 219: shape [16777216 3] has 50331648 elements on 3 stored ones"},
		{"metadata", change(rest, rest+"}X\x03\x00\x00\x00neg\x88s"), "f: tensor \"w\": byte 40: it is a conjugated or negated view, or carries other metadata"},
		{"v3", file("}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v3\n(" + strings.Replace(storage, "FloatStorage", "UntypedStorage", 1) + "K\x00K\x01\x85K\x01\x85" + rest + "ctorch\nodd\ntRs."), "f: tensor \"w\": byte 40: its type is torch.odd, which is not known"},
	} {
		_, err := torchBytes(c.data)
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestTorchSpoiled(t *testing.T) {
	data, err := os.ReadFile("testdata/tiny.pt")
	if err != nil {
		t.Fatal(err)
	}
	checkpointtest.Spoil(t, data, len(data), func(data []byte) error { _, err := torchBytes(data); return err })
}

// TestLateChange cuts the file after it was opened.
func TestLateChange(t *testing.T) {
	data, err := os.ReadFile("testdata/tiny.pt")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.pt")
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	c, err := OpenTorch(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Truncate(path, 100); err != nil {
		t.Skip("an open file cannot be cut here:", err)
	}
	x, _ := c.Lookup("w")
	want := fmt.Sprintf("%s: tensor \"w\": byte %d: the file has become shorter since it was opened; do not change it while it is converted", path, x.Offset)
	if _, err := x.F32(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func FuzzTorch(f *testing.F) {
	for _, name := range []string{"tiny", "views", "nested", "evil", "tiny_legacy", "views_legacy", "types_legacy"} {
		data, err := os.ReadFile("testdata/" + name + ".pt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _, _ = torchBytes(data) })
	})
}

// FuzzState fuzzes the pickle inside a sound archive, which mutation of the archive would seldom leave sound.
func FuzzState(f *testing.F) {
	f.Add([]byte(tensor(storage + "K\x00K\x02K\x03\x86K\x03K\x01\x86" + rest)))
	f.Fuzz(func(t *testing.T, pickle []byte) {
		data := archive(t, member{"a/data.pkl", string(pickle)}, member{"a/data/0", strings.Repeat("\x00\x00\x80\x3f", 6)})
		fuzztest.Bounded(t, len(data), func() { _, _ = torchBytes(data) })
	})
}

// TestTorchHostile: megabytes of the smallest members and tensors stay within the bound that fuzzing holds small files to.
func TestTorchHostile(t *testing.T) {
	const n = maxTensors - 1
	names := func(each func(i int) string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "U\x04%c%c%c%c%s", 'a'+i>>12, 'a'+i>>8&15, 'a'+i>>4&15, 'a'+i&15, each(i))
		}
		return b.String()
	}
	one := tensor(storage + "K\x00K\x02K\x03\x86K\x03K\x01\x86" + rest)
	at := strings.LastIndex(one, "s.")
	var members []member
	for i := range n {
		members = append(members, member{fmt.Sprintf("a/data/%x", i), ""})
	}
	for name, data := range map[string][]byte{
		"names of a tensor": archive(t, member{"a/data.pkl", one[:at] + "q\xffs(" + names(func(int) string { return "h\xff" }) + "u."}, member{"a/data/0", strings.Repeat("\x00\x00\x80\x3f", 6)}),
		"members":           archive(t, append(members, member{"a/data.pkl", one})...),
	} {
		t.Run(name, func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() {
				_, err := torchBytes(data)
				t.Log(len(data), err)
			})
		})
	}
}
