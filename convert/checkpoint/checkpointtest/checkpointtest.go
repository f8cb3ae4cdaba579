// Package checkpointtest is what the tests of all readers share: comparing an opened checkpoint with what
// the original framework read from the same file, and treating readers badly. Only tests import it.
package checkpointtest

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// Compare checks c against a JSON file {name: {"shape": [...], "values": [float32...]}}: the same names
// (aliases included), shapes, and bits. Rows are read all at once, one by one, and two by two.
func Compare(t *testing.T, c *checkpoint.Checkpoint, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct {
		Shape  []int
		Values []float64 // of float32: exact
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Names()) + len(c.Aliases()); n != len(want) {
		t.Errorf("%d names and aliases, want %d: %q %q", n, len(want), c.Names(), c.Aliases())
	}
	for name, w := range want {
		x, ok := c.Lookup(name)
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if len(x.Shape) != len(w.Shape) {
			t.Errorf("%s: shape %v, want %v", name, x.Shape, w.Shape)
			continue
		}
		for i, d := range w.Shape {
			if x.Shape[i] != d {
				t.Errorf("%s: shape %v, want %v", name, x.Shape, w.Shape)
			}
		}
		rows, cols := x.Rows(), x.Cols()
		for _, step := range []int{max(rows, 1), 1, 2} {
			got := make([]float32, rows*cols)
			for r := 0; r < rows; r += step {
				n := min(step, rows-r)
				if err := x.ReadF32(got[r*cols:(r+n)*cols], r, n); err != nil {
					t.Fatal(err)
				}
			}
			for i, v := range w.Values {
				if math.Float32bits(got[i]) != math.Float32bits(float32(v)) {
					t.Errorf("%s, %d rows at a time: element %d is %v, want %v", name, step, i, got[i], v)
					break
				}
			}
		}
	}
}

// Drain reads every tensor, a few rows, in every way. What comes of it does not matter; it must not panic.
func Drain(c *checkpoint.Checkpoint) {
	for _, name := range append(c.Names(), c.Aliases()...) {
		x, ok := c.Lookup(name)
		if !ok {
			panic("a listed name is not there: " + name)
		}
		rows, cols := x.Rows(), x.Cols()
		if rows == 0 || cols == 0 || cols > 1<<16 {
			continue
		}
		n := min(rows, 3)
		_ = x.ReadF32(make([]float32, n*cols), rows-n, n)
		_ = x.ReadI8(make([]int8, cols), rows-1, 1)
		_, _ = x.Int()
		if x.Scale != nil {
			_ = x.ReadScale(make([]float32, 1), rows-1, 1)
		}
	}
}

// Spoil calls open with every truncation of data, and with every bit of its first part bytes flipped, one at a
// time. open must not panic; what it makes of a flipped bit is its own matter, but for a truncation it must
// return an error.
func Spoil(t *testing.T, data []byte, part int, open func(data []byte) error) {
	t.Helper()
	for n := range data {
		if open(data[:n:n]) == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(data))
		}
	}
	spoiled := append([]byte(nil), data...)
	for i := range min(part, len(data)) {
		for bit := range 8 {
			spoiled[i] ^= 1 << bit
			_ = open(spoiled)
			spoiled[i] ^= 1 << bit
		}
	}
}
