package inflate

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const models = "../sklearn/testdata/"

// TestMethods unpacks what joblib packed in every way, and finds one content: that of joblib's plain file.
func TestMethods(t *testing.T) {
	for _, version := range []string{"0.24", "1.9"} {
		want := ""
		for _, method := range []string{"zlib", "gzip", "bz2", "xz", "lzma", "lz4"} {
			p, err := Open(models + version + "-method." + method)
			if err != nil {
				t.Errorf("%s %s: %v", version, method, err)
				continue
			}
			got := make([]byte, p.Size)
			if _, err := p.ReadAt(got, 0); err != nil && err != io.EOF {
				t.Error(err)
			}
			if p.Method != method || !strings.HasPrefix(string(got), "\x80\x04") && !strings.HasPrefix(string(got), "\x80\x05") {
				t.Errorf("%s %s: %q, %.10q", version, method, p.Method, got)
			}
			if want == "" {
				want = string(got)
			}
			if string(got) != want {
				t.Errorf("%s %s: another content", version, method)
			}
			p.Close()
		}
	}
}

func TestBombs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // other tests may have files in the shared one
	for _, method := range []string{"bz2", "xz", "lzma"} {
		_, err := Open(models + "bomb." + method)
		if !errors.Is(err, ErrBomb) {
			t.Errorf("%s: %v", method, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "edge-infer-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestDamaged cuts a file of every method at every place, and flips every bit. Nothing panics, a cut is an error, and
// methods with a checksum (joblib asks for none from lzma and lz4) find the flip.
func TestDamaged(t *testing.T) {
	for _, m := range methods[:6] {
		name := m.name
		data, err := os.ReadFile(models + "1.9-method." + name)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := m.decode(&want, bytes.NewReader(data), window(int64(len(data)))); err != nil && name != "zlib" {
			t.Fatal(name, err)
		}
		step := 1
		if name == "bz2" { // takes megabytes at each start
			step = 13
		}
		for n := 0; n < len(data); n += step {
			if m.decode(io.Discard, bytes.NewReader(data[:n]), window(int64(len(data)))) == nil {
				t.Errorf("%s: the first %d of %d bytes were accepted", name, n, len(data))
			}
		}
		for i := 0; i < len(data); i += step {
			for bit := i % 3; bit < 8; bit += 5 {
				data[i] ^= 1 << bit
				var got bytes.Buffer
				err := m.decode(&limited{&got, 1 << 20}, bytes.NewReader(data), window(int64(len(data))))
				if err == nil && name != "lzma" && name != "lz4" && !bytes.Equal(got.Bytes(), want.Bytes()) {
					t.Errorf("%s: bit %d of byte %d makes another content and no error", name, bit, i)
				}
				data[i] ^= 1 << bit
			}
		}
	}
}

type limited struct {
	io.Writer
	n int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.n -= len(b); l.n < 0 {
		return 0, ErrBomb
	}
	return l.Writer.Write(b)
}

// TestSettings unpacks what was packed with settings that joblib does not use: several streams, small dictionaries, other
// numbers of context bits, linked and separate blocks, every checksum.
func TestSettings(t *testing.T) {
	files, _ := filepath.Glob("testdata/text[0-9].*")
	if len(files) != 9 {
		t.Fatal(files)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range methods {
			if m.name == filepath.Ext(name)[1:] {
				sum := crc32.NewIEEE()
				if err := m.decode(sum, bytes.NewReader(data), window(int64(len(data)))); err != nil || sum.Sum32() != 0xfd26e673 { // as make.py says
					t.Errorf("%s: %#x, %v", name, sum.Sum32(), err)
				}
			}
		}
	}
	p, err := Open("testdata/dictionary.xz") // asks for 512 MB, and has one byte
	if err != nil || p.Size != 1 {
		t.Error(p, err)
	}
	for name, want := range map[string]string{
		"sha256.xz": "compressed with xz: xz: its checksum is SHA-256: compress it with --check=crc64, the default",
		"filter.xz": "compressed with xz: xz: it uses another filter than LZMA2: compress it without options",
		"far.xz":    "compressed with xz: lzma: it needs a dictionary of 16777216 bytes, more than the 8388608 that so small a file gets: compress it with level 6 or lower",
	} {
		if _, err := Open("testdata/" + name); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
		}
	}
}
