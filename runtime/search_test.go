package runtime_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// everyWay are sessions that use every part of the search.
var everyWay = []edge.Options{
	{Scores: true, NoRepeatNgram: 2, RepetitionPenalty: 1.3, MinTarget: 9},
	{NoRepeatNgram: 1, MinTarget: 6},
	{Beam: 4, NBest: 4},
	{Beam: 4, NBest: 3, LengthPenalty: 0.7, NoRepeatNgram: 2, RepetitionPenalty: 1.2, MinTarget: 7},
	{Alternatives: 3},
	{Beam: 3, Alternatives: 4, LengthPenalty: 1, MinAlternative: 0.001, NoRepeatNgram: 3},
}

// arenIDs are the golden names as source ids, and a prefix for each.
func arenIDs(t testing.TB, m *edge.Model) (sources, prefixes [][]int32) {
	t.Helper()
	for i, item := range readGolden(t).Items {
		var ids, prefix []int32
		for _, p := range item.Source {
			id, ok := m.Source().ID(p)
			if !ok {
				t.Fatalf("no piece %q", p)
			}
			ids = append(ids, id)
		}
		for _, p := range item.Hypothesis[:i%3] {
			id, _ := m.Target().ID(p)
			prefix = append(prefix, id)
		}
		sources, prefixes = append(sources, ids), append(prefixes, prefix)
	}
	return sources, prefixes
}

// The same tokens and the same bits of every score on every kernel set, for any batch and number of threads.
func TestEverySearchSameBytes(t *testing.T) {
	m := openAren(t)
	sources, prefixes := arenIDs(t, m)
	for n, o := range everyWay {
		want := ""
		for _, set := range kernels.Available() {
			for _, run := range []edge.Options{{Batch: 1, Threads: 1}, {Batch: 8, Threads: 1}, {Batch: 8, Threads: 2}} {
				o.Kernels, o.Batch, o.Threads = set.Name, run.Batch, run.Threads
				s, err := m.NewSession(o)
				if err != nil {
					t.Fatal(err)
				}
				var jobs []edge.Sentence
				for i := range sources {
					for k := min(o.Alternatives, 1); k <= o.Alternatives; k++ {
						jobs = append(jobs, edge.Sentence{Source: sources[i], Prefix: prefixes[i], Alternative: k})
					}
				}
				found, inSlot := make([]string, len(jobs)), make([]int, o.Batch)
				for next, left := 0, len(jobs); left > 0; {
					for ; next < len(jobs); next++ {
						slot, err := s.Start(jobs[next])
						if err != nil {
							t.Fatal(err)
						}
						if slot < 0 {
							break
						}
						inSlot[slot] = next
					}
					if _, err := s.Step(); err != nil {
						t.Fatal(err)
					}
					for slot, job := range inSlot {
						if s.Done(slot) {
							for _, h := range s.Best(slot) {
								found[job] += fmt.Sprintf("%v %x\n", h.Tokens, math.Float32bits(h.Score))
							}
							s.Release(slot)
							left--
						}
					}
				}
				sum := sha256.Sum256([]byte(strings.Join(found, "\n")))
				got := hex.EncodeToString(sum[:8])
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("way %d, %s, batch %d, %d threads: digest %s, want %s", n, set.Name, o.Batch, o.Threads, got, want)
				}
			}
		}
	}
}

