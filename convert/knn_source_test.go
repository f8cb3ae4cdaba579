package convert

import (
	"math"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// smallKNN is a source of three rows that passes every check.
func smallKNN() *KNNSource {
	rows := [][]float64{{0, 1}, {2, 3}, {4, 5}}
	return &KNNSource{
		Format: "test", Path: "test.csv", Task: runtime.TaskClassify, Rows: 3, Cols: 2, RowType: modelfile.F64,
		ReadRow: func(dst []float64, i int) error { copy(dst, rows[i]); return nil },
		Outputs: []KNNOutput{{Classes: []string{"a", "b"}, Labels: []int32{0, 1, 1}}},
		K:       1,
	}
}

func TestKNNSourceValidate(t *testing.T) {
	if err := smallKNN().validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(s *KNNSource)
		want   string
	}{
		{func(s *KNNSource) { s.Task = "guess" }, "task"},
		{func(s *KNNSource) { s.Rows = 0 }, "no rows"},
		{func(s *KNNSource) { s.Cols = 0 }, "no columns"},
		{func(s *KNNSource) { s.Cols = runtime.MaxKNNCols + 1 }, "supported"},
		{func(s *KNNSource) { s.RowType = modelfile.I8 }, "type i8"},
		{func(s *KNNSource) { s.Outputs = nil }, "0 columns to predict"},
		{func(s *KNNSource) { s.Features = []string{"x"} }, "names 1 features"},
		{func(s *KNNSource) { s.Outputs[0].Labels = []int32{0} }, "1 labels for 3 rows"},
		{func(s *KNNSource) { s.Outputs[0].Labels[2] = 2 }, "class 2 of 2"},
		{func(s *KNNSource) { s.Outputs[0].Classes = nil }, "0 classes"},
		{func(s *KNNSource) { s.Task, s.Outputs[0].Values = runtime.TaskRegress, []float64{1, math.NaN(), 3} }, "row 2"},
		{func(s *KNNSource) { s.Scalers = []KNNScaler{{Kind: "pca"}} }, "pca"},
		{func(s *KNNSource) { s.Scalers = []KNNScaler{{Kind: "standard", Scale: []float64{1, 0}}} }, "divides column 2 by 0"},
		{func(s *KNNSource) { s.Scalers = []KNNScaler{{Kind: "standard", Center: []float64{1}}} }, "1 values for 2 columns"},
		{func(s *KNNSource) {
			s.Scalers = []KNNScaler{{Kind: "robust", Center: []float64{1, math.Inf(1)}}}
		}, "column 2 is +Inf"},
		{func(s *KNNSource) { s.Scalers = []KNNScaler{{Kind: "minmax", Clip: true, Low: 1, High: 0}} }, "clips"},
		{func(s *KNNSource) { s.Scalers = []KNNScaler{{Kind: "normalizer", Norm: "l3"}} }, "l3"},
	} {
		s := smallKNN()
		c.change(s)
		if err := s.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error about %q", err, c.want)
		}
	}
}
