package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// This file says, for each family, what one run of bench model is. Inputs are the same on every machine and in every run.

// matrices are the int8 tensors of a model that a test of their names picks.
func matrices(m *edge.Model, pick func(name string) bool) (all [][]int8) {
	for i := range m.File().Tensors() {
		if t := &m.File().Tensors()[i]; t.DType == modelfile.I8 && t.Layout == modelfile.N16K4 && pick(t.Name) {
			all = append(all, t.I8())
		}
	}
	return all
}

// sourceExtra is how many tokens a Transformer adds to each source.
func sourceExtra(m *edge.Model) int {
	n := len(m.Config().SourcePrefix)
	if m.Config().SourceEOS {
		n++
	}
	return n
}

// transformer is a batch of sentences, each of source random tokens, translated into target tokens.
func (f *benchModelFlags) transformer(ctx context.Context, m *edge.Model, source, target, batch int) (benchCase, error) {
	o := edge.Options{MaxTarget: target, MinTarget: target, Batch: batch, Threads: f.threads, CPUs: f.cpus}
	if m.Family() == edge.FamilyTransformer {
		o.MaxSource = source + sourceExtra(m)
	}
	s, err := m.NewSession(o)
	if err != nil {
		return benchCase{}, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	sentences := make([][]int32, batch)
	for i := range sentences {
		sentences[i] = make([]int32, source)
		for j := range sentences[i] {
			sentences[i][j] = random.Int32N(int32(m.Config().SourceVocab))
		}
	}
	return benchCase{
		subject: []benchField{{"source", source}, {"target", target}, {"batch", batch}},
		run:     func() (modelRun, error) { return runTransformer(ctx, s, sentences) },
		rates: func(r modelRun) []benchField {
			return []benchField{
				{"tok_per_s", float64(target*batch) / r.total.Seconds()},
				{"ms_first_token", milliseconds(r.first)},
				{"encode_tok_per_s", float64(source*batch) / r.encode.Seconds()},
			}
		},
		reads: transformerReads(m, source, target, batch),
	}, nil
}

// transformerReads is a batch of sentences: the encoder once, with all their tokens, the decoder for each target token. Of an
// output matrix with a shortlist so many rows are read as source words have on average.
func transformerReads(m *edge.Model, source, target, batch int) []weightRead {
	encoder := func(name string) bool {
		return strings.HasPrefix(name, "encoder.") || strings.HasSuffix(name, ".cross.kv")
	}
	output := "decoder.out"
	if m.Config().TiedOutput {
		output = "decoder.embed"
	}
	last := matrices(m, func(name string) bool { return name == output })
	if l := m.Shortlist(); l != nil && len(last) == 1 {
		rows := l.First + source*l.Words/m.Config().SourceVocab
		last[0] = last[0][:min(len(last[0]), kernels.Pad16(rows)*kernels.Pad16(m.Config().Dim))]
	}
	decoder := matrices(m, func(name string) bool { return !encoder(name) && name != output })
	return []weightRead{
		{matrices(m, encoder), 1, float64(batch * (source + sourceExtra(m)))},
		{append(decoder, last...), float64(target), float64(batch)},
	}
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

// recurrent is some steps of a recurrent network in one call, on random words or numbers.
func (f *benchModelFlags) recurrent(m *edge.Model, steps int) (benchCase, error) {
	o := edge.StreamOptions{Threads: f.threads, CPUs: f.cpus, MaxSteps: max(steps, f.source)}
	s, err := m.NewStream(o)
	if err != nil {
		return benchCase{}, err
	}
	cfg, random := m.RNNConfig(), rand.New(rand.NewPCG(1, 2))
	var ids []int32
	var x []float32
	for range o.MaxSteps {
		if cfg.Vocab > 0 {
			ids = append(ids, random.Int32N(int32(cfg.Vocab)))
			continue
		}
		for range cfg.Input {
			x = append(x, random.Float32()*2-1)
		}
	}
	out := make([]float32, o.MaxSteps*cfg.OutputWidth())
	// run advances by steps [from, to), with output or without.
	run := func(from, to int, output bool) error {
		dst := out[:cfg.OutputWidth()]
		if cfg.Output == edge.OutputSteps {
			dst = out[:(to-from)*cfg.OutputWidth()]
		}
		if !output {
			dst = nil
		}
		if cfg.Vocab > 0 {
			return s.RunTokens(dst, ids[from:to], to-from, nil)
		}
		return s.Run(dst, x[from*cfg.Input:to*cfg.Input], to-from, nil)
	}
	return benchCase{
		subject: []benchField{{"steps", steps}},
		run: func() (modelRun, error) {
			var r modelRun
			s.Reset()
			start := time.Now()
			last := f.source - 1
			if cfg.Backward() {
				last = 0 // from the end, too: no step is done before all are there
			}
			if last > 0 {
				if err := run(0, last, false); err != nil {
					return r, err
				}
			}
			if err := run(last, f.source, true); err != nil {
				return r, err
			}
			r.first = time.Since(start)
			start = time.Now()
			err := run(0, steps, true)
			r.total = time.Since(start)
			return r, err
		},
		rates: func(r modelRun) []benchField {
			return []benchField{
				{"us_per_step", float64(r.total.Nanoseconds()) / 1e3 / float64(steps)},
				{"steps_per_s", float64(steps) / r.total.Seconds()},
				{"ms_first_token", milliseconds(r.first)},
			}
		},
		reads: recurrentReads(m, steps),
	}, nil
}

// recurrentReads is steps in one call: what does not wait for the step before once, with all of them.
func recurrentReads(m *edge.Model, steps int) []weightRead {
	recurrent := func(name string) bool {
		return strings.HasPrefix(name, "layers.") && !strings.HasSuffix(name, ".input")
	}
	reads := []weightRead{{matrices(m, func(name string) bool { return !recurrent(name) }), 1, float64(steps)}}
	for i := range m.RNNConfig().Layers { // layer by layer, so that a layer stays in the second-level cache
		prefix := fmt.Sprintf("layers.%d.", i)
		reads = append(reads, weightRead{matrices(m, func(name string) bool { return recurrent(name) && strings.HasPrefix(name, prefix) }), float64(steps), 1})
	}
	return reads
}

// neighbors is a search for some queries side by side, which are rows of the model, evenly spread.
func (f *benchModelFlags) neighbors(m *edge.Model, queries int) (benchCase, error) {
	o := edge.KNNOptions{Batch: queries, Threads: f.threads, CPUs: f.cpus}
	c, err := m.NewClassifier(o)
	if err != nil {
		return benchCase{}, err
	}
	cfg := m.KNN()
	ranked := int64(0)
	next := 0
	return benchCase{
		subject: []benchField{{"queries", queries}, {"k", c.Options().K}},
		run: func() (modelRun, error) {
			c.Reset()
			for range queries {
				if _, err := c.AddRow(next); err != nil {
					return modelRun{}, err
				}
				next = (next + cfg.Rows/64 + 1) % cfg.Rows
			}
			start := time.Now()
			err := c.Run()
			took := time.Since(start)
			ranked = 0
			for i := range queries {
				ranked += c.Ranked(i)
			}
			return modelRun{first: took, total: took}, err
		},
		rates: func(r modelRun) []benchField {
			return []benchField{
				{"qps", float64(queries) / r.total.Seconds()},
				{"ms_first_answer", milliseconds(r.first)},
				{"rows_ranked", float64(ranked) / float64(queries)},
			}
		},
		reads: neighborReads(m, queries),
	}, nil
}

// neighborReads is a scan of all rows for some queries at once; the few rows that are ranked are not counted.
func neighborReads(m *edge.Model, queries int) []weightRead {
	pairs := m.KNN().Pairs && queries == 1 // what single queries read in the place of the int8 rows
	scanned := weightRead{matrices(m, func(name string) bool { return strings.HasPrefix(name, "pairs.") == pairs }), 1, 0}
	if m.KNN().Class == edge.ClassDot {
		scanned.rows = float64(queries) // differences are no multiply-adds
	}
	return []weightRead{scanned}
}
