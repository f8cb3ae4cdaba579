package bergamot

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// malformed is a damaged file and what is said of it, behind "f: ".
type malformed struct {
	name string
	data []byte
	want string
}

func checkMalformed(t *testing.T, cases []malformed, open func([]byte) error) {
	t.Helper()
	for _, c := range cases {
		fuzztest.Bounded(t, len(c.data), func() {
			err := open(c.data)
			var bad *checkpoint.Error
			if !errors.As(err, &bad) || err.Error() != "f: "+c.want {
				t.Errorf("%s:\ngot  %v\nwant f: %s", c.name, err, c.want)
			}
		})
	}
}

// set changes a number of a copy: size bytes at a place.
func set(b []byte, at, size int, v uint64) []byte {
	b = bytes.Clone(b)
	for i := range size {
		b[at+i] = byte(v >> (8 * i))
	}
	return b
}

func TestMalformedContainer(t *testing.T) {
	w := entry{"w", typeFloat32, []int32{2, 3}, floats(1, 2, 3, 4, 5, 6)}
	config := yml("type: transformer")
	good := container(w, config)
	if _, err := openContainer(good); err != nil {
		t.Fatal(err)
	}
	// The table: two entries of 32 bytes at 16, the names at 80, the shapes at 100, the padding at 112, the numbers at 123.
	const table, names, shapes, padding, numbers = 16, 80, 100, 112, 123
	kind := func(kind uint64) []byte { return container(entry{"w", kind, []int32{2, 3}, make([]byte, 28)}, config) }
	text := func(s string) []byte { return container(yml(s)) }
	checkMalformed(t, []malformed{
		{"empty", nil, "byte 0: the file ends inside the version: 8 bytes are needed, 0 are there; copy or download it again"},
		{"seven bytes", good[:7], "byte 0: the file ends inside the version: 8 bytes are needed, 7 are there; copy or download it again"},
		{"only the version", good[:8], "byte 8: the file ends inside the number of tensors: 8 bytes are needed, 0 are there; copy or download it again"},
		{"version 0", set(good, 0, 8, 0), "byte 0: begins with 0 where a Marian binary has its version, 1; give the .bin file of a Firefox (Bergamot) model"},
		{"encrypted", set(good, 0, 8, 2), "byte 0: is an encrypted model; only Marian with its key reads it"},
		{"version 3", set(good, 0, 8, 3), "byte 0: begins with 3 where a Marian binary has its version, 1; give the .bin file of a Firefox (Bergamot) model"},
		{"big-endian", set(good, 0, 8, 1<<56), "byte 0: begins with 72057594037927936 where a Marian binary has its version, 1; give the .bin file of a Firefox (Bergamot) model"},
		{"text", []byte("<!DOCTYPE html>"), "byte 0: begins with 5789751444030890300 where a Marian binary has its version, 1; give the .bin file of a Firefox (Bergamot) model"},
		{"another format", []byte("PK\x03\x04\x14\x00\x00\x00"), "byte 0: begins with 85966670672 where a Marian binary has its version, 1; give the .bin file of a Firefox (Bergamot) model"},
		{"no tensors", set(good, 8, 8, 0), "byte 8: it claims 0 tensors, 1 to 16384 may be; copy or download it again"},
		{"2^64-1 tensors", set(good, 8, 8, 1<<64-1), "byte 8: it claims 18446744073709551615 tensors, 1 to 16384 may be; copy or download it again"},
		{"16385 tensors", set(good, 8, 8, maxItems+1), "byte 8: it claims 16385 tensors, 1 to 16384 may be; copy or download it again"},
		{"16384 tensors", set(good, 8, 8, maxItems), "byte 16: the file ends inside the table of tensors: 524288 bytes are needed, 149 are there; copy or download it again"},
		{"cut in the table", good[:names-1], "byte 16: the file ends inside the table of tensors: 64 bytes are needed, 63 are there; copy or download it again"},
		{"a name of no bytes", set(good, table, 8, 0), "byte 16: tensor 0 has a name of 0 bytes, 2 to 1024 may be; copy or download it again"},
		{"a name of its end alone", set(good, table, 8, 1), "byte 16: tensor 0 has a name of 1 bytes, 2 to 1024 may be; copy or download it again"},
		{"a name of 1025 bytes", set(good, table, 8, maxName+1), "byte 16: tensor 0 has a name of 1025 bytes, 2 to 1024 may be; copy or download it again"},
		{"a name of 2^63 bytes", set(good, table, 8, 1<<63), "byte 16: tensor 0 has a name of 9223372036854775808 bytes, 2 to 1024 may be; copy or download it again"},
		{"no dimensions", set(good, table+16, 8, 0), "byte 32: tensor 0 has 0 dimensions, 1 to 8 may be; copy or download it again"},
		{"9 dimensions", set(good, table+16, 8, maxRank+1), "byte 32: tensor 0 has 9 dimensions, 1 to 8 may be; copy or download it again"},
		{"2^62 dimensions", set(good, table+16, 8, 1<<62), "byte 32: tensor 0 has 4611686018427387904 dimensions, 1 to 8 may be; copy or download it again"},
		{"more bytes than the file", set(good, table+24, 8, uint64(len(good)+1)), "byte 40: tensor 0 claims 166 bytes, the whole file has 165; copy or download it again"},
		{"2^64-1 bytes", set(good, table+24, 8, 1<<64-1), "byte 40: tensor 0 claims 18446744073709551615 bytes, the whole file has 165; copy or download it again"},
		{"cut in the names", good[:names+5], "byte 82: the file ends inside the names: 18 bytes are needed, 3 are there; copy or download it again"},
		{"a name without an end", set(good, names+1, 1, 'x'), `byte 80: the name of tensor 0 does not end where it should: "wx"; copy or download it again`},
		{"a name with an end inside", set(good, names+5, 1, 0), "byte 82: the name of tensor 1 does not end where it should: \"spe\\x00ial:model.yml\\x00\"; copy or download it again"},
		{"cut in the shapes", good[:shapes+3], "byte 100: the file ends inside the shapes: 8 bytes are needed, 3 are there; copy or download it again"},
		{"a dimension of 0", set(good, shapes, 4, 0), `byte 100: tensor "w" has the shape [0 3], dimensions are 1 or more; copy or download it again`},
		{"a negative dimension", set(good, shapes+4, 4, 1<<32-1), `byte 100: tensor "w" has the shape [2 -1], dimensions are 1 or more; copy or download it again`},
		{"cut before the padding", good[:padding+7], "byte 112: the file ends inside the padding: 8 bytes are needed, 7 are there; copy or download it again"},
		{"more padding than bytes", set(good, padding, 8, uint64(len(good)-padding-7)), "byte 112: 46 bytes of padding are claimed, 45 are left; copy or download it again"},
		{"2^64-1 bytes of padding", set(good, padding, 8, 1<<64-1), "byte 112: 18446744073709551615 bytes of padding are claimed, 45 are left; copy or download it again"},
		{"cut in the numbers", good[:numbers+20], `byte 123: the file ends inside the numbers of tensor "w": 24 bytes are needed, 20 are there; copy or download it again`},
		{"cut in the configuration", good[:len(good)-1], `byte 147: the file ends inside the numbers of tensor "special:model.yml": 18 bytes are needed, 17 are there; copy or download it again`},
		{"a larger shape", set(good, shapes, 4, 3), `tensor "w": byte 123: has the shape [3 3], which needs 36 bytes of numbers, but 24; copy or download it again`},
		{"a shape of 2^62 elements", set(set(good, shapes, 4, 1<<31-1), shapes+4, 4, 1<<31-1), `tensor "w": byte 123: has the shape [2147483647 2147483647], but 24 bytes of numbers; copy or download it again`},
		{"no room for a multiplier", container(entry{"w", typeIntgemm8, []int32{2, 3}, make([]byte, 9)}, config), `tensor "w": byte 123: has the shape [2 3], which needs 10 bytes of numbers, but 9; copy or download it again`},
		{"16-bit numbers without room", container(entry{"w", typeIntgemm16, []int32{2, 3}, make([]byte, 12)}, config), `tensor "w": byte 123: has the shape [2 3], which needs 16 bytes of numbers, but 12; copy or download it again`},
		{"int32", kind(0x0104), `tensor "w": byte 123: has elements of type int32; export the model with marian-conv --gemm-type intgemm8 or float32`},
		{"float16", kind(0x0402), `tensor "w": byte 123: has elements of type float16; export the model with marian-conv --gemm-type intgemm8 or float32`},
		{"float64", kind(0x0408), `tensor "w": byte 123: has elements of type float64; export the model with marian-conv --gemm-type intgemm8 or float32`},
		{"packed for AVX2", kind(0x1101), `tensor "w": byte 123: has elements of type 0x1101, packed for one kind of processor; export the model with marian-conv --gemm-type intgemm8 or float32`},
		{"a type of the future", kind(0x0555), `tensor "w": byte 123: has elements of type 0x555; export the model with marian-conv --gemm-type intgemm8 or float32`},
		{"plain bytes", kind(typeInt8), `tensor "w": byte 123: has plain bytes for elements, as only the configuration has; export the model with marian-conv --gemm-type intgemm8 or float32`},
		{"a name twice", container(w, w, config), `tensor "w": byte 189: the name occurs twice; save or download the checkpoint again`},
		{"no configuration", container(w), `tensor "special:model.yml": is missing: it says how many layers and heads the weights make; export the model with marian-conv, which puts it there`},
		{"two configurations", container(config, config), `tensor "special:model.yml": byte 153: the name occurs twice; copy or download it again`},
		{"a configuration of floats", container(entry{configName, typeFloat32, []int32{1}, floats(1)}), `tensor "special:model.yml": byte 81: has type 0x404 and 4 bytes, must be text of at most 1048576; copy or download it again`},
		{"a configuration of 1 MB and a byte", text(strings.Repeat("#", maxConfig)), `tensor "special:model.yml": byte 81: has type 0x101 and 1048577 bytes, must be text of at most 1048576; copy or download it again`},
	}, func(data []byte) error { _, err := openContainer(data); return err })
}

