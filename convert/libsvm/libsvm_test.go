package libsvm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func TestRead(t *testing.T) {
	d, err := Read(strings.NewReader("# comment\n+1 1:0.5 3:-2e1 # note\r\n-1 qid:7 2:1\n\n2.50 \n1.0 1:3 2:4 3:5\n"), "x")
	if err != nil {
		t.Fatal(err)
	}
	got, row := "", make([]float64, d.Cols)
	for i := range d.Rows() {
		d.Row(row, i)
		got += fmt.Sprint(d.Labels[i], " ", row, " ")
	}
	if want := "1 [0.5 0 -20] -1 [0 1 0] 2.50 [0 0 0] 1 [3 4 5] "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMalformed(t *testing.T) {
	for data, want := range map[string]string{
		"":                        "x: it has no rows with values",
		"# nothing\n":             "x: it has no rows with values",
		"1\n2\n":                  "x: it has no rows with values",
		"1 0:1":                   "x: line 1: it has the index 0, but indices count from 1; add 1 to every index",
		"1 1:1\n1 -1:1":           "x: line 2: the index -1 is outside 1 to 16777216",
		"1 99999999:1":            "x: line 1: the index 99999999 is outside 1 to 16777216",
		"1 99999999999999999999:": `x: line 1: "99999999999999999999:" is not index:value`,
		"1 2:1 2:2":               "x: line 1: the index 2 follows 2; they must rise",
		"1 3:1 2:2":               "x: line 1: the index 2 follows 3; they must rise",
		"1 1:nan":                 "x: line 1: column 1 is NaN; remove the row, or the value if it is missing",
		"1 1:inf":                 "x: line 1: column 1 is +Inf; remove the row, or the value if it is missing",
		"1 1:1e999":               `x: line 1: "1:1e999" is not index:value`,
		"1 1":                     `x: line 1: "1" is not index:value`,
		"1 a:b":                   `x: line 1: "a:b" is not index:value`,
		"1:1 2:1":                 `x: line 1: it starts with "1:1" where a label was expected; put a label first, 0 if there is none`,
		"cat 1:1":                 `x: line 1: its label "cat" is not a number; labels are numbers in this format`,
		"1,2 1:1":                 `x: line 1: it has several labels, "1,2"; one label a row is supported`,
		"1 1:1\x00":               "x: line 1: it is not text; give a text file",
		"1 16000000:1\n" + strings.Repeat("1 1:1\n", 100): "x: its 101 rows of 16000000 columns would take 12.9 GB when written out; " +
			"sparse data of so many columns is not what int8 rows are for: select columns first",
	} {
		if _, err := Read(strings.NewReader(data), "x"); err == nil || err.Error() != want {
			t.Errorf("%.40q:\ngot  %v\nwant %s", data, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("1 1:0.5 3:-2\n-1 2:1 # x\n")
	f.Fuzz(func(t *testing.T, data string) {
		fuzztest.Bounded(t, len(data), func() {
			if d, err := Read(strings.NewReader(data), "x"); err == nil && d.Cols < 1<<16 {
				row := make([]float64, d.Cols)
				for i := range min(d.Rows(), 10) {
					d.Row(row, i)
				}
			}
		})
	})
}
