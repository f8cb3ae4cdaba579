package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func TestTypes(t *testing.T) {
	c, err := Open("testdata/types.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	checkpointtest.Compare(t, c, "testdata/types.json")
	if c.Metadata["licence"] != "none" || c.Metadata["format"] != "pt" || len(c.Metadata) != 2 {
		t.Error("metadata", c.Metadata)
	}
	if x, _ := c.Lookup("large.int64"); x.DType != checkpoint.I64 {
		t.Error("large.int64 is", x.DType)
	}
}

func TestShards(t *testing.T) {
	c, err := Open("testdata/shards.safetensors.index.json")
	if err != nil {
		t.Fatal(err)
	}
	checkpointtest.Compare(t, c, "testdata/shards.json")
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	x, _ := c.Lookup("layer.4.weight")
	if _, err := x.F32(); !errors.Is(err, os.ErrClosed) {
		t.Error("a shard stayed open:", err)
	}
}

// file makes a safetensors file of a header and data, with the length that belongs to it.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func openBytes(data []byte) error {
	c := checkpoint.New("safetensors", "f")
	err := read(c, bytes.NewReader(data), "f", int64(len(data)))
	if err == nil {
		checkpointtest.Drain(c)
	}
	return err
}

// TestMalformed has every way in which a file can be wrong, and what is said of it.
func TestMalformed(t *testing.T) {
	length := func(n uint64, rest int) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, n), make([]byte, rest)...)
	}
	const a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	for _, c := range []struct {
		name string
		data []byte
		want string // behind "f: "
	}{
		{"empty", nil, "byte 0: 0 bytes are too few for a safetensors file, which starts with 8 bytes of header length; download or save it again"},
		{"2^60", length(1<<60, 100), "byte 0: the header claims 1152921504606846976 bytes but only 100 follow: not a safetensors file, or cut short; download or save it again"},
		{"2^64-1", length(1<<64-1, 100), "byte 0: the header claims 18446744073709551615 bytes but only 100 follow: not a safetensors file, or cut short; download or save it again"},
		{"no header", file("", 8), "byte 8: the header does not start with '{': not a safetensors file; download or save it again"},
		{"array", file("[]", 0), "byte 8: the header does not start with '{': not a safetensors file; download or save it again"},
		{"not UTF-8", file("{\"\xff\":1}", 0), "byte 8: the header is not UTF-8; download or save it again"},
		{"unclosed", file("{"+a, 8), "byte 61: the header's JSON ends early; download or save it again"},
		{"bad JSON", file("{"+a+";}", 8), "byte 61: the header is not JSON: invalid character ';' after object key:value pair; download or save it again"},
		{"text behind", file("{"+a+"} x", 8), "byte 62: text follows the end of the header's JSON; download or save it again"},
		{"twice", file("{"+a+","+a+"}", 8), "tensor \"a\": byte 65: the name occurs twice in the header; download or save it again"},
		{"twice by escape", file("{"+a+","+strings.Replace(a, "a", "\\u0061", 1)+"}", 8), "tensor \"a\": byte 70: the name occurs twice in the header; download or save it again"},
		{"entry is a number", file(`{"a":1}`, 0), "tensor \"a\": byte 14: 1 where an object was expected; download or save it again"},
		{"unknown field", file(`{"a":{"dtype":"F32","x":1}}`, 0), "tensor \"a\": byte 31: field \"x\" is not known; download or save it again"},
		{"field twice", file(`{"a":{"dtype":"F32","dtype":"F32"}}`, 0), "tensor \"a\": byte 35: dtype occurs twice; download or save it again"},
		{"no dtype", file(`{"a":{"shape":[2],"data_offsets":[0,8]}}`, 8), "tensor \"a\": byte 47: dtype is missing; download or save it again"},
		{"no shape", file(`{"a":{"dtype":"F32","data_offsets":[0,8]}}`, 8), "tensor \"a\": byte 49: shape is missing; download or save it again"},
		{"no offsets", file(`{"a":{"dtype":"F32","shape":[2]}}`, 8), "tensor \"a\": byte 40: data_offsets is missing; download or save it again"},
		{"dtype is null", file(`{"a":{"dtype":null}}`, 0), "tensor \"a\": byte 26: dtype is <nil> where a string was expected; download or save it again"},
		{"F4", file(`{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}`, 1), "tensor \"a\": byte 26: elements of type \"F4\" are not supported; save the model as float32, float16 or bfloat16"},
		{"shape is a number", file(`{"a":{"dtype":"F32","shape":2}}`, 0), "tensor \"a\": byte 37: shape is 2 where an array was expected; download or save it again"},
		{"negative", file(`{"a":{"dtype":"F32","shape":[-2]}}`, 0), "tensor \"a\": byte 39: shape has -2 where a whole number from 0 was expected; download or save it again"},
		{"fraction", file(`{"a":{"dtype":"F32","shape":[2.0]}}`, 0), "tensor \"a\": byte 40: shape has 2.0 where a whole number from 0 was expected; download or save it again"},
		{"2^64", file(`{"a":{"dtype":"F32","shape":[18446744073709551616]}}`, 0), "tensor \"a\": byte 57: shape has 18446744073709551616 where a whole number from 0 was expected; download or save it again"},
		{"2^63", file(`{"a":{"dtype":"F32","shape":[9223372036854775808]}}`, 0), "tensor \"a\": byte 57: dimension 9223372036854775808 is too large; download or save it again"},
		{"rank 65", file(`{"a":{"dtype":"F32","shape":[1`+strings.Repeat(",1", 64)+`]}}`, 0), "tensor \"a\": byte 166: shape has more than 64 numbers; download or save it again"},
		{"1 offset", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}`, 8), "tensor \"a\": byte 58: data_offsets has 1 numbers where 2 were expected; download or save it again"},
		{"3 offsets", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, 8), "tensor \"a\": byte 61: data_offsets has more than 2 numbers; download or save it again"},
		{"backwards", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "tensor \"a\": byte 70: data_offsets [8, 0] end before they start; download or save it again"},
		{"beyond", file("{"+a+"}", 7), "tensor \"a\": byte 62: data_offsets [0, 8] reach beyond the 7 bytes of data; download or save it again"},
		{"size", file(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}}`, 8), "tensor \"a\": byte 62: shape [2] of F16 is 4 bytes but data_offsets hold 8; download or save it again"},
		{"size, short", file(`{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,8]}}`, 8), "tensor \"a\": byte 62: shape [2] of f64 needs 16 bytes but only 8 are there"},
		{"product overflows", file(`{"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,8]}}`, 8), "tensor \"a\": byte 93: shape [2147483647 2147483647 2147483647] has more elements than this machine can count"},
		{"overlap", file("{"+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "tensor \"b\": byte 120: data_offsets [4, 12] overlap those of the tensor before; download or save it again"},
		{"same bytes", file("{"+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), "tensor \"b\": byte 115: data_offsets [0, 8] overlap those of the tensor before; download or save it again"},
		{"hole", file("{"+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[9,13]}}`, 13), "tensor \"b\": byte 125: no tensor owns bytes 8 to 9 of the data; download or save it again"},
		{"bytes behind", file("{"+a+"}", 9), "byte 70: no tensor owns the last 1 bytes; download or save it again"},
		{"metadata is text", file(`{"__metadata__":"x"}`, 0), "tensor \"__metadata__\": byte 27: x where an object was expected; download or save it again"},
		{"metadata of numbers", file(`{"__metadata__":{"x":1}}`, 0), "tensor \"__metadata__\": byte 30: x is 1 where a string was expected; download or save it again"},
		{"metadata key twice", file(`{"__metadata__":{"x":"1","x":"1"}}`, 0), "tensor \"__metadata__\": byte 36: the key \"x\" occurs twice; download or save it again"},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "tensor \"__metadata__\": byte 41: the name occurs twice in the header; download or save it again"},
	} {
		err := openBytes(c.data)
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || err.Error() != "f: "+c.want {
			t.Errorf("%s:\ngot  %v\nwant f: %s", c.name, err, c.want)
		}
	}
	big := length(maxHeader+1, 0)
	err := read(checkpoint.New("", "f"), sparse{big}, "f", maxHeader+100)
	if err == nil || err.Error() != "f: byte 0: the header claims 100000001 bytes; the format allows 100000000; download or save it again" {
		t.Error(err)
	}
}

// sparse is a large file of which only the start is there.
type sparse struct{ start []byte }

func (s sparse) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(s.start)) {
		copy(p, s.start[at:])
	}
	return len(p), nil
}

// TestAccepted has what the format allows though it looks odd.
func TestAccepted(t *testing.T) {
	for _, header := range []string{
		`{}`, `{}   `, "{ \n\t }", `{"__metadata__":{}}`,
		`{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},"b":{"shape":[],"data_offsets":[0,0],"dtype":"U8"}}`,
	} {
		err := openBytes(file(header, 0))
		if strings.Contains(header, `"b"`) { // a scalar has one element
			if err == nil || !strings.Contains(err.Error(), "needs 1 bytes but only 0 are there") {
				t.Error(err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
	if err := openBytes(file(`{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"e":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8)); err != nil {
		t.Error("tensors in another order than their data:", err)
	}
}

