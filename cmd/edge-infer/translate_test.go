package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

func TestTranslate(t *testing.T) {
	m := testModel(t)
	t.Run("lines", func(t *testing.T) {
		r := runProgram(t, names, "translate", "-m", m)
		r.expect(t, exitOK)
		if r.stdout != namesLatin {
			t.Errorf("got %q, want %q", r.stdout, namesLatin)
		}
	})
	t.Run("arguments", func(t *testing.T) {
		r := runProgram(t, "not read", append([]string{"translate", "-m", m}, strings.Split(strings.TrimSpace(names), "\n")...)...)
		r.expect(t, exitOK)
		if r.stdout != namesLatin {
			t.Errorf("got %q, want %q", r.stdout, namesLatin)
		}
	})
	t.Run("batches, threads and kernels change nothing", func(t *testing.T) {
		for _, flags := range []string{"--batch 2", "--batch 8 --threads 2", "--threads 1", "--tokens", "--tokens --batch 2"} {
			cmd := command(t, []string{kernelsVariable + "=generic"}, append([]string{"translate", "-m", m}, strings.Fields(flags)...)...)
			r := finish(t, cmd, strings.NewReader(names))
			r.expect(t, exitOK)
			if r.stdout != namesLatin {
				t.Errorf("%s: got %q, want %q", flags, r.stdout, namesLatin)
			}
		}
	})
	t.Run("beam", func(t *testing.T) {
		r := runProgram(t, names, "translate", "-m", m, "--beam", "4", "--length-penalty", "1")
		r.expect(t, exitOK)
		if got := strings.Count(r.stdout, "\n"); got != 3 {
			t.Errorf("%d lines, want 3: %q", got, r.stdout)
		}
	})
	t.Run("maximum length", func(t *testing.T) {
		r := runProgram(t, names, "translate", "-m", m, "--max-length", "2")
		r.expect(t, exitOK, "line 1: warning: ", "maximum length")
		if r.stdout != "a t\na c\na z\n" {
			t.Errorf("got %q", r.stdout)
		}
	})
	t.Run("languages", func(t *testing.T) {
		runProgram(t, names, "translate", "-m", m, "--from", "ar", "--to", "en").expect(t, exitOK)
		r := runProgram(t, names, "translate", "-m", m, "--from", "fr", "--to", "de")
		r.expect(t, exitUse, "this model translates ar to en, not fr to de")
		runProgram(t, names, "translate", "-m", m, "--to", "de").expect(t, exitUse, "not ar to de")
	})
	t.Run("nothing", func(t *testing.T) {
		r := runProgram(t, "", "translate", "-m", m)
		r.expect(t, exitOK)
		if r.stdout != "" || r.stderr != "" {
			t.Errorf("printed %q and %q", r.stdout, r.stderr)
		}
	})
	t.Run("empty lines stay", func(t *testing.T) {
		r := runProgram(t, "\nآ ز ا\n\n", "translate", "-m", m)
		r.expect(t, exitOK)
		if r.stdout != "\na z z a\n\n" {
			t.Errorf("got %q", r.stdout)
		}
	})
	t.Run("Windows lines, no end", func(t *testing.T) {
		r := runProgram(t, "\uFEFFآ ز ا\r\nآ ز ا", "translate", "-m", m)
		r.expect(t, exitOK)
		if r.stdout != "a z z a\na z z a\n" {
			t.Errorf("got %q", r.stdout)
		}
	})
}

func TestTranslateJSON(t *testing.T) {
	r := runProgram(t, names+"\xff\n", "translate", "-m", testModel(t), "--json", "--batch", "3")
	r.expect(t, exitInput, "line 4: ")
	type object struct {
		Source       string
		Text         string
		Score        float32
		Tokens       []string
		SourceTokens []string `json:"source_tokens"`
		Milliseconds *float64
		Error        string
	}
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d objects, want 4: %s", len(lines), r.stdout)
	}
	for i, l := range lines {
		var o object
		if err := json.Unmarshal([]byte(l), &o); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		if i == 3 {
			if o.Error == "" || o.Text != "" {
				t.Errorf("of a bad line: %s", l)
			}
			continue
		}
		source, text := strings.Split(names, "\n")[i], strings.Split(namesLatin, "\n")[i]
		if o.Source != source || o.Text != text || strings.Join(o.Tokens, " ") != text || strings.Join(o.SourceTokens, " ") != source {
			t.Errorf("line %d: %s", i+1, l)
		}
		if o.Score >= 0 || o.Score < -3 || o.Milliseconds == nil || *o.Milliseconds <= 0 || o.Error != "" {
			t.Errorf("line %d: %s", i+1, l)
		}
	}
}

