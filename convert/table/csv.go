// Package table reads tables of numbers with a column of labels from CSV files.
package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// Options say what a CSV file does not.
type Options struct {
	Header string // "yes", "no"; "": the first line is a header if it holds no numbers where the second does
	// Label is the column of labels: its name, its number from 1, or "none". "": the column called class, label, target, species or
	// y; else the only one that holds no numbers.
	Label string

	// Each, if not nil, is called after each row with a Table that holds that row alone, which is not kept: so a file may have any
	// length. Its error ends the reading.
	Each func(*Table) error
}

// Table is a table in memory: numbers and, where there are, labels as they are written.
type Table struct {
	Path       string
	Rows, Cols int
	Values     []float64 // [Rows, Cols]
	Features   []string  // names of the columns; nil without a header
	Labels     []string  // nil: no column of labels
	LabelName  string
	Lines      []int32 // of each row in the file
	Notes      []string
}

// Row is row i's numbers.
func (t *Table) Row(i int) []float64 { return t.Values[i*t.Cols : (i+1)*t.Cols] }

// reader is one file being read.
type reader struct {
	t     *Table
	o     Options
	csv   *csv.Reader
	comma rune
	width int
	label int // column of labels, -1: none

	lines  int   // of the file; 0: not known
	size   int64 // the same, in bytes
	labels checkpoint.Interner
}

// maxCols bounds the columns of a table.
const maxCols = 1 << 17

// narrow is a reader that ends with an error where a line has more separators than columns may be: a record is held as a whole, several
// times.
type narrow struct {
	in          io.Reader
	comma       byte
	line, count int
	fail        func(line int) error
}

func (n *narrow) Read(b []byte) (int, error) {
	size, err := n.in.Read(b)
	for _, c := range b[:size] {
		switch c {
		case '\n':
			n.line, n.count = n.line+1, 0
		case n.comma:
			if n.count++; n.count >= maxCols {
				return 0, n.fail(n.line + 1)
			}
		}
	}
	return size, err
}

// ReadCSV reads a table, whole or with Options.Each row by row. Fields are separated by commas, semicolons or tabs, whichever the first line has; quotes are
// those of RFC 4180. Every error is a *checkpoint.Error that names line and column.
func ReadCSV(in io.Reader, path string, o Options) (*Table, error) {
	r := &reader{t: &Table{Path: path}, o: o, label: -1, labels: checkpoint.Interner{}}
	if o.Each == nil {
		var err error
		if r.lines, _, r.size, err = checkpoint.CountLines(in, ""); err != nil {
			return nil, err
		}
	}
	buffered := bufio.NewReaderSize(in, 1<<16)
	head, err := buffered.Peek(1 << 16)
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\uFEFF")) {
		_, _ = buffered.Discard(3)
		head = head[3:]
	}
	if i := bytes.IndexByte(head, 0); i >= 0 {
		return nil, r.fail(0, 0, "holds a zero byte, so it is no text", "give a CSV file")
	}
	r.comma = separator(head)
	r.csv = csv.NewReader(&narrow{buffered, byte(r.comma), 0, 0, func(line int) error {
		return r.fail(line, 0, fmt.Sprintf("has more than %d columns", maxCols), "give a row a line, and at most as many columns")
	}})
	r.csv.Comma, r.csv.FieldsPerRecord, r.csv.ReuseRecord, r.csv.TrimLeadingSpace = r.comma, -1, true, r.comma != '\t'
	return r.read()
}

// separator is what the first line that is not blank has most of; a comma if it has none.
func separator(head []byte) rune {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	best, count := ',', 0
	for _, c := range []rune{',', ';', '\t'} {
		if n := bytes.Count(line, []byte(string(c))); n > count {
			best, count = c, n
		}
	}
	return best
}

//go:noinline
func (r *reader) fail(line, column int, reason, do string) error {
	where := ""
	if line > 0 {
		where = fmt.Sprintf("line %d: ", line)
	}
	if column > 0 {
		where = fmt.Sprintf("line %d, column %d%s: ", line, column, r.nameOf(column-1))
	}
	return &checkpoint.Error{File: r.t.Path, Offset: -1, Reason: where + reason, Do: do}
}

