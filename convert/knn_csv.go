package convert

import (
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"

	"github.com/edge-infer/edge-infer/convert/table"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// openCSV reads a table. It is held in memory while it is converted.
func openCSV(path string, o KNNOptions) (*KNNSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := table.ReadCSV(f, path, table.Options{Header: o.Header, Label: o.LabelColumn})
	if err != nil {
		return nil, err
	}
	features := t.Features
	if features == nil && o.Names != nil {
		features = o.Names
	}
	return KNNTable("CSV", path, t.Rows, t.Cols, t.Values, textLabels(t.Labels), t.LabelName, features, t.Notes, o)
}

// Labels gives the label of a row as text; nil where rows have none.
type Labels func(row int) (string, error)

func textLabels(list []string) Labels {
	if list == nil {
		return nil
	}
	return func(i int) (string, error) { return list[i], nil }
}

// KNNTable makes a source of a table in memory: values [rows, cols]. The scaler that o asks for is fitted to
// the values, and applied to them.
func KNNTable(format, path string, rows, cols int, values []float64, labels Labels, labelName string, features, notes []string, o KNNOptions) (*KNNSource, error) {
	s := &KNNSource{
		Format: format, Path: path, Task: o.Task, Rows: rows, Cols: cols, RowType: modelfile.F64, Features: features, Warnings: notes,
		ReadRow: func(dst []float64, i int) error { copy(dst, values[i*cols:(i+1)*cols]); return nil },
	}
	if s.Task == "" {
		s.Task = runtime.TaskClassify
		if labels == nil && o.LabelColumn == "none" {
			s.Task = runtime.TaskNeighbors
		}
	}
	if labels == nil && s.Task != runtime.TaskNeighbors {
		return nil, failure(path, "holds numbers alone, and does not say which column holds the labels",
			"name it with --label-column NAME or NUMBER, or say --label-column none to look for neighbours only")
	}
	switch s.Task {
	case runtime.TaskClassify:
		out, err := encodeLabels(path, labels, rows)
		if err != nil {
			return nil, err
		}
		out.Name = labelName
		s.Outputs = []KNNOutput{out}
	case runtime.TaskRegress:
		out := KNNOutput{Name: labelName, Values: make([]float64, rows)}
		for i := range rows {
			l, err := labels(i)
			if err != nil {
				return nil, err
			}
			v, err := strconv.ParseFloat(l, 64)
			if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
				return nil, failure(path, fmt.Sprintf("row %d: the target %q is not a number", i+1, l), "regression needs numbers; leave --task out to predict classes")
			}
			out.Values[i] = v
		}
		s.Outputs = []KNNOutput{out}
	}
	scaler, err := fitScaler(o.Scale, path, rows, cols, values)
	if err != nil {
		return nil, err
	}
	if scaler != nil {
		s.Scalers = []KNNScaler{*scaler}
		plain := s.ReadRow
		s.ReadRow = func(dst []float64, i int) error {
			if err := plain(dst, i); err != nil {
				return err
			}
			runtime.ApplyKNNScaler(runtime.KNNScaler{Kind: scaler.Kind, Norm: scaler.Norm}, scaler.Center, scaler.Scale, dst)
			return nil
		}
	}
	return s, nil
}

// maxNames bounds the names of classes, all together: they lie in the metadata of a model, which has a megabyte.
const maxNames = 1 << 20

// encodeLabels turns labels into classes: sorted as numbers if all are whole numbers, else as text, as scikit-learn does.
func encodeLabels(path string, labels Labels, rows int) (KNNOutput, error) {
	out := KNNOutput{Numeric: true, Labels: make([]int32, rows)}
	index, size := map[string]int32{}, 0 // of each class in order of appearance
	for i := range rows {
		l, err := labels(i)
		if err != nil {
			return out, err
		}
		class, ok := index[l]
		if !ok {
			class = int32(len(index))
			index[l] = class
			out.Classes = append(out.Classes, l)
			if n, err := strconv.ParseInt(l, 10, 64); err != nil || strconv.FormatInt(n, 10) != l {
				out.Numeric = false
			}
			if size += len(l) + len(`"",`); size > maxNames {
				return out, failure(path, fmt.Sprintf("has %d classes and more", len(index)), "if the labels are values to be predicted, say --task regress; if there are none, --label-column none")
			}
		}
		out.Labels[i] = class
	}
	if out.Numeric {
		sort.Slice(out.Classes, func(i, j int) bool {
			x, _ := strconv.ParseInt(out.Classes[i], 10, 64)
			y, _ := strconv.ParseInt(out.Classes[j], 10, 64)
			return x < y
		})
	} else {
		sort.Strings(out.Classes)
	}
	place := make([]int32, len(out.Classes)) // of each in order of appearance among the sorted
	for i, c := range out.Classes {
		place[index[c]] = int32(i)
	}
	for i, c := range out.Labels {
		out.Labels[i] = place[c]
	}
	return out, nil
}

// fitScaler fits the scaler of the given kind; nil for none. A column without spread keeps its scale, as in scikit-learn.
func fitScaler(kind, path string, rows, cols int, values []float64) (*KNNScaler, error) {
	s := &KNNScaler{Kind: kind, Center: make([]float64, cols), Scale: make([]float64, cols)}
	column := make([]float64, rows)
	each := func(f func(j int)) {
		for j := range cols {
			for i := range rows {
				column[i] = values[i*cols+j]
			}
			f(j)
		}
	}
	switch kind {
	case "":
		return nil, nil
	case "l1", "l2", "max":
		return &KNNScaler{Kind: runtime.ScalerNormalizer, Norm: kind}, nil
	case runtime.ScalerStandard:
		each(func(j int) {
			n := float64(rows)
			for _, v := range column {
				s.Center[j] += v / n
			}
			squares := 0.0
			for _, v := range column {
				squares += float64((v-s.Center[j])*(v-s.Center[j])) / n
			}
			// What rounding alone leaves of a constant column is no spread.
			if s.Scale[j] = math.Sqrt(squares); s.Scale[j] <= 10*0x1p-52*math.Abs(s.Center[j]) {
				s.Scale[j] = 1
			}
		})
	case runtime.ScalerMinMax:
		each(func(j int) {
			low, high := slices.Min(column), slices.Max(column)
			if s.Scale[j] = 1; high > low {
				s.Scale[j] = 1 / (high - low)
			}
			s.Center[j] = 0 - float64(low*s.Scale[j])
		})
	case runtime.ScalerRobust:
		each(func(j int) {
			sortFloats(column)
			s.Center[j] = quantile(column, 0.5)
			if s.Scale[j] = quantile(column, 0.75) - quantile(column, 0.25); s.Scale[j] == 0 {
				s.Scale[j] = 1
			}
		})
	default:
		return nil, failure(path, fmt.Sprintf("cannot be scaled by %q", kind), "these are known: standard, minmax, robust, and l1, l2, max for the norm of each row")
	}
	return s, nil
}

// quantile interpolates between the two nearest of sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := float64(q * float64(len(sorted)-1))
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + float64((sorted[i+1]-sorted[i])*(at-float64(i)))
}
