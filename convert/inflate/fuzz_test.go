package inflate

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// FuzzDecode unpacks any bytes with every method, however they begin.
func FuzzDecode(f *testing.F) {
	for _, m := range methods[:6] {
		if data, err := os.ReadFile(models + "1.9-method." + m.name); err == nil && m.name != "bz2" {
			f.Add(data)
		}
	}
	files, _ := filepath.Glob("testdata/*.*")
	for _, name := range files {
		if data, err := os.ReadFile(name); err != nil {
			f.Fatal(err)
		} else if len(data) < 5000 && filepath.Ext(name) != ".py" {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range methods {
			if m.name != "bz2" { // the standard library's, and slow to start
				fuzztest.Bounded(t, len(data), func() { _ = m.decode(&limited{io.Discard, 1 << 20}, bytes.NewReader(data), window(int64(len(data)))) })
			}
		}
	})
}
