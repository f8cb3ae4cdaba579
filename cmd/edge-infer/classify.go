package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/convert/npy"
	edge "github.com/edge-infer/edge-infer/runtime"
)

// defaultClassifier is the embedded model that classifies when none is named.
const defaultClassifier = "iris"

type classifyFlags struct {
	model, input, output   string
	options                edge.KNNOptions
	proba, neighbors, json bool
	header                 bool
	evaluate, label        string
	chooseK                bool
	threads                threadFlags
	memory                 string

	// Scratch of answerLines and printJSON: lines make little garbage.
	queries []int
	answer  []byte
	near    []jsonNeighbor
	shares  []map[string]float64
	encoder *json.Encoder
}

func newClassifyCommand() *cobra.Command {
	f := &classifyFlags{}
	cmd := &cobra.Command{
		Use:   "classify [VALUES...]",
		Short: "Find the nearest training rows, and what they vote for",
		Long: `Finds the k training rows that are nearest to each VALUES, a number a column with
commas between, and prints the class they vote for, one line each. A model of
numbers prints their mean; one without labels prints the rows. Without VALUES it
reads standard input line by line and answers each at once. A line that is no query
gives an empty line, a word on standard error why, and exit code 1 at the end.

The answer is exact: the smallest distances in float64, the lowest row of equal
ones, the first class of a tied vote. It is the same on every machine. Rows are
counted from 0, in the order of the training data.`,
		Example: `  edge-infer classify 5.1,3.5,1.4,0.2                  # setosa
  edge-infer classify 5.1,3.5,1.4,0.2 --neighbors      # which rows say so, and how far
  edge-infer classify -m digits.ei8 -k 3 --metric manhattan < images.csv
  edge-infer classify -m my.ei8 --evaluate test.csv    # accuracy, confusion, wrong rows
  edge-infer classify -m my.ei8 --choose-k             # which k and metric fit the data`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, n := range map[string]int{"k": f.options.K, "batch": f.options.Batch} {
				if n < 1 && cmd.Flags().Changed(name) {
					return &usageError{fmt.Sprintf("--%s is %d, must be 1 or more", name, n), ""}
				}
			}
			return f.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.model, "model", "m", "", "`FILE` of a model, or the name of an embedded one (default iris)")
	flags.StringVarP(&f.input, "input", "i", "", "read queries from `FILE` instead of standard input: CSV, a line each, or a NumPy .npy array")
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which appears when it is complete")
	flags.IntVarP(&f.options.K, "k", "k", 0, "how many neighbours vote (default: what the model says)")
	flags.StringVar(&f.options.Metric, "metric", "", strings.Join(edge.Metrics(), ", ")+" (default: what the model says)")
	flags.Float64Var(&f.options.P, "p", 0, "the `P` of minkowski")
	flags.StringVar(&f.options.Weights, "weights", "", "uniform, or distance: near neighbours count more (default: what the model says)")
	flags.BoolVar(&f.proba, "proba", false, "print each class with its share of the votes")
	flags.BoolVar(&f.neighbors, "neighbors", false, "print the neighbours: row, distance, label")
	flags.BoolVar(&f.json, "json", false, "one object a line: label, probabilities, neighbours, rows ranked, bytes read")
	flags.Var((*yesNo)(&f.header), "header", "the first line of the input names the columns: leave it out (yes or no)")
	flags.Lookup("header").NoOptDefVal = "yes"
	flags.IntVar(&f.options.Batch, "batch", 16, "lines to answer together if they are already there; never waits")
	f.threads.add(flags)
	addMemoryFlag(flags, &f.memory)
	flags.StringVar(&f.evaluate, "evaluate", "", "compare with the labels of a CSV `FILE`: accuracy, confusion matrix, wrong rows")
	flags.StringVar(&f.label, "label-column", "", "of that file: `NAME` or number of the column (default: as convert finds it, else the last)")
	flags.BoolVar(&f.chooseK, "choose-k", false, "cross-validated accuracy for k of 1 to 25 and both metrics, as a table and a chart")
	return cmd
}

// yesNo is a flag that is yes, no, or given alone.
type yesNo bool

func (y *yesNo) String() string { return map[bool]string{true: "yes", false: "no"}[bool(*y)] }
func (y *yesNo) Type() string   { return "" }
func (y *yesNo) Set(s string) error {
	switch s {
	case "yes", "true", "no", "false":
		*y = s == "yes" || s == "true"
		return nil
	}
	return errors.New("say yes or no")
}

