package convert

import (
	"fmt"
	"math"

	"github.com/edge-infer/edge-infer/convert/reference"
	edge "github.com/edge-infer/edge-infer/runtime"
)

// errorBounds derives how far int8 may be off, for each step and value of the output, from the weights' scales and the states: an
// interval of each number is carried through the equations of the cells.
//
//	a product  Σ w*x            weights are off by half their row's scale, x by dx and by half its own scale
//	a gate     sigmoid, tanh    by a quarter of what its input is off, or all of it, and never by more than their range
//	a state    f*c + i*g        |f| dc + |c| df + df dc, and so on
//
// Floats add their own rounding, far smaller: a margin of 1e-5 a step stands for it.
func errorBounds(s *rnnSource, ref *reference.RNN, x [][]float32, states []reference.RNNState, embedded bool) [][]float64 {
	values := make([][]float64, len(x))
	errs := make([][]float64, len(x))
	for t := range x {
		values[t], errs[t] = make([]float64, len(x[t])), make([]float64, len(x[t]))
		top := 0.0
		for j, v := range x[t] {
			values[t][j] = float64(v)
			top = max(top, math.Abs(float64(v)))
		}
		if embedded {
			for j := range errs[t] {
				errs[t][j] = top / 127 / 2
			}
		}
	}
	b := &bounder{s: s, ref: ref}
	cell := 0
	for i := range s.config.Layers {
		l := &s.config.Layers[i]
		y, dy := make([][]float64, len(x)), make([][]float64, len(x))
		for d := range l.Directions() {
			name := fmt.Sprintf("layers.%d", i)
			if d == 1 || l.Direction == "reverse" {
				name += ".reverse"
			}
			h, c := widen(states[cell].H), widen(states[cell].C)
			dh, dc := make([]float64, len(h)), make([]float64, len(c))
			for n := range x {
				t := n
				if d == 1 || l.Direction == "reverse" {
					t = len(x) - 1 - n
				}
				h, dh, c, dc = b.step(name, l, values[t], errs[t], h, dh, c, dc)
				y[t], dy[t] = append(y[t], h...), append(dy[t], dh...)
			}
			cell++
		}
		values, errs = y, dy
	}
	switch s.config.Output {
	case edge.OutputLast, edge.OutputState:
		if s.config.Output == edge.OutputState && s.config.Backward() {
			l := &s.config.Layers[len(s.config.Layers)-1]
			n := l.State()
			last := len(values) - 1
			v, e := append([]float64{}, values[last][:n]...), append([]float64{}, errs[last][:n]...)
			if l.Direction == "reverse" {
				v, e = values[0], errs[0]
			} else if l.Directions() == 2 {
				v, e = append(v, values[0][n:]...), append(e, errs[0][n:]...)
			}
			values, errs = [][]float64{v}, [][]float64{e}
		} else {
			values, errs = values[len(values)-1:], errs[len(errs)-1:]
		}
	}
	for t := range values {
		v, e := values[t], errs[t]
		for i, h := range s.config.Head {
			name := fmt.Sprintf("head.%d", i)
			matrix := name
			if s.config.TiedOutput && i == len(s.config.Head)-1 {
				matrix = "embed"
			}
			out, off := make([]float64, h.Size), make([]float64, h.Size)
			for row := range out {
				out[row], off[row] = b.product(matrix, row, v, e)
				out[row] += b.at(name+".bias", row)
				switch h.Activation {
				case "tanh":
					out[row], off[row] = math.Tanh(out[row]), min(off[row], 2)
				case "":
				default:
					off[row] *= 1.2 // the steepest of the others
				}
			}
			v, e = out, off
		}
		if s.config.Softmax { // a probability changes by a factor of at most e^(2 max|d|)
			top, sum, most := math.Inf(-1), 0.0, 0.0
			for j := range v {
				top, most = max(top, v[j]), max(most, e[j])
			}
			for j := range v {
				sum += math.Exp(v[j] - top)
			}
			for j := range v {
				p := math.Exp(v[j]-top) / sum
				e[j] = min(1, p*(math.Exp(2*most)-1)+1e-6)
			}
		}
		errs[t] = e
	}
	return errs
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

type bounder struct {
	s   *rnnSource
	ref *reference.RNN
}

func (b *bounder) at(name string, i int) float64 {
	if t := b.ref.Tensor(name); t.Data != nil {
		return float64(t.Data[i])
	}
	return 0
}

// product is row of w times x, and how far int8 may be off.
func (b *bounder) product(w string, row int, x, dx []float64) (value, off float64) {
	weights := b.ref.Tensor(w).Data[row*len(x) : (row+1)*len(x)]
	top, xTop := 0.0, 0.0
	for j, v := range weights {
		top = max(top, math.Abs(float64(v)))
		xTop = max(xTop, math.Abs(x[j])+dx[j])
	}
	half, xHalf := top/127/2, xTop/127/2
	for j, v := range weights {
		value += float64(v) * x[j]
		d := dx[j] + xHalf
		off += math.Abs(float64(v))*d + half*(math.Abs(x[j])+d)
	}
	return value, off + 1e-6
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func (b *bounder) step(name string, l *edge.RNNLayer, x, dx, h, dh, c, dc []float64) (h2, dh2, c2, dc2 []float64) {
	clip := func(v float64) float64 {
		if l.Clip == 0 {
			return v
		}
		return max(min(v, float64(l.Clip)), -float64(l.Clip))
	}
	gate := func(g, u int) (v, off float64) {
		row := l.GateRow(g, u)
		v, off = b.product(name+".input", row, x, dx)
		r, rOff := b.product(name+".recurrent", row, h, dh)
		return v + r + b.at(name+".input.bias", row) + b.at(name+".recurrent.bias", row), off + rOff
	}
	peephole := func(p, u int, v, off float64) (float64, float64) {
		if !l.Peepholes {
			return 0, 0
		}
		w := b.at(name+".peephole", u/16*48+p*16+u%16)
		return w * v, math.Abs(w) * off
	}
	h2, dh2 = make([]float64, l.Hidden), make([]float64, l.Hidden)
	c2, dc2 = make([]float64, l.Hidden), make([]float64, l.Hidden)
	times := func(a, da, b, db float64) float64 { return math.Abs(a)*db + math.Abs(b)*da + da*db }
	switch l.Cell {
	case edge.CellRNN:
		for u := range h2 {
			v, off := gate(0, u)
			if h2[u], dh2[u] = math.Tanh(clip(v)), min(off, 2); l.Activation == "relu" {
				h2[u], dh2[u] = max(clip(v), 0), off
			}
		}
	case edge.CellLSTM:
		for u := range h2 {
			sig := func(g, p int, cv, cOff float64) (float64, float64) {
				v, off := gate(g, u)
				pv, pOff := peephole(p, u, cv, cOff)
				return logistic(clip(v + pv)), min((off+pOff)/4, 1)
			}
			i, di := sig(0, 0, c[u], dc[u])
			f, df := sig(1, 1, c[u], dc[u])
			if l.Coupled {
				f, df = 1-i, di
			}
			g, dg := gate(2, u)
			g, dg = math.Tanh(clip(g)), min(dg, 2)
			c2[u], dc2[u] = f*c[u]+i*g, times(f, df, c[u], dc[u])+times(i, di, g, dg)
			o, do := sig(3, 2, c2[u], dc2[u])
			h2[u] = o * math.Tanh(clip(c2[u]))
			dh2[u] = min(times(o, do, math.Tanh(clip(c2[u])), min(dc2[u], 2)), 2)
		}
		if l.Projection > 0 {
			p, dp := make([]float64, l.Projection), make([]float64, l.Projection)
			for row := range p {
				p[row], dp[row] = b.product(name+".project", row, h2, dh2)
			}
			h2, dh2 = p, dp
		}
	case edge.CellGRU:
		rh, drh := make([]float64, l.Hidden), make([]float64, l.Hidden)
		r, dr := make([]float64, l.Hidden), make([]float64, l.Hidden)
		for u := range h2 {
			v, off := gate(0, u)
			r[u], dr[u] = logistic(clip(v)), min(off/4, 1)
			rh[u], drh[u] = r[u]*h[u], times(r[u], dr[u], h[u], dh[u])
		}
		for u := range h2 {
			z, dz := gate(1, u)
			z, dz = logistic(clip(z)), min(dz/4, 1)
			row := l.GateRow(2, u)
			n, dn := b.product(name+".input", row, x, dx)
			n += b.at(name+".input.bias", row)
			if l.ResetAfter {
				p, dp := b.product(name+".recurrent", row, h, dh)
				p += b.at(name+".recurrent.bias", row)
				n, dn = n+r[u]*p, dn+times(r[u], dr[u], p, dp)
			} else {
				p, dp := b.product(name+".candidate", u, rh, drh)
				n, dn = n+p, dn+dp
			}
			n, dn = math.Tanh(clip(n)), min(dn, 2)
			h2[u], dh2[u] = (1-z)*n+z*h[u], times(1-z, dz, n, dn)+times(z, dz, h[u], dh[u])
		}
	}
	for u := range dh2 {
		dh2[u] += 1e-5
	}
	return h2, dh2, c2, dc2
}