func TestIndexErrors(t *testing.T) {
	dir := t.TempDir()
	tiny, err := os.ReadFile("testdata/tiny.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "s.safetensors"), tiny, 0o666); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(dir, "i.json")
	for _, c := range []struct{ text, want string }{
		{`{`, `INDEX: byte 1: the JSON ends early; download or write it again`},
		{`{}`, `INDEX: the index has no weight_map; give the file of weights itself`},
		{`{"weight_map":{"w":"../s.safetensors"}}`, `INDEX: tensor "w": the shard "../s.safetensors" is not a plain file name; put all shards into the folder of the index`},
		{`{"weight_map":{"w":"/etc/passwd"}}`, `INDEX: tensor "w": the shard "/etc/passwd" is not a plain file name; put all shards into the folder of the index`},
		{`{"weight_map":{"w":"s.safetensors"}}`, `INDEX: tensor "b": it lies in s.safetensors, but the index has it in ""; download the index and the shards again`},
		{`{"weight_map":{"w":"s.safetensors","b":"s.safetensors","x":"s.safetensors"}}`, `INDEX: 1 tensors that the index has in s.safetensors are not there; download the index and the shards again`},
		{`{"weight_map":{"w":"i.json"}}`, `INDEX: byte 0: the header claims `},
	} {
		if err := os.WriteFile(index, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Open(index)
		if want := strings.Replace(c.want, "INDEX", index, 1); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if err := os.WriteFile(index, []byte(`{"weight_map":{"w":"missing.safetensors"}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(index); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(dir); err == nil || err.Error() != dir+": it is not a regular file; give the file itself" {
		t.Error(err)
	}
}

func TestSpoiled(t *testing.T) {
	data, err := os.ReadFile("testdata/tiny.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	checkpointtest.Spoil(t, data, len(data), openBytes)
}

// TestMemory opens headers made to cost much.
func TestMemory(t *testing.T) {
	var entries []string
	for i := range 8000 {
		entries = append(entries, fmt.Sprintf(`"%d":{"dtype":"U8","shape":[],"data_offsets":[%d,%d]}`, i, i, i+1))
	}
	for _, data := range [][]byte{
		file("{"+strings.Join(entries, ",")+"}", len(entries)),
		file(strings.Repeat(`{"a":`, 1<<20), 0),
		file(`{"`+strings.Repeat("a", 1<<22)+`":1}`, 0),
		file(`{"a":{"shape":[`+strings.Repeat("1,", 1<<20), 0),
	} {
		fuzztest.Bounded(t, len(data), func() { _ = openBytes(data) })
	}
}

// FuzzHeader fuzzes the header alone: its length is that which the file says, and some data follow.
func FuzzHeader(f *testing.F) {
	f.Add(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"format":"pt"}}`, uint16(8))
	f.Add(`{"a":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]},"b":{"shape":[],"data_offsets":[0,8],"dtype":"I64"}}  `, uint16(12))
	f.Fuzz(func(t *testing.T, header string, data uint16) {
		b := file(header, int(data))
		fuzztest.Bounded(t, len(b), func() { _ = openBytes(b) })
	})
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"tiny", "types"} {
		data, err := os.ReadFile("testdata/" + name + ".safetensors")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _ = openBytes(data) })
	})
}
