package sklearn

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/convert/joblib"
	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/pickle"
)

// estimator reads the attributes of the model of neighbours.
func (m *Model) estimator(f *fields) error {
	if err := m.metric(f); err != nil {
		return err
	}
	n, ok := f.get("n_neighbors")
	k, isInt := joblib.Int(n)
	if ok && n != nil && (!isInt || k < 1 || k > math.MaxInt32) {
		what := pickle.Describe(n)
		if v := float(n); v == v {
			what += fmt.Sprintf(" %g", v)
		}
		return m.fail("", "n_neighbors of its %s is %s where a whole number from 1 on was expected", name(f.o), what)
	}
	m.K = int(k)

	m.Weights = "uniform"
	if n, ok := f.get("weights"); ok && n != nil && m.Class != Neighbors {
		text, isText := joblib.Text(n)
		switch {
		case !isText:
			return m.fail("fit it with weights='uniform' or 'distance'", "weights of its %s is a function (%s), which cannot be read from a file", name(f.o), called(n))
		case text != "uniform" && text != "distance":
			return m.fail("", "weights of its %s is %.40q; uniform and distance are known", name(f.o), text)
		}
		m.Weights = text
	}

	var err error
	if m.X, err = f.array("_fit_X", 2); err != nil {
		return err
	}
	if !m.X.DType.IsNumber() {
		return m.fail("", "_fit_X of its %s has elements of type %s, which are not numbers", name(f.o), m.X.DType)
	}
	if m.X.Cols() > maxCols {
		return m.fail("select columns first", "_fit_X of its %s has %d columns, more than %d", name(f.o), m.X.Cols(), maxCols)
	}
	if m.X.Rows() == 0 {
		return m.fail("fit it with data", "_fit_X of its %s has the shape %v", name(f.o), m.X.Shape)
	}
	if n, ok := f.get("n_samples_fit_"); ok {
		if rows, ok := joblib.Int(n); ok && rows != int64(m.X.Rows()) {
			return m.fail("", "its %s was fitted with %d rows and has %d", name(f.o), rows, m.X.Rows())
		}
	}
	for i, s := range m.Scalers {
		for _, v := range [][]float64{s.Center, s.Scale} {
			if v != nil && len(v) != m.X.Cols() {
				return m.fail("", "scaler %d of its Pipeline is for %d columns, its %s for %d", i+1, len(v), name(f.o), m.X.Cols())
			}
		}
	}
	if m.Class != Neighbors {
		if err := m.outputs(f); err != nil {
			return err
		}
	}
	return m.features(f)
}

// called names a function for messages.
func called(n pickle.Node) string {
	if g, ok := n.(*pickle.Global); ok {
		s := g.String()
		if len(s) > 80 {
			s = s[:80] + "..."
		}
		return s
	}
	return pickle.Describe(n)
}

// metrics are scikit-learn's names for what has an equivalent here.
var metrics = map[string]string{
	"euclidean": "euclidean", "l2": "euclidean", "manhattan": "manhattan", "l1": "manhattan", "cityblock": "manhattan",
	"chebyshev": "chebyshev", "infinity": "chebyshev", "minkowski": "minkowski", "p": "minkowski", "cosine": "cosine",
}

// metric reads the metric in effect: after fit, that is p = 2 of minkowski as euclidean, and so on.
func (m *Model) metric(f *fields) error {
	n, ok := f.get("effective_metric_")
	if !ok {
		if _, fitted := f.get("_fit_X"); !fitted {
			_, err := f.need("_fit_X")
			return err
		}
		if n, ok = f.get("metric"); !ok {
			n = "minkowski"
		}
	}
	metric, isText := joblib.Text(n)
	known := metrics[metric]
	const do = "fit it with euclidean, manhattan, chebyshev, minkowski or cosine"
	switch {
	case !isText:
		return m.fail(do, "the metric of its %s is a function (%s), which cannot be read from a file", name(f.o), called(n))
	case metric == "precomputed":
		return m.fail("fit it with the rows themselves", "its %s was fitted with distances (metric='precomputed'), not with rows", name(f.o))
	case known == "":
		return m.fail(do, "the metric of its %s is %.40q, which is not supported", name(f.o), metric)
	}
	m.Metric = known
	p := math.NaN()
	n, _ = f.get("effective_metric_params_")
	if params, ok := pickle.AsDict(n); ok {
		for _, item := range params.Pairs {
			key, _ := joblib.Text(item.Key)
			if item.Value == nil {
				continue
			}
			if key != "p" {
				return m.fail("fit it without metric_params", "the metric of its %s has the parameter %.40q, which is not supported", name(f.o), key)
			}
			p = float(item.Value)
		}
	}
	if known != "minkowski" {
		return nil
	}
	if p != p {
		if n, ok := f.get("p"); ok {
			p = float(n)
		} else {
			p = 2
		}
	}
	if !(p >= 1) {
		return m.fail("fit it with p of 1 or more", "the metric of its %s is minkowski with p = %v", name(f.o), p)
	}
	m.P = p
	return nil
}

