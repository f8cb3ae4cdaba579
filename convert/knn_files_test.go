package convert

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
)

// convertFile converts one file of neighbours and opens what came out.
func convertFile(t *testing.T, path string, o KNNOptions) (*runtime.Model, *Report) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "m.ei8")
	report, err := Convert(context.Background(), path, dst, Options{KNN: o})
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.Open(dst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, report
}

// TestScikitLearn converts what real versions of scikit-learn wrote (sklearn/testdata/make.py), and compares predictions,
// probabilities, distances and neighbours with what they answered.
func TestScikitLearn(t *testing.T) {
	versions := []string{"0.24", "1.0", "1.3", "1.5", "1.9"}
	if fewKNN() {
		versions = versions[4:]
	}
	for _, version := range versions {
		var a struct {
			SKLearn string `json:"scikit-learn"`
			Queries [][]float64
			Files   map[string]struct {
				Distances [][]float64
				Neighbors [][]int
				Predict   []any
				Proba     [][][]float64
			}
		}
		text, err := os.ReadFile("sklearn/testdata/" + version + ".json")
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		if err != nil {
			t.Fatal(err)
		}
		compared, skipped := 0, 0
		for name, want := range a.Files {
			t.Run(name, func(t *testing.T) {
				m, report := convertFile(t, "sklearn/testdata/"+name, KNNOptions{})
				if !strings.HasPrefix(report.Format, "scikit-learn "+a.SKLearn) || len(report.Warnings) > 0 {
					t.Errorf("%q, %q", report.Format, report.Warnings)
				}
				c := newClassifier(t, m, runtime.KNNOptions{})
				for i, q := range a.Queries {
					c.Reset()
					if _, err := c.Add(q); err != nil {
						t.Fatal(err)
					}
					if err := c.Run(); err != nil {
						t.Fatal(err)
					}
					near := c.Neighbors(0)
					if len(near) != len(want.Distances[i]) {
						t.Fatalf("query %d: %d neighbours, want %d", i, len(near), len(want.Distances[i]))
					}
					tied := false // another neighbour of the same distance: scikit-learn takes any
					for n, d := range want.Distances[i] {
						if math.Abs(near[n].Distance-d) > 1e-6 {
							t.Errorf("query %d: distance %d is %v, want %v", i, n, near[n].Distance, d)
						}
						tied = tied || near[n].Row != want.Neighbors[i][n]
					}
					if tied {
						skipped++
						continue
					}
					compared++
					if want.Predict != nil {
						comparePrediction(t, fmt.Sprintf("query %d", i), m, c, near, want.Predict[i], func(o int) []float64 {
							if want.Proba == nil {
								return nil
							}
							return want.Proba[o][i]
						})
					}
				}
			})
		}
		if skipped*4 > compared {
			t.Errorf("%s: %d answers compared, %d have ties", version, compared, skipped)
		}
		t.Logf("%s: %d answers compared, %d have ties", version, compared, skipped)
	}
}

// comparePrediction compares every output with what scikit-learn predicted: a label, a number, or a list of them.
func comparePrediction(t *testing.T, what string, m *runtime.Model, c *runtime.Classifier, near []runtime.Neighbor, want any, proba func(output int) []float64) {
	t.Helper()
	columns, ok := want.([]any)
	if !ok {
		columns = []any{want}
	}
	cfg := m.KNN()
	if len(cfg.Outputs) != len(columns) {
		t.Fatalf("%s: %d outputs, want %d", what, len(cfg.Outputs), len(columns))
	}
	for o, w := range columns {
		if cfg.Task == runtime.TaskRegress {
			if got := c.Value(near, o); math.Abs(got-w.(float64)) > 1e-9 {
				t.Errorf("%s: output %d is %v, want %v", what, o, got, w)
			}
			continue
		}
		if b, ok := w.(bool); ok {
			w = map[bool]string{true: "True", false: "False"}[b]
		}
		if got := cfg.Outputs[o].Classes[c.Class(near, o)]; got != fmt.Sprint(w) {
			t.Errorf("%s: output %d is %q, want %v", what, o, got, w)
		}
		for k, p := range c.Probabilities(near, o) {
			if wantP := proba(o); math.Abs(p-wantP[k]) > 1e-9 {
				t.Errorf("%s: output %d has probability %d %v, want %v", what, o, k, p, wantP)
			}
		}
	}
}

