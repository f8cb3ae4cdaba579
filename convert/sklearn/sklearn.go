// Package sklearn reads models of nearest neighbours as scikit-learn saves them: pickles and joblib files of
// KNeighborsClassifier, KNeighborsRegressor and NearestNeighbors, alone or at the end of a Pipeline of scalers.
//
//	joblib.Open            the pickle as inert nodes; nothing is run
//	find the estimator     sklearn.go: through Pipeline and a grid search's best estimator
//	read its attributes    estimator.go; _fit_X and _y are enough, trees are not read
//	read the scalers       scalers.go
//
// Tested with versions 0.24 to 1.9. What has no equivalent here is refused by name: callable metrics and weights,
// sparse and precomputed models, other steps.
package sklearn

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/edge-infer/edge-infer/convert/joblib"
	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/pickle"
)

// The estimators that are read.
const (
	Classifier = "KNeighborsClassifier"
	Regressor  = "KNeighborsRegressor"
	Neighbors  = "NearestNeighbors"
)

// Model is an opened model. Its rows stay in the file.
type Model struct {
	Class   string // Classifier, Regressor or Neighbors
	Version string // of scikit-learn, "1.5.2"; "" where the file does not say
	Joblib  bool   // else a plain pickle

	X        *npy.Array // the training rows, as they are after the scalers
	Outputs  []Output   // none of Neighbors
	K        int
	Metric   string  // euclidean, manhattan, chebyshev, minkowski, cosine
	P        float64 // of minkowski
	Weights  string  // uniform, distance
	Features []string
	Scalers  []Scaler
	Warnings []string

	file *joblib.File
}

// Output is one predicted column.
type Output struct {
	Classes []string  // of Classifier, in scikit-learn's order
	Numeric bool      // the classes are numbers
	Labels  []int32   // class of each row
	Values  []float64 // of Regressor
}

// Scaler is one step in front of the estimator. Kinds and formulas are those of convert.KNNScaler.
type Scaler struct {
	Kind          string // standard, robust, minmax, normalizer
	Center, Scale []float64
	Clip          bool
	Low, High     float64
	Norm          string
}

// Close closes the file.
func (m *Model) Close() error { return m.file.Close() }

// Open reads everything of a model but its rows.
//
// Errors: *checkpoint.Error, and those of the file system.
func Open(path string) (*Model, error) {
	file, err := joblib.Open(path)
	if err != nil {
		return nil, err
	}
	return read(file)
}

func read(file *joblib.File) (*Model, error) {
	m := &Model{Joblib: file.Joblib, file: file}
	if err := m.readSteps(file.Root); err != nil {
		file.Close()
		return nil, err
	}
	return m, nil
}

const saveKNN = "save a fitted KNeighborsClassifier, KNeighborsRegressor or NearestNeighbors, or a Pipeline of scalers that ends in one"

//go:noinline
func (m *Model) fail(do, format string, args ...any) error {
	return m.file.Fail(nil, fmt.Sprintf(format, args...), do)
}

// readSteps finds the steps of the model, and reads each.
func (m *Model) readSteps(root pickle.Node) error {
	steps, err := m.steps(root, 0)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return m.fail(saveKNN, "its Pipeline has no steps")
	}
	last := steps[len(steps)-1]
	switch last.Class.Name {
	case Classifier, Regressor, Neighbors:
		m.Class = last.Class.Name
	default:
		return m.fail(saveKNN, "it holds a %s, which is not a model of nearest neighbours that this version reads", name(last))
	}
	for i, s := range steps[:len(steps)-1] {
		scaler, err := m.scaler(s)
		if err != nil {
			return m.file.Fail(err, fmt.Sprintf("step %d of its Pipeline, %s", i+1, name(s)), "fit a Pipeline of such scalers alone and save it again")
		}
		m.Scalers = append(m.Scalers, scaler)
	}
	m.readVersion(last)
	return m.estimator(&fields{m: m, o: last})
}

// name is how messages call an object.
func name(o *pickle.Object) string {
	if len(o.Class.Name) > 80 {
		return o.Class.Name[:80] + "..."
	}
	return o.Class.Name
}

// maxCols bounds the columns of rows, of which some are in memory at a time.
const maxCols = 1 << 17

// costText is about what a name takes beside its characters, with its place in a map and what those grew out of.
const costText = 96

// maxNesting bounds Pipelines in Pipelines, which may contain themselves.
const maxNesting = 8

