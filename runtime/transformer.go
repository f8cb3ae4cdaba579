package runtime

import (
	"github.com/edge-infer/edge-infer/kernels"
)

// This file is the Transformer read top to bottom: embed, encode, remember the cross keys and values, decode one step.
// Rows of all sentences lie one after another (a ragged batch), so no padding token ever enters a kernel.

// encode runs the encoder over the pending slots, as many at a time as fit into the scratch, and leaves the keys and
// values of the encoder's output in each slot's cross cache.
func (s *Session) encode() error {
	for len(s.pending) > 0 {
		s.sentences = s.sentences[:0]
		rows := 0
		for _, slot := range s.pending {
			n := len(s.slots[slot].source)
			if rows+n > s.rows {
				break
			}
			s.sentences = append(s.sentences, sentence{slot, rows, n})
			rows += n
		}
		if err := s.encodeRows(rows); err != nil {
			return err
		}
		for _, t := range s.sentences {
			s.gather(t.slot)
			s.slots[t.slot].state = slotDecoding
		}
		s.pending = s.pending[:copy(s.pending, s.pending[len(s.sentences):])]
	}
	return nil
}

func (s *Session) encodeRows(rows int) error {
	m, d := s.m, s.m.cfg.Dim
	for _, t := range s.sentences {
		for p, id := range s.slots[t.slot].source {
			x := s.x[(t.row+p)*d:][:d]
			m.sourceEmbed.row(x, int(id))
			s.set.Add(x, m.sourcePositions[p*d:][:d])
		}
	}
	s.normRows(s.x, s.x, rows, &m.sourceEmbedNorm)
	for i := range m.encoder {
		l := &m.encoder[i]
		h := s.normBefore(rows, &l.selfNorm)
		if err := s.linear(s.qkv, 3*d, h, rows, &l.qkv, kernels.ActNone, nil); err != nil {
			return err
		}
		s.pool.Run(s.opt.Threads, len(s.sentences)*m.cfg.Heads, attention(rows, rows/len(s.sentences), d), s.encoderAttention)
		if err := s.linear(s.x, d, s.ctx, rows, &l.out, kernels.ActNone, s.x); err != nil {
			return err
		}
		s.normAfter(rows, &l.selfNorm)
		if err := s.feedForward(rows, &l.ffn); err != nil {
			return err
		}
	}
	s.normRows(s.x, s.x, rows, &m.encoderNorm)
	return s.rememberCross(rows)
}

// rememberCross computes the cross-attention keys and values of every decoder layer, once a sentence.
func (s *Session) rememberCross(rows int) error {
	m, d := s.m, s.m.cfg.Dim
	for l := range m.decoder {
		if err := s.linear(s.qkv, 2*d, s.x, rows, &m.decoder[l].kv, kernels.ActNone, nil); err != nil {
			return err
		}
		for _, t := range s.sentences {
			k, v := s.crossCache(t.slot, l)
			kv := s.qkv[t.row*2*d:]
			s.set.StoreKeys(k, kv, t.rows, d, 2*d)
			for p := range t.rows {
				copy(v[p*d:], kv[p*2*d+d:][:d])
			}
		}
	}
	return nil
}

// attendSentence is the encoder's self-attention of one head of one sentence.
func (s *Session) attendSentence(worker, part int) {
	d, heads := s.m.cfg.Dim, s.m.cfg.Heads
	headDim := d / heads
	t, h := s.sentences[part/heads], part%heads
	w := &s.workers[worker]
	qkv := s.qkv[t.row*3*d:]
	s.set.StoreKeys(w.keys, qkv[d+h*headDim:], t.rows, headDim, 3*d)
	// Some positions at a time: their sums need not wait for each other's softmax.
	for from := 0; from < t.rows; from += heads {
		to := min(from+heads, t.rows)
		for p := from; p < to; p++ {
			s.set.Scores(w.scores[(p-from)*t.rows:][:t.rows], qkv[p*3*d+h*headDim:][:headDim], w.keys, s.scale)
		}
		for p := from; p < to; p++ {
			scores, ctx := w.scores[(p-from)*t.rows:][:t.rows], s.ctx[(t.row+p)*d+h*headDim:][:headDim]
			s.set.Softmax(scores)
			clear(ctx)
			s.set.WeightedSum(ctx, scores, qkv[2*d+h*headDim:], 3*d)
		}
	}
}

