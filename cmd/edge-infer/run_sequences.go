package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/edge-infer/edge-infer/convert/npy"
	edge "github.com/edge-infer/edge-infer/runtime"
)

// Whole sequences pass through in pieces of MaxSteps steps: neither they nor what comes of them are in memory at a time, however long they
// are. Two kinds are: those of a model that reads from the end, too, and results for a .npy file whose length is not known before.

// pieceBytes is for what comes of a piece: fewer steps of a model with a wide output, as long as its matrices are read for several.
const pieceBytes = 512 << 10

// sequences are what run reads: count sequences of steps rows of width values, one after another.
type sequences struct {
	count, steps, width int // steps -1: until the input ends
	batch               bool
	row                 func(dst []float32) error // the next one; io.EOF when the input has ended
	close               func() error
}

// whole runs all of the input.
func (f *runFlags) whole(ctx context.Context, in *os.File, isArray bool, m *edge.Model, options edge.StreamOptions) error {
	cfg := m.RNNConfig()
	x, err := f.sequences(in, isArray, cfg)
	if err != nil {
		return err
	}
	defer x.close()
	if f.state != "" && x.count != 1 {
		return &edge.InputError{Reason: fmt.Sprintf("--state is for one sequence, the input has %d", x.count)}
	}
	if cfg.Backward() && x.steps < 0 {
		p, err := m.PlanStream(options)
		if err != nil {
			return asUsageError(err)
		}
		addProgram(p)
		if err := x.readAll(p.Spare()); err != nil {
			return err
		}
	}
	options.MaxSteps = min(max(pieceBytes/(4*cfg.OutputWidth()), 8), 64)
	if x.steps > 0 && (cfg.Backward() || x.steps < options.MaxSteps) {
		options.MaxSteps = x.steps
	}
	s, spare, err := f.open(m, &options, func(p *edge.Plan) {
		p.Add("steps in and out", int64(options.MaxSteps)*4*int64(x.width+1+cfg.OutputWidth())+longestNumber*int64(cfg.OutputWidth()))
	})
	if err != nil {
		return err
	}
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	y := &results{out: out, width: cfg.OutputWidth(), spare: spare, bytes: make([]byte, 0, longestNumber*cfg.OutputWidth())}
	if strings.EqualFold(filepath.Ext(f.output), ".npy") {
		y.shape = x.shape(cfg)
	}
	if err := runSequences(ctx, s, cfg, x, options.MaxSteps, y); err != nil {
		return err
	}
	if err := y.finish(); err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return f.saveState(s)
}

// sequences opens the input and checks that its rows are the model's.
func (f *runFlags) sequences(in *os.File, isArray bool, cfg *edge.RNNConfig) (*sequences, error) {
	width := cfg.Input
	if cfg.Vocab > 0 {
		width = 1 // a token id a step
	}
	if !isArray {
		return csvSteps(in, width), nil
	}
	file, err := npy.Open(f.input)
	if err != nil {
		return nil, asInputError(f.input, err)
	}
	x, err := f.arraySteps(file, width, cfg.Vocab > 0)
	if err != nil {
		file.Close()
		return nil, err
	}
	x.close = file.Close
	return x, nil
}

// csvSteps is one sequence, a step a line.
func csvSteps(in io.Reader, width int) *sequences {
	scanner, n := bufio.NewScanner(in), 0
	scanner.Buffer(nil, maxLine)
	return &sequences{count: 1, steps: -1, width: width, close: func() error { return nil }, row: func(dst []float32) error {
		n++
		if !scanner.Scan() {
			err := scanner.Err()
			switch {
			case errors.Is(err, bufio.ErrTooLong):
				return &edge.InputError{Reason: fmt.Sprintf("line %d is longer than %d MB", n, maxLine>>20)}
			case err == nil && n == 1:
				return &edge.InputError{Reason: "the input has no lines"}
			case err == nil:
				return io.EOF
			}
			return err
		}
		if err := parseRow(dst, scanner.Bytes()); err != nil {
			return &edge.InputError{Reason: fmt.Sprintf("line %d: %v", n, err)}
		}
		return nil
	}}
}

// arraySteps are the sequences of the only array of a file, of shape (steps, width) or (sequences, steps, width).
func (f *runFlags) arraySteps(file *npy.File, width int, tokens bool) (*sequences, error) {
	a, err := onlyArray(f.input, file)
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, a.Shape...)
	if tokens && (len(shape) == 1 || len(shape) > 1 && shape[len(shape)-1] != 1 || len(shape) == 2 && shape[1] != 1) {
		shape = append(shape, 1) // ids without an axis of their own
	}
	if len(shape) < 2 || len(shape) > 3 || shape[len(shape)-1] != width {
		return nil, &edge.InputError{Reason: fmt.Sprintf("%s: the shape is %v; this model takes (steps, %d) or (sequences, steps, %d)", f.input, a.Shape, width, width)}
	}
	x := &sequences{count: 1, steps: shape[len(shape)-2], width: width, batch: len(shape) == 3}
	if x.batch {
		x.count = shape[0]
	}
	if x.steps == 0 || x.count == 0 {
		return nil, &edge.InputError{Reason: f.input + ": there are no steps"}
	}
	a.Reshape(width) // else a row is a whole sequence
	row, at := make([]float64, a.Cols()), 0
	x.row = func(dst []float32) error {
		part := at * width % len(row)
		if part == 0 {
			if err := a.Row(row, at*width/len(row)); err != nil {
				return asInputError(f.input, err)
			}
		}
		for j, v := range row[part : part+width] {
			if dst[j] = float32(v); dst[j]-dst[j] != 0 {
				return &edge.InputError{Reason: fmt.Sprintf("%s: value %d of row %d is %v; float32 must hold it", f.input, j+1, at+1, v)}
			}
		}
		at++
		return nil
	}
	return x, nil
}

