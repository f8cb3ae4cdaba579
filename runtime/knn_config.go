package runtime

import (
	"encoding/json"
	"fmt"
	"math"
)

// KNNConfig is the "config" object in the metadata of a file of family "knn". The converter writes it, Open checks it
// against the tensors.
type KNNConfig struct {
	Task     string      `json:"task"` // classify, regress or neighbors
	Rows     int         `json:"rows"`
	Cols     int         `json:"cols"`
	K        int         `json:"k"`
	Metric   string      `json:"metric"`
	P        float64     `json:"p,omitempty"` // of minkowski
	Weights  string      `json:"weights"`
	Features []string    `json:"features,omitempty"`
	Outputs  []KNNOutput `json:"outputs,omitempty"`
	Scalers  []KNNScaler `json:"scalers,omitempty"`

	// Class is the class of metrics that the int8 rows serve: dot or difference. Another metric scans the kept rows.
	Class string `json:"class"`
	// Unit is the power of two that scales, norms and residuals are counted in, so that data of any magnitude fits float32.
	Unit float64 `json:"unit"`
	// Compact says that the file has no kept rows: distances are those of the int8 rows, and results approximate.
	Compact bool `json:"compact,omitempty"`
	// Center says how a compact file holds the center of the columns in less than float64; nil: it does not.
	Center *KNNCenter `json:"center,omitempty"`
	// Recall is the share of true neighbours that a compact file found at conversion, Sampled on that many of its own rows.
	Recall  float64 `json:"recall,omitempty"`
	Sampled int     `json:"sampled,omitempty"`
	// Head is how many principal axes the int8 rows are reduced to, 0 for rows as they are. Tail is taken off what the rows keep
	// outside the axes.
	Head int     `json:"head,omitempty"`
	Tail float64 `json:"tail,omitempty"`
	// Pairs says that the file holds the rows once more in fewer bits, for single queries: see knn_pairs.go.
	Pairs bool `json:"pairs,omitempty"`
	// Cosine says that the norms of the rows are such that cosine distances can be bounded.
	Cosine bool `json:"cosine,omitempty"`
}

// KNNCenter gives column j of the center as Base + Step*v[j] of the tensor "center": v is float32 (32 bits), int8 in -127..127 (8 bits), or
// int4 in -7..7 (4 bits), two columns a byte: see UnpackKNNCenter.
type KNNCenter struct {
	Bits int     `json:"bits"`
	Base float64 `json:"base"`
	Step float64 `json:"step"`
}

// At is the column for which the tensor says v.
func (c *KNNCenter) At(v float64) float64 { return c.Base + float64(c.Step*v) }

// UnpackKNNCenter gives the two columns that a byte b = 16*second + first of a center of 4 bits stands for.
func UnpackKNNCenter(b int8) (first, second int8) {
	first = b << 4 >> 4
	return first, int8((int(b) - int(first)) >> 4)
}

// KNNOutput is one predicted column.
type KNNOutput struct {
	Name    string   `json:"name,omitempty"`
	Classes []string `json:"classes,omitempty"` // of TaskClassify
	Numeric bool     `json:"numeric,omitempty"` // the class names are numbers
}

// KNNScaler is one step of preprocessing; its numbers are the tensors scaler.N.center and scaler.N.scale, float64.
//
//	standard, robust  (x - center) / scale    a tensor that lacks leaves its part out
//	minmax            x * scale + center, then clipped to [low, high] if clip
//	normalizer        x / norm(x), l1, l2 or max; a zero row stays
type KNNScaler struct {
	Kind string  `json:"kind"`
	Clip bool    `json:"clip,omitempty"`
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
	Norm string  `json:"norm,omitempty"`
}

// What a model of family "knn" predicts.
const (
	TaskClassify  = "classify"
	TaskRegress   = "regress"
	TaskNeighbors = "neighbors"
)

// The metrics. Distances are float64, summed in column order.
const (
	MetricEuclidean = "euclidean" // sqrt(Σ (x-w)²)
	MetricCosine    = "cosine"    // 1 - x·w / (|x| |w|), 1 where either is zero
	MetricDot       = "dot"       // -x·w: the largest product is nearest
	MetricManhattan = "manhattan" // Σ |x-w|
	MetricChebyshev = "chebyshev" // max |x-w|
	MetricMinkowski = "minkowski" // (Σ |x-w|^p)^(1/p)
)

// Metrics lists the names of all metrics.
func Metrics() []string {
	return []string{MetricEuclidean, MetricManhattan, MetricChebyshev, MetricMinkowski, MetricCosine, MetricDot}
}

// How neighbours vote: all the same, or by 1/distance.
const (
	WeightsUniform  = "uniform"
	WeightsDistance = "distance"
)

// The kinds of scalers.
const (
	ScalerStandard   = "standard"
	ScalerRobust     = "robust"
	ScalerMinMax     = "minmax"
	ScalerNormalizer = "normalizer"
)

// The classes of metrics that one set of int8 rows serves.
const (
	ClassDot        = "dot"        // euclidean, cosine, dot: one scale a row
	ClassDifference = "difference" // manhattan, chebyshev, minkowski: one scale for all
)

// Limits on what a file may claim.
const (
	MaxKNNRows    = 1 << 30
	MaxKNNCols    = 131071 - 15 // int32 sums are exact
	MaxKNNClasses = 1 << 24     // classes are counted in float32
	MaxK          = 1 << 16
	maxOutputs    = 1 << 10
)

// MetricClass is the class of a metric, "" for a name that is none.
func MetricClass(metric string) string {
	switch metric {
	case MetricEuclidean, MetricCosine, MetricDot:
		return ClassDot
	case MetricManhattan, MetricChebyshev, MetricMinkowski:
		return ClassDifference
	}
	return ""
}

