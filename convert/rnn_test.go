package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/reference"
	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
)

const rnnFolder = "testdata/rnn"

// rnnCase is what another framework computed: sequences of a batch, their outputs, and states [layers*directions, batch, values].
type rnnCase struct {
	IDs      [][]int32     `json:"ids"`
	Input    [][][]float32 `json:"input"` // [batch, steps, values]
	Lengths  []int         `json:"lengths"`
	Output   [][][]float32 `json:"output"`
	H0       [][][]float32 `json:"h0"`
	C0       [][][]float32 `json:"c0"`
	H        [][][]float32 `json:"h"`
	C        [][][]float32 `json:"c"`
	Settings json.RawMessage
}

func (c *rnnCase) length(b int) int {
	if c.Lengths != nil {
		return c.Lengths[b]
	}
	if c.IDs != nil {
		return len(c.IDs[b])
	}
	return len(c.Input[b])
}

// initial gives the states of one sequence before its first step.
func (c *rnnCase) initial(r *reference.RNN, b int) []reference.RNNState {
	states := r.Initial()
	for i := range states {
		if c.H0 != nil {
			copy(states[i].H, c.H0[i][b])
		}
		if c.C0 != nil {
			copy(states[i].C, c.C0[i][b])
		}
	}
	return states
}

func (s *rnnSource) reference() (*reference.RNN, error) {
	tensors := map[string]reference.Tensor{}
	for i := range s.tensors {
		t := &s.tensors[i]
		values, err := floats(t.parts, len(t.spec.Shape))
		if err != nil {
			return nil, err
		}
		tensors[t.spec.Name] = reference.Tensor{Shape: t.spec.Shape, Data: values}
	}
	return reference.NewRNN(&s.config, tensors)
}

// checkRNN holds the float32 reference to 1e-5 of the golden output, and the runtime on every set to the derived bound: streamed,
// whole, alone and in a batch, all with the same bytes.
func checkRNN(t *testing.T, s *rnnSource, c *rnnCase) {
	t.Helper()
	defer s.close()
	ref, err := s.reference()
	if err != nil {
		t.Fatal(err)
	}
	batch, width := len(c.Output), s.config.OutputWidth()
	bounds := make([][][]float64, batch)
	worst := 0.0
	for b := range batch {
		n := c.length(b)
		var x [][]float32
		if c.IDs != nil {
			x = ref.Embed(c.IDs[b])
		} else {
			x = c.Input[b][:n]
		}
		states := c.initial(ref, b)
		y := ref.Run(x, states)
		for i := range y {
			for j, v := range y[i] {
				worst = max(worst, math.Abs(float64(v-c.Output[b][i][j])))
			}
		}
		for i := range states {
			for j, v := range states[i].H {
				if c.H != nil {
					worst = max(worst, math.Abs(float64(v-c.H[i][b][j])))
				}
			}
			for j, v := range states[i].C {
				if c.C != nil {
					worst = max(worst, math.Abs(float64(v-c.C[i][b][j])))
				}
			}
		}
		bounds[b] = errorBounds(s, ref, x, c.initial(ref, b), c.IDs != nil)
	}
	if worst > 1e-5 {
		t.Errorf("the float32 reference is %.2g off", worst)
	}

	path := filepath.Join(t.TempDir(), "model.ei8")
	if _, err := convertRNN(context.Background(), path, s, Options{}); err != nil {
		t.Fatal(err)
	}
	m, err := edge.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var first []float32
	var farthest, share float64
	for _, set := range kernels.Available() {
		got := runBatch(t, m, c, edge.StreamOptions{Batch: batch, Kernels: set.Name, MaxSteps: 8}, false)
		if first == nil {
			first = got
			steps := len(got) / batch / width
			for b := range batch {
				for i, row := range bounds[b] {
					for j, bound := range row {
						off := math.Abs(float64(got[(b*steps+i)*width+j] - c.Output[b][i][j]))
						farthest, share = max(farthest, off), max(share, off/bound)
						if !(off <= bound) {
							t.Errorf("sequence %d step %d value %d: int8 is %g off, at most %g were derived", b, i, j, off, bound)
						}
					}
				}
			}
		}
		same(t, set.Name, got, first)
		same(t, set.Name+", alone", runBatch(t, m, c, edge.StreamOptions{Batch: 1, Kernels: set.Name, MaxSteps: 8}, false), first)
		if !s.config.Backward() {
			same(t, set.Name+", streamed", runBatch(t, m, c, edge.StreamOptions{Batch: batch, Kernels: set.Name}, true), first)
			same(t, set.Name+", in pieces", runBatch(t, m, c, edge.StreamOptions{Batch: batch, Kernels: set.Name, MaxSteps: 3}, false), first)
		}
		same(t, set.Name+", threads", runBatch(t, m, c, edge.StreamOptions{Batch: batch, Kernels: set.Name, Threads: 3, MaxSteps: 8}, false), first)
	}
	t.Logf("reference %.1e off; int8 %.4f off, %.0f %% of its bound", worst, farthest, 100*share)
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: value %d is %g, on generic %g", what, i, got[i], want[i])
		}
	}
}

