package runtime

import (
	"fmt"
	"unsafe"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/memory"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// Options shape a session. Zero values mean the default in brackets.
type Options struct {
	MaxSource int   // source tokens of a sentence [256, or what the model's positions allow]
	MaxTarget int   // target tokens of a sentence, the end token included [256, likewise]
	MinTarget int   // target tokens before the end token may come [0]
	Batch     int   // sentences decoded side by side [1]
	Beam      int   // hypotheses kept; 1 is greedy search [1]
	Threads   int   // goroutines that share the work, the caller included [1]
	CPUs      []int // one for each thread, which is pinned to it and spins briefly before it parks; the caller pins itself [neither]

	// LengthPenalty divides a hypothesis' log-probability by length^LengthPenalty, end token counted [0].
	LengthPenalty float32

	NBest             int     // hypotheses that Best gives, at most Beam [1]
	NoRepeatNgram     int     // no sequence of so many tokens comes twice in a sentence [0: any may]
	RepetitionPenalty float32 // logits of tokens that came before are divided by it, or multiplied where they are below 0 [1]
	Alternatives      int     // the largest Sentence.Alternative; a Translator gives so many for each line [0]
	MinAlternative    float32 // probability below which an alternative is left out [0]

	AllowBadWords bool // let words come that the model's makers do not want to see

	NoShortlist bool   // let every word come, also where the model lists those that can come of the source's
	TextOnly    bool   // a Translator leaves out Variant.Tokens and Translation.SourceTokens: of a long line they are many times its text
	Scores      bool   // compute log-probabilities in greedy search too; a beam always has them
	Kernels     string // name of a kernel set; "": EDGE_INFER_KERNELS, else the best one
	Memory      int64  // bytes of its own memory that the process may take, if its control groups and the machine leave it so much [what they leave]
}

const (
	// encoderRows is how many rows of several short sentences the encoder takes at once: enough that multiplying them takes
	// longer than bringing the weights in.
	encoderRows = 64

	// fetchBytes of caches are more than a second-level cache holds together with the weights that pass through it.
	fetchBytes = 16 << 20

	defaultMaxLen = 256
	maxBatch      = 1024
	maxBeam       = 64
)

// withDefaults fills in zero values and checks the ranges. positions is the length of the model's position tables.
func (o Options) withDefaults(positions int) (Options, error) {
	for _, f := range []struct {
		name         string
		v            *int
		def, lo, max int
	}{
		{"maximum source length", &o.MaxSource, min(defaultMaxLen, positions), 1, positions},
		{"maximum target length", &o.MaxTarget, min(defaultMaxLen, positions), 1, positions},
		{"minimum target length", &o.MinTarget, 0, 0, positions},
		{"batch", &o.Batch, 1, 1, maxBatch},
		{"n-best", &o.NBest, 1, 1, maxBeam},
		{"beam", &o.Beam, 1, 1, maxBeam}, // after n-best, which asks for as many
		{"size of n-grams not to repeat", &o.NoRepeatNgram, 0, 0, positions},
		{"number of alternatives", &o.Alternatives, 0, 0, maxBeam},
		{"threads", &o.Threads, 1, 1, threads.Max},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.lo || *f.v > f.max {
			return o, &InputError{fmt.Sprintf("%s is %d, must be %d to %d for this model", f.name, *f.v, f.lo, f.max)}
		}
	}
	if o.MinTarget > o.MaxTarget {
		return o, &InputError{fmt.Sprintf("minimum target length %d is above the maximum %d", o.MinTarget, o.MaxTarget)}
	}
	if !(o.LengthPenalty >= -10 && o.LengthPenalty <= 10) {
		return o, &InputError{fmt.Sprintf("length penalty is %g, must be -10 to 10", o.LengthPenalty)}
	}
	if o.RepetitionPenalty == 0 {
		o.RepetitionPenalty = 1
	}
	if !(o.RepetitionPenalty >= 0.01 && o.RepetitionPenalty <= 100) {
		return o, &InputError{fmt.Sprintf("repetition penalty is %g, must be 0.01 to 100", o.RepetitionPenalty)}
	}
	if !(o.MinAlternative >= 0 && o.MinAlternative <= 1) {
		return o, &InputError{fmt.Sprintf("probability of an alternative is %g, must be 0 to 1", o.MinAlternative)}
	}
	if o.NBest > o.Beam {
		return o, &InputError{fmt.Sprintf("n-best is %d, must be at most the beam, which is %d", o.NBest, o.Beam)}
	}
	if o.NBest > 1 && o.Alternatives > 0 {
		return o, &InputError{fmt.Sprintf("both the best %d and %d alternatives: a search gives one or the other", o.NBest, o.Alternatives)}
	}
	return o, nil
}

// Hypothesis is one output of a search. Tokens excludes the end token.
type Hypothesis struct {
	Tokens []int32
	// Score is the sum of the tokens' log-probabilities, the end token included, over length^LengthPenalty. It is 0 in
	// greedy search without Options.Scores. Tokens of a Sentence.Prefix add to the length, not to the sum. Of an alternative
	// it is the log-probability of its first own token and the score of what follows that.
	Score float32
	Cut   bool // the maximum length came before the end token
}

// Session decodes up to Options.Batch sentences side by side. Its memory is allocated when it is made; after that no
// method allocates. A Session is for one goroutine at a time; a Model serves many Sessions.
//
//	slot, err := s.Add(source) // until the slots are taken
//	running, err := s.Step()   // one token for every sentence
//	s.Done(slot); s.Best(slot); s.Release(slot)
type Session struct {
	m     *transformer
	set   kernels.Set
	pool  *threads.Pool
	opt   Options
	file  *modelfile.File
	scale float32 // of attention scores

	slots   []slot
	pending []int       // slots whose source is not encoded yet, in order of Add
	active  []activeRow // the rows of the decoding step under way
	longest int         // positions the longest active row looks back over

	// Scratch for rows of activations, used by encoder and decoder in turn.
	rows, ffnWidth, vocab int
	x, h, qkv, ctx, ffn   []float32
	q8                    []int8
	q8Scale               []float32
	logits                []float32 // [Batch*Beam, vocab]; none if greedy is set
	workers               []workerScratch

	// Greedy search without scores wants the best word of each row alone: logits are looked at where they come to be, a few
	// hundred columns at a time, and never lie in memory whole. A batch's would take as long as the product itself.
	greedy  bool
	choices []choice // [part][row]

	// Caches. Keys in blocks [pos/16][Dim][16], those of the target that do not fill one yet as they come, [pos][Dim]; values [pos][Dim].
	sourceBlocks, targetBlocks                 int
	selfKeys, selfValues, crossKeys, crossVals []float32
	recurrent                                  []float32 // [2][DecoderLayers][Batch*Beam][Dim], the states of an SSRU; it has no selfKeys and selfValues
	fetch                                      bool      // they are so large that it pays to ask for them ahead

	short     shortScratch // slots nil: no shortlist
	search    searchScratch
	sentences []sentence // of the encoder call under way
	job       linearJob
	layer     int

	// Method values made once: making one allocates.
	encoderAttention, decoderAttention, crossAttention, linearPart, choosePart func(worker, from, to int)
	step, encodeAll                                                            func() error
	running                                                                    int
}

// workerScratch is what one thread needs for itself.
type workerScratch struct {
	tile   []int32
	scores []float32 // [heads, positions]
	keys   []float32 // in blocks: one head's of one source sentence, or all heads' of 16 positions
	lanes  [16]float32
	logits []float32 // [Batch, outputCols], if greedy is set
}

// sentence is one source sentence's place among the rows of an encoder call.
type sentence struct{ slot, row, rows int }

// activeRow is one hypothesis in a decoding step: its input token (-1: zero embedding) at position pos.
type activeRow struct {
	slot, beam, pos int
	token           int32
}

// arena hands out the session's memory. Counting first and allocating second run the same code, so a Plan is exact.
type arena struct {
	counting bool
	parts    []Part
}

// take gives a part of the session's memory, n[0] * n[1] * ... elements. Not inlined: it is called in a hundred places, each once a
// session.
//
//go:noinline
func take[T any](a *arena, part string, n ...int) []T {
	var t T
	return make([]T, a.take(part, int64(unsafe.Sizeof(t)), n))
}

// take is the number of elements to allocate: none while it only counts.
//
//go:noinline
func (a *arena) take(part string, size int64, n []int) int64 {
	count := int64(1)
	for _, f := range n {
		count *= int64(f)
	}
	if !a.counting {
		return count
	}
	a.count(part, count*size)
	return 0
}

// total is the bytes counted.
func (a *arena) total() (n int64) {
	for _, p := range a.parts {
		n += p.Bytes
	}
	return n
}

func (a *arena) count(part string, bytes int64) {
	for i := range a.parts {
		if a.parts[i].Name == part {
			a.parts[i].Bytes += bytes
			return
		}
	}
	a.parts = append(a.parts, Part{part, bytes})
}

func (s *Session) allocate(a *arena) {
	c, o := s.m.cfg, s.opt
	d, beams := c.Dim, o.Batch*o.Beam
	s.rows = max(o.MaxSource, beams, min(o.Batch*o.MaxSource, encoderRows))
	s.ffnWidth, s.vocab = kernels.Pad16(c.FFN), kernels.Pad16(c.TargetVocab)
	s.sourceBlocks, s.targetBlocks = kernels.Pad16(o.MaxSource)/16, kernels.Pad16(o.MaxTarget)/16

	const act, cache, book = "activations", "key-value caches", "search"
	s.x = take[float32](a, act, s.rows, d)
	s.h = take[float32](a, act, s.rows, d)
	s.qkv = take[float32](a, act, s.rows, 3*d)
	s.ctx = take[float32](a, act, s.rows, d)
	s.ffn = take[float32](a, act, s.rows, s.ffnWidth)
	s.q8 = take[int8](a, act, s.rows, max(d, s.ffnWidth))
	s.q8Scale = take[float32](a, act, s.rows)
	if s.greedy = o.Beam == 1 && !o.Scores && o.Alternatives == 0 && !o.restrains(c); s.greedy {
		s.choices = take[choice](a, act, s.outputParts(), beams)
	} else {
		s.logits = take[float32](a, act, beams, s.vocab)
	}
	s.workers = make([]workerScratch, o.Threads)
	for i := range s.workers {
		s.workers[i] = workerScratch{
			tile:   take[int32](a, act, kernels.LinearScratch),
			scores: take[float32](a, act, c.Heads, max(o.MaxSource, o.MaxTarget)),
			keys:   take[float32](a, act, 16, max(s.sourceBlocks*d/c.Heads, d)),
		}
		if s.greedy {
			s.workers[i].logits = take[float32](a, act, beams, outputCols)
		}
	}
	if c.DecoderMixer == MixerSSRU {
		s.recurrent = take[float32](a, "recurrent states", 2, c.DecoderLayers, beams, d)
	} else {
		s.selfKeys = take[float32](a, cache, c.DecoderLayers, beams, s.targetBlocks*16, d)
		s.selfValues = take[float32](a, cache, c.DecoderLayers, beams, o.MaxTarget, d)
	}
	s.crossKeys = take[float32](a, cache, c.DecoderLayers, o.Batch, s.sourceBlocks*16, d)
	s.crossVals = take[float32](a, cache, c.DecoderLayers, o.Batch, o.MaxSource, d)
	if s.fetch = 4*(len(s.selfKeys)+len(s.selfValues)+len(s.crossKeys)+len(s.crossVals)) > fetchBytes; s.fetch {
		for _, cache := range [][]float32{s.selfKeys, s.selfValues, s.crossKeys, s.crossVals} {
			memory.PreferLargePages(cache)
		}
	}

	s.allocateShortlist(a)
	s.slots = make([]slot, o.Batch)
	for i := range s.slots {
		s.slots[i].allocate(a, book, o)
	}
	a.count(book, int64(len(s.slots))*int64(unsafe.Sizeof(slot{}))+int64(len(s.workers))*int64(unsafe.Sizeof(workerScratch{})))
	s.search.allocate(a, book, o)
	s.pending = take[int](a, book, o.Batch)[:0]
	s.active = take[activeRow](a, book, beams)[:0]
	s.sentences = take[sentence](a, book, o.Batch)[:0]
}

func (s *Session) selfCache(slot, beam, layer int) (keys, values []float32) {
	d := s.m.cfg.Dim
	row := layer*s.opt.Batch*s.opt.Beam + slot*s.opt.Beam + beam
	k, v := s.targetBlocks*16*d, s.opt.MaxTarget*d
	return s.selfKeys[row*k:][:k], s.selfValues[row*v:][:v]
}

func (s *Session) crossCache(slot, layer int) (keys, values []float32) {
	d := s.m.cfg.Dim
	row := layer*s.opt.Batch + slot
	k, v := s.sourceBlocks*16*d, s.opt.MaxSource*d
	return s.crossKeys[row*k:][:k], s.crossVals[row*v:][:v]
}

// Sentence is what Start takes.
type Sentence struct {
	Source []int32 // without the prefix and the end token that the model wants
	Prefix []int32 // target tokens that every hypothesis begins with; with the model's own prefix, fewer than MaxTarget

	// Alternative k > 0 makes the k-th most probable token follow Prefix, and searches from there. Alternatives of a sentence are
	// independent of each other, and need not be at work side by side.
	Alternative int
}

// Add is Start of a sentence without further wishes.
func (s *Session) Add(source []int32) (int, error) { return s.Start(Sentence{Source: source}) }

// Start puts a sentence into a free slot; its ids are copied. It returns the slot, or -1 with no error when all slots are
// taken.
// Errors: *InputError for no tokens, too many, an id outside the vocabulary, or an alternative above Options.Alternatives.
func (s *Session) Start(x Sentence) (int, error) {
	c, source := s.m.cfg, x.Source
	n := len(c.SourcePrefix) + len(source)
	if c.SourceEOS {
		n++
	}
	if len(source) == 0 {
		return -1, &InputError{"a sentence without tokens"}
	}
	if n > s.opt.MaxSource {
		return -1, &InputError{fmt.Sprintf("a sentence of %d tokens; this session takes %d", n, s.opt.MaxSource)}
	}
	if err := s.checkPrefix(x.Prefix); err != nil {
		return -1, err
	}
	if x.Alternative < 0 || x.Alternative > s.opt.Alternatives {
		return -1, &InputError{fmt.Sprintf("alternative %d; this session takes up to %d", x.Alternative, s.opt.Alternatives)}
	}
	for _, id := range source {
		if id < 0 || int(id) >= c.SourceVocab {
			return -1, &InputError{fmt.Sprintf("token %d is outside the source vocabulary of %d", id, c.SourceVocab)}
		}
	}
	for i := range s.slots {
		t := &s.slots[i]
		if t.state != slotFree {
			continue
		}
		t.source = append(append(t.source[:0], c.SourcePrefix...), source...)
		if c.SourceEOS {
			t.source = append(t.source, c.SourceEOSID)
		}
		t.begin(c.DecoderStart, c.TargetPrefix, x.Prefix, x.Alternative)
		s.pending = append(s.pending, i)
		return i, nil
	}
	return -1, nil
}

// checkPrefix says whether a translation can begin with these tokens.
func (s *Session) checkPrefix(prefix []int32) error {
	if n := len(s.m.cfg.TargetPrefix) + len(prefix); n >= s.opt.MaxTarget {
		return &InputError{fmt.Sprintf("a prefix of %d tokens leaves no room in a translation of at most %d", n, s.opt.MaxTarget)}
	}
	for _, id := range prefix {
		if id < 0 || int(id) >= s.m.cfg.TargetVocab {
			return &InputError{fmt.Sprintf("token %d of the prefix is outside the target vocabulary of %d", id, s.m.cfg.TargetVocab)}
		}
		if id == s.m.cfg.EOS {
			return &InputError{"the prefix holds the token that ends a translation"}
		}
	}
	return nil
}

// SourceRoom is the number of tokens that Add takes at most, prefix and end token not counted.
func (s *Session) SourceRoom() int {
	n := s.opt.MaxSource - len(s.m.cfg.SourcePrefix)
	if s.m.cfg.SourceEOS {
		n--
	}
	return n
}

// Encode runs the encoder over what was added since the last step, which Step does first if nobody did. Errors: those of Step.
func (s *Session) Encode() error {
	err := modelfile.Guard(s.file.Path(), s.encodeAll)
	if err != nil {
		s.Reset()
	}
	return err
}

// Step encodes what was added since the last one and decodes one token of every sentence. It returns how many sentences
// still run. A model file that was cut while mapped gives a *modelfile.FormatError, numbers out of range a *ModelError;
// after an error the session is empty and usable.
func (s *Session) Step() (running int, err error) {
	if err := modelfile.Guard(s.file.Path(), s.step); err != nil {
		s.Reset()
		return 0, err
	}
	return s.running, nil
}

func (s *Session) stepAll() error {
	if err := s.encode(); err != nil {
		return err
	}
	s.active, s.longest, s.running = s.active[:0], 0, 0
	for i := range s.slots {
		t := &s.slots[i]
		if t.state != slotDecoding {
			continue
		}
		s.longest = max(s.longest, len(t.source), t.length+1)
		for b := range t.live {
			s.active = append(s.active, activeRow{i, b, t.length, t.now.last[b]})
		}
	}
	if len(s.active) == 0 {
		return nil
	}
	if err := s.decode(); err != nil {
		return err
	}
	for row := 0; row < len(s.active); {
		t := &s.slots[s.active[row].slot]
		n := t.live
		switch {
		case t.length < t.prefix:
			t.force()
		case s.greedy:
			s.append(t, s.chosen(row), 0)
		default:
			s.advance(t, s.logits[row*s.vocab:][:n*s.vocab])
		}
		row += n
		if t.state == slotDecoding {
			s.running++
		}
	}
	return nil
}

// Done reports whether the slot's sentence is finished.
func (s *Session) Done(slot int) bool { return s.slots[slot].state == slotDone }

// Best returns the hypotheses of a finished slot, best first, NBest of them or as many as the search has found: none of an
// alternative that is not there. The tokens are valid until Release.
func (s *Session) Best(slot int) []Hypothesis { return s.slots[slot].results }

// Growing returns the tokens of a slot's first hypothesis so far, without the end token: in greedy search those that stay. They are
// valid until the next step.
func (s *Session) Growing(slot int) []int32 {
	t := &s.slots[slot]
	if t.state != slotDecoding {
		return nil
	}
	return t.now.tokens[min(len(s.m.cfg.TargetPrefix), t.length):t.length]
}

// vacant says that Start would find a slot.
func (s *Session) vacant() bool {
	for i := range s.slots {
		if s.slots[i].state == slotFree {
			return true
		}
	}
	return false
}

// Release frees a slot, finished or not.
func (s *Session) Release(slot int) {
	s.slots[slot].state = slotFree
	n := 0
	for _, p := range s.pending {
		if p != slot {
			s.pending[n] = p
			n++
		}
	}
	s.pending = s.pending[:n]
}

// Reset frees all slots.
func (s *Session) Reset() {
	for i := range s.slots {
		s.slots[i].state = slotFree
	}
	s.pending = s.pending[:0]
}
