package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
)

type benchModelFlags struct {
	model           string
	source, target  int
	batch, threads  int
	cpus            []int
	cores           threadFlags // what threads and cpus come from
	steps, queries  int
	runs            int
	format, drawing string
}

func newBenchModelCommand() *cobra.Command {
	f := &benchModelFlags{}
	cmd := &cobra.Command{
		Use:   "model",
		Short: "How fast a model runs",
		Long: `Runs a model of any family on random input, the same on every machine.

A Transformer encodes --source random tokens of each of --batch sentences side by
side and decodes exactly --target tokens of each, whatever the model says about where
they end. A recurrent network takes steps one at a time, and --steps in one call.
Nearest neighbours are sought for one query, and for --queries side by side.

  tok_per_s           target tokens a second over the whole time, encoder included
  ms_first_token      from the sentences to the first token of each; of a recurrent
                      network: --source steps, and the output of the last
  encode_tok_per_s    source tokens a second through the encoder
  us_per_step, steps_per_s    of a recurrent network
  qps, rows_ranked    queries a second, and the rows whose exact distance one needed
  percent_of_ceiling  of what this machine could do at most: the slower of reading the
                      weights from where they lie and of multiplying on registers,
                      both by plain loops in the same run: 100 is not a wall
  ms_load             to open and check the file
  ms_ready            that, and to plan and allocate what runs it
  ms_cold             to open, check and answer once, the file's pages dropped from the
                      page cache first; none where the system kept them
  peak_rss_bytes      most memory the process had, the mapped model included

Times are medians of --runs after one that does not count; the format go prints
every run, for benchstat. Clock and throttling, where the system tells them, are
read before and after.`,
		Example: `  edge-infer bench model
  edge-infer bench model -m zh-en.ei8 --batch 32 --threads 1
  edge-infer bench model -m lstm
  edge-infer bench model -m digits.ei8 --plot latency.svg
  edge-infer bench model -f go -r 10 > new.txt   # then: benchstat old.txt new.txt`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.model, "model", "m", "", "`FILE` of a model, or the name of an embedded one")
	flags.IntVar(&f.source, "source", 12, "random source tokens a sentence; what the model adds to each sentence comes on top")
	flags.IntVar(&f.target, "target", 20, "target tokens a sentence")
	flags.IntVar(&f.batch, "batch", 1, "sentences decoded side by side")
	flags.IntVar(&f.steps, "steps", 64, "steps of a recurrent network in one call")
	flags.IntVar(&f.queries, "queries", 64, "queries side by side")
	f.cores.add(flags)
	flags.IntVarP(&f.runs, "runs", "r", 7, "measurements")
	flags.StringVarP(&f.format, "format", "f", "table", benchFormatUsage)
	flags.StringVar(&f.drawing, "plot", "", "also draw times by length (of sentences, sequences, batches) into `FILE`, as SVG")
	return cmd
}

// benchCase is one way to run a model: a row of the output.
type benchCase struct {
	subject []benchField                // beside model, set and threads
	run     func() (modelRun, error)    // once
	rates   func(modelRun) []benchField // the figures of its family
	reads   []weightRead                // what one run cannot do without
}

// weightRead is matrices that a run reads some times, one after another, each time multiplying rows with them.
type weightRead struct {
	matrices [][]int8
	times    float64
	rows     float64 // multiply-adds of each byte, 0: it makes none
}

// modelRun is the times of one run, each from its start.
type modelRun struct{ encode, first, total time.Duration }

