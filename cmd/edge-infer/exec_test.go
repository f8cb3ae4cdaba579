package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

// The tests run the program as its users do, as a process: this test binary starts itself again, with reexec set, and is
// the program then. So they need no go tool, and work under emulation.
const reexec = "EDGE_INFER_TEST_REEXEC"

func TestMain(m *testing.M) {
	if os.Getenv(reexec) != "" {
		memory.SmallPages()
		os.Exit(run(os.Args[1:]))
	}
	code := m.Run()
	if dir := modelFolder(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// command prepares a run of the program. env adds to a clean environment.
func command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self := append(emulator(t), args...)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self[0], self[1:]...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GOMEMLIMIT=") && !strings.HasPrefix(e, "GOCOVERDIR=") && !strings.HasPrefix(e, kernelsVariable+"=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(append(cmd.Env, reexec+"=1"), env...)
	return cmd
}

// startSelf is the command line that starts this binary again: its path, and before it what runs it. Under
// go test -exec "qemu-aarch64-static -cpu cortex-a53" the kernel cannot start a foreign binary by itself, so the emulator and
// its flags go before. EDGE_INFER_TEST_EXEC says which; else they are found in our own command line, of which QEMU shows its
// guests the part that is theirs, under the usual names in /proc but not under that of a task.
var startSelf = sync.OnceValues(func() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if program := os.Getenv("EDGE_INFER_TEST_PROGRAM"); program != "" { // a release is tested: that is the program
		self = program
	}
	if wrapper := strings.Fields(os.Getenv("EDGE_INFER_TEST_EXEC")); len(wrapper) > 0 {
		return append(wrapper, self), nil
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/cmdline", os.Getpid()))
	if words := strings.Split(string(line), "\x00"); err == nil && strings.HasPrefix(filepath.Base(words[0]), "qemu-") {
		if own := slices.Index(words, os.Args[0]); own > 0 {
			return append(words[:own:own], self), nil
		}
	}
	probe := exec.Command(self, "--version")
	probe.Env = append(os.Environ(), reexec+"=1")
	return []string{self}, probe.Run()
})

func emulator(t testing.TB) []string {
	t.Helper()
	start, err := startSelf()
	if err != nil {
		t.Skipf("cannot start this binary again: %v; set EDGE_INFER_TEST_EXEC to what runs it", err)
	}
	return append([]string{}, start...)
}

// result is how a run ended.
type result struct {
	code           int
	stdout, stderr string
}

// runProgram runs the program to its end with the given standard input.
func runProgram(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	return finish(t, command(t, nil, args...), strings.NewReader(stdin))
}

func finish(t testing.TB, cmd *exec.Cmd, stdin io.Reader) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// expect ends the test unless the exit code is right and standard error names each of the words.
func (r result) expect(t testing.TB, code int, words ...string) {
	t.Helper()
	wrong := []string{}
	if r.code != code {
		wrong = append(wrong, fmt.Sprintf("exit code %d, want %d", r.code, code))
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			wrong = append(wrong, fmt.Sprintf("standard error does not say %q", w))
		}
	}
	if strings.Contains(r.stderr, "goroutine ") {
		wrong = append(wrong, "it crashed")
	}
	if len(wrong) > 0 {
		t.Fatalf("%s\nstandard output: %.600s\nstandard error: %.2000s", strings.Join(wrong, "\n"), r.stdout, r.stderr)
	}
}

// trained is the folder of a real checkpoint: names in Arabic letters to Latin ones, letter by letter.
const trained = "../../convert/testdata/aren-transliteration"

// The first three lines are CTranslate2's own test of that model.
const (
	names      = "آ ت ز م و ن\nآ ت ش ي س و ن\nآ ز ا\n"
	namesLatin = "a t z m o n\na c h i s o n\na z z a\n"
)

var (
	modelMutex sync.Mutex
	modelDir   string
)

func modelFolder() string {
	modelMutex.Lock()
	defer modelMutex.Unlock()
	return modelDir
}

// testModel is the trained checkpoint, converted by the program once for all tests.
func testModel(t testing.TB) string {
	t.Helper()
	modelMutex.Lock()
	defer modelMutex.Unlock()
	path := filepath.Join(modelDir, "aren.ei8")
	if modelDir != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatal("the model could not be converted, see the first test that needs it")
		}
		return path
	}
	dir, err := os.MkdirTemp("", "edge-infer-cmd-test")
	if err != nil {
		t.Fatal(err)
	}
	modelDir = dir
	path = filepath.Join(dir, "aren.ei8")
	runProgram(t, "", "convert", trained, "-o", path, "--from", "ar", "--to", "en", "--licence", "MIT",
		"--source", "CTranslate2's tests").expect(t, exitOK)
	return path
}
