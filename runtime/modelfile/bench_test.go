package modelfile

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// bigModel is about 12 MB, shaped like a small translation model.
func bigModel() []sample {
	r := rand.New(rand.NewPCG(3, 4))
	samples := []sample{makeSample(r, "embed", I8, N16K4, 8000, 256)}
	for i := range 12 {
		samples = append(samples,
			makeSample(r, fmt.Sprintf("layers.%d.qkv", i), I8, N16K4, 768, 256),
			makeSample(r, fmt.Sprintf("layers.%d.bias", i), F32, Rows, 768),
			makeSample(r, fmt.Sprintf("layers.%d.ffn", i), I8, N16K4, 2048, 256),
		)
	}
	return append(samples, makeSample(r, "positions", F32, Rows, 256, 256))
}

// BenchmarkOpen is what starting with a model of 12 MB costs, its file being in the page cache.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "model.ei8")
	if err := write(path, testMeta(), nil, bigModel(), false); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// BenchmarkCheck is the checking alone, step by step.
func BenchmarkCheck(b *testing.B) {
	f, err := openBytes(image(b, testMeta(), nil, bigModel()))
	if err != nil {
		b.Fatal(err)
	}
	for name, step := range map[string]func() error{"sums": f.checkSums, "index": f.checkIndex, "values": f.checkValues} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(f.Size())
			for b.Loop() {
				if err := step(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
