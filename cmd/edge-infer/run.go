package main

import (
	"bufio"
	"context"
	"encoding/binary"
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

// sequences are what run reads and writes: count sequences of steps rows of width values, one after another.
type sequences struct {
	count, steps, width int
	values              []float32
	batch               bool // the file had an axis for sequences
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
	m, err := openModel(name)
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
		s, err := f.open(m, options)
		if err != nil {
			return err
		}
		if err := f.lines(ctx, in, s, cfg); err != nil {
			return err
		}
		return f.saveState(s)
	}
	x, err := f.read(in, isArray, cfg)
	if err != nil {
		return err
	}
	if f.state != "" && x.count != 1 {
		return &edge.InputError{Reason: fmt.Sprintf("--state is for one sequence, the input has %d", x.count)}
	}
	if options.MaxSteps = min(64, max(x.steps, 1)); cfg.Backward() {
		options.MaxSteps = max(x.steps, 1)
	}
	s, err := f.open(m, options)
	if err != nil {
		return err
	}
	y, err := runSequences(ctx, s, cfg, x)
	if err != nil {
		return err
	}
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	if strings.EqualFold(filepath.Ext(f.output), ".npy") {
		err = y.writeNPY(out, cfg.Output == edge.OutputSteps)
	} else {
		err = y.writeCSV(out)
	}
	if err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return f.saveState(s)
}

// open makes the stream and puts it into the state of an earlier run.
func (f *runFlags) open(m *edge.Model, o edge.StreamOptions) (*edge.Stream, error) {
	steps := &o.MaxSteps
	if m.RNNConfig().Backward() { // its sequences are taken whole
		steps = nil
	}
	s, err := within(&o.Batch, steps, func() (*edge.Plan, error) { return m.PlanStream(o) }, func() (*edge.Stream, error) { return m.NewStream(o) })
	if err != nil || f.state == "" {
		return s, err
	}
	a, err := npy.Open(f.state)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, asInputError(f.state, err)
	}
	defer a.Close()
	state, err := floatsOf(f.state, a)
	if err != nil {
		return nil, err
	}
	if err := s.Restore(0, state.values); err != nil {
		return nil, asInputError(f.state, err)
	}
	return s, nil
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
	if err := writeNPY(out, s.Snapshot(nil, 0), s.StateSize()); err != nil {
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

// read reads the whole input and checks that its rows are the model's.
func (f *runFlags) read(in *os.File, isArray bool, cfg *edge.RNNConfig) (*sequences, error) {
	width := cfg.Input
	if cfg.Vocab > 0 {
		width = 1 // a token id a step
	}
	if !isArray {
		x, row := &sequences{count: 1, width: width}, make([]float32, width)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxLine)
		for n := 1; scanner.Scan(); n++ {
			if err := parseRow(row, scanner.Text()); err != nil {
				return nil, &edge.InputError{Reason: fmt.Sprintf("line %d: %v", n, err)}
			}
			x.values = append(x.values, row...)
			x.steps++
		}
		if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
			return nil, &edge.InputError{Reason: fmt.Sprintf("line %d is longer than %d MB", x.steps+1, maxLine>>20)}
		} else if err != nil {
			return nil, err
		}
		if x.steps == 0 {
			return nil, &edge.InputError{Reason: "the input has no lines"}
		}
		return x, nil
	}
	a, err := npy.Open(f.input)
	if err != nil {
		return nil, asInputError(f.input, err)
	}
	defer a.Close()
	all, err := floatsOf(f.input, a)
	if err != nil {
		return nil, err
	}
	shape := all.shape
	if cfg.Vocab > 0 && (len(shape) == 1 || shape[len(shape)-1] != 1 || len(shape) == 2 && shape[1] != 1) {
		shape = append(shape, 1) // ids without an axis of their own
	}
	if len(shape) < 2 || len(shape) > 3 || shape[len(shape)-1] != width {
		return nil, &edge.InputError{Reason: fmt.Sprintf("%s: the shape is %v; this model takes (steps, %d) or (sequences, steps, %d)", f.input, all.shape, width, width)}
	}
	x := &sequences{count: 1, steps: shape[len(shape)-2], width: width, values: all.values, batch: len(shape) == 3}
	if x.batch {
		x.count = shape[0]
	}
	if x.steps == 0 || x.count == 0 {
		return nil, &edge.InputError{Reason: f.input + ": there are no steps"}
	}
	return x, nil
}

// array is a whole array as float32.
type array struct {
	shape  []int
	values []float32
}

