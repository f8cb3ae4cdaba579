package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/convert/npy"
	edge "github.com/edge-infer/edge-infer/runtime"
)

type runFlags struct {
	input, output, state string
	threads              threadFlags
	memory               string
	stream               bool
}

func newRunCommand() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a recurrent network on bare numbers: sensors, audio, token ids",
		Long: `Runs the recurrent network in FILE over sequences of numbers. The input is a .npy
or .npz file (steps x values, or sequences x steps x values; one number a step for
a model of token ids) or CSV, a step a line. The output has the form that the
output's name says: .npy, or CSV. Without --input and --output, CSV comes from
standard input and goes to standard output.

With --stream each line is answered as soon as it comes. --state reads the state
that an earlier run ended in, if FILE is there, and writes the new one: a recording
can be fed in pieces. The answer is the same in pieces and whole.`,
		Example: `  edge-infer run gestures.ei8 --input x.npy --output y.npy
  sensor | edge-infer run gestures.ei8 --stream         # a line in, a line out
  edge-infer run gestures.ei8 -i monday.csv -o monday-out.csv --state today.npy`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Sprintf("run takes one model, but was given %d arguments", len(args)), "edge-infer run FILE --input x.npy --output y.npy"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.input, "input", "i", "", "read from `FILE` (.npy, .npz or CSV) instead of CSV from standard input")
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE` (.npy, else CSV), which appears when it is complete")
	flags.StringVar(&f.state, "state", "", "go on from the state in `FILE` (.npy), and leave the new one there")
	f.threads.add(flags)
	addMemoryFlag(flags, &f.memory)
	flags.BoolVar(&f.stream, "stream", false, "answer each line of CSV as it comes")
	return cmd
}

func (f *runFlags) run(ctx context.Context, name string) (err error) {
	memory, err := parseSize(f.memory)
	if err != nil {
		return err
	}
	in := os.Stdin
	isArray := strings.EqualFold(filepath.Ext(f.input), ".npy") || strings.EqualFold(filepath.Ext(f.input), ".npz")
	switch {
	case f.stream && (isArray || strings.EqualFold(filepath.Ext(f.output), ".npy")):
		return &usageError{"--stream is for lines of CSV", "leave it out for .npy files"}
	case f.input != "":
		if in, err = os.Open(f.input); err != nil {
			return err
		}
		defer in.Close()
	}
	m, err := openLean(name)
	if err != nil {
		return err
	}
	defer m.Close()
	threads, cpus, err := f.threads.choose()
	if err != nil {
		return err
	}
	options := edge.StreamOptions{Threads: threads, CPUs: cpus, Memory: memory}
	if f.stream {
		options.MaxSteps = 1
	}
	if _, err := m.PlanStream(options); err != nil {
		return asUsageError(err) // a model of another family, before any input is read
	}
	cfg := m.RNNConfig()
	if f.stream && cfg.Backward() {
		return &usageError{"this model reads from the end of a sequence, too: it cannot stream", "leave --stream out"}
	}
	if f.stream {
		s, spare, err := f.open(m, &options, func(*edge.Plan) {})
		if err != nil {
			return err
		}
		if err := f.lines(ctx, in, s, cfg, spare); err != nil {
			return err
		}
		return f.saveState(s)
	}
	return f.whole(ctx, in, isArray, m, options)
}

// open makes the stream and puts it into the state of an earlier run. beside adds to its Plan what comes with it.
func (f *runFlags) open(m *edge.Model, o *edge.StreamOptions, beside func(*edge.Plan)) (s *edge.Stream, spare int64, err error) {
	steps := &o.MaxSteps
	if m.RNNConfig().Backward() { // its sequences are taken whole
		steps = nil
	}
	plan := func() (*edge.Plan, error) {
		p, err := m.PlanStream(*o)
		if err == nil {
			beside(p)
		}
		return p, err
	}
	s, spare, err = lean(within(&o.Batch, steps, plan, func() (*edge.Stream, error) { return m.NewStream(*o) }))
	if err != nil || f.state == "" {
		return s, spare, err
	}
	return s, spare, f.restore(s)
}

// restore puts s into the state in f.state, if there is one.
func (f *runFlags) restore(s *edge.Stream) error {
	a, err := npy.Open(f.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return asInputError(f.state, err)
	}
	defer a.Close()
	array, err := onlyArray(f.state, a)
	if err != nil {
		return err
	}
	if n := array.Rows() * array.Cols(); n != s.StateSize() {
		return &edge.InputError{Reason: fmt.Sprintf("%s: the state has %d values, this model's has %d", f.state, n, s.StateSize())}
	}
	state, row := make([]float32, 0, s.StateSize()), make([]float64, array.Cols())
	for i := range array.Rows() {
		if err := array.Row(row, i); err != nil {
			return asInputError(f.state, err)
		}
		for _, v := range row {
			state = append(state, float32(v))
		}
	}
	if err := s.Restore(0, state); err != nil {
		return asInputError(f.state, err)
	}
	return nil
}

func (f *runFlags) saveState(s *edge.Stream) error {
	if f.state == "" {
		return nil
	}
	out, err := createOutput(f.state)
	if err != nil {
		return err
	}
	defer out.Abort()
	if _, err := out.Write(appendF32(appendNPYHeader(nil, s.StateSize()), s.Snapshot(nil, 0))); err != nil {
		return err
	}
	return out.Finish()
}

// asInputError: what is wrong with a file of numbers is wrong input, not a wrong model.
func asInputError(path string, err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return err
	}
	reason := err.Error()
	if !strings.Contains(reason, path) {
		reason = path + ": " + reason
	}
	return &edge.InputError{Reason: reason}
}

// parseRow reads a line of CSV into row, which it must fill: numbers with commas, semicolons, tabs or spaces between.
func parseRow(row []float32, line []byte) error {
	n := 0
	for s := range bytes.FieldsFuncSeq(line, isSeparator) {
		if n < len(row) {
			v, err := strconv.ParseFloat(string(s), 32)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("column %d: %.40q is not a number that float32 can hold", n+1, s)
			}
			row[n] = float32(v)
		}
		n++
	}
	if n != len(row) {
		return fmt.Errorf("%d values, this model takes %d a step", n, len(row))
	}
	return nil
}

func isSeparator(r rune) bool { return r == ',' || r == ';' || r == '\t' || r == ' ' || r == '\r' }

// ids turns numbers, of steps from first on, into as many token ids.
func ids(dst []int32, values []float32, first, vocab int) error {
	for i, v := range values {
		if v != float32(int32(max(min(v, 1<<24), -1))) || v < 0 || int(v) >= vocab {
			return &edge.InputError{Reason: fmt.Sprintf("step %d: token %g is not one of 0 to %d", first+i+1, v, vocab-1)}
		}
		dst[i] = int32(v)
	}
	return nil
}

// lines answers each line as it comes. A line that is no step gives an empty line, and the state stays as it was.
func (f *runFlags) lines(ctx context.Context, in *os.File, s *edge.Stream, cfg *edge.RNNConfig, spare int64) error {
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	width := cfg.Input
	if cfg.Vocab > 0 {
		width = 1
	}
	y := make([]float32, cfg.OutputWidth())
	row, token, text := make([]float32, width), make([]int32, 1), make([]byte, 0, 12*len(y)) // most numbers are shorter
	next, count := fromLines(in, "", spare), tally{}
	for {
		lines, err := next(ctx, 1)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for _, l := range lines {
			count.total++
			wrong := l.err
			if wrong == nil {
				wrong = parseRow(row, l.text)
			}
			if wrong == nil && cfg.Vocab > 0 {
				wrong = ids(token, row, 0, cfg.Vocab)
			}
			if wrong == nil && cfg.Vocab > 0 {
				err = s.StepTokens(y, token)
			} else if wrong == nil {
				err = s.Step(y, row)
			}
			if is[*edge.InputError](err) {
				wrong, err = err, nil
			}
			if err != nil {
				return err
			}
			text = appendCSV(text[:0], y)
			if wrong != nil {
				count.wrong(l.where(), wrong)
				text = append(text[:0], '\n')
			}
			if _, err := out.Write(text); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return count.end("lines were no steps")
}

// longestNumber is that of a float32 in a line, with what is between: "-1.1754944e-38,".
const longestNumber = 16

// appendCSV writes a row as a line; numbers as short as they can be read back exactly.
func appendCSV(b []byte, row []float32) []byte {
	for i, v := range row {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
	}
	return append(b, '\n')
}
