// Package reference runs a Transformer in float32, slowly and obviously: it is the oracle for what int8 and the runtime's
// kernels, batches, caches and search cost or break. It reads from top to bottom:
//
//	config + named tensors -> New -> Encode -> Decoder.Step (or Logits, without caches) -> Greedy, Beam (search.go)
//
// The tensors have the names of an .ei8 file (convert/transformer.go lists them) and are [rows, cols], row after row. They
// come from the source checkpoint (convert.OpenFloats) or from dequantized .ei8 tensors: the two differ by int8 alone.
package reference

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/viterin/vek/vek32"
)

// Tensor is a float32 matrix [rows, cols] or vector [n], row-major, without padding.
type Tensor = checkpoint.Floats

// Transformer is an encoder-decoder with its weights. It is read-only after New.
type Transformer struct {
	Config runtime.TransformerConfig

	encoder, decoder                   []layer
	encoderEmbed, decoderEmbed         Tensor // [Vs, d], [Vt, d]
	encoderPositions, decoderPositions Tensor // [maxLen, d]; no data: no positions
	encoderEmbedNorm, decoderEmbedNorm *norm  // optional
	encoderNorm, decoderNorm           *norm  // pre-norm only
	output                             linear // [Vt, d]
}

type linear struct {
	w    Tensor    // [out, in]
	bias []float32 // [out] or nil
}

type norm struct{ gamma, beta []float32 }

type layer struct {
	qkv, selfOut              linear // [3d, d], [d, d]
	ssru                      linear // decoder with an SSRU, instead of those two: [2d, d], candidate | forget gate
	crossQ, crossKV, crossOut linear // decoder only: [d, d], [2d, d], [d, d]
	ffnIn, ffnOut             linear // [f, d], [d, f]
	selfNorm, crossNorm       norm
	ffnNorm                   norm
}

// New takes the tensors by name and checks every shape against the config. The slices are kept, not copied.
func New(config *runtime.TransformerConfig, tensors map[string]Tensor) (*Transformer, error) {
	c := *config
	t := &Transformer{Config: c}
	r := &reader{tensors: tensors}
	d := c.Dim

	if c.SharedEmbeddings {
		t.encoderEmbed = r.matrix("decoder.embed", c.SourceVocab, d)
	} else {
		t.encoderEmbed = r.matrix("encoder.embed", c.SourceVocab, d)
	}
	t.decoderEmbed = r.matrix("decoder.embed", c.TargetVocab, d)
	if c.TiedOutput {
		t.output.w = t.decoderEmbed
	} else {
		t.output.w = r.matrix("decoder.out", c.TargetVocab, d)
	}
	t.output.bias = r.optional("decoder.out.bias", c.TargetVocab)
	if c.MaxLen > 0 {
		t.encoderPositions = r.matrix("encoder.positions", c.MaxLen, d)
		t.decoderPositions = t.encoderPositions
		if _, ok := tensors["decoder.positions"]; ok {
			t.decoderPositions = r.matrix("decoder.positions", c.MaxLen, d)
		}
	}
	t.encoderEmbedNorm = r.optionalNorm("encoder.embed_norm", d)
	t.decoderEmbedNorm = r.optionalNorm("decoder.embed_norm", d)
	if c.PreNorm {
		e, o := r.norm("encoder.norm", d), r.norm("decoder.norm", d)
		t.encoderNorm, t.decoderNorm = &e, &o
	}
	for i := range c.EncoderLayers {
		t.encoder = append(t.encoder, r.layer(fmt.Sprintf("encoder.layers.%d.", i), &c, false))
	}
	for i := range c.DecoderLayers {
		t.decoder = append(t.decoder, r.layer(fmt.Sprintf("decoder.layers.%d.", i), &c, true))
	}
	if _, ok := activate[c.Activation]; !ok {
		return nil, fmt.Errorf("reference: activation %q is not known", c.Activation)
	}
	return t, r.err
}

// reader looks tensors up and keeps the first error.
type reader struct {
	tensors map[string]Tensor
	err     error
}

func (r *reader) matrix(name string, rows, cols int) Tensor {
	t, ok := r.tensors[name]
	switch {
	case r.err != nil:
	case !ok:
		r.err = fmt.Errorf("reference: tensor %s is missing", name)
	case len(t.Shape) != 2 || t.Shape[0] != rows || t.Shape[1] != cols || len(t.Data) != rows*cols:
		r.err = fmt.Errorf("reference: tensor %s has shape %v and %d elements, want [%d %d]", name, t.Shape, len(t.Data), rows, cols)
	}
	return t
}

func (r *reader) vector(name string, n int) []float32 {
	t, ok := r.tensors[name]
	switch {
	case r.err != nil:
	case !ok:
		r.err = fmt.Errorf("reference: tensor %s is missing", name)
	case len(t.Data) != n:
		r.err = fmt.Errorf("reference: tensor %s has %d elements, want %d", name, len(t.Data), n)
	}
	return t.Data
}

