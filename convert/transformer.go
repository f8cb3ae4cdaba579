package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// The tensors of an .ei8 file of family "transformer", in the order of first use. d = dim, f = ffn, V = vocabulary.
//
//	encoder.embed [Vs, d]                      i8 rows; absent when the decoder's serves both
//	encoder.positions [maxLen, d]              f32, row p is position p
//	encoder.embed_norm.gamma, .beta [d]        f32, optional
//	encoder.layers.N.self.qkv [3d, d]          i8 n16k4, rows q | k | v; .self.out [d, d]; .self.norm.gamma, .beta [d]
//	encoder.layers.N.ffn.in [f, d], .ffn.out [d, f], .ffn.norm.gamma, .beta
//	encoder.norm.gamma, .beta                  pre-norm only
//	decoder.embed [Vt, d]                      i8: n16k4 when it is the output too, else rows
//	decoder.positions                          absent when it equals the encoder's
//	decoder.layers.N.*                         as the encoder's, and .cross.q [d, d], .cross.kv [2d, d], .cross.out, .cross.norm
//	decoder.layers.N.ssru.in [2d, d]           instead of its self.*, rows candidate | forget gate; .ssru.norm
//	decoder.norm
//	decoder.out [Vt, d]                        i8 n16k4; absent when tied
//	decoder.out.bias [Vt]                      f32, optional
//
// Every matrix may have a .bias [rows] in f32.

// tensor is one tensor of the .ei8 file and where its numbers come from.
type tensor struct {
	spec   modelfile.TensorSpec
	parts  []part    // their rows follow one another
	values []float32 // f32 only: numbers that were computed, not read
}

// part is the first rows (of a vector: elements) of a source tensor.
type part struct {
	from *checkpoint.Tensor // nil: zeros, for the bias that one of several fused projections lacks
	rows int
}

// dialect is how a source spells the names of a layer's tensors.
type dialect struct {
	layer        func(stack string, n int) string // "encoder", 3 -> "model.encoder.layers.3."
	parts        map[string][]string              // our name in a layer -> the source's, fused in this order
	weight, bias string                           // suffixes of a matrix, or what a * in its name stands for
	gamma, beta  string                           // suffixes of a norm
}

// spell is a name with the suffix where it belongs.
func spell(name, suffix string) string {
	if before, after, ok := strings.Cut(name, "*"); ok {
		return before + suffix + after
	}
	return name + suffix
}

// builder collects the tensors of one model, checks their shapes, and keeps the first error.
type builder struct {
	ckpt    *checkpoint.Checkpoint
	dialect dialect
	renamed map[string]string // names that the file spells otherwise
	used    map[*checkpoint.Tensor]bool
	tensors []tensor
	err     error
}

func newBuilder(c *checkpoint.Checkpoint, d dialect) *builder {
	return &builder{ckpt: c, dialect: d, used: map[*checkpoint.Tensor]bool{}}
}

//go:noinline
func (b *builder) fail(tensor, reason, do string) {
	if b.err == nil {
		b.err = &checkpoint.Error{File: b.ckpt.Path, Tensor: tensor, Offset: -1, Reason: reason, Do: do}
	}
}

// find looks a tensor up and marks it as used.
func (b *builder) find(name string) (*checkpoint.Tensor, bool) {
	if stored, ok := b.renamed[name]; ok {
		name = stored
	}
	t, ok := b.ckpt.Lookup(name)
	if ok {
		b.used[t] = true
	}
	return t, ok
}

func (b *builder) need(name string) *checkpoint.Tensor {
	t, ok := b.find(name)
	if !ok {
		b.fail(name, "is missing", "the file is incomplete, or config.json belongs to another model")
	}
	return t
}

// matrix adds an int8 matrix [rows, cols] whose rows come from the named source matrices in equal parts; with cut, the
// source may have more rows, which are dropped.
func (b *builder) matrix(ours string, layout modelfile.Layout, rows, cols int, cut bool, from ...string) {
	t := tensor{spec: modelfile.TensorSpec{Name: ours, DType: modelfile.I8, Layout: layout, Shape: []int{rows, cols}}}
	for _, name := range from {
		s := b.need(name)
		if s == nil {
			return
		}
		n := rows / len(from)
		have := s.Rows()
		if len(s.Shape) != 2 || s.Cols() != cols || (have != n && !(cut && have > n)) {
			b.fail(s.Name, fmt.Sprintf("has shape %v, must be [%d %d]", s.Shape, n, cols),
				"the configuration and the weights belong to different models")
			return
		}
		t.parts = append(t.parts, part{s, n})
	}
	b.tensors = append(b.tensors, t)
}

