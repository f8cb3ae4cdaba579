package sklearn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/convert/joblib"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// answers is what make.py wrote down of one version of scikit-learn.
type answers struct {
	SKLearn string `json:"scikit-learn"`
	Queries [][]float64
	Rows    [][]float64 // where a file says nothing else
	Files   map[string]struct {
		Rows        [][]float64
		Metric      string
		P           float64
		K           int
		Weights     *string
		Transformed [][]float64
		Y           any
		Classes     [][]any
	}
}

func load(t *testing.T, version string) (a answers) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + version + ".json")
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestRealFiles reads what five versions wrote, and compares rows, labels, classes, parameters and the work of the scalers.
func TestRealFiles(t *testing.T) {
	for _, version := range []string{"0.24", "1.0", "1.3", "1.5", "1.9"} {
		a := load(t, version)
		if len(a.Files) < 8 {
			t.Errorf("%s: %d files", version, len(a.Files))
		}
		for name, want := range a.Files {
			m, err := Open("testdata/" + name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if m.Version != a.SKLearn || len(m.Warnings) > 0 {
				t.Errorf("%s: version %q, warnings %q", name, m.Version, m.Warnings)
			}
			if len(want.Rows) == 0 {
				want.Rows = a.Rows
			}
			if len(want.Transformed) == 0 {
				want.Transformed = a.Queries
			}
			weights := "uniform"
			if want.Weights != nil {
				weights = *want.Weights
			}
			if m.Metric != want.Metric || m.Metric == "minkowski" && m.P != want.P || m.K != want.K || m.Weights != weights {
				t.Errorf("%s: %s %v, k %d, %s; want %+v", name, m.Metric, m.P, m.K, m.Weights, want)
			}
			if m.X.Rows() != len(want.Rows) {
				t.Errorf("%s: %d rows, want %d", name, m.X.Rows(), len(want.Rows))
				continue
			}
			row := make([]float64, m.X.Cols())
			for i := range want.Rows {
				if err := m.X.Row(row, i); err != nil || !slices.Equal(row, want.Rows[i]) {
					t.Errorf("%s, row %d: %v, want %v (%v)", name, i, row, want.Rows[i], err)
				}
			}
			compareOutputs(t, name, m, want.Y, want.Classes)
			for i, q := range a.Queries {
				got := slices.Clone(q)
				for _, s := range m.Scalers {
					apply(s, got)
				}
				for j, v := range want.Transformed[i] {
					if math.Abs(got[j]-v) > 1e-12 {
						t.Errorf("%s, query %d after its scalers: %v, want %v", name, i, got, want.Transformed[i])
						break
					}
				}
			}
			m.Close()
		}
	}
}

func compareOutputs(t *testing.T, name string, m *Model, y any, classes [][]any) {
	t.Helper()
	rows, _ := y.([]any)
	if m.Class == Neighbors {
		if len(m.Outputs) != 0 || y != nil {
			t.Errorf("%s: outputs of %s", name, m.Class)
		}
		return
	}
	for i, r := range rows {
		columns, ok := r.([]any)
		if !ok {
			columns = []any{r}
		}
		for j, c := range columns {
			o := m.Outputs[j]
			if m.Class == Regressor && o.Values[i] != c.(float64) || m.Class == Classifier && float64(o.Labels[i]) != c.(float64) {
				t.Fatalf("%s: output %d of row %d is not %v", name, j, i, c)
			}
		}
	}
	for j, c := range classes {
		for k, v := range c {
			text := fmt.Sprint(v)
			if b, ok := v.(bool); ok {
				text = map[bool]string{true: "True", false: "False"}[b]
			}
			_, number := v.(float64)
			if o := m.Outputs[j]; len(o.Classes) != len(c) || o.Classes[k] != text || o.Numeric != number {
				t.Errorf("%s: classes %q (numbers: %v), want %v", name, o.Classes, o.Numeric, c)
			}
		}
	}
}

// apply is the formula of each scaler, as this package states it.
func apply(s Scaler, x []float64) {
	norm := 0.0
	for _, v := range x {
		switch s.Norm {
		case "l1":
			norm += math.Abs(v)
		case "l2":
			norm += v * v
		case "max":
			norm = max(norm, math.Abs(v))
		}
	}
	if s.Norm == "l2" {
		norm = math.Sqrt(norm)
	}
	for j := range x {
		switch s.Kind {
		case "standard", "robust":
			if s.Center != nil {
				x[j] -= s.Center[j]
			}
			if s.Scale != nil {
				x[j] /= s.Scale[j]
			}
		case "minmax":
			if x[j] = x[j]*s.Scale[j] + s.Center[j]; s.Clip {
				x[j] = max(s.Low, min(x[j], s.High))
			}
		case "normalizer":
			if norm != 0 {
				x[j] /= norm
			}
		}
	}
}

func TestFeatureNames(t *testing.T) {
	m, err := Open("testdata/1.9-names.joblib")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want := []string{"sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"}
	if !slices.Equal(m.Features, want) {
		t.Errorf("%q", m.Features)
	}
}

// TestRefused names what cannot be read, and what would run code.
func TestRefused(t *testing.T) {
	const do = "; save a fitted KNeighborsClassifier, KNeighborsRegressor or NearestNeighbors, or a Pipeline of scalers that ends in one"
	const metrics = "; fit it with euclidean, manhattan, chebyshev, minkowski or cosine"
	const code = "it would run code when Python loads it: byte %s: the pickle asks to run %s: refused; nothing was run; do not load it there, unless you know who made it"
	for name, want := range map[string]string{
		"metric.pkl":           "the metric of its KNeighborsClassifier is a function (numpy.vdot), which cannot be read from a file" + metrics,
		"weights.pkl":          "weights of its KNeighborsClassifier is a function (numpy.ones_like), which cannot be read from a file; fit it with weights='uniform' or 'distance'",
		"sparse.pkl":           "_fit_X of its KNeighborsClassifier is sparse (csr_matrix); fit it with X.toarray()",
		"precomputed.pkl":      "its KNeighborsClassifier was fitted with distances (metric='precomputed'), not with rows; fit it with the rows themselves",
		"haversine.pkl":        `the metric of its KNeighborsClassifier is "haversine", which is not supported` + metrics,
		"weighted.pkl":         `the metric of its KNeighborsClassifier has the parameter "w", which is not supported; fit it without metric_params`,
		"radius.pkl":           "it holds a RadiusNeighborsClassifier, which is not a model of nearest neighbours that this version reads" + do,
		"pca.pkl":              "step 1 of its Pipeline, PCA: is not supported; StandardScaler, MinMaxScaler, RobustScaler and Normalizer are; fit a Pipeline of such scalers alone and save it again",
		"logistic.pkl":         "it holds a LogisticRegression, which is not a model of nearest neighbours that this version reads" + do,
		"unfitted.pkl":         "its KNeighborsClassifier has no _fit_X: it was never fitted; call fit before saving it",
		"list.pkl":             "it holds a list where a model was expected" + do,
		"system.pkl":           fmt.Sprintf(code, "28", "posix.system"),
		"hidden.joblib":        fmt.Sprintf(code, "1198", "posix.system"),
		"hidden-labels.joblib": fmt.Sprintf(code, "468", "os.system"),
	} {
		path := "testdata/refused-" + name
		_, err := Open(path)
		var known *checkpoint.Error
		if !errors.As(err, &known) || err.Error() != path+": "+want {
			t.Errorf("%s:\ngot  %v\nwant %s: %s", name, err, path, want)
		}
	}
	if found, _ := filepath.Glob("pwned"); len(found) > 0 {
		t.Fatal("a pickle was run")
	}
	if _, err := Open("testdata/bomb.bz2"); err == nil || !strings.HasSuffix(err.Error(),
		"it unfolds to far more than its size allows: 796 bytes make more than 67108864; if the data is really that regular, save it without compression") {
		t.Error(err)
	}
}

// TestDamaged cuts files at every place and flips bits. Nothing panics, and every cut is an error.
func TestDamaged(t *testing.T) {
	for _, name := range []string{"0.24-protocol2.pkl", "1.9-protocol5.pkl", "1.9-brute.joblib", "0.24-brute.joblib", "1.0-regress.pkl"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		checkpointtest.Spoil(t, data, 1200, func(data []byte) error {
			return drain(data)
		})
	}
}

// drain opens a model and reads all of it.
func drain(data []byte) error {
	file, err := joblib.Read("model", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	m, err := read(file)
	if err != nil {
		return err
	}
	defer m.Close()
	row := make([]float64, m.X.Cols())
	for i := range m.X.Rows() {
		if err := m.X.Row(row, i); err != nil {
			return err
		}
	}
	return nil
}

func FuzzOpen(f *testing.F) {
	files, _ := filepath.Glob("testdata/*")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if ext := filepath.Ext(name); (ext == ".pkl" || ext == ".joblib") && len(data) < 3000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _ = drain(data) })
	})
}

// TestHostile: a few hundred bytes that unfold to 60 MB, most of it in one array, stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	const regular = "its %d bytes describe more than such a file may take of memory; if the data is really that regular, save it without compression"
	for name, want := range map[string]string{
		"outputs":  regular,
		"rows":     regular,
		"labels":   regular,
		"classes":  regular,
		"columns":  "_fit_X of its NearestNeighbors has 62914560 columns, more than 131072; select columns first",
		"features": "_fit_X of its NearestNeighbors has 12582912 columns, more than 131072; select columns first",
		"scaler": "step 1 of its Pipeline, StandardScaler: mean_ has 62914560 numbers, more than 131072; " +
			"fit a Pipeline of such scalers alone and save it again",
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "labels" && name != "outputs" {
				t.Skip("60 MB: an emulator takes about as long as may be")
			}
			path := "testdata/hostile-" + name + ".bz2"
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if want == regular {
				want = fmt.Sprintf(regular, len(data))
			}
			fuzztest.Bounded(t, len(data), func() { _, err = Open(path) })
			if err == nil || err.Error() != path+": "+want {
				t.Errorf("got  %v\nwant %s: %s", err, path, want)
			}
		})
	}
}