// TestSKL2ONNX converts what skl2onnx wrote (skl2onnx/testdata/make.py), and compares with what scikit-learn answered. The graphs
// are float32: distances of scaled queries agree to five places.
func TestSKL2ONNX(t *testing.T) {
	var a struct {
		Queries [][]float64
		Files   map[string]struct {
			Rows      [][]float64
			K         int
			Distances [][]float64
			Neighbors [][]int
			Predict   []any
		}
	}
	text, err := os.ReadFile("skl2onnx/testdata/expected.json")
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || len(a.Files) < 8 {
		t.Fatal(len(a.Files), err)
	}
	for name, want := range a.Files {
		t.Run(name, func(t *testing.T) {
			m, report := convertFile(t, "skl2onnx/testdata/"+name+".onnx", KNNOptions{})
			if report.Format != "skl2onnx 1.20.0" || m.KNN().K != want.K || m.KNN().Rows != len(want.Rows) {
				t.Errorf("%q %+v", report.Format, m.KNN())
			}
			if distance := name == "manhattan" || name == "normalized"; len(report.Warnings) > 0 != distance || (m.KNN().Weights == "distance") != distance {
				t.Errorf("%q %q", m.KNN().Weights, report.Warnings)
			}
			c := newClassifier(t, m, runtime.KNNOptions{})
			for i, q := range a.Queries {
				c.Reset()
				if _, err := c.Add(q); err != nil {
					t.Fatal(err)
				}
				if err := c.Run(); err != nil {
					t.Fatal(err)
				}
				near := c.Neighbors(0)
				tied := false
				for n, d := range want.Distances[i] {
					if math.Abs(near[n].Distance-d) > 2e-5 {
						t.Errorf("query %d: distance %d is %v, want %v", i, n, near[n].Distance, d)
					}
					tied = tied || near[n].Row != want.Neighbors[i][n]
				}
				if tied || want.Predict == nil {
					continue
				}
				columns, ok := want.Predict[i].([]any)
				if !ok {
					columns = []any{want.Predict[i]}
				}
				for o, w := range columns {
					if m.KNN().Task == runtime.TaskRegress {
						if got := c.Value(near, o); math.Abs(got-w.(float64)) > 1e-5 {
							t.Errorf("query %d: output %d is %v, want %v", i, o, got, w)
						}
					} else if got := m.KNN().Outputs[o].Classes[c.Class(near, o)]; got != fmt.Sprint(w) {
						t.Errorf("query %d: %q, want %v", i, got, w)
					}
				}
			}
		})
	}
}