// vector adds a float32 vector [n] out of equal parts. Where all parts are missing it is left out; where only some are,
// they are zero.
func (b *builder) vector(ours string, n int, required, cut bool, from ...string) {
	t := tensor{spec: modelfile.TensorSpec{Name: ours, DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{n}}}
	found := 0
	for _, name := range from {
		s, ok := b.find(name)
		if !ok {
			if required {
				b.need(name)
				return
			}
			t.parts = append(t.parts, part{nil, n / len(from)})
			continue
		}
		found++
		want := n / len(from)
		if have := s.Len(); s.Rows() != 1 || (have != want && !(cut && have > want)) {
			b.fail(s.Name, fmt.Sprintf("has shape %v, must be [%d]", s.Shape, want),
				"the configuration and the weights belong to different models")
			return
		}
		t.parts = append(t.parts, part{s, want})
	}
	if found > 0 {
		b.tensors = append(b.tensors, t)
	}
}

// table adds float32 rows [rows, cols]: the source's if it has them, else computed ones.
func (b *builder) table(ours string, rows, cols int, from *checkpoint.Tensor, computed []float32) {
	t := tensor{spec: modelfile.TensorSpec{Name: ours, DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{rows, cols}}}
	if from != nil {
		if len(from.Shape) != 2 || from.Cols() != cols || from.Rows() < rows {
			b.fail(from.Name, fmt.Sprintf("has shape %v, must be [%d %d]", from.Shape, rows, cols),
				"the configuration and the weights belong to different models")
			return
		}
		t.parts = []part{{from, rows}}
	} else {
		t.values = computed
	}
	b.tensors = append(b.tensors, t)
}

func (b *builder) linear(ours string, rows, cols int, from []string) {
	weights, biases := make([]string, len(from)), make([]string, len(from))
	for i, name := range from {
		weights[i], biases[i] = spell(name, b.dialect.weight), spell(name, b.dialect.bias)
	}
	b.matrix(ours, modelfile.N16K4, rows, cols, false, weights...)
	b.vector(ours+".bias", rows, false, false, biases...)
}

func (b *builder) norm(ours string, n int, from string) {
	b.vector(ours+".gamma", n, true, false, from+b.dialect.gamma)
	b.vector(ours+".beta", n, true, false, from+b.dialect.beta)
}

// optionalNorm adds a norm if the source has it.
func (b *builder) optionalNorm(ours string, n int, from string) {
	if _, ok := b.find(from + b.dialect.gamma); ok {
		b.norm(ours, n, from)
	}
}

// layers adds the layers of one stack.
func (b *builder) layers(stack string, count int, c *runtime.TransformerConfig) {
	for n := range count {
		ours, theirs := fmt.Sprintf("%s.layers.%d.", stack, n), b.dialect.layer(stack, n)
		linear := func(name string, rows, cols int) {
			var from []string
			for _, p := range b.dialect.parts[name] {
				from = append(from, theirs+p)
			}
			b.linear(ours+name, rows, cols, from)
		}
		norm := func(name string) { b.norm(ours+name, c.Dim, theirs+b.dialect.parts[name][0]) }

		if stack == "decoder" && c.DecoderMixer == runtime.MixerSSRU {
			linear("ssru.in", 2*c.Dim, c.Dim)
			norm("ssru.norm")
		} else {
			linear("self.qkv", 3*c.Dim, c.Dim)
			linear("self.out", c.Dim, c.Dim)
			norm("self.norm")
		}
		if stack == "decoder" {
			linear("cross.q", c.Dim, c.Dim)
			linear("cross.kv", 2*c.Dim, c.Dim)
			linear("cross.out", c.Dim, c.Dim)
			norm("cross.norm")
		}
		linear("ffn.in", c.FFN, c.Dim)
		linear("ffn.out", c.Dim, c.FFN)
		norm("ffn.norm")
	}
}

