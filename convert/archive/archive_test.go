package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// member is a file to be put into an archive, stored or, with the method 8, compressed.
type member struct {
	name, data string
	method     uint16
}

func build(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: m.name, Method: m.method})
		if err == nil {
			_, err = io.WriteString(f, m.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFolder: members are found by name, below a folder too, and read at any place.
func TestFolder(t *testing.T) {
	data := build(t, member{"top/", "", 0}, member{"top/a", "stored", 0}, member{"top/model/b", strings.Repeat("packed", 100), 8}, member{"top/empty", "", 8})
	a, err := New("x", bytes.NewReader(data), int64(len(data)), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got := strings.Join(a.Names(), " "); got != "top/a top/model/b top/empty" {
		t.Error(got)
	}
	for name, want := range map[string]string{"top/a": "stored", "top/model/b": strings.Repeat("packed", 100), "top/empty": ""} {
		got, err := fs.ReadFile(a, name)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		f, err := a.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := fs.Stat(a, name); err != nil || info.Size() != int64(len(want)) || !info.Mode().IsRegular() {
			t.Error(name, info, err)
		}
		part := make([]byte, 3)
		if n, err := f.(io.ReaderAt).ReadAt(part, 2); len(want) > 5 && (n != 3 || err != nil || string(part) != want[2:5]) {
			t.Errorf("%s at 2: %q, %v", name, part, err)
		}
	}
	sub, err := fs.Sub(a, "top/model")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(sub, "b"); err != nil || len(got) != 600 {
		t.Error(len(got), err)
	}
	for _, name := range []string{"a", "../a", "/b", "c"} {
		if _, err := fs.Stat(sub, name); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
			t.Error(name, err)
		}
	}
}

// TestSpill: a large member that is compressed lies in the given folder until the archive is closed, a stored one never does.
func TestSpill(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	large := make([]byte, 5<<20)
	for i := range large {
		large[i] = byte(random.Uint32() & 0x3f)
	}
	path, spill := filepath.Join(t.TempDir(), "x.zip"), t.TempDir()
	if err := os.WriteFile(path, build(t, member{"stored", string(large), 0}, member{"packed", string(large), 8}), 0o666); err != nil {
		t.Fatal(err)
	}
	a, err := Open(path, spill)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stored", "packed"} {
		got, err := fs.ReadFile(a, name)
		if err != nil || !bytes.Equal(got, large) {
			t.Error(name, len(got), err)
		}
		if left, _ := os.ReadDir(spill); len(left) == 1 != (name == "packed") {
			t.Errorf("%s: %d files in the folder", name, len(left))
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(spill); len(left) != 0 {
		t.Errorf("%d files left behind", len(left))
	}
}

// openAll opens an archive and reads each of its members.
func openAll(data []byte, spill string) error {
	a, err := New("x", bytes.NewReader(data), int64(len(data)), spill)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, name := range a.Names() {
		f, err := a.Open(name)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			return err
		}
	}
	return nil
}

func TestMalformed(t *testing.T) {
	good := build(t, member{"a/stored", "stored", 0}, member{"a/packed", strings.Repeat("packed", 1000), 8})
	if err := openAll(good, ""); err != nil {
		t.Fatal(err)
	}
	central := bytes.Index(good, []byte("PK\x01\x02"))                          // of the first member
	second := central + 4 + bytes.Index(good[central+4:], []byte("PK\x01\x02")) // of the second
	end := bytes.Index(good, []byte("PK\x05\x06"))
	u16, u32 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32
	change := func(f func(b []byte)) []byte { return changed(good, f) }
	insecure := func(name string) []byte { return build(t, member{name, "x", 0}) }
	many := func() []byte {
		b := bytes.Clone(good)
		u16(b[end+8:], 0xffff)
		u16(b[end+10:], 0xffff)
		return b
	}
	bomb := build(t, member{"bomb", strings.Repeat("\x00", 9<<20), 8})
	small := build(t, member{"small", strings.Repeat("\x00", maxFree), 8})
	if err := openAll(small, ""); err != nil {
		t.Error("a small member may shrink as it likes:", err)
	}
	bombed := bytes.Index(bomb, []byte("PK\x01\x02"))
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"text", []byte("<html>not found</html>"), "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"only the first four bytes", []byte("PK\x03\x04"), "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"cut in the middle", good[:len(good)/2], "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"cut before the end record", good[:end], "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"cut in the end record", good[:len(good)-1], "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"no central folder", change(func(b []byte) { b[central] = 'X' }), "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"second entry damaged", change(func(b []byte) { b[second] = 'X' }), "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"central folder elsewhere", change(func(b []byte) { u32(b[end+16:], uint32(len(b))) }), "x: member \"a/stored\" cannot be found: bytes.Reader.ReadAt: negative offset; download it again"},
		{"central folder too large", change(func(b []byte) { u32(b[end+12:], 1<<31-1) }), "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"more entries than there are", many(), "x: the zip archive cannot be read: damaged, or cut short: unexpected EOF; download it again"},
		{"fewer entries than there are", change(func(b []byte) { u16(b[end+8:], 1); u16(b[end+10:], 1) }), "x: the zip archive cannot be read: damaged, or cut short: unexpected EOF; download it again"},
		{"leads out", insecure("../evil"), "x: member \"../evil\" has a name that no file in an archive may have; do not unpack it"},
		{"leads out in the middle", insecure("a/../../evil"), "x: member \"a/../../evil\" has a name that no file in an archive may have; do not unpack it"},
		{"from the root", insecure("/etc/passwd"), "x: member \"/etc/passwd\" has a name that no file in an archive may have; do not unpack it"},
		{"no name", insecure(""), "x: member \"\" has a name that no file in an archive may have; do not unpack it"},
		{"empty part", insecure("a//b"), "x: member \"a//b\" has a name that no file in an archive may have; do not unpack it"},
		{"not UTF-8", insecure("\xff"), "x: member \"\\xff\" has a name that no file in an archive may have; do not unpack it"},
		{"twice", build(t, member{"a", "x", 0}, member{"a", "y", 0}), "x: it has member \"a\" twice; unpack it, and name the folder"},
		{"encrypted", change(func(b []byte) { b[central+8] |= 1 }), "x: member \"a/stored\" is encrypted; unpack it with its password, and name the folder"},
		{"another method", change(func(b []byte) { u16(b[second+10:], 14) }), "x: member \"a/packed\" cannot be unpacked: zip: unsupported compression algorithm; download it again"},
		{"stored of two sizes", change(func(b []byte) { u32(b[central+24:], 5) }), "x: member \"a/stored\" is stored, but its two sizes are 6 and 5; download it again"},
		{"stored beyond the end", change(func(b []byte) { u32(b[central+20:], 1<<30); u32(b[central+24:], 1<<30) }), "x: member \"a/stored\" claims 1073741824 bytes where 242 are left; download it again"},
		{"packed beyond the end", change(func(b []byte) { u32(b[second+20:], 1<<30) }), "x: member \"a/packed\" claims 1073741824 bytes where 182 are left; download it again"},
		{"packed of size 0", change(func(b []byte) { u32(b[second+20:], 0) }), "x: member \"a/packed\" cannot be unpacked: unexpected EOF; download it again"},
		{"packed larger than claimed", change(func(b []byte) { u32(b[second+24:], 100) }), "x: member \"a/packed\" cannot be unpacked: zip: not a valid zip file; download it again"},
		{"packed smaller than claimed", change(func(b []byte) { u32(b[second+24:], 7000) }), "x: member \"a/packed\" cannot be unpacked: unexpected EOF; download it again"},
		{"packed with another checksum", change(func(b []byte) { u32(b[second+16:], 1) }), "x: member \"a/packed\" cannot be unpacked: zip: checksum error; download it again"},
		{"stored and damaged", change(func(b []byte) { b[bytes.Index(b, []byte("a/stored"))+len("a/stored")] ^= 1 }), "x: member \"a/stored\" is damaged: zip: checksum error; download it again"},
		{"packed and damaged", change(func(b []byte) { b[central-20] ^= 0xff; b[central-24] ^= 0xff }), "x: member \"a/packed\" cannot be unpacked: flate: corrupt input before offset 36; download it again"},
		{"local header elsewhere", change(func(b []byte) { u32(b[second+42:], uint32(end)) }), "x: member \"a/packed\" cannot be found: EOF; download it again"},
		{"local header beyond the end", change(func(b []byte) { u32(b[second+42:], 1<<31) }), "x: member \"a/packed\" cannot be found: EOF; download it again"},
		{"local header damaged", change(func(b []byte) { b[0] = 'X' }), `x: member "a/stored" cannot be found: zip: not a valid zip file; download it again`},
		{"stored of size 2^32-2", change(func(b []byte) { u32(b[central+20:], 1<<32-2); u32(b[central+24:], 1<<32-2) }), `x: member "a/stored" claims 4294967294 bytes where 242 are left; download it again`},
		{"zip64 without its field", change(func(b []byte) { u32(b[central+24:], 1<<32-1) }), `x: member "a/stored" is stored, but its two sizes are 6 and 4294967295; download it again`},
		{"a name beyond the folder", change(func(b []byte) { u16(b[central+28:], 0xffff) }), "x: the zip archive cannot be read: damaged, or cut short: unexpected EOF; download it again"},
		{"a comment beyond the end", change(func(b []byte) { u16(b[end+20:], 0xffff) }), "x: the zip archive cannot be read: damaged, or cut short: zip: not a valid zip file; download it again"},
		{"packed that is stored", change(func(b []byte) { u16(b[second+10:], 0) }), `x: member "a/packed" is stored, but its two sizes are 36 and 6000; download it again`},
		{"stored that is packed", change(func(b []byte) { u16(b[central+10:], 8) }), `x: member "a/stored" cannot be unpacked: unexpected EOF; download it again`},
		{"packed and encrypted", change(func(b []byte) { b[second+8] |= 1 }), `x: member "a/packed" is encrypted; unpack it with its password, and name the folder`},
		{"bomb", bomb, "x: member \"bomb\" claims to unpack from 9190 bytes to 9437184; if it is genuine, unpack it, and name the folder"},
		{"bomb that claims little", changed(bomb, func(b []byte) { u32(b[bombed+24:], 1<<20) }), "x: member \"bomb\" cannot be unpacked: zip: not a valid zip file; download it again"},
		{"bomb that claims 4 GB", changed(bomb, func(b []byte) { u32(b[bombed+24:], 1<<32-2) }), "x: member \"bomb\" claims to unpack from 9190 bytes to 4294967294; if it is genuine, unpack it, and name the folder"},
	} {
		err := openAll(c.data, "")
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}

func changed(b []byte, f func(b []byte)) []byte {
	b = bytes.Clone(b)
	f(b)
	return b
}

func TestSpoiled(t *testing.T) {
	data := build(t, member{"a/stored", "stored", 0}, member{"a/packed", strings.Repeat("packed", 10), 8})
	checkpointtest.Spoil(t, data, len(data), func(data []byte) error { return openAll(data, "") })
}

func FuzzOpen(f *testing.F) {
	f.Add(build(f, member{"a/stored", "stored", 0}, member{"a/packed", strings.Repeat("packed", 1000), 8}))
	f.Add(build(f, member{"bomb", strings.Repeat("\x00", 1<<20), 8}))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _ = openAll(data, "") })
	})
}
