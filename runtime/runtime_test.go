package runtime_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/edge-infer/edge-infer/convert"
	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/alloctest"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// arenFile is the real transliteration model of convert/testdata, converted once for all tests.
var arenFile = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "edge-infer-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "aren.ei8")
	_, err = convert.Convert(context.Background(), "../convert/testdata/aren-transliteration", path, convert.Options{})
	return path, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := arenFile(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func openAren(t testing.TB) *edge.Model {
	t.Helper()
	path, err := arenFile()
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

type arenGolden struct {
	Items []struct {
		Source     []string
		Hypothesis []string
		CumLogProb float64 `json:"cum_log_prob"`
	}
}

func readGolden(t testing.TB) arenGolden {
	t.Helper()
	raw, err := os.ReadFile("../convert/testdata/aren-transliteration/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g arenGolden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g arenGolden) lines() []string {
	var lines []string
	for _, item := range g.Items {
		lines = append(lines, strings.Join(item.Source, " "))
	}
	return lines
}

func translate(t testing.TB, m *edge.Model, o edge.Options, lines []string) []edge.Translation {
	t.Helper()
	tr, err := m.NewTranslator(o)
	if err != nil {
		t.Fatal(err)
	}
	out, err := tr.Translate(context.Background(), lines)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		if out[i].Err != nil {
			t.Fatalf("line %d: %v", i, out[i].Err)
		}
	}
	return out
}

// A trained model through the whole path: 20 names whose transliterations the original framework gave in float32. Int8 may
// lose one; CTranslate2's own three test names it may not.
func TestRealModelNames(t *testing.T) {
	m, g := openAren(t), readGolden(t)
	out := translate(t, m, edge.Options{Batch: 4, Scores: true}, g.lines())
	right := 0
	for i, item := range g.Items {
		want := strings.Join(item.Hypothesis, " ")
		if out[i].Text == want {
			right++
			if d := float64(out[i].Score) - item.CumLogProb; d > 0.25 || d < -0.25 {
				t.Errorf("%s: log-probability %.3f, float32 gave %.3f", want, out[i].Score, item.CumLogProb)
			}
			continue
		}
		t.Logf("int8 gives %q, float32 gave %q", out[i].Text, want)
		switch strings.Join(item.Hypothesis, "") {
		case "atzmon", "achison", "azza":
			t.Errorf("one of CTranslate2's own test names is wrong: %q", out[i].Text)
		}
	}
	if right < 19 {
		t.Errorf("%d of %d names are right, want at least 19", right, len(g.Items))
	}
}

func digest(out []edge.Translation) string {
	h := sha256.New()
	for _, o := range out {
		fmt.Fprintf(h, "%s\n%x\n", o.Text, o.Score)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// The same bytes, scores included, on every kernel set, for any number of threads and any batch, greedy and beam.
func TestSameBytesEverywhere(t *testing.T) {
	m, lines := openAren(t), readGolden(t).lines()
	// Frozen on amd64; other architectures must find the same. A deliberate change of the arithmetic changes it.
	want := map[int]string{1: arenGreedyDigest, 4: arenBeamDigest}
	for _, set := range kernels.Available() {
		for _, beam := range []int{1, 4} {
			for _, o := range []edge.Options{{Batch: 1, Threads: 1}, {Batch: 8, Threads: 1}, {Batch: 8, Threads: 2}, {Batch: 3, Threads: 3}} {
				o.Kernels, o.Beam, o.Scores = set.Name, beam, true
				if got := digest(translate(t, m, o, lines)); got != want[beam] {
					t.Errorf("%s, beam %d, batch %d, %d threads: digest %s, want %s", set.Name, beam, o.Batch, o.Threads, got, want[beam])
				}
			}
		}
	}
}

// After warm-up a step allocates nothing, with and without a beam, threads included.
func TestStepAllocatesNothing(t *testing.T) {
	m, g := openAren(t), readGolden(t)
	var ids []int32
	for _, p := range g.Items[0].Source {
		id, ok := m.Source().ID(p)
		if !ok {
			t.Fatalf("no piece %q", p)
		}
		ids = append(ids, id)
	}
	for _, o := range []edge.Options{{Batch: 2}, {Batch: 2, Beam: 4, Threads: 2}, {Batch: 1, Scores: true}} {
		s, err := m.NewSession(o)
		if err != nil {
			t.Fatal(err)
		}
		sentence := func() {
			slot, err := s.Add(ids)
			if err != nil || slot < 0 {
				t.Fatal(slot, err)
			}
			for !s.Done(slot) {
				if _, err := s.Step(); err != nil {
					t.Fatal(err)
				}
			}
			if len(s.Best(slot)) == 0 || len(s.Best(slot)[0].Tokens) == 0 {
				t.Fatal("nothing decoded")
			}
			s.Release(slot)
		}
		if n := alloctest.PerRun(5, sentence); n != 0 {
			t.Errorf("%+v: %g allocations a sentence", o, n)
		}
	}
}

// A Plan's bytes are what NewSession allocates: compared with the allocator's own count, which rounds up to size classes.
func TestPlanIsExact(t *testing.T) {
	m := openAren(t)
	for _, o := range []edge.Options{{}, {Batch: 8, Beam: 4, Threads: 2}, {MaxSource: 17, MaxTarget: 33, Beam: 2}, {Beam: 8, NBest: 8}, {Alternatives: 40, NoRepeatNgram: 2}} {
		plan, err := m.Plan(o)
		if err != nil {
			t.Fatal(err)
		}
		session := int64(0)
		for _, p := range plan.Parts {
			if p.Name != "Go runtime" {
				session += p.Bytes
			}
		}
		got := int64(alloctest.Bytes(func() {
			if _, err := m.NewSession(o); err != nil {
				t.Fatal(err)
			}
		}))
		if got < session || got > session+session/8+64<<10 {
			t.Errorf("%+v: planned %d bytes, allocated %d", o, session, got)
		}
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	m := openAren(t)
	for _, o := range []edge.Options{
		{Beam: -1}, {Beam: 65}, {Batch: 1 << 20}, {Threads: 10000}, {MaxSource: 1 << 30}, {MaxTarget: -5},
		{MinTarget: 100, MaxTarget: 10}, {LengthPenalty: 1e30},
	} {
		var input *edge.InputError
		if _, err := m.NewSession(o); !errors.As(err, &input) {
			t.Errorf("%+v: error %v, want an InputError", o, err)
		}
	}
	var memory *edge.MemoryError
	if _, err := m.NewSession(edge.Options{Memory: 1 << 20}); !errors.As(err, &memory) {
		t.Errorf("1 MB of memory: error %v, want a MemoryError", err)
	}
	var kernel *kernels.UnavailableError
	if _, err := m.NewSession(edge.Options{Kernels: "abacus"}); !errors.As(err, &kernel) {
		t.Errorf("kernels abacus: error %v, want an UnavailableError", err)
	}
}

// Lines come back in order, with their newlines, whatever they hold; what is cut is said.
func TestTranslatorLines(t *testing.T) {
	m := openAren(t)
	long := strings.Repeat("ا ت ز ", 40)
	tr, err := m.NewTranslator(edge.Options{Batch: 3, MaxSource: 32, MaxTarget: 16})
	if err != nil {
		t.Fatal(err)
	}
	out, err := tr.Translate(context.Background(), []string{"آ ت ز م و ن", "", "   ", "ا\xff ت", long, "آ ت ز م و ن\n\nع ز ة\n"})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Text != "a t z m o n" || len(out[0].SourceTokens) != 6 || len(out[0].Tokens) != 6 {
		t.Errorf("line 0: %+v", out[0])
	}
	for _, i := range []int{1, 2} {
		if out[i].Text != "" || out[i].Err != nil {
			t.Errorf("line %d: %+v", i, out[i])
		}
	}
	var input *edge.InputError
	if !errors.As(out[3].Err, &input) || !strings.Contains(out[3].Err.Error(), "0xff") {
		t.Errorf("broken UTF-8: %v", out[3].Err)
	}
	if out[4].Text == "" || !strings.Contains(strings.Join(out[4].Warnings, "\n"), "was cut into 4 parts") {
		t.Errorf("long line: %q, warnings %q", out[4].Text, out[4].Warnings)
	}
	if got := strings.Split(out[5].Text, "\n"); len(got) != 4 || got[0] != out[0].Text || got[1] != "" || got[2] == "" || got[3] != "" {
		t.Errorf("newlines: %q", out[5].Text)
	}
	if out, err := tr.Translate(context.Background(), nil); err != nil || len(out) != 0 {
		t.Errorf("no lines: %v, %v", out, err)
	}
}

func TestTranslateStopsWhenCancelled(t *testing.T) {
	m := openAren(t)
	tr, err := m.NewTranslator(edge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tr.Translate(ctx, []string{"آ ت ز"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	// The translator stays usable.
	if out, err := tr.Translate(context.Background(), []string{"آ ت ز م و ن"}); err != nil || out[0].Text != "a t z m o n" {
		t.Errorf("after cancelling: %v, %v", out, err)
	}
}

func TestAddRefuses(t *testing.T) {
	m := openAren(t)
	s, err := m.NewSession(edge.Options{MaxSource: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]int32{nil, {-1}, {1 << 20}, {3, 3, 3, 3, 3, 3}} {
		var input *edge.InputError
		if _, err := s.Add(ids); !errors.As(err, &input) {
			t.Errorf("Add(%v): error %v, want an InputError", ids, err)
		}
	}
	if slot, err := s.Add([]int32{3}); slot != 0 || err != nil {
		t.Errorf("first sentence: slot %d, %v", slot, err)
	}
	if slot, err := s.Add([]int32{3}); slot != -1 || err != nil {
		t.Errorf("no free slot: slot %d, %v", slot, err)
	}
	s.Release(0)
	if running, err := s.Step(); running != 0 || err != nil {
		t.Errorf("released before it was encoded: %d run, %v", running, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	path, err := arenFile()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edge.Open(filepath.Join(t.TempDir(), "none.ei8")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty":     func(b []byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)-1] },
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"png":       func(b []byte) []byte { return append([]byte("\x89PNG\r\n\x1a\n"), b...) },
	} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := filepath.Join(t.TempDir(), "bad.ei8")
		if err := os.WriteFile(bad, change(raw), 0o644); err != nil {
			t.Fatal(err)
		}
		var format *modelfile.FormatError
		if _, err := edge.Open(bad); !errors.As(err, &format) {
			t.Errorf("%s: error %v, want a FormatError", name, err)
		}
	}
}

// Sessions of one model run side by side on goroutines of their own and agree.
func TestSessionsSideBySide(t *testing.T) {
	m, lines := openAren(t), readGolden(t).lines()
	want := digest(translate(t, m, edge.Options{}, lines))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			tr, err := m.NewTranslator(edge.Options{Batch: 2, Threads: 2})
			if err != nil {
				t.Error(err)
				return
			}
			out, err := tr.Translate(context.Background(), lines)
			if err != nil {
				t.Error(err)
			} else if got := digest(out); got != want {
				t.Errorf("digest %s, want %s", got, want)
			}
		}()
	}
	wg.Wait()
}

// Digests of the 20 names with scores.
const (
	arenGreedyDigest = "6a42ffcf46964c402e4cb0c1"
	arenBeamDigest   = "c3bdd0531162d504e9ec0e0b"
)

// A list of tokens without <unk> has no way to say an unknown token: that line is an error that names it.
func TestUnknownTokenOfAList(t *testing.T) {
	images := map[modelfile.Kind][]byte{}
	for kind, tokens := range map[modelfile.Kind][]string{
		modelfile.SectionTokenizerSource: {"</s>", "a", "b", "c"},
		modelfile.SectionTokenizerTarget: {"</s>", "x", "y", "z"},
	} {
		image, err := text.BuildTokens(tokens)
		if err != nil {
			t.Fatal(err)
		}
		images[kind] = image
	}
	m := tinyModel(t, nil, nil, images)
	tr, err := m.NewTranslator(edge.Options{MaxTarget: 8})
	if err != nil {
		t.Fatal(err)
	}
	out, err := tr.Translate(context.Background(), []string{"a b", "a\u3000 q b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Err != nil || out[2].Err != nil {
		t.Errorf("known tokens: %v, %v", out[0].Err, out[2].Err)
	}
	var input *edge.InputError
	if !errors.As(out[1].Err, &input) || !strings.Contains(out[1].Err.Error(), "token 1") {
		t.Errorf("unknown token: %v", out[1].Err)
	}
}

// What a list of tokens does not know is said: of some tokens with what they are, and a text of which nothing is known is an error, since
// it is most likely not cut into tokens.
func TestTextForAList(t *testing.T) {
	m := convertFolder(t, "../convert/testdata/aren-transliteration")
	tr, err := m.NewTranslator(edge.Options{MaxTarget: 30})
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"ع ز م و ن", "عزمون", "ع ز مو ن", "a b c d e f g ع", "<unk> ع ز", ""}
	out, err := tr.Translate(context.Background(), lines)
	if err != nil {
		t.Fatal(err)
	}
	const none = `none of it is in the model's vocabulary: this model has no tokenizer and takes tokens with spaces between, such as "ي ا و ر ن"`
	for i, want := range []string{"", none, `tokens that are not in the model's vocabulary count as unknown: "مو" (1 of 4)`,
		`tokens that are not in the model's vocabulary count as unknown: "a", "b", "c", "d", "e", ... (7 of 8)`, "", ""} {
		got := strings.Join(out[i].Warnings, "; ")
		if out[i].Err != nil {
			got = out[i].Err.Error()
		}
		if got != want || (out[i].Err != nil) != (want == none) {
			t.Errorf("%q:\ngot  %s\nwant %s", lines[i], got, want)
		}
	}
	if out[0].Text != "a z m o u n" {
		t.Error(out[0].Text)
	}
}

// TestBreakBefore: a break lies behind the last space from n/2 to n-1, else before the character that byte n is part of.
func TestBreakBefore(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"abcdefghij", 8},
		{"abcdefg hij", 8},
		{"abcdefgh ij", 8}, // byte 8 is the first of the rest
		{"abcd efghij", 5},
		{"abcde\tghij", 6},
		{"abc defghij", 8}, // a space of the first half does not count
		{"ab de fgh i", 6},
		{"abcdefgéij", 7},
		{"abcdefghé", 8},
		{"abcdef中j", 6},
		{"abcde中ij", 8},
		{"abcde𝄞i", 5},
		{"ab d中中", 7}, // byte 8 is the second of three
	} {
		if got := edge.BreakBefore(c.text, 8); got != c.want {
			t.Errorf("%q breaks at %d, want %d", c.text, got, c.want)
		}
	}
}
