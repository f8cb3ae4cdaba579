package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/cpuid/v2"

	"github.com/edge-infer/edge-infer/boards"
	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

var updateBoards = flag.Bool("update-boards", false, "rewrite what the commands in boards/README.md print")

// boardsReadme shows commands and what they print, each in a block that begins with "$ edge-infer".
const boardsReadme = "../../boards/README.md"

func TestBoardsReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("not run under -short: it writes a model of 80 MB")
	}
	page, err := os.ReadFile(boardsReadme)
	if err != nil {
		t.Skip("not run: the sources are not here")
	}
	dir := t.TempDir()
	writeOPUSSized(t, filepath.Join(dir, "opus-mt.ei8"))
	blocks := strings.Split(string(page), "```\n")
	ran := 0
	for i := 1; i < len(blocks); i += 2 {
		line, rest, _ := strings.Cut(blocks[i], "\n")
		args, ok := strings.CutPrefix(line, "$ edge-infer ")
		if !ok {
			continue
		}
		ran++
		cmd := command(t, nil, strings.Fields(args)...)
		cmd.Dir = dir
		r := finish(t, cmd, nil)
		r.expect(t, exitOK)
		if r.stdout != rest {
			t.Errorf("%s does not print what boards/README.md shows; if it should: go test ./cmd/edge-infer -run TestBoardsReadme -update-boards", line)
		}
		blocks[i] = line + "\n" + r.stdout
		checkWidth(t, r.stdout)
	}
	if ran < 3 {
		t.Errorf("boards/README.md shows %d commands", ran)
	}
	if *updateBoards {
		if err := os.WriteFile(boardsReadme, []byte(strings.Join(blocks, "```\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkWidth: a table is read on a terminal of 100 columns.
func checkWidth(t *testing.T, output string) {
	t.Helper()
	for _, l := range strings.Split(output, "\n") {
		if n := utf8.RuneCountInString(l); n > 100 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// writeOPUSSized writes a model with the sizes of OPUS-MT's, all weights zero.
func writeOPUSSized(t *testing.T, path string) {
	t.Helper()
	const vocab, dim, ffn, layers, longest = 65001, 512, 2048, 6, 512
	config, err := json.Marshal(edge.TransformerConfig{
		EncoderLayers: layers, DecoderLayers: layers, Dim: dim, Heads: 8, FFN: ffn, SourceVocab: vocab, TargetVocab: vocab, MaxLen: longest,
		NormEps: 1e-5, Activation: "silu", EmbedScale: 22.627417, SharedEmbeddings: true, TiedOutput: true, SourceEOS: true, TargetUnk: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]string, vocab)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("token%d", i)
	}
	image, err := text.BuildTokens(tokens)
	if err != nil {
		t.Fatal(err)
	}
	specs := []modelfile.TensorSpec{}
	add := func(name string, dtype modelfile.DType, layout modelfile.Layout, shape ...int) {
		specs = append(specs, modelfile.TensorSpec{Name: name, DType: dtype, Layout: layout, Shape: shape})
	}
	matrix := func(name string, rows, cols int) {
		add(name, modelfile.I8, modelfile.N16K4, rows, cols)
		add(name+".bias", modelfile.F32, modelfile.Rows, rows)
	}
	norm := func(name string) {
		add(name+".gamma", modelfile.F32, modelfile.Rows, dim)
		add(name+".beta", modelfile.F32, modelfile.Rows, dim)
	}
	add("decoder.embed", modelfile.I8, modelfile.N16K4, vocab, dim)
	add("decoder.out.bias", modelfile.F32, modelfile.Rows, vocab)
	add("encoder.positions", modelfile.F32, modelfile.Rows, longest, dim)
	for _, side := range []string{"encoder", "decoder"} {
		for i := range layers {
			p := fmt.Sprintf("%s.layers.%d.", side, i)
			matrix(p+"self.qkv", 3*dim, dim)
			matrix(p+"self.out", dim, dim)
			norm(p + "self.norm")
			if side == "decoder" {
				matrix(p+"cross.q", dim, dim)
				matrix(p+"cross.kv", 2*dim, dim)
				matrix(p+"cross.out", dim, dim)
				norm(p + "cross.norm")
			}
			matrix(p+"ffn.in", ffn, dim)
			matrix(p+"ffn.out", dim, ffn)
			norm(p + "ffn.norm")
		}
	}
	meta := &modelfile.Meta{Family: edge.FamilyTransformer, Config: config, Name: "opus-mt"}
	w, err := modelfile.Create(path, meta, []modelfile.SectionData{{Kind: modelfile.SectionTokenizerSource, Data: image}}, specs, false)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range specs {
		s := &specs[i]
		size, scale, sum := 4*s.Rows()*s.PaddedCols(), []float32(nil), []int32(nil)
		if s.DType == modelfile.I8 {
			rows := kernels.Pad16(s.Rows())
			size, scale, sum = rows*s.PaddedCols(), make([]float32, rows), make([]int32, rows)
		}
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(scale, sum); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBoardsList(t *testing.T) {
	r := runProgram(t, "", "boards", "list")
	r.expect(t, exitOK)
	checkWidth(t, r.stdout)
	for _, p := range boards.Profiles {
		if !strings.Contains(r.stdout, "\n"+p.Name+" ") {
			t.Errorf("%s is not listed:\n%s", p.Name, r.stdout)
		}
		checkWidth(t, string(showProfile(&p)))
	}
	r = runProgram(t, "", "boards", "list", "--json")
	r.expect(t, exitOK)
	var list []boards.Profile
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list) != len(boards.Profiles) || list[0].Free.Source == "" {
		t.Errorf("%v: %.300s", err, r.stdout)
	}
	r = runProgram(t, "", "boards", "show", "pi-zero-2-w")
	r.expect(t, exitOK)
	for _, want := range []string{"Raspberry Pi Zero 2 W", "4 x Cortex-A53", "neon kernels", "2318 MB/s", "sbc-bench 3E85", "~5.33 a cycle"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("boards show does not say %q:\n%s", want, r.stdout)
		}
	}
}

func TestBoardsDetect(t *testing.T) {
	r := runProgram(t, "", "boards", "detect")
	r.expect(t, exitOK)
	if !strings.Contains(r.stdout, "cores") || !strings.Contains(r.stdout, "kernels") {
		t.Errorf("of this machine: %s", r.stdout)
	}
	recorded := "../../boards/testdata/"
	if _, err := os.Stat(recorded); err != nil {
		t.Skip("not run: the sources are not here")
	}
	for folder, want := range map[string][]string{
		"pi-zero":     {"Raspberry Pi Zero W", "boards show pi-zero", "1 x ARM1176"},
		"pi-zero-2-w": {"boards show pi-zero-2-w", "4 x Cortex-A53", "600 MHz now, 1000 at most", "since the start: the supply's voltage is too low"},
		"pi-3b-plus":  {"boards show pi-3b-plus", "62 degrees", "now: the soft limit"},
		"pi-4":        {"boards show pi-4b", "4 x Cortex-A72"},
		"pi-5":        {"boards show pi-5", "512 KB L2, 2048 KB L3 for 4"},
		"orange-pi-5": {"boards show orange-pi-5", "big cores", "CPUs 4-7, which are taken by default"},
		"rock-5b":     {"not told", "4 x Cortex-A76", "CPUs 4-7, which are taken by default"},
		"pc":          {"none: this is a PC", "i5-7500"},
		"damaged":     {"not told; edge-infer boards list", "kind that is not told"},
	} {
		d, err := detect(recorded + folder)
		if err != nil {
			t.Fatal(err)
		}
		table := string(d.table())
		for _, w := range want {
			if !strings.Contains(table, w) {
				t.Errorf("%s: does not say %q:\n%s", folder, w, table)
			}
		}
		if strings.Contains(table, "pages") {
			t.Errorf("%s: size of pages, which is this machine's:\n%s", folder, table)
		}
		checkWidth(t, table)
	}
	r = runProgram(t, "", "boards", "detect", "--json", "--root", recorded+"orange-pi-5")
	r.expect(t, exitOK)
	var d detection
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || d.Cores != 8 || d.Profile != "orange-pi-5" || len(d.BigCores) != 4 || d.Kernels != "" {
		t.Errorf("%v: %s", err, r.stdout)
	}
	// Nothing there, or nothing that may be read.
	empty, nothing := t.TempDir(), "board  not told; edge-infer boards list names those there are profiles of\ncores  not told\n"
	if r := runProgram(t, "", "boards", "detect", "--root", empty); r.code != exitOK || r.stdout != nothing {
		t.Errorf("%d, %q", r.code, r.stdout)
	}
	if err := os.MkdirAll(filepath.Join(empty, "proc/cpuinfo"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := runProgram(t, "", "boards", "detect", "--root", empty); r.code != exitOK || r.stdout != nothing {
		t.Errorf("%d, %q", r.code, r.stdout)
	}
	runProgram(t, "", "boards", "detect", "--root", empty+"/nowhere").expect(t, exitIO, "nowhere")
	runProgram(t, "", "boards", "detect", "--root", os.Args[0]).expect(t, exitUse, "not a folder")
}

func TestBoardsFit(t *testing.T) {
	for _, c := range []struct{ model, unit string }{{"zh-en", "tok/s"}, {"lstm", "steps/s"}, {"iris", "queries/s"}} {
		r := runProgram(t, "", "boards", "fit", c.model, "--board", "all")
		r.expect(t, exitOK)
		checkWidth(t, r.stdout)
		r = runProgram(t, "", "boards", "fit", c.model, "--board", "pi-zero-2-w")
		r.expect(t, exitOK)
		checkWidth(t, r.stdout)
		if !strings.Contains(r.stdout, c.unit) || !strings.Contains(r.stdout, "it needs") {
			t.Errorf("%s:\n%s", c.model, r.stdout)
		}
		r = runProgram(t, "", "boards", "fit", c.model, "--board", "all", "--json")
		r.expect(t, exitOK)
		var o fitReport
		if err := json.Unmarshal([]byte(r.stdout), &o); err != nil || len(o.Boards) != len(boards.Profiles) || o.Unit != c.unit || o.Work[0].Bytes <= 0 {
			t.Errorf("%s: %v: %.500s", c.model, err, r.stdout)
		}
		for _, b := range o.Boards {
			if !(b.Ceiling > 0) || b.Fits != fitsYes || b.Bound == "" || b.Kernels == "" {
				t.Errorf("%s: %+v", c.model, b)
			}
		}
	}
}

// A model is compared with the memory of the board, and a larger version of it is found.
func TestFits(t *testing.T) {
	const mb = 1 << 20
	pi4, neo := boards.Find("pi-4b"), boards.Find("nanopi-neo")
	for _, c := range []struct {
		name      string
		own, file int64
		board     *boards.Profile
		here      *boards.Board
		fits      string
		ram       int
		inTable   string
		bound     string
	}{
		{"small", 10 * mb, 20 * mb, neo, nil, fitsYes, 256, "yes", boards.BoundMemory},
		{"the next version", 100 * mb, 200 * mb, neo, nil, fitsRereads, 512, "from 512 MB", boards.BoundMemory},
		{"too large a session", 400 * mb, 20 * mb, neo, nil, fitsNo, 0, "no", ""},
		{"too large a file", 10 * mb, 2000 * mb, neo, nil, fitsRereads, 0, "rereads", boundCard},
		{"of 4 GB", 10 * mb, 2000 * mb, pi4, nil, fitsRereads, 4096, "from 4 GB", boards.BoundMemory},
		{"less than is free", 10 * mb, 20 * mb, pi4, &boards.Board{MemAvailable: 15 * mb}, fitsRereads, 0, "rereads", boundCard},
		{"hardly anything is free", 10 * mb, 20 * mb, pi4, &boards.Board{MemAvailable: 13 * mb}, fitsNo, 0, "no", ""},
		{"it is not told what is free", 10 * mb, 20 * mb, pi4, &boards.Board{}, fitsYes, 1024, "yes", boards.BoundMemory},
	} {
		r := &fitReport{OwnBytes: c.own, FileBytes: c.file, Unit: "tok/s"}
		work := []fitCase{{passes: []boards.Pass{{Bytes: float64(c.file), MACs: float64(c.file), Times: 1}}, units: 1}}
		f := r.fit(c.board, work, c.here)
		if f.Fits != c.fits || f.FitsRAM != c.ram || f.fitsInWords() != c.inTable || f.Bound != c.bound {
			t.Errorf("%s: %+v, %q in the table; want %+v", c.name, f, f.fitsInWords(), c)
		}
		// What does not stay in memory comes at 20 MB/s.
		if want := 20e6 / (float64(c.own+c.file) - f.Free.Value*mb); c.bound == boundCard && math.Abs(f.Ceiling/want-1) > 1e-9 {
			t.Errorf("%s: %v a second from the card, want %v", c.name, f.Ceiling, want)
		}
		r.Boards = []boardFit{f}
		text := string(r.details())
		if c.fits == fitsNo != strings.Contains(text, "refused") {
			t.Errorf("%s:\n%s", c.name, text)
		}
		checkWidth(t, text)
		checkWidth(t, string(r.table()))
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0.00256: "0.00256", 4.0249: "4.02", 42: "42", 99.96: "100", 999.4: "999", 999.6: "1000", 1067: "1070", 48333: "48300", 999400: "999000",
		999600: "1M", 124.6e6: "125M", 2.5e9: "2500M",
	} {
		if got := short(v); got != want {
			t.Errorf("%v is printed %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int64]string{26880: "0.026", 9 << 20: "9", 11306496: "11", 81 << 20: "81", 2 << 30: "2048"} {
		if got := wholeMB(n); got != want {
			t.Errorf("%d bytes are printed %q MB, want %q", n, got, want)
		}
	}
}

func TestBoardsBadUse(t *testing.T) {
	for args, want := range map[string]string{
		"boards show pi4":                          "did you mean pi-4b?",
		"boards show orangepi5":                    "did you mean orange-pi-5?",
		"boards show quantum":                      "boards list",
		"boards show raspberry":                    "boards list", // half of all
		"boards show":                              "the name of a board",
		"boards show a b":                          "given 2",
		"boards fit":                               "one model",
		"boards fit zh-en --board pi-zero-2w":      "did you mean pi-zero-2-w?",
		"boards lits":                              "list, show, detect and fit",
		"boards list extra":                        "takes no argument",
		"boards fit zh-en --bord pi-5":             "--board",
		"boards fit zh-en --board " + "\u00e9":     "boards list",
		"boards show " + strings.Repeat("x", 5000): "boards list",
	} {
		r := runProgram(t, "", strings.Fields(args)...)
		r.expect(t, exitUse, want)
		if r.stdout != "" {
			t.Errorf("%s printed %q", args, r.stdout)
		}
	}
	runProgram(t, "", "boards", "fit", "nowhere.ei8", "--board", "pi-5").expect(t, exitModel, "nowhere.ei8")
	runProgram(t, "", "boards", "fit", "boards_test.go", "--board", "pi-5").expect(t, exitModel, "boards_test.go")
	// The error alone, without words about a table that does not come.
	if r := runProgram(t, "", "boards", "fit", "boards_test.go"); r.code != exitModel || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%d, %q, %q", r.code, r.stdout, r.stderr)
	}
}

// What is said of cores that are not here is what the program does on one that is: run under emulation, this knows several.
func TestKernelsOfThisCore(t *testing.T) {
	if cpuid.CPU.VendorID != cpuid.ARM {
		t.Skip("not run: not a core of Arm")
	}
	part := cpuid.CPU.Model >> 4
	for i := range boards.Cores {
		if c := &boards.Cores[i]; c.Part == part {
			best, err := kernels.Select("")
			if got := kernelsOf(c); err != nil || got != best.Name {
				t.Errorf("%s: said to take %s, took %s (%v)", c.Name, got, best.Name, err)
			}
			return
		}
	}
	t.Skipf("not run: part %#x is not known", part)
}
