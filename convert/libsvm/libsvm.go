// Package libsvm reads data in LIBSVM's text format (svmlight): a line a row, "label index:value index:value", indices
// from 1 and rising, columns that are not named 0, a comment after #.
package libsvm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// Data is a file in memory, still sparse: 12 bytes a value and 12 a row.
type Data struct {
	Labels []float64
	Cols   int // the highest index

	start  []uint32 // of each row in columns and values
	column []int32  // from 0
	value  []float64
}

// Bounds: of a line, of the columns, and of what the dense rows may take, in bytes of float64.
const (
	maxLine  = 64 << 20
	maxCols  = 1 << 24
	maxDense = 1 << 30 // or 100 times the file
)

// Rows is how many rows there are.
func (d *Data) Rows() int { return len(d.Labels) }

// Row brings row i, len(dst) = Cols.
func (d *Data) Row(dst []float64, i int) {
	clear(dst)
	for n := d.start[i]; n < d.start[i+1]; n++ {
		dst[d.column[n]] = d.value[n]
	}
}

// Read reads all of r; path is for errors.
func Read(r io.Reader, path string) (*Data, error) {
	rows, values, _, err := checkpoint.CountLines(r, ":")
	if err != nil {
		return nil, err
	}
	in := &counter{r: r}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	d := &Data{Labels: make([]float64, 0, rows), start: make([]uint32, 1, rows+1), column: make([]int32, 0, values), value: make([]float64, 0, values)}
	line := 0
	fail := func(do, format string, args ...any) error {
		return lineError(path, line, do, format, args...)
	}
	for lines.Scan() {
		line++
		text, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\uFEFF"), "#")
		if strings.ContainsRune(text, 0) {
			return nil, fail("give a text file", "it is not text")
		}
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		first, rest := text, ""
		if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
			first, rest = text[:i], text[i:]
		}
		if strings.Contains(first, ":") {
			return nil, fail("put a label first, 0 if there is none", "it starts with %.40q where a label was expected", first)
		}
		label, ok := number(first)
		switch {
		case !ok && strings.Contains(first, ",") && rest == "":
			return nil, fail("give it a name that ends in .csv if it is CSV", "%.40q is not a label and its values", first)
		case !ok && strings.Contains(first, ","):
			return nil, fail("one label a row is supported", "it has several labels, %.40q", first)
		case !ok:
			return nil, fail("labels are numbers in this format", "its label %.40q is not a number", first)
		case math.IsNaN(label) || math.IsInf(label, 0):
			return nil, fail("remove the row", "its label %.40q is not a finite number", first)
		}
		last := 0
		for f := range strings.FieldsSeq(rest) {
			name, text, ok := strings.Cut(f, ":")
			if ok && name == "qid" {
				continue
			}
			index, err := strconv.Atoi(name)
			value, isNumber := number(text)
			switch {
			case ok && err == nil && !isNumber && strings.Contains(text, ","):
				return nil, fail("write decimal points, and spaces between the values", "%.40q has a comma", f)
			case !ok || err != nil || !isNumber:
				return nil, fail("write each as the number of its column, a colon and a number, without spaces", "%.40q is not index:value", f)
			case math.IsNaN(value) || math.IsInf(value, 0):
				return nil, fail("remove the row, or the value if it is missing", "column %d is %v", index, value)
			case index == 0:
				return nil, fail("add 1 to every index", "it has the index 0, but indices count from 1")
			case index < 0 || index > maxCols:
				return nil, fail("number the columns from 1 on", "the index %d is outside 1 to %d", index, maxCols)
			case index <= last:
				return nil, fail("sort the values of a row by their index, each once", "the index %d follows %d; they must rise", index, last)
			}
			last = index
			d.column, d.value = append(d.column, int32(index-1)), append(d.value, value)
		}
		d.Cols = max(d.Cols, last)
		d.Labels = append(d.Labels, label)
		d.start = append(d.start, uint32(len(d.column)))
	}
	if err := lines.Err(); err != nil {
		line++
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, fail("give a text file with a row a line", "it is longer than %d MB", maxLine>>20)
		}
		return nil, fail("", "%v", err)
	}
	if d.Rows() == 0 || d.Cols == 0 {
		return nil, &checkpoint.Error{File: path, Offset: -1, Reason: "it has no rows with values", Do: "give a row a line: label index:value index:value"}
	}
	if dense := float64(d.Rows()) * float64(d.Cols) * 8; dense > max(maxDense, 100*float64(in.n)) {
		return nil, &checkpoint.Error{File: path, Offset: -1, Do: "sparse data of so many columns is not what int8 rows are for: select columns first",
			Reason: fmt.Sprintf("its %d rows of %d columns would take %.1f GB when written out", d.Rows(), d.Cols, dense/1e9)}
	}
	return d, nil
}

// number parses a decimal number, which may be infinite or none. (Too large a one is infinite.)
func number(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(s, "xX_") {
		return 0, false
	}
	return v, true
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

//go:noinline
func lineError(path string, line int, do, format string, args ...any) error {
	return checkpoint.Errorf(path, "", -1, do, "line %d: %s", line, fmt.Sprintf(format, args...))
}
