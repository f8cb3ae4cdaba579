package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/quant"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// groupRows is how many rows are read, quantized and written at a time: a row of blocks in layout N16K4.
const groupRows = quant.Lanes

// vectorFloats is how many floats of a vector or table are in memory at a time.
const vectorFloats = 1 << 14

// write streams every tensor into dst. On an error the file does not appear.
func write(ctx context.Context, s *source, dst string, meta *modelfile.Meta, sections []modelfile.SectionData, o Options, report *Report) error {
	specs := make([]modelfile.TensorSpec, len(s.tensors))
	var total int64
	for i := range s.tensors {
		specs[i] = s.tensors[i].spec
		total += s.tensors[i].sourceBytes()
	}
	out, err := modelfile.Create(dst, meta, sections, specs, o.Force)
	if err != nil {
		return err
	}
	defer out.Abort() // does nothing after Close
	w := &writer{ctx: ctx, out: out, total: total, progress: o.Progress}
	for i := range s.tensors {
		t := &s.tensors[i]
		row := TensorReport{Name: t.spec.Name, Shape: t.spec.Shape, DType: t.spec.DType, BytesBefore: t.sourceBytes()}
		if t.spec.DType == modelfile.I8 {
			err = w.matrix(t, &row)
		} else {
			err = w.floats(t, &row)
		}
		if err != nil {
			return err
		}
		report.Tensors = append(report.Tensors, row)
	}
	return out.Close()
}

// writer is one conversion under way. Its buffers grow to the largest row of blocks, and serve all tensors.
type writer struct {
	ctx         context.Context
	out         *modelfile.Writer
	done, total int64
	progress    func(tensor string, done, total int64)

	values, back []float32 // groupRows rows as they are, and as int8 stands for them
	stored       []int8    // groupRows rows of an int8 source
	bytes        []byte
}

// advance is called after every group of rows: it ends the conversion when the context does.
func (w *writer) advance(t *tensor, bytes int64) error {
	w.done += bytes
	if w.progress != nil {
		w.progress(t.spec.Name, w.done, w.total)
	}
	return w.ctx.Err()
}

// matrix quantizes the rows of t, or copies them where the source is int8 with a scale a row already.
func (w *writer) matrix(t *tensor, report *TensorReport) error {
	rows, cols := t.spec.Rows(), t.spec.Cols()
	w.values, w.back = grow(w.values, groupRows*cols), grow(w.back, groupRows*cols)
	w.stored = grow(w.stored, groupRows*cols)
	scales := make([]float32, 0, t.spec.PaddedRows())
	sums := make([]int32, 0, t.spec.PaddedRows())
	blocked := t.spec.Layout == modelfile.N16K4
	packer := quant.NewPacker(cols)
	rowImage := make([]int8, t.spec.PaddedCols())
	report.Copied = true

	emit := func() error {
		data, scale, sum := packer.Block()
		scales, sums = append(scales, scale...), append(sums, sum...)
		err := w.write(data)
		packer.Reset()
		return err
	}
	for _, p := range t.parts {
		for first := 0; first < p.rows; first += groupRows {
			n := min(groupRows, p.rows-first)
			copied, err := w.read(p, first, n, cols)
			if err != nil {
				return err
			}
			report.Copied = report.Copied && copied
			for i := range n {
				values := w.values[i*cols : (i+1)*cols]
				q, scale := w.stored[i*cols:(i+1)*cols], float32(0)
				// -128 is never stored: such a row is quantized anew.
				keep := copied && !slices.Contains(q, -128)
				switch {
				case keep:
					if scale, err = rowScale(p.from, first+i); err == nil && blocked {
						err = packer.AddI8(q, scale)
					}
				case blocked:
					err = packer.AddF32(values)
				}
				if err == nil && !blocked {
					if keep {
						copy(rowImage, q)
					} else {
						scale, err = quant.QuantizeRow(rowImage, values)
					}
				}
				if err != nil {
					return rowError(p.from, first+i, values, err)
				}
				if blocked {
					_, s, _ := packer.Block()
					w.dequantizeBlock(packer, i, cols, s[packer.Rows()-1])
					if packer.Full() {
						if err := emit(); err != nil {
							return err
						}
					}
				} else {
					scales = append(scales, scale)
					back := w.back[i*cols : (i+1)*cols]
					for j := range back {
						back[j] = float32(rowImage[j]) * scale
					}
					if err := w.write(rowImage); err != nil {
						return err
					}
				}
			}
			report.stats.Add(w.values[:n*cols], w.back[:n*cols])
			if err := w.advance(t, int64(n*cols*checkpoint.ElementSize(p.from.DType))); err != nil {
				return err
			}
		}
	}
	if packer.Rows() > 0 {
		if err := emit(); err != nil {
			return err
		}
	}
	if !blocked {
		sums = nil
	}
	report.BytesAfter = int64(t.spec.PaddedRows())*int64(t.spec.PaddedCols()) + 4*int64(len(scales)) + 4*int64(len(sums))
	report.Parameters = int64(rows) * int64(cols)
	return w.out.Finish(scales, sums)
}