func (r *reader) optional(name string, n int) []float32 {
	if _, ok := r.tensors[name]; !ok {
		return nil
	}
	return r.vector(name, n)
}

func (r *reader) linear(name string, rows, cols int) linear {
	return linear{r.matrix(name, rows, cols), r.optional(name+".bias", rows)}
}

func (r *reader) norm(name string, n int) norm {
	return norm{r.vector(name+".gamma", n), r.vector(name+".beta", n)}
}

func (r *reader) optionalNorm(name string, n int) *norm {
	if _, ok := r.tensors[name+".gamma"]; !ok {
		return nil
	}
	found := r.norm(name, n)
	return &found
}

func (r *reader) layer(prefix string, c *runtime.TransformerConfig, decoder bool) layer {
	d, f := c.Dim, c.FFN
	l := layer{
		ffnIn: r.linear(prefix+"ffn.in", f, d), ffnOut: r.linear(prefix+"ffn.out", d, f), ffnNorm: r.norm(prefix+"ffn.norm", d),
	}
	if decoder && c.DecoderMixer == runtime.MixerSSRU {
		l.ssru, l.selfNorm = r.linear(prefix+"ssru.in", 2*d, d), r.norm(prefix+"ssru.norm", d)
	} else {
		l.qkv, l.selfOut, l.selfNorm = r.linear(prefix+"self.qkv", 3*d, d), r.linear(prefix+"self.out", d, d), r.norm(prefix+"self.norm", d)
	}
	if decoder {
		l.crossQ = r.linear(prefix+"cross.q", d, d)
		l.crossKV = r.linear(prefix+"cross.kv", 2*d, d)
		l.crossOut = r.linear(prefix+"cross.out", d, d)
		l.crossNorm = r.norm(prefix+"cross.norm", d)
	}
	return l
}

// Source puts the config's prefix and end token around the ids of a sentence.
func (t *Transformer) Source(ids []int32) []int32 {
	out := append(append([]int32{}, t.Config.SourcePrefix...), ids...)
	if t.Config.SourceEOS {
		out = append(out, t.Config.SourceEOSID)
	}
	return out
}

// Encode returns the encoder's states [len(ids)][d]. The ids are taken as they are: see Source.
func (t *Transformer) Encode(ids []int32) ([][]float32, error) {
	c := &t.Config
	if len(ids) == 0 {
		return nil, fmt.Errorf("reference: the source has no tokens")
	}
	x := make([][]float32, len(ids))
	for p, id := range ids {
		var err error
		if x[p], err = t.embed(t.encoderEmbed, t.encoderPositions, t.encoderEmbedNorm, id, p); err != nil {
			return nil, fmt.Errorf("reference: source token %d: %w", p, err)
		}
	}
	for _, l := range t.encoder {
		// Every position's keys and values first, then every position looks at all of them.
		keys, values, queries := make([][]float32, len(x)), make([][]float32, len(x)), make([][]float32, len(x))
		for p := range x {
			qkv := l.qkv.apply(t.before(&l.selfNorm, x[p])) // [q | k | v]
			queries[p], keys[p], values[p] = qkv[:c.Dim], qkv[c.Dim:2*c.Dim], qkv[2*c.Dim:]
		}
		for p := range x {
			y := l.selfOut.apply(t.attend(queries[p], keys, values))
			x[p] = t.after(&l.selfNorm, add(x[p], y))
			x[p] = t.feedForward(&l, x[p])
		}
	}
	if t.encoderNorm != nil {
		for p := range x {
			x[p] = t.encoderNorm.apply(x[p], c.NormEps)
		}
	}
	return x, nil
}

// Decoder is one hypothesis: the keys and values of the tokens it has taken, and of the source.
type Decoder struct {
	t              *Transformer
	selfK, selfV   [][][]float32 // [layer][position][d]
	state          [][]float32   // [layer][d], of an SSRU; a step makes new ones
	crossK, crossV [][][]float32 // [layer][source position][d], shared by clones
	position       int
}

// NewDecoder starts a hypothesis over the encoder's states.
func (t *Transformer) NewDecoder(memory [][]float32) *Decoder {
	n := t.Config.DecoderLayers
	d := &Decoder{t: t, selfK: make([][][]float32, n), selfV: make([][][]float32, n), state: make([][]float32, n)}
	for _, l := range t.decoder {
		var keys, values [][]float32
		for _, m := range memory {
			kv := l.crossKV.apply(m) // [k | v]
			keys, values = append(keys, kv[:t.Config.Dim]), append(values, kv[t.Config.Dim:])
		}
		d.crossK, d.crossV = append(d.crossK, keys), append(d.crossV, values)
	}
	return d
}

