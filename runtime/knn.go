package runtime

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// Nearest neighbours: the training rows are the model.
//
//	scale the query      as the file says: standard, robust, min-max, normalizer
//	scan int8 rows       knn_scan.go, with the bound of knn_bound.go: which rows could be among the k nearest
//	rank those           knn_distance.go: the float64 distance that defines the answer
//	vote                 knn_vote.go
//
// The answer is defined: the k smallest float64 distances by direct differences summed in column order, ties to the lowest
// row. The scan never changes it, only how many rows are ranked.

// knn is the Model's read-only view of a file of family "knn": every slice points into the map.
type knn struct {
	cfg    *KNNConfig
	metric metric // of the file
	unit   float64

	center     []float64 // of the columns, in the units of the data
	centerNorm float64   // |center| / unit, rounded up

	axes []float64 // [head, stride] orthonormal; nil: the int8 rows are not reduced, see knn_head.go

	last      []int8 // [Rows%16, stride] the rows that are not in a whole block, of some compact files: they are always ranked
	lastScale []float32

	plane               // int8 rows of (row - center) / unit, or of what they are reduced to
	pairs       *pairs  // the rows once more, in fewer bits; nil: not in this file
	commonScale float32 // difference: the scale of all rows

	rows32  []float32 // the kept rows; both nil: compact
	rows64  []float64
	stride  int
	labels  []float32 // [outputs, labelStride] class of each row
	targets []float64 // [outputs, labelStride] of TaskRegress

	labelStride int
	scalers     []scaler
}

// plane is what a scan reads: rows quantized, and what the bound needs to know of each.
type plane struct {
	codes    kernels.Weights
	small    bool      // no element of codes is outside -64 to 63, as where many queries alone read them
	residual []float32 // the error of quantization: 2-norm (dot) or 1-norm (difference), rounded up
	norm     []float32 // |ŵ| (dot; of pairs |w|) or the residual in the maximum norm (difference)
	length   []float32 // |row| / unit as given (dot); difference: norm again
}

// scaler is a KNNScaler with its numbers.
type scaler struct {
	KNNScaler
	center, scale []float64
}

func (m *Model) bindKNN() error {
	cfg, err := ParseKNNConfig(m.file.Meta().Config)
	if err != nil {
		return &ModelError{m.file.Path(), "", err.Error()}
	}
	m.knn, err = bindKNN(m.file, cfg)
	return err
}

