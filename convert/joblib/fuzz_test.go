package joblib

import (
	"bytes"
	"os"
	"path/filepath"
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
