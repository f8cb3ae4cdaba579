package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// smallRNN converts a network of the converter's tests: 7 values a step in, 18 out.
func smallRNN(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.ei8")
	runProgram(t, "", "convert", filepath.Join("../../convert/testdata/rnn/golden", name), "-o", path).expect(t, exitOK)
	return path
}

func csvRows(n int) string {
	var b strings.Builder
	for i := range n {
		for j := range 7 {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.FormatFloat(float64((i*7+j)%11)/4-1, 'g', -1, 64))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestRun: the same numbers from CSV, a step at a time, from .npy, and in two pieces with a state between.
func TestRun(t *testing.T) {
	model, dir := smallRNN(t, "lstm-3-layer.pt"), t.TempDir()
	whole := csvRows(9)
	r := runProgram(t, whole, "run", model)
	r.expect(t, exitOK)
	if lines := strings.Split(r.stdout, "\n"); len(lines) != 10 || strings.Count(lines[0], ",") != 17 {
		t.Fatalf("%d lines", len(lines))
	}
	if s := runProgram(t, whole, "run", model, "--stream"); s.stdout != r.stdout {
		t.Error("--stream differs")
	}
	x, y, state := filepath.Join(dir, "x.npy"), filepath.Join(dir, "y.npy"), filepath.Join(dir, "state.npy")
	var values []float32
	for _, line := range strings.Fields(whole) {
		row := make([]float32, 7)
		err := parseRow(row, []byte(line))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, row...)
	}
	if err := os.WriteFile(x, npyBytes(values, 9, 7), 0o666); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "", "run", model, "-i", x, "-o", y).expect(t, exitOK)
	if s := runProgram(t, "", "run", model, "-i", x); s.stdout != r.stdout {
		t.Error(".npy in differs")
	}
	written, err := os.ReadFile(y)
	if err != nil || len(written) != 128+9*18*4 || !strings.Contains(string(written[:128]), "(9, 18,)") {
		t.Errorf("%d bytes of .npy, %q, %v", len(written), written[:min(len(written), 128)], err)
	}
	lines := strings.SplitAfter(whole, "\n")
	first := runProgram(t, strings.Join(lines[:4], ""), "run", model, "--state", state)
	second := runProgram(t, strings.Join(lines[4:], ""), "run", model, "--state", state, "--stream")
	if first.stdout+second.stdout != r.stdout {
		t.Error("two pieces with a state between differ")
	}
	// Two sequences are each one by itself.
	if err := os.WriteFile(x, npyBytes(append(append([]float32{}, values[:35]...), values[:35]...), 2, 5, 7), 0o666); err != nil {
		t.Fatal(err)
	}
	twice := runProgram(t, "", "run", model, "-i", x).stdout
	if want := strings.Join(strings.SplitAfter(r.stdout, "\n")[:5], ""); twice != want+want {
		t.Error("two sequences differ from one twice")
	}
	runProgram(t, "", "run", model, "-i", x, "--state", state).expect(t, exitInput, "one sequence")
}

func TestRunBadInput(t *testing.T) {
	model, both := smallRNN(t, "lstm-3-layer.pt"), smallRNN(t, "gru-bidirectional.safetensors")
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ids := smallRNN(t, "words-pt.pt")
	good := csvRows(1)
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		stderr      string
	}{
		{"short line", "1,2\n", []string{model}, exitInput, "line 1: 2 values"},
		{"no number", good + "1,2,3,x,5,6,7\n", []string{model}, exitInput, `line 2: column 4: "x"`},
		{"NaN", "1,2,3,NaN,5,6,7\n", []string{model}, exitInput, "column 4"},
		{"too large", "1,2,3,4,5,6,1e39\n", []string{model}, exitInput, "column 7"},
		{"nothing", "", []string{model}, exitInput, "no lines"},
		{"bad line in a stream", good + "x\n" + good, []string{model, "--stream"}, exitInput, "1 of 3 lines"},
		{"streaming backwards", good, []string{both, "--stream"}, exitUse, "reads from the end"},
		{"another shape", "", []string{model, "-i", write("a.npy", string(npyBytes(make([]float32, 6), 1, 6)))}, exitInput, "the shape is [1 6]"},
		{"no array", "", []string{model, "-i", write("b.npy", "hello")}, exitInput, "b.npy"},
		{"cut array", "", []string{model, "-i", write("c.npy", string(npyBytes(make([]float32, 7), 1, 7)[:140]))}, exitInput, "c.npy"},
		{"a state of another model", good, []string{model, "--state", write("d.npy", string(npyBytes(make([]float32, 3), 3)))}, exitInput, "3 values"},
		{"a broken state", good, []string{model, "--state", write("e.npy", "\x93NUMPY")}, exitInput, "e.npy"},
		{"a token too high", "1\n11\n", []string{ids}, exitInput, "step 2: token 11"},
		{"a bad token in a stream", "1\n11\n1\n", []string{ids, "--stream"}, exitInput, "1 of 3 lines"},
		{"half a token", "1.5\n", []string{ids}, exitInput, "token 1.5"},
		{"no model", "", nil, exitUse, "takes one model"},
		{"no such model", "", []string{"none.ei8"}, exitModel, "no model"},
		{"no such input", "", []string{model, "-i", filepath.Join(dir, "none.csv")}, exitIO, "none.csv"},
		{"no such folder", good, []string{model, "-o", filepath.Join(dir, "none", "y.csv")}, exitIO, "y.csv"},
		{"no threads", good, []string{model, "--threads", "0"}, exitUse, "--threads"},
		{"little memory", good, []string{model, "--memory", "1M"}, exitMemory, "memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			runProgram(t, c.stdin, append([]string{"run"}, c.args...)...).expect(t, c.code, c.stderr)
		})
	}
}

func npyBytes(values []float32, shape ...int) []byte {
	return appendF32(appendNPYHeader(nil, shape...), values)
}
