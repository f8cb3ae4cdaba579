package runtime

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// knnTensor is a tensor of a file made by hand; values are padded to 16 columns.
type knnTensor struct {
	spec  modelfile.TensorSpec
	rows  [][]float64
	scale []float32
}

// handmadeKNN is a model of two rows, [1 0 0] and [0 0 0], labels a and b.
func handmadeKNN() (*KNNConfig, map[string]*knnTensor) {
	c := &KNNConfig{
		Task: TaskClassify, Rows: 2, Cols: 3, K: 1, Metric: MetricEuclidean, Weights: WeightsUniform,
		Outputs: []KNNOutput{{Classes: []string{"a", "b"}}}, Class: ClassDot, Unit: 1,
	}
	tensor := func(dtype modelfile.DType, rows ...[]float64) *knnTensor {
		shape := []int{len(rows[0])}
		if len(rows) > 1 {
			shape = []int{len(rows), len(rows[0])}
		}
		return &knnTensor{spec: modelfile.TensorSpec{DType: dtype, Layout: modelfile.Rows, Shape: shape}, rows: rows}
	}
	t := map[string]*knnTensor{
		"center":        tensor(modelfile.F64, []float64{0, 0, 0}),
		"rows.int8":     tensor(modelfile.I8, []float64{127, 0, 0}, []float64{0, 0, 0}),
		"rows.residual": tensor(modelfile.F32, []float64{1e-7, 0}),
		"rows.norm":     tensor(modelfile.F32, []float64{1, 0}),
		"rows.length":   tensor(modelfile.F32, []float64{1, 0}),
		"labels":        tensor(modelfile.F32, []float64{0, 1}),
		"rows":          tensor(modelfile.F32, []float64{1, 0, 0}, []float64{0, 0, 0}),
	}
	t["labels"].spec.Shape = []int{1, 2}
	t["rows.int8"].spec.Layout = modelfile.N16K4
	t["rows.int8"].scale = []float32{1. / 127, 0}
	return c, t
}

// addPairs gives a handmade model pairs: 112 for the only value, and nothing left for the second step.
func addPairs(c *KNNConfig, t map[string]*knnTensor) {
	c.Pairs = true
	first := make([]float64, 16)
	first[0] = 112
	for _, name := range []string{"pairs.coarse", "pairs.fine"} {
		t[name] = &knnTensor{
			spec: modelfile.TensorSpec{DType: modelfile.I8, Layout: modelfile.N16K4, Shape: []int{2, 16}}, rows: [][]float64{first, make([]float64, 16)}, scale: []float32{1. / 112, 0},
		}
	}
	t["pairs.fine"].spec.Layout, t["pairs.fine"].rows, t["pairs.fine"].scale = modelfile.Rows, [][]float64{make([]float64, 16), make([]float64, 16)}, []float32{0, 0}
	t["pairs.coarse.residual"], t["pairs.norm"], t["pairs.fine.residual"] = t["rows.residual"].clone(), t["rows.norm"].clone(), t["rows.residual"].clone()
}

// clone is a tensor of its own with the same values.
func (t *knnTensor) clone() *knnTensor {
	c := *t
	return &c
}

