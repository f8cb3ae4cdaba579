package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/models"
)

// irisCSV is the table that the embedded model was made of.
const irisCSV = "../../runtime/models/iris.csv"

func needIris(t *testing.T) {
	t.Helper()
	if _, ok := models.Get(defaultClassifier); !ok {
		t.Skip("built without models")
	}
}

func TestClassify(t *testing.T) {
	needIris(t)
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		stdout      string
		stderr      []string
	}{
		{"an argument", "", []string{"5.1,3.5,1.4,0.2"}, exitOK, "setosa\n", nil},
		{"three arguments", "", []string{"5.1,3.5,1.4,0.2", "6 2.9 4.5 1.5", "6.3;3.3;6;2.5"}, exitOK, "setosa\nversicolor\nvirginica\n", nil},
		{"lines", "5.1,3.5,1.4,0.2\r\n6.3,3.3,6.0,2.5", nil, exitOK, "setosa\nvirginica\n", nil},
		{"bad lines", "5.1,3.5,1.4,0.2\n\nx,1,2,3\n1,2,3\n1,2,3,NaN\n1,2,3,1e999\n1,2,3,4,5\n6.3,3.3,6.0,2.5\n", nil, exitInput,
			"setosa\n\n\n\n\n\n\nvirginica\n",
			[]string{"line 2: this is empty", `line 3: column 1: "x" is not a number`, "line 4: 3 values", "line 5: column 4 is NaN", "line 6: column 4 is +Inf", "line 7: 5 values", "see --evaluate", "6 of 8 could not be classified"}},
		{"a header that is not one", "sepal,width\n5.1,3.5,1.4,0.2\n", nil, exitInput, "\nsetosa\n", []string{"line 1", "--header"}},
		{"a header", "a,b,c,d\n5.1,3.5,1.4,0.2\n", []string{"--header"}, exitOK, "setosa\n", nil},
		{"a header, yes", "a,b,c,d\n5.1,3.5,1.4,0.2\n", []string{"--header", "yes"}, exitOK, "setosa\n", nil},
		{"a header, perhaps", "", []string{"--header=perhaps"}, exitUse, "", []string{"say yes or no"}},
		{"nothing", "", nil, exitOK, "", nil},
		{"probabilities", "", []string{"--proba", "6,3,4.8,1.8"}, exitOK, "virginica\tsetosa=0 versicolor=0.2 virginica=0.8\n", nil},
		{"neighbours", "", []string{"--neighbors", "-k", "2", "6,3,4.8,1.8"}, exitOK, "virginica\t138:0:virginica\t127:0.14142135623730964:virginica\n", nil},
		{"distance weights", "", []string{"--proba", "--weights", "distance", "6,3,4.8,1.8"}, exitOK, "virginica\tsetosa=0 versicolor=0 virginica=1\n", nil},
		{"another metric", "", []string{"--metric", "manhattan", "5.1,3.5,1.4,0.2"}, exitOK, "setosa\n", []string{"made for euclidean", "slower"}},
		{"minkowski", "", []string{"--metric", "minkowski", "--p", "3", "5.1,3.5,1.4,0.2"}, exitOK, "setosa\n", []string{"slower"}},
		{"minkowski without p", "", []string{"--metric", "minkowski", "1,2,3,4"}, exitUse, "", []string{"needs a p"}},
		{"k over N", "", []string{"-k", "151", "1,2,3,4"}, exitUse, "", []string{"k is 151, must be 1 to 150"}},
		{"k of 0", "", []string{"-k", "0", "1,2,3,4"}, exitUse, "", []string{"--k is 0"}},
		{"unknown metric", "", []string{"--metric", "taxi", "1,2,3,4"}, exitUse, "", []string{"taxi", "manhattan"}},
		{"unknown weights", "", []string{"--weights", "rank", "1,2,3,4"}, exitUse, "", []string{"rank"}},
		{"dot by distance", "", []string{"--metric", "dot", "--weights", "distance", "1,2,3,4"}, exitUse, "", []string{"no distances"}},
		{"two things", "", []string{"--choose-k", "1,2,3,4"}, exitUse, "", []string{"different things"}},
		{"no such input", "", []string{"-i", "none.csv"}, exitIO, "", []string{"none.csv"}},
		{"no such model", "", []string{"-m", "none.ei8", "1"}, exitModel, "", []string{"there is no model"}},
		{"kernels", "", []string{"--batch", "3", "--threads", "2", "5.1,3.5,1.4,0.2"}, exitOK, "setosa\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runProgram(t, c.stdin, append([]string{"classify"}, c.args...)...)
			r.expect(t, c.code, c.stderr...)
			if r.stdout != c.stdout {
				t.Errorf("got %q, want %q", r.stdout, c.stdout)
			}
		})
	}
	// A NumPy array of two rows, and one that is cut.
	head := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4), }"
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	array := "\x93NUMPY\x01\x00" + string([]byte{byte(len(head)), 0}) + head
	for _, v := range []float32{5, 3, 1, 0.25, 6, 3, 6, 2} {
		array += string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
	}
	path := filepath.Join(t.TempDir(), "q.npy")
	if err := os.WriteFile(path, []byte(array), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, r := range []result{runProgram(t, array, "classify"), runProgram(t, "", "classify", "-i", path)} {
		r.expect(t, exitOK)
		if r.stdout != "setosa\nvirginica\n" {
			t.Errorf("array: %q", r.stdout)
		}
	}
	runProgram(t, array[:len(array)-3], "classify").expect(t, exitInput)
	runProgram(t, "", "translate", "-m", "iris", "x").expect(t, exitModel, "knn")
	r := runProgram(t, "", "inspect", "iris")
	r.expect(t, exitOK)
	for _, want := range []string{"rows.int8", "CC0-1.0", "to answer queries", "virginica"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("inspect does not say %q", want)
		}
	}
}

