package runtime

import (
	"fmt"
	"unsafe"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// StreamOptions shape a Stream. Zero values mean the default in brackets.
type StreamOptions struct {
	Batch    int    // sequences side by side [1]
	MaxSteps int    // steps whose input products are one matrix product [64]; a bidirectional model takes no longer sequence
	Threads  int    // goroutines that share the work, the caller included [1]
	CPUs     []int  // one for each thread, which is pinned to it and spins briefly before it parks; the caller pins itself [neither]
	Kernels  string // name of a kernel set; "": EDGE_INFER_KERNELS, else the best one
	Memory   int64  // as in Options
}

func (o StreamOptions) withDefaults() (StreamOptions, error) {
	for _, f := range []struct {
		name     string
		v        *int
		def, max int
	}{
		{"batch", &o.Batch, 1, maxBatch},
		{"number of steps at a time", &o.MaxSteps, 64, 1 << 20},
		{"threads", &o.Threads, 1, threads.Max},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 1 || *f.v > f.max {
			return o, &InputError{fmt.Sprintf("%s is %d, must be 1 to %d", f.name, *f.v, f.max)}
		}
	}
	if o.Batch*o.MaxSteps > 1<<20 {
		return o, &InputError{fmt.Sprintf("%d sequences of %d steps are more than %d rows at a time", o.Batch, o.MaxSteps, 1<<20)}
	}
	return o, nil
}

// Stream runs a recurrent network over Options.Batch sequences side by side and keeps their states. Its memory is allocated
// when it is made; after that no method allocates. A Stream is for one goroutine at a time; a Model serves many.
//
//	err := s.Step(out, x)              // one step of every sequence
//	err := s.Run(out, x, steps, nil)   // many steps: the same bytes as one by one
//	state = s.Snapshot(state[:0], 0)   // and s.Restore(0, state), s.Reset()
type Stream struct {
	m    *rnn
	set  kernels.Set
	pool *threads.Pool
	opt  StreamOptions
	file *modelfile.File

	// Rows are [step][slot]: the rows of one step lie together, for the recurrent product.
	x, y     []float32 // input and output of the layer under way, [MaxSteps*Batch, width]
	gates    []float32 // input products, then gates [MaxSteps*Batch, widest gates]
	product  []float32 // recurrent products of one step that may not be added yet (GRU)
	raw      []float32 // state before its projection, or r*h of a GRU [Batch, units]
	q8       []int8    // rows of x, then of a head's input
	qScale   []float32
	hq       []int8 // the states of one step
	hScale   []float32
	head     []float32 // rows that the linear layers behind turn into output [headRows, headLD]
	headRows int
	headLD   int
	width    int // of x and y
	workers  [][]int32

	cells []cellState // every direction of every layer, in order

	lengths  []int // of the sequences in the call under way
	call     streamCall
	job      linearJob // with what its rows are:
	jobX     []int8
	jobScale []float32
	step     stepJob

	linearPart, stepPart func(worker, from, to int)
	runCall              func() error
}

// cellState is the state of one direction of one layer: h [Batch, padded state], c [Batch, units].
type cellState struct {
	layer, direction int
	h, c             []float32
	hLD, cLD         int
}

// streamCall is what Run was given.
type streamCall struct {
	dst, x []float32
	ids    []int32
	steps  int
	all    bool // a row of output for every step, else for the last
	logits bool // leave out the softmax
}

// PlanStream computes what NewStream(o) will allocate. Errors: *FamilyError, *InputError for options out of range.
func (m *Model) PlanStream(o StreamOptions) (*Plan, error) {
	return m.planStream(o, func(*arena) {})
}

// planStream is PlanStream with what comes on top of the stream.
func (m *Model) planStream(o StreamOptions, more func(*arena)) (*Plan, error) {
	if err := m.want(FamilyRNN); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &arena{counting: true}
	(&Stream{m: m.rnn, opt: o}).allocate(a)
	more(a)
	return m.planOf(a, o.Threads, o.Memory, smaller{o.Batch, o.MaxSteps, "steps at a time",
		func(batch, length int) (*Plan, error) {
			o := o
			o.Batch, o.MaxSteps = batch, length
			return m.planStream(o, more)
		}}), nil
}

// NewStream allocates a stream, all of it, once. Errors: as NewSession's.
func (m *Model) NewStream(o StreamOptions) (*Stream, error) {
	plan, err := m.PlanStream(o)
	if err != nil {
		return nil, err
	}
	set, err := selectKernels(o.Kernels)
	if err != nil {
		return nil, err
	}
	o, _ = o.withDefaults() // checked by PlanStream
	if err := m.admit(plan); err != nil {
		return nil, err
	}
	s := &Stream{m: m.rnn, set: set, pool: &m.pool, opt: o, file: m.file}
	s.allocate(&arena{})
	s.linearPart, s.stepPart, s.runCall = s.multiplyPart, s.advancePart, s.runAll
	m.pool.Grow(o.Threads, o.CPUs)
	return s, modelfile.Guard(s.file.Path(), func() error { s.Reset(); return nil })
}

func (s *Stream) allocate(a *arena) {
	c, o := s.m.cfg, s.opt
	rows := o.Batch * o.MaxSteps
	widest, gates, units, product, state := c.Input, 0, 0, 0, 0
	for i := range c.Layers {
		l := &c.Layers[i]
		widest = max(widest, l.Width())
		gates = max(gates, l.Gates()*l.Units())
		units = max(units, l.Units())
		state = max(state, kernels.Pad16(l.State()))
		if l.Cell == CellGRU {
			product = max(product, 3*l.Units())
		}
	}
	s.width = kernels.Pad16(widest)
	s.headRows, s.headLD = max(o.Batch, min(rows, 16)), s.width
	for _, h := range c.Head {
		s.headLD = max(s.headLD, kernels.Pad16(h.Size))
	}

	const act, book = "activations", "state"
	s.x = take[float32](a, act, rows, s.width)
	s.y = take[float32](a, act, rows, s.width)
	s.gates = take[float32](a, act, rows, gates)
	s.product = take[float32](a, act, o.Batch, product)
	s.raw = take[float32](a, act, o.Batch, units)
	parts := 1
	for _, h := range c.Head {
		if h.Fine {
			parts = 2
		}
	}
	s.q8 = take[int8](a, act, parts*max(rows*s.width, s.headRows*s.headLD))
	s.qScale = take[float32](a, act, parts*max(rows, s.headRows))
	s.hq = take[int8](a, act, o.Batch, max(units, state))
	s.hScale = take[float32](a, act, o.Batch)
	s.head = take[float32](a, act, s.headRows, s.headLD)
	s.workers = make([][]int32, o.Threads)
	for i := range s.workers {
		s.workers[i] = take[int32](a, act, kernels.LinearScratch)
	}
	s.cells = s.cells[:0]
	for i := range s.m.layers {
		l := &s.m.layers[i]
		for d := range l.directions {
			cell := cellState{layer: i, direction: d, hLD: kernels.Pad16(l.State()), cLD: l.Units()}
			cell.h = take[float32](a, book, o.Batch, cell.hLD)
			if l.Cell == CellLSTM {
				cell.c = take[float32](a, book, o.Batch, cell.cLD)
			}
			s.cells = append(s.cells, cell)
		}
	}
	s.lengths = take[int](a, book, o.Batch)
	a.count(book, int64(len(s.cells))*int64(unsafe.Sizeof(cellState{}))+int64(len(s.workers))*int64(unsafe.Sizeof([]int32{})))
}

// Batch is the number of slots.
func (s *Stream) Batch() int { return s.opt.Batch }

// Reset puts every slot into the initial state.
func (s *Stream) Reset() {
	for slot := range s.opt.Batch {
		s.ResetSlot(slot)
	}
}

// ResetSlot puts one slot into the initial state.
func (s *Stream) ResetSlot(slot int) {
	for i := range s.cells {
		cell := &s.cells[i]
		d := &s.m.layers[cell.layer].directions[cell.direction]
		h := cell.h[slot*cell.hLD:][:cell.hLD]
		clear(h)
		copy(h, d.h0)
		if cell.c != nil {
			c := cell.c[slot*cell.cLD:][:cell.cLD]
			clear(c)
			copy(c, d.c0)
		}
	}
}

// StateSize is the number of values of one slot's state.
func (s *Stream) StateSize() int {
	n := 0
	for i := range s.cells {
		l := &s.m.cfg.Layers[s.cells[i].layer]
		n += l.State()
		if s.cells[i].c != nil {
			n += l.Hidden
		}
	}
	return n
}

// Snapshot appends a slot's state to dst: of each layer, forward direction first, h and then (LSTM) c.
func (s *Stream) Snapshot(dst []float32, slot int) []float32 {
	for i := range s.cells {
		cell := &s.cells[i]
		l := &s.m.cfg.Layers[cell.layer]
		dst = append(dst, cell.h[slot*cell.hLD:][:l.State()]...)
		if cell.c != nil {
			dst = append(dst, cell.c[slot*cell.cLD:][:l.Hidden]...)
		}
	}
	return dst
}

// Restore puts a slot into a state that Snapshot gave, or that comes from elsewhere.
// Errors: *InputError for one of another size, and for a value that is not finite; the state is then as it was.
func (s *Stream) Restore(slot int, state []float32) error {
	if len(state) != s.StateSize() {
		return &InputError{fmt.Sprintf("the state has %d values, this model's has %d", len(state), s.StateSize())}
	}
	for i, v := range state {
		if v-v != 0 {
			return &InputError{fmt.Sprintf("value %d of the state is %v, must be finite", i+1, v)}
		}
	}
	for i := range s.cells {
		cell := &s.cells[i]
		l := &s.m.cfg.Layers[cell.layer]
		state = state[copy(cell.h[slot*cell.hLD:][:l.State()], state):]
		if cell.c != nil {
			state = state[copy(cell.c[slot*cell.cLD:][:l.Hidden], state):]
		}
	}
	return nil
}

// Step advances every slot by one step: x [Batch, Input], dst [Batch, OutputWidth]; dst may be nil. Errors: as Run's.
func (s *Stream) Step(dst, x []float32) error {
	return s.run(streamCall{dst: dst, x: x, steps: 1}, nil)
}

// StepTokens is Step for a model with an embedding: a token for each slot, -1 for a slot that stays as it is.
func (s *Stream) StepTokens(dst []float32, ids []int32) error {
	return s.run(streamCall{dst: dst, ids: ids, steps: 1}, nil)
}

// Run advances the slots by many steps, from the states that they have: x [Batch, steps, Input]. lengths, if not nil, says how
// many of its steps each slot takes, from 0 on; the output behind them is zero. dst [Batch, steps, OutputWidth], or [Batch,
// OutputWidth] for a model whose output is its last step or state; nil: only the states matter.
//
// Errors: *InputError for values that are not finite, ids out of range and sizes that do not fit; a bidirectional model
// takes at most MaxSteps. *ModelError when numbers leave the range of float32; *modelfile.FormatError when the file was
// cut meanwhile. States are undefined after the latter two: Reset.
func (s *Stream) Run(dst, x []float32, steps int, lengths []int) error {
	return s.run(streamCall{dst: dst, x: x, steps: steps, all: s.m.cfg.Output == OutputSteps}, lengths)
}

// RunTokens is Run for a model with an embedding: ids [Batch, steps].
func (s *Stream) RunTokens(dst []float32, ids []int32, steps int, lengths []int) error {
	return s.run(streamCall{dst: dst, ids: ids, steps: steps, all: s.m.cfg.Output == OutputSteps}, lengths)
}

// Feed is RunTokens for a batch of 1, with the output of the last token alone, whatever the model puts out, and before its softmax:
// dst [OutputWidth].
func (s *Stream) Feed(dst []float32, ids []int32) error {
	if s.opt.Batch != 1 {
		return &InputError{"Feed is for a batch of 1"}
	}
	return s.run(streamCall{dst: dst, ids: ids, steps: len(ids), logits: true}, nil)
}

func (s *Stream) run(c streamCall, lengths []int) error {
	cfg, batch := s.m.cfg, s.opt.Batch
	if err := s.check(&c, lengths); err != nil {
		return err
	}
	for b := range batch {
		s.lengths[b] = c.steps
		if lengths != nil {
			s.lengths[b] = lengths[b]
		}
		if c.ids != nil && c.steps == 1 && c.ids[b] < 0 {
			s.lengths[b] = 0
		}
	}
	if cfg.Backward() && c.steps > s.opt.MaxSteps {
		return &InputError{fmt.Sprintf("a sequence of %d steps; this model reads from the end, too, and takes at most %d here", c.steps, s.opt.MaxSteps)}
	}
	s.call = c
	return modelfile.Guard(s.file.Path(), s.runCall)
}

func (s *Stream) check(c *streamCall, lengths []int) error {
	cfg, batch := s.m.cfg, s.opt.Batch
	if c.steps < 1 {
		return &InputError{"there are no steps"}
	}
	if lengths != nil && len(lengths) != batch {
		return &InputError{fmt.Sprintf("%d lengths for %d sequences", len(lengths), batch)}
	}
	for b, n := range lengths {
		if n < 0 || n > c.steps {
			return &InputError{fmt.Sprintf("sequence %d has the length %d, must be 0 to %d", b+1, n, c.steps)}
		}
	}
	rows := c.steps * batch
	if cfg.Vocab > 0 {
		if len(c.ids) != rows {
			return &InputError{fmt.Sprintf("%d tokens for %d steps of %d sequences", len(c.ids), c.steps, batch)}
		}
		for i, id := range c.ids {
			if int(id) >= cfg.Vocab || id < 0 && !(id == -1 && c.steps == 1) {
				return &InputError{fmt.Sprintf("token %d is %d, must be 0 to %d", i+1, id, cfg.Vocab-1)}
			}
		}
	} else {
		if len(c.x) != rows*cfg.Input {
			return &InputError{fmt.Sprintf("%d values for %d steps of %d sequences of %d values", len(c.x), c.steps, batch, cfg.Input)}
		}
		for i, v := range c.x {
			if v-v != 0 {
				return &InputError{fmt.Sprintf("value %d of step %d is %v, must be finite", i%cfg.Input+1, i/cfg.Input%c.steps+1, v)}
			}
		}
	}
	want := batch * cfg.OutputWidth()
	if c.all {
		want *= c.steps
	}
	if c.dst != nil && len(c.dst) != want {
		return &InputError{fmt.Sprintf("room for %d values of output, there will be %d", len(c.dst), want)}
	}
	return nil
}
