package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
)

// benchRows runs a bench command with -f json.
func benchRows(t *testing.T, args ...string) []map[string]any {
	t.Helper()
	r := runProgram(t, "", append(append([]string{"bench"}, args...), "-f", "json")...)
	r.expect(t, exitOK)
	rows := []map[string]any{}
	if err := json.Unmarshal([]byte(r.stdout), &rows); err != nil {
		t.Fatalf("%v in\n%s", err, r.stdout)
	}
	return rows
}

func TestBenchKernels(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "roofline.svg")
	rows := benchRows(t, "kernels", "--op", "quantize,lstm,gru,survivors,gemm,gemv", "--shapes", "64,2x32x48,1x48x32", "--threads", "2", "--plot", plot)
	found := map[string]bool{}
	for _, r := range rows {
		for _, key := range []string{"op", "shape", "set", "threads", "ns", "gmac_per_s", "gb_per_s", "times_generic", "percent_of_limit", "ns_per_element"} {
			if _, ok := r[key]; !ok {
				t.Fatalf("no %s in %v", key, r)
			}
		}
		op := r["op"].(string)
		found[op] = true
		switch {
		case op == "peak" && !(r["gmac_per_s"].(float64) > 0), op == "read" && !(r["gb_per_s"].(float64) > 0):
			t.Errorf("a limit without a figure: %v", r)
		case op == "peak", op == "read":
		case !(r["ns"].(float64) > 0) || !(r["gb_per_s"].(float64) > 0) || !(r["times_generic"].(float64) > 0) || r["threads"].(float64) != 2:
			t.Errorf("a figure is missing: %v", r)
		case r["set"] == "generic" && r["times_generic"].(float64) != 1:
			t.Errorf("generic is not once itself: %v", r)
		case strings.HasPrefix(op, "gem") && !(r["gmac_per_s"].(float64) > 0):
			t.Errorf("a product without multiply-adds: %v", r)
		case !strings.HasPrefix(op, "gem") && !(r["ns_per_element"].(float64) > 0):
			t.Errorf("no time of an element: %v", r)
		}
	}
	for _, op := range []string{"read", "quantize", "lstm", "gru", "survivors", "gemm", "gemv"} {
		if !found[op] {
			t.Errorf("no row of %s", op)
		}
	}
	circles := countElements(t, plot, "circle")
	products := 0
	for _, r := range rows {
		if r["op"] == "gemm" || r["op"] == "gemv" {
			products++
		}
	}
	if circles != products {
		t.Errorf("%d circles for %d products", circles, products)
	}
}

// The set that was measured to multiply faster than the chosen one is named; a small lead is none.
func TestBenchAdvice(t *testing.T) {
	for _, c := range []struct {
		rates []float64 // of two products, on the chosen set and on another
		want  string
	}{
		{[]float64{10, 40, 12, 44}, "1.15"},
		{[]float64{10, 40, 12, 30}, ""},
		{[]float64{10, 40, 10.1, 40.5}, ""},
	} {
		b := &kernelBench{sets: []kernels.Set{{Name: "other"}, {Name: "chosen"}}}
		for i, set := range []string{"chosen", "other"} {
			for j, label := range []string{"gemv", "gemm"} {
				b.points = append(b.points, plotPoint{set: set, label: label, at: c.rates[2*i+j]})
			}
		}
		got := b.advice("chosen")
		if (got != "") != (c.want != "") || !strings.Contains(got, c.want) || got != "" && !strings.Contains(got, kernelsVariable+"=other") {
			t.Errorf("%v: %q, want %q in it", c.rates, got, c.want)
		}
	}
}

// countElements counts elements of one name in an SVG file, all of which must be well-formed.
func countElements(t *testing.T, path, name string) (n int) {
	t.Helper()
	drawing, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer drawing.Close()
	for d := xml.NewDecoder(drawing); ; {
		token, err := d.Token()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == name {
			n++
		}
	}
}

func TestBenchFormats(t *testing.T) {
	for _, format := range []string{"table", "csv", "go"} {
		r := runProgram(t, "", "bench", "kernels", "--op", "exp", "--set", "generic", "--shapes", "32", "-f", format)
		r.expect(t, exitOK)
		switch format {
		case "table":
			if !regexp.MustCompile(`(?m)^machine .*\n`).MatchString(r.stdout) || !regexp.MustCompile(`(?m)^exp +32 +generic +1 +[0-9.]+ +- `).MatchString(r.stdout) {
				t.Errorf("table:\n%s", r.stdout)
			}
		case "csv":
			records, err := csv.NewReader(strings.NewReader(r.stdout)).ReadAll()
			if err != nil || records[0][0] != "op" || records[len(records)-1][0] != "exp" || len(records[0]) != 10 {
				t.Errorf("%v in csv:\n%s", err, r.stdout)
			}
		case "go":
			if !regexp.MustCompile(`(?m)^BenchmarkKernels/op=exp/shape=32/set=generic/threads=1\t1\t[0-9.]+ ns/op\t[0-9.]+ gb_per_s\t`).MatchString(r.stdout) ||
				!strings.Contains(r.stdout, "goarch: ") {
				t.Errorf("go:\n%s", r.stdout)
			}
		}
	}
}

