package convert

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
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

// knnData are sets of rows and queries that tend to break a bound.
func knnData(r *rand.Rand, n, d int) map[string][2][][]float64 {
	gauss := func(n int, f func(i, j int, g float64) float64) [][]float64 {
		rows := make([][]float64, n)
		for i := range rows {
			rows[i] = make([]float64, d)
			for j := range rows[i] {
				rows[i][j] = f(i, j, r.NormFloat64())
			}
		}
		return rows
	}
	const q = 6
	plain := gauss(n, func(_, _ int, g float64) float64 { return g })
	set := map[string][2][][]float64{}
	add := func(name string, rows [][]float64, f func(i, j int, g float64) float64) {
		queries := append(gauss(q, f), rows[r.IntN(n)], rows[n-1])
		set[name] = [2][][]float64{rows, queries}
	}
	same := func(_, _ int, g float64) float64 { return g }
	add("gaussian", plain, same)
	duplicates := gauss(n, func(i, j int, g float64) float64 { return 0 })
	for i := range duplicates {
		copy(duplicates[i], plain[i%7])
	}
	add("duplicates", duplicates, same)
	ties := func(_, _ int, g float64) float64 { return math.Round(g) }
	add("ties", gauss(n, ties), ties)
	add("constant", gauss(n, func(_, _ int, _ float64) float64 { return 3.25 }), same)
	add("zeros", gauss(n, func(_, _ int, _ float64) float64 { return 0 }), same)
	add("zero and not", gauss(n, func(i, _ int, g float64) float64 { return g * float64(i%2) }), same)
	add("constant columns", gauss(n, func(_, j int, g float64) float64 { return g*float64(j%2) + 7*float64(1-j%2) }), same)
	add("offset", gauss(n, func(_, _ int, g float64) float64 { return g + 1e9 }), func(_, _ int, g float64) float64 { return g + 1e9 })
	add("far query", plain, func(i, _ int, g float64) float64 { return g * math.Pow(10, float64(4*i)) })
	add("outliers", gauss(n, func(i, _ int, g float64) float64 {
		if i%97 == 3 {
			return g * 1e12
		}
		return g
	}), same)
	add("uneven columns", gauss(n, func(_, j int, g float64) float64 { return g * math.Pow(10, float64(j%9-4)) }), func(_, j int, g float64) float64 { return g * math.Pow(10, float64(j%9-4)) })
	add("huge", gauss(n, func(_, _ int, g float64) float64 { return g * 1e140 }), func(_, _ int, g float64) float64 { return g * 1e140 })
	add("small", gauss(n, func(_, _ int, g float64) float64 { return g * 1e-140 }), func(_, _ int, g float64) float64 { return g * 1e-140 })
	add("tiny", gauss(n, func(_, _ int, g float64) float64 { return g * 1e-170 }), func(_, _ int, g float64) float64 { return g * 1e-170 })
	add("denormal", gauss(n, func(_, _ int, g float64) float64 { return g * 1e-320 }), func(_, _ int, g float64) float64 { return g * 1e-320 })
	add("spread rows", gauss(n, func(i, _ int, g float64) float64 { return g * math.Pow(2, float64(-i%60)) }), same)
	// Rows that differ from each other by less than a step of int8.
	near := func(_, j int, g float64) float64 { return float64(j%5) + g*1e-6 }
	add("near", gauss(n, near), near)
	// The k-th and the next differ in the last bit.
	add("one bit", gauss(n, func(i, _ int, _ float64) float64 { return math.Nextafter(1, float64(i%2)*2) }), func(i, _ int, g float64) float64 { return float64(i % 2) })
	sorted := gauss(n, func(i, _ int, g float64) float64 { return float64(n-i) + g*0.01 })
	add("nearest last", sorted, func(_, _ int, g float64) float64 { return g })
	return set
}

