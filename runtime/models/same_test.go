//go:build !noembed

package models_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/models"
)

// runShapes are the threads and batches that must not change a byte.
var runShapes = []struct{ batch, threads int }{{1, 1}, {1, 2}, {8, 1}, {8, 2}, {32, 1}, {32, 2}}

// eachRun calls f for every kernel set with every shape, with -short (under emulation) the best set alone with half of them.
func eachRun(t *testing.T, f func(set string, batch, threads int) string, want string) {
	t.Helper()
	sets, shapes := kernels.Available(), runShapes
	if testing.Short() {
		sets, shapes = sets[len(sets)-1:], shapes[3:]
	}
	for _, set := range sets {
		for _, shape := range shapes {
			if got := f(set.Name, shape.batch, shape.threads); got != want {
				t.Errorf("%s, batch %d, %d threads: hash %s, want %s", set.Name, shape.batch, shape.threads, got, want)
			}
		}
	}
}

func openModel(t *testing.T, name string) *edge.Model {
	t.Helper()
	image, ok := models.Get(name)
	if !ok {
		t.Fatalf("this build has no model %q", name)
	}
	m, err := edge.OpenEmbedded(name, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func hashOf(values any) string {
	h := sha256.New()
	if err := binary.Write(h, binary.LittleEndian, values); err != nil {
		panic(err) // slices of numbers always can be written
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// The recurrent models put out the same bits for 32 texts of 1 to 12 random words on every kernel set, for any batch and
// threads, on every architecture: the hashes were taken on amd64. A model that is trained anew has a new one.
func TestRecurrentSameBits(t *testing.T) {
	const texts, steps = 32, 12
	for name, want := range map[string]string{"lstm": "1d82f55fa5bbbbc6", "rnn": "f84f3e4301f910dc"} {
		t.Run(name, func(t *testing.T) {
			m := openModel(t, name)
			cfg := m.RNNConfig()
			width := cfg.OutputWidth()
			r := rand.New(rand.NewPCG(15, 1))
			ids, lengths := make([]int32, texts*steps), make([]int, texts)
			for i := range ids {
				ids[i] = int32(r.IntN(cfg.Vocab))
			}
			for i := range lengths {
				lengths[i] = 1 + r.IntN(steps)
			}
			eachRun(t, func(set string, batch, threads int) string {
				s, err := m.NewStream(edge.StreamOptions{Batch: batch, Threads: threads, Kernels: set, MaxSteps: 5})
				if err != nil {
					t.Fatal(err)
				}
				rows := 1
				if cfg.Output == edge.OutputSteps {
					rows = steps
				}
				out := make([]float32, texts*rows*width)
				for i := 0; i < texts; i += batch {
					s.Reset()
					if err := s.RunTokens(out[i*rows*width:][:batch*rows*width], ids[i*steps:][:batch*steps], steps, lengths[i:i+batch]); err != nil {
						t.Fatal(err)
					}
				}
				return hashOf(out)
			}, want)
		})
	}
}

// The neighbours of 96 flowers that do not exist, and their distances, are the same bits on every kernel set, for any batch
// and threads, on every architecture.
func TestNeighborsSameBits(t *testing.T) {
	const queries = 96
	m := openModel(t, "iris")
	r := rand.New(rand.NewPCG(16, 2))
	values := make([][]float64, queries)
	for i := range values {
		values[i] = []float64{4 + 4*r.Float64(), 2 + 2*r.Float64(), 1 + 8*r.Float64(), 2 * r.Float64()} // powers of two: nothing to fuse
	}
	for metric, want := range map[string]string{
		"euclidean": "7663162e26b2faab", "manhattan": "352cf8f21aaae1fd", "chebyshev": "c8878e6c16c2fe0b", "cosine": "67a55c724f078df5",
	} {
		t.Run(metric, func(t *testing.T) {
			eachRun(t, func(set string, batch, threads int) string {
				c, err := m.NewClassifier(edge.KNNOptions{K: 7, Metric: metric, Batch: batch, Threads: threads, Kernels: set})
				if err != nil {
					t.Fatal(err)
				}
				var found []float64
				for i := 0; i < queries; i += batch {
					c.Reset()
					for _, v := range values[i : i+batch] {
						if _, err := c.Add(v); err != nil {
							t.Fatal(err)
						}
					}
					if err := c.Run(); err != nil {
						t.Fatal(err)
					}
					for j := range batch {
						for _, n := range c.Neighbors(j) {
							found = append(found, float64(n.Row), n.Distance)
						}
					}
				}
				if len(found) != queries*7*2 {
					return fmt.Sprintf("of %d numbers", len(found))
				}
				return hashOf(found)
			}, want)
		})
	}
}