func TestBenchThreads(t *testing.T) {
	rows := benchRows(t, "threads", "--threads", "2", "--shapes", "3x64x32,1x32x32", "-r", "2")
	peaks := 0
	for _, r := range rows {
		number := func(key string) float64 { v, _ := r[key].(float64); return v }
		if want := number("gmac_per_s") / number("gmac_per_s_one"); !(want > 0) || math.Abs(number("gain")/want-1) > 0.1 {
			t.Errorf("the gain is not that of its rates: %v", r)
		}
		if r["op"] == "peak" {
			peaks++
		} else if peaks > 0 && !(number("of_peak") > 0) {
			t.Errorf("no gain beside that of peak: %v", r)
		}
	}
	if len(rows) != peaks+2 {
		t.Errorf("%d rows of 2 products and %d peaks", len(rows), peaks)
	}
}

func TestBenchModel(t *testing.T) {
	model := testModel(t)
	rows := benchRows(t, "model", "-m", model, "--source", "5", "--target", "7", "--batch", "3", "--threads", "2", "-r", "2")
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	r := rows[0]
	for _, key := range []string{"ns", "tok_per_s", "ms_first_token", "encode_tok_per_s"} {
		if v, _ := r[key].(float64); !(v > 0) {
			t.Errorf("%s is %v", key, r[key])
		}
	}
	if r["model"] != "aren.ei8" || r["batch"].(float64) != 3 || r["target"].(float64) != 7 {
		t.Errorf("%v", r)
	}
	// Three sentences of exactly seven tokens: the rate follows from the time.
	if rate, want := r["tok_per_s"].(float64), 3*7/(r["ns"].(float64)/1e9); rate < want*0.99 || rate > want*1.01 {
		t.Errorf("%g tokens a second, want %g", rate, want)
	}
	if rss, ok := r["peak_rss_bytes"].(float64); ok && rss < 1<<20 {
		t.Errorf("peak of %g bytes", rss)
	}

	text := runProgram(t, "", "bench", "model", "-m", model, "--source", "2", "--target", "2", "-r", "3", "-f", "go")
	text.expect(t, exitOK)
	if n := strings.Count(text.stdout, "BenchmarkModel/model=aren.ei8/set="); n != 3 {
		t.Errorf("%d runs of 3:\n%s", n, text.stdout)
	}
}

// TestBenchModelFamilies: one row for a step, a query, and one for many; rates that follow from the time; a drawing.
func TestBenchModelFamilies(t *testing.T) {
	for _, c := range []struct {
		model, length, rate string
		many                float64
		circles             int
	}{
		{"rnn", "steps", "steps_per_s", 5, 9},
		{"lstm", "steps", "steps_per_s", 5, 9},
		{"iris", "queries", "qps", 9, 7},
		{testModel(t), "target", "tok_per_s", 0, -1},
	} {
		plot := filepath.Join(t.TempDir(), "latency.svg")
		rows := benchRows(t, "model", "-m", c.model, "--steps", "5", "--queries", "9", "--threads", "1", "-r", "1", "--plot", plot)
		if want := 1 + min(int(c.many), 1); len(rows) != want {
			t.Fatalf("%s: %d rows, want %d", c.model, len(rows), want)
		}
		for i, r := range rows {
			n := r[c.length].(float64)
			if want := []float64{1, c.many}[i]; want != n && c.many > 0 {
				t.Errorf("%s: %s of row %d is %g, want %g", c.model, c.length, i, n, want)
			}
			if rate, want := r[c.rate].(float64), n/(r["ns"].(float64)/1e9); rate < want*0.99 || rate > want*1.01 {
				t.Errorf("%s: %s is %g, want %g", c.model, c.rate, rate, want)
			}
			for _, key := range []string{"percent_of_ceiling", "ms_load", "ms_ready", "ms_cold", "peak_rss_bytes"} {
				if v, ok := r[key]; !ok || v != nil && !(v.(float64) > 0) {
					t.Errorf("%s: %s is %v", c.model, key, v)
				}
			}
		}
		if n := countElements(t, plot, "circle"); n != c.circles && (c.circles > 0 || n < 4) {
			t.Errorf("%s: %d circles, want %d", c.model, n, c.circles)
		}
	}
}