// Clone returns an independent copy: both may Step on.
func (d *Decoder) Clone() Stepper {
	e := *d
	e.selfK, e.selfV = make([][][]float32, len(d.selfK)), make([][][]float32, len(d.selfV))
	for i := range d.selfK {
		e.selfK[i] = append([][]float32{}, d.selfK[i]...)
		e.selfV[i] = append([][]float32{}, d.selfV[i]...)
	}
	e.state = append([][]float32{}, d.state...)
	return &e
}

// Step feeds one token (-1: the zero embedding of a start) and returns the logits [Vt] of the next.
func (d *Decoder) Step(token int32) ([]float32, error) {
	t, c := d.t, &d.t.Config
	x, err := t.embed(t.decoderEmbed, t.decoderPositions, t.decoderEmbedNorm, token, d.position)
	if err != nil {
		return nil, fmt.Errorf("reference: target token %d: %w", d.position, err)
	}
	d.position++
	for i, l := range t.decoder {
		var y []float32
		if h := t.before(&l.selfNorm, x); c.DecoderMixer == runtime.MixerSSRU {
			y, d.state[i] = l.recur(h, d.state[i])
		} else {
			qkv := l.qkv.apply(h)
			d.selfK[i] = append(d.selfK[i], qkv[c.Dim:2*c.Dim])
			d.selfV[i] = append(d.selfV[i], qkv[2*c.Dim:])
			y = l.selfOut.apply(t.attend(qkv[:c.Dim], d.selfK[i], d.selfV[i]))
		}
		x = t.after(&l.selfNorm, add(x, y))

		q := l.crossQ.apply(t.before(&l.crossNorm, x))
		y = l.crossOut.apply(t.attend(q, d.crossK[i], d.crossV[i]))
		x = t.after(&l.crossNorm, add(x, y))

		x = t.feedForward(&l, x)
	}
	if t.decoderNorm != nil {
		x = t.decoderNorm.apply(x, c.NormEps)
	}
	return t.output.apply(x), nil
}

// recur is one step of a simpler simple recurrent unit (Kim et al. 2019, section 3.1): c' = f·c + (1-f)·Wx with
// f = sigmoid(Wf x + bf), and the output relu(c'). state nil: c is zero.
func (l *layer) recur(x, state []float32) (out, next []float32) {
	both := l.ssru.apply(x)
	out, next = make([]float32, len(x)), make([]float32, len(x))
	for j := range x {
		f := 1 / (1 + math.Exp(-float64(both[len(x)+j])))
		c := (1 - f) * float64(both[j])
		if state != nil {
			c += f * float64(state[j])
		}
		next[j] = float32(c)
		out[j] = max(0, next[j])
	}
	return out, next
}

// Logits returns the logits after each of the target tokens in one pass without caches, the way a model is trained: it
// checks Step.
func (t *Transformer) Logits(memory [][]float32, target []int32) ([][]float32, error) {
	c := &t.Config
	x := make([][]float32, len(target))
	for p, id := range target {
		var err error
		if x[p], err = t.embed(t.decoderEmbed, t.decoderPositions, t.decoderEmbedNorm, id, p); err != nil {
			return nil, fmt.Errorf("reference: target token %d: %w", p, err)
		}
	}
	for _, l := range t.decoder {
		var crossK, crossV [][]float32
		mix := t.attendPast
		if t.Config.DecoderMixer == runtime.MixerSSRU {
			mix = t.recurPast
		}
		past := mix(&l, x)
		for _, m := range memory {
			kv := l.crossKV.apply(m)
			crossK, crossV = append(crossK, kv[:c.Dim]), append(crossV, kv[c.Dim:])
		}
		for p := range x {
			x[p] = t.after(&l.selfNorm, add(x[p], past[p]))
			q := l.crossQ.apply(t.before(&l.crossNorm, x[p]))
			x[p] = t.after(&l.crossNorm, add(x[p], l.crossOut.apply(t.attend(q, crossK, crossV))))
			x[p] = t.feedForward(&l, x[p])
		}
	}
	for p := range x {
		if t.decoderNorm != nil {
			x[p] = t.decoderNorm.apply(x[p], c.NormEps)
		}
		x[p] = t.output.apply(x[p])
	}
	return x, nil
}

// attendPast is what the self-attention of a decoder layer gives at each position: over what came before, and itself.
func (t *Transformer) attendPast(l *layer, x [][]float32) [][]float32 {
	dim := t.Config.Dim
	var keys, values, out [][]float32
	for p := range x {
		qkv := l.qkv.apply(t.before(&l.selfNorm, x[p]))
		keys, values = append(keys, qkv[dim:2*dim]), append(values, qkv[2*dim:])
		out = append(out, l.selfOut.apply(t.attend(qkv[:dim], keys, values)))
	}
	return out
}