// newClassifier makes a classifier, with a smaller batch if need be.
func newClassifier(m *edge.Model, o *edge.KNNOptions) (c *edge.Classifier, spare int64, err error) {
	return lean(within(&o.Batch, nil, func() (*edge.Plan, error) { return m.PlanClassifier(*o) },
		func() (*edge.Classifier, error) { return m.NewClassifier(*o) }))
}

func (f *classifyFlags) run(ctx context.Context, args []string) (err error) {
	modes := 0
	for _, on := range []bool{len(args) > 0, f.input != "", f.evaluate != "", f.chooseK} {
		if on {
			modes++
		}
	}
	if modes > 1 {
		return &usageError{"VALUES, --input, --evaluate and --choose-k are different things to do", "give one of them"}
	}
	in := os.Stdin
	if f.input != "" {
		if in, err = os.Open(f.input); err != nil {
			return err
		}
		defer in.Close()
	}
	name := f.model
	if name == "" {
		name = defaultClassifier
	}
	m, err := openLean(name)
	if err != nil {
		return err
	}
	defer m.Close()
	if len(args) > 0 {
		f.options.Batch = min(f.options.Batch, len(args))
	}
	if f.options.Threads, f.options.CPUs, err = f.threads.choose(); err != nil {
		return err
	}
	if f.options.Memory, err = parseSize(f.memory); err != nil {
		return err
	}
	if f.chooseK {
		return f.runChooseK(ctx, m)
	}
	c, spare, err := newClassifier(m, &f.options)
	if err != nil {
		return err
	}
	noteKNN(m.KNN(), c)
	noteFaster()
	if f.evaluate != "" {
		return f.runEvaluate(ctx, m, c)
	}
	if f.proba && m.KNN().Task != edge.TaskClassify {
		return &usageError{fmt.Sprintf("--proba needs a model that classifies; this one is for %s", m.KNN().Task), ""}
	}
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	next := fromText(fromArguments(args, spare), m.KNN().Cols)
	if len(args) == 0 {
		if next, err = f.fromInput(ctx, in, m.KNN().Cols, spare); err != nil {
			return err
		}
	}
	var count tally
	for {
		lines, err := next(ctx, f.options.Batch)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := f.answerLines(m.KNN(), c, lines, out, &count); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return count.end("could not be classified")
}

// noteKNN says on standard error what makes a model's answers slower or less than exact.
func noteKNN(cfg *edge.KNNConfig, c *edge.Classifier) {
	if cfg.Compact {
		fmt.Fprintf(os.Stderr, "edge-infer: this is a compact model: answers are approximate; it found %.2f %% of the neighbours when it was made\n", 100*cfg.Recall)
	}
	if c.Exhaustive() {
		fmt.Fprintf(os.Stderr, "edge-infer: this model was made for %s; %s ranks every row, which is slower\n", cfg.Metric, c.Options().Metric)
	}
}

// question is one query, or why it is none.
type question struct {
	what   string // "line", "argument" or "row"
	number int
	values []float64
	err    error
}

// questionSource gives up to n queries that are there, waiting for the first only, good until it is called again; io.EOF at the end.
type questionSource func(ctx context.Context, n int) ([]question, error)

// fromText reads the numbers of lines.
func fromText(next lineSource, cols int) questionSource {
	var questions []question
	return func(ctx context.Context, n int) ([]question, error) {
		lines, err := next(ctx, n)
		questions = slices.Grow(questions[:0], len(lines))[:len(lines)]
		for i, l := range lines {
			q := &questions[i]
			q.what, q.number, q.values, q.err = l.what, l.number, q.values[:0], l.err
			if l.err == nil {
				q.values, q.err = parseValues(q.values, l.text, cols)
			}
		}
		return questions, err
	}
}

// fromInput reads lines, or the rows of a NumPy array if the input begins as one.
func (f *classifyFlags) fromInput(ctx context.Context, in *os.File, cols int, spare int64) (questionSource, error) {
	if !isTerminal(in) {
		// The first byte of an array begins no text, so that waiting for it alone does not keep a line waiting.
		head := bufio.NewReader(in)
		if first, err := head.Peek(1); err == nil && first[0] == npy.Magic[0] {
			return fromArray(in, head, spare)
		}
		return f.skipHeader(ctx, fromText(readLines(head, spare).take, cols))
	}
	return f.skipHeader(ctx, fromText(fromLines(in, "", spare), cols))
}

func (f *classifyFlags) skipHeader(ctx context.Context, next questionSource) (questionSource, error) {
	if f.header {
		if _, err := next(ctx, 1); err != nil && err != io.EOF {
			return nil, err
		}
	}
	return next, nil
}

// fromArray gives the rows of a .npy file, which stay in the file; from a pipe they are read into memory, if there is so much.
func fromArray(in *os.File, head io.Reader, spare int64) (questionSource, error) {
	name := in.Name()
	var src io.ReaderAt = in
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if !info.Mode().IsRegular() {
		data, err := io.ReadAll(io.LimitReader(head, spare/growing+1))
		if err != nil {
			return nil, err
		}
		if size = int64(len(data)); size > spare/growing {
			return nil, tooLarge(name, spare/growing, "give the array as a file, with -i")
		}
		src = bytes.NewReader(data)
	}
	a, err := npy.Read(src, size)
	if err != nil {
		return nil, &edge.InputError{Reason: fmt.Sprintf("%s: %v", name, err)}
	}
	done := 0
	var questions []question
	var values []float64
	return func(ctx context.Context, n int) ([]question, error) {
		if done == a.Rows() {
			return nil, io.EOF
		}
		n = min(n, a.Rows()-done)
		if len(values) < n*a.Cols() {
			values = make([]float64, n*a.Cols())
		}
		questions = questions[:0]
		for i := range n {
			q := question{what: "row", number: done, values: values[i*a.Cols() : (i+1)*a.Cols()]}
			done++
			if err := a.Row(q.values, done-1); err != nil {
				q.values, q.err = nil, &edge.InputError{Reason: err.Error()}
			}
			questions = append(questions, q)
		}
		return questions, ctx.Err()
	}, nil
}

// answerLines prints one line of output for each query.
func (f *classifyFlags) answerLines(cfg *edge.KNNConfig, c *edge.Classifier, lines []question, out io.Writer, count *tally) (err error) {
	count.total += len(lines)
	start := time.Now()
	c.Reset()
	f.queries = slices.Grow(f.queries[:0], len(lines))[:len(lines)]
	queries := f.queries
	clear(queries)
	for i := range lines {
		l := &lines[i]
		if l.err == nil {
			queries[i], l.err = c.Add(l.values)
		}
		if l.err != nil {
			count.wrong(fmt.Sprintf("%s %d", l.what, l.number), l.err)
		}
	}
	if err := c.Run(); err != nil {
		return err
	}
	elapsed := time.Since(start)
	for i, l := range lines {
		switch {
		case f.json:
			err = f.printJSON(out, cfg, c, queries[i], l.values, l.err, elapsed)
		case l.err != nil:
			_, err = io.WriteString(out, "\n")
		default:
			f.answer = append(f.appendText(f.answer[:0], cfg, c, c.Neighbors(queries[i])), '\n')
			_, err = out.Write(f.answer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseValues appends the numbers of one query to values: commas, semicolons, tabs or spaces between them.
func parseValues(values []float64, text []byte, cols int) ([]float64, error) {
	values = slices.Grow(values, cols)
	words := 0
	var bad error
	for s := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ';' || r == '\t' || r == ' ' }) {
		v, err := strconv.ParseFloat(string(s), 64)
		values = append(values, v)
		if err != nil && v == 0 {
			words++
			if bad == nil {
				bad = &edge.InputError{Reason: fmt.Sprintf("column %d: %q is not a number", len(values), s)}
			}
		}
	}
	switch {
	case len(values) == 0:
		return nil, &edge.InputError{Reason: fmt.Sprintf("this is empty; the model needs %d numbers", cols)}
	case words == len(values):
		return nil, &edge.InputError{Reason: fmt.Sprintf("%q holds no numbers; if it names the columns, say --header", text)}
	case bad != nil:
		return nil, bad
	case len(values) == cols+1:
		return nil, &edge.InputError{Reason: fmt.Sprintf("%d values were given, the model has %d columns; if one of them is the label, see --evaluate", len(values), cols)}
	}
	return values, nil
}

// appendText appends the answer to one query, on one line.
func (f *classifyFlags) appendText(b []byte, cfg *edge.KNNConfig, c *edge.Classifier, near []edge.Neighbor) []byte {
	for o := range cfg.Outputs {
		if o > 0 {
			b = append(b, ',')
		}
		b = append(b, predicted(cfg, c, near, o)...)
	}
	if f.proba {
		for o := range cfg.Outputs {
			b = append(b, '\t')
			for class, p := range c.Probabilities(near, o) {
				if class > 0 {
					b = append(b, ' ')
				}
				b = appendFloat(append(append(b, cfg.Outputs[o].Classes[class]...), '='), p)
			}
		}
	}
	if f.neighbors || len(cfg.Outputs) == 0 {
		for i, n := range near {
			if i > 0 || len(cfg.Outputs) > 0 {
				b = append(b, '\t')
			}
			b = appendFloat(append(strconv.AppendInt(b, int64(n.Row), 10), ':'), n.Distance)
			for o := range cfg.Outputs {
				b = append(append(b, ':'), labelOf(cfg, c, n.Row, o)...)
			}
		}
	}
	return b
}

func appendFloat(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'g', -1, 64) }

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// predicted is what some neighbours say of one output.
func predicted(cfg *edge.KNNConfig, c *edge.Classifier, near []edge.Neighbor, output int) string {
	if cfg.Task == edge.TaskRegress {
		return formatFloat(c.Value(near, output))
	}
	return oneLine(cfg.Outputs[output].Classes[c.Class(near, output)])
}

// labelOf is the label or target of a training row.
func labelOf(cfg *edge.KNNConfig, c *edge.Classifier, row, output int) string {
	if cfg.Task == edge.TaskRegress {
		return formatFloat(c.Target(row, output))
	}
	return oneLine(cfg.Outputs[output].Classes[c.Label(row, output)])
}

// oneLine keeps a label from breaking the promise of one line out for one line in.
func oneLine(s string) string { return lineEnds.Replace(s) }

var lineEnds = strings.NewReplacer("\n", " ", "\r", " ")

// label is a class name as JSON shows it: numbers as numbers.
func label(cfg *edge.KNNConfig, output int, name string) any {
	if cfg.Outputs[output].Numeric {
		return json.Number(name)
	}
	return name
}

type jsonNeighbor struct {
	Row      int     `json:"row"`
	Distance float64 `json:"distance"`
	Labels   []any   `json:"labels,omitempty"`
}

// printJSON prints one object of --json. Milliseconds and bytes are those of the whole batch, whose lines share the scan.
func (f *classifyFlags) printJSON(out io.Writer, cfg *edge.KNNConfig, c *edge.Classifier, query int, values []float64, bad error, elapsed time.Duration) error {
	object := struct {
		Values        []float64            `json:"values"`
		Labels        []any                `json:"labels,omitempty"`
		Targets       []float64            `json:"targets,omitempty"`
		Probabilities []map[string]float64 `json:"probabilities,omitempty"`
		Neighbors     []jsonNeighbor       `json:"neighbors"`
		Ranked        int64                `json:"rows_ranked"`
		Bytes         int64                `json:"bytes_read"`
		Milliseconds  float64              `json:"milliseconds"`
		Approximate   bool                 `json:"approximate,omitempty"`
		Error         string               `json:"error,omitempty"`
	}{Values: values, Neighbors: []jsonNeighbor{}, Milliseconds: float64(elapsed.Microseconds()) / 1000, Approximate: cfg.Compact}
	if bad != nil {
		object.Error, object.Values = bad.Error(), nil
	} else {
		near := c.Neighbors(query)
		object.Ranked, object.Bytes = c.Ranked(query), c.Bytes()
		for o := range cfg.Outputs {
			if cfg.Task == edge.TaskRegress {
				object.Targets = append(object.Targets, c.Value(near, o))
				continue
			}
			object.Labels = append(object.Labels, label(cfg, o, cfg.Outputs[o].Classes[c.Class(near, o)]))
			if len(f.shares) == o {
				f.shares = append(f.shares, map[string]float64{})
			}
			shares := f.shares[o] // of the same classes each time
			for class, p := range c.Probabilities(near, o) {
				shares[cfg.Outputs[o].Classes[class]] = p
			}
			object.Probabilities = append(object.Probabilities, shares)
		}
		f.near = slices.Grow(f.near[:0], len(near))[:len(near)]
		for i, n := range near {
			j := &f.near[i]
			j.Row, j.Distance, j.Labels = n.Row, n.Distance, j.Labels[:0]
			for o := range cfg.Outputs {
				if cfg.Task == edge.TaskRegress {
					j.Labels = append(j.Labels, c.Target(n.Row, o))
				} else {
					j.Labels = append(j.Labels, label(cfg, o, cfg.Outputs[o].Classes[c.Label(n.Row, o)]))
				}
			}
		}
		object.Neighbors = f.near
	}
	if f.encoder == nil {
		f.encoder = json.NewEncoder(out)
		f.encoder.SetEscapeHTML(false)
	}
	return f.encoder.Encode(object)
}