// nameOf is the name of a column in brackets, if it is known.
func (r *reader) nameOf(column int) string {
	if r.t.Features == nil || column >= r.width {
		return ""
	}
	if column == r.label {
		return " (" + r.t.LabelName + ")"
	}
	if r.label >= 0 && column > r.label {
		column--
	}
	if column >= len(r.t.Features) {
		return ""
	}
	return " (" + r.t.Features[column] + ")"
}

// next gives a record and its line; io.EOF at the end.
func (r *reader) next() ([]string, int, error) {
	record, err := r.csv.Read()
	if err == io.EOF {
		return nil, 0, err
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return nil, 0, r.fail(parse.StartLine, 0, parse.Err.Error(), "check the quotes in that line")
	}
	if err != nil {
		return nil, 0, err
	}
	line, _ := r.csv.FieldPos(0)
	return record, line, nil
}

func (r *reader) read() (*Table, error) {
	t := r.t
	first, line, err := r.next()
	if err == io.EOF {
		return nil, r.fail(0, 0, "is empty", "give a file with a row of numbers a line")
	}
	if err != nil {
		return nil, err
	}
	first = slices.Clone(first)
	second, secondLine, err := r.next()
	if err != nil && err != io.EOF {
		return nil, err
	}
	second = slices.Clone(second)
	header, err := r.isHeader(first, second, line)
	if err != nil {
		return nil, err
	}
	r.width = len(first)
	sample := first
	if header {
		if second == nil {
			return nil, r.fail(line, 0, "is a header with nothing after it", "give a file with a row of numbers a line")
		}
		sample = second
		if len(second) != len(first) {
			return nil, r.fail(secondLine, 0, fmt.Sprintf("has %d fields, the header has %d", len(second), len(first)), "give every line as many; a field that holds the separator goes in quotes")
		}
	}
	if err := r.findLabel(first, sample, header); err != nil {
		return nil, err
	}
	t.Cols = r.width
	if r.label >= 0 {
		t.Cols--
		t.Labels = []string{}
	}
	rows := int(min(int64(r.lines), r.size/int64(2*r.width)+1)) // a field has a character and a separator
	t.Values, t.Lines = make([]float64, 0, rows*t.Cols), make([]int32, 0, rows)
	if t.Labels != nil {
		t.Labels = make([]string, 0, rows)
	}
	if t.Cols == 0 {
		return nil, r.fail(line, 0, "has no column but that of labels", "give at least one column of numbers")
	}
	if header {
		t.Features = slices.Clone(first)
		if r.label >= 0 {
			t.LabelName = first[r.label]
			t.Features = slices.Delete(t.Features, r.label, r.label+1)
		}
	} else if err := r.add(first, line); err != nil {
		return nil, err
	}
	if second != nil {
		if err := r.add(second, secondLine); err != nil {
			return nil, err
		}
	}
	for {
		record, line, err := r.next()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		if err := r.add(record, line); err != nil {
			return nil, err
		}
	}
}

// number parses a field. Hexadecimal, underscores, NaN and infinity are not numbers of a table.
func number(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(s, "xX_") {
		return 0, false
	}
	return v, true
}

