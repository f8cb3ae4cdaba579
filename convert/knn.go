package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"
	"unsafe"

	"github.com/edge-infer/edge-infer/quant"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// KNNOptions are the part of Options that only models of nearest neighbours and tables of data look at.
type KNNOptions struct {
	Task        string   // runtime.TaskClassify, TaskRegress, TaskNeighbors; "": what the source is, classify for a table
	LabelColumn string   // of a table: its name, its number from 1, or "none"
	Header      string   // of a CSV file: "yes", "no"; "": the first line is one if it holds no numbers
	Scale       string   // of a table: ScalerStandard, ScalerMinMax, ScalerRobust, or "l1", "l2", "max" for each row's norm; "": none
	K           int      // 0: what the source says, else 5
	Metric      string   // "": what the source says, else euclidean
	P           float64  // of minkowski
	Weights     string   // "": what the source says, else uniform
	Rows        string   // "float32": round the kept rows; "": the type of the source
	Compact     bool     // keep the int8 rows alone: a quarter of the size or less, results approximate
	forceHead   int      // for tests: take a head of so many axes, whatever it saves
	forcePairs  bool     // for tests: take pairs, whatever they save
	Names       []string // of the features, where the source names none
}

// openKNN reads a source of training rows; nil for a source that is something else.
func openKNN(src string, o KNNOptions) (*KNNSource, error) {
	info, err := os.Stat(src)
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil // the other readers say what is wrong
	}
	switch strings.ToLower(filepath.Ext(src)) {
	case ".csv", ".tsv":
		return openCSV(src, o)
	}
	return openKNNFile(src, o)
}

// convertKNN writes src as an .ei8 of family "knn". On any error, and when ctx ends, no file is left behind.
func convertKNN(ctx context.Context, dst string, src *KNNSource, o Options) (*Report, error) {
	started := time.Now()
	if src.Close != nil {
		defer src.Close()
	}
	if err := src.validate(); err != nil {
		return nil, err
	}
	cfg, err := knnConfig(src, o.KNN)
	if err != nil {
		return nil, err
	}
	rows := newKNNRows(src, cfg.Class, o.KNN)
	if o.KNN.Rows == "float32" {
		rows.dtype = modelfile.F32
	}
	w := &knnWriter{ctx: ctx, src: src, rows: rows, progress: o.Progress}
	w.total = int64(src.Rows) * 4
	if err := rows.measure(ctx, func() error { return w.step("measuring") }); err != nil {
		return nil, err
	}
	cfg.Unit, cfg.Center, cfg.Cosine = rows.unit, rows.rounded, rows.cosine && cfg.Class == runtime.ClassDot
	report := &Report{Format: src.Format, Source: src.Path, Path: dst, Warnings: slices.Clone(src.Warnings)}
	if o.KNN.Rows == "float32" && rows.rounding > 0 {
		report.Warnings = append(report.Warnings, fmt.Sprintf(
			"rows were rounded to float32, which changed values by up to %.1e of themselves: neighbours are exact for the rounded rows", rows.rounding))
	}
	if rows.pairs = o.KNN.forcePairs; cfg.Class == runtime.ClassDot && !cfg.Compact && !rows.pairs {
		if err := rows.findFirst(ctx, cfg, o.KNN.forceHead); err != nil {
			return nil, err
		}
		cfg.Head, cfg.Tail = len(rows.axes), rows.tail
	}
	if cfg.Pairs = rows.pairs; cfg.Pairs {
		w.total += 2 * int64(src.Rows)
	}
	if cfg.Compact {
		if cfg.Recall, cfg.Sampled, err = w.recall(cfg); err != nil {
			return nil, err
		}
		report.Warnings = append(report.Warnings, fmt.Sprintf(
			"a compact file keeps no exact rows: results are approximate; of the %d nearest neighbours of %d sampled rows it finds %.2f %%",
			cfg.K, cfg.Sampled, 100*cfg.Recall))
	}
	meta, err := knnMeta(src, cfg, o)
	if err != nil {
		return nil, err
	}
	if err := w.write(dst, meta, cfg, o.Force, report); err != nil {
		return nil, err
	}
	info, err := os.Stat(dst)
	if err != nil {
		return nil, err
	}
	report.FileBytes = info.Size()
	report.Duration = time.Since(started)
	return report, nil
}

