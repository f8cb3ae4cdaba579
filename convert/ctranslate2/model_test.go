package ctranslate2

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// TestTypes reads what CTranslate2 4.8.5 wrote and loaded, in each of its quantizations.
func TestTypes(t *testing.T) {
	for folder, dtype := range map[string]string{"float32": checkpoint.F32, "int8": checkpoint.I8, "int16": checkpoint.I16,
		"float16": checkpoint.F16, "bfloat16": checkpoint.BF16} {
		m, err := OpenModel("testdata/" + folder)
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		checkpointtest.Compare(t, m.Checkpoint, "testdata/"+folder+"/values.json")
		if m.BinaryVersion != 6 || m.Spec != "TransformerSpec" || m.Revision != 7 {
			t.Error(folder, m.BinaryVersion, m.Spec, m.Revision)
		}
		w, _ := m.Lookup("encoder/layer_0/ffn/linear_0/weight")
		if w.DType != dtype || w.Rows() != 12 || w.Cols() != 8 {
			t.Errorf("%s: %s %v", folder, w.DType, w.Shape)
		}
		heads, err1 := m.Int("decoder/num_heads", 0)
		norm, err2 := m.Flag("encoder/pre_norm", false)
		act, err3 := m.Int("encoder/activation", 0)
		none, err4 := m.Int("none", -7)
		if heads != 2 || !norm || act != 2 || none != -7 || errors.Join(err1, err2, err3, err4) != nil {
			t.Error(folder, heads, norm, act, none, err1, err2, err3, err4)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestInt8 takes int8 rows and their scales as they are, and through an alias.
func TestInt8(t *testing.T) {
	m, err := OpenModel("testdata/int8")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w, _ := m.Lookup("decoder/projection/weight")
	e, _ := m.Lookup("encoder/embeddings_0/weight")
	d, _ := m.Lookup("decoder/embeddings/weight")
	if w != d || w != e {
		t.Error("the aliases are not one tensor")
	}
	q := make([]int8, 3*8)
	if err := w.ReadI8(q, 2, 3); err != nil {
		t.Fatal(err)
	}
	scale := make([]float32, 3)
	if err := w.ReadScale(scale, 2, 3); err != nil {
		t.Fatal(err)
	}
	real := make([]float32, 3*8)
	if err := w.ReadF32(real, 2, 3); err != nil {
		t.Fatal(err)
	}
	largest := 0
	for i, v := range q {
		if real[i] != float32(v)*scale[i/8] {
			t.Errorf("element %d: %v is not %v * %v", i, real[i], v, scale[i/8])
		}
		largest = max(largest, int(v), -int(v))
	}
	if largest != 127 {
		t.Error("the largest int8 is", largest)
	}
	if s, ok := m.Lookup("decoder/projection/weight_scale"); !ok || s != w.Scale {
		t.Error("the scale has no alias")
	}
}

func TestConfig(t *testing.T) {
	for folder, want := range map[string]Config{
		"float32": {UnkToken: "<unk>", BOSToken: "<s>", EOSToken: "</s>", DecoderStartToken: "</s>", AddSourceEOS: true},
		"int8":    {UnkToken: "<unk>", BOSToken: "<s>", EOSToken: "</s>", DecoderStartToken: "<s>", LayerNormEpsilon: 1e-6},
		"float16": {UnkToken: "<unk>", BOSToken: "<s>", EOSToken: "</s>"},
	} {
		m, err := OpenModel("testdata/" + folder)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		got := m.Config
		if a, b := mustJSON(got), mustJSON(want); a != b {
			t.Errorf("%s:\ngot  %s\nwant %s", folder, a, b)
		}
		if shared := folder != "float32"; m.Shared != shared || (m.Source[0] == m.Target) != shared {
			t.Errorf("%s: shared is %v", folder, m.Shared)
		}
		if got := strings.Join(m.Source[0].Tokens, "|"); got != "<unk>|<s>|</s>|a|b|c\r|名" {
			t.Errorf("%s: %q", folder, got)
		}
	}
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestReal opens a model of binary version 2, trained and shipped.
func TestReal(t *testing.T) {
	m, err := OpenModel("../testdata/aren-transliteration")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.BinaryVersion != 2 || m.Spec != "TransformerBase" || m.Revision != 2 || len(m.Names()) != 201 {
		t.Error(m.BinaryVersion, m.Spec, m.Revision, len(m.Names()))
	}
	source, target := m.Source[0], m.Target
	if len(source.Tokens) != 51 || len(target.Tokens) != 43 || !source.Added || source.Unk != 50 || target.Unk != 42 || source.Tokens[0] != "<blank>" {
		t.Error(len(source.Tokens), len(target.Tokens), source.Added, source.Unk, target.Unk)
	}
	for _, c := range []struct {
		name       string
		rows, cols int
	}{{"encoder/embeddings/weight", 51, 32}, {"decoder/embeddings/weight", 43, 32}, {"decoder/projection/weight", 43, 32}, {"encoder/layer_5/ffn/linear_0/weight", 128, 32}} {
		if x, ok := m.Lookup(c.name); !ok || x.Rows() != c.rows || x.Cols() != c.cols {
			t.Error(c.name, ok, x)
		}
	}
	if heads, err := m.Int("encoder/num_heads", 0); heads != 8 || err != nil {
		t.Error("heads", heads, err) // that is what the name TransformerBase means
	}
	if m.Config.DecoderStartToken != "<s>" || m.Config.AddSourceBOS || m.Config.AddSourceEOS {
		t.Error(m.Config)
	}
	x, _ := m.Lookup("decoder/embeddings/weight")
	row := make([]float32, 32)
	if err := x.ReadF32(row, 0, 1); err != nil || row[0] != math.Float32frombits(0x3e1afa70) {
		t.Error(row[0], err)
	}
}

// variable is what a binary of any version is built from.
type variable struct {
	name  string
	shape []uint32
	dtype byte // as versions 4 to 6 number them
	data  []byte
}

var itemSizes = []byte{4, 1, 2, 4, 2, 2}

func text(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s)+1))
	return append(append(b, s...), 0)
}

// build writes model.bin as each version of CTranslate2 has.
func build(version uint32, spec string, revision uint32, variables []variable, aliases ...[2]string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, version)
	if version >= 2 {
		b = le.AppendUint32(text(b, spec), revision)
	}
	b = le.AppendUint32(b, uint32(len(variables)))
	for _, v := range variables {
		b = append(text(b, v.name), byte(len(v.shape)))
		for _, d := range v.shape {
			b = le.AppendUint32(b, d)
		}
		if version >= 4 {
			b = le.AppendUint32(append(b, v.dtype), uint32(len(v.data)))
		} else {
			size := itemSizes[v.dtype]
			b = le.AppendUint32(append(b, size), uint32(len(v.data)/int(size)))
		}
		b = append(b, v.data...)
	}
	if version >= 3 {
		b = le.AppendUint32(b, uint32(len(aliases)))
		for _, a := range aliases {
			b = text(text(b, a[0]), a[1])
		}
	}
	return b
}