func (f *benchModelFlags) run(ctx context.Context) error {
	for _, o := range []struct {
		name  string
		value int
	}{{"source", f.source}, {"target", f.target}, {"batch", f.batch}, {"steps", f.steps}, {"queries", f.queries}, {"runs", f.runs}} {
		if o.value < 1 {
			return &usageError{fmt.Sprintf("--%s is %d, must be 1 or more", o.name, o.value), ""}
		}
	}
	if err := checkBenchFormat(f.format); err != nil {
		return err
	}
	set, err := kernels.Default()
	if err != nil {
		return err
	}
	if f.threads, f.cpus, err = f.cores.choose(); err != nil {
		return err
	}
	progress := newBenchProgress()
	defer progress.clear()
	before := clockFacts("/")
	progress.show("from a cold page cache")
	cold, err := f.cold(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	m, err := openModel(f.model)
	if err != nil {
		return err
	}
	defer m.Close()
	load := time.Since(start)
	cases, err := f.cases(ctx, m)
	if err != nil {
		return asUsageError(err)
	}
	ready := time.Since(start)
	limits := &kernelBench{ctx: ctx, threads: f.threads, sets: []kernels.Set{set}, progress: progress, each: 100 * time.Millisecond}
	peak := limits.peak(&set)
	rows := []benchRow{}
	for i := range cases {
		c := &cases[i]
		runs, err := f.measure(c, progress)
		if err != nil {
			return err
		}
		least := limits.least(c.reads, peak)
		peakBytes := peakRSS()
		for _, r := range runs {
			var percent any
			if least > 0 {
				percent = 100 * least / float64(r.total.Nanoseconds())
			}
			rows = append(rows, benchRow{
				subject: slices.Concat([]benchField{{"model", f.name(m)}, {"set", set.Name}}, c.subject, []benchField{{"threads", f.threads}}),
				figures: slices.Concat([]benchField{{"ns", r.total.Nanoseconds()}}, c.rates(r),
					[]benchField{{"percent_of_ceiling", percent}, {"ms_load", milliseconds(load)}, {"ms_ready", milliseconds(ready)},
						{"ms_cold", cold}, {"peak_rss_bytes", peakBytes}}),
			})
		}
	}
	facts := machineFacts(before, clockFacts("/"))
	if f.drawing != "" {
		g, err := f.latency(ctx, m, progress)
		if err != nil {
			return err
		}
		if err := writePlot(f.drawing, g); err != nil {
			return err
		}
	}
	progress.clear()
	out := formatBench(f.format, "Model", rows)
	if f.format == "table" {
		out = append([]byte(facts+"\n"), out...)
	} else if before != "" {
		fmt.Fprint(os.Stderr, facts)
	}
	return printResult(out)
}

func (f *benchModelFlags) name(m *edge.Model) string {
	if f.model == "" {
		return m.File().Meta().Name
	}
	return filepath.Base(f.model)
}

// cases are the rows of the model's family.
func (f *benchModelFlags) cases(ctx context.Context, m *edge.Model) ([]benchCase, error) {
	switch m.Family() {
	case edge.FamilyRNN:
		single, err := f.recurrent(m, 1)
		if err != nil {
			return nil, err
		}
		many, err := f.recurrent(m, f.steps)
		return []benchCase{single, many}, err
	case edge.FamilyKNN:
		single, err := f.neighbors(m, 1)
		if err != nil {
			return nil, err
		}
		many, err := f.neighbors(m, f.queries)
		return []benchCase{single, many}, err
	}
	c, err := f.transformer(ctx, m, f.source, f.target, f.batch)
	return []benchCase{c}, err
}

// cold is the milliseconds from a file that is not in the page cache to its first answer, nil where the cache cannot be emptied.
func (f *benchModelFlags) cold(ctx context.Context) (any, error) {
	path := f.model
	if info, err := os.Stat(path); path == "" || err != nil || !info.Mode().IsRegular() {
		if path, err = os.Executable(); err != nil { // an embedded model lies there
			return nil, nil
		}
	}
	before, ok := dropFromCache(path)
	if !ok {
		return nil, nil
	}
	start := time.Now()
	m, err := openModel(f.model)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	cases, err := f.cases(ctx, m)
	if err != nil {
		return nil, asUsageError(err)
	}
	if _, err := cases[0].run(); err != nil {
		return nil, err
	}
	took := time.Since(start)
	// Pages that another program has mapped stay: then nothing was cold.
	if after, ok := bytesFetched(); !ok || after-before < m.File().Size()/2 {
		return nil, nil
	}
	return milliseconds(took), nil
}

// measure returns --runs runs for the format go, else their median.
func (f *benchModelFlags) measure(c *benchCase, progress *benchProgress) ([]modelRun, error) {
	runs := []modelRun{}
	for i := range f.runs + 1 {
		progress.show("run %d of %d", i, f.runs)
		r, err := c.run()
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first one brings the model and its session's memory in
			runs = append(runs, r)
		}
	}
	if f.format == "go" {
		return runs, nil
	}
	return []modelRun{medianRun(runs)}, nil
}

