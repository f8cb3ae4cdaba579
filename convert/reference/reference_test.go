package reference

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
)

// random makes a small model of random weights. The agreement with PyTorch and CTranslate2 is tested in package convert.
func random(t *testing.T, c runtime.TransformerConfig) (*Transformer, map[string]Tensor) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	tensors := map[string]Tensor{}
	fill := func(name string, scale float64, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := Tensor{Shape: shape, Data: make([]float32, n)}
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64() * scale)
		}
		tensors[name] = x
	}
	d, f := c.Dim, c.FFN
	linear := func(name string, rows, cols int) {
		fill(name, 1.5/math.Sqrt(float64(cols)), rows, cols)
		fill(name+".bias", 0.2, rows)
	}
	norm := func(name string) { fill(name+".gamma", 1, d); fill(name+".beta", 0.3, d) }
	fill("encoder.embed", 0.5, c.SourceVocab, d)
	fill("decoder.embed", 0.5, c.TargetVocab, d)
	fill("decoder.out.bias", 0.5, c.TargetVocab)
	fill("encoder.positions", 0.5, c.MaxLen, d)
	for _, stack := range []string{"encoder", "decoder"} {
		norm(stack + ".norm")
		p := stack + ".layers.0."
		linear(p+"self.qkv", 3*d, d)
		linear(p+"self.out", d, d)
		linear(p+"cross.q", d, d)
		linear(p+"cross.kv", 2*d, d)
		linear(p+"cross.out", d, d)
		linear(p+"ffn.in", f, d)
		linear(p+"ffn.out", d, f)
		linear(p+"ssru.in", 2*d, d)
		norm(p + "self.norm")
		norm(p + "ssru.norm")
		norm(p + "cross.norm")
		norm(p + "ffn.norm")
	}
	m, err := New(&c, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return m, tensors
}

func small(preNorm bool, vocab int) runtime.TransformerConfig {
	return runtime.TransformerConfig{EncoderLayers: 1, DecoderLayers: 1, Dim: 16, Heads: 4, FFN: 24, SourceVocab: 9, TargetVocab: vocab,
		MaxLen: 12, PreNorm: preNorm, NormEps: 1e-5, Activation: "gelu", EmbedScale: 4, TiedOutput: true, DecoderStart: -1, TargetUnk: -1}
}

// TestCaches: one step at a time gives the logits of the pass without caches, and a clone goes its own way.
func TestCaches(t *testing.T) {
	for i := range 4 {
		preNorm := i%2 == 1
		c := small(preNorm, 7)
		if i > 1 {
			c.DecoderMixer = runtime.MixerSSRU
		}
		m, _ := random(t, c)
		memory, err := m.Encode([]int32{3, 1, 4, 8})
		if err != nil {
			t.Fatal(err)
		}
		target := []int32{-1, 2, 6, 2, 5}
		want, err := m.Logits(memory, target)
		if err != nil {
			t.Fatal(err)
		}
		d := m.NewDecoder(memory)
		for p, id := range target {
			if _, err := d.Clone().Step(1); err != nil { // must leave no trace
				t.Fatal(err)
			}
			got, err := d.Step(id)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if math.Abs(float64(got[i]-want[p][i])) > 1e-5 {
					t.Fatalf("pre-norm %v, position %d, logit %d: %g with caches, %g without", preNorm, p, i, got[i], want[p][i])
				}
			}
		}
	}
}