func floats(values ...float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// folder writes model.bin and other files, given as name and content by turns.
func folder(t testing.TB, model []byte, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	files = append(files, "model.bin", string(model))
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestVersions writes the same facts in all six versions.
func TestVersions(t *testing.T) {
	variables := []variable{
		{"encoder/a/weight", []uint32{2, 3}, 0, floats(1, 2, 3, 4, 5, 6)},
		{"encoder/b/weight", []uint32{2, 2}, 1, []byte{1, 0xff, 127, 0x81}},
		{"encoder/b/weight_scale", []uint32{2}, 0, floats(2, 4)},
		{"encoder/c/weight", []uint32{1, 2}, 2, []byte{0xe8, 3, 0x18, 0xfc}}, // without a scale: 1000
		{"num_heads", nil, 1, []byte{4}},
		{"with_source_eos", nil, 1, []byte{1}},
		{"with_target_bos", nil, 1, []byte{0}},
		{"unk_token", []uint32{3}, 1, []byte("UNK")},
	}
	for version := uint32(1); version <= 6; version++ {
		revision := uint32(4)
		if version == 1 {
			revision = 1
		}
		model := build(version, "TransformerSpec", revision, variables, [2]string{"tied", "encoder/b/weight"}, [2]string{"again", "tied"})
		m, err := OpenModel(folder(t, model, "shared_vocabulary.txt", "<s>\n</s>\na\n", "config.json", `{"unk_token": "<u>", "decoder_start_token": "a"}`))
		if err != nil {
			t.Errorf("version %d: %v", version, err)
			continue
		}
		defer m.Close()
		for name, want := range map[string][]float32{"encoder/a/weight": {1, 2, 3, 4, 5, 6}, "encoder/b/weight": {.5, -.5, 31.75, -31.75},
			"encoder/c/weight": {1000 * float32(1.0/1000), -1000 * float32(1.0/1000)}, "tied": {.5, -.5, 31.75, -31.75}, "again_scale": {2, 4}} {
			x, ok := m.Lookup(name)
			if !ok {
				if version >= 3 || !strings.HasPrefix(name, "tied") && !strings.HasPrefix(name, "again") {
					t.Errorf("version %d: no %s", version, name)
				}
				continue
			}
			got, err := x.F32()
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("version %d: %s is %v, want %v", version, name, got, want)
					break
				}
			}
		}
		if heads, err := m.Int("decoder/num_heads", 0); err != nil || heads != 4 {
			t.Errorf("version %d: %d heads, %v", version, heads, err)
		}
		unk, start, eos := "UNK", "</s>", true
		if version == 6 {
			unk, start, eos = "<u>", "a", false
		}
		if c := m.Config; c.UnkToken != unk || c.DecoderStartToken != start || c.AddSourceEOS != eos || m.Target.Tokens[m.Target.Unk] != unk || m.Target.Unk != 3 {
			t.Errorf("version %d: %+v, unknown token %d", version, c, m.Target.Unk)
		}
	}
}

