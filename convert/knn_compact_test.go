package convert

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
)

// TestKNNCompactSize holds compact files to what was promised: 16 bytes a started 16 columns and 20 bytes a row, 4 KB, and the labels.
func TestKNNCompactSize(t *testing.T) {
	counts := []int{1, 2, 3, 8, 15, 16, 17, 20, 31, 160}
	columns := []int{1, 2, 16, 17, 300, 320, 321, 640, 641, 1500, 2560, 2561, 3100, 3500, 4095, 4096}
	if testing.Short() {
		counts, columns = []int{1, 15, 33}, []int{1, 320, 640, 2560, 4096}
	}
	r := rand.New(rand.NewPCG(2, 9))
	for _, d := range columns {
		all := knnData(r, slices.Max(counts), d)["gaussian"][0]
		for _, n := range counts {
			for _, metric := range []string{"euclidean", "manhattan"} {
				checkCompact(t, rowsSource(all[:n], metric), 0)
				if n == 17 {
					src := rowsSource(all[:n], metric)
					src.Task, src.Outputs = runtime.TaskClassify, []KNNOutput{{Classes: []string{"cat", "dog"}, Labels: make([]int32, n)}}
					checkCompact(t, src, 4*32+len("cat")+len("dog"))
				}
			}
		}
	}
}

// checkCompact makes a compact file of src and holds its size, and what it finds.
func checkCompact(t *testing.T, src *KNNSource, labels int) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "m.ei8")
	report, err := convertKNN(context.Background(), dst, src, Options{KNN: KNNOptions{Compact: true, K: min(src.Rows, 10)}})
	if err != nil {
		t.Fatal(err)
	}
	n, d := src.Rows, src.Cols
	if limit := int64(n*(16*((d+15)/16)+20) + 4096 + labels); report.FileBytes > limit {
		t.Errorf("%d x %d %s: %d bytes, %d were promised", n, d, src.Metric, report.FileBytes, limit)
	}
	m, err := runtime.Open(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if c := m.KNN(); !c.Compact || !(c.Recall > 0.7 && c.Recall <= 1) || len(report.Warnings) == 0 {
		t.Errorf("%d x %d %s: %+v, %v", n, d, src.Metric, c, report.Warnings)
	}
}

// TestKNNCompactCenter: columns far from zero, all alike or each elsewhere, keep their digits as far as the center's bits go.
func TestKNNCompactCenter(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	for _, d := range []int{100, 400, 2000, 4000} {
		for name, at := range map[string]func(j int) float64{
			"1e6": func(int) float64 { return 1e6 }, "-1e140": func(int) float64 { return -1e140 },
			"0 to 5": func(j int) float64 { return float64(j*7%d) / float64(d) * 5 },
		} {
			by := 1.0
			if name == "-1e140" {
				by = 1e138
			}
			rows := make([][]float64, 40)
			for i := range rows {
				rows[i] = make([]float64, d)
				for j := range rows[i] {
					rows[i][j] = at(j) + r.NormFloat64()*by
				}
			}
			src := rowsSource(rows, "euclidean")
			src.K = 5
			m := openKNNModel(t, src, KNNOptions{Compact: true})
			if c := m.KNN(); !(c.Recall >= 0.9) {
				t.Errorf("%d columns at %s: recall %v", d, name, c.Recall)
			}
			stored := dequantizedRows(t, src)
			c, err := m.NewClassifier(runtime.KNNOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{0, 31, 32, 39} { // those of blocks, those behind
				c.Reset()
				if _, err := c.AddRow(i); err != nil {
					t.Fatal(err)
				}
				if err := c.Run(); err != nil {
					t.Fatal(err)
				}
				if near := c.Neighbors(0)[0]; near.Row != i || near.Distance != 0 {
					t.Errorf("%d columns at %s: row %d is nearest to %+v", d, name, i, near)
				}
				if got, want := c.Neighbors(0)[1], runtime.KNNDistance("euclidean", 0, stored[i], stored[c.Neighbors(0)[1].Row]); got.Distance != want {
					t.Errorf("%d columns at %s: row %d is %v from row %d, want %v", d, name, i, got.Distance, got.Row, want)
				}
			}
		}
	}
}
