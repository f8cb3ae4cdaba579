package runtime

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// linear is y = W x + b over weights that lie in the mapped file.
type linear struct {
	kernels.Weights
	name string // for errors: the layer whose input left the range
}

// columns is the part of a matrix that gives outputs [n0, n1), both multiples of 16.
func (l *linear) columns(n0, n1 int) kernels.Weights {
	w := kernels.Weights{N: n1 - n0, K: l.K, Data: l.Data[n0*l.K : n1*l.K], Scale: l.Scale[n0:n1], Sum: l.Sum[n0:n1]}
	if l.Bias != nil {
		w.Bias = l.Bias[n0:n1]
	}
	return w
}

// use gets ready to multiply with columns from n0 on, and says how far: all of them to end, or of a file that does not fit into memory as
// many as its window takes at a time.
func (l *linear) use(f *modelfile.File, n0, end int) (n1 int) {
	if !f.Narrowed() {
		return end
	}
	n1 = min(n0+max(modelfile.WindowPiece/l.K&^15, 16), end)
	w := l.columns(n0, n1)
	f.Use(modelfile.Bytes(w.Data), modelfile.Bytes(w.Scale), modelfile.Bytes(w.Sum), modelfile.Bytes(w.Bias))
	return n1
}

// norm is a layer norm over Dim values.
type norm struct {
	gamma, beta []float32
}

// embedding looks rows up in an int8 table, in either layout: a table that is also the output matrix lies in blocks.
type embedding struct {
	data    []int8
	scale   []float32 // one a row
	blocked bool      // N16K4
	stride  int       // padded columns
	mul     float32   // the model's embedding scale
}

// row writes one dequantized row: dst[j] = q[j] * (scale * mul). len(dst) is the real number of columns.
func (e *embedding) row(dst []float32, id int) {
	s := e.scale[id] * e.mul
	if !e.blocked {
		q := e.data[id*e.stride:][:len(dst)]
		for j := range dst {
			dst[j] = float32(q[j]) * s
		}
		return
	}
	q := e.data[id/16*16*e.stride+id%16*4:]
	for j := range dst {
		dst[j] = float32(q[j/4*64+j%4]) * s
	}
}

// encoderLayer and decoderLayer hold the weights of one layer; cross is absent in the encoder. A decoder with an SSRU has ssru
// instead of qkv and out.
type encoderLayer struct {
	qkv, out linear
	selfNorm norm
	ffn      ffn
}

type ffn struct {
	in, out linear
	norm    norm
}

type decoderLayer struct {
	encoderLayer
	ssru            linear // [2d, d]: the candidate's rows, then the forget gate's
	q, kv, crossOut linear
	crossNorm       norm
}

// transformer is the Model's read-only view of a file of family "transformer": every slice points into the map.
type transformer struct {
	cfg *TransformerConfig
	act kernels.Activation

	sourceEmbed, targetEmbed         embedding
	sourcePositions, targetPositions []float32 // [MaxLen, Dim]
	sourceEmbedNorm, targetEmbedNorm norm      // gamma nil: none
	encoder                          []encoderLayer
	decoder                          []decoderLayer
	encoderNorm, decoderNorm         norm // pre-norm models only
	output                           linear
	shortlist                        *shortlist // nil: none
}

// binder takes tensors out of a file by name and checks their type, layout and shape. The first failure is kept, so that
// binding a whole model reads as a list.
type binder struct {
	file *modelfile.File
	used map[string]bool
	err  error
}

//go:noinline
func (b *binder) fail(name, format string, args ...any) {
	if b.err == nil {
		b.err = &ModelError{b.file.Path(), "tensor " + name, fmt.Sprintf(format, args...)}
	}
}

// tensor returns nil where the tensor lacks and must not be there.
func (b *binder) tensor(name string, required bool, dtype modelfile.DType, layout modelfile.Layout, shape ...int) *modelfile.Tensor {
	t, ok := b.file.Lookup(name)
	if !ok {
		if required {
			b.fail(name, "is missing")
		}
		return nil
	}
	b.used[name] = true
	if t.DType != dtype || t.Layout != layout {
		b.fail(name, "has type %v in layout %v, must be %v in %v", t.DType, t.Layout, dtype, layout)
		return nil
	}
	if len(t.Shape) != len(shape) {
		b.fail(name, "has shape %v, must be %v", t.Shape, shape)
		return nil
	}
	for i := range shape {
		if t.Shape[i] != shape[i] {
			b.fail(name, "has shape %v, must be %v", t.Shape, shape)
			return nil
		}
	}
	return t
}

// floats returns a float32 vector with its zero padding, nil when it lacks. The file's check has found it finite.
func (b *binder) floats(name string, required bool, shape ...int) []float32 {
	t := b.tensor(name, required, modelfile.F32, modelfile.Rows, shape...)
	if t == nil {
		return nil
	}
	return t.F32()
}