// onlyArray is the one array that a file must have.
func onlyArray(path string, f *npy.File) (*npy.Array, error) {
	if len(f.Names) != 1 {
		return nil, &edge.InputError{Reason: fmt.Sprintf("%s: has %d arrays, must have one", path, len(f.Names))}
	}
	a, err := f.Array(f.Names[0])
	if err != nil {
		return nil, asInputError(path, err)
	}
	return a, nil
}

// readAll reads a sequence to its end, for a model that needs that, into at most so many bytes.
func (x *sequences) readAll(most int64) error {
	var all []float32
	for {
		n := len(all)
		all = append(all, make([]float32, x.width)...)
		if int64(cap(all))*4 > most/2 { // what it grew out of may still be there
			return tooLarge("the input", most/2, "this model reads from the end, too, and needs all of it: cut it into shorter sequences")
		}
		if err := x.row(all[n:]); err == io.EOF {
			all = all[:n]
			break
		} else if err != nil {
			return err
		}
	}
	x.steps = len(all) / x.width
	x.row = func(dst []float32) error {
		copy(dst, all)
		all = all[x.width:]
		return nil
	}
	return nil
}

// shape is that of the results in a .npy file; steps may not be known.
func (x *sequences) shape(cfg *edge.RNNConfig) []int {
	var shape []int
	if x.batch {
		shape = append(shape, x.count)
	}
	if cfg.Output == edge.OutputSteps {
		shape = append(shape, x.steps)
	}
	return append(shape, cfg.OutputWidth())
}

// runSequences runs them one after another, some steps at a time: the first from the stream's state, the others from the initial one.
func runSequences(ctx context.Context, s *edge.Stream, cfg *edge.RNNConfig, x *sequences, steps int, y *results) error {
	in, out, tokens := make([]float32, steps*x.width), make([]float32, steps*y.width), make([]int32, steps)
	for i := range x.count {
		if i > 0 {
			s.Reset()
		}
		var last []float32
		for first := 0; first != x.steps; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := 0
			for ; n < steps && first+n != x.steps; n++ {
				if err := x.row(in[n*x.width:][:x.width]); err == io.EOF {
					x.steps = first + n
					break
				} else if err != nil {
					return err
				}
			}
			if n == 0 {
				break
			}
			last = out[:y.width]
			if cfg.Output == edge.OutputSteps {
				last = out[:n*y.width]
			}
			var err error
			if cfg.Vocab > 0 {
				if err = ids(tokens, in[:n], first, cfg.Vocab); err == nil {
					err = s.RunTokens(last, tokens[:n], n, nil)
				}
			} else {
				err = s.Run(last, in[:n*x.width], n, nil)
			}
			if err == nil && cfg.Output == edge.OutputSteps {
				err = y.write(last)
			}
			if err != nil {
				return err
			}
			first += n
		}
		if cfg.Output != edge.OutputSteps {
			if err := y.write(last); err != nil {
				return err
			}
		}
	}
	return nil
}

// results are what run writes, a row of width values after another.
type results struct {
	out   *output
	width int
	shape []int // of .npy; nil: CSV
	begun bool  // the header of .npy is written
	spare int64
	held  []float32 // until the shape is known
	bytes []byte    // of a row
}

func (y *results) write(values []float32) error {
	if y.shape != nil && y.shape[max(len(y.shape)-2, 0)] < 0 {
		y.held = append(y.held, values...)
		if int64(cap(y.held))*4 > y.spare/2 { // what it grew out of may still be there
			return tooLarge("the output", y.spare/2, "give the input as .npy, or write CSV")
		}
		return nil
	}
	if y.shape != nil && !y.begun {
		y.begun = true
		if _, err := y.out.Write(appendNPYHeader(nil, y.shape...)); err != nil {
			return err
		}
	}
	for ; len(values) > 0; values = values[y.width:] {
		if row := values[:y.width]; y.shape == nil {
			y.bytes = appendCSV(y.bytes[:0], row)
		} else {
			y.bytes = appendF32(y.bytes[:0], row)
		}
		if _, err := y.out.Write(y.bytes); err != nil {
			return err
		}
	}
	return nil
}

// finish writes what was held.
func (y *results) finish() error {
	if y.held == nil {
		return nil
	}
	y.shape[len(y.shape)-2] = len(y.held) / y.width
	values := y.held
	for y.held = nil; len(values) > 0; {
		n := min(len(values), 64*y.width)
		if err := y.write(values[:n]); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// appendNPYHeader begins a .npy file of version 1.0: magic, header padded to 64 bytes; float32 follow.
func appendNPYHeader(b []byte, shape ...int) []byte {
	text := make([]string, len(shape))
	for i, n := range shape {
		text[i] = strconv.Itoa(n)
	}
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }", strings.Join(text, ", "))
	for (10+len(header)+1)%64 != 0 {
		header += " "
	}
	b = binary.LittleEndian.AppendUint16(append(b, "\x93NUMPY\x01\x00"...), uint16(len(header)+1))
	return append(append(b, header...), '\n')
}

func appendF32(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
