package libsvm

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

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
	if want := "1 [0.5 0 -20] -1 [0 1 0] 2.5 [0 0 0] 1 [3 4 5] "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestMalformed says what is wrong with files of 44 kinds.
func TestMalformed(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"", "x: it has no rows with values; give a row a line: label index:value index:value"},
		{"# nothing\n", "x: it has no rows with values; give a row a line: label index:value index:value"},
		{"1\n2\n", "x: it has no rows with values; give a row a line: label index:value index:value"},
		{"1 qid:3\n", "x: it has no rows with values; give a row a line: label index:value index:value"},
		{"\uFEFF", "x: it has no rows with values; give a row a line: label index:value index:value"},
		{"1 0:1", "x: line 1: it has the index 0, but indices count from 1; add 1 to every index"},
		{"1 1:1\n1 -1:1", "x: line 2: the index -1 is outside 1 to 16777216; number the columns from 1 on"},
		{"1 99999999:1", "x: line 1: the index 99999999 is outside 1 to 16777216; number the columns from 1 on"},
		{"1 99999999999999999999:1", `x: line 1: "99999999999999999999:1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 2:1 2:2", "x: line 1: the index 2 follows 2; they must rise; sort the values of a row by their index, each once"},
		{"1 3:1 2:2", "x: line 1: the index 2 follows 3; they must rise; sort the values of a row by their index, each once"},
		{"1 1:nan", "x: line 1: column 1 is NaN; remove the row, or the value if it is missing"},
		{"1 1:inf", "x: line 1: column 1 is +Inf; remove the row, or the value if it is missing"},
		{"1 1:-Infinity", "x: line 1: column 1 is -Inf; remove the row, or the value if it is missing"},
		{"1 1:1e999", "x: line 1: column 1 is +Inf; remove the row, or the value if it is missing"},
		{"1 1", `x: line 1: "1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 a:b", `x: line 1: "a:b" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1:", `x: line 1: "1:" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 :1", `x: line 1: ":1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1.5:1", `x: line 1: "1.5:1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1 : 2", `x: line 1: "1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1:1:1", `x: line 1: "1:1:1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1=2", `x: line 1: "1=2" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1:1 # good\n\n# good\n2 1:x # bad", `x: line 4: "1:x" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1:0x1p2", `x: line 1: "1:0x1p2" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1:1_0", `x: line 1: "1:1_0" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1 1:1,5", `x: line 1: "1:1,5" has a comma; write decimal points, and spaces between the values`},
		{"1 1:1,2:2", `x: line 1: "1:1,2:2" has a comma; write decimal points, and spaces between the values`},
		{"1 １:1", `x: line 1: "１:1" is not index:value; write each as the number of its column, a colon and a number, without spaces`},
		{"1:1 2:1", `x: line 1: it starts with "1:1" where a label was expected; put a label first, 0 if there is none`},
		{"cat 1:1", `x: line 1: its label "cat" is not a number; labels are numbers in this format`},
		{"nan 1:1", `x: line 1: its label "nan" is not a finite number; remove the row`},
		{"-inf 1:1", `x: line 1: its label "-inf" is not a finite number; remove the row`},
		{"1e999 1:1", `x: line 1: its label "1e999" is not a finite number; remove the row`},
		{"0x1p2 1:1", `x: line 1: its label "0x1p2" is not a number; labels are numbers in this format`},
		{"\"1\" 1:1", "x: line 1: its label \"\\\"1\\\"\" is not a number; labels are numbers in this format"},
		{"- 1:1", `x: line 1: its label "-" is not a number; labels are numbers in this format`},
		{"1,2 1:1", `x: line 1: it has several labels, "1,2"; one label a row is supported`},
		{"5.1,3.5,setosa", `x: line 1: "5.1,3.5,setosa" is not a label and its values; give it a name that ends in .csv if it is CSV`},
		{"{\"a\": 1}", "x: line 1: it starts with \"{\\\"a\\\":\" where a label was expected; put a label first, 0 if there is none"},
		{"1 1:1\x00", "x: line 1: it is not text; give a text file"},
		{"\xff\xfe1\x00 \x001\x00:\x001\x00", "x: line 1: it is not text; give a text file"},
		{"\x1f\x8b\x08", "x: line 1: its label \"\\x1f\\x8b\\b\" is not a number; labels are numbers in this format"},
		{"1 16000000:1\n" + strings.Repeat("1 1:1\n", 100), "x: its 101 rows of 16000000 columns would take 12.9 GB when written out; sparse data of so many columns is not what int8 rows are for: select columns first"},
	} {
		if _, err := Read(strings.NewReader(c.data), "x"); err == nil || err.Error() != c.want {
			t.Errorf("%.40q:\ngot  %v\nwant %s", c.data, err, c.want)
		}
	}
	if _, err := Read(iotest.ErrReader(io.ErrClosedPipe), "x"); err == nil || err.Error() != "x: line 1: io: read/write on closed pipe" {
		t.Error(err)
	}
}

// endless is a line without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestEndless(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 128 MB")
	}
	want := "x: line 1: it is longer than 64 MB; give a text file with a row a line"
	if _, err := Read(endless{}, "x"); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestHostile: megabytes of the smallest rows stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	size := 12 << 20
	if testing.Short() {
		size = 5 << 20
	}
	for _, line := range []string{"1\n", "1 1:1\n", "1 ", "\n", "1 1:1 2:2 3:3 4:4\n", "1,", "0.1\n", "#"} {
		data := strings.Repeat(line, size/len(line)) + "\n1 1:1"
		t.Run(line, func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() { _, _ = Read(strings.NewReader(data), "x") })
		})
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