// CanonicalMetric checks a metric and gives minkowski with p 1, 2 and infinity their own names.
func CanonicalMetric(metric string, p float64) (string, float64, error) {
	switch metric {
	case MetricMinkowski:
		switch {
		case p == 1:
			return MetricManhattan, 0, nil
		case p == 2:
			return MetricEuclidean, 0, nil
		case math.IsInf(p, 1):
			return MetricChebyshev, 0, nil
		case !(p > 1 && p <= maxP):
			return "", 0, fmt.Errorf("minkowski needs a p of 1 to %d, or infinity, not %v", maxP, p)
		}
		return metric, p, nil
	case "l2":
		return MetricEuclidean, 0, nil
	case "l1", "cityblock":
		return MetricManhattan, 0, nil
	case "infinity":
		return MetricChebyshev, 0, nil
	case "":
		return MetricEuclidean, 0, nil
	}
	if MetricClass(metric) == "" {
		return "", 0, fmt.Errorf("metric %q is not known; these are: euclidean, manhattan, chebyshev, minkowski, cosine, dot", metric)
	}
	return metric, 0, nil
}

// maxP bounds minkowski: beyond it the largest difference decides alone, which is chebyshev.
const maxP = 64

// ParseKNNConfig decodes and checks the config object alone; the tensors are checked by Open.
func ParseKNNConfig(raw json.RawMessage) (*KNNConfig, error) {
	c := &KNNConfig{}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

func (c *KNNConfig) validate() error {
	for _, f := range []struct {
		name      string
		v, lo, hi int
	}{
		{"rows", c.Rows, 1, MaxKNNRows},
		{"cols", c.Cols, 1, MaxKNNCols},
		{"k", c.K, 1, min(c.Rows, MaxK)},
		{"number of outputs", len(c.Outputs), 0, maxOutputs},
		{"number of scalers", len(c.Scalers), 0, 16},
	} {
		if f.v < f.lo || f.v > f.hi {
			return fmt.Errorf("%s is %d, must be %d to %d", f.name, f.v, f.lo, f.hi)
		}
	}
	if metric, p, err := CanonicalMetric(c.Metric, c.P); err != nil || metric != c.Metric || p != c.P {
		return fmt.Errorf("metric %q with p %v is not one of %v", c.Metric, c.P, Metrics())
	}
	if c.Class != ClassDot && c.Class != ClassDifference {
		return fmt.Errorf("class %q is not known", c.Class)
	}
	if frac, _ := math.Frexp(c.Unit); frac != 0.5 || c.Unit < 0x1p-1000 || c.Unit > 0x1p1000 {
		return fmt.Errorf("unit is %v, must be a power of two from 2^-1000 to 2^1000", c.Unit)
	}
	if c.Head < 0 || c.Head >= max(c.Cols, 1) || c.Head > 0 && (c.Compact || c.Class != ClassDot) || !(math.Abs(c.Tail) < far) {
		return fmt.Errorf("head of %d axes with a tail of %v does not fit %d columns, class %q, compact %v", c.Head, c.Tail, c.Cols, c.Class, c.Compact)
	}
	if c.Pairs && (c.Head > 0 || c.Compact || c.Class != ClassDot) {
		return fmt.Errorf("pairs do not fit class %q, compact %v, a head of %d axes", c.Class, c.Compact, c.Head)
	}
	if z := c.Center; z != nil {
		// Every column is finite, as of rows.
		if !c.Compact || z.Bits != 32 && z.Bits != 8 && z.Bits != 4 || !(math.Abs(z.Base) <= MaxKNNValue && z.Step >= 0 && z.Step <= MaxKNNValue) {
			return fmt.Errorf("center of %d bits from %v by %v does not fit compact %v; bits must be 4, 8 or 32", z.Bits, z.Base, z.Step, c.Compact)
		}
	}
	if err := checkWeights(c.Weights, c.Metric); err != nil {
		return err
	}
	if c.Features != nil && len(c.Features) != c.Cols {
		return fmt.Errorf("%d features are named, there are %d columns", len(c.Features), c.Cols)
	}
	switch c.Task {
	case TaskNeighbors:
		if len(c.Outputs) > 0 {
			return fmt.Errorf("task %q has outputs", c.Task)
		}
	case TaskClassify, TaskRegress:
		if len(c.Outputs) == 0 {
			return fmt.Errorf("task %q has no outputs", c.Task)
		}
	default:
		return fmt.Errorf("task %q is not known", c.Task)
	}
	for i, o := range c.Outputs {
		if n := len(o.Classes); (n > 0) != (c.Task == TaskClassify) || n > MaxKNNClasses {
			return fmt.Errorf("output %d has %d classes and the task is %q", i, n, c.Task)
		}
	}
	for i, s := range c.Scalers {
		switch s.Kind {
		case ScalerStandard, ScalerRobust:
		case ScalerMinMax:
			if !(s.Low <= s.High) {
				return fmt.Errorf("scaler %d clips to %v..%v", i, s.Low, s.High)
			}
		case ScalerNormalizer:
			if s.Norm != "l1" && s.Norm != "l2" && s.Norm != "max" {
				return fmt.Errorf("scaler %d has the norm %q", i, s.Norm)
			}
		default:
			return fmt.Errorf("scaler %d is of kind %q, which is not known", i, s.Kind)
		}
	}
	return nil
}

func checkWeights(weights, metric string) error {
	switch {
	case weights != WeightsUniform && weights != WeightsDistance:
		return fmt.Errorf("weights %q are not known; these are: uniform, distance", weights)
	case weights == WeightsDistance && metric == MetricDot:
		return fmt.Errorf("products are no distances, so neighbours by dot cannot be weighted by distance; take uniform")
	}
	return nil
}
