package convert

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/edge-infer/edge-infer/quant"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// Report is what a conversion did and what int8 costs, tensor by tensor.
type Report struct {
	Format    string // of the source
	Source    string
	Path      string // of the .ei8 file
	Tensors   []TensorReport
	Warnings  []string
	FileBytes int64 // of the .ei8 file, with tokenizers
	Duration  time.Duration
}

// TensorReport is one tensor of the .ei8 file.
type TensorReport struct {
	Name                    string
	Shape                   []int
	DType                   modelfile.DType
	Copied                  bool // the numbers are the source's own, unchanged
	Parameters              int64
	BytesBefore, BytesAfter int64
	stats                   quant.Stats // of int8 matrices
}

// MaxError is the largest difference between a weight and what its int8 stands for.
func (t *TensorReport) MaxError() float64 { return t.stats.Max() }

// RMS is the root of the mean square of the differences.
func (t *TensorReport) RMS() float64 { return t.stats.RMS() }

// SNR is the ratio of the energies of weights and differences in dB; +Inf for a copy.
func (t *TensorReport) SNR() float64 { return t.stats.SNR() }

// Cosine is the cosine of the angle between the weights and what stands for them.
func (t *TensorReport) Cosine() float64 { return t.stats.Cosine() }

// quantized says whether the figures of error mean something.
func (t *TensorReport) quantized() bool { return t.stats.Count() > 0 && !t.Copied }

// Parameters counts the weights of all tensors.
func (r *Report) Parameters() int64 {
	return r.sum(func(t *TensorReport) int64 { return t.Parameters })
}

// BytesBefore counts the bytes of the source's tensors.
func (r *Report) BytesBefore() int64 {
	return r.sum(func(t *TensorReport) int64 { return t.BytesBefore })
}

// BytesAfter counts the bytes of the file's tensors, with scales, sums and padding.
func (r *Report) BytesAfter() int64 {
	return r.sum(func(t *TensorReport) int64 { return t.BytesAfter })
}

func (r *Report) sum(f func(*TensorReport) int64) int64 {
	var n int64
	for i := range r.Tensors {
		n += f(&r.Tensors[i])
	}
	return n
}

// Worst is the quantized tensor with the lowest signal to noise ratio, nil where none was quantized.
func (r *Report) Worst() *TensorReport {
	var worst *TensorReport
	for i := range r.Tensors {
		t := &r.Tensors[i]
		if t.quantized() && (worst == nil || t.SNR() < worst.SNR()) {
			worst = t
		}
	}
	return worst
}

// Mean gives the figures over all quantized weights together.
func (r *Report) Mean() *quant.Stats {
	var all quant.Stats
	for i := range r.Tensors {
		if r.Tensors[i].quantized() {
			all.Merge(&r.Tensors[i].stats)
		}
	}
	return &all
}

// WriteTable prints a line a quantized tensor, the others together, the worst, the mean, and the totals.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	// Names to the left, numbers to the right: the writer aligns all columns alike, so the names come padded.
	width := len("tensor")
	for i := range r.Tensors {
		if r.Tensors[i].DType == modelfile.I8 {
			width = max(width, len(r.Tensors[i].Name))
		}
	}
	name := func(s string) string { return fmt.Sprintf("%-*s", width, s) }
	fmt.Fprintln(t, name("tensor")+"\tshape\tbefore\tafter\tmax error\trms error\tSNR dB\tcosine\t")
	var rest TensorReport
	restCount := 0
	for i := range r.Tensors {
		row := &r.Tensors[i]
		if row.DType != modelfile.I8 {
			rest.BytesBefore += row.BytesBefore
			rest.BytesAfter += row.BytesAfter
			restCount++
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t\n", name(row.Name), shapeText(row.Shape), row.BytesBefore, row.BytesAfter, row.figures())
	}
	if restCount > 0 {
		fmt.Fprintf(t, "%s\t\t%d\t%d\t\t\t\t\t\n", name(fmt.Sprintf("%d in float32", restCount)), rest.BytesBefore, rest.BytesAfter)
	}
	if worst := r.Worst(); worst != nil {
		fmt.Fprintf(t, "%s\t\t\t\t%s\t\n", name("worst"), worst.figures())
		all := TensorReport{stats: *r.Mean()}
		fmt.Fprintf(t, "%s\t\t\t\t%s\t\n", name("mean"), all.figures())
	}
	fmt.Fprintf(t, "%s\t\t%d\t%d\t\t\t\t\t\n", name("total"), r.BytesBefore(), r.BytesAfter())
	if err := t.Flush(); err != nil {
		return err
	}
	if worst := r.Worst(); worst != nil {
		if _, err := fmt.Fprintf(w, "worst: %s\n", worst.Name); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s: %d parameters, %d bytes in the file, %v\n", r.Format, r.Parameters(), r.FileBytes, r.Duration.Round(time.Millisecond))
	return err
}

// figures are the columns of errors: max, rms, SNR, cosine.
func (t *TensorReport) figures() string {
	if t.Copied {
		return "copied\t\t\t"
	}
	snr := "inf"
	if v := t.SNR(); !math.IsInf(v, 1) {
		snr = fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2g\t%.2g\t%s\t%.6f", t.MaxError(), t.RMS(), snr, t.Cosine())
}

func shapeText(shape []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", "x")
}
