package modelfile

import (
	"os"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// FuzzOpen gives Open anything at all, with the checksums made right so that they are not the only wall. Nothing may panic,
// every refusal is a *FormatError, and a file that opens can be read to its last byte.
func FuzzOpen(f *testing.F) {
	golden, err := os.ReadFile("testdata/v1.ei8")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(golden[:headerSize])
	f.Add([]byte(magic))
	whole := brokenModel(f)
	for _, c := range ruleCases {
		m := &broken{aligned(whole.b)}
		c.breakIt(m)
		if len(m.b) < 1<<17 {
			f.Add(m.b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = aligned(b)
		for range 2 {
			fuzztest.Bounded(t, len(b), func() {
				file, err := openBytes(b)
				if err == nil {
					readAll(file)
				} else if !isFormatError(err) {
					t.Errorf("error %v", err)
				}
			})
			if len(b) >= headerSize {
				fixSums(b)
			}
		}
	})
}
