package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/table"
	edge "github.com/edge-infer/edge-infer/runtime"
)

// maxWrong is how many wrong rows are listed.
const maxWrong = 50

// runEvaluate compares the answers to the rows of a table with its labels, a batch at a time.
func (f *classifyFlags) runEvaluate(ctx context.Context, m *edge.Model, c *edge.Classifier) error {
	cfg := m.KNN()
	if len(cfg.Outputs) != 1 {
		return &usageError{fmt.Sprintf("--evaluate needs a model that predicts one column; this one predicts %d", len(cfg.Outputs)), ""}
	}
	e := evaluation{cfg: cfg, confusion: map[[2]string]int{}}
	batch := make([]labelled, 0, c.Options().Batch)
	answer := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.Run(); err != nil {
			return err
		}
		for i, l := range batch {
			if err := e.add(l, predicted(cfg, c, c.Neighbors(i), 0)); err != nil {
				return &edge.InputError{Reason: f.evaluate + ": " + err.Error()}
			}
		}
		c.Reset()
		batch = batch[:0]
		return nil
	}
	err := f.readTable(cfg, func(row []float64, l labelled) error {
		if _, err := c.Add(row); err != nil {
			return &edge.InputError{Reason: fmt.Sprintf("%s: line %d: %v", f.evaluate, l.line, err)}
		}
		if batch = append(batch, l); len(batch) == cap(batch) {
			return answer()
		}
		return nil
	})
	if err == nil {
		err = answer()
	}
	if err != nil {
		return err
	}
	return printResult(e.report())
}

// labelled is what a row should be, and the line that it stands in.
type labelled struct {
	label string
	line  int
}

// errLastIsLabel ends the reading of a table whose last column is more than the model has.
var errLastIsLabel = errors.New("the last column holds the labels")

// readTable reads the file to evaluate and calls each with its rows, which are good until it returns. What is wrong with the file is
// wrong input, not a wrong model.
func (f *classifyFlags) readTable(cfg *edge.KNNConfig, each func(row []float64, l labelled) error) error {
	read := func(label string, notes ...string) error {
		in, err := os.Open(f.evaluate)
		if err != nil {
			return err
		}
		defer in.Close()
		o := table.Options{Label: label}
		if f.header {
			o.Header = "yes"
		}
		first := true
		o.Each = func(t *table.Table) error {
			if first {
				switch {
				case t.Labels == nil && t.Cols == cfg.Cols+1:
					return errLastIsLabel
				case t.Labels == nil:
					return &edge.InputError{Reason: fmt.Sprintf("%s: no column of labels was found; name it with --label-column", f.evaluate)}
				case t.Cols != cfg.Cols:
					return &edge.InputError{Reason: fmt.Sprintf("%s: has %d columns beside the labels, the model has %d", f.evaluate, t.Cols, cfg.Cols)}
				}
				for _, n := range append(t.Notes, notes...) {
					fmt.Fprintf(os.Stderr, "edge-infer: %s: %s\n", f.evaluate, n)
				}
				first = false
			}
			return each(t.Row(0), labelled{t.Labels[0], int(t.Lines[0])})
		}
		_, err = table.ReadCSV(in, f.evaluate, o)
		var bad *checkpoint.Error
		if errors.As(err, &bad) {
			return &edge.InputError{Reason: bad.Error()}
		}
		return err
	}
	err := read(f.label)
	if errors.Is(err, errLastIsLabel) {
		last := cfg.Cols + 1
		err = read(strconv.Itoa(last), fmt.Sprintf("column %d was taken as that of the labels", last))
	}
	return err
}

// evaluation is what --evaluate counts.
type evaluation struct {
	cfg         *edge.KNNConfig
	rows, right int
	confusion   map[[2]string]int // label, answer
	wrong       []string

	sum, squares, errors, absolute float64 // of regression
}

func (e *evaluation) add(l labelled, got string) error {
	want := l.label
	e.rows++
	if e.cfg.Task == edge.TaskRegress {
		w, err := strconv.ParseFloat(want, 64)
		if err != nil {
			return fmt.Errorf("line %d: the target %q is not a number", l.line, want)
		}
		g, _ := strconv.ParseFloat(got, 64)
		e.sum, e.squares = e.sum+w, e.squares+float64(w*w)
		e.errors, e.absolute = e.errors+float64((g-w)*(g-w)), e.absolute+math.Abs(g-w)
		return nil
	}
	want = oneLine(want)
	e.confusion[[2]string{want, got}]++
	if want == got {
		e.right++
	} else if len(e.wrong) < maxWrong {
		e.wrong = append(e.wrong, fmt.Sprintf("line %d\t%s\t%s", l.line, want, got))
	}
	return nil
}

func (e *evaluation) report() []byte {
	var b bytes.Buffer
	n := float64(e.rows)
	if e.cfg.Task == edge.TaskRegress {
		fmt.Fprintf(&b, "rows  %d\nroot mean square error  %.6g\nmean absolute error  %.6g\n", e.rows, math.Sqrt(e.errors/n), e.absolute/n)
		if spread := e.squares - float64(e.sum*e.sum)/n; spread > 0 {
			fmt.Fprintf(&b, "R²  %.6f\n", 1-e.errors/spread)
		}
		return b.Bytes()
	}
	fmt.Fprintf(&b, "accuracy  %.2f %%  (%d of %d)\n", 100*float64(e.right)/n, e.right, e.rows)
	e.matrix(&b)
	if len(e.wrong) > 0 {
		fmt.Fprintf(&b, "\nwrong rows\n")
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "  where\tlabel\tanswer")
		for _, s := range e.wrong {
			fmt.Fprintln(w, "  "+s)
		}
		w.Flush()
		if more := e.rows - e.right - len(e.wrong); more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	return b.Bytes()
}