func TestTranslateFiles(t *testing.T) {
	m, dir := testModel(t), t.TempDir()
	in, out := filepath.Join(dir, "in.txt"), filepath.Join(dir, "out.txt")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	onlyThese := func(names ...string) {
		t.Helper()
		entries, _ := os.ReadDir(dir)
		if len(entries) != len(names) {
			t.Errorf("the folder holds %v, want %v", entries, names)
		}
	}
	write(in, names)
	r := runProgram(t, "", "translate", "-m", m, "-i", in, "-o", out)
	r.expect(t, exitOK)
	if got := read(out); got != namesLatin || r.stdout != "" {
		t.Errorf("the file holds %q, standard output %q", got, r.stdout)
	}
	onlyThese("in.txt", "out.txt")

	// An old result is replaced, also through a link, and also when it is the input.
	link := filepath.Join(dir, "link.txt")
	if os.Symlink("in.txt", link) == nil {
		runProgram(t, "", "translate", "-m", m, "-i", in, "-o", link).expect(t, exitOK)
		if got := read(in); got != namesLatin {
			t.Errorf("through the link: %q", got)
		}
		os.Remove(link)
	}

	// Bad lines: the file is whole, with empty lines in it.
	runProgram(t, "آ ز ا\n\xff\xfe\nآ ز ا\n", "translate", "-m", m, "-o", out).expect(t, exitInput, "line 2: ", "1 of 3")
	if got := read(out); got != "a z z a\n\na z z a\n" {
		t.Errorf("the file holds %q", got)
	}

	// Whatever ends a run early leaves the old file as it was.
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitIO, []string{"-i", filepath.Join(dir, "none.txt")}},
		{exitIO, []string{"-i", dir}},
		{exitUse, []string{"--from", "fr"}},
		{exitModel, []string{"-m", in}},
	} {
		runProgram(t, names, append([]string{"translate", "-m", m, "-o", out}, c.args...)...).expect(t, c.code)
		if got := read(out); got != "a z z a\n\na z z a\n" {
			t.Errorf("%v: the file holds %q", c.args, got)
		}
	}
	onlyThese("in.txt", "out.txt")

	runProgram(t, names, "translate", "-m", m, "-o", filepath.Join(dir, "no", "such", "folder")).expect(t, exitIO, "no/such")
	runProgram(t, names, "translate", "-m", m, "-o", dir).expect(t, exitIO, "this is a folder")
	if _, err := os.Stat("/dev/full"); err == nil {
		r := runProgram(t, names, "translate", "-m", m, "-o", "/dev/full")
		r.expect(t, exitIO, "no space left", "make room")
	}
}

func TestBadInput(t *testing.T) {
	m := testModel(t)
	long := strings.TrimSpace(strings.Repeat("آ ", 350000))
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		stdout      string
		words       []string
	}{
		{"not UTF-8", "آ ز ا\nab\xffcd\nآ ز ا\n", nil, exitInput, "a z z a\n\na z z a\n", []string{"line 2: ", "UTF-8", "byte 3"}},
		{"not UTF-8, as tokens", "\xff\n", []string{"--tokens"}, exitInput, "\n", []string{"line 1: ", "UTF-8"}},
		{"not UTF-8, as an argument", "", []string{"آ ز ا", "\xff"}, exitInput, "a z z a\n\n", []string{"argument 2: ", "UTF-8"}},
		{"longer than a line may be", "آ ز ا\n" + long + long + "\nآ ز ا\n", nil, exitInput, "a z z a\n\na z z a\n",
			[]string{"line 2: ", "longer than 1 MB", "break it"}},
		{"too many tokens", "آ ز ا\n" + long[:2000] + "\nآ ز ا\n", []string{"--tokens"}, exitInput, "a z z a\n\na z z a\n",
			[]string{"line 2: ", "tokens"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runProgram(t, c.stdin, append([]string{"translate", "-m", m}, c.args...)...)
			r.expect(t, c.code, c.words...)
			if r.stdout != c.stdout {
				t.Errorf("printed %.200q, want %q", r.stdout, c.stdout)
			}
		})
	}
}