// recurPast is what an SSRU gives at each position, written out: c = Σ over s <= p of (1 - f[s])·y[s] · Π over s < u <= p of f[u].
func (t *Transformer) recurPast(l *layer, x [][]float32) [][]float32 {
	dim := t.Config.Dim
	var both, out [][]float32
	for p := range x {
		both = append(both, l.ssru.apply(t.before(&l.selfNorm, x[p])))
		y := make([]float32, dim)
		for j := range y {
			c, kept := 0.0, 1.0
			for s := p; s >= 0; s-- {
				f := 1 / (1 + math.Exp(-float64(both[s][dim+j])))
				c += kept * (1 - f) * float64(both[s][j])
				kept *= f
			}
			y[j] = float32(max(0, c))
		}
		out = append(out, y)
	}
	return out
}

// embed returns table[id] * scale + positions[p], normed where the model does so. id -1 is the zero vector.
func (t *Transformer) embed(table, positions Tensor, n *norm, id int32, p int) ([]float32, error) {
	dim := t.Config.Dim
	x := make([]float32, dim)
	if id < -1 || int(id) >= table.Shape[0] {
		return nil, fmt.Errorf("id %d is outside of the vocabulary of %d", id, table.Shape[0])
	}
	if id >= 0 {
		for j, w := range table.Data[int(id)*dim : (int(id)+1)*dim] {
			x[j] = w * t.Config.EmbedScale
		}
	}
	if len(positions.Data) > 0 {
		if p >= positions.Shape[0] {
			return nil, fmt.Errorf("the model has %d positions", positions.Shape[0])
		}
		x = add(x, positions.Data[p*dim:(p+1)*dim])
	}
	if n != nil {
		x = n.apply(x, t.Config.NormEps)
	}
	return x, nil
}

// attend is softmax(q · kᵀ / sqrt(headDim)) · v, head by head. q [d], keys and values [n][d].
func (t *Transformer) attend(q []float32, keys, values [][]float32) []float32 {
	headDim := t.Config.Dim / t.Config.Heads
	scale := float32(1 / math.Sqrt(float64(headDim)))
	out := make([]float32, len(q))
	scores := make([]float32, len(keys))
	for lo := 0; lo < len(q); lo += headDim {
		hi := lo + headDim
		for p, k := range keys {
			scores[p] = dot(q[lo:hi], k[lo:hi]) * scale
		}
		softmax(scores)
		for p, v := range values {
			for j := lo; j < hi; j++ {
				out[j] += scores[p] * v[j]
			}
		}
	}
	return out
}

func (t *Transformer) feedForward(l *layer, x []float32) []float32 {
	h := l.ffnIn.apply(t.before(&l.ffnNorm, x))
	act := activate[t.Config.Activation]
	for i := range h {
		h[i] = float32(act(float64(h[i])))
	}
	return t.after(&l.ffnNorm, add(x, l.ffnOut.apply(h)))
}

// before is the norm of a pre-norm model, after that of a post-norm one.
func (t *Transformer) before(n *norm, x []float32) []float32 {
	if t.Config.PreNorm {
		return n.apply(x, t.Config.NormEps)
	}
	return x
}

func (t *Transformer) after(n *norm, x []float32) []float32 {
	if t.Config.PreNorm {
		return x
	}
	return n.apply(x, t.Config.NormEps)
}

// activate holds the activations by their name in the config.
var activate = map[string]func(float64) float64{
	"relu": func(x float64) float64 { return math.Max(x, 0) },
	"gelu": func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) },
	"gelu_tanh": func(x float64) float64 {
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+float64(0.044715*x*x*x))))
	},
	"gelu_sigmoid": func(x float64) float64 { return x / (1 + math.Exp(-1.702*x)) },
	"silu":         func(x float64) float64 { return x / (1 + math.Exp(-x)) },
}

// apply is x · wᵀ + bias.
func (l linear) apply(x []float32) []float32 {
	out := make([]float32, l.w.Shape[0])
	for n := range out {
		out[n] = dot(x, l.w.Data[n*len(x):(n+1)*len(x)])
		if l.bias != nil {
			out[n] += l.bias[n]
		}
	}
	return out
}

func (n norm) apply(x []float32, eps float32) []float32 {
	var mean, variance float64
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	inv := 1 / math.Sqrt(variance/float64(len(x))+float64(eps))
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32((float64(v)-mean)*inv)*n.gamma[i] + n.beta[i]
	}
	return out
}

func softmax(x []float32) {
	top := vek32.Max(x)
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - top))
		x[i] = float32(e)
		sum += e
	}
	for i := range x {
		x[i] = float32(float64(x[i]) / sum)
	}
}

func dot(x, y []float32) float32 { return vek32.Dot(x, y) }

func add(x, y []float32) []float32 { return vek32.Add(x, y) }
