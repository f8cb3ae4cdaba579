package runtime

import "github.com/edge-infer/edge-infer/kernels"

// This file is the recurrent network read top to bottom: embed, run layer by layer, put out. Rows are [step][slot], so that the
// states of one step meet the recurrent matrix together, and a layer's matrices stay in the second-level cache for all steps.
// A slot whose sequence has ended keeps its state; nothing of one slot ever enters another's sums.

func (s *Stream) runAll() error {
	c := &s.call
	for first := 0; first < c.steps; first += s.opt.MaxSteps {
		if err := s.chunk(first, min(s.opt.MaxSteps, c.steps-first)); err != nil {
			return err
		}
	}
	return nil
}

// chunk runs steps [first, first+steps) of the call: all that fit into the planned memory.
func (s *Stream) chunk(first, steps int) error {
	batch, cfg := s.opt.Batch, s.m.cfg
	in := cfg.Input
	for t := range steps {
		for b := range batch {
			x := s.x[(t*batch+b)*s.width:][:in]
			switch at := b*s.call.steps + first + t; {
			case first+t >= s.lengths[b]:
				clear(x) // an ended sequence: its rows are computed with the others and used by nobody
			case s.call.ids != nil:
				s.m.embed.row(x, int(s.call.ids[at]))
			default:
				copy(x, s.call.x[at*in:][:in])
			}
		}
	}
	cell := 0
	for i := range s.m.layers {
		l := &s.m.layers[i]
		if err := s.quantizeRows(s.q8, s.qScale, s.x, s.width, in, steps*batch, &l.directions[0].input); err != nil {
			return err
		}
		for d := range l.directions {
			if err := s.direction(l, &l.directions[d], &s.cells[cell], d*l.State(), first, steps); err != nil {
				return err
			}
			cell++
		}
		s.x, s.y = s.y, s.x
		in = l.Width()
	}
	return s.output(first, steps)
}

// quantizeRows quantizes rows of n values, ld apart, for a product with w: q [rows, w.K], scale [rows].
func (s *Stream) quantizeRows(q []int8, scale, x []float32, ld, n, rows int, w *linear) error {
	for i := range rows {
		var ok bool
		if scale[i], ok = s.set.QuantizeRow(q[i*w.K:][:w.K], x[i*ld:][:n]); !ok {
			return &ModelError{s.file.Path(), w.name, "its input is no longer finite: the weights do not fit this model, or are broken"}
		}
	}
	return nil
}

// direction runs one direction of a layer over the quantized rows and writes its output from column col on of s.y.
func (s *Stream) direction(l *rnnLayer, d *rnnDirection, state *cellState, col, first, steps int) error {
	batch := s.opt.Batch
	// The input products of all steps, as one matrix product.
	s.linear(s.gates, d.input.N, s.q8, s.qScale, steps*batch, &d.input, kernels.ActNone, nil)
	out := l.State()
	for n := range steps {
		t := n
		if d.reverse {
			t = steps - 1 - n
		}
		if err := s.advance(l, d, state, t, first); err != nil {
			return err
		}
		for b := range batch {
			y := s.y[(t*batch+b)*s.width+col:][:out]
			if first+t < s.lengths[b] {
				copy(y, state.h[b*state.hLD:])
			} else {
				clear(y)
			}
		}
	}
	return nil
}

// stepJob is the recurrent step under way, for the workers.
type stepJob struct {
	l     *rnnLayer
	d     *rnnDirection
	state *cellState
	gates []float32 // of this step: [Batch, input.N]
	now   int       // the step's place in the call
}

// advance runs one step of one direction: the recurrent product and the gates, shared out by groups of units, then the
// projection. A unit belongs to one thread.
func (s *Stream) advance(l *rnnLayer, d *rnnDirection, state *cellState, t, first int) error {
	batch := s.opt.Batch
	if err := s.quantizeState(state.h, state.hLD, l.State(), &d.recurrent); err != nil {
		return err
	}
	s.step = stepJob{l, d, state, s.gates[t*batch*d.input.N:], first + t}
	groups := l.Units() / 16
	s.pool.Run(s.opt.Threads, groups, product(&s.set, batch, &d.recurrent, groups), s.stepPart)
	switch {
	case d.candidate.Data != nil:
		// The reset gate came first: its product with the state is multiplied now.
		if err := s.quantizeState(s.raw, l.Units(), l.Hidden, &d.candidate); err != nil {
			return err
		}
		gates := s.step.gates[2*l.Units():]
		s.linear(gates, d.input.N, s.hq, s.hScale, batch, &d.candidate, kernels.ActNone, gates)
		for b := range batch {
			if s.running(b) {
				row := s.step.gates[b*d.input.N:]
				s.set.GRUUpdate(state.h[b*state.hLD:][:l.Units()], row, row[2*l.Units():], l.Clip)
			}
		}
	case d.project.Data != nil:
		if err := s.quantizeState(s.raw, l.Units(), l.Hidden, &d.project); err != nil {
			return err
		}
		projected := s.step.gates // of this step, which nobody needs any more, and wide enough: four gates a unit
		s.linear(projected, d.project.N, s.hq, s.hScale, batch, &d.project, kernels.ActNone, nil)
		for b := range batch {
			if s.running(b) {
				copy(state.h[b*state.hLD:][:state.hLD], projected[b*d.project.N:])
			}
		}
	}
	return nil
}

