package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPythonExample runs the example as a user does, with this program on the PATH.
func TestPythonExample(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("not run: there is no python3 on PATH")
	}
	const example = "examples/translate.py"
	text, err := os.ReadFile(example)
	if err != nil {
		t.Skip("not run: the sources are not here")
	}
	code := slices.DeleteFunc(strings.Split(string(text), "\n"), func(l string) bool { return l == "" || strings.HasPrefix(l, "#") })
	if len(code) > 10 {
		t.Errorf("the example has %d lines", len(code))
	}
	dir := t.TempDir()
	script := "#!/bin/sh\nexec '" + strings.Join(emulator(t), "' '") + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "edge-infer"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, example)
	cmd.Env = append(os.Environ(), reexec+"=1", "PATH="+dir+":"+os.Getenv("PATH"))
	r := finish(t, cmd, nil)
	r.expect(t, exitOK)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "我正在吃饭 = ") || !strings.HasSuffix(lines[1], " ms)") {
		t.Errorf("it printed %q", r.stdout)
	}
}
