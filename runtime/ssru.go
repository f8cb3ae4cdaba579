package runtime

import "github.com/edge-infer/edge-infer/kernels"

// recur runs a decoder layer's simpler simple recurrent unit: a state instead of a look back over all positions. With the
// candidate y = W x, the forget gate f = σ(Wf x + bf) and the state c of the position before (zero at first)
//
//	c = f·c + (1 - f)·y     x += max(c, 0)
//
// Source: Kim et al. 2019, "From Research to Production and Back: Ludicrously Fast Neural Machine Translation", section 3.1;
// marian-nmt/marian-dev src/rnn/cells.h (SSRU, highway) and jerinphilip/slimt slimt/Modules.cc (SSRU::forward) agree with it.
func (s *Session) recur(l *decoderLayer) error {
	d, rows := s.m.cfg.Dim, len(s.active)
	h := s.normBefore(rows, &l.selfNorm)
	if err := s.linear(s.qkv, 2*d, h, rows, &l.ssru, kernels.ActNone, nil); err != nil {
		return err
	}
	for i := range s.active {
		r := &s.active[i]
		y, f := s.qkv[i*2*d:][:d], s.qkv[i*2*d+d:][:d]
		s.set.Sigmoid(f, f)
		parent := 0
		if r.pos > 0 {
			parent = int(s.slots[r.slot].now.ancestors[r.beam*s.opt.MaxTarget+r.pos-1])
		}
		before := s.state(r.pos+1, r.slot, parent)
		if r.pos == 0 {
			clear(before)
		}
		x, state := s.x[i*d:][:d], s.state(r.pos, r.slot, r.beam)
		for j := range state {
			c := float32(f[j]*before[j]) + float32((1-f[j])*y[j])
			state[j] = c
			if 0 > c {
				c = 0
			}
			x[j] += c
		}
	}
	return nil
}

// state is the current layer's state of a hypothesis after a position. Even and odd positions take turns: hypotheses of a
// beam read their common parent's state, of the position before, which none of them overwrites.
func (s *Session) state(pos, slot, beam int) []float32 {
	d, beams := s.m.cfg.Dim, s.opt.Batch*s.opt.Beam
	return s.recurrent[((pos%2*s.m.cfg.DecoderLayers+s.layer)*beams+slot*s.opt.Beam+beam)*d:][:d]
}