func TestBadModels(t *testing.T) {
	dir := t.TempDir()
	good, err := os.ReadFile(testModel(t))
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, good...)
	flipped[len(flipped)*2/3] ^= 4
	for name, content := range map[string][]byte{
		"empty":     {},
		"png":       []byte("\x89PNG\r\n\x1a\n" + strings.Repeat("x", 1000)),
		"text":      []byte("hello\n"),
		"truncated": good[:len(good)/2],
		"flipped":   flipped,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"translate", "-m", path, "x"}, {"inspect", path}} {
			r := runProgram(t, "", args...)
			r.expect(t, exitModel, "edge-infer: ", path)
			if r.stdout != "" {
				t.Errorf("%s: printed %q", name, r.stdout)
			}
		}
	}
	runProgram(t, "", "translate", "-m", dir, "x").expect(t, exitModel, "is a folder", "edge-infer convert")
	runProgram(t, "", "translate", "-m", filepath.Join(dir, "none.ei8"), "x").expect(t, exitModel, "there is no model", "none.ei8")
	runProgram(t, "", "translate", "-m", "none", "x").expect(t, exitModel, "there is no model none")
	runProgram(t, "", "inspect", filepath.Join(dir, "none.ei8")).expect(t, exitModel, "there is no model")
}

// A sound file that holds something else can be looked into, and not translated with.
func TestOtherFamily(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowers.ei8")
	w, err := modelfile.Create(path, &modelfile.Meta{Name: "flowers", Family: "forest"}, nil,
		[]modelfile.TensorSpec{{Name: "rows", DType: modelfile.F32, Layout: modelfile.Rows, Shape: []int{3, 16}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 3*16*4))
	w.Finish(nil, nil)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "", "translate", "-m", path, "x").expect(t, exitModel, "flowers.ei8", "forest")
	r := runProgram(t, "", "inspect", path)
	r.expect(t, exitOK)
	if !strings.Contains(r.stdout, "forest") || !strings.Contains(r.stdout, "3 x 16") || strings.Contains(r.stdout, "memory to translate") {
		t.Errorf("inspect: %s", r.stdout)
	}
}

func TestKernelsVariable(t *testing.T) {
	cmd := command(t, []string{kernelsVariable + "=quantum"}, "translate", "-m", testModel(t), "x")
	finish(t, cmd, nil).expect(t, exitUse, `"quantum"`, "generic")
}

func TestOutOfRange(t *testing.T) {
	m := testModel(t)
	for _, flags := range []string{"--beam 100000", "--batch 1000000", "--max-length 1000000", "--threads 100000", "--length-penalty NaN"} {
		runProgram(t, "", append([]string{"translate", "-m", m, "x"}, strings.Fields(flags)...)...).expect(t, exitUse)
	}
}

func TestNotEnoughMemory(t *testing.T) {
	m := testModel(t)
	runProgram(t, "", "translate", "-m", m, "--memory", "1M", "x").expect(t, exitMemory, "memory", "1.0 MB", "take a smaller model")
	runProgram(t, "", "translate", "-m", m, "--memory", "1G", "آ ز ا").expect(t, exitOK)
	runProgram(t, "", "translate", "-m", m, "--memory", "little", "x").expect(t, exitUse, "like 64M")
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"": 0, "1": 1, "64M": 64 << 20, "64m": 64 << 20, "2k": 2048, "3G": 3 << 30,
		"0": -1, "-1M": -1, "M": -1, "1T": -1, "9000000000G": -1, "1.5M": -1, "\xcd": -1,
	} {
		got, err := parseSize(s)
		if want < 0 != (err != nil) || err == nil && got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}