// ownPositions says whether the decoder has a table of positions that is not the encoder's.
func (b *builder) ownPositions(encoder, decoder string) (bool, error) {
	e, ok := b.find(encoder)
	d, found := b.find(decoder)
	if !ok || !found {
		return ok != found, nil
	}
	same, err := sameNumbers(e, d)
	return !same, err
}

// finish fails where a weight was left over: a model with a part that we do not know would give wrong results silently.
// ignore names the tensors that may stay behind.
func (b *builder) finish(ignore func(t *checkpoint.Tensor) bool) ([]tensor, error) {
	for _, name := range b.ckpt.Names() {
		t, _ := b.ckpt.Lookup(name)
		if !b.used[t] && !ignore(t) {
			b.fail(name, fmt.Sprintf("of shape %v has no place in the models that this version runs", t.Shape),
				"the architecture differs; please report which model it is")
		}
	}
	return b.tensors, b.err
}

// maxLayers bounds the layers of a stack.
const maxLayers = 1000

const damagedConfig = "the configuration is damaged, or another model's; download it again"

// maxTable bounds the floats of a table of positions, which may have to be computed: 32 MB, 8,192 positions of 1,024.
const maxTable = 1 << 23

// checkSizes refuses what the file format or the kernels cannot hold, in the source's own words.
func checkSizes(path string, c *runtime.TransformerConfig) error {
	switch {
	case c.Dim <= 0 || c.Dim%16 != 0:
		return failure(path, fmt.Sprintf("the model has %d dimensions, which is no multiple of 16", c.Dim), "this version cannot run it")
	case c.Heads <= 0 || c.Dim%c.Heads != 0:
		return failure(path, fmt.Sprintf("%d heads do not divide %d dimensions", c.Heads, c.Dim), damagedConfig)
	case c.EncoderLayers <= 0 || c.DecoderLayers <= 0:
		return failure(path, fmt.Sprintf("%d encoder and %d decoder layers", c.EncoderLayers, c.DecoderLayers), "this version runs encoder-decoder models")
	case c.EncoderLayers > maxLayers || c.DecoderLayers > maxLayers:
		return failure(path, fmt.Sprintf("%d encoder and %d decoder layers, more than %d", c.EncoderLayers, c.DecoderLayers, maxLayers), damagedConfig)
	case c.FFN <= 0 || c.Dim > 1<<16 || c.FFN > 1<<16:
		return failure(path, fmt.Sprintf("sizes %d and %d are out of range", c.Dim, c.FFN), damagedConfig)
	case c.MaxLen <= 0 || c.MaxLen > maxTable/c.Dim:
		return failure(path, fmt.Sprintf("%d positions are out of range", c.MaxLen), fmt.Sprintf("this version takes up to %d of this size", maxTable/c.Dim))
	}
	return nil
}

// outputBias adds the bias of the output, unless it is zero: some formats store that, and some leave it out.
func (b *builder) outputBias(n int, cut bool, from string) {
	if s, ok := b.find(from); ok && (s.Len() == n || cut && s.Len() > n) {
		values, err := s.F32()
		if err != nil && b.err == nil {
			b.err = err
		}
		if err != nil || !slices.ContainsFunc(values[:n], func(v float32) bool { return v != 0 }) {
			return
		}
	}
	b.vector("decoder.out.bias", n, false, cut, from)
}

// sameNumbers compares two tensors of one type and shape, element by element, in small pieces: tied weights that a format
// without aliases has stored twice.
func sameNumbers(a, b *checkpoint.Tensor) (bool, error) {
	if a.SameData(b) {
		return true, nil
	}
	if a.DType != b.DType || len(a.Shape) != len(b.Shape) || a.Rows() != b.Rows() || a.Cols() != b.Cols() {
		return false, nil
	}
	x, y := make([]float32, 16*a.Cols()), make([]float32, 16*a.Cols())
	for row := 0; row < a.Rows(); row += 16 {
		n := min(16, a.Rows()-row)
		if err := errors.Join(a.ReadF32(x, row, n), b.ReadF32(y, row, n)); err != nil {
			return false, err
		}
		for i := range n * a.Cols() {
			if x[i] != y[i] {
				return false, nil
			}
		}
	}
	return true, nil
}
