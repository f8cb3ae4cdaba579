package runtime

import "github.com/edge-infer/edge-infer/kernels"

// Plan says what a session needs before anything is allocated. Bytes are exact for the session's own memory; Go's runtime
// is an allowance.
type Plan struct {
	Parts     []Part
	Anonymous int64 // bytes that only this process has: caches, scratch, Go's runtime
	Mapped    int64 // bytes of the model file: shared between processes, evicted when memory is short
}

// Part is one line of a Plan.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// goRuntime is what a Go process takes before it loads a model: heap metadata, stacks, the collector's tables.
const goRuntime = 6 << 20

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
	return m.planOf(a), nil
}

// planOf adds up what an arena has counted for a session of this model, of any family.
func (m *Model) planOf(a *arena) *Plan {
	p := &Plan{Parts: append(a.parts, Part{"Go runtime", goRuntime}), Mapped: m.file.Size()}
	for _, part := range p.Parts {
		p.Anonymous += part.Bytes
	}
	return p
}

// fits is a *MemoryError with the hint when the Plan takes more than limit bytes; 0 stands for what the machine has free.
func (p *Plan) fits(limit int64, hint string) error {
	if limit == 0 {
		limit = availableMemory()
	}
	if limit > 0 && p.Anonymous > limit {
		return &MemoryError{p.Anonymous, limit, hint}
	}
	return nil
}

// NewSession allocates a session, all of it, once.
// Errors: *FamilyError, *InputError for options out of range, *MemoryError when the Plan exceeds Options.Memory or what the machine has
// free, *kernels.UnavailableError for a kernel set that this CPU lacks.
func (m *Model) NewSession(o Options) (*Session, error) {
	plan, err := m.Plan(o)
	if err != nil {
		return nil, err
	}
	set, err := selectKernels(o.Kernels)
	if err != nil {
		return nil, err
	}
	if err := plan.fits(o.Memory, "take a smaller batch, beam or maximum length"); err != nil {
		return nil, err
	}
	o, _ = o.withDefaults(m.transformer.cfg.MaxLen) // checked by Plan
	s := &Session{m: m.transformer, set: set, pool: &m.pool, opt: o, path: m.file.Path()}
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
