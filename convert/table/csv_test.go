package table

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func TestReadCSV(t *testing.T) {
	for _, c := range []struct {
		name, text       string
		o                Options
		rows, cols       int
		labels, features string
		first            []float64
	}{
		{"header and labels", "a,b,class\n1,2,x\n3,4,y\n", Options{}, 2, 2, "x y", "a b", []float64{1, 2}},
		{"no header", "1,2,x\n3,4,y", Options{}, 2, 2, "x y", "", []float64{1, 2}},
		{"label first", "x;1;2\r\ny;3;4\r\n", Options{}, 2, 2, "x y", "", []float64{1, 2}},
		{"by number", "1\t2\t3\n4\t5\t6\n", Options{Label: "2"}, 2, 2, "2 5", "", []float64{1, 3}},
		{"by name", "a,b,c\n1,2,3\n", Options{Label: "B"}, 1, 2, "2", "a c", []float64{1, 3}},
		{"none", "1,2,3\n", Options{Label: "none"}, 1, 3, "", "", []float64{1, 2, 3}},
		{"numbers alone", "1e3,-2.5,.5\n", Options{}, 1, 3, "", "", []float64{1000, -2.5, 0.5}},
		{"quotes, blank lines, mark", "\uFEFF\"a,1\", label\n\n1,\"x \"\"y\"\"\"\n\n", Options{}, 1, 1, `x "y"`, "a,1", []float64{1}},
		{"a header that was asked for", "1,2,3\n4,5,6\n", Options{Header: "yes", Label: "3"}, 1, 2, "6", "1 2", []float64{4, 5}},
	} {
		got, err := ReadCSV(strings.NewReader(c.text), "t.csv", c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Rows != c.rows || got.Cols != c.cols || strings.Join(got.Labels, " ") != c.labels || strings.Join(got.Features, " ") != c.features || !slices.Equal(got.Row(0), c.first) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestReadCSVErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		o    Options
		want string
	}{
		{"", Options{}, "is empty"},
		{"\n\n", Options{}, "is empty"},
		{"a,b\n", Options{}, "nothing after it"},
		{"1,2\n3\n", Options{}, "line 2: has 1 fields"},
		{"1,x\n2,\n", Options{}, "line 2, column 2: the label is missing"},
		{"1,,x\n", Options{Label: "3"}, "line 1, column 2: the value is missing"},
		{"a,b,class\n1,2,x\n1,z,x\n", Options{}, `line 3, column 2 (b): "z" is not a number`},
		{"1,2,x\n1,0x10,x\n", Options{}, "not a number"},
		{"1,2,x\n1,1_0,x\n", Options{}, "not a number"},
		{"1,2,x\n1,nan,x\n", Options{}, "finite"},
		{"1,2,x\n1,1e999,x\n", Options{}, "finite"},
		{"1;2,5;x\n", Options{Label: "3"}, "decimal comma"},
		{"x\ny\n", Options{Header: "no", Label: "1"}, "no column but that of labels"},
		{"a,b\n1,2\n", Options{Header: "no"}, "reads like a header"},
		{"1,2\n", Options{Header: "perhaps"}, "yes or no"},
		{"1,2\n", Options{Label: "3"}, "no header and 2 columns"},
		{"a,a\n1,2\n", Options{Label: "a"}, "occurs twice"},
		{"1,\"2\n", Options{}, "quotes"},
		{"1,a,b\n", Options{}, "columns 2 and 3"},
		{"1,2\x00\n", Options{}, "zero byte"},
	} {
		_, err := ReadCSV(strings.NewReader(c.text), "t.csv", c.o)
		var bad *checkpoint.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "t.csv") {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add("a,b,class\n1,2,x\n3,4,y\n", "", "class")
	f.Add("\uFEFF\"a,1\"; label\n\n1;\"x \"\"y\"\"\"\n", "yes", "")
	f.Add("1\t2\t3\n4\t5\t6", "no", "none")
	f.Fuzz(func(t *testing.T, text, header, label string) {
		fuzztest.Bounded(t, len(text), func() {
			d, err := ReadCSV(strings.NewReader(text), "x", Options{Header: header, Label: label})
			if err == nil && (len(d.Values) != d.Rows*d.Cols || d.Rows == 0 || d.Cols == 0 || d.Labels != nil && len(d.Labels) != d.Rows) {
				t.Errorf("%d rows of %d columns, %d values, %d labels", d.Rows, d.Cols, len(d.Values), len(d.Labels))
			}
		})
	})
}