// knnConfig is the config of the file: what the options say, else what the source says.
func knnConfig(src *KNNSource, o KNNOptions) (*runtime.KNNConfig, error) {
	bad := func(format string, args ...any) (*runtime.KNNConfig, error) {
		return nil, failure(src.Path, fmt.Sprintf(format, args...), "edge-infer convert --help lists what can be chosen")
	}
	c := &runtime.KNNConfig{Task: src.Task, Rows: src.Rows, Cols: src.Cols, K: src.K, Weights: src.Weights, Features: src.Features, Compact: o.Compact, Unit: 1}
	metric, p := src.Metric, src.P
	if o.Metric != "" {
		metric, p = o.Metric, o.P
	}
	var err error
	if c.Metric, c.P, err = runtime.CanonicalMetric(metric, p); err != nil {
		return bad("%v", err)
	}
	c.Class = runtime.MetricClass(c.Metric)
	if o.K != 0 {
		c.K = o.K
	}
	if c.K == 0 {
		c.K = min(5, src.Rows)
	}
	if c.K < 1 || c.K > min(src.Rows, runtime.MaxK) {
		return bad("k is %d, and there are %d rows to be neighbours", c.K, src.Rows)
	}
	if o.Weights != "" {
		c.Weights = o.Weights
	}
	if c.Weights == "" {
		c.Weights = runtime.WeightsUniform
	}
	if o.Rows != "" && o.Rows != "float32" {
		return bad("rows can be kept as float32, not as %q", o.Rows)
	}
	for i := range src.Outputs {
		out := &src.Outputs[i]
		c.Outputs = append(c.Outputs, runtime.KNNOutput{Name: out.Name, Classes: out.Classes, Numeric: out.Numeric})
	}
	for _, s := range src.Scalers {
		c.Scalers = append(c.Scalers, runtime.KNNScaler{Kind: s.Kind, Clip: s.Clip, Low: s.Low, High: s.High, Norm: s.Norm})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return bad("%v", err)
	}
	if _, err := runtime.ParseKNNConfig(raw); err != nil {
		return bad("%v", err)
	}
	return c, nil
}

func knnMeta(src *KNNSource, cfg *runtime.KNNConfig, o Options) (*modelfile.Meta, error) {
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	m := &modelfile.Meta{
		Name: o.Name, Family: runtime.FamilyKNN, Licence: o.Licence, Attributions: o.Attributions, Source: o.Source,
		Tool: "edge-infer " + runtime.Version, Config: raw,
	}
	if m.Name == "" {
		m.Name = strings.TrimSuffix(filepath.Base(src.Path), filepath.Ext(src.Path))
	}
	if m.Licence == "" {
		m.Licence = src.Licence
	}
	if cfg.Pairs {
		m.Requires = []string{"pairs"}
	}
	if cfg.Center != nil || wholeRows(cfg) < cfg.Rows {
		m.Requires = []string{"compact"}
	}
	return m, nil
}

// knnWriter is one conversion under way.
type knnWriter struct {
	ctx         context.Context
	src         *KNNSource
	rows        *knnRows
	out         *modelfile.Writer
	done, total int64
	progress    func(tensor string, done, total int64)
}

// step is called after every row: it ends the conversion when the context does.
func (w *knnWriter) step(what string) error {
	if w.done++; w.done%256 != 0 {
		return nil
	}
	if w.progress != nil {
		w.progress(what, w.done, w.total)
	}
	return w.ctx.Err()
}

// knnTensors are the tensors of a file, each with what writes it.
type knnTensors struct {
	specs   []modelfile.TensorSpec
	writers []func() error
}

//go:noinline
func (t *knnTensors) add(name string, dtype modelfile.DType, layout modelfile.Layout, write func() error, shape ...int) {
	t.specs = append(t.specs, modelfile.TensorSpec{Name: name, DType: dtype, Layout: layout, Shape: shape})
	t.writers = append(t.writers, write)
}