// runBatch runs all sequences of a case, with as many slots as the options have, whole or a step at a time: [batch, steps, width].
func runBatch(t *testing.T, m *edge.Model, c *rnnCase, o edge.StreamOptions, steps bool) []float32 {
	t.Helper()
	s, err := m.NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	all, longest, width := len(c.Output), 0, m.RNNConfig().OutputWidth()
	for b := range all {
		longest = max(longest, c.length(b))
	}
	var out []float32
	for from := 0; from < all; from += o.Batch {
		s.Reset()
		var x []float32
		var ids []int32
		lengths := make([]int, o.Batch)
		for b := range o.Batch {
			lengths[b] = c.length(from + b)
			if c.IDs != nil {
				ids = append(ids, c.IDs[from+b]...)
				continue
			}
			for _, row := range c.Input[from+b][:longest] {
				x = append(x, row...)
			}
			if c.H0 != nil {
				var state []float32
				for i := range c.H0 {
					state = append(state, c.H0[i][from+b]...)
					if c.C0 != nil {
						state = append(state, c.C0[i][from+b]...)
					}
				}
				if err := s.Restore(b, state); err != nil {
					t.Fatal(err)
				}
			}
		}
		dst := make([]float32, o.Batch*longest*width)
		switch {
		case !steps:
			if m.RNNConfig().Output != edge.OutputSteps {
				dst = dst[:o.Batch*width]
			}
			if ids != nil {
				err = s.RunTokens(dst, ids, longest, lengths)
			} else {
				err = s.Run(dst, x, longest, lengths)
			}
		default:
			err = streamed(s, dst, x, ids, longest, lengths)
			if m.RNNConfig().Output != edge.OutputSteps {
				for b := range o.Batch {
					copy(dst[b*width:], dst[(b*longest+lengths[b]-1)*width:][:width])
				}
				dst = dst[:o.Batch*width]
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, dst...)
	}
	return out
}

// streamed feeds a step of every sequence at a time. A sequence that has ended is put back to where it ended.
func streamed(s *edge.Stream, dst, x []float32, ids []int32, steps int, lengths []int) error {
	batch := s.Batch()
	width, in := len(dst)/batch/steps, len(x)/batch/steps
	row, now := make([]float32, batch*width), make([]float32, batch*in)
	words := make([]int32, batch)
	for i := range steps {
		kept := map[int][]float32{}
		for b := range batch {
			copy(now[b*in:(b+1)*in], x[(b*steps+i)*in:])
			if i >= lengths[b] {
				kept[b] = s.Snapshot(nil, b)
			} else if ids != nil {
				words[b] = ids[b*steps+i]
			}
		}
		var err error
		if ids != nil {
			err = s.StepTokens(row, words)
		} else {
			err = s.Step(row, now)
		}
		if err != nil {
			return err
		}
		for b := range batch {
			if state, ended := kept[b]; ended {
				if err := s.Restore(b, state); err != nil {
					return err
				}
				continue
			}
			copy(dst[(b*steps+i)*width:][:width], row[b*width:])
		}
	}
	return nil
}

// TestRNNGoldens: PyTorch's own modules, in .pt and .safetensors.
func TestRNNGoldens(t *testing.T) {
	goldens, _ := filepath.Glob(filepath.Join(rnnFolder, "golden", "*.golden.json"))
	if len(goldens) < 12 {
		t.Fatalf("%d goldens", len(goldens))
	}
	for _, golden := range goldens {
		name := strings.TrimSuffix(golden, ".golden.json")
		t.Run(filepath.Base(name), func(t *testing.T) {
			var c rnnCase
			if err := readJSON(golden, maxSmall, &c); err != nil {
				t.Fatal(err)
			}
			o := RNNOptions{}
			if c.Settings != nil {
				o.Settings = filepath.Join(t.TempDir(), "settings.json")
				if err := os.WriteFile(o.Settings, c.Settings, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			path := name + ".pt"
			if _, err := os.Stat(path); err != nil {
				path = name + ".safetensors"
			}
			s, err := openRNN(path, o)
			if err != nil {
				t.Fatal(err)
			}
			checkRNN(t, s, &c)
		})
	}
}

// TestRNNFine: a last layer whose input is two int8, in the same bounds and with the same bytes everywhere.
func TestRNNFine(t *testing.T) {
	for _, name := range []string{"words-pt", "words-tied-pt"} {
		var c rnnCase
		if err := readJSON(filepath.Join(rnnFolder, "golden", name+".golden.json"), maxSmall, &c); err != nil {
			t.Fatal(err)
		}
		o := RNNOptions{Settings: filepath.Join(t.TempDir(), "settings.json")}
		fine := strings.Replace(string(c.Settings), "{", `{"fine": true, `, 1)
		if err := os.WriteFile(o.Settings, []byte(fine), 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := openRNN(filepath.Join(rnnFolder, "golden", name+".pt"), o)
		if err != nil {
			t.Fatal(err)
		}
		if heads := s.config.Head; heads[0].Fine || !heads[len(heads)-1].Fine {
			t.Errorf("%s: the linear layers are %+v", name, heads)
		}
		checkRNN(t, s, &c)
	}
	for settings, want := range map[string]string{`{"fine": true, "head_activations": ["", "tanh"]}`: "is fine and has an activation", `{"fine": 3}`: "not the JSON"} {
		path := filepath.Join(t.TempDir(), "settings.json")
		if err := os.WriteFile(path, []byte(settings), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Convert(context.Background(), filepath.Join(rnnFolder, "golden", "words-pt.pt"), filepath.Join(t.TempDir(), "x.ei8"), Options{RNN: RNNOptions{Settings: path}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", settings, err, want)
		}
	}
}

// TestRNNLegacyTorch: the form of PyTorch before 1.6 gives the very file that today's gives, tied weights too.
func TestRNNLegacyTorch(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lstm-projected-bidirectional", "words-tied-pt"} {
		var files [2][]byte
		for i, folder := range []string{"golden", "legacy"} {
			dst := filepath.Join(dir, folder+".ei8")
			report, err := Convert(context.Background(), filepath.Join(rnnFolder, folder, name+".pt"), dst, Options{Force: true})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(report.Format, "PyTorch recurrent network") {
				t.Errorf("%s was read as %s", name, report.Format)
			}
			if files[i], err = os.ReadFile(dst); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("%s: the two forms of a checkpoint give different files", name)
		}
	}
}

// TestRNNBits: the very bits of the outputs, which are the same on every machine. Run it under QEMU, too.
func TestRNNBits(t *testing.T) {
	goldens, _ := filepath.Glob(filepath.Join(rnnFolder, "golden", "*.golden.json"))
	sum := fnv.New64a()
	for _, golden := range goldens {
		var c rnnCase
		if err := readJSON(golden, maxSmall, &c); err != nil {
			t.Fatal(err)
		}
		src := strings.TrimSuffix(golden, ".golden.json") + ".pt"
		if _, err := os.Stat(src); err != nil {
			src = strings.TrimSuffix(src, ".pt") + ".safetensors"
		}
		path := filepath.Join(t.TempDir(), "model.ei8")
		if _, err := Convert(context.Background(), src, path, Options{}); err != nil {
			t.Fatal(err)
		}
		m, err := edge.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range runBatch(t, m, &c, edge.StreamOptions{Batch: len(c.Output), MaxSteps: 8}, false) {
			var b [4]byte
			binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
			sum.Write(b[:])
		}
		m.Close()
	}
	if got := sum.Sum64(); got != rnnBits {
		t.Errorf("the outputs hash to %#x, on the machine where they were first computed to %#x", got, uint64(rnnBits))
	}
}

const rnnBits = 0xb816058b15506284

// TestRNNReferences: every case that another runtime keeps of PyTorch.
func TestRNNReferences(t *testing.T) {
	var all map[string]json.RawMessage
	if err := readJSON(filepath.Join(rnnFolder, "references.json"), maxSmall, &all); err != nil {
		t.Fatal(err)
	}
	done := 0
	for name, raw := range all {
		if strings.HasPrefix(name, "__") {
			continue
		}
		done++
		t.Run(name, func(t *testing.T) {
			var c struct {
				Input, Output shaped
				Params        map[string]shaped
				H             *shaped `json:"initial_hidden"`
				C             *shaped `json:"initial_cell"`
			}
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			ckpt := checkpoint.New("json", name)
			for _, suffix := range []string{"_l0", "_l0_reverse"} {
				for _, p := range []string{"weight_ih", "weight_hh", "bias_ih", "bias_hh"} {
					if v, ok := c.Params[p+suffix]; ok {
						if err := ckpt.Add(v.tensor(t, p+suffix)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			s := &rnnSource{format: "json", path: name, close: ckpt.Close}
			if err := s.torch(ckpt, []string{""}, RNNOptions{}); err != nil {
				t.Fatal(err)
			}
			golden := rnnCase{Input: [][][]float32{c.Input.rows()}, Output: [][][]float32{c.Output.rows()}}
			if c.H != nil {
				golden.H0 = [][][]float32{c.H.rows()}
			}
			if c.C != nil {
				golden.C0 = [][][]float32{c.C.rows()}
			}
			checkRNN(t, s, &golden)
		})
	}
	if done != 6 {
		t.Errorf("%d cases", done)
	}
}

// shaped is [shape, values].
type shaped struct {
	shape  []int
	values []float32
}

func (s *shaped) UnmarshalJSON(raw []byte) error {
	return json.Unmarshal(raw, &[]any{&s.shape, &s.values})
}

func (s *shaped) rows() [][]float32 {
	n := s.shape[len(s.shape)-1]
	var rows [][]float32
	for i := 0; i < len(s.values); i += n {
		rows = append(rows, s.values[i:i+n])
	}
	return rows
}

func (s *shaped) tensor(t *testing.T, name string) *checkpoint.Tensor {
	var raw []byte
	for _, v := range s.values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	shape := s.shape
	if len(shape) == 2 && shape[1] == 1 {
		shape = shape[:1]
	}
	x, err := checkpoint.NewTensor("json", name, checkpoint.F32, shape, checkpoint.Layout{Source: bytes.NewReader(raw), Limit: int64(len(raw))})
	if err != nil {
		t.Fatal(err)
	}
	return x
}
