package memory_test

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

// The parts of this test that are mapped as they are: its code and its constants, which an emulator may show as one.
func TestProgramMaps(t *testing.T) {
	parts := 0
	memory.ProgramMaps(func(start, end uintptr, offset int64) {
		if start >= end || offset < 0 {
			t.Errorf("a part from %x to %x, of byte %d on", start, end, offset)
		}
		parts++
	})
	if parts == 0 {
		t.Error("none")
	}
	memory.ForgetProgram() // and goes on
	goruntime.GC()
}

// TestForgetRelocated: a program that the loader has written addresses into keeps those.
func TestForgetRelocated(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	program := filepath.Join(t.TempDir(), "forget")
	build := exec.Command("go", "build", "-buildmode=pie", "-o", program, "./testdata/forget")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("cannot be built here: %v\n%s", err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no loader for it here: ", err)
	}
	if err != nil || strings.TrimSpace(string(out)) != "still here" {
		t.Errorf("%v\n%.1000s", err, out)
	}
}