// TestFirstNames has the names that revision 1 took from OpenNMT-tf.
func TestFirstNames(t *testing.T) {
	for old, want := range map[string]string{
		"transformer/encoder/w_embs:0":                                  "encoder/embeddings/weight",
		"transformer/encoder/layer_3/multi_head/conv1d/kernel:0":        "encoder/layer_3/self_attention/linear_0/weight",
		"transformer/decoder/layer_3/masked_multi_head/conv1d_1/bias:0": "decoder/layer_3/self_attention/linear_1/bias",
		"transformer/decoder/layer_3/multi_head/LayerNorm/gamma:0":      "decoder/layer_3/attention/layer_norm/gamma",
		"transformer/decoder/dense/kernel:0":                            "decoder/projection/weight",
		"transformer/decoder/layer_0/multi_head/conv1d_2/kernel_scale":  "decoder/layer_0/attention/linear_2/weight_scale",
	} {
		if got := firstNames(old); got != want {
			t.Errorf("%s: %s, want %s", old, got, want)
		}
	}
}

func TestVocabulary(t *testing.T) {
	model := build(2, "TransformerSpec", 4, nil)
	for _, c := range []struct {
		name   string
		files  []string
		tokens string // of the source, joined
		unk    int
	}{
		{"no final newline", []string{"shared_vocabulary.txt", "a\nb"}, "a|b|<unk>", 2},
		{"all lines with CR", []string{"shared_vocabulary.txt", "a\r\n<unk>\r\n"}, "a|<unk>", 1},
		{"a token with CR", []string{"shared_vocabulary.txt", "a\r\n<unk>\nb\r\n"}, "a\r|<unk>|b\r", 1},
		{"an empty line", []string{"shared_vocabulary.txt", "a\n\nb\n"}, "a||b|<unk>", 3},
		{"empty", []string{"shared_vocabulary.txt", ""}, "<unk>", 0},
		{"twice", []string{"shared_vocabulary.txt", "a\n<unk>\na\n<unk>\n"}, "a|<unk>|a|<unk>", 1},
		{"JSON first", []string{"shared_vocabulary.txt", "a\n", "shared_vocabulary.json", `["x\n", "<unk>", "é"]`}, "x\n|<unk>|é", 1},
		{"shared first", []string{"shared_vocabulary.txt", "a\n", "source_vocabulary.txt", "b\n", "target_vocabulary.txt", "c\n"}, "a|<unk>", 1},
		{"two", []string{"source_vocabulary.txt", "b\n", "target_vocabulary.txt", "c\n"}, "b|<unk>", 1},
		{"features", []string{"source_1_vocabulary.txt", "b\n", "source_2_vocabulary.txt", "d\n", "target_vocabulary.txt", "c\n"}, "b|<unk>", 1},
		{"language model", []string{"vocabulary.txt", "<unk>\na\n"}, "<unk>|a", 0},
	} {
		m, err := OpenModel(folder(t, model, c.files...))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		defer m.Close()
		if got := strings.Join(m.Source[0].Tokens, "|"); got != c.tokens || m.Source[0].Unk != c.unk {
			t.Errorf("%s: %q, unknown %d; want %q, %d", c.name, got, m.Source[0].Unk, c.tokens, c.unk)
		}
		if c.name == "features" && len(m.Source) != 2 {
			t.Error(c.name, len(m.Source))
		}
	}
	for _, c := range []struct {
		files []string
		want  string // behind the folder
	}{
		{nil, ": neither shared_vocabulary nor target_vocabulary (.json or .txt) is there; copy the whole folder"},
		{[]string{"target_vocabulary.txt", "a"}, ": neither shared_vocabulary nor source_vocabulary (.json or .txt) is there; copy the whole folder"},
		{[]string{"shared_vocabulary.json", "{}"}, "/shared_vocabulary.json: byte 1: an object where an array was expected; download or write it again"},
		{[]string{"shared_vocabulary.json", "null"}, "/shared_vocabulary.json: null where an array of tokens was expected; download or convert it again"},
		{[]string{"shared_vocabulary.json", "[null]"}, "/shared_vocabulary.json: token 0 is null; download or convert it again"},
		{[]string{"shared_vocabulary.json", "[\"\xff\"]"}, "/shared_vocabulary.json: byte 2: the JSON is not UTF-8; download or write it again"},
		{[]string{"shared_vocabulary.txt", strings.Repeat("\n", 1<<18)}, "/shared_vocabulary.txt: 262144 tokens in 262144 bytes: most of them are empty; download or convert it again"},
		{[]string{"config.json", "[]"}, "/config.json: byte 1: an array where an object was expected; download or write it again"},
		{[]string{"config.json", `{"layer_norm_epsilon": "x"}`}, "/config.json: byte 26: layer_norm_epsilon is a string where a number was expected; download or write it again"},
		{[]string{"config.json", ""}, "/config.json: byte 0: the JSON ends early; download or write it again"},
		{[]string{"config.json", `{"unk_token": 1}`}, "/config.json: byte 15: unk_token is a number where a string was expected; download or write it again"},
		{[]string{"config.json", `{"add_source_bos": "true"}`}, "/config.json: byte 25: add_source_bos is a string where true or false was expected; download or write it again"},
		{[]string{"config.json", `{"quantization_type": 0.5}`}, "/config.json: byte 25: quantization_type is 0.5 where a whole number was expected; download or write it again"},
		{[]string{"config.json", `{"layer_norm_epsilon": 1e99}`}, "/config.json: byte 27: layer_norm_epsilon is 1e99 where a number was expected; download or write it again"},
		{[]string{"config.json", `{"a": 1} {}`}, "/config.json: byte 9: this is not JSON: invalid character '{' after top-level value; download or write it again"},
		{[]string{"config.json", "{\"unk_token\": \"\xff\"}"}, "/config.json: byte 15: the JSON is not UTF-8; download or write it again"},
		{[]string{"config.json", strings.Repeat(" ", maxConfig) + "{}"}, "/config.json: 4194306 bytes where a regular file of at most 4194304 was expected; download or convert it again"},
		{[]string{"shared_vocabulary.json", ""}, "/shared_vocabulary.json: byte 0: the JSON ends early; download or write it again"},
		{[]string{"shared_vocabulary.json", `["a", "b"`}, "/shared_vocabulary.json: byte 9: the JSON ends early; download or write it again"},
		{[]string{"shared_vocabulary.json", `["a",, "b"]`}, "/shared_vocabulary.json: byte 5: this is not JSON: invalid character ',' looking for beginning of value; download or write it again"},
		{[]string{"shared_vocabulary.json", `["a", 1]`}, "/shared_vocabulary.json: byte 7: a number where a string was expected; download or write it again"},
		{[]string{"shared_vocabulary.json", `["a", ["b"]]`}, "/shared_vocabulary.json: byte 7: an array where a string was expected; download or write it again"},
		{[]string{"shared_vocabulary.json", `["a"]]`}, "/shared_vocabulary.json: byte 5: this is not JSON: invalid character ']' after top-level value; download or write it again"},
		{[]string{"shared_vocabulary.json", "a\nb\n"}, "/shared_vocabulary.json: byte 0: this is not JSON: invalid character 'a' looking for beginning of value; download or write it again"},
		{[]string{"shared_vocabulary.json", "[" + strings.Repeat(",", 1<<18) + "]"}, "/shared_vocabulary.json: 262144 tokens in 262146 bytes: most of them are empty; download or convert it again"},
		{[]string{"shared_vocabulary.json", strings.Repeat("[", 1<<15)}, "/shared_vocabulary.json: byte 10000: this is not JSON: invalid character '[' exceeded max depth; download or write it again"},
		{[]string{"vocabulary.json", "{}"}, "/vocabulary.json: byte 1: an object where an array was expected; download or write it again"},
		{[]string{"source_vocabulary.json", "1", "target_vocabulary.txt", "a"}, "/source_vocabulary.json: byte 1: a number where an array was expected; download or write it again"},
		{[]string{"source_vocabulary.txt", "a", "target_vocabulary.json", `"a"`}, "/target_vocabulary.json: byte 3: a string where an array was expected; download or write it again"},
		{[]string{"source_1_vocabulary.txt", "a", "source_2_vocabulary.json", "{}", "target_vocabulary.txt", "a"}, "/source_2_vocabulary.json: byte 1: an object where an array was expected; download or write it again"},
	} {
		dir := folder(t, model, c.files...)
		_, err := OpenModel(dir)
		if want := dir + filepath.FromSlash(c.want); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	dir := folder(t, build(6, "TransformerSpec", 7, nil), "shared_vocabulary.txt", "a")
	if _, err := OpenModel(dir); err == nil || err.Error() != filepath.Join(dir, "config.json")+": it is missing, and this version of the format needs it; copy the whole folder" {
		t.Error(err)
	}
}

func openBytes(data []byte) error {
	m := &Model{Checkpoint: checkpoint.New("ctranslate2", "f")}
	err := m.readVariables(bytes.NewReader(data), "f", int64(len(data)))
	if err == nil {
		err = m.fillIn("f")
	}
	if err == nil {
		err = m.attachScales("f")
	}
	if err == nil {
		checkpointtest.Drain(m.Checkpoint)
	}
	return err
}

func TestMalformed(t *testing.T) {
	a := variable{"a", []uint32{2}, 0, floats(1, 2)}
	with := func(b []byte, at int, new string) []byte {
		b = append([]byte(nil), b...)
		copy(b[at:], new)
		return b
	}
	good := build(6, "X", 1, []variable{a}, [2]string{"b", "a"}) // version 4, "X" 4, revision 4, count 4, at 16: "a" 4, rank 1, 4, type 1, 4, 8
	if err := openBytes(good); err != nil {
		t.Fatal(err)
	}
	q := variable{"w/weight", []uint32{2, 2}, 1, make([]byte, 4)}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "f: byte 0: the file ends inside the binary version; download or convert it again"},
		{"version 0", with(good, 0, "\x00"), "f: byte 0: binary version 0; 1 to 6 are known; give the folder of a CTranslate2 model"},
		{"version 7", with(good, 0, "\x07"), "f: byte 0: binary version 7; 1 to 6 are known; update edge-infer, or convert with an older CTranslate2"},
		{"zip", []byte("PK\x03\x04"), "f: byte 0: binary version 67324752; 1 to 6 are known; give the folder of a CTranslate2 model"},
		{"spec without NUL", with(good, 7, "X"), "f: byte 4: the name of the specification does not end with its only NUL; download or convert it again"},
		{"spec of length 0", with(good, 4, "\x00"), "f: byte 4: the name of the specification does not end with its only NUL; download or convert it again"},
		{"spec of length 65535", with(good, 4, "\xff\xff"), "f: byte 6: the file ends inside the name of the specification; download or convert it again"},
		{"revision", build(6, "TransformerSpec", 8, nil), "f: byte 26: revision 8 of TransformerSpec; up to 7 are known; update edge-infer, or convert with an older CTranslate2"},
		{"count too small", with(good, 12, "\x00"), "f: byte 22: the file ends inside the name of an alias; download or convert it again"},
		{"count too large", with(good, 12, "\x02"), "f: byte 47: shape [] of i16 is 2 bytes, but it claims 33579520; download or convert it again"},
		{"count of 2^32-1", with(good, 12, "\xff\xff\xff\xff"), "f: byte 47: shape [] of i16 is 2 bytes, but it claims 33579520; download or convert it again"},
		{"NUL in a name", build(6, "X", 1, []variable{{"a\x00b", nil, 1, []byte{1}}}), "f: byte 16: the name of a variable does not end with its only NUL; download or convert it again"},
		{"rank", with(good, 20, "\xff"), "f: tensor \"a\": byte 21: it has 255 dimensions, more than 64; download or convert it again"},
		{"dimension", with(good, 21, "\x03"), "f: tensor \"a\": byte 30: shape [3] of f32 is 12 bytes, but it claims 8; download or convert it again"},
		{"dimensions overflow", build(6, "X", 1, []variable{{"a", []uint32{0x7fffffff, 0x7fffffff, 0x7fffffff}, 0, nil}}), "f: tensor \"a\": byte 29: dimension 2147483647 is too large; download or convert it again"},
		{"type", with(good, 25, "\x06"), "f: tensor \"a\": byte 30: elements of type 6; 0 to 5 are known; convert it with --quantization int8 or float32"},
		{"size too small", with(good, 26, "\x04"), "f: tensor \"a\": byte 30: shape [2] of f32 is 8 bytes, but it claims 4; download or convert it again"},
		{"size beyond the end", build(6, "X", 1, []variable{{"a", []uint32{2}, 0, floats(1, 2)}})[:36], "f: tensor \"a\": byte 30: it claims 8 bytes where 6 are left: the file is cut short; download or convert it again"},
		{"item size", with(build(2, "X", 1, []variable{a}), 25, "\x03"), "f: tensor \"a\": byte 30: elements of 3 bytes; 1, 2 and 4 are known; download or convert it again"},
		{"name twice", build(6, "X", 1, []variable{a, a}), "f: tensor \"a\": byte 52: the name occurs twice; save or download the checkpoint again"},
		{"aliases missing", good[:38], "f: byte 38: the file ends inside the number of aliases; download or convert it again"},
		{"alias of nothing", build(6, "X", 1, []variable{a}, [2]string{"b", "c"}), "f: tensor \"b\": byte 50: it is an alias of \"c\", which is not there, or a name that is taken; download or convert it again"},
		{"alias taken", build(6, "X", 1, []variable{a}, [2]string{"a", "a"}), "f: tensor \"a\": byte 50: it is an alias of \"a\", which is not there, or a name that is taken; download or convert it again"},
		{"bytes behind", append(good[:len(good):len(good)], 0), "f: byte 50: 1 bytes follow the end of the model; download or convert it again"},
		{"no scale", build(6, "X", 1, []variable{q}), "f: tensor \"w/weight\": byte 41: it is int8, and w/weight_scale is missing; download or convert it again"},
		{"wrong number of scales", build(6, "X", 1, []variable{q, {"w/weight_scale", []uint32{3}, 0, floats(1, 1, 1)}}), "f: tensor \"w/weight\": byte 41: shape [2 2] but 3 scales; download or convert it again"},
		{"scale of integers", build(6, "X", 1, []variable{q, {"w/weight_scale", []uint32{2}, 1, []byte{1, 1}}}), "f: tensor \"w/weight\": byte 41: w/weight_scale is i8 where a float was expected; download or convert it again"},
		{"only the version", good[:4], "f: byte 4: the file ends inside the length of the name of the specification; download or convert it again"},
		{"only the specification", good[:8], "f: byte 8: the file ends inside the revision; download or convert it again"},
		{"cut in the revision", good[:10], "f: byte 8: the file ends inside the revision; download or convert it again"},
		{"cut in the count", good[:14], "f: byte 12: the file ends inside the number of variables; download or convert it again"},
		{"cut in the length of a name", good[:17], "f: byte 16: the file ends inside the length of the name of a variable; download or convert it again"},
		{"cut in a name", good[:18], "f: byte 18: the file ends inside the name of a variable; download or convert it again"},
		{"cut before the rank", good[:20], "f: byte 20: the file ends inside the rank of a; download or convert it again"},
		{"cut in a shape", good[:23], "f: byte 21: the file ends inside the shape of a; download or convert it again"},
		{"cut before the type", good[:25], "f: byte 25: the file ends inside the type of a; download or convert it again"},
		{"cut in the size", good[:28], "f: byte 26: the file ends inside the size of a; download or convert it again"},
		{"cut in the data", good[:37], `f: tensor "a": byte 30: it claims 8 bytes where 7 are left: the file is cut short; download or convert it again`},
		{"cut in an alias", good[:45], "f: byte 44: the file ends inside the name of an alias; download or convert it again"},
		{"cut in the variable of an alias", good[:49], "f: byte 48: the file ends inside the variable of an alias; download or convert it again"},
		{"2^32-1 aliases", with(good, 38, "\xff\xff\xff\xff"), "f: byte 50: the file ends inside the length of the name of an alias; download or convert it again"},
		{"no aliases, and one", with(good, 38, "\x00"), "f: byte 42: 8 bytes follow the end of the model; download or convert it again"},
		{"an alias without NUL", with(good, 45, "x"), "f: byte 42: the name of an alias does not end with its only NUL; download or convert it again"},
		{"scale of two dimensions", build(6, "X", 1, []variable{q, {"w/weight_scale", []uint32{2, 2}, 0, floats(1, 1, 1, 1)}}), `f: tensor "w/weight": byte 41: shape [2 2] but 4 scales; download or convert it again`},
		{"int32 weight", build(6, "X", 1, []variable{{"w/weight", []uint32{1}, 3, make([]byte, 4)}}), `f: tensor "w/weight": byte 37: it is packed by AWQ into 4 bits; convert the model with --quantization int8 or float32`},
		{"a weight with a zero point", build(6, "X", 1, []variable{q, {"w/weight_scale", []uint32{2}, 0, floats(1, 1)}, {"w/weight_zero", []uint32{2}, 0, floats(0, 0)}}), `f: tensor "w/weight": byte 41: it is packed by AWQ into 4 bits; convert the model with --quantization int8 or float32`},
		{"AWQ", build(6, "X", 1, []variable{{"w/weight", []uint32{1}, 3, make([]byte, 4)}}), "f: tensor \"w/weight\": byte 37: it is packed by AWQ into 4 bits; convert the model with --quantization int8 or float32"},
	} {
		err := openBytes(c.data)
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
	if _, err := OpenModel(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestScalarErrors(t *testing.T) {
	m := &Model{Checkpoint: checkpoint.New("ctranslate2", "f")}
	data := build(6, "X", 1, []variable{{"a", []uint32{2}, 0, floats(1, 2)}, {"f", nil, 0, floats(1.5)}})
	if err := m.readVariables(bytes.NewReader(data), "f", int64(len(data))); err != nil {
		t.Fatal(err)
	}
	_, err1 := m.Int("a", 0)
	_, err2 := m.Float("a", 0)
	_, err3 := m.Text("a", "")
	_, err4 := m.Flag("f", false)
	for i, want := range []string{"shape [2] where one integer was expected", "shape [2] where one number was expected",
		"elements are f32 where int8 was expected", "elements are f32 where an integer was expected"} {
		if err := []error{err1, err2, err3, err4}[i]; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if v, err := m.Float("f", 0); v != 1.5 || err != nil {
		t.Error(v, err)
	}
}

func TestSpoiled(t *testing.T) {
	small := build(6, "X", 1, []variable{{"w/weight", []uint32{2, 2}, 1, make([]byte, 4)}, {"w/weight_scale", []uint32{2}, 0, floats(1, 2)}, {"n", nil, 2, []byte{4, 0}}},
		[2]string{"b", "w/weight"})
	checkpointtest.Spoil(t, small, len(small), openBytes)
	checkpointtest.Spoil(t, build(2, "TransformerBase", 2, []variable{{"encoder/a", []uint32{3}, 0, floats(1, 2, 3)}}), 1<<10, openBytes)
	data, err := os.ReadFile("testdata/int8/model.bin")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(data); n += 41 {
		if openBytes(data[:n:n]) == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(data))
		}
	}
}

func TestMemory(t *testing.T) {
	var many []variable
	for i := range 1 << 14 {
		many = append(many, variable{name: string([]byte{byte(i>>12) + 32, byte(i>>6&63) + 32, byte(i&63) + 32}), dtype: 1, data: []byte{1}})
	}
	for _, data := range [][]byte{build(6, "X", 1, many), build(1, "", 1, many)} {
		fuzztest.Bounded(t, 4*len(data), func() { _ = openBytes(data) })
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"testdata/int8/model.bin", "testdata/int16/model.bin"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for version := uint32(1); version <= 6; version++ {
		f.Add(build(version, "TransformerBase", 1, []variable{{"w/weight", []uint32{2, 2}, 1, make([]byte, 4)}, {"w/weight_scale", []uint32{2}, 0, floats(1, 2)},
			{"transformer/encoder/kernel:0", []uint32{1}, 2, []byte{4, 0}}}, [2]string{"b", "w/weight"}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _ = openBytes(data) })
	})
}

// FuzzConfig opens a small model with any config.json and any vocabulary, of version 2, where the model speaks for itself, and 6.
func FuzzConfig(f *testing.F) {
	var models [][]byte
	for _, version := range []uint32{2, 6} {
		models = append(models, build(version, "TransformerSpec", 4, []variable{{"w/weight", []uint32{2, 2}, 1, make([]byte, 4)},
			{"w/weight_scale", []uint32{2}, 0, floats(1, 2)}, {"num_heads", nil, 1, []byte{4}}, {"unk_token", []uint32{3}, 1, []byte("UNK")}}))
	}
	f.Add([]byte(`{"unk_token": "<u>", "decoder_start_token": "a", "add_source_eos": true, "layer_norm_epsilon": 1e-6, "other": [1]}`), []byte(`["<s>", "</s>", "a"]`))
	f.Add([]byte(`{"layer_norm_epsilon": null, "quantization_type": 1}`), []byte("[]"))
	f.Fuzz(func(t *testing.T, config, vocabulary []byte) {
		for _, model := range models {
			files := fstest.MapFS{"model.bin": {Data: model}, "config.json": {Data: config}, "shared_vocabulary.json": {Data: vocabulary}}
			fuzztest.Bounded(t, len(model)+len(config)+len(vocabulary), func() { _, _ = Open(files, "f") })
		}
	})
}

func FuzzVocabulary(f *testing.F) {
	f.Add([]byte("a\r\nb\r\n"), false)
	f.Add([]byte(`["a", "\u00e9"]`), true)
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		fuzztest.Bounded(t, len(text), func() {
			if isJSON {
				_, _ = parseJSON("f", text)
			} else {
				_, _ = parseText("f", text)
			}
		})
	})
}

// TestRealInt8 compares the same model in int8 with its float32 original: no weight may be off by more than
// one step, for the CTranslate2 of then cut off where that of today rounds.
func TestRealInt8(t *testing.T) {
	m, err := OpenModel("../testdata/aren-transliteration-i8")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	original, err := OpenModel("../testdata/aren-transliteration")
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	quantized := 0
	for _, name := range original.Names() {
		o, _ := original.Lookup(name)
		x, ok := m.Lookup(name)
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		want, err1 := o.F32()
		got, err2 := x.F32()
		if err1 != nil || err2 != nil || len(got) != len(want) {
			t.Fatal(name, err1, err2, len(got), len(want))
		}
		step := make([]float32, x.Rows())
		if x.Scale != nil {
			quantized++
			if err := x.ReadScale(step, 0, len(step)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range want {
			if d := want[i] - got[i]; max(d, -d) > step[i/x.Cols()]*1.0001 {
				t.Fatalf("%s: element %d is %v, in float32 %v, step %v", name, i, got[i], want[i], step[i/x.Cols()])
			}
		}
	}
	if quantized != 69 { // 6 * 4 of the encoder, 6 * 7 of the decoder, two embeddings, the projection
		t.Error(quantized, "weights are int8")
	}
}