// write makes the file, tensor by tensor in the order of their use.
func (w *knnWriter) write(dst string, meta *modelfile.Meta, cfg *runtime.KNNConfig, force bool, report *Report) error {
	n, d := cfg.Rows, cfg.Cols
	var list knnTensors
	doubles := func(v []float64) func() error { return func() error { return w.doubles(v) } }
	floats := func(v *[]float32) func() error { return func() error { return w.floats(*v) } }

	for i, s := range w.src.Scalers {
		if s.Center != nil {
			list.add(fmt.Sprintf("scaler.%d.center", i), modelfile.F64, modelfile.Rows, doubles(s.Center), d)
		}
		if s.Scale != nil {
			list.add(fmt.Sprintf("scaler.%d.scale", i), modelfile.F64, modelfile.Rows, doubles(s.Scale), d)
		}
	}
	w.addCenter(&list, cfg.Center, d)
	var residual, norm, length, pairResidual, pairNorm, fineResidual []float32
	codes := len(list.specs)
	var stats quant.Stats
	whole := wholeRows(cfg)
	encode := func() error { return w.codes(whole, &residual, &norm, &length, &stats) }
	if cfg.Head > 0 {
		list.add("head.axes", modelfile.F64, modelfile.Rows, w.axes, cfg.Head, d)
		codes++
		list.add("head.int8", modelfile.I8, modelfile.N16K4, encode, n, cfg.Head+1)
	} else if whole > 0 {
		list.add("rows.int8", modelfile.I8, modelfile.N16K4, encode, whole, d)
	}
	if whole > 0 {
		list.add("rows.residual", modelfile.F32, modelfile.Rows, floats(&residual), whole)
		list.add("rows.norm", modelfile.F32, modelfile.Rows, floats(&norm), whole)
		if cfg.Class == runtime.ClassDot {
			list.add("rows.length", modelfile.F32, modelfile.Rows, floats(&length), whole)
		}
	}
	if whole < n {
		list.add("rows.last", modelfile.I8, modelfile.Rows, func() error { return w.last(whole, &stats) }, n-whole, d)
	}
	if cfg.Pairs {
		h := runtime.PairBytes(d)
		list.add("pairs.coarse", modelfile.I8, modelfile.N16K4, func() error { return w.pairs(false, &pairResidual, &pairNorm) }, n, h)
		list.add("pairs.coarse.residual", modelfile.F32, modelfile.Rows, floats(&pairResidual), n)
		list.add("pairs.norm", modelfile.F32, modelfile.Rows, floats(&pairNorm), n)
		list.add("pairs.fine", modelfile.I8, modelfile.Rows, func() error { return w.pairs(true, &fineResidual, nil) }, n, h)
		list.add("pairs.fine.residual", modelfile.F32, modelfile.Rows, floats(&fineResidual), n)
	}
	switch cfg.Task {
	case runtime.TaskClassify:
		list.add("labels", modelfile.F32, modelfile.Rows, w.labels, len(w.src.Outputs), n)
	case runtime.TaskRegress:
		list.add("targets", modelfile.F64, modelfile.Rows, w.targets, len(w.src.Outputs), n)
	}
	if !cfg.Compact {
		list.add("rows", w.rows.dtype, modelfile.Rows, w.kept, n, d)
	}
	var err error
	if w.out, err = modelfile.Create(dst, meta, nil, list.specs, force); err != nil {
		return err
	}
	defer w.out.Abort() // does nothing after Close
	for i, write := range list.writers {
		if err := write(); err != nil {
			return err
		}
		t := &list.specs[i]
		row := TensorReport{Name: t.Name, Shape: t.Shape, DType: t.DType, Copied: i != codes, Parameters: int64(t.Rows()) * int64(t.Cols())}
		row.BytesAfter = int64(t.PaddedRows()) * int64(t.PaddedCols()) * int64(t.DType.Size())
		if i == codes {
			row.BytesAfter += 8 * int64(t.PaddedRows())
			row.BytesBefore = row.Parameters * int64(w.src.RowType.Size())
			row.stats = stats
		}
		report.Tensors = append(report.Tensors, row)
	}
	return w.out.Close()
}

// wholeRows is how many rows lie in blocks of sixteen: of a compact file, which promises its size, those of whole blocks.
func wholeRows(cfg *runtime.KNNConfig) int {
	if cfg.Compact {
		return cfg.Rows / 16 * 16
	}
	return cfg.Rows
}