// TestDataFiles converts tables of numbers in every format, and asks each for the row nearest to a query.
func TestDataFiles(t *testing.T) {
	folder := t.TempDir()
	file := func(name, data string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	vectors := "\x03\x00\x00\x00\x00\x01\x02\x03\x00\x00\x00\x03\x04\x05\x03\x00\x00\x00\x06\x07\x08\x03\x00\x00\x00\x09\x0a\x0b" // 0 to 11
	svm := file("a.svm", "1 2:1 3:2\n0 1:3 2:4 3:5\n1 1:6 2:7 3:8\n2 1:9 2:10 3:11\n")
	for _, c := range []struct {
		path, format, class string
		o                   KNNOptions
	}{
		{"npy/testdata/stored.npz", "NPZ", "c", KNNOptions{}},
		{"npy/testdata/packed.npz", "NPZ", "1", KNNOptions{}},
		{"npy/testdata/packed.npz", "NPZ", "1", KNNOptions{Scale: "standard"}},
		{"npy/testdata/stored.npz", "NPZ", "r7", KNNOptions{LabelColumn: "2"}},
		{"npy/testdata/big-f8.npy", "NPY", "", KNNOptions{LabelColumn: "none"}},
		{"npy/testdata/fortran.npy", "NPY", "8", KNNOptions{LabelColumn: "3"}},
		{svm, "LIBSVM", "1", KNNOptions{}},
		{file("a.bvecs", vectors), "bvecs", "", KNNOptions{}},
	} {
		c.class = strings.TrimPrefix(c.class, "r")
		c.o.K = 1
		m, report := convertFile(t, c.path, c.o)
		if report.Format != c.format || m.KNN().Rows != 4 {
			t.Errorf("%s: %q, %+v", c.path, report.Format, m.KNN())
		}
		q := []float64{6.2, 7.1, 8.1}
		if m.KNN().Cols == 2 {
			q = map[string][]float64{"2": {6.2, 8.1}, "3": {6.2, 7.1}}[c.o.LabelColumn]
		}
		cl := newClassifier(t, m, runtime.KNNOptions{})
		if _, err := cl.Add(q); err != nil {
			t.Fatal(err)
		}
		if err := cl.Run(); err != nil {
			t.Fatal(err)
		}
		near := cl.Neighbors(0)
		if near[0].Row != 2 {
			t.Errorf("%s: row %d", c.path, near[0].Row)
		}
		if c.class != "" {
			if got := m.KNN().Outputs[0].Classes[cl.Class(near, 0)]; got != c.class {
				t.Errorf("%s %+v: class %q, want %q", c.path, c.o, got, c.class)
			}
		}
	}
	for _, c := range []struct {
		path, want string
		o          KNNOptions
	}{
		{"npy/testdata/f8.npy", "holds numbers alone, and does not say which column holds the labels; name it with --label-column NAME or NUMBER, or say --label-column none to look for neighbours only", KNNOptions{}},
		{"npy/testdata/f8.npy", `has no array "y"; it has ; give the number of the label's column, or none`, KNNOptions{LabelColumn: "y"}},
		{"npy/testdata/f8.npy", "has rows of 3 columns; --label-column 4 is not one of them", KNNOptions{LabelColumn: "4"}},
		{"npy/testdata/nan.npy", "row 3, column 2 is NaN; distances need numbers: remove the row or fill the value in", KNNOptions{LabelColumn: "none"}},
		{"npy/testdata/empty.npy", "has rows of the shape [0 4], which are none", KNNOptions{LabelColumn: "none"}},
		{"npy/testdata/vector.npy", "has rows of the shape [5]; rows are an array of two dimensions", KNNOptions{LabelColumn: "none"}},
		{"npy/testdata/short.npz", "has rows of the shape [4 3] and labels of [3]; labels are one for each row", KNNOptions{}},
		{"npy/testdata/outputs.npz", "has rows of the shape [4 3] and labels of [4 2]; labels are one for each row", KNNOptions{}},
		{"npy/testdata/unknown.npz", "has the arrays foo, none of which is known to hold rows; name the rows X and the labels y: numpy.savez(FILE, X=X, y=y)", KNNOptions{}},
		{"npy/testdata/objects.npz", `the array "y": it holds Python objects, which only Python can read: save it with .astype('U') or as numbers`, KNNOptions{}},
		{"npy/testdata/stored.npz", `has no array "z"; it has X, y, feature_names; give the number of the label's column, or none`, KNNOptions{LabelColumn: "z"}},
		{svm, `has its labels in front of each line, not in column "3"; leave --label-column out`, KNNOptions{LabelColumn: "3"}},
		{file("b.bvecs", vectors), "is a file of vectors (bvecs), which have no labels; it can be searched for neighbours: leave --label-column and --task out", KNNOptions{LabelColumn: "1"}},
		{file("c.csv.gz", "\x1f\x8b\x08\x00"), "is compressed with gzip; unpack it first; only joblib files are read as they are", KNNOptions{}},
		{file("d.gz", "\x1f\x8b\x08\x00"), "it cannot be read: compressed with gzip: unexpected EOF", KNNOptions{}},
		{file("e.pkl", "no pickle"), `it is not a pickle that can be read: byte 0 of the pickle: opcode 0x6e is not known`, KNNOptions{}},
		{"npy/testdata/f8.npy", "k is 9", KNNOptions{LabelColumn: "3", K: 9}},
	} {
		dst := filepath.Join(folder, "out.ei8")
		_, err := Convert(context.Background(), c.path, dst, Options{KNN: c.o})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.path) {
			t.Errorf("%s %+v:\ngot  %v\nwant %s: %s", c.path, c.o, err, c.path, c.want)
		}
		if _, err := os.Stat(dst); err == nil {
			t.Fatal("a file was left behind")
		}
	}
}