// TestLongBeam: what a beam finds over several blocks of keys, its hypotheses reading each other's caches, has the score that its tokens have
// when they are given one after another to a single one.
func TestLongBeam(t *testing.T) {
	const length = 50
	m := openAren(t)
	sources, _ := arenIDs(t, m)
	search, err := m.NewSession(edge.Options{Beam: 5, NBest: 5, MinTarget: length, MaxTarget: length})
	if err != nil {
		t.Fatal(err)
	}
	single, err := m.NewSession(edge.Options{Scores: true, MaxTarget: length})
	if err != nil {
		t.Fatal(err)
	}
	steps := func(s *edge.Session, x edge.Sentence, each func(step int)) []edge.Hypothesis {
		slot, err := s.Start(x)
		for step := 0; err == nil && !s.Done(slot); step++ {
			if _, err = s.Step(); err == nil {
				each(step)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release(slot)
		return s.Best(slot)
	}
	for i, source := range sources[:4] {
		var found []edge.Hypothesis
		for _, h := range steps(search, edge.Sentence{Source: source}, func(int) {}) {
			found = append(found, edge.Hypothesis{Tokens: slices.Clone(h.Tokens), Score: h.Score})
		}
		if len(found) != 5 {
			t.Fatalf("name %d: %d hypotheses", i, len(found))
		}
		for _, h := range found {
			if len(h.Tokens) != length {
				t.Fatalf("name %d: %d tokens", i, len(h.Tokens))
			}
			want := 0.0
			steps(single, edge.Sentence{Source: source, Prefix: h.Tokens[:length-1]}, func(step int) {
				logits, sum := single.Logits(0), 0.0
				for id, v := range logits {
					if id != int(m.Config().EOS) { // as the least length has it
						sum += math.Exp(float64(v - logits[h.Tokens[step]]))
					}
				}
				want -= math.Log(sum)
			})
			if math.Abs(float64(h.Score)-want) > 1e-3 {
				t.Errorf("name %d: the beam says %v, its tokens have %v", i, h.Score, want)
			}
		}
	}
}

// After warm-up no way to search allocates.
func TestEverySearchAllocatesNothing(t *testing.T) {
	m := openAren(t)
	sources, prefixes := arenIDs(t, m)
	for _, o := range everyWay {
		s, err := m.NewSession(o)
		if err != nil {
			t.Fatal(err)
		}
		if n := alloctest.PerRun(5, func() {
			slot, err := s.Start(edge.Sentence{Source: sources[2], Prefix: prefixes[2], Alternative: min(o.Alternatives, 1)})
			if err != nil || slot < 0 {
				t.Fatal(slot, err)
			}
			for !s.Done(slot) {
				if _, err := s.Step(); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.Best(slot)) == 0 {
				t.Fatal("nothing decoded")
			}
			s.Release(slot)
		}); n != 0 {
			t.Errorf("%+v: %g allocations a sentence", o, n)
		}
	}
}

// TestEndedDoNotEndTheSearch: without a length penalty, as many ended hypotheses as beams do not end the search: the best candidate
// has to end. With one they do. The tokens are </s> a b c; at each step a is the best and </s> the second, so that every
// step ends a hypothesis that is not the best candidate.
func TestEndedDoNotEndTheSearch(t *testing.T) {
	m := tinyModel(t, nil, nil, nil)
	row := func(eos, a, b, c float32) []float32 { // of two hypotheses
		logits := make([]float32, 32)
		copy(logits, []float32{eos, a, b, c})
		copy(logits[16:], []float32{eos - 20, a - 20, b - 20, c - 20}) // the same distribution
		return logits
	}
	for _, c := range []struct {
		penalty float32
		nBest   int
		steps   int // that it takes
	}{
		{0, 1, 4}, {0, 2, 4}, {1, 1, 2},
	} {
		s, err := m.NewSession(edge.Options{Beam: 2, NBest: c.nBest, LengthPenalty: c.penalty, MaxTarget: 9})
		if err != nil {
			t.Fatal(err)
		}
		slot, err := s.Start(edge.Sentence{Source: []int32{1}})
		if err != nil {
			t.Fatal(err)
		}
		steps := 1
		for ; !s.Advance(slot, row(2, 3, -5, -6)) && steps < 3; steps++ {
		}
		if steps == 3 && !s.Done(slot) {
			steps++
			s.Advance(slot, row(3, 2, -5, -6)) // now the end is the best
		}
		if steps != c.steps || !s.Done(slot) {
			t.Errorf("length penalty %g: the search took %d steps, want %d", c.penalty, steps, c.steps)
		}
		if got := len(s.Best(slot)); got != c.nBest {
			t.Errorf("%d hypotheses, want %d", got, c.nBest)
		}
	}
	// Two hypotheses are wanted, and the best candidate ends at once: the search goes on for the second.
	s, err := m.NewSession(edge.Options{Beam: 2, NBest: 2, MaxTarget: 9})
	if err != nil {
		t.Fatal(err)
	}
	slot, err := s.Start(edge.Sentence{Source: []int32{1}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Advance(slot, row(9, 3, 3, -6)) {
		t.Error("done with one hypothesis of two")
	}
	if !s.Advance(slot, row(9, 3, 2, -6)) || len(s.Best(slot)) != 2 {
		t.Errorf("%d hypotheses, want 2", len(s.Best(slot)))
	}
}

func TestSearchOptionsRefused(t *testing.T) {
	m := openAren(t)
	nan := float32(math.NaN())
	for want, o := range map[string]edge.Options{
		"n-best is 5, must be at most the beam, which is 4": {Beam: 4, NBest: 5},
		"n-best is -1, must be 1 to 64":                     {NBest: -1},
		"both the best 2 and 3 alternatives":                {Beam: 2, NBest: 2, Alternatives: 3},
		"number of alternatives is 65, must be 0 to 64":     {Alternatives: 65},
		"repetition penalty is NaN, must be 0.01 to 100":    {RepetitionPenalty: nan},
		"repetition penalty is -1":                          {RepetitionPenalty: -1},
		"size of n-grams not to repeat is -2":               {NoRepeatNgram: -2},
		"probability of an alternative is 1.5, must be 0":   {MinAlternative: 1.5},
		"probability of an alternative is NaN":              {MinAlternative: nan},
		"length penalty is NaN":                             {LengthPenalty: nan},
		"minimum target length 9 is above the maximum 8":    {MinTarget: 9, MaxTarget: 8},
	} {
		_, err := m.NewSession(o)
		var input *edge.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
	s, err := m.NewSession(edge.Options{MaxTarget: 4, Alternatives: 2})
	if err != nil {
		t.Fatal(err)
	}
	for want, x := range map[string]edge.Sentence{
		"a prefix of 4 tokens leaves no room in a translation of at most 4": {Source: []int32{3}, Prefix: []int32{3, 3, 3, 3}},
		"token -1 of the prefix is outside":                                 {Source: []int32{3}, Prefix: []int32{-1}},
		"token 99999 of the prefix is outside":                              {Source: []int32{3}, Prefix: []int32{99999}},
		"the token that ends a translation":                                 {Source: []int32{3}, Prefix: []int32{m.Config().EOS}},
		"alternative 3; this session takes up to 2":                         {Source: []int32{3}, Alternative: 3},
	} {
		_, err := s.Start(x)
		var input *edge.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", x, err, want)
		}
	}
}
