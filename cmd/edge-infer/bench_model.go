package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
)

type benchModelFlags struct {
	model          string
	source, target int
	batch, threads int
	runs           int
	format         string
}

func newBenchModelCommand() *cobra.Command {
	f := &benchModelFlags{}
	cmd := &cobra.Command{
		Use:   "model",
		Short: "How fast a model runs",
		Long: `Encodes --source random tokens of each of --batch sentences side by side and decodes
exactly --target tokens of each, whatever the model says about where they end.

  tok_per_s        target tokens a second over the whole time, encoder included
  ms_first_token   from the sentences to the first token of each
  encode_tok_per_s source tokens a second through the encoder
  ms_load          to open and check the file
  peak_rss_bytes   most memory the process had, the mapped model included

The figures are medians of --runs after one that does not count; the format go
prints every run, for benchstat.`,
		Example: `  edge-infer bench model
  edge-infer bench model -m zh-en.ei8 --batch 32 --threads 1
  edge-infer bench model -f go -r 10 > new.txt   # then: benchstat old.txt new.txt`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.model, "model", "m", "", "`FILE` of a model, or the name of an embedded one")
	flags.IntVar(&f.source, "source", 12, "random source tokens a sentence; what the model adds to each sentence comes on top")
	flags.IntVar(&f.target, "target", 20, "target tokens a sentence")
	flags.IntVar(&f.batch, "batch", 1, "sentences decoded side by side")
	flags.IntVar(&f.threads, "threads", min(goruntime.NumCPU(), 4), "threads that share the work")
	flags.IntVarP(&f.runs, "runs", "r", 7, "measurements")
	flags.StringVarP(&f.format, "format", "f", "table", benchFormatUsage)
	return cmd
}

func (f *benchModelFlags) run(ctx context.Context) error {
	for _, o := range []struct {
		name  string
		value int
	}{{"source", f.source}, {"target", f.target}, {"batch", f.batch}, {"threads", f.threads}, {"runs", f.runs}} {
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
	start := time.Now()
	m, err := openModel(f.model)
	if err != nil {
		return err
	}
	defer m.Close()
	load := time.Since(start)
	runs, err := f.measure(ctx, m)
	if err != nil {
		return err
	}
	if f.format != "go" {
		runs = []modelRun{medianRun(runs)}
	}
	name := f.model
	if name == "" {
		name = m.File().Meta().Name
	}
	rows := []benchRow{}
	for _, r := range runs {
		rows = append(rows, benchRow{
			subject: []benchField{{"model", filepath.Base(name)}, {"set", set.Name}, {"source", f.source}, {"target", f.target},
				{"batch", f.batch}, {"threads", f.threads}},
			figures: []benchField{
				{"ns", r.total.Nanoseconds()},
				{"tok_per_s", float64(f.target*f.batch) / r.total.Seconds()},
				{"ms_first_token", float64(r.first.Nanoseconds()) / 1e6},
				{"encode_tok_per_s", float64(f.source*f.batch) / r.encode.Seconds()},
				{"ms_load", float64(load.Nanoseconds()) / 1e6},
				{"peak_rss_bytes", peakRSS()},
			},
		})
	}
	return printResult(formatBench(f.format, "Model", rows))
}

// modelRun is the times of one run, each from its start.
type modelRun struct{ encode, first, total time.Duration }

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

// measure runs the model as its family wants it.
func (f *benchModelFlags) measure(ctx context.Context, m *edge.Model) ([]modelRun, error) {
	// Families that have no rows here yet are refused by NewSession.
	return f.measureTransformer(ctx, m)
}

func (f *benchModelFlags) measureTransformer(ctx context.Context, m *edge.Model) ([]modelRun, error) {
	o := edge.Options{MaxTarget: f.target, MinTarget: f.target, Batch: f.batch, Threads: f.threads}
	if c := m.Config(); c != nil {
		o.MaxSource = f.source + len(c.SourcePrefix)
		if c.SourceEOS {
			o.MaxSource++
		}
	}
	plan, err := m.Plan(o)
	if err != nil {
		return nil, asUsageError(err)
	}
	limitMemory(plan)
	s, err := m.NewSession(o)
	if err != nil {
		return nil, asUsageError(err)
	}
	// The same tokens on every machine and in every run.
	random := rand.New(rand.NewPCG(1, 2))
	sentences := make([][]int32, f.batch)
	for i := range sentences {
		sentences[i] = make([]int32, f.source)
		for j := range sentences[i] {
			sentences[i][j] = random.Int32N(int32(m.Config().SourceVocab))
		}
	}
	progress := newBenchProgress()
	defer progress.clear()
	runs := []modelRun{}
	for i := range f.runs + 1 {
		progress.show("run %d of %d", i, f.runs)
		r, err := runTransformer(ctx, s, sentences)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first one brings the model and the session's memory in
			runs = append(runs, r)
		}
	}
	return runs, nil
}

func runTransformer(ctx context.Context, s *edge.Session, sentences [][]int32) (modelRun, error) {
	var r modelRun
	start := time.Now()
	for _, tokens := range sentences {
		if _, err := s.Add(tokens); err != nil {
			return r, err
		}
	}
	if err := s.Encode(); err != nil {
		return r, err
	}
	r.encode = time.Since(start)
	for running := 1; running > 0; {
		var err error
		if running, err = s.Step(); err != nil {
			return r, err
		}
		if r.first == 0 {
			r.first = time.Since(start)
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
	}
	r.total = time.Since(start)
	s.Reset()
	return r, nil
}

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