// bindKNN checks that the file holds exactly the tensors that its config demands.
func bindKNN(file *modelfile.File, cfg *KNNConfig) (*knn, error) {
	b := &binder{file: file, used: map[string]bool{}}
	n, d := cfg.Rows, cfg.Cols
	k := &knn{cfg: cfg, metric: metric{metricKinds[cfg.Metric], cfg.P}, unit: cfg.Unit}
	for i, s := range cfg.Scalers {
		prefix := fmt.Sprintf("scaler.%d.", i)
		k.scalers = append(k.scalers, scaler{s, b.doubles(prefix+"center", false, d), b.doubles(prefix+"scale", false, d)})
	}
	if k.bindCenter(b); k.center != nil {
		k.centerNorm = norm64(k.center) / k.unit * (1 + relativeError(d))
		if !(k.centerNorm < math.MaxFloat64) {
			b.fail("center", "is too far from zero for the unit %g", k.unit)
		}
	}
	k.stride = kernels.Pad16(d)
	if whole := k.bindLast(b); whole > 0 {
		k.bindRows(b, whole)
	} else {
		k.codes.K = k.stride
	}
	if cfg.Pairs {
		k.bindPairs(b)
	}
	if len(cfg.Outputs) > 0 {
		k.labelStride = kernels.Pad16(n)
		if cfg.Task == TaskClassify {
			k.labels = b.floats("labels", true, len(cfg.Outputs), n)
			k.checkLabels(b)
		} else if t := b.tensor("targets", true, modelfile.F64, modelfile.Rows, len(cfg.Outputs), n); t != nil {
			k.targets = t.F64()
		}
	}
	if !cfg.Compact {
		dtype := modelfile.F32
		if t, ok := file.Lookup("rows"); ok && t.DType == modelfile.F64 {
			dtype = modelfile.F64
		}
		if t := b.tensor("rows", true, dtype, modelfile.Rows, n, d); t != nil && dtype == modelfile.F32 {
			k.rows32 = t.F32()
		} else if t != nil {
			k.rows64 = t.F64()
		}
	}
	for _, t := range file.Tensors() {
		if !b.used[t.Name] {
			b.fail(t.Name, "is not part of this model")
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return k, nil
}

// bindRows finds the first n rows in int8, and what is known of each.
func (k *knn) bindRows(b *binder, n int) {
	if k.cfg.Head > 0 {
		k.bindHead(b)
		k.codes = b.linear("head.int8", n, k.cfg.Head+1).Weights
	} else {
		k.codes = b.linear("rows.int8", n, k.cfg.Cols).Weights
		if t, ok := b.file.Lookup("rows.int8"); ok {
			k.small = t.Small
		}
	}
	k.residual = b.floats("rows.residual", true, n)
	k.norm = b.floats("rows.norm", true, n)
	k.length = k.norm
	if k.cfg.Class == ClassDot {
		k.length = b.floats("rows.length", true, n)
	} else if len(k.codes.Scale) > 0 {
		k.commonScale = k.codes.Scale[0]
		for i, s := range k.codes.Scale[:n] {
			if s != k.commonScale {
				b.fail("rows.int8", "has the scale %g in row %d and %g in row 0; differences need one scale for all", s, i, k.commonScale)
				break
			}
		}
	}
}

// bindCenter finds the center of the columns.
func (k *knn) bindCenter(b *binder) {
	d, z := k.cfg.Cols, k.cfg.Center
	if z == nil {
		k.center = b.doubles("center", true, d)
		return
	}
	dtype, n := modelfile.I8, d
	switch z.Bits {
	case 32:
		dtype = modelfile.F32
	case 4:
		n = (d + 1) / 2
	}
	t := b.tensor("center", true, dtype, modelfile.Rows, n)
	if t == nil {
		return
	}
	k.center = make([]float64, d)
	for j := range k.center {
		switch z.Bits {
		case 32:
			k.center[j] = z.At(float64(t.F32()[j]))
		case 8:
			k.center[j] = z.At(float64(t.I8()[j]))
		case 4:
			v := [2]int8{}
			v[0], v[1] = UnpackKNNCenter(t.I8()[j/2])
			k.center[j] = z.At(float64(v[j%2]))
		}
	}
}

// bindLast finds the rows of a compact file behind the last whole block of sixteen, which would be mostly padding, and returns how many
// there are before them.
func (k *knn) bindLast(b *binder) (whole int) {
	n := k.cfg.Rows
	if _, ok := b.file.Lookup("rows.last"); !ok || !k.cfg.Compact || n%16 == 0 {
		return n
	}
	if t := b.tensor("rows.last", true, modelfile.I8, modelfile.Rows, n%16, k.cfg.Cols); t != nil {
		k.last, k.lastScale = t.I8(), t.Scale
	}
	return n / 16 * 16
}

// doubles returns a float64 vector without its padding, nil when it lacks. The file's check has found it finite.
func (b *binder) doubles(name string, required bool, n int) []float64 {
	t := b.tensor(name, required, modelfile.F64, modelfile.Rows, n)
	if t == nil {
		return nil
	}
	return t.F64()[:n]
}

func (k *knn) checkLabels(b *binder) {
	if k.labels == nil {
		return
	}
	for o := range k.cfg.Outputs {
		classes := float32(len(k.cfg.Outputs[o].Classes))
		for i, v := range k.labels[o*k.labelStride:][:k.cfg.Rows] {
			if !(v >= 0 && v < classes) || v != float32(int32(v)) {
				b.fail("labels", "says class %v for row %d of output %d, which has %v classes", v, i, o, classes)
				return
			}
		}
	}
}

// KNNOptions shape a Classifier. Zero values mean what the file says, or the default in brackets.
type KNNOptions struct {
	K       int     // neighbours
	Metric  string  // one of Metrics
	P       float64 // of minkowski
	Weights string  // uniform or distance
	Batch   int     // queries searched side by side, which reads the rows once for all [1]
	Threads int     // goroutines that share the work, the caller included [1]
	CPUs    []int   // one for each thread, which is pinned to it and spins briefly before it parks; the caller pins itself [neither]
	Kernels string  // name of a kernel set; "": EDGE_INFER_KERNELS, else the best one
	Memory  int64   // as in Options
	RankAll bool    // rank every row instead of scanning int8 rows first: the same answer, slower
}

// Neighbor is one training row and how far it is. Row counts from 0.
type Neighbor struct {
	Row      int
	Distance float64
}

// Classifier searches the neighbours of up to KNNOptions.Batch queries side by side, and lets them vote. Its memory is
// allocated when it is made; after that no method allocates. A Classifier is for one goroutine at a time; a Model serves many.
//
//	i, err := c.Add(values) // up to Batch queries
//	err = c.Run()
//	near := c.Neighbors(i)
//	c.Class(near, 0)
//	c.Reset()
type Classifier struct {
	m          *knn
	opt        KNNOptions
	set        kernels.Set
	pool       *threads.Pool
	file       *modelfile.File
	metric     metric
	exhaustive bool    // the metric is not one that the int8 rows serve
	relative   float64 // see relativeError
	underflow  float64 // what squares or products below the range of float64 may take off a distance
	spread     float64 // of minkowski: how many times its distance the 1-norm is at most

	count   int // queries added
	x       []float64
	q8      []int8
	queries []query
	centred []float64
	reduced []float64 // for files with a head
	parts   []knnPart
	results []Neighbor // [Batch, K]
	found   []int      // neighbours of each query
	ranked  []int64
	weights []float64 // of one query's votes
	votes   []float64 // of one query's classes

	scanned  *plane                     // by the run under way
	byPairs  bool                       // that is the plane of pairs
	rowsAt   int                        // rows of a tile of the run under way
	scan     func(worker, from, to int) // method values made once: making one allocates
	run      func() error
	copyRow  func() error
	rowAsked int
}

// relativeError bounds what rounding does to a sum of n float64 terms of one sign, with room to spare.
func relativeError(n int) float64 { return float64(float64(n+16) * 0x1p-49) }

func (m *Model) knnOptions(o KNNOptions) (KNNOptions, error) {
	if err := m.want(FamilyKNN); err != nil {
		return o, err
	}
	c := m.knn.cfg
	if o.Metric == "" {
		o.Metric = c.Metric
		if o.P == 0 {
			o.P = c.P
		}
	}
	if o.Weights == "" {
		o.Weights = c.Weights
	}
	var err error
	if o.Metric, o.P, err = CanonicalMetric(o.Metric, o.P); err == nil {
		err = checkWeights(o.Weights, o.Metric)
	}
	if err != nil {
		return o, &InputError{err.Error()}
	}
	if o.K == 0 {
		o.K = c.K
	}
	if o.K < 0 || o.K > c.Rows {
		return o, &InputError{fmt.Sprintf("k is %d, must be 1 to %d: the model has %d rows", o.K, min(c.Rows, MaxK), c.Rows)}
	}
	for _, f := range []struct {
		name    string
		v       *int
		def, hi int
	}{{"k", &o.K, 0, MaxK}, {"batch", &o.Batch, 1, maxBatch}, {"threads", &o.Threads, 1, threads.Max}} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 1 || *f.v > f.hi {
			return o, &InputError{fmt.Sprintf("%s is %d, must be 1 to %d", f.name, *f.v, f.hi)}
		}
	}
	return o, nil
}

// PlanClassifier computes what NewClassifier(o) will allocate. Errors: *FamilyError, *InputError for options out of range.
func (m *Model) PlanClassifier(o KNNOptions) (*Plan, error) {
	o, err := m.knnOptions(o)
	if err != nil {
		return nil, err
	}
	a := &arena{counting: true}
	(&Classifier{m: m.knn, opt: o}).allocate(a)
	return m.planOf(a, o.Threads, o.Memory, smaller{o.Batch, 1, "",
		func(batch, _ int) (*Plan, error) {
			o := o
			o.Batch = batch
			return m.PlanClassifier(o)
		}}), nil
}

// NewClassifier allocates a Classifier, all of it, once.
// Errors: *FamilyError, *InputError for options out of range, *MemoryError when the Plan does not fit, *kernels.UnavailableError for a kernel set that this CPU lacks.
func (m *Model) NewClassifier(o KNNOptions) (*Classifier, error) {
	plan, err := m.PlanClassifier(o)
	if err != nil {
		return nil, err
	}
	set, err := selectKernels(o.Kernels)
	if err != nil {
		return nil, err
	}
	o, _ = m.knnOptions(o) // checked by PlanClassifier
	if err := m.admit(plan); err != nil {
		return nil, err
	}
	k := m.knn
	c := &Classifier{m: k, opt: o, set: set, pool: &m.pool, file: m.file, metric: metric{metricKinds[o.Metric], o.P}}
	c.relative = relativeError(k.cfg.Cols)
	switch c.metric.kind {
	case euclidean:
		c.underflow = math.Sqrt(float64(k.cfg.Cols)) * 0x1p-530
	case dotProduct:
		c.underflow = float64(k.cfg.Cols) * 0x1p-1070
	case minkowski:
		// Powers and roots are right to far less than 2^-30; a power that lost digits, or all, was below 2^-1000.
		n := float64(k.cfg.Cols)
		c.spread = pow64(n, 1-1/o.P) * (1 + 0x1p-30)
		c.underflow = pow64(n*0x1p-1000, 1/o.P) * (1 + 0x1p-30)
	}
	c.exhaustive = o.RankAll || !m.knn.serves(c.metric)
	c.allocate(&arena{})
	c.scanned = &c.m.plane
	c.scan, c.run, c.copyRow = each(c.scanPart), c.runAll, c.copyAsked
	m.pool.Grow(o.Threads, o.CPUs)
	return c, nil
}

// serves says whether the int8 rows are for this metric.
func (k *knn) serves(m metric) bool {
	switch m.kind {
	case euclidean, dotProduct:
		return k.cfg.Class == ClassDot
	case cosine:
		return k.cfg.Class == ClassDot && k.cfg.Cosine
	case manhattan, chebyshev, minkowski:
		return k.cfg.Class == ClassDifference
	}
	return false
}

// Exhaustive says that the int8 rows of the file are not for this metric, so that every row is ranked: slower.
func (c *Classifier) Exhaustive() bool { return c.exhaustive }

// Options gives the options with the file's own where they were zero.
func (c *Classifier) Options() KNNOptions { return c.opt }

func (c *Classifier) allocate(a *arena) {
	cfg, o := c.m.cfg, c.opt
	const book, scratch = "queries and neighbours", "scan"
	c.x = take[float64](a, book, o.Batch, cfg.Cols)
	c.q8 = take[int8](a, book, max(o.Batch*c.m.codes.K, c.m.pairs.columns()))
	c.queries = take[query](a, book, o.Batch)
	c.centred = take[float64](a, book, cfg.Cols)
	if cfg.Head > 0 {
		c.reduced = take[float64](a, book, cfg.Head+1)
	}
	c.results = take[Neighbor](a, book, o.Batch, o.K)
	c.found = take[int](a, book, o.Batch)
	c.ranked = take[int64](a, book, o.Batch)
	c.weights = take[float64](a, book, o.K)
	classes := 1
	for _, out := range cfg.Outputs {
		classes = max(classes, len(out.Classes))
	}
	c.votes = take[float64](a, book, classes)
	c.parts = make([]knnPart, o.Threads)
	a.count(book, int64(o.Threads)*int64(unsafe.Sizeof(knnPart{})))
	for i := range c.parts {
		p := &c.parts[i]
		p.acc = take[int32](a, scratch, scanSums)
		p.idx = take[int32](a, scratch, scanSums)
		p.found = kernels.Reached{Place: p.idx}
		if o.Batch > 1 {
			p.found.Sum, p.found.Value = take[int32](a, scratch, scanSums), take[float32](a, scratch, scanSums)
		}
		if cfg.Compact {
			p.dequantized = take[float64](a, scratch, 4, cfg.Cols)
		}
		p.searches = take[search](a, scratch, o.Batch)
		p.bounds = take[kernels.Bound](a, scratch, o.Batch)
		waiting := take[pendingRow](a, scratch, pendingRows+(o.Batch-1)*pendingMany)
		all := take[rankedRow](a, scratch, o.Batch, o.K)
		n := wholeRanks(min(o.K, maxSample))
		samples := take[sample](a, scratch, o.Batch, n)
		for j := range p.searches {
			room := pendingRows
			if j > 0 {
				room = pendingMany
			}
			p.searches[j].pending, waiting = waiting[:0:room], waiting[room:]
			p.searches[j].heap = all[j*o.K : (j+1)*o.K : (j+1)*o.K][:0]
			p.searches[j].samples = samples[j*n : (j+1)*n : (j+1)*n][:0]
		}
	}
}

// Add takes a query in: a value a column, in the units of the source, before scaling. They are copied. It returns the number by which its
// results are asked for. Errors: *InputError for a wrong number of values, NaN, infinity, or values whose squares overflow; the
// Classifier stays as it was. Panics if there are Batch queries already.
func (c *Classifier) Add(values []float64) (int, error) {
	if c.count == c.opt.Batch {
		panic(fmt.Sprintf("runtime: query %d of a Classifier with a batch of %d; Run and Reset first", c.count+1, c.opt.Batch))
	}
	d := c.m.cfg.Cols
	if len(values) != d {
		return 0, &InputError{fmt.Sprintf("%d values were given, the model has %d columns", len(values), d)}
	}
	for j, v := range values {
		if !(math.Abs(v) <= MaxKNNValue) {
			return 0, &InputError{fmt.Sprintf("column %d is %v, must be a number from -1e150 to 1e150", j+1, v)}
		}
	}
	x := c.x[c.count*d : (c.count+1)*d]
	copy(x, values)
	for i := range c.m.scalers {
		c.m.scalers[i].apply(x)
	}
	for j, v := range x {
		if !(math.Abs(v) <= MaxKNNValue) {
			return 0, &InputError{fmt.Sprintf("column %d is %v after scaling, must be a number from -1e150 to 1e150", j+1, v)}
		}
	}
	c.count++
	return c.count - 1, nil
}

// AddRow takes training row in as a query, as the file keeps it: with its scaling, if there is one, done. Itself is among its
// neighbours. Panics as Add does, and if there is no such row.
func (c *Classifier) AddRow(row int) (int, error) {
	if c.count == c.opt.Batch || row < 0 || row >= c.m.cfg.Rows {
		panic(fmt.Sprintf("runtime: row %d of %d as query %d of a batch of %d", row, c.m.cfg.Rows, c.count+1, c.opt.Batch))
	}
	c.rowAsked = row
	if err := modelfile.Guard(c.file.Path(), c.copyRow); err != nil {
		return 0, err
	}
	c.count++
	return c.count - 1, nil
}

func (c *Classifier) copyAsked() error {
	k, d := c.m, c.m.cfg.Cols
	x := c.x[c.count*d : (c.count+1)*d]
	switch {
	case k.rows32 != nil:
		for j, v := range k.rows32[c.rowAsked*k.stride:][:d] {
			x[j] = float64(v)
		}
	case k.rows64 != nil:
		copy(x, k.rows64[c.rowAsked*k.stride:])
	default:
		k.dequantize(x, c.rowAsked)
	}
	return nil
}

// MaxKNNValue bounds the numbers of rows and queries, so that squares and their sums are finite.
const MaxKNNValue = 1e150

// apply scales x in place, in float64 as scikit-learn does.
func (s *scaler) apply(x []float64) {
	switch s.Kind {
	case ScalerStandard, ScalerRobust:
		for j, v := range s.center {
			x[j] -= v
		}
		for j, v := range s.scale {
			x[j] /= v
		}
	case ScalerMinMax:
		for j, v := range s.scale {
			x[j] = float64(x[j] * v)
		}
		for j, v := range s.center {
			x[j] += v
		}
		if s.Clip {
			for j := range x {
				x[j] = min(max(x[j], s.Low), s.High)
			}
		}
	case ScalerNormalizer:
		n := 0.0
		switch s.Norm {
		case "l2":
			n = norm64(x)
		default:
			for _, v := range x {
				if s.Norm == "max" {
					n = max(n, math.Abs(v))
				} else {
					n += math.Abs(v)
				}
			}
		}
		if n == 0 {
			return
		}
		for j := range x {
			x[j] /= n
		}
	}
}

// Run searches the neighbours of all queries that were added.
// Errors: *modelfile.FormatError if the file was cut while in use.
func (c *Classifier) Run() error { return modelfile.Guard(c.file.Path(), c.run) }

// Reset forgets the queries.
func (c *Classifier) Reset() { c.count = 0 }

// Neighbors gives the nearest rows of query i, nearest first. Valid until the next Run.
func (c *Classifier) Neighbors(i int) []Neighbor { return c.results[i*c.opt.K:][:c.found[i]] }

// Ranked tells for how many rows query i computed the exact distance.
func (c *Classifier) Ranked(i int) int64 { return c.ranked[i] }

// Bytes tells how many bytes of the model the last Run read: quantized rows once for all queries, and each row ranked.
func (c *Classifier) Bytes() int64 {
	k, n := c.m, int64(0)
	row := int64(k.stride) * 4
	switch {
	case k.rows64 != nil:
		row *= 2
	case k.cfg.Compact:
		row = int64(k.codes.K)
	}
	for i := range c.count {
		n += c.ranked[i] * row
	}
	if !c.exhaustive {
		arrays := int64(16)
		switch {
		case c.byPairs:
			arrays = 12
			for i := range c.parts {
				n += c.parts[i].searches[0].refined * int64(c.scanned.codes.K+8)
			}
		case k.cfg.Class == ClassDot:
			arrays = 20
		}
		n += int64(c.scanned.codes.N) * (int64(c.scanned.codes.K) + arrays)
	}
	return n
}

// KNN gives the config of a model of neighbours, nil for other families. It must not be changed.
func (m *Model) KNN() *KNNConfig {
	if m.knn == nil {
		return nil
	}
	return m.knn.cfg
}

// Label is the class of training row in an output of a TaskClassify model.
func (c *Classifier) Label(row, output int) int {
	return int(c.m.labels[output*c.m.labelStride+row])
}

// Target is the value of training row in an output of a TaskRegress model.
func (c *Classifier) Target(row, output int) float64 {
	return c.m.targets[output*c.m.labelStride+row]
}

// ApplyKNNScaler scales x in place, as a Classifier does with each query. center and scale are s's tensors, nil where they lack.
func ApplyKNNScaler(s KNNScaler, center, scale, x []float64) {
	(&scaler{s, center, scale}).apply(x)
}