func TestBenchErrors(t *testing.T) {
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{exitUse, []string{"kernels", "-f", "xml"}, `"xml"`},
		{exitUse, []string{"kernels", "--set", "quantum"}, "generic"},
		{exitUse, []string{"kernels", "--op", "fly"}, "softmax"},
		{exitUse, []string{"kernels", "--shapes", "3by4"}, "8x2048x512"},
		{exitUse, []string{"kernels", "--shapes", "1x2x3x4"}, "no operation"},
		{exitUse, []string{"kernels", "--shapes", "8x2048x511"}, "multiples of 16"},
		{exitUse, []string{"kernels", "--shapes", "99999999999"}, "2^28"},
		{exitUse, []string{"kernels", "--threads", "0"}, "--threads"},
		{exitUse, []string{"kernels", "now"}, "no argument"},
		{exitUse, []string{"threads", "--shapes", "8x2048x511"}, "multiples of 16"},
		{exitUse, []string{"threads", "--threads", "0"}, "--threads"},
		{exitUse, []string{"threads", "-r", "0"}, "--runs"},
		{exitUse, []string{"model", "--batch", "0"}, "--batch"},
		{exitUse, []string{"model", "-m", "iris", "--queries", "0"}, "--queries"},
		{exitUse, []string{"model", "-m", "iris", "--queries", "999999999"}, "batch"},
		{exitUse, []string{"model", "-m", "lstm", "--steps", "999999999"}, "steps"},
		{exitIO, []string{"model", "-m", "iris", "-r", "1", "--plot", filepath.Join("nosuch", "x.svg")}, "x.svg"},
		{exitUse, []string{"model", "-f", "xml"}, `"xml"`},
		{exitUse, []string{"model", "-m", testModel(t), "--target", "100000"}, "100000"},
		{exitModel, []string{"model", "-m", "nosuch.ei8"}, "nosuch.ei8"},
		{exitIO, []string{"kernels", "--op", "add", "--plot", filepath.Join("nosuch", "x.svg")}, "x.svg"},
	} {
		r := runProgram(t, "", append([]string{"bench"}, c.args...)...)
		r.expect(t, c.code, c.want)
		if r.stdout != "" {
			t.Errorf("%v printed:\n%s", c.args, r.stdout)
		}
	}
	runProgram(t, "", "bench").expect(t, exitOK)
}

func TestClockFacts(t *testing.T) {
	root := t.TempDir() + "/"
	if facts := clockFacts(root); facts != "" {
		t.Errorf("%q of nothing", facts)
	}
	for path, text := range map[string]string{
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq":     "600000\n",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":     "ondemand\n",
		"sys/devices/platform/soc/soc:firmware/get_throttled":      "50005\n",
		"sys/devices/system/cpu/cpu0/cache/index0/type":            "Data\n",
		"sys/devices/system/cpu/cpu0/cache/index0/level":           "1\n",
		"sys/devices/system/cpu/cpu0/cache/index0/size":            "64K\n",
		"sys/devices/system/cpu/cpu0/cache/index1/type":            "Instruction\n",
		"sys/devices/system/cpu/cpu0/cache/index1/level":           "1\n",
		"sys/devices/system/cpu/cpu0/cache/index1/size":            "16K\n",
		"sys/devices/system/cpu/cpu0/cache/index2/type":            "Unified\n",
		"sys/devices/system/cpu/cpu0/cache/index2/level":           "3\n",
		"sys/devices/system/cpu/cpu0/cache/index2/size":            "2M\n",
		"sys/devices/system/cpu/cpu0/cache/index3/size":            "broken\n",
		"sys/devices/system/cpu/cpu0/cache/index4/unheard_of/size": "1\n",
	} {
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if facts := clockFacts(root); facts != "clock 600 MHz, governor ondemand, throttling now: the supply's voltage is too low; now: throttled" {
		t.Errorf("%q", facts)
	}
	if l1, l2, l3 := cacheSizes(root); l1 != 64<<10 || l2 != 512<<10 || l3 != 2<<20 {
		t.Errorf("caches of %d, %d, %d", l1, l2, l3)
	}
}

func TestRounded(t *testing.T) {
	for in, want := range map[float64]float64{0: 0, 0.123456: 0.1235, 12.3456: 12.35, 1234.56: 1235, 123456.7: 123457, -12.3456: -12.35} {
		if got := rounded(in); got != want {
			t.Errorf("%g becomes %v, want %g", in, got, want)
		}
	}
}
