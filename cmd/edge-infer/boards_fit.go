package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/boards"
	edge "github.com/edge-infer/edge-infer/runtime"
)

const allBoards = "all"

func newBoardsFitCommand() *cobra.Command {
	asJSON, board := false, ""
	cmd := &cobra.Command{
		Use:   "fit MODEL",
		Short: "Whether a model fits a board, how fast it can be there at most, and what would help",
		Long: `Compares what a model needs with what boards have: the memory of its plan, the
bytes of weights that a token has to read, the multiply-adds it takes. MODEL is a
file or the name of an embedded model. Without --board it is the board that this
is; where this is none of those known, all of them.

The ceiling is what the board could do if nothing else took time: each pass over
the weights takes the longer of reading them from memory and of multiplying, both
at full speed, on as many cores as translate takes by default. It is a bound to
compare boards and models by, not a forecast; bench model measures on the board.`,
		Example: `  edge-infer boards fit zh-en
  edge-infer boards fit opus-mt-zh-en.ei8 --board pi-zero-2-w
  edge-infer boards fit opus-mt-zh-en.ei8 --json | jq '.boards[] | select(.fits == "yes") | .name'`,
		Args: oneArgument("one model", "a file, or the name of an embedded model such as zh-en"),
		RunE: func(_ *cobra.Command, args []string) error {
			profiles, here, err := fitBoards(board)
			if err != nil {
				return err
			}
			m, err := openModel(args[0])
			if err != nil {
				return err
			}
			defer m.Close()
			r, err := newFitReport(args[0], m, profiles, here)
			if err != nil {
				return err
			}
			if board == "" && here == nil {
				fmt.Fprintln(os.Stderr, "edge-infer: this machine is none of the boards that are known: here are all of them; --board names one")
			}
			if here != nil && goruntime.GOARCH == "arm" && r.Boards[0].Kernels != "generic" {
				fmt.Fprintln(os.Stderr, "edge-infer: these figures are of the arm64 program, on a 64-bit system; this is the 32-bit one, which is far slower")
			}
			switch {
			case asJSON:
				return printJSON(r)
			case len(profiles) == 1:
				return printResult(r.details())
			}
			return printResult(r.table())
		},
	}
	cmd.Flags().StringVar(&board, "board", "", "`NAME` of a board, or all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// fitBoards are the boards that a name stands for; here is this machine if it is the one.
func fitBoards(name string) (profiles []boards.Profile, here *boards.Board, err error) {
	switch name {
	case allBoards:
		return boards.Profiles, nil, nil
	case "":
		b := boards.Detect()
		if p := b.Profile(); p != nil {
			return []boards.Profile{*p}, &b, nil
		}
		return boards.Profiles, nil, nil
	}
	p, err := findBoard(name)
	if err != nil {
		return nil, nil, err
	}
	return []boards.Profile{*p}, nil, nil
}

// fitReport is what the command prints. Rates are ceilings in the unit, none of them measured.
type fitReport struct {
	Model     string     `json:"model"`
	Family    string     `json:"family"`
	FileBytes int64      `json:"file_bytes"` // mapped: shared, can be evicted
	OwnBytes  int64      `json:"own_bytes"`  // anonymous
	Unit      string     `json:"unit"`       // of rates
	Work      []fitWork  `json:"work"`
	Boards    []boardFit `json:"boards"`
}

// fitWork is one pass over weights in words and numbers.
type fitWork struct {
	What  string  `json:"what"` // "a target token"
	Bytes float64 `json:"bytes"`
	MACs  float64 `json:"macs"`
}

// boardFit is the model on one board.
type boardFit struct {
	Name    string        `json:"name"`
	Title   string        `json:"title"`
	Free    boards.Figure `json:"free_mb"`
	Fits    string        `json:"fits"`            // one of the fits constants
	NeedsMB int           `json:"needs_mb"`        // of free memory, to fit
	FitsRAM int           `json:"fits_ram"`        // MB of the smallest version that it fits, 0 for none, and of the board at hand
	Kernels string        `json:"kernels"`         // set
	Cores   int           `json:"cores"`           // that compute
	MHz     boards.Figure `json:"mhz"`             //
	Ceiling float64       `json:"ceiling"`         // in the unit; 0: it will not run
	Bound   string        `json:"bound"`           // by memory, multiplies or SD card
	Helps   []fitHelp     `json:"helps,omitempty"` // best first
	core    string
}

// fitHelp is what would raise the ceiling.
type fitHelp struct {
	What    string  `json:"what"`
	Ceiling float64 `json:"ceiling"`
	brief   string  // What, for the table
}

const (
	fitsYes     = "yes"
	fitsRereads = "rereads" // runs, but the file does not stay in memory
	fitsNo      = "no"
)

// fitCase is a way to run a model: what it reads, and how many tokens, steps or queries come of that.
type fitCase struct {
	brief, what string
	passes      []boards.Pass
	units       float64
}

const (
	fitSource, fitTarget = 12, 20 // the sentence of bench model
	fitShortlist         = 2000   // words that a shortlist lets come, about those of a Firefox model

	boundCard = "SD card" // beside the bounds of package boards
)

func newFitReport(name string, m *edge.Model, profiles []boards.Profile, here *boards.Board) (*fitReport, error) {
	plan, err := planOf(m)
	if err != nil {
		return nil, asUsageError(err)
	}
	r := &fitReport{Model: name, Family: m.Family(), FileBytes: plan.Mapped, OwnBytes: plan.Anonymous}
	cases := r.cases(m)
	for i := range profiles {
		r.Boards = append(r.Boards, r.fit(&profiles[i], cases, here))
	}
	return r, nil
}

// planOf is the plan of a model of any family, run as its command does by default.
func planOf(m *edge.Model) (*edge.Plan, error) {
	switch m.Family() {
	case edge.FamilyRNN:
		return m.PlanStream(edge.StreamOptions{})
	case edge.FamilyKNN:
		return m.PlanClassifier(edge.KNNOptions{})
	}
	return m.Plan(edge.Options{})
}

// passes turns what bench model reads into plain numbers.
func passes(reads []weightRead) (all []boards.Pass) {
	for _, r := range reads {
		bytes := 0.0
		for _, w := range r.matrices {
			bytes += float64(len(w))
		}
		all = append(all, boards.Pass{Bytes: bytes, MACs: r.rows * bytes, Times: r.times})
	}
	return all
}

// cases describes the work, and gives ways to run the model: the first is the usual one, the others might be faster.
func (r *fitReport) cases(m *edge.Model) []fitCase {
	work := func(what string, all []boards.Pass) {
		w := fitWork{What: what}
		for _, p := range all {
			w.Bytes += p.Bytes
			w.MACs += p.MACs
		}
		r.Work = append(r.Work, w)
	}
	switch m.Family() {
	case edge.FamilyRNN:
		r.Unit = "steps/s"
		one, many := passes(recurrentReads(m, 1)), passes(recurrentReads(m, 64))
		work("a step", one)
		return []fitCase{{passes: one, units: 1}, {"64 a call", "64 steps in one call", many, 64}}
	case edge.FamilyKNN:
		r.Unit = "queries/s"
		one, many := passes(neighborReads(m, 1)), passes(neighborReads(m, 64))
		work("a query", one)
		return []fitCase{{passes: one, units: 1}, {"64 at once", "64 queries at once", many, 64}}
	}
	r.Unit = "tok/s"
	one, many := passes(transformerReads(m, fitSource, fitTarget, 1)), passes(transformerReads(m, fitSource, fitTarget, 8))
	work("a target token", one[1:])
	work(fmt.Sprintf("encoding %d tokens, once a sentence", fitSource), one[:1])
	all := []fitCase{{passes: one, units: fitTarget}, {"--batch 8", "--batch 8", many, 8 * fitTarget}}
	c := m.Config()
	if spared := float64((c.TargetVocab - fitShortlist) * c.Dim); m.Shortlist() == nil && spared > 0 {
		short := slices.Clone(one)
		short[1].Bytes -= spared
		short[1].MACs -= spared
		all = append(all, fitCase{"shortlist", fmt.Sprintf("a model with a shortlist of %d words", fitShortlist), short, fitTarget})
	}
	return all
}

// fit is the model on one board.
func (r *fitReport) fit(p *boards.Profile, cases []fitCase, here *boards.Board) boardFit {
	c := p.Fast()
	f := boardFit{
		Name: p.Name, Title: p.Title, Free: p.Free, Kernels: kernelsOf(c.CoreKind()), Cores: min(c.Count, mostByDefault), MHz: c.MHz, core: c.Core,
		NeedsMB: int((r.OwnBytes + r.FileBytes + 1<<20 - 1) >> 20),
	}
	known := here != nil && here.MemAvailable > 0
	if known {
		f.Free = boards.Figure{Value: float64(here.MemAvailable >> 20), Source: "this board, now", Measured: true}
	}
	f.Fits = r.fits(f.Free)
	for _, ram := range p.RAM {
		if !known && f.FitsRAM == 0 && r.fits(p.FreeAt(ram)) == fitsYes {
			f.FitsRAM = ram
		}
	}
	switch {
	case f.Fits == fitsYes || f.FitsRAM > 0: // of the version that it fits
		f.addCeiling(p, cases)
	case f.Fits == fitsRereads:
		f.addCeiling(p, cases)
		kept := float64(int64(f.Free.Value)<<20 - r.OwnBytes)
		if c := cases[0].units / cardSeconds(cases[0].passes, kept); c < f.Ceiling {
			f.Ceiling, f.Bound, f.Helps = c, boundCard, nil
		}
	}
	return f
}

func (f *boardFit) addCeiling(p *boards.Profile, cases []fitCase) {
	rate := func(w fitCase, cores int) (float64, string) {
		seconds, bound := p.Least(w.passes, cores)
		return w.units / seconds, bound
	}
	f.Ceiling, f.Bound = rate(cases[0], f.Cores)
	for _, w := range cases[1:] {
		n, _ := rate(w, f.Cores)
		f.Helps = append(f.Helps, fitHelp{w.what, n, w.brief})
	}
	threads := fmt.Sprintf("--threads %d", p.Fast().Count)
	n, _ := rate(cases[0], p.Fast().Count)
	f.Helps = append(f.Helps, fitHelp{threads, n, threads})
	f.Helps = slices.DeleteFunc(f.Helps, func(h fitHelp) bool { return h.Ceiling < 1.1*f.Ceiling })
	sort.Slice(f.Helps, func(i, j int) bool { return f.Helps[i].Ceiling > f.Helps[j].Ceiling })
}

// cardSeconds is the least time of passes of which no more than kept bytes stay in memory: the rest is read from the card each time.
func cardSeconds(passes []boards.Pass, kept float64) (seconds float64) {
	const card = 20e6 // bytes a second, of an SD card
	for _, w := range passes {
		seconds += w.Times * max(w.Bytes-kept, 0) / card
	}
	return seconds
}

// fits compares what is free with what the session and the file need. What the runtime refuses: less than the session's own
// memory and 4 MB.
func (r *fitReport) fits(free boards.Figure) string {
	const spare = 4 << 20
	switch bytes := int64(free.Value) << 20; {
	case bytes >= r.OwnBytes+r.FileBytes:
		return fitsYes
	case bytes >= r.OwnBytes+spare:
		return fitsRereads
	}
	return fitsNo
}

func (r *fitReport) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, a file of %s MB; runs in %s MB of its own beside it\n", r.Model, r.Family,
		wholeMB(r.FileBytes), wholeMB(r.OwnBytes))
	for _, w := range r.Work {
		fmt.Fprintf(&b, "%s: ~%s MB of weights to read, ~%s million multiply-adds\n", w.What, short(w.Bytes/1e6), short(w.MACs/1e6))
	}
	return b.String()
}