func (s *Stream) running(slot int) bool { return s.step.now < s.lengths[slot] }

// quantizeState quantizes the rows of all slots, ld apart, n values each.
func (s *Stream) quantizeState(x []float32, ld, n int, w *linear) error {
	for b := range s.opt.Batch {
		scale, ok := s.set.QuantizeRow(s.hq[b*w.K:][:w.K], x[b*ld:][:n])
		if !ok {
			return &ModelError{s.file.Path(), w.name, "the state is no longer finite: the weights do not fit this model, or are broken"}
		}
		s.hScale[b] = scale
	}
	return nil
}

// advancePart computes the recurrent product of s.step for groups [from, to) of 16 units, and the gates of those, some groups
// at a time, so that their sums are still in the first-level cache. Every other step goes backwards: it begins with the weights
// that the second-level cache still holds from the step before. A matrix of about that cache's size, walked in one direction
// alone, would be driven out of it piece by piece, each just before its turn.
func (s *Stream) advancePart(worker, from, to int) {
	d, batch := s.step.d, s.opt.Batch
	rows := d.recurrent.N / s.step.l.Units() // of weights a unit
	piece := max(advanceWork/(16*rows*d.recurrent.K), s.set.Grain(batch)/(16*rows), 1)
	if s.step.now%2 == 0 {
		for u := from; u < to; u += piece {
			s.advanceUnits(worker, u, min(u+piece, to))
		}
		return
	}
	for u := to; u > from; u -= piece {
		s.advanceUnits(worker, max(u-piece, from), u)
	}
}

// advanceWork is how many bytes of weights advancePart takes at a time.
const advanceWork = 128 << 10

// advanceUnits is advancePart for one of its pieces.
func (s *Stream) advanceUnits(worker, from, to int) {
	j := &s.step
	l, d, state, batch := j.l, j.d, j.state, s.opt.Batch
	u0, u1 := 16*from, 16*to
	ld, scratch := d.input.N, s.workers[worker]
	rows := d.recurrent.N / l.Units() // of weights a unit
	d.recurrent.use(s.file, u0*rows, u1*rows)
	if l.Cell == CellGRU && l.ResetAfter {
		s.set.Linear(s.product, d.recurrent.N, s.hq, s.hScale, batch, &d.recurrent.Weights, u0*rows, u1*rows, kernels.ActNone, nil, scratch)
	} else {
		s.set.Linear(j.gates, ld, s.hq, s.hScale, batch, &d.recurrent.Weights, u0*rows, u1*rows, kernels.ActNone, j.gates, scratch)
	}
	for b := range batch {
		if !s.running(b) {
			continue
		}
		g := j.gates[b*ld+u0*rows : b*ld+u1*rows]
		h := state.h[b*state.hLD:]
		switch l.Cell {
		case CellLSTM:
			if d.project.Data != nil {
				h = s.raw[b*l.Units():]
			}
			var peephole []float32
			if d.peephole != nil {
				peephole = d.peephole[3*u0 : 3*u1]
			}
			s.set.LSTM(h[u0:u1], state.c[b*state.cLD+u0:b*state.cLD+u1], g, peephole, l.Clip, l.Coupled)
		case CellGRU:
			if l.ResetAfter {
				s.set.GRU(h[u0:u1], g, s.product[b*d.recurrent.N+u0*rows:b*d.recurrent.N+u1*rows], l.Clip)
			} else {
				s.set.GRUReset(s.raw[b*l.Units()+u0:b*l.Units()+u1], h[u0:u1], g, l.Clip)
			}
		default:
			if l.Clip != 0 {
				kernels.Clamp(g, l.Clip)
			}
			act := kernels.ActTanh
			if l.Activation == "relu" {
				act = kernels.ActReLU
			}
			s.set.Activate(g, act)
			copy(h[u0:u1], g)
		}
	}
}