// floatsOf reads the only array of a file. What does not fit into a float32 is refused.
func floatsOf(path string, f *npy.File) (*array, error) {
	bad := func(format string, args ...any) (*array, error) {
		return nil, &edge.InputError{Reason: path + ": " + fmt.Sprintf(format, args...)}
	}
	if len(f.Names) != 1 {
		return bad("has %d arrays, must have one", len(f.Names))
	}
	a, err := f.Array(f.Names[0])
	if err != nil {
		return nil, asInputError(path, err)
	}
	out, row := &array{shape: append([]int{}, a.Shape...)}, make([]float64, a.Cols())
	out.values = make([]float32, 0, a.Rows()*a.Cols())
	for i := range a.Rows() {
		if err := a.Row(row, i); err != nil {
			return nil, asInputError(path, err)
		}
		for j, v := range row {
			if x := float32(v); x-x != 0 {
				return bad("value %d of row %d is %v; float32 must hold it", j+1, i+1, v)
			}
			out.values = append(out.values, float32(v))
		}
	}
	return out, nil
}

// parseRow reads a line of CSV into row, which it must fill: numbers with commas, semicolons, tabs or spaces between.
func parseRow(row []float32, line string) error {
	n := 0
	for s := range strings.FieldsFuncSeq(line, isSeparator) {
		if n < len(row) {
			v, err := strconv.ParseFloat(s, 32)
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

// ids turns a row of numbers into token ids.
func ids(values []float32, vocab int) ([]int32, error) {
	out := make([]int32, len(values))
	for i, v := range values {
		if v != float32(int32(max(min(v, 1<<24), -1))) || v < 0 || int(v) >= vocab {
			return nil, &edge.InputError{Reason: fmt.Sprintf("step %d: token %g is not one of 0 to %d", i+1, v, vocab-1)}
		}
		out[i] = int32(v)
	}
	return out, nil
}

// runSequences runs them one after another: the first from the stream's state, the others from the initial one.
func runSequences(ctx context.Context, s *edge.Stream, cfg *edge.RNNConfig, x *sequences) (*sequences, error) {
	rows := x.steps
	if cfg.Output != edge.OutputSteps {
		rows = 1
	}
	y := &sequences{count: x.count, steps: rows, width: cfg.OutputWidth(), batch: x.batch}
	y.values = make([]float32, x.count*rows*y.width)
	for i := range x.count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i > 0 {
			s.Reset()
		}
		in, out := x.values[i*x.steps*x.width:][:x.steps*x.width], y.values[i*rows*y.width:][:rows*y.width]
		var err error
		if cfg.Vocab > 0 {
			var tokens []int32
			if tokens, err = ids(in, cfg.Vocab); err == nil {
				err = s.RunTokens(out, tokens, x.steps, nil)
			}
		} else {
			err = s.Run(out, in, x.steps, nil)
		}
		if err != nil {
			return nil, err
		}
	}
	return y, nil
}

// lines answers each line as it comes. A line that is no step gives an empty line, and the state stays as it was.
func (f *runFlags) lines(ctx context.Context, in *os.File, s *edge.Stream, cfg *edge.RNNConfig) error {
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	width := cfg.Input
	if cfg.Vocab > 0 {
		width = 1
	}
	y := &sequences{count: 1, steps: 1, width: cfg.OutputWidth(), values: make([]float32, cfg.OutputWidth())}
	row, text := make([]float32, width), []byte(nil)
	next, bad, total := fromLines(in, ""), 0, 0
	for {
		lines, err := next(ctx, 1)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for _, l := range lines {
			total++
			err := parseRow(row, l.text)
			if l.err != nil {
				err = l.err
			}
			if err == nil && cfg.Vocab > 0 {
				var tokens []int32
				if tokens, err = ids(row, cfg.Vocab); err == nil {
					err = s.StepTokens(y.values, tokens)
				}
			} else if err == nil {
				err = s.Step(y.values, row)
			}
			text = appendCSV(text[:0], y.values)
			if err != nil {
				var model *edge.ModelError
				if errors.As(err, &model) {
					return err
				}
				bad++
				text = append(text[:0], '\n')
				fmt.Fprintf(os.Stderr, "edge-infer: %s: %v\n", l.where, err)
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
	if bad > 0 {
		return &edge.InputError{Reason: fmt.Sprintf("%d of %d lines were no steps: see above", bad, total)}
	}
	return nil
}

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

func (s *sequences) writeCSV(w io.Writer) error {
	var line []byte
	for at := 0; at < len(s.values); at += s.width {
		line = appendCSV(line[:0], s.values[at:at+s.width])
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (s *sequences) writeNPY(w io.Writer, steps bool) error {
	var shape []int
	if s.batch {
		shape = append(shape, s.count)
	}
	if steps {
		shape = append(shape, s.steps)
	}
	return writeNPY(w, s.values, append(shape, s.width)...)
}

// writeNPY writes a .npy file of version 1.0: magic, header padded to 64 bytes, float32.
func writeNPY(w io.Writer, values []float32, shape ...int) error {
	text := make([]string, len(shape))
	for i, n := range shape {
		text[i] = strconv.Itoa(n)
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }", strings.Join(text, ", "))
	for (10+len(header)+1)%64 != 0 {
		header += " "
	}
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)+1))
	b = append(append(b, header...), '\n')
	for _, v := range values {
		if b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v)); len(b) >= 4096 {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(b)
	return err
}
