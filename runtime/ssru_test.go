package runtime_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// ssruModel is the tiny model with an SSRU in the decoder, and words enough for a beam to go several ways.
func ssruModel(t testing.TB, preNorm bool) *edge.Model {
	t.Helper()
	c := tinyConfig()
	c.DecoderMixer, c.PreNorm, c.Activation = edge.MixerSSRU, preNorm, "relu"
	var specs []modelfile.TensorSpec
	for _, s := range tinyTensors() {
		switch s.Name {
		case "decoder.layers.0.self.qkv":
			s.Name, s.Shape = "decoder.layers.0.ssru.in", []int{32, 16}
			specs = append(specs, modelfile.TensorSpec{Name: s.Name + ".bias", DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{32}})
		case "decoder.layers.0.self.out":
			continue
		case "encoder.norm.gamma", "encoder.norm.beta", "decoder.norm.gamma", "decoder.norm.beta":
			if !preNorm {
				continue
			}
		}
		s.Name = strings.Replace(s.Name, "decoder.layers.0.self.norm", "decoder.layers.0.ssru.norm", 1)
		specs = append(specs, s)
	}
	path := filepath.Join(t.TempDir(), "ssru.ei8")
	err := writeTiny(path, tinyMeta(t, c), specs, nil, func(tensor string, values []float32) {
		for i := range values {
			if strings.HasSuffix(tensor, ".gamma") {
				values[i] += 1
			} else if strings.Contains(tensor, "ssru.in") {
				values[i] *= 6 // so that the state decides which word comes
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// The state follows each hypothesis through the reordering of a beam: the score of every result is what the float32 reference
// gives the same tokens from the same weights, but for the rounding of activations.
func TestSSRU(t *testing.T) {
	const least = 8
	for _, preNorm := range []bool{false, true} {
		m := ssruModel(t, preNorm)
		ref, err := oracle(convert.FloatsOf(m.File()))
		if err != nil {
			t.Fatal(err)
		}
		eos, worst := m.Config().EOS, 0.0
		for _, beam := range []int{1, 2, 5} {
			s, err := m.NewSession(edge.Options{Beam: beam, Scores: true, MinTarget: least, MaxTarget: 12, LengthPenalty: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, source := range [][]int32{{1}, {1, 2, 3}, {3, 3, 2, 1, 1}, {2, 1, 2, 1, 2, 3}} {
				slot, err := s.Add(source)
				if err != nil {
					t.Fatal(err)
				}
				for !s.Done(slot) {
					if _, err := s.Step(); err != nil {
						t.Fatal(err)
					}
				}
				memory, err := ref.Encode(ref.Source(source))
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range s.Best(slot) {
					tokens := append([]int32{-1}, h.Tokens...)
					if !h.Cut {
						tokens = append(tokens, eos)
					}
					logits, err := ref.Logits(memory, tokens[:len(tokens)-1])
					if err != nil {
						t.Fatal(err)
					}
					score := 0.0
					for i, row := range logits {
						sum := 0.0
						for id, v := range row {
							if int32(id) != eos || i >= least {
								sum += math.Exp(float64(v))
							}
						}
						score += float64(row[tokens[i+1]]) - math.Log(sum)
					}
					worst = max(worst, math.Abs(score/float64(len(logits))-float64(h.Score)))
				}
				s.Release(slot)
			}
		}
		t.Logf("pre-norm %v: a token's log-probability differs by at most %.4f", preNorm, worst)
		if worst > 0.02 {
			t.Errorf("pre-norm %v: a token's log-probability differs by %.4f from the reference's", preNorm, worst)
		}
	}
}

// Its Plan counts two states a hypothesis instead of a cache that grows with the length, batches give the same bytes, and a
// step allocates nothing.
func TestSSRUMemory(t *testing.T) {
	m := ssruModel(t, false)
	bytes := map[string]int64{}
	for _, length := range []int{8, 32} {
		plan, err := m.Plan(edge.Options{Batch: 3, Beam: 2, MaxTarget: length})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plan.Parts {
			if p.Name == "recurrent states" {
				bytes[fmt.Sprint(length)] = p.Bytes
			}
		}
	}
	if want := int64(2 * 1 * 3 * 2 * 16 * 4); bytes["8"] != want || bytes["32"] != want {
		t.Errorf("states of %v bytes, want %d at any length", bytes, want)
	}
	lines := strings.Split("a b c|c|b b b a|a|c c c c c c c c", "|")
	var want string
	for _, o := range []edge.Options{{Batch: 1}, {Batch: 2}, {Batch: 5, Threads: 2}} {
		o.MinTarget, o.MaxTarget, o.Scores, o.Beam = 3, 9, true, 3
		if got := digest(translate(t, m, o, lines)); want == "" {
			want = got
		} else if got != want {
			t.Errorf("batch %d: digest %s, want %s", o.Batch, got, want)
		}
	}
	for _, o := range []edge.Options{{}, {Beam: 4}} {
		s, err := m.NewSession(o)
		if err != nil {
			t.Fatal(err)
		}
		if n := alloctest.PerRun(5, func() {
			slot, _ := s.Add([]int32{1, 2, 3})
			for !s.Done(slot) {
				if _, err := s.Step(); err != nil {
					t.Fatal(err)
				}
			}
			s.Release(slot)
		}); n != 0 {
			t.Errorf("%+v: %g allocations a sentence", o, n)
		}
	}
}