// last writes the rows from row first on, each by itself.
func (w *knnWriter) last(first int, stats *quant.Stats) error {
	var r knnRow
	var scales []float32
	was, is := make([]float32, w.src.Cols), make([]float32, w.src.Cols)
	for i := first; i < w.src.Rows; i++ {
		if err := w.rows.quantize(i, &r); err != nil {
			return err
		}
		if err := writePadded(w.out, r.q); err != nil {
			return err
		}
		scales = append(scales, r.scale)
		r.addTo(stats, was, is)
		if err := w.step("rows.last"); err != nil {
			return err
		}
	}
	return w.out.Finish(scales, nil)
}

// addTo counts what quantization did to the row. was and is are scratch.
func (r *knnRow) addTo(stats *quant.Stats, was, is []float32) {
	for j, q := range r.q {
		was[j] = float32(r.was[j])
		is[j] = float32(q) * r.scale
	}
	stats.Add(was, is)
}

// block writes sixteen packed rows and gathers their scales and sums.
func (w *knnWriter) block(packer *quant.Packer, scales *[]float32, sums *[]int32) error {
	data, scale, sum := packer.Block()
	*scales, *sums = append(*scales, scale...), append(*sums, sum...)
	_, err := w.out.Write(asBytes(data))
	packer.Reset()
	return err
}

// codes writes the int8 rows of blocks and gathers what describes them.
func (w *knnWriter) codes(n int, residual, norm, length *[]float32, stats *quant.Stats) error {
	cols := w.src.Cols
	if w.rows.axes != nil {
		cols = len(w.rows.axes) + 1
	}
	packer := quant.NewPacker(cols)
	var scales []float32
	var sums []int32
	emit := func() error { return w.block(packer, &scales, &sums) }
	var r knnRow
	was, is := make([]float32, cols), make([]float32, cols)
	for i := range n {
		if err := w.rows.quantize(i, &r); err != nil {
			return err
		}
		if err := packer.AddI8(r.q, r.scale); err != nil {
			return err
		}
		*residual, *norm, *length = append(*residual, r.residual), append(*norm, r.norm), append(*length, r.length)
		r.addTo(stats, was, is)
		if packer.Full() {
			if err := emit(); err != nil {
				return err
			}
		}
		if err := w.step("rows.int8"); err != nil {
			return err
		}
	}
	if packer.Rows() > 0 {
		if err := emit(); err != nil {
			return err
		}
	}
	return w.out.Finish(scales, sums)
}

// kept writes the rows as they are.
func (w *knnWriter) kept() error {
	padded := (w.src.Cols + 15) &^ 15
	row32, row64 := make([]float32, padded), make([]float64, padded)
	for i := range w.src.Rows {
		row, err := w.rows.read(i)
		if err != nil {
			return err
		}
		if w.rows.dtype == modelfile.F32 {
			for j, v := range row {
				row32[j] = float32(v)
			}
			_, err = w.out.Write(asBytes(row32))
		} else {
			copy(row64, row)
			_, err = w.out.Write(asBytes(row64))
		}
		if err != nil {
			return err
		}
		if err := w.step("rows"); err != nil {
			return err
		}
	}
	return w.out.Finish(nil, nil)
}

func (w *knnWriter) axes() error {
	for _, a := range w.rows.axes {
		if err := writePadded(w.out, a); err != nil {
			return err
		}
	}
	return w.out.Finish(nil, nil)
}

func (w *knnWriter) labels() error {
	for _, o := range w.src.Outputs {
		v := make([]float32, len(o.Labels))
		for i, l := range o.Labels {
			v[i] = float32(l)
		}
		if err := writePadded(w.out, v); err != nil {
			return err
		}
	}
	return w.out.Finish(nil, nil)
}

func (w *knnWriter) targets() error {
	for _, o := range w.src.Outputs {
		if err := writePadded(w.out, o.Values); err != nil {
			return err
		}
	}
	return w.out.Finish(nil, nil)
}

func (w *knnWriter) doubles(v []float64) error {
	if err := writePadded(w.out, v); err != nil {
		return err
	}
	return w.out.Finish(nil, nil)
}