func (r *fitReport) table() []byte {
	var b bytes.Buffer
	b.WriteString(r.head() + "\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "board\tfree MB\tfits\tkernels\tcores, GHz\t%s\tbound by\twhat would help\n", r.Unit)
	for i := range r.Boards {
		f := &r.Boards[i]
		ceiling := "-"
		if f.Ceiling > 0 {
			ceiling = "~" + short(f.Ceiling)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d x %s\t%s\t%s\t%s\n", f.Name, figure(f.Free, 1, "%.0f"), f.fitsInWords(), f.Kernels,
			f.Cores, figure(f.MHz, 1e-3, "%.1f"), ceiling, cmp.Or(f.Bound, "-"), f.help())
	}
	w.Flush()
	fmt.Fprintf(&b, `
~ was not measured on such a board: boards show NAME gives the sources. free MB: smallest version,
idle. %s: a ceiling, if reading weights from memory (one core's speed) or multiplying
were all there is to do; programs stay below it.`, r.Unit)
	if r.Family == edge.FamilyTransformer {
		fmt.Fprintf(&b, " Sentences have %d tokens and give %d.", fitSource, fitTarget)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// fitsInWords is for the table: yes, no, or the smallest version of the board that the model fits.
func (f *boardFit) fitsInWords() string {
	switch {
	case f.Fits == fitsYes:
		return "yes"
	case f.FitsRAM > 0:
		return "from " + ramSizes([]int{f.FitsRAM})
	case f.Fits == fitsRereads:
		return "rereads"
	}
	return "no"
}

func (f *boardFit) help() string {
	switch {
	case f.Bound == "" || f.Bound == boundCard:
		return "more memory"
	case len(f.Helps) > 0:
		return fmt.Sprintf("%s: ~%s", f.Helps[0].brief, short(f.Helps[0].Ceiling))
	case f.Kernels == "generic":
		return "a 64-bit board"
	}
	return "-"
}

func (r *fitReport) details() []byte {
	var b bytes.Buffer
	f := &r.Boards[0]
	fmt.Fprintf(&b, "%s\non %s\n\n", r.head(), f.Title)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("fits", "%s", map[string]string{
		fitsYes:     "yes",
		fitsRereads: "it runs, but the file does not stay in memory and is read again and again",
		fitsNo:      "no: it will be refused",
	}[f.Fits])
	row("", "it needs %d MB, %s MB are free (%s)", f.NeedsMB, figure(f.Free, 1, "%.0f"), f.Free.Source)
	if f.Fits != fitsYes && f.FitsRAM > 0 {
		row("", "an idle board of %s has enough: what follows is of that", ramSizes([]int{f.FitsRAM}))
	}
	row("kernels", "%s, on %d x %s at %s MHz", f.Kernels, f.Cores, f.core, figure(f.MHz, 1, "%.0f"))
	if f.Ceiling > 0 {
		row("ceiling", "~%s %s, bound by %s", short(f.Ceiling), r.Unit, f.Bound)
	}
	if f.Ceiling == 0 || f.Bound == boundCard {
		row("what would help", "more memory, or a smaller model")
	}
	for i, h := range f.Helps {
		name := ""
		if i == 0 {
			name = "what would help"
		}
		row(name, "%s: ~%s %s", h.What, short(h.Ceiling), r.Unit)
	}
	if f.Kernels == "generic" && len(f.Helps) > 0 {
		row("", "a 64-bit board: this one has no vector instructions that the program uses")
	}
	w.Flush()
	fmt.Fprintf(&b, "\n~ was not measured on such a board; edge-infer boards show %s gives the sources.\n", f.Name)
	return b.Bytes()
}

// wholeMB prints megabytes, of less than ten two digits.
func wholeMB(n int64) string {
	v := float64(n) / (1 << 20)
	if v < 9.95 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// short prints a number with three digits that count.
func short(v float64) string {
	switch {
	case v < 999.5:
		return fmt.Sprintf("%.3g", v)
	case v >= 999500:
		return short(v/1e6) + "M"
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-2)
	return fmt.Sprintf("%.0f", math.Round(v/unit)*unit)
}