// isHeader decides whether the first line names the columns.
func (r *reader) isHeader(first, second []string, line int) (bool, error) {
	count := func(fields []string) (numbers int) {
		for _, f := range fields {
			if _, ok := number(f); ok {
				numbers++
			}
		}
		return numbers
	}
	a, b := count(first), count(second)
	looks := a == 0 && (b > 0 || second == nil)
	switch r.o.Header {
	case "yes":
		if a > 0 && a >= b {
			r.t.Notes = append(r.t.Notes, fmt.Sprintf("line %d was taken as a header, as was asked for, but it reads like data: %s", line, shorten(strings.Join(first, ","))))
		}
		return true, nil
	case "no":
		if looks {
			return false, r.fail(line, 0, fmt.Sprintf("was to be data, but reads like a header: %s", shorten(strings.Join(first, ","))), "leave the choice out, or say --header=yes")
		}
		return false, nil
	case "":
		if looks {
			r.t.Notes = append(r.t.Notes, fmt.Sprintf("line %d was taken as a header: %s", line, shorten(strings.Join(first, ","))))
		}
		return looks, nil
	}
	return false, r.fail(0, 0, fmt.Sprintf("header is %q", r.o.Header), "it can be yes or no")
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// labelNames are what columns of labels are called, best first.
var labelNames = []string{"class", "label", "target", "species", "y", "category", "variety"}

// findLabel finds the column of labels.
func (r *reader) findLabel(names, sample []string, header bool) error {
	lower := func(s string) string { return strings.ToLower(strings.TrimSpace(s)) }
	if header {
		for i, n := range names {
			if !utf8.ValidString(n) {
				return r.fail(1, i+1, fmt.Sprintf("the name %q is not UTF-8", shorten(n)), "save the file as UTF-8")
			}
		}
		seen := map[string]bool{}
		for i, n := range names {
			if n == "" {
				continue
			}
			if seen[n] && lower(n) == lower(r.o.Label) {
				return r.fail(1, i+1, fmt.Sprintf("the name %q occurs twice", n), "give the number of the column, counted from 1")
			}
			seen[n] = true
		}
	}
	switch want := r.o.Label; {
	case want == "none":
		return nil
	case want != "":
		if header {
			for i, n := range names {
				if lower(n) == lower(want) {
					r.label = i
					return nil
				}
			}
		}
		n, err := strconv.Atoi(want)
		if err == nil && n >= 1 && n <= r.width {
			r.label = n - 1
			return nil
		}
		reason := fmt.Sprintf("has no column %q", want)
		if header {
			reason += ", only " + shorten(strings.Join(names, ", "))
		} else {
			reason += fmt.Sprintf(": it has no header and %d columns", r.width)
		}
		return r.fail(0, 0, reason, "give the name or the number of a column, counted from 1, or none")
	}
	if header {
		for _, known := range labelNames {
			for i, n := range names {
				if lower(n) == known {
					r.label = i
					return nil
				}
			}
		}
	}
	for i, f := range sample {
		if _, ok := number(f); !ok && strings.TrimSpace(f) != "" {
			if r.label >= 0 {
				return r.fail(0, 0, fmt.Sprintf("has no numbers in columns %d and %d", r.label+1, i+1), "say which holds the labels; all others must hold numbers")
			}
			r.label = i
		}
	}
	return nil
}

// add takes one record in.
func (r *reader) add(record []string, line int) error {
	t := r.t
	if len(record) != r.width {
		return r.fail(line, 0, fmt.Sprintf("has %d fields, the lines before have %d", len(record), r.width), "give every line as many; a field that holds the separator goes in quotes")
	}
	for i, f := range record {
		if i == r.label {
			f = strings.TrimSpace(f)
			if f == "" {
				return r.fail(line, i+1, "the label is missing", "remove the line or fill it in")
			}
			if !utf8.ValidString(f) {
				return r.fail(line, i+1, fmt.Sprintf("the label %q is not UTF-8", shorten(f)), "save the file as UTF-8")
			}
			t.Labels = append(t.Labels, r.labels.Keep(f))
			continue
		}
		v, ok := number(f)
		switch {
		case strings.TrimSpace(f) == "":
			return r.fail(line, i+1, "the value is missing", "remove the line or fill it in")
		case !ok && r.comma == ';' && strings.Contains(f, ","):
			return r.fail(line, i+1, fmt.Sprintf("%q has a decimal comma", shorten(f)), "write decimal points")
		case !ok:
			return r.fail(line, i+1, fmt.Sprintf("%q is not a number", shorten(f)), "if the column holds the labels, name it with --label-column; if the line is a header, it must be the first")
		case math.IsNaN(v) || math.IsInf(v, 0):
			return r.fail(line, i+1, fmt.Sprintf("%q is not a finite number", shorten(f)), "remove the line or fill it in")
		}
		t.Values = append(t.Values, v)
	}
	t.Rows++
	t.Lines = append(t.Lines, int32(line))
	if r.o.Each == nil {
		return nil
	}
	err := r.o.Each(t)
	t.Rows, t.Values, t.Lines = 0, t.Values[:0], t.Lines[:0]
	if t.Labels != nil {
		t.Labels = t.Labels[:0]
	}
	return err
}
