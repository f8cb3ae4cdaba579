package inflate

import (
	"bytes"
	"io"
	"os"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, m := range methods[:6] {
		if data, err := os.ReadFile(models + "1.9-method." + m.name); err == nil && m.name != "bz2" {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range methods {
			if m.name != "bz2" { // the standard library's, and slow to start
				_ = m.decode(&limited{io.Discard, 1 << 20}, bytes.NewReader(data))
			}
		}
	})
}