// steps lists the steps of a Pipeline, its last one included; of anything else, that.
func (m *Model) steps(n pickle.Node, depth int) ([]*pickle.Object, error) {
	o, ok := n.(*pickle.Object)
	if !ok {
		return nil, m.fail(saveKNN, "it holds %s where a model was expected", pickle.Describe(n))
	}
	if !strings.HasPrefix(o.Class.Module, "sklearn.") {
		return nil, m.fail(saveKNN, "it holds %s, which is not of scikit-learn", pickle.Describe(o))
	}
	if depth > maxNesting {
		return nil, m.fail("", "its Pipelines are nested more than %d deep", maxNesting)
	}
	f := &fields{m: m, o: o}
	switch o.Class.Name {
	case "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV":
		best, ok := f.get("best_estimator_")
		if !ok {
			return nil, m.fail("fit it with refit=True", "its %s has no best estimator", name(o))
		}
		return m.steps(best, depth+1)
	case "Pipeline":
	default:
		return []*pickle.Object{o}, nil
	}
	n, _ = f.get("steps")
	items, ok := pickle.AsItems(n)
	if !ok || len(items) > 1000 {
		return nil, m.fail("", "the steps of its Pipeline are %s", pickle.Describe(n))
	}
	var all []*pickle.Object
	for i, item := range items {
		pair, ok := pickle.AsItems(item)
		if !ok || len(pair) != 2 {
			return nil, m.fail("", "step %d of its Pipeline is %s where a name and an estimator were expected", i+1, pickle.Describe(item))
		}
		if pair[1] == nil || pair[1] == "passthrough" {
			continue
		}
		part, err := m.steps(pair[1], depth+1)
		if err != nil {
			return nil, err
		}
		if all = append(all, part...); len(all) > 1000 {
			return nil, m.fail("", "its Pipeline has more than 1000 steps")
		}
	}
	return all, nil
}

// readVersion warns of versions that were not tested.
func (m *Model) readVersion(o *pickle.Object) {
	f := &fields{m: m, o: o}
	n, _ := f.get("_sklearn_version")
	version, ok := joblib.Text(n)
	if !ok || len(version) > 30 {
		return
	}
	m.Version = version
	part := strings.SplitN(version, ".", 3)
	major, err1 := strconv.Atoi(part[0])
	minor, err2 := 0, error(nil)
	if len(part) > 1 {
		minor, err2 = strconv.Atoi(part[1])
	}
	if err1 != nil || err2 != nil || major == 0 && minor < 24 || major > 1 || major == 1 && minor > 9 {
		m.Warnings = append(m.Warnings, fmt.Sprintf("written by scikit-learn %s; versions 0.24 to 1.9 were tested", version))
	}
}

// fields gives the attributes of an object, with errors that name them.
type fields struct {
	m *Model
	o *pickle.Object
}

func (f *fields) get(key string) (pickle.Node, bool) {
	d, ok := joblib.State(f.o)
	if !ok {
		return nil, false
	}
	return d.Get(key)
}

// need gives an attribute that a fitted model has.
func (f *fields) need(key string) (pickle.Node, error) {
	n, ok := f.get(key)
	if !ok {
		return nil, f.m.fail("call fit before saving it", "its %s has no %s: it was never fitted", name(f.o), key)
	}
	return n, nil
}

// array gives an attribute that is an array of one of some ranks.
func (f *fields) array(key string, ranks ...int) (*npy.Array, error) {
	n, err := f.need(key)
	if err != nil {
		return nil, err
	}
	return f.toArray(key, n, ranks...)
}

func (f *fields) toArray(key string, n pickle.Node, ranks ...int) (*npy.Array, error) {
	if o, ok := n.(*pickle.Object); ok && strings.HasPrefix(o.Class.Module, "scipy.sparse") {
		return nil, f.m.fail("fit it with X.toarray()", "%s of its %s is sparse (%s)", key, name(f.o), name(o))
	}
	a, err := f.m.file.Array(n)
	if err != nil {
		return nil, f.m.file.Fail(err, fmt.Sprintf("%s of its %s", key, name(f.o)), "")
	}
	for _, r := range ranks {
		if len(a.Shape) == r {
			return a, nil
		}
	}
	return nil, f.m.fail("", "%s of its %s has the shape %v", key, name(f.o), a.Shape)
}

// vector gives an attribute that is a number for each column; nil where the attribute is None.
func (f *fields) vector(key string, want bool) ([]float64, error) {
	if !want {
		return nil, nil
	}
	n, ok := f.get(key)
	if !ok {
		return nil, fmt.Errorf("has no %s: it was never fitted", key)
	}
	if n == nil {
		return nil, nil
	}
	a, err := f.m.file.Array(n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(a.Shape) != 1 {
		return nil, fmt.Errorf("%s has the shape %v", key, a.Shape)
	}
	if a.Rows() > maxCols {
		return nil, fmt.Errorf("%s has %d numbers, more than %d", key, a.Rows(), maxCols)
	}
	v, err := a.Column(0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return v, nil
}

// flag gives a parameter that is True or False.
func (f *fields) flag(key string, missing bool) bool {
	n, ok := f.get(key)
	if b, isBool := n.(bool); ok && isBool {
		return b
	}
	return missing
}

// float gives a number; NaN where there is none.
func float(n pickle.Node) float64 {
	if v, ok := joblib.Float(n); ok {
		return v
	}
	return math.NaN()
}