// matrix prints a row a label and a column an answer, of the classes that occur.
func (e *evaluation) matrix(b *bytes.Buffer) {
	occurs := map[string]bool{}
	for pair := range e.confusion {
		occurs[pair[0]], occurs[pair[1]] = true, true
	}
	var names []string
	for _, c := range e.cfg.Outputs[0].Classes {
		if c = oneLine(c); occurs[c] {
			names = append(names, c)
			delete(occurs, c)
		}
	}
	var unknown []string
	for c := range occurs {
		unknown = append(unknown, c)
	}
	slices.Sort(unknown)
	b.WriteString("\nconfusion (a line a label, a column an answer)\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\t"+strings.Join(names, "\t")+"\t")
	for _, label := range append(append([]string{}, names...), unknown...) {
		fmt.Fprint(w, label+"\t")
		for _, answer := range names {
			fmt.Fprintf(w, "%d\t", e.confusion[[2]string{label, answer}])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	if len(unknown) > 0 {
		fmt.Fprintf(b, "labels that the model does not know: %s\n", strings.Join(unknown, ", "))
	}
}

const (
	chooseMax  = 25   // largest k that --choose-k tries
	chooseRows = 2000 // rows it asks for, if there are more
)

// runChooseK leaves each training row out in turn and asks the others for it: exact cross-validation, for every k from one search.
func (f *classifyFlags) runChooseK(ctx context.Context, m *edge.Model) error {
	cfg := m.KNN()
	if cfg.Task == edge.TaskNeighbors {
		return &usageError{"--choose-k needs a model with labels; this one has none", ""}
	}
	top := min(chooseMax, cfg.Rows-1)
	if top < 1 {
		return &usageError{"--choose-k needs two rows or more; this model has one", ""}
	}
	metrics := []string{edge.MetricEuclidean, edge.MetricManhattan}
	step := max(1, (cfg.Rows+chooseRows-1)/chooseRows)
	asked := (cfg.Rows + step - 1) / step
	fmt.Fprintf(os.Stderr, "edge-infer: each of %d rows is left out in turn and asked of the other %d\n", asked, cfg.Rows-1)
	score := make([][]float64, len(metrics)) // [metric][k-1]: rows right, or squared errors
	for i, metric := range metrics {
		o := f.options
		o.Metric, o.P, o.K = metric, 0, top+1
		c, _, err := newClassifier(m, &o)
		if err != nil {
			return err
		}
		noteKNN(cfg, c)
		if score[i], err = leaveOneOut(ctx, cfg, c, step, top); err != nil {
			return err
		}
		for k := range score[i] {
			score[i][k] /= float64(asked)
			if cfg.Task == edge.TaskRegress {
				score[i][k] = math.Sqrt(score[i][k])
			}
		}
	}
	return printResult(chooseTable(cfg.Task == edge.TaskRegress, metrics, score))
}

func leaveOneOut(ctx context.Context, cfg *edge.KNNConfig, c *edge.Classifier, step, top int) ([]float64, error) {
	score := make([]float64, top)
	others := make([]edge.Neighbor, 0, top+1)
	batch := c.Options().Batch
	for first := 0; first < cfg.Rows; first += batch * step {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.Reset()
		var rows []int
		for row := first; row < cfg.Rows && len(rows) < batch; row += step {
			if _, err := c.AddRow(row); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if err := c.Run(); err != nil {
			return nil, err
		}
		for i, row := range rows {
			others = others[:0]
			for _, n := range c.Neighbors(i) {
				if n.Row != row {
					others = append(others, n)
				}
			}
			for k := 1; k <= top; k++ {
				right, squares := true, 0.0
				for o := range cfg.Outputs {
					if cfg.Task == edge.TaskRegress {
						d := c.Value(others[:k], o) - c.Target(row, o)
						squares += float64(d * d)
					} else {
						right = right && c.Class(others[:k], o) == c.Label(row, o)
					}
				}
				if cfg.Task == edge.TaskRegress {
					score[k-1] += squares
				} else if right {
					score[k-1]++
				}
			}
		}
	}
	return score, nil
}

// chooseTable prints a line a k: accuracy in percent, or the root mean square error, with a bar for each metric.
func chooseTable(regress bool, metrics []string, score [][]float64) []byte {
	var b bytes.Buffer
	low, high := math.Inf(1), math.Inf(-1)
	bestMetric, bestK := 0, 0
	for i := range score {
		for k, v := range score[i] {
			low, high = min(low, v), max(high, v)
			if best := score[bestMetric][bestK]; !regress && v > best || regress && v < best {
				bestMetric, bestK = i, k
			}
		}
	}
	what, show := "accuracy in %", func(v float64) string { return fmt.Sprintf("%.2f", 100*v) }
	if regress {
		what, show = "root mean square error", func(v float64) string { return fmt.Sprintf("%.6g", v) }
	}
	const width = 24
	bar := func(v float64) string {
		n := width
		if high > low {
			n = 1 + int(math.Round((v-low)/(high-low)*(width-1)))
		}
		return strings.Repeat("█", n) + strings.Repeat(" ", width-n)
	}
	fmt.Fprintf(&b, "cross-validated %s\n", what)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "k")
	for _, m := range metrics {
		fmt.Fprintf(w, "\t%s\t", m)
	}
	fmt.Fprintln(w)
	for k := range score[0] {
		fmt.Fprint(w, k+1)
		for i := range score {
			fmt.Fprintf(w, "\t%s\t%s", show(score[i][k]), bar(score[i][k]))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintf(&b, "best: -k %d --metric %s, %s\n", bestK+1, metrics[bestMetric], show(score[bestMetric][bestK]))
	return b.Bytes()
}