// output runs the head over the rows that the call asks for and puts them into its dst.
func (s *Stream) output(first, steps int) error {
	c, batch := &s.call, s.opt.Batch
	if c.dst == nil || !c.all && first+steps < c.steps {
		return nil
	}
	width, in := s.m.cfg.OutputWidth(), s.m.cfg.Layers[len(s.m.cfg.Layers)-1].Width()
	if s.direct(width, first, steps) {
		// Thousands of words for each step: one matrix product, straight to where they are wanted.
		dst := c.dst[first*width:][:steps*width]
		if err := s.headLayer(0, dst, width, s.x, s.width, in, steps); err != nil {
			return err
		}
		s.softmaxRows(dst, width, width, steps)
		return nil
	}
	rows := batch // one a slot
	if c.all {
		rows = steps * batch
	}
	for from, n := 0, 0; from < rows; from += n {
		n = min(s.headRows, rows-from)
		for i := range n {
			x := s.head[i*s.headLD:][:in]
			if c.all {
				copy(x, s.x[(from+i)*s.width:])
			} else {
				s.last(x, from+i, first)
			}
		}
		if err := s.runHead(n, in); err != nil {
			return err
		}
		for i := range n {
			t, b := (from+i)/batch, (from+i)%batch
			dst := c.dst[b*width:]
			live := s.lengths[b] > 0
			if c.all {
				dst = c.dst[(b*c.steps+first+t)*width:]
				live = first+t < s.lengths[b]
			}
			if dst = dst[:width]; live {
				copy(dst, s.head[i*s.headLD:])
			} else {
				clear(dst)
			}
		}
	}
	return nil
}

// last gathers the values that stand for a slot's whole sequence: the states of the last layer, or its output at the last step.
// They differ only where a layer reads from the end, and such a sequence is one chunk.
func (s *Stream) last(x []float32, slot, first int) {
	l := &s.m.layers[len(s.m.layers)-1]
	if l.Direction != directionForward && s.m.cfg.Output == OutputLast {
		if n := s.lengths[slot]; n > 0 {
			copy(x, s.x[((n-1-first)*s.opt.Batch+slot)*s.width:])
		}
		return
	}
	cells := s.cells[len(s.cells)-len(l.directions):]
	for d := range cells {
		copy(x[d*l.State():][:l.State()], cells[d].h[slot*cells[d].hLD:])
	}
}

// runHead runs the linear layers, in place, over n rows of s.head.
func (s *Stream) runHead(n, in int) error {
	ld := s.headLD
	for i := range s.m.head {
		if err := s.headLayer(i, s.head, ld, s.head, ld, in, n); err != nil {
			return err
		}
		in = s.m.cfg.Head[i].Size
	}
	s.softmaxRows(s.head, ld, in, n)
	return nil
}

// headLayer runs linear layer i over rows of n values, ld apart. dst may be x, which is scratch afterwards.
//
//	x = scale*q + scale'*q' + what is lost: a 15 bit input where the layer is fine, else the first term alone
func (s *Stream) headLayer(i int, dst []float32, dstLD int, x []float32, ld, n, rows int) error {
	w := &s.m.head[i]
	if err := s.quantizeRows(s.q8, s.qScale, x, ld, n, rows, w); err != nil {
		return err
	}
	fine := s.m.cfg.Head[i].Fine
	q, scale := s.q8[rows*w.K:], s.qScale[rows:]
	if fine {
		for r := range rows {
			row, first, unit := x[r*ld:][:n], s.q8[r*w.K:], s.qScale[r]
			for j := range row {
				row[j] -= float32(float32(first[j]) * unit)
			}
		}
		if err := s.quantizeRows(q, scale, x, ld, n, rows, w); err != nil {
			return err
		}
	}
	s.linear(dst, dstLD, s.q8, s.qScale, rows, w, s.m.acts[i], nil)
	if fine {
		s.linear(dst, dstLD, q, scale, rows, &s.m.rest[i], kernels.ActNone, dst)
	}
	return nil
}

// direct says whether the rows of one linear layer may go to the call's dst without a copy: one sequence, no padding in a row, and a
// row for every step of the chunk.
func (s *Stream) direct(width, first, steps int) bool {
	return s.opt.Batch == 1 && len(s.m.head) == 1 && width%16 == 0 && (s.call.all || s.call.steps == 1) && s.lengths[0] >= first+steps
}

func (s *Stream) softmaxRows(x []float32, ld, n, rows int) {
	if !s.m.cfg.Softmax || s.call.logits {
		return
	}
	for i := range rows {
		s.set.Softmax(x[i*ld:][:n])
	}
}

// linear computes dst = act(dequant(x wᵀ) + bias) + residual, shared out over threads by output columns.
func (s *Stream) linear(dst []float32, ld int, x []int8, xScale []float32, rows int, w *linear, act kernels.Activation, residual []float32) {
	s.job = linearJob{dst: dst, ld: ld, rows: rows, w: w, act: act, residual: residual}
	s.jobX, s.jobScale = x, xScale
	s.pool.Run(s.opt.Threads, w.N/16, product(&s.set, rows, w, w.N/16), s.linearPart)
}

// multiplyPart computes blocks [from, to) of 16 output columns of s.job.
func (s *Stream) multiplyPart(worker, from, to int) {
	j := &s.job
	for n0, n1 := 16*from, 0; n0 < 16*to; n0 = n1 {
		n1 = j.w.use(s.file, n0, 16*to)
		s.set.Linear(j.dst, j.ld, s.jobX, s.jobScale, j.rows, &j.w.Weights, n0, n1, j.act, j.residual, s.workers[worker])
	}
}
