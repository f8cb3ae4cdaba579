package runtime_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// openRNN converts one of the converter's small networks, whose outputs are tested there.
func openRNN(t testing.TB, name string) *edge.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.ei8")
	if _, err := convert.Convert(context.Background(), filepath.Join("../convert/testdata/rnn/golden", name), path, convert.Options{}); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newStream(t testing.TB, m *edge.Model, o edge.StreamOptions) *edge.Stream {
	t.Helper()
	s, err := m.NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func randoms(seed uint64, n int) []float32 {
	r, x := rand.New(rand.NewPCG(seed, 1)), make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// TestStreamAllocatesNothing: not a step, not a sequence, not a snapshot.
func TestStreamAllocatesNothing(t *testing.T) {
	for _, name := range []string{"lstm-3-layer.pt", "lstm-projected.pt", "gru-3-layer.pt", "rnn-tanh.pt", "gru-bidirectional.safetensors"} {
		m := openRNN(t, name)
		for _, threads := range []int{1, 2} {
			s := newStream(t, m, edge.StreamOptions{Batch: 2, MaxSteps: 4, Threads: threads})
			in, out := m.RNNConfig().Input, m.RNNConfig().OutputWidth()
			x, dst, lengths := randoms(1, 2*4*in), make([]float32, 2*4*out), []int{4, 2}
			state := s.Snapshot(nil, 0)
			if n := alloctest.PerRun(20, func() {
				if err := s.Run(dst, x, 4, lengths); err != nil {
					t.Fatal(err)
				}
				if !m.RNNConfig().Backward() {
					if err := s.Step(dst[:2*out], x[:2*in]); err != nil {
						t.Fatal(err)
					}
				}
				state = s.Snapshot(state[:0], 1)
				if err := s.Restore(0, state); err != nil {
					t.Fatal(err)
				}
				s.Reset()
			}); n != 0 {
				t.Errorf("%s, %d threads: %v allocations", name, threads, n)
			}
		}
	}
}

// TestStreamSnapshot: a restored stream goes on as if nothing had happened in between.
func TestStreamSnapshot(t *testing.T) {
	for _, name := range []string{"lstm-3-layer.pt", "lstm-projected.pt", "gru-3-layer.pt", "rnn-relu.pt"} {
		m := openRNN(t, name)
		s := newStream(t, m, edge.StreamOptions{})
		in, out := m.RNNConfig().Input, m.RNNConfig().OutputWidth()
		step := func(seed uint64) []float32 {
			dst := make([]float32, out)
			if err := s.Step(dst, randoms(seed, in)); err != nil {
				t.Fatal(err)
			}
			return dst
		}
		step(1)
		state := s.Snapshot(nil, 0)
		if len(state) != s.StateSize() {
			t.Fatalf("%s: %d values of state, StateSize says %d", name, len(state), s.StateSize())
		}
		want := step(2)
		step(3)
		if err := s.Restore(0, state); err != nil {
			t.Fatal(err)
		}
		for i, v := range step(2) {
			if math.Float32bits(v) != math.Float32bits(want[i]) {
				t.Fatalf("%s: value %d is %g after a restore, was %g", name, i, v, want[i])
			}
		}
		s.Reset()
		first := step(1)
		if s2 := newStream(t, m, edge.StreamOptions{}); s2.Step(want, randoms(1, in)) != nil || want[0] != first[0] {
			t.Errorf("%s: a stream that was reset differs from a new one", name)
		}
		var wrong *edge.InputError
		for what, bad := range map[string][]float32{"short": state[1:], "NaN": append([]float32{float32(math.NaN())}, state[1:]...)} {
			if err := s.Restore(0, bad); !errors.As(err, &wrong) {
				t.Errorf("%s: a %s state gives %v", name, what, err)
			}
		}
	}
}

// TestStreamPlan: what a plan says is what is allocated.
func TestStreamPlan(t *testing.T) {
	m := openRNN(t, "lstm-3-layer.pt")
	for _, o := range []edge.StreamOptions{{}, {Batch: 8, MaxSteps: 16, Threads: 3}} {
		plan, err := m.PlanStream(o)
		if err != nil {
			t.Fatal(err)
		}
		var planned int64
		for _, p := range plan.Parts {
			if p.Name != "Go runtime" {
				planned += p.Bytes
			}
		}
		allocated := func(f func(testing.TB)) int64 {
			return testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f(b)
				}
			}).AllocedBytesPerOp()
		}
		// Making a stream makes a plan of it first, which looks up what the machine has.
		planning := allocated(func(t testing.TB) {
			if _, err := m.PlanStream(o); err != nil {
				t.Fatal(err)
			}
		})
		if got := allocated(func(t testing.TB) { newStream(t, m, o) }) - planning; got < planned || float64(got) > float64(planned)*1.2+4096 {
			t.Errorf("%+v: %d bytes allocated, %d planned", o, got, planned)
		}
	}
	var memory *edge.MemoryError
	if _, err := m.NewStream(edge.StreamOptions{Memory: 1 << 20}); !errors.As(err, &memory) {
		t.Errorf("1 MB: %v", err)
	}
}

