package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

type benchThreadsFlags struct {
	shapes []string
	cores  threadFlags
	runs   int
	format string
}

func newBenchThreadsCommand() *cobra.Command {
	f := &benchThreadsFlags{}
	cmd := &cobra.Command{
		Use:   "threads",
		Short: "What more threads gain, beside what the cores could",
		Long: `Multiplies matrices of M rows with N x K weights, shared out over all threads as in a
model, and with one thread. The measure is a loop on registers alone that
shares nothing: as many copies of it as there are threads gain what the machine
has to give in that minute (op peak). All are measured in turns; times are the best.

  gain          times as fast as one thread
  of_peak       that gain by the gain of op peak

One row (M 1) is bound by memory, of which one core may take all there is.`,
		Example: `  edge-infer bench threads
  edge-infer bench threads --threads 2 --shapes 32x2048x512`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	f.cores.add(flags)
	flags.StringSliceVar(&f.shapes, "shapes", []string{"32x2048x512", "32x512x2048", "1x2048x512"}, "`SHAPES` M x N x K")
	flags.IntVarP(&f.runs, "runs", "r", 200, "turns, of some milliseconds each")
	flags.StringVarP(&f.format, "format", "f", "table", benchFormatUsage)
	return cmd
}

// benchTurn is one kind of work, done by one thread and by all.
type benchTurn struct {
	op, shape string
	macs      float64
	one, all  func()
	ns        [2]float64 // the best times
}

func (f *benchThreadsFlags) run(ctx context.Context) error {
	if err := checkBenchFormat(f.format); err != nil {
		return err
	}
	if f.runs < 1 {
		return &usageError{fmt.Sprintf("--runs is %d, must be 1 or more", f.runs), ""}
	}
	set, err := kernels.Default()
	if err != nil {
		return err
	}
	n, cpus, err := f.cores.choose()
	if err != nil {
		return err
	}
	var pool threads.Pool
	pool.Grow(n, cpus)
	defer pool.Close()
	turns := []benchTurn{}
	if set.Limits.Peak != nil {
		turns = append(turns, peakTurn(&set, &pool, n))
	}
	for _, s := range f.shapes {
		shape, err := parseShape(s)
		if err != nil {
			return err
		}
		if !isProduct(shape) {
			return &usageError{fmt.Sprintf("%s is not the shape of a product", s), "take M x N x K, N and K multiples of 16"}
		}
		turns = append(turns, productTurn(&set, &pool, n, shape))
	}
	progress := newBenchProgress()
	defer progress.clear()
	for i := range f.runs {
		progress.show("turn %d of %d", i, f.runs)
		for j := range turns {
			if err := ctx.Err(); err != nil {
				return err
			}
			turns[j].take()
		}
	}
	progress.clear()
	rows, peak := []benchRow{}, 0.0
	for i := range turns {
		t := &turns[i]
		gain, ofPeak := t.ns[0]/t.ns[1], any(nil)
		if t.op == "peak" {
			peak = gain
		} else if peak > 0 {
			ofPeak = gain / peak
		}
		rows = append(rows, benchRow{
			subject: []benchField{{"op", t.op}, {"shape", t.shape}, {"set", set.Name}, {"threads", n}},
			figures: []benchField{{"gmac_per_s_one", t.macs / t.ns[0]}, {"gmac_per_s", t.macs / t.ns[1]}, {"gain", gain}, {"of_peak", ofPeak}},
		})
	}
	return printResult(formatBench(f.format, "Threads", rows))
}

// take measures both ways for about a millisecond each and keeps the best times.
func (t *benchTurn) take() {
	for i, work := range []func(){t.one, t.all} {
		work() // brings data and workers in
		for start, calls := time.Now(), 0; calls == 0 || time.Since(start) < time.Millisecond; calls++ {
			now := time.Now()
			work()
			if ns := float64(time.Since(now)); t.ns[i] == 0 || ns < t.ns[i] {
				t.ns[i] = ns
			}
		}
	}
}

// peakTurn is the register-only loop: all of it by one thread, or a copy for each.
func peakTurn(set *kernels.Set, pool *threads.Pool, n int) benchTurn {
	const rounds = 50_000 // long enough that sharing out takes no time of it
	macs := float64(n * set.Limits.Peak(rounds))
	copies := func(_, from, to int) {
		for range to - from {
			set.Limits.Peak(rounds)
		}
	}
	return benchTurn{op: "peak", shape: "registers", macs: macs,
		one: func() { copies(0, 0, n) }, all: func() { pool.Run(n, n, threads.Work{Kind: threads.All}, copies) }}
}

// productTurn is a layer of a model.
func productTurn(set *kernels.Set, pool *threads.Pool, n int, shape []int) benchTurn {
	rows, cols, k := shape[0], shape[1], shape[2]
	w := &kernels.Weights{N: cols, K: k, Data: randomBytes(cols * k), Scale: randomFloats(cols), Sum: make([]int32, cols), Bias: randomFloats(cols)}
	x, xScale, dst := randomBytes(rows*k), randomFloats(rows), make([]float32, rows*cols)
	scratch := make([][]int32, n)
	for i := range scratch {
		scratch[i] = make([]int32, kernels.LinearScratch)
	}
	multiply := func(worker, from, to int) {
		set.Linear(dst, cols, x, xScale, rows, w, 16*from, 16*to, kernels.ActNone, nil, scratch[worker])
	}
	return benchTurn{op: "product", shape: shapeName(shape), macs: float64(rows) * float64(cols) * float64(k),
		one: func() { multiply(0, 0, cols/16) }, all: func() {
			pool.Run(n, cols/16, threads.Work{Kind: threads.All, MACs: int64(rows * cols * k), Grain: set.Grain(rows) / 16}, multiply)
		}}
}
