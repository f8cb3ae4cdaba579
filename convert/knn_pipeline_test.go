package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
)

// TestKNNPipelines compares scalers, votes, probabilities and means with scikit-learn's.
func TestKNNPipelines(t *testing.T) {
	raw, err := os.ReadFile("testdata/knn/golden_pipelines.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		X, Q  [][]float64
		Y     []string
		T     []float64
		K     int
		Cases []struct {
			Scale, Weights, Metric string
			Classes                []string
			Proba, Distances       [][]float64
			Values                 []float64
		}
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	var values []float64
	targets := make([]string, len(g.T))
	for i, row := range g.X {
		values = append(values, row...)
		targets[i] = fmt.Sprint(g.T[i])
	}
	// scikit-learn takes Euclidean distances from products, which loses digits where rows are near.
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-7*max(1, math.Abs(b)) }
	for _, c := range g.Cases {
		o := KNNOptions{Scale: c.Scale, Metric: c.Metric, Weights: c.Weights, K: g.K}
		models := make([]*runtime.Model, 2)
		for i, labels := range [][]string{g.Y, targets} {
			o.Task = []string{runtime.TaskClassify, runtime.TaskRegress}[i]
			src, err := KNNTable("test", "test", len(g.X), 4, append([]float64(nil), values...), textLabels(labels), "", nil, nil, o)
			if err != nil {
				t.Fatal(err)
			}
			models[i] = openKNNModel(t, src, o)
		}
		classify, regress := newClassifier(t, models[0], runtime.KNNOptions{}), newClassifier(t, models[1], runtime.KNNOptions{})
		for i, q := range g.Q {
			for _, s := range []*runtime.Classifier{classify, regress} {
				s.Reset()
				if _, err := s.Add(q); err != nil {
					t.Fatal(err)
				}
				if err := s.Run(); err != nil {
					t.Fatal(err)
				}
			}
			what := fmt.Sprintf("%q %s %s query %d", c.Scale, c.Weights, c.Metric, i)
			found := classify.Neighbors(0)
			// scikit-learn's Euclidean and cosine distances of equal rows are the root of what rounding leaves; ours are zero.
			equal := found[0].Distance < 1e-7
			for j, n := range found {
				if want := c.Distances[i][j]; !near(n.Distance, want) && !(n.Distance < 1e-7 && want < 1e-5) {
					t.Errorf("%s: distance %d is %v, scikit-learn says %v", what, j, n.Distance, want)
				}
			}
			if equal && c.Weights == runtime.WeightsDistance {
				if !(classify.Probabilities(found, 0)[classify.Label(found[0].Row, 0)] > 0) {
					t.Errorf("%s: the row itself does not count", what)
				}
				continue
			}
			if got := models[0].KNN().Outputs[0].Classes[classify.Class(found, 0)]; got != c.Classes[i] {
				t.Errorf("%s: %s, scikit-learn says %s", what, got, c.Classes[i])
			}
			for class, p := range classify.Probabilities(found, 0) {
				if !near(p, c.Proba[i][class]) {
					t.Errorf("%s: class %d has %v, scikit-learn says %v", what, class, p, c.Proba[i][class])
				}
			}
			if v := regress.Value(regress.Neighbors(0), 0); !near(v, c.Values[i]) {
				t.Errorf("%s: %v, scikit-learn says %v", what, v, c.Values[i])
			}
		}
	}
}
