package convert

import (
	"math"

	"github.com/edge-infer/edge-infer/quant"
	"github.com/edge-infer/edge-infer/runtime"
)

// pairClips are the parts of its largest value that a row's four bits are tried to span: less is clipped, and steps are finer.
var pairClips = []float64{1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}

// pairRow is one row as pairs of int4: see runtime/knn_pairs.go.
type pairRow struct {
	coarse, fine           []int8
	coarseScale, fineScale float32
	residual, fineResidual float32 // norms of what each step leaves, rounded up
	norm                   float32
	trial, values          []int8
	scaled, rest           []float64
}

func newPairRow(cols int) *pairRow {
	h := runtime.PairBytes(cols)
	bytes, floats := make([]int8, 5*h), make([]float64, 4*h)
	return &pairRow{
		coarse: bytes[:h], fine: bytes[h : 2*h], trial: bytes[2*h : 3*h], values: bytes[3*h:],
		scaled: floats[:2*h], rest: floats[2*h:],
	}
}

// encode makes pairs of the vector y.
func (p *pairRow) encode(y []float64) {
	squares := 0.0
	for _, v := range y {
		squares += float64(v * v)
	}
	p.norm = float32(math.Sqrt(squares))
	rounding := float64(math.Sqrt(squares) * 0x1p-48)
	copy(p.rest, y)
	clear(p.rest[len(y):])
	p.coarseScale, p.residual = p.step(p.coarse, len(y), rounding)
	p.fineScale, p.fineResidual = p.step(p.fine, len(y), rounding)
}

// step encodes p.rest, of which the first cols are columns, takes what the codes stand for off it, and returns their scale and the norm of
// what is left.
func (p *pairRow) step(dst []int8, cols int, rounding float64) (scale, residual float32) {
	top := 0.0
	for _, v := range p.rest[:cols] {
		top = max(top, math.Abs(v))
	}
	// Of a vector v of codes, the scale that leaves least is w·v / v·v, and it takes (w·v)² / v·v off |w|².
	most := 0.0
	for _, clip := range pairClips {
		inv := 120 / (top * clip)
		if !(inv < 1/tinyScale) {
			break
		}
		for j, v := range p.rest {
			p.scaled[j] = v * inv
		}
		encodePairs(p.trial, p.values, p.scaled)
		along, squares := 0.0, 0.0
		for j, v := range p.rest[:cols] {
			c := float64(p.values[j])
			along += float64(v * c)
			squares += float64(c * c)
		}
		if along > 0 && float64(along*along)/squares > most {
			most = float64(along*along) / squares
			scale = float32(along / squares)
			copy(dst, p.trial)
		}
	}
	if scale < tinyScale {
		clear(dst)
		scale = 0
	}
	runtime.DecodePairs(p.values, dst)
	left := 0.0
	for j, v := range p.rest[:cols] {
		p.rest[j] = v - float64(float64(p.values[j])*float64(scale))
		left += float64(p.rest[j] * p.rest[j])
	}
	return scale, roundUp(float64(math.Sqrt(left)*(1+float64(float64(cols+16)*0x1p-49))) + rounding)
}

// encodePairs makes bytes whose columns come as near to t, of twice as many numbers, as steps of 16 allow, and puts what they stand for into
// values.
func encodePairs(dst, values []int8, t []float64) {
	h := len(dst)
	for j := 0; j < h; j += 2 {
		lower0 := nearestPair(t[h+j], 0, -128)
		b0 := nearestPair(t[j], uint8(lower0)>>4, -127) // a file has no byte of -128
		lower1 := nearestPair(t[h+j+1], uint8(b0)>>4, -128)
		b1 := nearestPair(t[j+1], uint8(lower1)>>4, -127)
		dst[j], dst[j+1] = b0, b1
		values[j], values[j+1], values[h+j], values[h+j+1] = b0, b1, lower0, lower1
	}
}

// nearestPair is the int8 nearest to t, of least or more, among those whose lowest four bits are low.
func nearestPair(t float64, low uint8, least int) int8 {
	v := int(low) + 16*int(math.RoundToEven((max(min(t, 200), -200)-float64(low))/16))
	for ; v < least; v += 16 {
	}
	for ; v > 127; v -= 16 {
	}
	return int8(v)
}

// pairShares estimates which part of the rows pass the first and the second step.
func pairShares(sample, queries [][]float64, limits []float64) (coarse, fine float64) {
	d := len(sample[0])
	p := newPairRow(d)
	rows := sample[:min(len(sample), headTry)]
	product := func(x []float64, codes []int8, scale float32) float64 {
		runtime.DecodePairs(p.values, codes)
		s := 0.0
		for j, v := range x {
			s += float64(v * float64(p.values[j]))
		}
		return float64(s * float64(scale))
	}
	norms := make([]float64, len(queries))
	for q, x := range queries {
		norms[q] = math.Sqrt(runtime.Product64(x, x))
	}
	for _, w := range rows {
		p.encode(w)
		n2 := runtime.Product64(w, w)
		for q, x := range queries {
			dot := product(x, p.coarse, p.coarseScale)
			e, t := float64(p.residual), limits[q]
			near := n2 - float64(2*dot)
			if near+float64(norms[q]*norms[q])-float64(2*e*min(norms[q], t+e)) > float64(t*t) { // the better of the two bounds
				continue
			}
			coarse++
			dot += product(x, p.fine, p.fineScale)
			if n2-float64(2*dot)+float64(norms[q]*(norms[q]-float64(2*float64(p.fineResidual)))) <= float64(t*t) {
				fine++
			}
		}
	}
	pairs := float64(len(rows) * len(queries))
	return coarse / pairs, fine / pairs
}

// pairs writes the rows as pairs, their first step or the second.
func (w *knnWriter) pairs(fine bool, residual, norm *[]float32) error {
	var r knnRow
	p, h := newPairRow(w.src.Cols), runtime.PairBytes(w.src.Cols)
	packer := quant.NewPacker(h)
	var scales []float32
	var sums []int32
	emit := func() error { return w.block(packer, &scales, &sums) }
	for i := range w.src.Rows {
		if err := w.rows.quantize(i, &r); err != nil {
			return err
		}
		p.encode(r.was)
		var err error
		if fine {
			*residual = append(*residual, p.fineResidual)
			scales = append(scales, p.fineScale)
			_, err = w.out.Write(asBytes(p.fine))
		} else {
			*residual, *norm = append(*residual, p.residual), append(*norm, p.norm)
			if err = packer.AddI8(p.coarse, p.coarseScale); err == nil && packer.Full() {
				err = emit()
			}
		}
		if err == nil {
			err = w.step("pairs")
		}
		if err != nil {
			return err
		}
	}
	if packer.Rows() > 0 {
		if err := emit(); err != nil {
			return err
		}
	}
	return w.out.Finish(scales, sums)
}
