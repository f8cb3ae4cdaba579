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

	"github.com/edge-infer/edge-infer/convert/inflate/zstd"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// What the program zstd wrote: two frames, a window larger than is read, and a file of a few thousand bytes that would become 70 MB.
func TestZstd(t *testing.T) {
	p, err := Open("testdata/text.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(p, 0, p.Size)); err != nil || sum.Sum32() != 0xfd26e673 || p.Method != "zstd" { // as make.py says
		t.Errorf("%#x, %v, %q", sum.Sum32(), err, p.Method)
	}
	dir := t.TempDir()
	if _, err := OpenIn(dir, "testdata/bomb.zst"); !errors.Is(err, ErrBomb) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	n := alloctest.Bytes(func() { _, err = Open("testdata/window.zst") })
	if err == nil || !strings.Contains(err.Error(), "compressed with zstd: window size exceeded") {
		t.Errorf("a window of 128 MB: %v", err)
	}
	if n > 16<<20 {
		t.Errorf("a window of 128 MB made it allocate %d bytes", n)
	}
}

// A file cut anywhere is an error, and so is every flipped bit that would change the content: there is a checksum.
func TestZstdDamaged(t *testing.T) {
	data, err := os.ReadFile("testdata/text.zst")
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := zstd.Decode(&want, bytes.NewReader(data), window(int64(len(data)))); err != nil {
		t.Fatal(err)
	}
	whole := map[int]bool{0: true} // a frame may end where the next begins
	for i := range data {
		if i > 0 && bytes.HasPrefix(data[i:], []byte("\x28\xb5\x2f\xfd")) {
			whole[i] = true
		}
	}
	for n := range data {
		if err := zstd.Decode(io.Discard, bytes.NewReader(data[:n]), window(int64(len(data)))); (err == nil) != whole[n] {
			t.Errorf("the first %d of %d bytes: %v", n, len(data), err)
		}
	}
	for i := range data {
		bit := i % 8
		data[i] ^= 1 << bit
		var got bytes.Buffer
		if err := zstd.Decode(&limited{&got, 1 << 20}, bytes.NewReader(data), window(int64(len(data)))); err == nil && !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("bit %d of byte %d makes another content and no error", bit, i)
		}
		data[i] ^= 1 << bit
	}
}