// decode runs the decoder over the current rows, one token each, and leaves their logits in s.logits.
func (s *Session) decode() error {
	m, d, rows := s.m, s.m.cfg.Dim, len(s.active)
	for i, r := range s.active {
		x := s.x[i*d:][:d]
		if r.token < 0 {
			clear(x) // the start of models without a start token: a zero embedding
		} else {
			m.targetEmbed.row(x, int(r.token))
		}
		s.set.Add(x, m.targetPositions[r.pos*d:][:d])
	}
	s.normRows(s.x, s.x, rows, &m.targetEmbedNorm)
	for i := range m.decoder {
		s.layer = i
		l := &m.decoder[i]
		var err error
		if m.cfg.DecoderMixer == MixerSSRU {
			err = s.recur(l)
		} else {
			err = s.selfAttention(l)
		}
		if err != nil {
			return err
		}
		s.normAfter(rows, &l.selfNorm)

		h := s.normBefore(rows, &l.crossNorm)
		if err := s.linear(s.qkv, d, h, rows, &l.q, kernels.ActNone, nil); err != nil {
			return err
		}
		s.pool.Run(s.opt.Threads, rows, attention(rows, s.longest, d), s.crossAttention)
		if err := s.linear(s.x, d, s.ctx, rows, &l.crossOut, kernels.ActNone, s.x); err != nil {
			return err
		}
		s.normAfter(rows, &l.crossNorm)
		if err := s.feedForward(rows, &l.ffn); err != nil {
			return err
		}
	}
	s.normRows(s.x, s.x, rows, &m.decoderNorm)
	if s.short.slots != nil || s.greedy {
		if err := s.quantizeRows(s.x, rows, &m.output); err != nil {
			return err
		}
		if s.short.slots != nil {
			s.shortOutput()
		} else {
			s.pool.Run(s.opt.Threads, s.outputParts(), product(&s.set, rows, &m.output, s.outputParts()), s.choosePart)
		}
		return nil
	}
	return s.linear(s.logits, s.vocab, s.x, rows, &m.output, kernels.ActNone, nil)
}

// selfAttention adds to each row's x what it attends to in the target so far.
func (s *Session) selfAttention(l *decoderLayer) error {
	d, rows := s.m.cfg.Dim, len(s.active)
	h := s.normBefore(rows, &l.selfNorm)
	if err := s.linear(s.qkv, 3*d, h, rows, &l.qkv, kernels.ActNone, nil); err != nil {
		return err
	}
	if s.opt.Beam > 1 {
		// Every row's key and value are stored before any row attends: hypotheses read each other's caches, of those too that do not
		// grow any more.
		for j := range s.active {
			s.remember(j)
		}
		for _, r := range s.active {
			for beam := 0; r.beam == 0 && beam < s.opt.Beam; beam++ {
				s.completeBlock(&s.workers[0], r.slot, beam, r.pos)
			}
		}
	}
	s.pool.Run(s.opt.Threads, rows, attention(rows, s.longest, d), s.decoderAttention)
	return s.linear(s.x, d, s.ctx, rows, &l.out, kernels.ActNone, s.x)
}

// remember stores the key and value of one row.
func (s *Session) remember(row int) {
	d, r := s.m.cfg.Dim, &s.active[row]
	k, v := s.selfCache(r.slot, r.beam, s.layer)
	copy(k[r.pos*d:], s.qkv[row*3*d+d:][:d])
	copy(v[r.pos*d:], s.qkv[row*3*d+2*d:][:d])
}

// completeBlock turns the keys of sixteen positions, of which pos is the last, into a block: lanes are positions then. Until they are
// complete they lie as they come, a row each: one that is stored dirties one run of memory instead of a line for each element.
func (s *Session) completeBlock(w *workerScratch, slot, beam, pos int) {
	if pos%16 != 15 {
		return
	}
	d := s.m.cfg.Dim
	k, _ := s.selfCache(slot, beam, s.layer)
	rows := k[(pos-15)*d:][:16*d]
	s.set.StoreKeys(w.keys, rows, 16, d, d)
	copy(rows, w.keys)
}

// fetchShare asks for as large a part of keys or values as one head is of all. The caches of a large batch do not stay in the
// processor's from step to step.
func fetchShare(p []float32, h, heads int) { kernels.FetchFirst(p[len(p)/heads*h:][:len(p)/heads]) }