func (b *binder) linear(name string, rows, cols int) linear {
	l := linear{name: name}
	l.N, l.K = kernels.Pad16(rows), kernels.Pad16(cols)
	t := b.tensor(name, true, modelfile.I8, modelfile.N16K4, rows, cols)
	if t == nil {
		return l
	}
	l.Data, l.Scale, l.Sum = t.I8(), t.Scale, t.Sum
	l.Bias = b.floats(name+".bias", false, rows)
	return l
}

func (b *binder) norm(name string, required bool, dim int) norm {
	n := norm{gamma: b.floats(name+".gamma", required, dim)}
	if n.gamma == nil {
		return norm{}
	}
	n.gamma = n.gamma[:dim]
	if n.beta = b.floats(name+".beta", true, dim); n.beta != nil {
		n.beta = n.beta[:dim]
	}
	return n
}

func (b *binder) embedding(name string, rows, cols int, layout modelfile.Layout, mul float32) embedding {
	t := b.tensor(name, true, modelfile.I8, layout, rows, cols)
	if t == nil {
		return embedding{}
	}
	return embedding{t.I8(), t.Scale, layout == modelfile.N16K4, kernels.Pad16(cols), mul}
}

// bindTransformer checks that the file holds exactly the tensors that its config demands.
func bindTransformer(file *modelfile.File, cfg *TransformerConfig) (*transformer, error) {
	b := &binder{file: file, used: map[string]bool{}}
	d := cfg.Dim
	m := &transformer{cfg: cfg, act: activations[cfg.Activation]}

	layout := modelfile.Rows
	if cfg.TiedOutput {
		layout = modelfile.N16K4
	}
	m.targetEmbed = b.embedding("decoder.embed", cfg.TargetVocab, d, layout, cfg.EmbedScale)
	if cfg.SharedEmbeddings {
		if cfg.SourceVocab != cfg.TargetVocab {
			b.fail("decoder.embed", "is shared, but the vocabularies have %d and %d tokens", cfg.SourceVocab, cfg.TargetVocab)
		}
		m.sourceEmbed = m.targetEmbed
	} else {
		m.sourceEmbed = b.embedding("encoder.embed", cfg.SourceVocab, d, modelfile.Rows, cfg.EmbedScale)
	}
	if cfg.TiedOutput {
		m.output = b.linear("decoder.embed", cfg.TargetVocab, d)
		m.output.Bias = b.floats("decoder.out.bias", false, cfg.TargetVocab)
	} else {
		m.output = b.linear("decoder.out", cfg.TargetVocab, d)
	}
	m.sourcePositions = b.floats("encoder.positions", true, cfg.MaxLen, d)
	if m.targetPositions = b.floats("decoder.positions", false, cfg.MaxLen, d); m.targetPositions == nil {
		m.targetPositions = m.sourcePositions
	}
	m.sourceEmbedNorm = b.norm("encoder.embed_norm", false, d)
	m.targetEmbedNorm = b.norm("decoder.embed_norm", false, d)

	m.encoder = make([]encoderLayer, cfg.EncoderLayers)
	for i := range m.encoder {
		p := fmt.Sprintf("encoder.layers.%d", i)
		m.encoder[i].attention(b, p, d)
		m.encoder[i].ffn = b.ffn(p, cfg)
	}
	m.decoder = make([]decoderLayer, cfg.DecoderLayers)
	for i := range m.decoder {
		p := fmt.Sprintf("decoder.layers.%d", i)
		l := &m.decoder[i]
		if cfg.DecoderMixer == MixerSSRU {
			l.ssru = b.linear(p+".ssru.in", 2*d, d)
			l.selfNorm = b.norm(p+".ssru.norm", true, d)
		} else {
			l.attention(b, p, d)
		}
		l.q = b.linear(p+".cross.q", d, d)
		l.kv = b.linear(p+".cross.kv", 2*d, d)
		l.crossOut = b.linear(p+".cross.out", d, d)
		l.crossNorm = b.norm(p+".cross.norm", true, d)
		l.ffn = b.ffn(p, cfg)
	}
	m.encoderNorm = b.norm("encoder.norm", cfg.PreNorm, d)
	m.decoderNorm = b.norm("decoder.norm", cfg.PreNorm, d)
	for _, t := range file.Tensors() {
		if !b.used[t.Name] {
			b.fail(t.Name, "is not part of this model")
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return m, nil
}

// attention binds the self-attention of layer p.
func (l *encoderLayer) attention(b *binder, p string, d int) {
	l.qkv = b.linear(p+".self.qkv", 3*d, d)
	l.out = b.linear(p+".self.out", d, d)
	l.selfNorm = b.norm(p+".self.norm", true, d)
}

func (b *binder) ffn(p string, cfg *TransformerConfig) ffn {
	return ffn{
		in:   b.linear(p+".ffn.in", cfg.FFN, cfg.Dim),
		out:  b.linear(p+".ffn.out", cfg.Dim, cfg.FFN),
		norm: b.norm(p+".ffn.norm", true, cfg.Dim),
	}
}

// attentionScale is 1/sqrt(headDim), applied to the scores.
func (m *transformer) attentionScale() float32 {
	return float32(1 / math.Sqrt(float64(m.cfg.Dim/m.cfg.Heads)))
}