// TestStreamRefuses: wrong sizes, wrong values and wrong families are typed errors, and the stream stays usable.
func TestStreamRefuses(t *testing.T) {
	values, words := openRNN(t, "lstm-bidirectional.safetensors"), openRNN(t, "words-pt.pt")
	v, w := newStream(t, values, edge.StreamOptions{MaxSteps: 3}), newStream(t, words, edge.StreamOptions{})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	row := randoms(1, 7)
	for what, err := range map[string]error{
		"a short row":        v.Step(nil, row[:6]),
		"NaN":                v.Step(nil, []float32{0, 0, nan, 0, 0, 0, 0}),
		"infinity":           v.Step(nil, []float32{0, 0, 0, 0, 0, 0, inf}),
		"no steps":           v.Run(nil, nil, 0, nil),
		"a long sequence":    v.Run(nil, randoms(1, 28), 4, nil),
		"a length too many":  v.Run(nil, row, 1, []int{1, 1}),
		"a long length":      v.Run(nil, row, 1, []int{2}),
		"little room":        v.Run(make([]float32, 3), row, 1, nil),
		"no words":           w.Step(nil, row),
		"a word too high":    w.StepTokens(nil, []int32{11}),
		"a negative word":    w.RunTokens(nil, []int32{1, -1}, 2, nil),
		"two words for one":  w.StepTokens(nil, []int32{1, 2}),
		"a batch of minus 1": second(words.NewStream(edge.StreamOptions{Batch: -1})),
	} {
		var wrong *edge.InputError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := v.Run(nil, randoms(1, 21), 3, nil); err != nil {
		t.Error(err)
	}
	var family *edge.FamilyError
	if _, err := words.NewSession(edge.Options{}); !errors.As(err, &family) {
		t.Errorf("a session of a recurrent network: %v", err)
	}
	if _, err := words.NewStream(edge.StreamOptions{Kernels: "sse9"}); err == nil || !strings.Contains(err.Error(), "sse9") {
		t.Errorf("unknown kernels: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestRNNConfigRefuses: each rule of the config is an error that says what must be.
func TestRNNConfigRefuses(t *testing.T) {
	good := `{"input":4,"layers":[{"cell":"lstm","hidden":8}],"output":"steps","start":-1}`
	if _, err := edge.ParseRNNConfig([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"input":4`, `"input":0`, "input"},
		{`"input":4`, `"input":200000`, "input"},
		{`"cell":"lstm"`, `"cell":"qrnn"`, "cell"},
		{`"hidden":8`, `"hidden":0`, "hidden"},
		{`"hidden":8`, `"hidden":99999999`, "hidden"},
		{`"hidden":8`, `"hidden":8,"projection":8`, "projection"},
		{`"hidden":8`, `"hidden":8,"direction":"up"`, "direction"},
		{`"hidden":8`, `"hidden":8,"activation":"tanh"`, "activation"},
		{`"cell":"lstm"`, `"cell":"rnn"`, "activation"},
		{`"cell":"lstm"`, `"cell":"gru","peepholes":true`, "peepholes"},
		{`"hidden":8`, `"hidden":8,"reset_after":true`, "reset_after"},
		{`"hidden":8`, `"hidden":8,"clip":-1`, "clip"},
		{`[{"cell":"lstm","hidden":8}]`, `[]`, "layers"},
		{`"steps"`, `"all"`, "output"},
		{`"start":-1`, `"start":0`, "start"},
		{`"start":-1`, `"start":-1,"tied_output":true`, "tied_output"},
		{`"start":-1`, `"start":-1,"head":[{"size":0}]`, "size"},
		{`"start":-1`, `"start":-1,"head":[{"size":3,"activation":"swish"}]`, "swish"},
		{good, `{"layers":{}}`, "config"},
	} {
		if _, err := edge.ParseRNNConfig([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.new, err)
		}
	}
}

// TestRNNCutFile: a file that is cut while it runs is an error, not a fault.
func TestRNNCutFile(t *testing.T) {
	if os.Getenv("EDGE_INFER_TEST") == "few" {
		t.Skip("QEMU hides the fault")
	}
	path := filepath.Join(t.TempDir(), "model.ei8")
	if _, err := convert.Convert(context.Background(), "../convert/testdata/rnn/golden/lstm-3-layer.pt", path, convert.Options{}); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := newStream(t, m, edge.StreamOptions{})
	if err := os.Truncate(path, 4096); err != nil {
		t.Skip("a mapped file cannot be cut here")
	}
	if err := s.Run(nil, randoms(1, 7*8), 8, nil); err == nil {
		t.Error("a cut file was not noticed")
	}
}
