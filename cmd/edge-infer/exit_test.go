package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// One error of each kind, bare and wrapped; the codes of real runs are tested beside the commands.
func TestExitCode(t *testing.T) {
	noFile := &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errReaderGone, 0},
		{&edge.InputError{Reason: "x"}, 1},
		{&badLinesError{tally{1, 2, nil}, "failed"}, 1},
		{&badLinesError{tally{1, 2, tooLarge("this line", 1<<16, "break it")}, "failed"}, 4},
		{&usageError{"x", ""}, 2},
		{&kernels.UnavailableError{Name: "x"}, 2},
		{&modelError{noFile}, 3},
		{&modelfile.FormatError{Reason: "x"}, 3},
		{&modelError{&modelfile.FormatError{Reason: "x"}}, 3},
		{&edge.FamilyError{Family: "knn"}, 3},
		{&edge.ModelError{Reason: "x"}, 3},
		{&checkpoint.Error{Reason: "x"}, 3},
		{&edge.MemoryError{Need: 2}, 4},
		{&modelError{&edge.MemoryError{Need: 2}}, 4},
		{noFile, 5},
		{errors.New("something else"), 5},
		{context.Canceled, 130},
	} {
		for _, err := range []error{c.err, fmt.Errorf("while testing: %w", c.err)} {
			if c.err == nil {
				err = nil
			}
			if got := exitCode(err); got != c.want {
				t.Errorf("%T %v: code %d, want %d", c.err, err, got, c.want)
			}
		}
	}
}

func TestUse(t *testing.T) {
	for i, c := range []struct {
		args  string
		words []string
	}{
		{"transalte x", []string{`"transalte"`, "did you mean translate?"}},
		{"kernel", []string{"did you mean kernels?"}},
		{"你好", []string{"edge-infer translate 你好"}},
		{"nonsense", []string{"--help lists the commands"}},
		{"translate --beem 4 x", []string{"--beem", "did you mean --beam?"}},
		{"translate --nonsense x", []string{"--nonsense", "--help lists the flags"}},
		{"translate --beam four x", []string{"--beam", "four"}},
		{"translate --beam 0 x", []string{"--beam is 0", "1 or more"}},
		{"translate --batch -1 x", []string{"--batch is -1"}},
		{"translate --threads 0 x", []string{"--threads is 0"}},
		{"translate --model", []string{"--model"}},
		{"translate -i a.txt text", []string{"both"}},
		{"kernels now", []string{"takes no argument"}},
		{"version now", []string{"takes no argument"}},
		{"completion fish now", []string{"takes no argument"}},
		{"completion tcsh", []string{`"tcsh"`, "bash"}},
		{"help transalte", []string{"did you mean translate?"}},
		{"inspect a b", []string{"one file"}},
		{"convert", []string{"convert"}},
		{"convert a b -o c", []string{"convert"}},
		{"convert a", []string{"-o"}},
	} {
		if testing.Short() && i%4 > 0 {
			continue // under emulation a start takes a second
		}
		t.Run(c.args, func(t *testing.T) {
			r := runProgram(t, "", strings.Fields(c.args)...)
			r.expect(t, exitUse, append(c.words, "edge-infer: ")...)
			if r.stdout != "" {
				t.Errorf("standard output holds %q", r.stdout)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"", "--help", "help", "translate --help", "convert -h", "inspect -h", "kernels -h", "version -h",
		"help translate", "completion", "completion bash", "completion zsh", "completion fish", "completion powershell", "--version"} {
		if testing.Short() && args != "" {
			break
		}
		r := runProgram(t, "", strings.Fields(args)...)
		r.expect(t, exitOK)
		if r.stdout == "" || r.stderr != "" {
			t.Errorf("%q: %d bytes on standard output, %q on standard error", args, len(r.stdout), r.stderr)
		}
		if lines := strings.Count(r.stdout, "\n"); !strings.HasPrefix(args, "completion ") && lines > 55 {
			t.Errorf("%q prints %d lines: more than a screen", args, lines)
		}
	}
	for _, name := range []string{"translate", "convert", "inspect", "kernels", "version"} {
		if testing.Short() {
			break
		}
		if r := runProgram(t, "", name, "--help"); !strings.Contains(r.stdout, "Examples:\n") {
			t.Errorf("%s --help shows no example", name)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"beam", "", 4}, {"beam", "beam", 0}, {"beem", "beam", 1}, {"bea", "beam", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
