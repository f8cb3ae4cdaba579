package convert

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/ctranslate2"
	"github.com/edge-infer/edge-infer/convert/reference"
)

// TestCTranslate2Forms: what CTranslate2 stores in each of its quantizations, and in its further layouts, gives what CTranslate2 says
// of the same file, calculated in float32 on the same weights.
func TestCTranslate2Forms(t *testing.T) {
	folders, err := filepath.Glob("testdata/ct2-forms-*")
	if err != nil || len(folders) != 9 {
		t.Fatal(folders, err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var golden ctranslate2Golden
			readGolden(t, folder, &golden)
			compareRuns(t, openReference(t, folder), golden.Items)
			// The file gives nearly the same: what int8 weights change of other types, and nothing of int8.
			f, report := converted(t, folder, Options{})
			m, err := referenceOf(FloatsOf(f))
			if err != nil {
				t.Fatal(err)
			}
			copied := true
			for _, row := range report.Tensors {
				copied = copied && row.Copied
			}
			int8Source := filepath.Base(folder)[len("ct2-forms-"):][:3] == "int" && folder != "testdata/ct2-forms-int16"
			if copied != int8Source {
				t.Errorf("weights are copied: %v", copied)
			}
			same, runs := 0, 0
			for _, item := range golden.Items {
				for _, run := range item.Runs {
					h, err := m.Search(item.Source, reference.SearchOptions{Beam: run.Beam, LengthPenalty: run.LengthPenalty, MinLength: run.MinLength, MaxLength: run.MaxLength})
					if err != nil {
						t.Fatal(err)
					}
					runs++
					if slices.Equal(h.IDs, run.IDs) {
						same++
					}
				}
			}
			if copied && same != runs || same < runs*2/3 {
				t.Errorf("%d of %d runs give the same tokens", same, runs)
			}
			t.Logf("%d of %d runs give the same tokens", same, runs)
		})
	}
}

// TestShardsGolden: bfloat16 in two shards as transformers wrote them, two vocabularies of different sizes, no tables of positions.
func TestShardsGolden(t *testing.T) {
	const folder = "testdata/marian-shards"
	m := openReference(t, folder)
	if c := m.Config; c.SourceVocab != 60 || c.TargetVocab != 50 || c.DecoderStart != -1 || !slices.Equal(c.Suppress, []int32{49}) || c.Activation != "gelu_tanh" {
		t.Errorf("%+v", c)
	}
	comparePyTorch(t, folder, m)
}

// ct2Variable is a variable of a model.bin.
type ct2Variable struct {
	name  string
	shape []uint32
	dtype byte
	data  []byte
}

// editCTranslate2 lets f change the variables of a model.bin of version 6. Aliases stay.
func editCTranslate2(f func(v []ct2Variable) []ct2Variable) func(t *testing.T, folder string) {
	return func(t *testing.T, folder string) {
		t.Helper()
		path := filepath.Join(folder, "model.bin")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		le := binary.LittleEndian
		at := 0
		u32 := func() uint32 { at += 4; return le.Uint32(raw[at-4:]) }
		text := func() string {
			n := int(le.Uint16(raw[at:]))
			at += 2 + n
			return string(raw[at-n : at-1])
		}
		u32()
		text()
		u32()
		head := raw[:at]
		variables := make([]ct2Variable, u32())
		for i := range variables {
			v := &variables[i]
			v.name = text()
			v.shape = make([]uint32, raw[at])
			at++
			for j := range v.shape {
				v.shape[j] = u32()
			}
			v.dtype = raw[at]
			at++
			n := int(u32())
			v.data = raw[at : at+n]
			at += n
		}
		tail := raw[at:]
		variables = f(variables)
		out := le.AppendUint32(slices.Clone(head), uint32(len(variables)))
		for _, v := range variables {
			out = append(append(le.AppendUint16(out, uint16(len(v.name)+1)), v.name...), 0, byte(len(v.shape)))
			for _, d := range v.shape {
				out = le.AppendUint32(out, d)
			}
			out = append(le.AppendUint32(append(out, v.dtype), uint32(len(v.data))), v.data...)
		}
		writeFile(t, path, string(append(out, tail...)))
	}
}

