package convert

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime"
)

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
							if withPairs && o.Batch == 1 {
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
	if heads < 10 || pairs < 40 {
		t.Errorf("only %d files had a head, only %d searches took pairs", heads, pairs)
	}
	if ranked*2 > rows {
		t.Errorf("the bound decides little: %d of %d rows were ranked", ranked, rows)
	}
}

// TestKNNQueryRounding: what rounding took from a query may be parallel to a row, all of it. Then the bound on products is reached, and
// the nearest row is found by its term |x - x̂| |w| alone: the row itself is its int8, and their product is 0.
func TestKNNQueryRounding(t *testing.T) {
	const n, d, low = 800, 64, 0.24
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = make([]float64, d) // all but two are zero, nearly as near as the nearest; the two leave the center at zero
		if i/2 == n/3 {
			for j := 1; j < d; j++ {
				rows[i][j] = low * float64(1-i%2*2)
			}
		}
	}
	x := make([]float64, d)
	for j := range x {
		x[j] = low // 0 in int8
	}
	x[0] = 63
	m := openKNNModel(t, rowsSource(rows, "euclidean"), KNNOptions{forcePairs: true})
	for _, batch := range []int{1, 2, 9} {
		c := newClassifier(t, m, runtime.KNNOptions{K: 1, Batch: batch})
		queries := slices.Repeat([][]float64{x}, batch)
		searchAll(t, c, queries, func(i int, near []runtime.Neighbor) {
			checkNeighbors(t, near, oracle("euclidean", 0, rows, x, 1), fmt.Sprintf("query %d of %d", i, batch))
		})
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