// A very long line without an end of sentence: cut into hundreds of parts, and said so once.
func TestLongLine(t *testing.T) {
	size := 200000 // a whole megabyte takes a minute on a slow machine
	if testing.Short() {
		size = 10000
	}
	source := strings.Repeat("آ ", size/3)
	r := runProgram(t, source+"\nآ ز ا\n", "translate", "-m", testModel(t), "--max-length", "1", "--batch", "8")
	r.expect(t, exitOK, "line 1: warning: ", "cut into", "times)")
	lines := strings.Split(r.stdout, "\n")
	if len(lines) != 3 || len(lines[0]) < 10 || lines[1] != "a" {
		t.Errorf("%d lines", len(lines))
	}
	if n := strings.Count(r.stderr, "\n"); n > 4 {
		t.Errorf("%d lines of warnings", n)
	}
}

// Each line is answered before the next is written: nothing waits for a full batch or a full buffer.
func TestConversation(t *testing.T) {
	for _, batch := range []string{"1", "8"} {
		cmd := command(t, nil, "translate", "-m", testModel(t), "--batch", batch)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(stdout)
		for i, name := range strings.Split(strings.TrimSpace(names), "\n") {
			fmt.Fprintln(stdin, name)
			answer, err := answers.ReadString('\n')
			if want := strings.SplitAfter(namesLatin, "\n")[i]; err != nil || answer != want {
				t.Fatalf("%q, %v, want %q", answer, err, want)
			}
		}
		stdin.Close()
		if rest, _ := io.ReadAll(answers); len(rest) > 0 {
			t.Errorf("more came: %q", rest)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// A reader that has enough, such as head, ends the program without a word.
func TestReaderGone(t *testing.T) {
	cmd := command(t, nil, "translate", "-m", testModel(t))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.Stdin = strings.NewReader(strings.Repeat(names, 100))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReaderSize(stdout, 16).ReadString('\n'); err != nil || answer != "a t z m o n\n" {
		t.Errorf("%q, %v", answer, err)
	}
	stdout.Close()
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, standard error: %q", err, stderr.String())
	}
}

// Ctrl-C while it waits for input and while it works.
func TestInterrupt(t *testing.T) {
	for name, stdin := range map[string]string{"waiting": "", "working": strings.Repeat(names, 100000)} {
		dir := t.TempDir()
		cmd := command(t, nil, "translate", "-m", testModel(t), "-o", filepath.Join(dir, "out.txt"))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go io.WriteString(in, stdin) // ends when the program does
		for started := time.Now(); time.Since(started) < time.Minute; time.Sleep(20 * time.Millisecond) {
			if entries, _ := os.ReadDir(dir); len(entries) > 0 { // its temporary file: it is at work
				break
			}
		}
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("%s: code %d, standard error %q", name, code, stderr.String())
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%s: it left %v", name, entries)
		}
		in.Close()
	}
}

// TestUnchosenLanguage: a model of several target languages says once that none was chosen; its answers stay the same.
func TestUnchosenLanguage(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(folder, os.DirFS("../../convert/testdata/marian-safetensors")); err != nil {
		t.Fatal(err)
	}
	vocab := filepath.Join(folder, "vocab.json")
	raw, err := os.ReadFile(vocab)
	if err != nil {
		t.Fatal(err)
	}
	raw = []byte(strings.NewReplacer(`"▁":`, `">>fra<<":`, `"▁the":`, `">>deu<<":`).Replace(string(raw)))
	if err := os.WriteFile(vocab, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	m := folder + ".ei8"
	runProgram(t, "", "convert", folder, "-o", m).expect(t, exitOK)
	const note = "edge-infer: the model writes deu, fra: choose with --to, or begin a line with >>deu<<\n"
	for input, says := range map[string]int{"abc\nabc\n": 1, ">>fra<< abc\n": 0, ">>fra<< abc\nabc\n": 1, "\n": 0} {
		r := runProgram(t, input, "translate", "-m", m)
		r.expect(t, exitOK)
		if got := strings.Count(r.stderr, note); got != says {
			t.Errorf("%q: said %d times, want %d: %s", input, got, says, r.stderr)
		}
		if r := runProgram(t, input, "translate", "-m", m, "--to", "fra"); r.code != exitOK || strings.Contains(r.stderr, "choose") {
			t.Errorf("%q with --to: %s", input, r.stderr)
		}
	}
}
