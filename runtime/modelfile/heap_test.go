package modelfile

import (
	"os"
	"path/filepath"
	"testing"
)

// Where files cannot be mapped they are read into memory that is aligned as a map would be.
func TestReadWithoutMap(t *testing.T) {
	sections, samples := testModel()
	path := filepath.Join(t.TempDir(), "model.ei8")
	if err := write(path, testMeta(), sections, samples, false); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // the allocator gives all sorts of addresses
		f := &File{path: path}
		if err := f.read(file, int(info.Size())); err != nil {
			t.Fatal(err)
		}
		if address(f.data)%align != 0 || len(f.data) != int(info.Size()) {
			t.Fatalf("%d bytes at %#x", len(f.data), address(f.data))
		}
		if err := f.check(); err != nil {
			t.Fatal(err)
		}
		readAll(f)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f := &File{path: path}
	if err := f.read(file, int(info.Size())+1); err == nil {
		t.Error("a file that is shorter than it was must be an error")
	}
}
