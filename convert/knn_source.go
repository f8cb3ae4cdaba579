package convert

import (
	"fmt"
	"math"
	"slices"

	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// KNNSource is a set of training rows that has been understood, whatever format it came in: what every reader of nearest
// neighbour models and tables of data fills, and convertKNN writes. Rows stay with the reader and are asked for one at a time,
// in order, several times over.
type KNNSource struct {
	Format string // "scikit-learn 1.5 joblib", "CSV"
	Path   string // as the user gave it, for messages

	Task       string          // runtime.TaskClassify, TaskRegress or TaskNeighbors
	Rows, Cols int             // of the training data
	RowType    modelfile.DType // F32 or F64: what holds the source's values without loss; integers to 2^24 fit F32
	// ReadRow puts row i into dst, len(dst) = Cols: the values that distances are measured on. They have been through Scalers
	// where the source keeps them so, as a Pipeline does.
	ReadRow func(dst []float64, i int) error

	Outputs []KNNOutput // one a predicted column; none for TaskNeighbors

	K        int     // neighbours asked for when nothing else is said; 0: 5
	Metric   string  // one of runtime.Metrics; "": euclidean. Minkowski with P 1, 2 or infinity may be given as such
	P        float64 // of minkowski
	Weights  string  // runtime.WeightsUniform or WeightsDistance; "": uniform
	Features []string
	Scalers  []KNNScaler // applied to a query in this order

	Warnings []string
	Licence  string       // SPDX where the source says it
	Close    func() error // nil: nothing to close
}

// KNNOutput is one predicted column: classes for TaskClassify, numbers for TaskRegress.
type KNNOutput struct {
	Name    string    // of the column; may be ""
	Classes []string  // names in the source's order, which breaks ties: the lower index wins. Integers as decimal text
	Numeric bool      // the class names are numbers: JSON prints them as such
	Labels  []int32   // class of each row, an index into Classes
	Values  []float64 // regression target of each row
}

// KNNScaler is one step of preprocessing, computed in float64 as scikit-learn does:
//
//	standard, robust  (x - Center) / Scale    a nil slice leaves its part out
//	minmax            x * Scale + Center, then clipped to [Low, High] if Clip
//	normalizer        x / norm(x), Norm l1, l2 or max; a zero row stays
type KNNScaler struct {
	Kind          string // runtime.ScalerStandard, ScalerRobust, ScalerMinMax, ScalerNormalizer
	Center, Scale []float64
	Clip          bool
	Low, High     float64
	Norm          string
}

// validate checks everything but the rows themselves.
func (s *KNNSource) validate() error {
	bad := func(format string, args ...any) error {
		return failure(s.Path, fmt.Sprintf(format, args...), "this is not a model or table that neighbours can be searched in")
	}
	switch s.Task {
	case runtime.TaskClassify, runtime.TaskRegress, runtime.TaskNeighbors:
	default:
		return bad("has the task %q, which is not known", s.Task)
	}
	if s.Rows < 1 {
		return bad("has no rows")
	}
	if s.Cols < 1 {
		return bad("has no columns of features")
	}
	if s.Rows > runtime.MaxKNNRows || s.Cols > runtime.MaxKNNCols {
		return bad("has %d rows of %d columns; %d rows of %d columns are supported", s.Rows, s.Cols, runtime.MaxKNNRows, runtime.MaxKNNCols)
	}
	if s.RowType != modelfile.F32 && s.RowType != modelfile.F64 {
		return bad("has rows of type %v", s.RowType)
	}
	if (len(s.Outputs) == 0) != (s.Task == runtime.TaskNeighbors) {
		return bad("has %d columns to predict and the task %q", len(s.Outputs), s.Task)
	}
	if len(s.Features) != 0 && len(s.Features) != s.Cols {
		return bad("names %d features and has %d columns", len(s.Features), s.Cols)
	}
	for i := range s.Outputs {
		if err := s.validateOutput(&s.Outputs[i], i); err != nil {
			return bad("%v", err)
		}
	}
	for i := range s.Scalers {
		if err := s.Scalers[i].validate(s.Cols); err != nil {
			return bad("scaler %d: %v", i+1, err)
		}
	}
	return nil
}

func (s *KNNSource) validateOutput(o *KNNOutput, i int) error {
	if s.Task == runtime.TaskRegress {
		if len(o.Values) != s.Rows {
			return fmt.Errorf("target %d has %d values for %d rows", i+1, len(o.Values), s.Rows)
		}
		for row, v := range o.Values {
			if v-v != 0 {
				return fmt.Errorf("target %d of row %d is %v, must be finite", i+1, row+1, v)
			}
		}
		return nil
	}
	if len(o.Labels) != s.Rows {
		return fmt.Errorf("label column %d has %d labels for %d rows", i+1, len(o.Labels), s.Rows)
	}
	if len(o.Classes) == 0 || len(o.Classes) > runtime.MaxKNNClasses {
		return fmt.Errorf("label column %d has %d classes, must have 1 to %d", i+1, len(o.Classes), runtime.MaxKNNClasses)
	}
	for row, l := range o.Labels {
		if l < 0 || int(l) >= len(o.Classes) {
			return fmt.Errorf("label of row %d is class %d of %d", row+1, l, len(o.Classes))
		}
	}
	return nil
}

func (k *KNNScaler) validate(cols int) error {
	for _, v := range [][]float64{k.Center, k.Scale} {
		if v != nil && len(v) != cols {
			return fmt.Errorf("has %d values for %d columns", len(v), cols)
		}
		if i := slices.IndexFunc(v, func(x float64) bool { return x-x != 0 }); i >= 0 {
			return fmt.Errorf("column %d is %v, must be finite", i+1, v[i])
		}
	}
	switch k.Kind {
	case runtime.ScalerStandard, runtime.ScalerRobust:
		if i := slices.Index(k.Scale, 0); i >= 0 {
			return fmt.Errorf("divides column %d by 0", i+1)
		}
	case runtime.ScalerMinMax:
		if k.Clip && !(k.Low <= k.High && math.Abs(k.Low) <= math.MaxFloat64 && math.Abs(k.High) <= math.MaxFloat64) {
			return fmt.Errorf("clips to %v..%v", k.Low, k.High)
		}
	case runtime.ScalerNormalizer:
		if k.Norm != "l1" && k.Norm != "l2" && k.Norm != "max" {
			return fmt.Errorf("has the norm %q; l1, l2 and max are known", k.Norm)
		}
	default:
		return fmt.Errorf("of kind %q is not known", k.Kind)
	}
	return nil
}
