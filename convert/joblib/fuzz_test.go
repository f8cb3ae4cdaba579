package joblib

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/pickle"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// arrays reads all arrays below n, each node once.
func (f *File) arrays(n pickle.Node, seen map[pickle.Node]bool) {
	switch n.(type) {
	case *pickle.Object, *pickle.List, *pickle.Tuple, *pickle.Dict, *pickle.Set:
	default:
		return
	}
	if seen[n] {
		return
	}
	seen[n] = true
	if IsArray(n) {
		if a, err := f.Array(n); err == nil && a.Cols() < 1<<16 {
			row := make([]float64, a.Cols())
			for i := range min(a.Rows(), 10) {
				_ = a.Row(row, i)
			}
		}
	}
	if items, ok := pickle.AsItems(n); ok {
		for _, item := range items {
			f.arrays(item, seen)
		}
	}
	if d, ok := pickle.AsDict(n); ok {
		for _, p := range d.Pairs {
			f.arrays(p.Value, seen)
		}
	}
	if o, ok := n.(*pickle.Object); ok {
		for _, arg := range o.Args {
			f.arrays(arg, seen)
		}
		f.arrays(o.State, seen)
		_, _ = Text(o)
		_, _ = Int(o)
		_, _ = Float(o)
	}
}

// TestHostile: small files that were packed, and unfold to megabytes of what costs most, stay within the bound that fuzzing holds small
// files to. (What each method of packing takes is tested in package inflate.)
func TestHostile(t *testing.T) {
	const n = 60 << 20
	for name, data := range map[string]string{
		"lists":       "(" + strings.Repeat("]", n) + "t.",
		"marks":       strings.Repeat("(", n) + ".",
		"long string": "X\x00\x00\x60\x00" + strings.Repeat("a", 6<<20) + ".",
		"longer":      "X\x00\x00\x00\x01" + strings.Repeat("a", 16<<20) + ".",
		"long line":   "V" + strings.Repeat("a", 4<<20) + "\n.",
		"latin":       "T\x00\x00\x20\x00" + strings.Repeat("\xff", 2<<20) + ".",
		"bytes":       "B\x00\x00\x00\x03" + strings.Repeat("a", 48<<20) + ".",
		"text of array": "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x85R(K\x01J\x00\x00\x30\x00\x85cnumpy\ndtype\nX\x02\x00\x00\x00i1\x85R\x89" +
			"X\x00\x00\x30\x00" + strings.Repeat("a", 3<<20) + "tb.",
	} {
		t.Run(name, func(t *testing.T) {
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			if _, err := io.WriteString(w, "\x80\x02"+data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			fuzztest.Bounded(t, packed.Len(), func() {
				file, err := Read("f", bytes.NewReader(packed.Bytes()), int64(packed.Len()))
				if err == nil {
					file.arrays(file.Root, map[pickle.Node]bool{})
					file.Close()
				}
				t.Log(err)
			})
		})
	}
}

// FuzzRead reads pickles, with arrays inside and without, plain and compressed.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("../sklearn/testdata/*")
	for _, name := range files {
		switch filepath.Ext(name) {
		case ".pkl", ".joblib", ".gzip", ".lz4", ".lzma", ".xz", ".zlib":
			if data, err := os.ReadFile(name); err != nil {
				f.Fatal(err)
			} else if len(data) < 5000 {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() {
			if file, err := Read("f", bytes.NewReader(data), int64(len(data))); err == nil {
				file.arrays(file.Root, map[pickle.Node]bool{})
				file.Close()
			}
		})
	})
}