// attendSelf is the decoder's self-attention of one row over the positions so far, its own included. Where the hypotheses
// of a beam share their past, that past lies in the caches of the ancestors: see hypotheses.ancestors. Keys of all heads come
// before the softmax of any, and that before values: each is one run of memory, and no head waits for what it has just stored. While
// keys are read the row's values are asked for, and then the next row's keys: right into the first level, since a core waits for few
// lines at once, and what comes by way of the second level is waited for twice.
func (s *Session) attendSelf(worker, part int) {
	d, heads := s.m.cfg.Dim, s.m.cfg.Heads
	headDim := d / heads
	r := &s.active[part]
	w := &s.workers[worker]
	if s.opt.Beam == 1 { // nobody else reads its cache
		s.remember(part)
		s.completeBlock(w, r.slot, r.beam, r.pos)
	}
	q := s.qkv[part*3*d:][:d]
	ancestors := s.slots[r.slot].now.ancestors[r.beam*s.opt.MaxTarget:]
	n := r.pos + 1
	ctx := s.ctx[part*d:][:d]
	clear(ctx)
	_, ownV := s.selfCache(r.slot, r.beam, s.layer)
	var nextK []float32
	if s.fetch && part+1 < len(s.active) {
		next := &s.active[part+1]
		nextK, _ = s.selfCache(next.slot, next.beam, s.layer)
		nextK = nextK[:(next.pos+1)*d]
	}
	complete := n &^ 15
	for at := 0; at < complete; at += 16 {
		for h := range heads {
			s.blockScores(w.scores[h*n+at:][:16], q[h*headDim:][:headDim], ancestors[at:][:16], r.slot, at, h, &w.lanes)
		}
	}
	for h := range heads {
		fetchShare(ownV[:n*d], h, heads)
		for from := complete; from < n; {
			to := sameAncestor(ancestors[:n], from)
			k, _ := s.selfCache(r.slot, int(ancestors[from]), s.layer)
			s.set.StoreKeys(w.keys, k[from*d+h*headDim:], to-from, headDim, d)
			s.set.Scores(w.scores[h*n+from:][:to-from], q[h*headDim:][:headDim], w.keys, s.scale)
			from = to
		}
	}
	for h := range heads {
		fetchShare(nextK, h, heads)
		s.set.Softmax(w.scores[h*n:][:n])
	}
	for h := range heads {
		scores := w.scores[h*n:][:n]
		for from := 0; from < n; {
			to := sameAncestor(ancestors[:n], from)
			_, v := s.selfCache(r.slot, int(ancestors[from]), s.layer)
			s.set.WeightedSum(ctx[h*headDim:][:headDim], scores[from:to], v[from*d+h*headDim:], d)
			from = to
		}
	}
}

// sameAncestor returns where the run of positions ends that lie with the ancestor of position from.
func sameAncestor(ancestors []uint8, from int) int {
	to := from + 1
	for to < len(ancestors) && ancestors[to] == ancestors[from] {
		to++
	}
	return to
}

// blockScores computes the scores of head h with the block of sixteen positions from at on, each of whose keys lies in the cache of
// its ancestor: once for every ancestor, keeping that one's lanes. A lane's sum never depends on the other lanes.
func (s *Session) blockScores(dst, q []float32, ancestors []uint8, slot, at, h int, lanes *[16]float32) {
	first := at*s.m.cfg.Dim + h*len(q)*16
	var done uint64 // ancestors already computed, a bit each of maxBeam
	for _, a := range ancestors {
		if done&(1<<a) != 0 {
			continue
		}
		done |= 1 << a
		k, _ := s.selfCache(slot, int(a), s.layer)
		if sameAncestor(ancestors, 0) == 16 {
			s.set.Scores(dst, q, k[first:], s.scale)
			return
		}
		s.set.Scores(lanes[:], q, k[first:], s.scale)
		for j := range dst {
			if ancestors[j] == a {
				dst[j] = lanes[j]
			}
		}
	}
}

