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

// TestReadCSVErrors says what is wrong with files of 54 kinds.
func TestReadCSVErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		o    Options
		want string
	}{
		{"", Options{}, "t.csv: is empty; give a file with a row of numbers a line"},
		{"\n\n", Options{}, "t.csv: is empty; give a file with a row of numbers a line"},
		{"a,b\n", Options{}, "t.csv: line 1: is a header with nothing after it; give a file with a row of numbers a line"},
		{"1,2\n3\n", Options{}, "t.csv: line 2: has 1 fields, the lines before have 2; give every line as many; a field that holds the separator goes in quotes"},
		{"1,x\n2,\n", Options{}, "t.csv: line 2, column 2: the label is missing; remove the line or fill it in"},
		{"1,,x\n", Options{Label: "3"}, "t.csv: line 1, column 2: the value is missing; remove the line or fill it in"},
		{"a,b,class\n1,2,x\n1,z,x\n", Options{}, `t.csv: line 3, column 2 (b): "z" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,0x10,x\n", Options{}, `t.csv: line 2, column 2: "0x10" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,1_0,x\n", Options{}, `t.csv: line 2, column 2: "1_0" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,nan,x\n", Options{}, `t.csv: line 2, column 2: "nan" is not a finite number; remove the line or fill it in`},
		{"1,2,x\n1,1e999,x\n", Options{}, `t.csv: line 2, column 2: "1e999" is not a finite number; remove the line or fill it in`},
		{"1;2,5;x\n", Options{Label: "3"}, `t.csv: line 1, column 2: "2,5" has a decimal comma; write decimal points`},
		{"x\ny\n", Options{Header: "no", Label: "1"}, "t.csv: line 1: has no column but that of labels; give at least one column of numbers"},
		{"a,b\n1,2\n", Options{Header: "no"}, "t.csv: line 1: was to be data, but reads like a header: a,b; leave the choice out, or say --header=yes"},
		{"1,2\n", Options{Header: "perhaps"}, `t.csv: header is "perhaps"; it can be yes or no`},
		{"1,2\n", Options{Label: "3"}, `t.csv: has no column "3": it has no header and 2 columns; give the name or the number of a column, counted from 1, or none`},
		{"a,a\n1,2\n", Options{Label: "a"}, `t.csv: line 1, column 2: the name "a" occurs twice; give the number of the column, counted from 1`},
		{"1,\"2\n", Options{}, `t.csv: line 1: extraneous or missing " in quoted-field; check the quotes in that line`},
		{"1,a,b\n", Options{}, "t.csv: has no numbers in columns 2 and 3; say which holds the labels; all others must hold numbers"},
		{"1,2\x00\n", Options{}, "t.csv: holds a zero byte, so it is no text; give a CSV file"},
		{"\uFEFF", Options{}, "t.csv: is empty; give a file with a row of numbers a line"},
		{"\uFEFFa,b", Options{}, "t.csv: line 1: is a header with nothing after it; give a file with a row of numbers a line"},
		{"a,b,class\n", Options{}, "t.csv: line 1: is a header with nothing after it; give a file with a row of numbers a line"},
		{"a,b,class\n1,2\n", Options{}, "t.csv: line 2: has 2 fields, the header has 3; give every line as many; a field that holds the separator goes in quotes"},
		{"a,b,class\n1,2,x\n1,2,x,\n", Options{}, "t.csv: line 3: has 4 fields, the lines before have 3; give every line as many; a field that holds the separator goes in quotes"},
		{"1,2,x\n1;2;x\n", Options{}, "t.csv: line 2: has 1 fields, the lines before have 3; give every line as many; a field that holds the separator goes in quotes"},
		{"1,2,x\n1,1 000,x\n", Options{}, `t.csv: line 2, column 2: "1 000" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,\"1,000\",x\n", Options{}, `t.csv: line 2, column 2: "1,000" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,50%,x\n", Options{}, `t.csv: line 2, column 2: "50%" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,$5,x\n", Options{}, `t.csv: line 2, column 2: "$5" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,2026-11-28,x\n", Options{}, `t.csv: line 2, column 2: "2026-11-28" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,NA,x\n", Options{}, `t.csv: line 2, column 2: "NA" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,-Infinity,x\n", Options{}, `t.csv: line 2, column 2: "-Infinity" is not a finite number; remove the line or fill it in`},
		{"1,2,x\n1,１,x\n", Options{}, `t.csv: line 2, column 2: "１" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,1e,x\n", Options{}, `t.csv: line 2, column 2: "1e" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,--1,x\n", Options{}, `t.csv: line 2, column 2: "--1" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"1,2,x\n1,  ,x\n", Options{}, "t.csv: line 2, column 2: the value is missing; remove the line or fill it in"},
		{"a,b,class\n1,2,x\na,b,class\n", Options{}, `t.csv: line 3, column 1 (a): "a" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"a,b,class\n1,2,x\n1,2, \n", Options{}, "t.csv: line 3, column 3 (class): the label is missing; remove the line or fill it in"},
		{"a,b,c\n1,2,3\n", Options{Label: "d"}, `t.csv: has no column "d", only a, b, c; give the name or the number of a column, counted from 1, or none`},
		{"1,2,x\n", Options{Label: "0"}, `t.csv: has no column "0": it has no header and 3 columns; give the name or the number of a column, counted from 1, or none`},
		{"1,2,x\n", Options{Label: "-1"}, `t.csv: has no column "-1": it has no header and 3 columns; give the name or the number of a column, counted from 1, or none`},
		{"1,2,x\n", Options{Label: "class"}, `t.csv: has no column "class": it has no header and 3 columns; give the name or the number of a column, counted from 1, or none`},
		{"1,2,x\n", Options{Label: "none"}, `t.csv: line 1, column 3: "x" is not a number; if the column holds the labels, name it with --label-column; if the line is a header, it must be the first`},
		{"class\nx\ny\n", Options{}, "t.csv: line 1: has no column but that of labels; give at least one column of numbers"},
		{"1,a\"b,x\n", Options{}, `t.csv: line 1: bare " in non-quoted-field; check the quotes in that line`},
		{"1,\"a\"b,x\n", Options{}, `t.csv: line 1: extraneous or missing " in quoted-field; check the quotes in that line`},
		{"1,2,x\n1,\"2,y\n3,4,z\n", Options{}, `t.csv: line 2: extraneous or missing " in quoted-field; check the quotes in that line`},
		{"1,2,caf\xe9\n", Options{}, "t.csv: line 1, column 3: the label \"caf\\xe9\" is not UTF-8; save the file as UTF-8"},
		{"caf\xe9,b,class\n1,2,x\n", Options{}, "t.csv: line 1, column 1: the name \"caf\\xe9\" is not UTF-8; save the file as UTF-8"},
		{"\xff\xfe1\x00,\x002\x00", Options{}, "t.csv: holds a zero byte, so it is no text; give a CSV file"},
		{"a,b,class\n1,2,x\n", Options{Header: "no"}, "t.csv: line 1: was to be data, but reads like a header: a,b,class; leave the choice out, or say --header=yes"},
		{"{\"a\": 1}\n", Options{}, `t.csv: line 1: bare " in non-quoted-field; check the quotes in that line`},
		{"\x1f\x8b\x08,1\n2,3\n", Options{}, "t.csv: line 1, column 1: the label \"\\x1f\\x8b\\b\" is not UTF-8; save the file as UTF-8"},
	} {
		_, err := ReadCSV(strings.NewReader(c.text), "t.csv", c.o)
		if !errors.As(err, new(*checkpoint.Error)) || err.Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestHostile: megabytes of the smallest rows and columns stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	for _, c := range [][2]string{{"", "1\n"}, {"", "1,a\n"}, {"", "1,"}, {"", ","}, {"", "a,"}, {"1,\"", "a\n"}, {"", "\n"}, {"1,2\n", "\n"}, {"a,b,c\n", "1,2,3\n"}, {"1;x\n", ",\n"}} {
		data := c[0] + strings.Repeat(c[1], 5<<20/len(c[1])) + "1"
		t.Run(c[0]+c[1], func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() {
				_, err := ReadCSV(strings.NewReader(data), "x", Options{})
				t.Log(err)
			})
		})
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