// read brings n rows of a part as floats, and where they are int8 with scales also as they are stored.
func (w *writer) read(p part, first, n, cols int) (copied bool, err error) {
	if err := p.from.ReadF32(w.values[:n*cols], first, n); err != nil {
		return false, err
	}
	if p.from.DType != checkpoint.I8 || p.from.Scale == nil {
		return false, nil
	}
	return true, p.from.ReadI8(w.stored[:n*cols], first, n)
}

// dequantizeBlock writes into row i of back what the row that the packer took last stands for.
func (w *writer) dequantizeBlock(p *quant.Packer, i, cols int, scale float32) {
	data, _, _ := p.Block()
	src := data[(p.Rows()-1)*4:]
	for j := range cols {
		w.back[i*cols+j] = float32(src[j/4*64+j%4]) * scale
	}
}

func rowScale(t *checkpoint.Tensor, row int) (float32, error) {
	var s [1]float32
	err := t.ReadScale(s[:], row, 1)
	return s[0], err
}

// floats copies a vector or a table as float32.
func (w *writer) floats(t *tensor, report *TensorReport) error {
	cols, padded := t.spec.Cols(), t.spec.PaddedCols()
	report.Copied = true
	report.BytesAfter = int64(t.spec.Rows()) * int64(padded) * 4
	report.Parameters = int64(t.spec.Rows()) * int64(cols)
	// A vector's parts follow each other in one row; a table's parts are rows.
	if len(t.spec.Shape) == 1 {
		row := make([]float32, 0, padded)
		for _, p := range t.parts {
			if p.from == nil {
				row = row[:len(row)+p.rows]
				continue
			}
			values, err := p.from.F32()
			if err != nil {
				return err
			}
			if err := finite(p.from, 0, values); err != nil {
				return err
			}
			row = append(row, values[:p.rows]...)
		}
		if err := w.writeFloats(row[:padded]); err != nil {
			return err
		}
		if err := w.advance(t, t.sourceBytes()); err != nil {
			return err
		}
		return w.out.Finish(nil, nil)
	}
	line := make([]float32, padded)
	for row := range t.spec.Rows() {
		if t.values != nil {
			copy(line, t.values[row*cols:(row+1)*cols])
		} else {
			from := t.parts[0].from
			if err := from.ReadF32(line[:cols], row, 1); err != nil {
				return err
			}
			if err := finite(from, row, line[:cols]); err != nil {
				return err
			}
		}
		if err := w.writeFloats(line); err != nil {
			return err
		}
	}
	if err := w.advance(t, t.sourceBytes()); err != nil {
		return err
	}
	return w.out.Finish(nil, nil)
}

func (w *writer) writeFloats(values []float32) error {
	for len(values) > 0 {
		n := min(len(values), vectorFloats)
		w.bytes = w.bytes[:0]
		for _, v := range values[:n] {
			w.bytes = binary.LittleEndian.AppendUint32(w.bytes, math.Float32bits(v))
		}
		if _, err := w.out.Write(w.bytes); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func (w *writer) write(data []int8) error {
	w.bytes = grow(w.bytes, len(data))
	for i, v := range data {
		w.bytes[i] = byte(v)
	}
	_, err := w.out.Write(w.bytes[:len(data)])
	return err
}

// rowError names the tensor and the row of the source; a NaN or an infinity is the usual cause.
func rowError(t *checkpoint.Tensor, row int, values []float32, err error) error {
	if e := finite(t, row, values); e != nil {
		return e
	}
	return &checkpoint.Error{File: t.File, Tensor: t.Name, Offset: -1, Reason: fmt.Sprintf("row %d", row), Err: err}
}

// finite finds a NaN or an infinity in a row.
func finite(t *checkpoint.Tensor, row int, values []float32) error {
	for i, v := range values {
		if v-v != 0 {
			return &checkpoint.Error{File: t.File, Tensor: t.Name, Offset: -1, Reason: fmt.Sprintf("row %d, column %d is %v", row, i, v),
				Do: "the weights are damaged or the training diverged; get them again"}
		}
	}
	return nil
}

// sourceBytes is how many bytes of the source a tensor takes.
func (t *tensor) sourceBytes() int64 {
	var n int64
	for _, p := range t.parts {
		if p.from == nil {
			continue
		}
		elements := int64(p.rows)
		if len(t.spec.Shape) > 1 {
			elements *= int64(t.spec.Cols())
		}
		n += elements * int64(checkpoint.ElementSize(p.from.DType))
	}
	return n
}

// grow returns a slice of length n, the old one where it is long enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
