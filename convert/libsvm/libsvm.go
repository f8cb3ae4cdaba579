// Package libsvm reads data in LIBSVM's text format (svmlight): a line a row, "label index:value index:value", indices
// from 1 and rising, columns that are not named 0, a comment after #.
package libsvm

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// Data is a file in memory, still sparse: 12 bytes a value.
type Data struct {
	Labels []string // whole numbers as such, others as they are in the file
	Cols   int      // the highest index

	start  []int64 // of each row in columns and values
	column []int32 // from 0
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
	in := &counter{r: r}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	d := &Data{start: []int64{0}}
	number := 0
	fail := func(do, format string, args ...any) error {
		return lineError(path, number, do, format, args...)
	}
	for lines.Scan() {
		number++
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.ContainsRune(line, 0) {
			return nil, fail("give a text file", "it is not text")
		}
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if strings.Contains(fields[0], ":") {
			return nil, fail("put a label first, 0 if there is none", "it starts with %.40q where a label was expected", fields[0])
		}
		label, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			if strings.Contains(fields[0], ",") {
				return nil, fail("one label a row is supported", "it has several labels, %.40q", fields[0])
			}
			return nil, fail("labels are numbers in this format", "its label %.40q is not a number", fields[0])
		}
		last := 0
		for _, f := range fields[1:] {
			name, text, ok := strings.Cut(f, ":")
			if ok && name == "qid" {
				continue
			}
			index, err := strconv.Atoi(name)
			value, err2 := strconv.ParseFloat(text, 64)
			switch {
			case !ok || err != nil || err2 != nil:
				return nil, fail("", "%.40q is not index:value", f)
			case math.IsNaN(value) || math.IsInf(value, 0):
				return nil, fail("remove the row, or the value if it is missing", "column %d is %v", index, value)
			case index == 0:
				return nil, fail("add 1 to every index", "it has the index 0, but indices count from 1")
			case index < 0 || index > maxCols:
				return nil, fail("", "the index %d is outside 1 to %d", index, maxCols)
			case index <= last:
				return nil, fail("", "the index %d follows %d; they must rise", index, last)
			}
			last = index
			d.column, d.value = append(d.column, int32(index-1)), append(d.value, value)
		}
		d.Cols = max(d.Cols, last)
		text := strings.Clone(fields[0])
		if label == math.Trunc(label) && math.Abs(label) < 1<<53 { // +1 and 1.0 are 1
			text = strconv.FormatInt(int64(label), 10)
		}
		d.Labels = append(d.Labels, text)
		d.start = append(d.start, int64(len(d.column)))
	}
	if err := lines.Err(); err != nil {
		number++
		return nil, fail("", "%v", err)
	}
	if d.Rows() == 0 || d.Cols == 0 {
		return nil, &checkpoint.Error{File: path, Offset: -1, Reason: "it has no rows with values"}
	}
	if dense := float64(d.Rows()) * float64(d.Cols) * 8; dense > max(maxDense, 100*float64(in.n)) {
		return nil, &checkpoint.Error{File: path, Offset: -1, Do: "sparse data of so many columns is not what int8 rows are for: select columns first",
			Reason: fmt.Sprintf("its %d rows of %d columns would take %.1f GB when written out", d.Rows(), d.Cols, dense/1e9)}
	}
	return d, nil
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
