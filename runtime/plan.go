package runtime

import (
	"math"
	"os"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/memory"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// Plan says what a session needs before anything is allocated. Bytes are exact for the session's own memory; Go's runtime
// is an allowance.
type Plan struct {
	Parts       []Part // of Anonymous
	MappedParts []Part // of Mapped
	CPUs        int    // that Go code may run on at a time; GOMAXPROCS is often more, and each takes memory
	Anonymous   int64  // bytes that only this process has: caches, scratch, Go's runtime
	Mapped      int64  // bytes of the model file: shared between processes, evicted when memory is short

	// Limit is the least of the memory that the options allow, of the limits of this process' control groups, and of what the
	// machine has free. The zero value is no limit.
	Limit memory.Limit

	system  memory.Limit // of control groups and machine alone
	smaller smaller
	added   int64 // bytes of Add
}

// smaller is how a Plan can be made to fit: its batch, its length counted in units, and the Plan for others.
type smaller struct {
	batch, length int
	units         string
	plan          func(batch, length int) (*Plan, error)
}

// Part is one line of a Plan.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

const (
	// goRuntime is what a Go process on up to goCPUs CPUs takes beside a session: its variables, stacks, the collector's tables, and
	// what is allocated between two collections.
	goRuntime = 34 << 17
	goCPUs    = 4

	// goThread is what each further CPU takes: stacks, a cache for small objects, the collector's work.
	goThread = 128 << 10

	// filePages is the least memory for pages of files, the model's and the program's. With less they would go before they were used.
	filePages = 4 << 20

	// programPages is what the program's own take at most.
	programPages = 8 << 20
)

// The parts of a Plan that a session does not allocate.
const (
	partGo    = "Go runtime"
	partModel = "model, read into memory"
)

// ofOptions names Options.Memory among the limits.
const ofOptions = "the limit that was given"

// Plan computes what NewSession(o) will allocate. Errors: *FamilyError, *InputError for options out of range.
func (m *Model) Plan(o Options) (*Plan, error) {
	if err := m.want(FamilyTransformer); err != nil {
		return nil, err
	}
	o, err := o.withDefaults(m.transformer.cfg.MaxLen)
	if err != nil {
		return nil, err
	}
	a := &arena{counting: true}
	(&Session{m: m.transformer, opt: o}).allocate(a)
	return m.planOf(a, o.Threads, o.Memory, smaller{o.Batch, max(o.MaxSource, o.MaxTarget), "tokens a sentence",
		func(batch, length int) (*Plan, error) {
			o := o
			o.Batch, o.MaxSource, o.MaxTarget = batch, min(o.MaxSource, length), min(o.MaxTarget, length)
			o.MinTarget = min(o.MinTarget, o.MaxTarget)
			return m.Plan(o)
		}}), nil
}

// planOf adds up what an arena has counted for a session of this model, of any family.
func (m *Model) planOf(a *arena, threads int, allowed int64, s smaller) *Plan {
	a.count(partGo, goRuntime+int64(max(threads-goCPUs, 0))*goThread)
	p := &Plan{Parts: a.parts, CPUs: max(threads, goCPUs), system: memory.Available(), smaller: s}
	p.Limit = memory.Limit{Bytes: allowed, Of: ofOptions}.Below(p.system)
	file := &arena{}
	for _, s := range m.file.Sections() {
		file.count(sectionPart(s.Kind), s.Size)
	}
	file.count("tables", m.file.Size()-file.total())
	if p.MappedParts, p.Mapped = file.parts, m.file.Size(); !m.file.Mapped() {
		p.MappedParts, p.Mapped = nil, 0
		a.count(partModel, m.file.Size())
		p.Parts = a.parts
	}
	p.Anonymous = a.total()
	return p
}

// Add counts what the program needs beside the session.
func (p *Plan) Add(part string, bytes int64) {
	p.Parts = append(p.Parts, Part{part, bytes})
	p.Anonymous += bytes
	p.added += bytes
}

// Session is the bytes that the session itself allocates.
func (p *Plan) Session() (n int64) {
	for _, part := range p.Parts {
		if part.Name != partGo && part.Name != partModel {
			n += part.Bytes
		}
	}
	return n - p.added
}

// sectionPart says what a section of a file is to those who look at memory.
func sectionPart(k modelfile.Kind) string {
	switch k {
	case modelfile.SectionTensorData:
		return "weights"
	case modelfile.SectionTokenizerSource, modelfile.SectionTokenizerTarget:
		return "tokenizer"
	case modelfile.SectionShortlist:
		return "shortlist"
	}
	return "tables"
}

// Rereads says that the system will take pages of the model back while it runs and read them again from the file, which is slow: all
// of it and the session's own memory are more than there is.
func (p *Plan) Rereads() bool {
	return p.system.Bytes > 0 && p.Anonymous+p.Mapped > p.system.Bytes
}

// Check is a *MemoryError if the session's own memory and some pages of files are more than the limit. It names the largest smaller batch
// that would fit, or with a batch of 1 the largest smaller length.
func (p *Plan) Check() error {
	if p.fits(p.Limit) {
		return nil
	}
	s := p.smaller
	fits := func(batch, length int) bool {
		other, err := s.plan(batch, length)
		if err != nil {
			return false
		}
		other.Anonymous += p.added
		return other.fits(p.Limit)
	}
	e := &MemoryError{Need: p.Anonymous + filePages, Limit: p.Limit, units: s.units}
	if e.Batch = largest(s.batch-1, func(n int) bool { return fits(n, s.length) }); e.Batch == 0 {
		e.Length = largest(s.length-1, func(n int) bool { return fits(1, n) })
	}
	return e
}

// Spare is the bytes that are left under the limit.
func (p *Plan) Spare() int64 {
	if p.Limit.Bytes == 0 {
		return math.MaxInt64
	}
	return max(p.Limit.Bytes-p.Anonymous-filePages, 0)
}

// fits takes limits to be whole pages, as those of control groups are.
func (p *Plan) fits(l memory.Limit) bool {
	return l.Bytes == 0 || p.Anonymous+filePages < l.Bytes+int64(os.Getpagesize())
}

// admit is Check before a session is made. If not all of the model may be in memory at a time its file is narrowed.
func (m *Model) admit(p *Plan) error {
	if err := p.Check(); err != nil {
		return err
	}
	if s := p.system.Bytes; s > 0 && p.Anonymous+p.Mapped+programPages > s {
		m.file.Narrow(s - p.Anonymous)
	} else {
		m.file.Relax()
	}
	return nil
}

// checkLeast is a *MemoryError if there is less memory than any model needs, to be found out before a file is read.
func checkLeast() error {
	limit, need := memory.Available(), int64(goRuntime+filePages)
	if limit.Bytes > 0 && limit.Bytes < need {
		return &MemoryError{Need: need, Limit: limit}
	}
	return nil
}

// largest is the largest n of 1 to most that fits, 0 if none does; below one that fits all do.
func largest(most int, fits func(n int) bool) int {
	least := 0
	for least < most {
		n := least + (most-least+1)/2
		if fits(n) {
			least = n
		} else {
			most = n - 1
		}
	}
	return least
}

// NewSession allocates a session, all of it, once.
// Errors: *FamilyError, *InputError for options out of range, *MemoryError when the Plan does not fit, *kernels.UnavailableError for a
// kernel set that this CPU lacks.
func (m *Model) NewSession(o Options) (*Session, error) {
	plan, err := m.Plan(o)
	if err != nil {
		return nil, err
	}
	set, err := selectKernels(o.Kernels)
	if err != nil {
		return nil, err
	}
	o, _ = o.withDefaults(m.transformer.cfg.MaxLen) // checked by Plan
	if err := m.admit(plan); err != nil {
		return nil, err
	}
	s := &Session{m: m.transformer, set: set, pool: &m.pool, opt: o, file: m.file}
	s.scale = s.m.attentionScale()
	s.allocate(&arena{})
	s.encoderAttention, s.decoderAttention, s.crossAttention = each(s.attendSentence), each(s.attendSelf), each(s.attendCross)
	s.choosePart = each(s.choose)
	s.linearPart, s.step, s.encodeAll = s.multiplyPart, s.stepAll, s.encode
	m.pool.Grow(o.Threads, o.CPUs)
	return s, nil
}

func selectKernels(name string) (kernels.Set, error) {
	if name == "" {
		return kernels.Default()
	}
	return kernels.Select(name)
}
