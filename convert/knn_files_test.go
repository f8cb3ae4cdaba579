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
