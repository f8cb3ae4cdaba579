package convert

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// knnRows gives the rows that a file of neighbours will hold, and their int8: center and unit are found in two passes,
// after which any row can be quantized by itself.
type knnRows struct {
	src     *KNNSource
	dtype   modelfile.DType // of the kept rows
	class   string
	compact bool

	center   []float64
	rounded  *runtime.KNNCenter // how a compact file holds them in less than float64; nil: it does not
	steps    []float64          // what its tensor says of each column
	unit     float64            // a power of two at or above every |row - center|
	scale    float32            // of class difference: of all rows
	rounding float64            // the largest change of a value that dtype F32 makes, relative to the value
	exact32  bool               // every value is a float32 as it is
	cosine   bool               // the norms of the rows are such that cosines can be bounded

	axes [][]float64 // orthonormal; nil: no head. See runtime/knn_head.go
	flat []float64   // the same, one after another
	tail float64

	pairs bool // the file holds pairs of int4 too: see runtime/knn_pairs.go

	row, y, reduced []float64
}

// knnRow is one row quantized, and what the bound needs to know of it; see runtime/knn_bound.go.
type knnRow struct {
	values                 []float64 // as the file keeps them, or in a compact file what the int8 stand for
	was                    []float64 // what was quantized: the centred row in units, or its head and tail
	q                      []int8
	scale                  float32
	residual, norm, length float32
}

func newKNNRows(src *KNNSource, class string, o KNNOptions) *knnRows {
	return &knnRows{
		src: src, class: class, compact: o.Compact, dtype: src.RowType, cosine: true,
		center: make([]float64, src.Cols), row: make([]float64, src.Cols), y: make([]float64, src.Cols),
	}
}

// read brings row i as the file keeps it.
func (k *knnRows) read(i int) ([]float64, error) {
	if err := k.src.ReadRow(k.row, i); err != nil {
		return nil, err
	}
	for j, v := range k.row {
		if !(math.Abs(v) <= runtime.MaxKNNValue) {
			name := fmt.Sprintf("column %d", j+1)
			if len(k.src.Features) > 0 {
				name += fmt.Sprintf(" (%s)", k.src.Features[j])
			}
			what := fmt.Sprintf("row %d, %s is %v", i+1, name, v)
			if v-v != 0 {
				return nil, failure(k.src.Path, what, "distances need numbers: remove the row or fill the value in")
			}
			return nil, failure(k.src.Path, what, "squares of such numbers overflow; scale the data to within -1e150 to 1e150")
		}
		if v32 := float64(float32(v)); v32 != v {
			k.exact32 = false
			if k.dtype == modelfile.F32 {
				k.row[j] = v32
				if math.IsInf(v32, 0) {
					return nil, failure(k.src.Path, fmt.Sprintf("row %d, column %d is %v", i+1, j+1, v), "float32 ends at 3.4e38; keep the rows in float64")
				}
				k.rounding = max(k.rounding, math.Abs(v32-v)/math.Abs(v))
			}
		}
	}
	return k.row, nil
}

// measure makes the two passes that find center, unit and scale.
func (k *knnRows) measure(ctx context.Context, step func() error) error {
	n := float64(k.src.Rows)
	k.exact32 = true
	for i := range k.src.Rows {
		row, err := k.read(i)
		if err != nil {
			return err
		}
		for j, v := range row {
			k.center[j] += v / n
		}
		if err := step(); err != nil {
			return err
		}
	}
	if k.exact32 {
		k.dtype = modelfile.F32
	}
	tops, top, longest := make([]float64, k.src.Rows), 0.0, 0.0
	for i := range k.src.Rows {
		row, err := k.read(i)
		if err != nil {
			return err
		}
		largest, squares := 0.0, 0.0
		for j, v := range row {
			tops[i] = max(tops[i], math.Abs(v-k.center[j]))
			largest = max(largest, math.Abs(v))
			squares += float64(v * v)
		}
		// A row is zero, or the square of its norm is far from the ends of float64.
		length := math.Sqrt(squares)
		k.cosine = k.cosine && (largest == 0 || length > 0x1p-470 && length < 0x1p470)
		top, longest = max(top, tops[i]), max(longest, length)
		if err := step(); err != nil {
			return err
		}
	}
	if k.compact {
		off := k.roundCenter()
		top += off
		for i := range tops {
			tops[i] += off
		}
	}
	k.unit = 1
	if top > 0 {
		_, e := math.Frexp(top)
		k.unit = math.Ldexp(1, max(e, -900))
	}
	// Differences share one scale. Where a few rows lie far outside, it serves the others: those rows are clipped, which makes
	// their residual large, and they are ranked each time.
	sortFloats(tops)
	if most := tops[(len(tops)-1)*999/1000]; most > 0 && top > 4*most {
		top = most
	}
	if k.scale = float32(top / k.unit / 127); k.scale < tinyScale {
		k.scale = 0
	}
	k.cosine = k.cosine && k.unit > 0x1p-400 && k.unit < 0x1p400 && longest/k.unit < 1e30
	return nil
}