// attendCross is one row's attention over its sentence's encoder output.
func (s *Session) attendCross(worker, part int) {
	d, heads := s.m.cfg.Dim, s.m.cfg.Heads
	headDim := d / heads
	r := &s.active[part]
	k, v := s.crossCache(r.slot, s.layer)
	n, all := len(s.slots[r.slot].source), s.workers[worker].scores
	q, ctx := s.qkv[part*d:][:d], s.ctx[part*d:][:d]
	clear(ctx)
	var nextK []float32
	if s.fetch && part+1 < len(s.active) && s.active[part+1].slot != r.slot {
		next := s.active[part+1].slot
		nextK, _ = s.crossCache(next, s.layer)
		nextK = nextK[:kernels.Pad16(len(s.slots[next].source))*d/2] // more would push this row's values out of the first level
	}
	for h := range heads {
		fetchShare(v[:n*d], h, heads)
		for at := 0; at < n; at += 16 {
			s.set.Scores(all[h*n+at:][:min(n-at, 16)], q[h*headDim:][:headDim], k[at*d+h*headDim*16:], s.scale)
		}
	}
	for h := range heads {
		fetchShare(nextK, h, heads)
		s.set.Softmax(all[h*n:][:n])
	}
	for h := range heads {
		s.set.WeightedSum(ctx[h*headDim:][:headDim], all[h*n:][:n], v[h*headDim:], d)
	}
}

// feedForward is x += W2 act(W1 norm(x)) for pre-norm, x = norm(x + W2 act(W1 x)) for post-norm.
func (s *Session) feedForward(rows int, f *ffn) error {
	d := s.m.cfg.Dim
	h := s.normBefore(rows, &f.norm)
	if err := s.linear(s.ffn, s.ffnWidth, h, rows, &f.in, s.m.act, nil); err != nil {
		return err
	}
	if err := s.linear(s.x, d, s.ffn, rows, &f.out, kernels.ActNone, s.x); err != nil {
		return err
	}
	s.normAfter(rows, &f.norm)
	return nil
}

// normBefore returns what a sublayer reads: the normed x in pre-norm models, x itself in post-norm ones.
func (s *Session) normBefore(rows int, n *norm) []float32 {
	if !s.m.cfg.PreNorm {
		return s.x
	}
	s.normRows(s.h, s.x, rows, n)
	return s.h
}

// normAfter norms x, with the sublayer's output already added, in post-norm models.
func (s *Session) normAfter(rows int, n *norm) {
	if !s.m.cfg.PreNorm {
		s.normRows(s.x, s.x, rows, n)
	}
}

func (s *Session) normRows(dst, x []float32, rows int, n *norm) {
	if n.gamma == nil {
		return
	}
	d := s.m.cfg.Dim
	for i := range rows {
		s.set.LayerNorm(dst[i*d:][:d], x[i*d:][:d], nil, n.gamma, n.beta, s.m.cfg.NormEps)
	}
}

// linear computes dst = act(x Wᵀ + b) + residual over rows of x. x [rows, K16] is quantized a row at a time; dst and
// residual have ld columns; residual may be dst. The work is split over threads by output columns.
func (s *Session) linear(dst []float32, ld int, x []float32, rows int, w *linear, act kernels.Activation, residual []float32) error {
	if err := s.quantizeRows(x, rows, w); err != nil {
		return err
	}
	s.job = linearJob{dst, ld, 0, rows, w, act, residual}
	s.pool.Run(s.opt.Threads, w.N/16, product(&s.set, rows, w, w.N/16), s.linearPart)
	return nil
}

// quantizeRows makes s.q8 and s.q8Scale of the input of w.
func (s *Session) quantizeRows(x []float32, rows int, w *linear) error {
	k := w.K
	for i := range rows {
		scale, ok := s.set.QuantizeRow(s.q8[i*k:][:k], x[i*k:][:k])
		if !ok {
			return &ModelError{s.file.Path(), w.name, "its input is no longer finite: the weights do not fit this model, or are broken"}
		}
		s.q8Scale[i] = scale
	}
	return nil
}

// linearJob is the matrix product under way, for the workers.
type linearJob struct {
	dst      []float32
	ld       int
	from     int // of the rows of s.q8, the first
	rows     int
	w        *linear
	act      kernels.Activation
	residual []float32
}

// multiplyPart computes blocks [from, to) of 16 output columns of s.job.
func (s *Session) multiplyPart(worker, from, to int) {
	j := &s.job
	for n0, n1 := 16*from, 0; n0 < 16*to; n0 = n1 {
		n1 = j.w.use(s.file, n0, 16*to)
		s.set.Linear(j.dst, j.ld, s.q8[j.from*j.w.K:], s.q8Scale[j.from:], j.rows, &j.w.Weights, n0, n1, j.act, j.residual, s.workers[worker].tile)
	}
}