// TestKNNExact holds every metric on every kernel set against the oracle: the same rows, distances bit for bit.
func TestKNNExact(t *testing.T) {
	shapes := [][2]int{{1, 1}, {17, 3}, {600, 5}, {200, 20}, {100, 130}, {20, 4096}}
	if fewKNN() {
		shapes = [][2]int{{17, 3}, {110, 20}}
	}
	r := rand.New(rand.NewPCG(5, 6))
	ranked, rows, heads, pairs := int64(0), int64(0), 0, 0
	for _, shape := range shapes {
		n, d := shape[0], shape[1]
		data := knnData(r, n, d)
		for _, name := range slices.Sorted(maps.Keys(data)) {
			data := data[name]
			for _, class := range []string{"euclidean", "manhattan"} {
				for mode := range 4 {
					compact, head, withPairs := mode == 1, 0, mode == 3 && class == "euclidean"
					if mode == 2 {
						if head = d / 3; head > 60 {
							head = 0 // finding so many axes takes long
						}
					}
					if compact && (n > 500 || name == "huge") || mode == 2 && head == 0 || mode >= 2 && class != "euclidean" {
						continue
					}
					src := rowsSource(data[0], class)
					m := openKNNModel(t, src, KNNOptions{Compact: compact, forceHead: head, forcePairs: withPairs})
					if m.KNN().Head > 0 {
						heads++
					}
					kept := data[0]
					if compact {
						kept = dequantizedRows(t, src)
					}
					for _, metric := range []string{"euclidean", "manhattan", "chebyshev", "cosine", "dot", "minkowski"} {
						if metric == "minkowski" && d > 20 || mode >= 2 && runtime.MetricClass(metric) != runtime.ClassDot {
							continue // powers take long
						}
						p := 2.5 + float64(n%2)/2
						want := make([][]runtime.Neighbor, len(data[1]))
						for i, x := range data[1] {
							want[i] = oracle(metric, p, kept, x, n)
						}
						for j, k := range []int{1, 10, n} {
							if k = min(k, n); j == 2 && n > 200 {
								continue
							}
							sets := kernels.Available()
							o := runtime.KNNOptions{
								K: k, Metric: metric, P: p, Batch: []int{1, len(data[1]), 3}[r.IntN(3)], Threads: 1 + r.IntN(3),
								Kernels: sets[r.IntN(len(sets))].Name,
							}
							if withPairs {
								o.Batch = 1 // they are for single queries
								pairs++
							}
							c := newClassifier(t, m, o)
							what := fmt.Sprintf("%s %dx%d, %s file, compact %v, head %d, pairs %v, %+v", name, n, d, class, compact, m.KNN().Head, withPairs, o)
							searchAll(t, c, data[1], func(i int, near []runtime.Neighbor) {
								checkNeighbors(t, near, want[i][:k], fmt.Sprintf("%s query %d", what, i))
							})
							if name == "gaussian" && !c.Exhaustive() && k < n && n > 100 {
								ranked, rows = ranked+c.Ranked(0), rows+int64(n)
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d of %d gaussian rows ranked, %d heads", ranked, rows, heads)
	if heads < 10 || pairs < 100 {
		t.Errorf("only %d files had a head, only %d searches took pairs", heads, pairs)
	}
	if ranked*2 > rows {
		t.Errorf("the bound decides little: %d of %d rows were ranked", ranked, rows)
	}
}

// searchAll runs queries in batches.
func searchAll(t *testing.T, c *runtime.Classifier, queries [][]float64, each func(i int, near []runtime.Neighbor)) {
	t.Helper()
	batch := c.Options().Batch
	for first := 0; first < len(queries); first += batch {
		n := min(batch, len(queries)-first)
		c.Reset()
		for _, q := range queries[first : first+n] {
			if _, err := c.Add(q); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			each(first+i, c.Neighbors(i))
		}
	}
}

// dequantizedRows are the rows of a compact file.
func dequantizedRows(t *testing.T, src *KNNSource) [][]float64 {
	k := newKNNRows(src, runtime.MetricClass(src.Metric), KNNOptions{Compact: true})
	if err := k.measure(context.Background(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	rows := make([][]float64, src.Rows)
	var r knnRow
	for i := range rows {
		if err := k.quantize(i, &r); err != nil {
			t.Fatal(err)
		}
		rows[i] = slices.Clone(r.values)
	}
	return rows
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

// TestKNNRecall counts, by distance, how many of the 10 nearest are found: all of them, of digits, Gaussian and clustered rows.
// EDGE_INFER_TEST=all takes 60,000 rows of 384 columns instead of fewer.
func TestKNNRecall(t *testing.T) {
	n, d, asked := 8000, 96, 4
	if fewKNN() {
		n, d, asked = 1200, 48, 2
	} else if os.Getenv("EDGE_INFER_TEST") == "all" {
		n, d, asked = 60000, 384, 10
	}
	r := rand.New(rand.NewPCG(7, 7))
	draw := func(centers [][]float64, spread float64, count int) [][]float64 {
		rows := make([][]float64, count)
		for i := range rows {
			rows[i] = make([]float64, d)
			c := centers[r.IntN(len(centers))]
			for j := range rows[i] {
				rows[i][j] = float64(float32(c[j] + float64(spread*r.NormFloat64())))
			}
		}
		return rows
	}
	centers := draw([][]float64{make([]float64, d)}, 1, 200)
	sets := map[string][2][][]float64{
		"gaussian":  {draw(centers[:1], 1, n), draw(centers[:1], 1, asked)},
		"clustered": {draw(centers, 0.3, n), draw(centers, 0.3, asked)},
	}
	if !fewKNN() {
		digits, _ := mnist(t)
		sets["digits"] = [2][][]float64{digits, {digits[17], draw([][]float64{make([]float64, 784)[:d]}, 99, 1)[0], digits[9000]}}
		query := slices.Clone(digits[44])
		for j := range query {
			query[j] = 255 - query[j]
		}
		sets["digits"][1][1] = query
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		rows, queries := sets[name][0], sets[name][1]
		for _, class := range []string{"euclidean", "manhattan"} {
			src := rowsSource(rows, class)
			m := openKNNModel(t, src, KNNOptions{})
			metrics := []string{class}
			if class == "euclidean" {
				metrics = append(metrics, "cosine")
			}
			for _, metric := range metrics {
				c := newClassifier(t, m, runtime.KNNOptions{K: 10, Metric: metric, Batch: 4})
				ranked := int64(0)
				searchAll(t, c, queries, func(i int, near []runtime.Neighbor) {
					checkNeighbors(t, near, oracle(metric, 0, rows, queries[i], 10), fmt.Sprintf("%s %s query %d", name, metric, i))
					ranked += c.Ranked(i % 4)
				})
				t.Logf("%s %s: recall 1; %d of %d rows ranked a query, head %d, pairs %v", name, metric, ranked/int64(len(queries)), len(rows), m.KNN().Head, m.KNN().Pairs)
				if m.KNN().Pairs {
					alone := newClassifier(t, m, runtime.KNNOptions{K: 10, Metric: metric})
					searchAll(t, alone, queries, func(i int, near []runtime.Neighbor) {
						checkNeighbors(t, near, oracle(metric, 0, rows, queries[i], 10), fmt.Sprintf("%s %s query %d alone", name, metric, i))
					})
				}
			}
		}
	}
}

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
