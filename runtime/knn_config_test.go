package runtime

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func goodKNNConfig() *KNNConfig {
	return &KNNConfig{
		Task: TaskClassify, Rows: 10, Cols: 3, K: 5, Metric: MetricEuclidean, Weights: WeightsUniform,
		Outputs: []KNNOutput{{Classes: []string{"a", "b"}}}, Class: ClassDot, Unit: 1,
	}
}

func TestKNNConfig(t *testing.T) {
	for _, c := range []struct {
		change func(c *KNNConfig)
		want   string // "": fine
	}{
		{func(c *KNNConfig) {}, ""},
		{func(c *KNNConfig) { c.Metric, c.P = MetricMinkowski, 3 }, ""},
		{func(c *KNNConfig) { c.Metric, c.P = MetricMinkowski, 2 }, "metric"},
		{func(c *KNNConfig) { c.Metric = "hamming" }, "hamming"},
		{func(c *KNNConfig) { c.Rows = 0 }, "rows is 0"},
		{func(c *KNNConfig) { c.Cols = MaxKNNCols + 1 }, "cols"},
		{func(c *KNNConfig) { c.K = 11 }, "k is 11, must be 1 to 10"},
		{func(c *KNNConfig) { c.Class = "best" }, "class"},
		{func(c *KNNConfig) { c.Unit = 3 }, "unit"},
		{func(c *KNNConfig) { c.Unit = 0 }, "unit"},
		{func(c *KNNConfig) { c.Weights = "quadratic" }, "quadratic"},
		{func(c *KNNConfig) { c.Metric, c.Weights = MetricDot, WeightsDistance }, "products are no distances"},
		{func(c *KNNConfig) { c.Features = []string{"x"} }, "1 features"},
		{func(c *KNNConfig) { c.Task = TaskNeighbors }, "has outputs"},
		{func(c *KNNConfig) { c.Outputs = nil }, "no outputs"},
		{func(c *KNNConfig) { c.Outputs[0].Classes = nil }, "0 classes"},
		{func(c *KNNConfig) { c.Task = TaskRegress }, "2 classes"},
		{func(c *KNNConfig) { c.Scalers = []KNNScaler{{Kind: "pca"}} }, "pca"},
		{func(c *KNNConfig) { c.Scalers = []KNNScaler{{Kind: ScalerNormalizer, Norm: "l0"}} }, "l0"},
	} {
		cfg := goodKNNConfig()
		c.change(cfg)
		raw, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseKNNConfig(raw)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestCanonicalMetric(t *testing.T) {
	for _, c := range []struct {
		metric string
		p      float64
		want   string
	}{
		{"minkowski", 1, "manhattan"}, {"minkowski", 2, "euclidean"}, {"minkowski", math.Inf(1), "chebyshev"},
		{"minkowski", 3, "minkowski"}, {"", 0, "euclidean"}, {"l2", 0, "euclidean"}, {"l1", 0, "manhattan"},
		{"cityblock", 0, "manhattan"}, {"dot", 0, "dot"}, {"minkowski", 0.5, ""}, {"minkowski", math.NaN(), ""}, {"jaccard", 0, ""},
	} {
		if got, _, err := CanonicalMetric(c.metric, c.p); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s %v: %q, %v, want %q", c.metric, c.p, got, err, c.want)
		}
	}
}