func openHandmade(t *testing.T, c *KNNConfig, tensors map[string]*knnTensor) (*Model, error) {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var specs []modelfile.TensorSpec
	var order []*knnTensor
	for _, name := range []string{"center", "head.axes", "head.int8", "rows.int8", "rows.residual", "rows.norm", "rows.length",
		"pairs.coarse", "pairs.coarse.residual", "pairs.norm", "pairs.fine", "pairs.fine.residual", "labels", "rows", "rows.last", "spare"} {
		if x := tensors[name]; x != nil {
			x.spec.Name = name
			specs, order = append(specs, x.spec), append(order, x)
		}
	}
	path := filepath.Join(t.TempDir(), "m.ei8")
	w, err := modelfile.Create(path, &modelfile.Meta{Name: "m", Family: FamilyKNN, Config: raw}, nil, specs, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range order {
		cols := x.spec.PaddedCols()
		if x.spec.DType == modelfile.I8 && x.spec.Layout == modelfile.Rows {
			for _, row := range x.rows {
				b := make([]byte, cols)
				for j, v := range row {
					b[j] = byte(int8(v))
				}
				w.Write(b)
			}
			w.Finish(x.scale, nil)
			continue
		}
		if x.spec.DType == modelfile.I8 {
			block, sums := make([]byte, 16*cols), make([]int32, 16)
			for i, row := range x.rows {
				for j, v := range row {
					block[j/4*64+i*4+j%4] = byte(int8(v))
					sums[i] += int32(v)
				}
			}
			w.Write(block)
			w.Finish(append(append([]float32{}, x.scale...), make([]float32, 16-len(x.scale))...), sums)
			continue
		}
		for _, row := range x.rows {
			var b []byte
			for _, v := range row {
				if x.spec.DType == modelfile.F64 {
					b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
				} else {
					b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
				}
			}
			w.Write(append(b, make([]byte, cols*x.spec.DType.Size()-len(b))...))
		}
		w.Finish(nil, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

func TestKNNOpen(t *testing.T) {
	for _, c := range []struct {
		change func(c *KNNConfig, t map[string]*knnTensor)
		want   string // "": fine
	}{
		{func(c *KNNConfig, t map[string]*knnTensor) {}, ""},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.K = 3 }, "k is 3"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Rows = 3 }, "has shape"},
		{func(c *KNNConfig, t map[string]*knnTensor) { delete(t, "rows") }, "tensor rows: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { delete(t, "rows.length") }, "rows.length: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { delete(t, "center") }, "center: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Compact = true }, "rows: is not part"},
		{func(c *KNNConfig, t map[string]*knnTensor) { t["spare"] = t["center"]; delete(t, "center") }, "center: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { t["labels"].rows[0][1] = 2 }, "says class 2 for row 1"},
		{func(c *KNNConfig, t map[string]*knnTensor) { t["labels"].rows[0][1] = 0.5 }, "says class 0.5"},
		{func(c *KNNConfig, t map[string]*knnTensor) { t["labels"].rows[0][1] = -1 }, "says class -1"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Class = ClassDifference; delete(t, "rows.length") }, "one scale for all"},
		{func(c *KNNConfig, t map[string]*knnTensor) { t["center"].rows[0][0], c.Unit = 1e300, 0x1p-900 }, "too far from zero"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Head = 3 }, "head of 3 axes"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Head = 2 }, "head.axes: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) {
			c.Head = 2
			t["head.int8"] = t["rows.int8"]
			delete(t, "rows.int8")
			t["head.axes"] = &knnTensor{spec: modelfile.TensorSpec{DType: modelfile.F64, Layout: modelfile.Rows, Shape: []int{2, 3}}, rows: [][]float64{{1, 0, 0}, {0, 1, 0}}}
		}, ""},
		{func(c *KNNConfig, t map[string]*knnTensor) {
			c.Head = 2
			t["head.int8"] = t["rows.int8"]
			delete(t, "rows.int8")
			t["head.axes"] = &knnTensor{spec: modelfile.TensorSpec{DType: modelfile.F64, Layout: modelfile.Rows, Shape: []int{2, 3}}, rows: [][]float64{{1, 0, 0}, {1e-6, 1, 0}}}
		}, "must be orthonormal"},
		{func(c *KNNConfig, t map[string]*knnTensor) { t["rows.last"] = t["center"].clone() }, "rows.last: is not part"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Center = &KNNCenter{Bits: 32} }, "center of 32 bits"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Compact, c.Center = true, &KNNCenter{Bits: 5} }, "center of 5 bits"},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Compact, c.Center = true, &KNNCenter{Bits: 8, Step: -1} }, "center of 8 bits"},
		{func(c *KNNConfig, t map[string]*knnTensor) {
			c.Compact, c.Center = true, &KNNCenter{Bits: 32}
			delete(t, "rows")
		}, "center: has type"},
		{func(c *KNNConfig, t map[string]*knnTensor) {
			c.Compact, t["rows.last"] = true, t["center"].clone()
			delete(t, "rows")
		}, "rows.last: has type"},
		{addPairs, ""},
		{func(c *KNNConfig, t map[string]*knnTensor) { c.Pairs = true }, "pairs.coarse: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { addPairs(c, t); c.Pairs = false }, "pairs.coarse: is not part"},
		{func(c *KNNConfig, t map[string]*knnTensor) { addPairs(c, t); c.Head = 2 }, "pairs do not fit"},
		{func(c *KNNConfig, t map[string]*knnTensor) { addPairs(c, t); c.Compact = true }, "pairs do not fit"},
		{func(c *KNNConfig, t map[string]*knnTensor) { addPairs(c, t); delete(t, "pairs.fine") }, "pairs.fine: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { addPairs(c, t); delete(t, "pairs.norm") }, "pairs.norm: is missing"},
		{func(c *KNNConfig, t map[string]*knnTensor) { addPairs(c, t); t["pairs.fine"].spec.Shape[1] = 3 }, "pairs.fine: has shape"},
	} {
		cfg, tensors := handmadeKNN()
		c.change(cfg, tensors)
		m, err := openHandmade(t, cfg, tensors)
		if c.want != "" {
			var bad *ModelError
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want a *ModelError about %q", err, c.want)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		s, err := m.NewClassifier(KNNOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Add([]float64{0.9, 0, 0})
		if err := s.Run(); err != nil || s.Neighbors(0)[0].Row != 0 || s.Class(s.Neighbors(0), 0) != 0 {
			t.Errorf("%v, %v", err, s.Neighbors(0))
		}
		if _, err := m.NewTranslator(Options{}); !errors.As(err, new(*FamilyError)) {
			t.Errorf("translating with it: %v", err)
		}
	}
}

func TestKNNOptions(t *testing.T) {
	c, tensors := handmadeKNN()
	m, err := openHandmade(t, c, tensors)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []KNNOptions{{K: 3}, {K: -1}, {Batch: -1}, {Batch: maxBatch + 1}, {Threads: threads.Max + 1}, {Metric: "x"}, {Metric: "minkowski"}, {Weights: "x"}, {Metric: "dot", Weights: "distance"}} {
		if _, err := m.NewClassifier(o); !errors.As(err, new(*InputError)) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := m.NewClassifier(KNNOptions{Memory: 1000}); !errors.As(err, new(*MemoryError)) {
		t.Errorf("no memory: %v", err)
	}
	if _, err := m.NewClassifier(KNNOptions{Kernels: "x"}); err == nil {
		t.Error("kernels that are not there")
	}
	s, err := m.NewClassifier(KNNOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range [][]float64{nil, {1, 2}, {1, 2, 3, 4}, {1, 2, math.NaN()}, {math.Inf(1), 0, 0}, {1e151, 0, 0}} {
		if _, err := s.Add(q); !errors.As(err, new(*InputError)) {
			t.Errorf("%v: %v", q, err)
		}
	}
}

// TestPow64 compares with package math, which is not the same everywhere but never far off.
func TestPow64(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		x, p := math.Exp(r.NormFloat64()*20), 1+r.Float64()*9
		if r.IntN(3) == 0 {
			p = math.Floor(p)
		}
		want := math.Pow(x, p)
		if got := pow64(x, p); math.Abs(got-want) > 1e-12*want {
			t.Fatalf("%v^%v is %v, want %v", x, p, got, want)
		}
		if got := pow64(x, 1/p); math.Abs(got-math.Pow(x, 1/p)) > 1e-13*got {
			t.Fatalf("%v^(1/%v) is %v", x, p, got)
		}
	}
	for _, c := range [][3]float64{{0, 2.5, 0}, {math.Inf(1), 2.5, math.Inf(1)}, {1, 7.5, 1}, {1e300, 2.5, math.Inf(1)}, {1e-300, 2.5, 0}} {
		if got := pow64(c[0], c[1]); got != c[2] {
			t.Errorf("%v^%v is %v, want %v", c[0], c[1], got, c[2])
		}
	}
}