func TestClassifyJSON(t *testing.T) {
	needIris(t)
	r := runProgram(t, "6,3,4.8,1.8\nx\n", "classify", "--json", "-k", "3")
	r.expect(t, exitInput)
	type answer struct {
		Labels        []string
		Probabilities []map[string]float64
		Neighbors     []struct{ Row int }
		Ranked        int64 `json:"rows_ranked"`
		Bytes         int64 `json:"bytes_read"`
		Error         string
	}
	var answers []answer
	for d := json.NewDecoder(strings.NewReader(r.stdout)); d.More(); {
		var a answer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != 2 || answers[1].Error == "" || answers[0].Error != "" {
		t.Fatalf("%+v", answers)
	}
	a := answers[0]
	if len(a.Neighbors) != 3 || a.Neighbors[0].Row != 138 || a.Labels[0] != "virginica" || a.Ranked < 3 || a.Bytes == 0 || a.Probabilities[0]["setosa"] != 0 {
		t.Errorf("%+v", a)
	}
}

func TestClassifyMeasures(t *testing.T) {
	needIris(t)
	r := runProgram(t, "", "classify", "--evaluate", irisCSV, "-k", "3")
	r.expect(t, exitOK, "taken as a header")
	for _, want := range []string{"accuracy  96.00 %  (144 of 150)", "versicolor       0          47          3", "line 72   versicolor  virginica"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q lacks %q", r.stdout, want)
		}
	}
	r = runProgram(t, "", "classify", "--choose-k")
	r.expect(t, exitOK, "left out in turn")
	if lines := strings.Count(r.stdout, "\n"); lines != 28 || !strings.Contains(r.stdout, "manhattan") || !strings.Contains(r.stdout, "best: -k ") {
		t.Errorf("%d lines: %s", lines, r.stdout)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unlabelled.csv": "1,2,3\n", "wide.csv": "1,2,3,4,5,6,x\n", "holes.csv": "1,2,,4,setosa\n", "words.csv": "1,2,3,4,setosa\n1,2,z,4,setosa\n", "empty.csv": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		runProgram(t, "", "classify", "--evaluate", path).expect(t, exitInput, name)
	}
	last := filepath.Join(dir, "numbers.csv")
	if err := os.WriteFile(last, []byte("5.1,3.5,1.4,0.2,7\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	r = runProgram(t, "", "classify", "--evaluate", last)
	r.expect(t, exitOK, "column 5 was taken")
	if !strings.Contains(r.stdout, "does not know: 7") {
		t.Errorf("%s", r.stdout)
	}
}

// TestClassifyOwnTable converts tables of every task and asks them.
func TestClassifyOwnTable(t *testing.T) {
	dir := t.TempDir()
	convert := func(name, text string, flags ...string) string {
		t.Helper()
		src, dst := filepath.Join(dir, name+".csv"), filepath.Join(dir, name+".ei8")
		if err := os.WriteFile(src, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		runProgram(t, "", append([]string{"convert", src, "-o", dst}, flags...)...).expect(t, exitOK)
		return dst
	}
	ask := func(want string, args ...string) {
		t.Helper()
		r := runProgram(t, "", append([]string{"classify"}, args...)...)
		r.expect(t, exitOK)
		if r.stdout != want {
			t.Errorf("%v: %q, want %q", args, r.stdout, want)
		}
	}
	var b strings.Builder
	b.WriteString("a,b,price\n")
	for i := range 30 {
		fmt.Fprintf(&b, "%d,%d,%d\n", i, 100*(i%3), 10*i)
	}
	ask("120\n", "-m", convert("regress", b.String(), "--task", "regress", "--label-column", "price", "-k", "3"), "11,0", "--metric", "chebyshev", "-k", "1", "--weights", "distance")
	ask("0:1\t1:1\n", "-m", convert("neighbors", "1,0\n0,1\n9,9\n", "--label-column", "none", "-k", "2", "--metric", "manhattan"), "0,0")
	ask("2\n", "-m", convert("numbers", "x,class\n0,10\n1,2\n5,10\n", "-k", "1", "--scale", "minmax"), "1.1")
	ask("a\n", "-m", convert("compact", "x,class\n0,b\n1,a\n5,b\n", "-k", "1", "--compact"), "1.1")
	r := runProgram(t, "", "classify", "-m", filepath.Join(dir, "regress.ei8"), "--proba", "1,2")
	r.expect(t, exitUse, "classifies")
	runProgram(t, "", "classify", "-m", filepath.Join(dir, "neighbors.ei8"), "--choose-k").expect(t, exitUse, "labels")
	runProgram(t, "", "classify", "-m", filepath.Join(dir, "compact.ei8"), "1").expect(t, exitOK, "approximate")

	// Tables that are none.
	for name, c := range map[string]struct {
		text, want string
		flags      []string
	}{
		"mixed":     {"1,2,a\n1,x,a\n", `line 2, column 2: "x" is not a number`, nil},
		"infinite":  {"1,2,a\n1,inf,a\n", "finite", nil},
		"ragged":    {"1,2,a\n1,a\n", "line 2: has 2 fields", nil},
		"nolabels":  {"1,2\n3,4\n", "--label-column", nil},
		"nosuch":    {"1,2,a\n", "no column", []string{"--label-column", "colour"}},
		"isheader":  {"x,y,class\n1,2,a\n", "reads like a header", []string{"--header", "no"}},
		"onlyhead":  {"x,y,class\n", "nothing after it", nil},
		"k":         {"1,2,a\n", "k is 2, and there are 1 rows", []string{"-k", "2"}},
		"quotes":    {"1,2,\"a\n", "quotes", nil},
		"zero":      {"1,2,a\x00\n", "zero byte", nil},
		"twolabels": {"1,b,a\n", "columns 2 and 3", nil},
		"large":     {"1,1e200,a\n", "overflow", nil},
	} {
		src := filepath.Join(dir, name+".csv")
		if err := os.WriteFile(src, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		dst := filepath.Join(dir, name+".ei8")
		runProgram(t, "", append([]string{"convert", src, "-o", dst}, c.flags...)...).expect(t, exitModel, c.want, name+".csv")
		if _, err := os.Stat(dst); err == nil {
			t.Errorf("%s: a file was left", name)
		}
	}
}