// The configuration inside a sound container, and the numbers asked of it.
func TestMalformedConfig(t *testing.T) {
	checkMalformed(t, []malformed{
		{"no key", container(yml("type: transformer\nenc-depth\n")), `tensor "special:model.yml": byte 81: line 2 is not "key: value": "enc-depth"; copy or download it again`},
		{"an empty key", container(yml(": 6")), `tensor "special:model.yml": byte 81: line 1 is not "key: value": ": 6"; copy or download it again`},
		{"no space", container(yml("enc-depth:6")), `tensor "special:model.yml": byte 81: line 1 is not "key: value": "enc-depth:6"; copy or download it again`},
		{"nested", container(yml("model:\n  type: transformer")), `tensor "special:model.yml": byte 81: line 2 is not "key: value": "  type: transformer"; copy or download it again`},
		{"quotes", container(yml(`"type": transformer`)), "tensor \"special:model.yml\": byte 81: line 1 is not \"key: value\": \"\\\"type\\\": transformer\"; copy or download it again"},
		{"JSON", container(yml(`{"type": "transformer"}`)), "tensor \"special:model.yml\": byte 81: line 1 is not \"key: value\": \"{\\\"type\\\": \\\"transformer\\\"}\"; copy or download it again"},
		{"an empty list of nothing", container(yml("  []")), `tensor "special:model.yml": byte 81: line 1 is not "key: value": "  []"; copy or download it again`},
		{"an empty list behind items", container(yml("a:\n  - b\n  []")), `tensor "special:model.yml": byte 81: line 3 is not "key: value": "  []"; copy or download it again`},
		{"two empty lists", container(yml("a:\n  []\n  []")), `tensor "special:model.yml": byte 81: line 3 is not "key: value": "  []"; copy or download it again`},
		{"a list of nothing", container(yml("- a")), `tensor "special:model.yml": byte 81: line 1 is an item of no list: "- a"; copy or download it again`},
		{"a list behind a value", container(yml("a: 1\n- b")), `tensor "special:model.yml": byte 81: line 2 is an item of no list: "- b"; copy or download it again`},
		{"twice", container(yml("a: 1\nb: 2\na: 3")), `tensor "special:model.yml": byte 81: line 3 gives "a" again; copy or download it again`},
		{"a long line", container(yml(strings.Repeat("x", 100))), `tensor "special:model.yml": byte 81: line 1 is not "key: value": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; copy or download it again`},
		{"NULs inside", container(yml("a: 1\x00\x00\nb")), `tensor "special:model.yml": byte 81: line 2 is not "key: value": "b"; copy or download it again`},
		{"not UTF-8", container(yml("\xff\xfe")), "tensor \"special:model.yml\": byte 81: line 1 is not \"key: value\": \"\\xff\\xfe\"; copy or download it again"},
	}, func(data []byte) error { _, err := openContainer(data); return err })
	m, err := openContainer(container(yml("half: 0.5\nhuge: 99999999999999999999\nword: six\nlist: [1, 2]\nempty:\nyes: yes\nnumber: 1")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, want, wantBool string }{
		{"half", `half is "0.5", must be a whole number`, `half is "0.5", must be true or false`},
		{"huge", `huge is "99999999999999999999", must be a whole number`, `huge is "99999999999999999999", must be true or false`},
		{"word", `word is "six", must be a whole number`, `word is "six", must be true or false`},
		{"list", `list is "1, 2", must be a whole number`, `list is "1, 2", must be true or false`},
		{"empty", `empty is "", must be a whole number`, `empty is "", must be true or false`},
		{"yes", `yes is "yes", must be a whole number`, `yes is "yes", must be true or false`},
	} {
		if _, err := m.Config.Int(c.key, 1); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if _, err := m.Config.Bool(c.key, true); err == nil || err.Error() != c.wantBool {
			t.Errorf("got  %v\nwant %s", err, c.wantBool)
		}
	}
}

func TestMalformedShortlist(t *testing.T) {
	const source, target = 3, 7
	good := lists(2, 3, []uint64{0, 2, 2, 5}, []uint32{4, 5, 2, 3, 6})
	if _, err := openLists(good, source, target); err != nil {
		t.Fatal(err)
	}
	// Magic, checksum, first, best, offsets, ids: 8 bytes each; then 4 offsets at 48 and 5 ids at 80.
	const magic, sum, first, best, offsets, ids = 0, 8, 16, 24, 48, 80
	change := func(at, size int, v uint64) []byte { return sealed(set(good, at, size, v)) }
	behind := func(n int) []byte { return sealed(append(bytes.Clone(good), make([]byte, n)...)) }
	checkMalformed(t, []malformed{
		{"nothing", nil, `byte 0: has 0 bytes, a shortlist has 48 before its lists; copy or download it again`},
		{"47 bytes", good[:47], "byte 0: has 47 bytes, a shortlist has 48 before its lists; copy or download it again"},
		{"its text form", []byte("hello hallo 0.9\nhello guten 0.05\nworld welt 0.99\n"), `byte 0: is not a binary shortlist; give the lex.*.s2t.bin of the model, not its text form`},
		{"another magic", set(good, magic, 8, shortlistMagic+1), "byte 0: is not a binary shortlist; give the lex.*.s2t.bin of the model, not its text form"},
		{"bytes in reverse", set(good, magic, 8, 0xf5171301d5481af1), `byte 0: is not a binary shortlist; give the lex.*.s2t.bin of the model, not its text form`},
		{"zeros", make([]byte, 100), "byte 0: is not a binary shortlist; give the lex.*.s2t.bin of the model, not its text form"},
		{"another checksum", set(good, sum, 8, 1), "byte 8: the checksum does not match: 0x1 is stored, the content has 0x8a484260ef47875c; copy or download it again"},
		{"no checksum", set(good, sum, 8, 0), "byte 8: the checksum does not match: 0x0 is stored, the content has 0x8a484260ef47875c; copy or download it again"},
		{"a bit of the first words", set(good, first, 1, 3), "byte 8: the checksum does not match: 0x8a484260ef47875c is stored, the content has 0x97341c965df9c232; copy or download it again"},
		{"a bit of an offset", set(good, offsets+8, 1, 3), "byte 8: the checksum does not match: 0x8a484260ef47875c is stored, the content has 0x8a484260f450ab30; copy or download it again"},
		{"a bit of an id", set(good, ids, 1, 5), "byte 8: the checksum does not match: 0x8a484260ef47875c is stored, the content has 0x8a484260ef47809d; copy or download it again"},
		{"only the header", sealed(bytes.Clone(good[:48])), "byte 32: claims 4 offsets and 5 ids, which do not make its 48 bytes; copy or download it again"},
		{"cut in the offsets", sealed(bytes.Clone(good[:70])), "byte 32: claims 4 offsets and 5 ids, which do not make its 70 bytes; copy or download it again"},
		{"cut before the ids", sealed(bytes.Clone(good[:ids])), "byte 32: claims 4 offsets and 5 ids, which do not make its 80 bytes; copy or download it again"},
		{"cut by an id", sealed(bytes.Clone(good[:len(good)-4])), "byte 32: claims 4 offsets and 5 ids, which do not make its 96 bytes; copy or download it again"},
		{"cut by a byte", sealed(bytes.Clone(good[:len(good)-1])), "byte 32: claims 4 offsets and 5 ids, which do not make its 99 bytes; copy or download it again"},
		{"a byte behind", behind(1), "byte 32: claims 4 offsets and 5 ids, which do not make its 101 bytes; copy or download it again"},
		{"an id behind", behind(4), "byte 32: claims 4 offsets and 5 ids, which do not make its 104 bytes; copy or download it again"},
		{"an offset behind", behind(8), "byte 32: claims 4 offsets and 5 ids, which do not make its 108 bytes; copy or download it again"},
		{"one offset more", change(32, 8, 5), "byte 32: claims 5 offsets and 5 ids, which do not make its 100 bytes; copy or download it again"},
		{"2^61 offsets", change(32, 8, 1<<61), "byte 32: claims 2305843009213693952 offsets and 5 ids, which do not make its 100 bytes; copy or download it again"},
		{"2^64-1 offsets", change(32, 8, 1<<64-1), "byte 32: claims 18446744073709551615 offsets and 5 ids, which do not make its 100 bytes; copy or download it again"},
		{"2^62 ids", change(40, 8, 1<<62), "byte 32: claims 4 offsets and 4611686018427387904 ids, which do not make its 100 bytes; copy or download it again"},
		{"2^64-1 ids", change(40, 8, 1<<64-1), "byte 32: claims 4 offsets and 18446744073709551615 ids, which do not make its 100 bytes; copy or download it again"},
		{"counts that add up by overflow", change(32, 8, 1<<61+4), "byte 32: claims 2305843009213693956 offsets and 5 ids, which do not make its 100 bytes; copy or download it again"},
		{"no offsets", lists(2, 3, nil, nil), "byte 32: has lists for 0 source words, the vocabulary has 3; it belongs to another model"},
		{"no words", lists(2, 3, []uint64{0}, nil), "byte 32: has lists for 0 source words, the vocabulary has 3; it belongs to another model"},
		{"fewer words", lists(2, 3, []uint64{0, 2, 5}, []uint32{4, 5, 2, 3, 6}), "byte 32: has lists for 2 source words, the vocabulary has 3; it belongs to another model"},
		{"more words", lists(2, 3, []uint64{0, 2, 2, 2, 5}, []uint32{4, 5, 2, 3, 6}), "byte 32: has lists for 4 source words, the vocabulary has 3; it belongs to another model"},
		{"2^32 first words", change(first, 8, 1<<32), "byte 16: the numbers of frequent words 4294967296 and of words a list 3 are out of range; copy or download it again"},
		{"2^64-1 first words", change(first, 8, 1<<64-1), "byte 16: the numbers of frequent words 18446744073709551615 and of words a list 3 are out of range; copy or download it again"},
		{"2^63 words a list", change(best, 8, 1<<63), "byte 16: the numbers of frequent words 2 and of words a list 9223372036854775808 are out of range; copy or download it again"},
		{"offsets that begin late", change(offsets, 8, 1), "byte 48: offset 0 is 1: they must rise from 0 to 5; copy or download it again"},
		{"offsets that fall", change(offsets+16, 8, 1), "byte 64: offset 2 is 1: they must rise from 0 to 5; copy or download it again"},
		{"an offset beyond the ids", change(offsets+8, 8, 6), "byte 56: offset 1 is 6: they must rise from 0 to 5; copy or download it again"},
		{"an offset of 2^32", change(offsets+8, 8, 1<<32), "byte 56: offset 1 is 4294967296: they must rise from 0 to 5; copy or download it again"},
		{"an offset of 2^64-1", change(offsets+16, 8, 1<<64-1), "byte 64: offset 2 is 18446744073709551615: they must rise from 0 to 5; copy or download it again"},
		{"offsets that end early", change(offsets+24, 8, 4), "byte 72: offset 3 is 4: they must rise from 0 to 5; copy or download it again"},
		{"a word beyond the vocabulary", change(ids+8, 4, 7), "byte 88: names target word 7, the vocabulary has 7; it belongs to another model"},
		{"word 2^31", change(ids, 4, 1<<31), "byte 80: names target word 2147483648, the vocabulary has 7; it belongs to another model"},
		{"word 2^32-1", change(ids+16, 4, 1<<32-1), "byte 96: names target word 4294967295, the vocabulary has 7; it belongs to another model"},
	}, func(data []byte) error { _, err := openLists(data, source, target); return err })
}

// A file that unfolds beyond measure is refused before it is read.
func TestBombs(t *testing.T) {
	for name, data := range map[string][]byte{"gzip": gzipped(t, make([]byte, maxFree+1)), "zstd": zstandard(t, make([]byte, maxFree+1))} {
		want := fmt.Sprintf("f: unfolds from %d bytes to %d, more than such files do; if it is genuine, unpack it, and name the plain file", len(data), maxFree+1)
		fuzztest.Bounded(t, len(data), func() {
			if _, err := openLists(data, 1, 1); err == nil || err.Error() != want {
				t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
			}
		})
	}
}

// TestHostile: as many tensors as may be, of the smallest, and lists of nothing, packed and not, stay within the bound that fuzzing holds
// small files to.
func TestHostile(t *testing.T) {
	var entries []entry
	for i := range maxItems {
		entries = append(entries, entry{fmt.Sprint(i), typeFloat32, []int32{1, 1}, floats(1)})
	}
	many := container(entries...)
	empty := lists(1, 1, make([]uint64, 1<<17+1), nil)
	for name, data := range map[string][]byte{"plain": many, "gzip": gzipped(t, many), "zstd": zstandard(t, many)} {
		t.Run("tensors "+name, func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() {
				_, err := openContainer(data)
				t.Log(len(data), err)
			})
		})
	}
	for name, data := range map[string][]byte{"plain": empty, "gzip": gzipped(t, empty), "zstd": zstandard(t, empty)} {
		t.Run("lists "+name, func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() {
				_, err := openLists(data, 1<<17, 1)
				t.Log(len(data), err)
			})
		})
	}
}

// Compressed files: what lies inside is judged as above, once it could be unpacked.
func TestMalformedPacked(t *testing.T) {
	model, list := small(), lists(2, 3, []uint64{0, 2, 2, 5}, []uint32{4, 5, 2, 3, 6})
	for _, pack := range []func(testing.TB, []byte) []byte{gzipped, zstandard} {
		for _, c := range []struct {
			data []byte
			open func([]byte) error
		}{
			{model, func(data []byte) error { _, err := openContainer(data); return err }},
			{list, func(data []byte) error { _, err := openLists(data, 3, 7); return err }},
		} {
			packed := pack(t, c.data)
			if err := c.open(packed); err != nil {
				t.Fatal(err)
			}
			checkpointtest.Spoil(t, packed, len(packed), c.open)
			if err := c.open(pack(t, c.data[:len(c.data)-1])); err == nil {
				t.Error("cut before it was packed, and accepted")
			}
		}
	}
}