// centerRoom is how many bytes the center of a compact file may take, so that the file keeps the size it promises.
const centerRoom = 2560

// roundCenter rounds the center to as many bits as there is room for: any center serves, and only the range of the rows grows. It returns by
// how much.
func (k *knnRows) roundCenter() (off float64) {
	d := len(k.center)
	z, most := &runtime.KNNCenter{}, 0.0 // most is the largest magnitude of a step
	switch {
	case 8*d <= centerRoom:
		return 0
	case 4*d <= centerRoom:
		z.Bits, most = 32, 1
	case d <= centerRoom:
		z.Bits, most = 8, 127
	default:
		z.Bits, most = 4, 7
	}
	low, high := slices.Min(k.center), slices.Max(k.center)
	z.Base = float64(low/2) + float64(high/2)
	z.Step = (float64(high/2) - float64(low/2)) / most
	k.rounded, k.steps = z, make([]float64, d)
	for j, c := range k.center {
		if z.Step > 0 {
			k.steps[j] = max(min((c-z.Base)/z.Step, most), -most)
		}
		if k.steps[j] = float64(float32(k.steps[j])); z.Bits < 32 {
			k.steps[j] = math.RoundToEven(k.steps[j])
		}
		k.center[j] = z.At(k.steps[j])
		off = max(off, math.Abs(c-k.center[j]))
	}
	return off
}

// sortFloats sorts x in place, with the sorting that the program has anyway: sort.Float64s would bring another copy.
func sortFloats(x []float64) {
	//lint:ignore S1032 see above
	sort.Sort(sort.Float64Slice(x))
}

// tinyScale is what is stored as zero, in units: a row that lies on the center but for rounding.
const tinyScale = 0x1p-100

// quantize makes row i int8. The result is valid until the next call.
func (k *knnRows) quantize(i int, out *knnRow) error {
	row, err := k.read(i)
	if err != nil {
		return err
	}
	for j, v := range row {
		k.y[j] = (v - k.center[j]) / k.unit
	}
	lost, y := 0.0, k.y
	if k.axes != nil {
		lost = runtime.ReduceKNN(k.reduced, k.y, k.flat, k.src.Cols)
		y = k.reduced
		y[len(y)-1] -= k.tail
	}
	top := 0.0
	for _, v := range y {
		top = max(top, math.Abs(v))
	}
	out.scale = k.scale
	most := 127.0
	if k.pairs {
		most = runtime.KNNSmall
	}
	if k.class == runtime.ClassDot {
		out.scale = float32(top / most)
	}
	if out.scale < tinyScale {
		out.scale = 0
	}
	if len(out.values) != len(row) || len(out.q) != len(y) {
		out.q, out.values = make([]int8, len(y)), make([]float64, len(row))
	}
	s := float64(out.scale)
	for j, v := range y {
		out.q[j] = 0
		if s > 0 {
			out.q[j] = int8(max(min(math.RoundToEven(v/s), most), -most))
		}
	}
	copy(out.values, row)
	if k.compact {
		for j, q := range out.q {
			out.values[j] = k.center[j] + float64(float64(q)*(s*k.unit))
			k.y[j] = (out.values[j] - k.center[j]) / k.unit
		}
	}
	out.was = y
	k.describe(out, lost)
	return nil
}

// describe computes the norms of a quantized row. Residuals are rounded up.
func (k *knnRows) describe(out *knnRow, lost float64) {
	s := float64(out.scale)
	var l1, l2, largest, y1, y2, q2, w2 float64
	for j, y := range out.was {
		r := math.Abs(y - float64(float64(out.q[j])*s))
		l1 += r
		l2 += float64(r * r)
		largest = max(largest, r)
		y1 += math.Abs(y)
		y2 += float64(y * y)
		q2 += float64(float64(out.q[j]) * float64(out.q[j]))
	}
	for _, v := range out.values {
		w2 += float64(v * v)
	}
	up := 1 + float64(float64(len(k.y)+16)*0x1p-49)
	if k.class == runtime.ClassDifference {
		out.residual = roundUp(float64(l1*up) + float64(y1*0x1p-50))
		out.norm = roundUp(float64(largest*up) + float64(y1*0x1p-50))
		return
	}
	out.residual = roundUp(float64(math.Sqrt(l2)*up) + float64(math.Sqrt(y2)*0x1p-49) + lost)
	out.norm = float32(s * math.Sqrt(q2))
	out.length = float32(min(math.Sqrt(w2)/k.unit, 1e30))
}

// roundUp is the smallest float32 that is not below v, for v from 0 to the middle of float32's range.
func roundUp(v float64) float32 {
	f := float32(v)
	if float64(f) < v {
		f = math.Nextafter32(f, float32(math.Inf(1)))
	}
	return f
}