func f32s(values ...float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// TestCTranslate2Refused: what CTranslate2 runs and we do not is called by its name; a feature that is switched off is none.
func TestCTranslate2Refused(t *testing.T) {
	add := func(name string, dtype byte, data []byte, shape ...uint32) func(t *testing.T, folder string) {
		return editCTranslate2(func(v []ct2Variable) []ct2Variable { return append(v, ct2Variable{name, shape, dtype, data}) })
	}
	flag := func(name string, value byte) func(t *testing.T, folder string) { return add(name, 1, []byte{value}) }
	int32s := func(name string, value byte) func(t *testing.T, folder string) {
		return add(name, 3, []byte{value, 0, 0, 0})
	}
	drop := func(suffix string) func(t *testing.T, folder string) {
		return editCTranslate2(func(v []ct2Variable) []ct2Variable {
			return slices.DeleteFunc(v, func(v ct2Variable) bool { return strings.HasSuffix(v.name, suffix) })
		})
	}
	dropStart := func(prefix string) func(t *testing.T, folder string) {
		return editCTranslate2(func(v []ct2Variable) []ct2Variable {
			return slices.DeleteFunc(v, func(v ct2Variable) bool { return strings.HasPrefix(v.name, prefix) })
		})
	}
	set := func(name string, data ...byte) func(t *testing.T, folder string) {
		return editCTranslate2(func(v []ct2Variable) []ct2Variable {
			i := slices.IndexFunc(v, func(v ct2Variable) bool { return v.name == name })
			v[i].data = data
			return v
		})
	}
	const pre = "testdata/ct2-forms-pre" // 16 dimensions, 2 heads
	norm := f32s(make([]float32, 16)...)
	for _, c := range []struct {
		name   string
		change func(t *testing.T, folder string)
		want   string // IN: the folder; "-": it converts
	}{
		{"relative positions", add("encoder/layer_0/self_attention/relative_position_keys", 0, f32s(1, 2), 1, 2), "IN/model.bin: tensor \"encoder/layer_0/self_attention/relative_position_keys\": the model has relative positions; this version does not run it"},
		{"T5", add("decoder/layer_0/self_attention/relative_attention_bias", 0, f32s(1, 2), 1, 2), "IN/model.bin: tensor \"decoder/layer_0/self_attention/relative_attention_bias\": the model has positions as a bias of attention, as T5 has them; this version does not run it"},
		{"ALiBi", set("decoder/alibi", 1), "IN/model.bin: tensor \"decoder/alibi\": the model has positions as a linear bias of attention (ALiBi); this version does not run it"},
		{"rotary", int32s("encoder/layer_0/self_attention/rotary_dim", 4), "IN/model.bin: tensor \"encoder/layer_0/self_attention/rotary_dim\": the model has rotary positions; this version does not run it"},
		{"rotary of all dimensions", add("encoder/layer_0/self_attention/rotary_base", 0, f32s(10000)), "IN/model.bin: tensor \"encoder/layer_0/self_attention/rotary_base\": the model has rotary positions; this version does not run it"},
		{"multi-query", set("encoder/multi_query_attention", 1), "IN/model.bin: tensor \"encoder/multi_query_attention\": the model has attention whose heads share keys and values; this version does not run it"},
		{"grouped queries", int32s("decoder/layer_0/attention/num_heads_kv", 1), "IN/model.bin: tensor \"decoder/layer_0/attention/num_heads_kv\": the model has attention whose heads share keys and values; this version does not run it"},
		{"other heads", int32s("decoder/layer_0/attention/head_dim", 4), "IN/model.bin: tensor \"decoder/layer_0/attention/head_dim\": the model has heads of another size than dimensions by heads; this version does not run it"},
		{"queries unscaled", add("decoder/layer_0/attention/queries_scale", 0, f32s(1)), "IN/model.bin: tensor \"decoder/layer_0/attention/queries_scale\": the model has another scale of queries than the root of a head's size; this version does not run it"},
		{"window", int32s("decoder/layer_0/self_attention/sliding_window", 3), "IN/model.bin: tensor \"decoder/layer_0/self_attention/sliding_window\": the model has attention to a window of positions; this version does not run it"},
		{"merged attention", flag("decoder/layer_0/self_attention/merged_encoder_attention", 1), "IN/model.bin: tensor \"decoder/layer_0/self_attention/merged_encoder_attention\": the model has attention to source and target at once; this version does not run it"},
		{"norms of queries", add("encoder/layer_0/self_attention/q_norm/gamma", 0, norm, 16), "IN/model.bin: tensor \"encoder/layer_0/self_attention/q_norm/gamma\": the model has norms of queries; this version does not run it"},
		{"norms of keys", add("encoder/layer_0/self_attention/k_norm/gamma", 0, norm, 16), "IN/model.bin: tensor \"encoder/layer_0/self_attention/k_norm/gamma\": the model has norms of keys; this version does not run it"},
		{"norms before and after", add("encoder/layer_0/input_layer_norm/gamma", 0, norm, 16), "IN/model.bin: tensor \"encoder/layer_0/input_layer_norm/gamma\": the model has norms before and after each part; this version does not run it"},
		{"gated", add("encoder/layer_0/ffn/linear_0_noact/weight", 0, norm, 1, 16), "IN/model.bin: tensor \"encoder/layer_0/ffn/linear_0_noact/weight\": the model has a gated feed-forward; this version does not run it"},
		{"projected", add("decoder/project_in/weight", 0, norm, 1, 16), "IN/model.bin: tensor \"decoder/project_in/weight\": the model has projections around the decoder; this version does not run it"},
		{"RMS", drop("/beta"), "IN/model.bin: tensor \"decoder/layer_0/attention/layer_norm/gamma\": the model has norms by the root mean square (RMS); this version does not run it"},
		{"Gemma", flag("encoder/layer_norm/layer_norm_use_residual", 1), "IN/model.bin: tensor \"encoder/layer_norm/layer_norm_use_residual\": the model has norms that add one to their weights; this version does not run it"},
		{"scaled outputs", add("decoder/scale_outputs", 0, f32s(0.5)), "IN/model.bin: tensor \"decoder/scale_outputs\": the model has scaled outputs; this version does not run it"},
		{"no final norm", dropStart("encoder/layer_norm/"), "IN/model.bin: has norms before each part, but none at the end of its encoder; this version does not run it"},
		{"two features", add("encoder/embeddings_1/weight", 0, norm, 1, 16), "IN/model.bin: has several input features a token; this version runs models of one"},
		{"activation", set("encoder/activation", 9), "IN/model.bin: activation 9 is not known; this version knows 0 to 4: relu, gelu_tanh, swish, gelu, gelu_sigmoid"},
		{"activations differ", set("encoder/activation", 1), "IN/model.bin: activation is 1 in the encoder and 3 in the decoder; this version runs models where they agree"},
		{"no heads", set("encoder/num_heads", 0, 0), "IN/model.bin: num_heads is 0 in the encoder and 2 in the decoder; this version runs models where they agree"},
		{"heads differ", set("encoder/num_heads", 4, 0), "IN/model.bin: num_heads is 4 in the encoder and 2 in the decoder; this version runs models where they agree"},
		{"three heads", func(t *testing.T, folder string) {
			set("encoder/num_heads", 3, 0)(t, folder)
			set("decoder/num_heads", 3, 0)(t, folder)
		}, "IN/model.bin: 3 heads do not divide 16 dimensions"},
		{"scales differ", set("encoder/scale_embeddings", 1), "IN/model.bin: embeddings are scaled by 4 in the encoder and 1 in the decoder; this version runs models where they agree"},
		{"something else", add("encoder/layer_0/odd/weight", 0, norm, 1, 16), "IN: tensor \"encoder/layer_0/odd/weight\": of shape [1 16] has no place in the models that this version runs; the architecture differs; please report which model it is"},
		{"a layer short", drop("encoder/layer_1/ffn/linear_0/weight"), "IN: tensor \"encoder/layer_1/ffn/linear_0/weight\": is missing; the file is incomplete, or config.json belongs to another model"},
		{"no embeddings", drop("encoder/embeddings_0/weight"), "IN: tensor \"encoder/embeddings_0/weight\": is missing; the file is incomplete, or config.json belongs to another model"},
		{"no output", drop("projection/weight"), "IN: tensor \"decoder/projection/weight\": is missing; the file is incomplete, or config.json belongs to another model"},

		{"nothing changed", set("decoder/alibi", 0), "-"},
		{"no window", int32s("decoder/layer_0/self_attention/sliding_window", 0), "-"},
		{"as many heads", int32s("decoder/layer_0/attention/num_heads_kv", 2), "-"},
		{"the same heads", int32s("decoder/layer_0/attention/head_dim", 8), "-"},
		{"the usual scale", add("decoder/layer_0/attention/queries_scale", 0, f32s(float32(1/math.Sqrt(8)))), "-"},
		{"outputs times one", add("decoder/scale_outputs", 0, f32s(1)), "-"},
	} {
		folder := filepath.Join(t.TempDir(), "in")
		copyFolder(t, pre, folder)
		c.change(t, folder)
		s, err := open(folder, "")
		if err == nil {
			s.close()
			if c.want != "-" {
				t.Errorf("%s: converts", c.name)
			}
			continue
		}
		if got := filepath.ToSlash(strings.Replace(err.Error(), folder, "IN", 1)); got != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, got, c.want)
		}
	}
}

// Of two equal tokens the first has the id.
func TestEqualTokens(t *testing.T) {
	index := indexOf(&ctranslate2.Vocabulary{Tokens: []string{"a", "b", "a"}})
	if len(index) != 2 || index["a"] != 0 || index["b"] != 1 {
		t.Error(index)
	}
}