// medianRun is the median of each time for itself.
func medianRun(runs []modelRun) modelRun {
	median := func(of func(modelRun) time.Duration) time.Duration {
		all := []time.Duration{}
		for _, r := range runs {
			all = append(all, of(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return modelRun{
		median(func(r modelRun) time.Duration { return r.encode }),
		median(func(r modelRun) time.Duration { return r.first }),
		median(func(r modelRun) time.Duration { return r.total }),
	}
}

// least is the nanoseconds that the reads take at most speed, each the slower of reading and of multiplying; 0 where it is not
// known how fast the set multiplies.
func (b *kernelBench) least(reads []weightRead, peak float64) (ns float64) {
	for _, r := range reads {
		if peak == 0 && r.rows > 1 {
			return 0
		}
		b.progress.show("reading")
		bytes, tasks := 0, make([]func(), b.threads)
		for _, w := range r.matrices {
			bytes += len(w)
		}
		for t := range tasks {
			tasks[t] = func() {
				for _, w := range r.matrices {
					n := len(w) / 64
					b.sets[0].Limits.Read(w[n*t/b.threads*64 : n*(t+1)/b.threads*64])
				}
			}
		}
		once := b.time(tasks)
		if r.rows > 0 && peak > 0 {
			once = max(once, r.rows*float64(bytes)/peak)
		}
		ns += r.times * once
	}
	return ns
}

// latency draws the time of a run by its length: target tokens of as many source tokens, steps, or queries.
func (f *benchModelFlags) latency(ctx context.Context, m *edge.Model, progress *benchProgress) (*curves, error) {
	g := &curves{across: "queries side by side", up: "ms", lines: []curveLine{{name: "all"}}}
	most, of := 64, func(n int) (benchCase, error) { return f.neighbors(m, n) }
	switch m.Family() {
	case edge.FamilyRNN:
		g.across = "steps"
		most, of = 256, func(n int) (benchCase, error) { return f.recurrent(m, n) }
	case edge.FamilyTransformer:
		g.across, g.lines = "tokens of the sentence, and of its translation", []curveLine{{name: "all"}, {name: "first token"}}
		most, of = 128, func(n int) (benchCase, error) { return f.transformer(ctx, m, n, n, f.batch) }
		if longest := m.Config().MaxLen; longest > 0 {
			most = min(most, longest-sourceExtra(m))
		}
	}
	g.title = f.name(m)
	for n := 1; n <= most; n *= 2 {
		progress.show("%d %s", n, g.across)
		c, err := of(n)
		if err != nil {
			return nil, err
		}
		best := []time.Duration{0, 0}
		for range 3 {
			r, err := c.run()
			if err != nil {
				return nil, err
			}
			for i, v := range []time.Duration{r.total, r.first} {
				if best[i] == 0 || v < best[i] {
					best[i] = v
				}
			}
		}
		for i := range g.lines {
			g.lines[i].points = append(g.lines[i].points, curvePoint{float64(n), cmp.Or(milliseconds(best[i]), 1e-6)})
		}
	}
	return g, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// peakRSS is the most memory that was resident, as Linux tells it in bytes; nil elsewhere.
func peakRSS() any {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) == 0 {
		return nil
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return nil
	}
	return kib << 10
}
