package convert

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// few reports whether to run a small selection: under -short, and under QEMU, which EDGE_INFER_TEST=few says.
func fewKNN() bool { return testing.Short() || os.Getenv("EDGE_INFER_TEST") == "few" }

// rowsSource is a source of neighbours without labels.
func rowsSource(rows [][]float64, metric string) *KNNSource {
	return &KNNSource{
		Format: "test", Path: "test", Task: runtime.TaskNeighbors, Rows: len(rows), Cols: len(rows[0]), RowType: modelfile.F64, K: 1, Metric: metric,
		ReadRow: func(dst []float64, i int) error { copy(dst, rows[i]); return nil },
	}
}

// openKNNModel converts a source and opens what came out.
func openKNNModel(t testing.TB, s *KNNSource, o KNNOptions) *runtime.Model {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "m.ei8")
	if _, err := convertKNN(context.Background(), dst, s, Options{KNN: o}); err != nil {
		t.Fatal(err)
	}
	m, err := runtime.Open(dst)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newClassifier(t testing.TB, m *runtime.Model, o runtime.KNNOptions) *runtime.Classifier {
	t.Helper()
	c, err := m.NewClassifier(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oracle computes all distances as DESIGN section 10 defines them, the plain way, and sorts them.
func oracle(metric string, p float64, rows [][]float64, x []float64, k int) []runtime.Neighbor {
	all := make([]runtime.Neighbor, len(rows))
	for i, w := range rows {
		all[i] = runtime.Neighbor{Row: i, Distance: plainDistance(metric, p, x, w)}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Distance < all[j].Distance })
	return all[:k]
}

func plainDistance(metric string, p float64, x, w []float64) float64 {
	sum, nx, nw := 0.0, 0.0, 0.0
	for j := range x {
		d := math.Abs(x[j] - w[j])
		switch metric {
		case "euclidean":
			sum += float64(d * d)
		case "manhattan":
			sum += d
		case "chebyshev":
			sum = math.Max(sum, d)
		case "cosine", "dot":
			sum += float64(x[j] * w[j])
			nx += float64(x[j] * x[j])
			nw += float64(w[j] * w[j])
		}
	}
	switch metric {
	case "euclidean":
		return math.Sqrt(sum)
	case "minkowski":
		return runtime.KNNDistance(metric, p, x, w) // its powers are tested where they are
	case "cosine":
		n := float64(math.Sqrt(nx) * math.Sqrt(nw))
		if n == 0 {
			return 1
		}
		return math.Min(math.Max(1-sum/n, 0), 2)
	case "dot":
		return 0 - sum
	}
	return sum
}

func checkNeighbors(t *testing.T, got, want []runtime.Neighbor, what string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d neighbours, want %d", what, len(got), len(want))
	}
	for i := range want {
		if got[i].Row != want[i].Row || math.Float64bits(got[i].Distance) != math.Float64bits(want[i].Distance) {
			t.Fatalf("%s: neighbour %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

type goldenKNN struct {
	TestRows, Train string
	Pred            json.RawMessage
	Dist            [][]float64
	NbrInTrain      [][]int `json:"nbr_in_train"`
}

func readGoldenKNN(t *testing.T) map[string]goldenKNN {
	t.Helper()
	raw, err := os.ReadFile("testdata/knn/golden_sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]goldenKNN{}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

// TestKNNIris compares with scikit-learn: predictions equal, distances within its six decimals, neighbours equal as sets but
// among equal distances.
func TestKNNIris(t *testing.T) {
	golden := readGoldenKNN(t)
	all, err := openCSV("../runtime/models/iris.csv", KNNOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var train, test []int
	for i := range all.Rows {
		if i%5 == 0 {
			test = append(test, i)
		} else {
			train = append(train, i)
		}
	}
	labels := make([]string, len(train))
	values := make([]float64, 0, len(train)*4)
	row := make([]float64, 4)
	for i, at := range train {
		labels[i] = all.Outputs[0].Classes[all.Outputs[0].Labels[at]]
		if err := all.ReadRow(row, at); err != nil {
			t.Fatal(err)
		}
		values = append(values, row...)
	}
	src, err := KNNTable("test", "iris", len(train), 4, values, textLabels(labels), "species", nil, nil, KNNOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := openKNNModel(t, src, KNNOptions{})
	for _, k := range []int{1, 3, 5} {
		g := golden[fmt.Sprintf("iris_k%d", k)]
		var want []string
		if err := json.Unmarshal(g.Pred, &want); err != nil || len(want) != len(test) {
			t.Fatal(err, len(want))
		}
		c := newClassifier(t, m, runtime.KNNOptions{K: k})
		for i, at := range test {
			if err := all.ReadRow(row, at); err != nil {
				t.Fatal(err)
			}
			c.Reset()
			if _, err := c.Add(row); err != nil {
				t.Fatal(err)
			}
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			if got := m.KNN().Outputs[0].Classes[c.Class(c.Neighbors(0), 0)]; got != want[i] {
				t.Errorf("k %d row %d: %s, scikit-learn says %s", k, at, got, want[i])
			}
			for j, n := range c.Neighbors(0) {
				if math.Abs(n.Distance-g.Dist[i][j]) > 1e-6 {
					t.Errorf("k %d row %d: distance %d is %v, scikit-learn says %v", k, at, j, n.Distance, g.Dist[i][j])
				}
				last := g.Dist[i][k-1]
				if n.Distance < last-1e-6 && !slices.Contains(g.NbrInTrain[i], n.Row) {
					t.Errorf("k %d row %d: neighbour %d is not among %v", k, at, n.Row, g.NbrInTrain[i])
				}
			}
		}
	}
}

// mnist reads the MNIST test images and labels.
func mnist(t testing.TB) ([][]float64, []int32) {
	t.Helper()
	read := func(name string, head int) []byte {
		f, err := os.Open(filepath.Join("testdata/knn", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return data[head:]
	}
	pixels, digits := read("t10k-images-idx3-ubyte.gz", 16), read("t10k-labels-idx1-ubyte.gz", 8)
	rows, labels := make([][]float64, len(digits)), make([]int32, len(digits))
	for i := range rows {
		rows[i] = make([]float64, 784)
		for j := range rows[i] {
			rows[i][j] = float64(pixels[i*784+j])
		}
		labels[i] = int32(digits[i])
	}
	return rows, labels
}

// TestKNNMNIST compares the predicted digits with scikit-learn's, and neighbours with the oracle.
func TestKNNMNIST(t *testing.T) {
	if fewKNN() {
		t.Skip("a scan of 8,000 digits 2,000 times")
	}
	golden := readGoldenKNN(t)
	rows, labels := mnist(t)
	src := rowsSource(rows[:8000], "euclidean")
	src.Task = runtime.TaskClassify
	src.Outputs = []KNNOutput{{Classes: strings.Split("0123456789", ""), Numeric: true, Labels: labels[:8000]}}
	m := openKNNModel(t, src, KNNOptions{})
	for _, k := range []int{1, 3, 5} {
		var want string
		if err := json.Unmarshal(golden[fmt.Sprintf("mnist_8k_2k_k%d", k)].Pred, &want); err != nil {
			t.Fatal(err)
		}
		c := newClassifier(t, m, runtime.KNNOptions{K: k, Batch: 64})
		wrong := 0
		for first := 0; first < 2000; first += 64 {
			c.Reset()
			n := min(64, 2000-first)
			for i := range n {
				if _, err := c.Add(rows[8000+first+i]); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if got := byte('0' + c.Class(c.Neighbors(i), 0)); got != want[first+i] {
					wrong++
				}
			}
		}
		if wrong > 0 {
			t.Errorf("k %d: %d digits differ from scikit-learn's", k, wrong)
		}
	}
}

// TestEmbeddedIris makes the embedded model again and compares the bytes.
func TestEmbeddedIris(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "iris.ei8")
	o := Options{Name: "iris", Licence: "CC0-1.0", Source: "Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936)"}
	if _, err := Convert(context.Background(), "../runtime/models/iris.csv", dst, o); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dst)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../runtime/models/iris.ei8")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Error("runtime/models/iris.ei8 is not what convert makes of iris.csv: make it anew, as runtime/models/README.md says")
	}
}

// TestKNNQueryAllocatesNothing: after a Classifier is made, a query allocates nothing.
func TestKNNQueryAllocatesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	data := knnData(r, 300, 40)["gaussian"]
	for i, metric := range []string{"euclidean", "manhattan", "cosine", "euclidean", "cosine"} {
		src := rowsSource(data[0], metric)
		src.Task, src.Outputs = runtime.TaskClassify, []KNNOutput{{Classes: []string{"a", "b"}, Labels: make([]int32, 300)}}
		pairs := i > 2
		m := openKNNModel(t, src, KNNOptions{forcePairs: pairs})
		queries := data[1][:2]
		if pairs {
			queries = queries[:1]
		}
		c := newClassifier(t, m, runtime.KNNOptions{K: 10, Batch: len(queries)})
		if n := alloctest.PerRun(20, func() {
			c.Reset()
			for _, q := range queries {
				if _, err := c.Add(q); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Run(); err != nil {
				t.Fatal(err)
			}
			c.Class(c.Neighbors(len(queries)-1), 0)
			c.Probabilities(c.Neighbors(0), 0)
		}); n != 0 {
			t.Errorf("%s, pairs %v: %v allocations a query", metric, pairs, n)
		}
	}
}

// TestKNNRefuses: what cannot be converted says so and leaves no file.
func TestKNNRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(s *KNNSource, o *KNNOptions)
		want   string
	}{
		{func(s *KNNSource, o *KNNOptions) { s.ReadRow = constantRow(math.NaN()) }, "row 1, column 1 is NaN"},
		{func(s *KNNSource, o *KNNOptions) { s.ReadRow = constantRow(math.Inf(-1)) }, "column 1 is -Inf"},
		{func(s *KNNSource, o *KNNOptions) { s.ReadRow = constantRow(1e200) }, "overflow"},
		{func(s *KNNSource, o *KNNOptions) { s.ReadRow, o.Rows = constantRow(1e100), "float32" }, "float32 ends"},
		{func(s *KNNSource, o *KNNOptions) { o.K = 4 }, "k is 4, and there are 3 rows"},
		{func(s *KNNSource, o *KNNOptions) { o.Metric = "hamming" }, "hamming"},
		{func(s *KNNSource, o *KNNOptions) { o.Metric = "minkowski" }, "needs a p"},
		{func(s *KNNSource, o *KNNOptions) { o.Weights = "rank" }, "rank"},
		{func(s *KNNSource, o *KNNOptions) { o.Rows = "int4" }, "int4"},
	} {
		s, o := smallKNN(), KNNOptions{}
		c.change(s, &o)
		dst := filepath.Join(t.TempDir(), "m.ei8")
		_, err := convertKNN(context.Background(), dst, s, Options{KNN: o})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		if _, err := os.Stat(dst); err == nil {
			t.Errorf("%s: a file was left", c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	big := rowsSource([][]float64{{1, 1}}, "euclidean")
	big.Rows, big.ReadRow = 600, constantRow(1)
	if _, err := convertKNN(ctx, filepath.Join(t.TempDir(), "m.ei8"), big, Options{}); err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
}

func constantRow(v float64) func(dst []float64, i int) error {
	return func(dst []float64, i int) error {
		for j := range dst {
			dst[j] = v
		}
		return nil
	}
}