// addCenter lists the center as z says.
func (w *knnWriter) addCenter(list *knnTensors, z *runtime.KNNCenter, d int) {
	switch {
	case z == nil:
		list.add("center", modelfile.F64, modelfile.Rows, func() error { return w.doubles(w.rows.center) }, d)
	case z.Bits == 32:
		list.add("center", modelfile.F32, modelfile.Rows, func() error {
			v := make([]float32, d)
			for j, step := range w.rows.steps {
				v[j] = float32(step)
			}
			return w.floats(v)
		}, d)
	default:
		perByte := 8 / z.Bits
		v := make([]int8, (d+perByte-1)/perByte)
		list.add("center", modelfile.I8, modelfile.Rows, func() error {
			for j, step := range w.rows.steps {
				v[j/perByte] += int8(step) << (j % perByte * z.Bits)
			}
			if err := writePadded(w.out, v); err != nil {
				return err
			}
			return w.out.Finish([]float32{1}, nil)
		}, len(v))
	}
}

func (w *knnWriter) floats(v []float32) error {
	if err := writePadded(w.out, v); err != nil {
		return err
	}
	return w.out.Finish(nil, nil)
}

// writePadded writes one row of a tensor.
func writePadded[T int8 | float32 | float64](out *modelfile.Writer, v []T) error {
	if _, err := out.Write(asBytes(v)); err != nil {
		return err
	}
	_, err := out.Write(asBytes(make([]T, (len(v)+15)&^15-len(v))))
	return err
}

// asBytes is the memory of v: models are written on little-endian machines only, which modelfile.Create checks.
func asBytes[T int8 | float32 | float64](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(*new(T))))
}

// recallWork bounds the multiplications that measuring the recall of a compact file may take.
const recallWork = 1e9

// recall is the share of the true k nearest rows, by distance, that the int8 rows find for rows of the source itself, each
// left out of its own neighbours.
func (w *knnWriter) recall(cfg *runtime.KNNConfig) (share float64, sampled int, err error) {
	n, d := cfg.Rows, cfg.Cols
	k := min(cfg.K, n-1)
	if k == 0 {
		return 1, 0, nil
	}
	sampled = max(min(n, 100, int(recallWork/float64(n)/float64(d))), 1)
	w.total += int64(n)
	picked := rand.New(rand.NewPCG(1, 2)).Perm(n)[:sampled]
	queries := make([][]float64, sampled)
	for i, row := range picked {
		values, err := w.rows.read(row)
		if err != nil {
			return 0, 0, err
		}
		queries[i] = slices.Clone(values)
	}
	type pair struct{ stored, exact float64 }
	near := make([][]pair, sampled) // of each query the distances to all rows, pruned as they grow
	exact := make([][]float64, sampled)
	prune := func(i int) {
		sort.SliceStable(near[i], func(a, b int) bool { return near[i][a].stored < near[i][b].stored })
		sortFloats(exact[i])
		near[i], exact[i] = near[i][:min(k, len(near[i]))], exact[i][:min(k, len(exact[i]))]
	}
	var r knnRow
	for row := range n {
		if err := w.rows.quantize(row, &r); err != nil {
			return 0, 0, err
		}
		for first := 0; first < sampled; first += 4 {
			var group [4][]float64
			for j := range group {
				group[j] = queries[min(first+j, sampled-1)]
			}
			var stored, true4 [4]float64
			runtime.KNNDistances(cfg.Metric, cfg.P, r.values, &group, &stored)
			runtime.KNNDistances(cfg.Metric, cfg.P, w.rows.row, &group, &true4)
			for j, i := 0, first; j < 4 && i < sampled; j, i = j+1, i+1 {
				if picked[i] == row {
					continue
				}
				near[i], exact[i] = append(near[i], pair{stored[j], true4[j]}), append(exact[i], true4[j])
				if len(exact[i]) >= 2*k+1024 {
					prune(i)
				}
			}
		}
		if err := w.step("recall"); err != nil {
			return 0, 0, err
		}
	}
	hits := 0
	for i := range queries {
		prune(i)
		for _, p := range near[i] {
			if p.exact <= exact[i][k-1] {
				hits++
			}
		}
	}
	return float64(hits) / float64(k*sampled), sampled, nil
}