// TestBeamIsExhaustive: with as many beams as there are sentences the search finds the best of all, counted out one by one.
func TestBeamIsExhaustive(t *testing.T) {
	m, _ := random(t, small(false, 4))
	const length = 3
	source := []int32{5, 2, 7}
	memory, err := m.Encode(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, penalty := range []float32{0.5, 1} {
		var best Hypothesis
		best.Score = float32(math.Inf(-1))
		var visit func(ids []int32, sum float64)
		visit = func(ids []int32, sum float64) {
			if len(ids) == length || len(ids) > 0 && ids[len(ids)-1] == m.Config.EOS {
				score := float32(sum / math.Pow(float64(len(ids)), float64(penalty)))
				if score > best.Score {
					best = Hypothesis{IDs: slices.Clone(ids), Score: score}
				}
				return
			}
			all, err := m.Logits(memory, append([]int32{-1}, ids...))
			if err != nil {
				t.Fatal(err)
			}
			logits := all[len(ids)]
			var total float64
			for _, v := range logits {
				total += math.Exp(float64(v))
			}
			for id, v := range logits {
				visit(append(slices.Clone(ids), int32(id)), sum+float64(v)-math.Log(total))
			}
		}
		visit(nil, 0)
		got, err := m.Search(source, SearchOptions{Beam: 64, MaxLength: length, LengthPenalty: penalty})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.IDs, best.IDs) || math.Abs(float64(got.Score-best.Score)) > 1e-5 {
			t.Errorf("penalty %g: %+v, the best of all is %+v", penalty, got, best)
		}
	}
}

// TestLimits: the end token waits for MinLength, MaxLength cuts, suppressed tokens never come.
func TestLimits(t *testing.T) {
	c := small(true, 7)
	c.Suppress = []int32{3, 5}
	m, _ := random(t, c)
	for _, beam := range []int{1, 3} {
		for lo := range 6 {
			h, err := m.Search([]int32{1, 2}, SearchOptions{Beam: beam, MinLength: lo, MaxLength: 6, LengthPenalty: 1})
			if err != nil {
				t.Fatal(err)
			}
			end := slices.Index(h.IDs, c.EOS)
			if len(h.IDs) > 6 || end >= 0 && end < lo || slices.Contains(h.IDs, 3) || slices.Contains(h.IDs, 5) {
				t.Errorf("beam %d, at least %d: %v", beam, lo, h.IDs)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	c := small(true, 7)
	m, tensors := random(t, c)
	memory, err := m.Encode([]int32{1})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"has no tokens":        func() error { _, err := m.Encode(nil); return err },
		"outside of the vocab": func() error { _, err := m.Encode([]int32{9}); return err },
		"id 7 is outside":      func() error { _, err := m.NewDecoder(memory).Step(7); return err },
		"has 12 positions":     func() error { _, err := m.Encode(make([]int32, 13)); return err },
		"target token 12":      func() error { _, err := m.Greedy([]int32{1}, SearchOptions{MinLength: 20}); return err },
		"qkv.bias has 5": func() error {
			return without(c, tensors, "encoder.layers.0.self.qkv.bias", &Tensor{Shape: []int{5}, Data: make([]float32, 5)})
		},
		"decoder.embed has": func() error {
			return without(c, tensors, "decoder.embed", &Tensor{Shape: []int{7, 8}, Data: make([]float32, 56)})
		},
		"cross.kv is missing":   func() error { return without(c, tensors, "decoder.layers.0.cross.kv", nil) },
		"norm.gamma is missing": func() error { return without(c, tensors, "decoder.norm.gamma", nil) },
		"activation":            func() error { c := c; c.Activation = "x"; _, err := New(&c, tensors); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// without tries New with one tensor replaced or removed.
func without(c runtime.TransformerConfig, tensors map[string]Tensor, name string, other *Tensor) error {
	changed := map[string]Tensor{}
	for k, v := range tensors {
		changed[k] = v
	}
	delete(changed, name)
	if other != nil {
		changed[name] = *other
	}
	_, err := New(&c, changed)
	return err
}

func TestTop(t *testing.T) {
	x := []float32{3, 7, 7, 1, 7, 9}
	for n, want := range [][]int{{}, {5}, {5, 1}, {5, 1, 2}, {5, 1, 2, 4}, {5, 1, 2, 4, 0}, {5, 1, 2, 4, 0, 3}, {5, 1, 2, 4, 0, 3}} {
		if n == 0 {
			continue
		}
		if got := top(x, n); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}
