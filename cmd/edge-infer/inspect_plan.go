package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/pflag"

	edge "github.com/edge-infer/edge-infer/runtime"
)

// planFlags are what shapes a memory plan. Zero values mean what the commands that run the model take when nothing is said.
type planFlags struct {
	source, target, beam int // of a Transformer
	steps                int // of a recurrent network
	k                    int // of nearest neighbours
	batch, threads       int
	memory               string

	given func(flag string) bool // was it on the command line?
}

func (f *planFlags) add(flags *pflag.FlagSet) {
	f.given = flags.Changed
	flags.IntVar(&f.source, "max-source", 0, "plan for sentences of up to `N` tokens (default 256, or what the model allows)")
	flags.IntVar(&f.target, "max-target", 0, "plan for translations of up to `N` tokens (likewise)")
	flags.IntVar(&f.beam, "beam", 0, "plan for so many hypotheses in the search (default: the model's, else 1)")
	flags.IntVar(&f.steps, "steps", 0, "plan for a recurrent network that takes `N` steps at a time (default 64)")
	flags.IntVar(&f.k, "k", 0, "plan for so many neighbours (default: what the model says)")
	flags.IntVar(&f.batch, "batch", 1, "plan for `N` sentences, sequences or queries side by side")
	flags.IntVar(&f.threads, "threads", 1, "plan for `N` threads")
	addMemoryFlag(flags, &f.memory)
}

// planFacts is a memory plan as it is printed. Sizes are in bytes.
type planFacts struct {
	For         string      `json:"for"`
	MappedParts []edge.Part `json:"mapped_parts"`
	Parts       []edge.Part `json:"parts"` // of what is anonymous
	Mapped      int64       `json:"mapped"`
	Anonymous   int64       `json:"anonymous"`
	Limit       int64       `json:"limit,omitempty"`
	LimitOf     string      `json:"limit_of,omitempty"`
	Rereads     bool        `json:"rereads"`

	err error // why it does not fit
}

// plan is the memory plan of a model of any family. Errors: *usageError for options out of range.
func (f *planFlags) plan(m *edge.Model) (*planFacts, error) {
	for _, o := range []struct {
		name, family string
		value        int
	}{
		{"max-source", edge.FamilyTransformer, f.source}, {"max-target", edge.FamilyTransformer, f.target}, {"beam", edge.FamilyTransformer, f.beam},
		{"steps", edge.FamilyRNN, f.steps}, {"k", edge.FamilyKNN, f.k}, {"batch", m.Family(), f.batch}, {"threads", m.Family(), f.threads},
	} {
		switch {
		case !f.given(o.name):
		case o.family != m.Family():
			return nil, &usageError{fmt.Sprintf("--%s is for a %s model, this is a %s model", o.name, o.family, m.Family()), "leave it out"}
		case o.value < 1:
			return nil, &usageError{fmt.Sprintf("--%s is %d, must be 1 or more", o.name, o.value), ""}
		}
	}
	memory, err := parseSize(f.memory)
	if err != nil {
		return nil, err
	}
	var p *edge.Plan
	what := ""
	switch m.Family() {
	case edge.FamilyTransformer:
		o := m.Defaults()
		if f.given("beam") {
			o.Beam = f.beam
		}
		if f.given("max-target") {
			o.MaxTarget = f.target
		}
		o.MaxSource, o.Batch, o.Threads, o.Memory = f.source, f.batch, f.threads, memory
		p, err = m.Plan(o)
		what = fmt.Sprintf("to translate lines, %d at a time", f.batch)
	case edge.FamilyRNN:
		p, err = m.PlanStream(edge.StreamOptions{MaxSteps: f.steps, Batch: f.batch, Threads: f.threads, Memory: memory})
		what = fmt.Sprintf("to run sequences, %d at a time", f.batch)
	case edge.FamilyKNN:
		p, err = m.PlanClassifier(edge.KNNOptions{K: f.k, Batch: f.batch, Threads: f.threads, Memory: memory})
		what = fmt.Sprintf("to answer queries, %d at a time", f.batch)
	}
	if err != nil {
		return nil, asUsageError(err)
	}
	addProgram(p)
	return &planFacts{what, p.MappedParts, p.Parts, p.Mapped, p.Anonymous, p.Limit.Bytes, p.Limit.Of, p.Rereads(), p.Check()}, nil
}

func (p *planFacts) table(b *bytes.Buffer) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, kind := range []struct {
		name  string
		parts []edge.Part
		total int64
	}{
		{"mapped: shared, can be evicted", p.MappedParts, p.Mapped},
		{"anonymous: its own", p.Parts, p.Anonymous},
	} {
		fmt.Fprintf(w, "  %s\t%s\n", kind.name, megabytes(kind.total))
		for _, part := range kind.parts {
			fmt.Fprintf(w, "    %s\t%s\n", part.Name, megabytes(part.Bytes))
		}
	}
	verdict := "it fits"
	switch {
	case p.err != nil:
		verdict = "it does not fit"
	case p.Rereads:
		verdict = "it fits, but parts of the model are read again and again"
	}
	if p.Limit > 0 {
		fmt.Fprintf(w, "  %s\t%s: %s\n", p.LimitOf, megabytes(p.Limit), verdict)
	}
	w.Flush()
}

// print writes the plan alone. One that does not fit is an error.
func (p *planFacts) print(asJSON bool) error {
	var b bytes.Buffer
	if asJSON {
		text, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return err
		}
		b.Write(append(text, '\n'))
	} else {
		fmt.Fprintf(&b, "memory %s\n", p.For)
		p.table(&b)
	}
	if err := printResult(b.Bytes()); err != nil {
		return err
	}
	return p.err
}