// outputs reads _y, and of a classifier classes_, which _y counts in.
func (m *Model) outputs(f *fields) error {
	y, err := f.array("_y", 1, 2)
	if err != nil {
		return err
	}
	if y.Rows() != m.X.Rows() {
		return m.fail("", "_y of its %s has %d rows, _fit_X %d", name(f.o), y.Rows(), m.X.Rows())
	}
	size := int64(4) // of a label
	if m.Class == Regressor {
		size = 8
	}
	if err := m.file.Take(int64(y.Cols()) * (256 + size*int64(y.Rows()))); err != nil {
		return err
	}
	m.Outputs = make([]Output, y.Cols())
	if m.Class == Regressor {
		for j := range m.Outputs {
			m.Outputs[j].Values = make([]float64, y.Rows())
		}
		return m.eachRow(f, y, func(i int, row []float64) error {
			for j, v := range row {
				m.Outputs[j].Values[i] = v
			}
			return nil
		})
	}
	n, err := f.need("classes_")
	if err != nil {
		return err
	}
	lists := []pickle.Node{n}
	if list, ok := n.(*pickle.List); ok { // one array an output
		lists = list.Items
	}
	if len(lists) != y.Cols() {
		return m.fail("", "its %s has classes for %d outputs, _y has %d", name(f.o), len(lists), y.Cols())
	}
	for j := range m.Outputs {
		if err := m.classes(f, &m.Outputs[j], lists[j]); err != nil {
			return err
		}
		m.Outputs[j].Labels = make([]int32, y.Rows())
	}
	return m.eachRow(f, y, func(i int, row []float64) error {
		for j, v := range row {
			if !(v >= 0 && v < float64(len(m.Outputs[j].Classes))) || v != math.Trunc(v) {
				return m.fail("", "_y of its %s gives row %d the class %v of %d", name(f.o), i+1, v, len(m.Outputs[j].Classes))
			}
			m.Outputs[j].Labels[i] = int32(v)
		}
		return nil
	})
}

func (m *Model) eachRow(f *fields, a *npy.Array, do func(i int, row []float64) error) error {
	row := make([]float64, a.Cols())
	for i := range a.Rows() {
		if err := a.Row(row, i); err != nil {
			return m.file.Fail(err, fmt.Sprintf("_y of its %s", name(f.o)), "")
		}
		if err := do(i, row); err != nil {
			return err
		}
	}
	return nil
}

// classes reads the names of one output's classes.
func (m *Model) classes(f *fields, o *Output, n pickle.Node) error {
	a, err := f.toArray("classes_", n, 1)
	if err != nil {
		return err
	}
	if err := m.file.Take(int64(a.Rows()) * (costText + int64(a.DType.Size))); err != nil {
		return err
	}
	seen := make(map[string]bool, a.Rows())
	o.Classes = make([]string, 0, a.Rows())
	for i := range a.Rows() {
		v, err := a.Value(i, 0)
		if err != nil {
			return m.file.Fail(err, fmt.Sprintf("classes_ of its %s", name(f.o)), "fit it with text or numbers as labels")
		}
		if i > 0 && v.Number != o.Numeric {
			return m.fail("fit it with labels of one type", "classes_ of its %s mixes text and numbers", name(f.o))
		}
		if seen[v.Text] {
			return m.fail("", "classes_ of its %s has %.40q twice", name(f.o), v.Text)
		}
		seen[v.Text] = true
		o.Numeric = v.Number
		o.Classes = append(o.Classes, v.Text)
	}
	return nil
}

// features reads the names of the columns, which scikit-learn keeps if it was given a table that has them. Scalers keep
// them too: a step that follows one sees plain arrays.
func (m *Model) features(f *fields) error {
	steps, err := m.steps(m.file.Root, 0)
	if err != nil {
		return err
	}
	for _, o := range append([]*pickle.Object{f.o}, steps...) {
		g := &fields{m: m, o: o}
		if _, ok := g.get("feature_names_in_"); !ok {
			continue
		}
		a, err := g.array("feature_names_in_", 1)
		if err != nil {
			return err
		}
		if a.Rows() != m.X.Cols() {
			return m.fail("", "its %s names %d features, _fit_X has %d columns", name(o), a.Rows(), m.X.Cols())
		}
		if err := m.file.Take(int64(a.Rows()) * (costText + int64(a.DType.Size))); err != nil {
			return err
		}
		for i := range a.Rows() {
			v, err := a.Value(i, 0)
			if err != nil {
				return m.file.Fail(err, fmt.Sprintf("feature_names_in_ of its %s", name(o)), "")
			}
			m.Features = append(m.Features, v.Text)
		}
		return nil
	}
	return nil
}
