//go:build linux || darwin

package modelfile

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var sink int

// bigFile writes a model of some megabytes, so that several goroutines check it.
func bigFile(t *testing.T) string {
	r := rand.New(rand.NewPCG(13, 14))
	path := filepath.Join(t.TempDir(), "model.ei8")
	if err := write(path, testMeta(), nil, []sample{makeSample(r, "w", I8, N16K4, 2000, 1500)}, false); err != nil {
		t.Fatal(err)
	}
	return path
}

// A model that is cut while it is in use gives an error, and the process lives.
func TestFileCutWhileMapped(t *testing.T) {
	path := bigFile(t)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.unmap == nil {
		t.Fatal("the file was not mapped")
	}
	w, _ := f.Lookup("w")
	read := func() error {
		for _, q := range w.I8() {
			sink += int(q)
		}
		return nil
	}
	if err := Guard(path, read); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100_000); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"reading weights": Guard(path, read),
		"checking, alone": Guard(path, func() error { return f.checkTable() }),
		"checking, split": f.guarded(f.check),
		"no address":      Guard(path, func() error { sink = []int{1}[len(name())]; return nil }),
	} {
		var e *FormatError
		switch {
		case what == "checking, alone":
			if err != nil { // the header is still there
				t.Errorf("%s: %v", what, err)
			}
		case !errors.As(err, &e) || e.Path != path || !strings.Contains(e.Reason, "changed while in use"):
			t.Errorf("%s: %v", what, err)
		case what == "no address":
		case e.Offset == 0 && goruntime.GOARCH != "amd64":
			t.Logf("%s: this machine does not say where the fault was (QEMU): found by the size of the file", what)
		case e.Offset < 100_000 || e.Offset >= f.Size():
			t.Errorf("%s: offset %d", what, e.Offset)
		}
	}
	if debug.SetPanicOnFault(false) {
		t.Error("Guard left faults as panics")
	}
	if cutFile() != f {
		t.Error("the size of the file does not show that it was cut")
	}
}

// A file that is replaced by renaming, as models are, stays what it was for those who have it open.
func TestFileReplacedWhileMapped(t *testing.T) {
	path := bigFile(t)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := write(path, testMeta(), nil, []sample{makeSample(rand.New(rand.NewPCG(1, 1)), "other", F32, Rows, 1)}, true); err != nil {
		t.Fatal(err)
	}
	if file := cutFile(); file != nil {
		t.Error("a file that was replaced counts as cut")
	}
	if err := f.guarded(f.check); err != nil {
		t.Error(err)
	}
	if _, ok := f.Lookup("w"); !ok {
		t.Error("the open model changed")
	}
}

// What is not a fault on a model is not Guard's business.
func TestGuardLetsOtherPanicsThrough(t *testing.T) {
	f, err := Open(bigFile(t)) // not what faults below
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var nothing *[1 << 20]int
	unmapped, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(unmapped)
	for name, f := range map[string]func() error{
		"panic":         func() error { panic("mine") },
		"nil pointer":   func() error { sink = nothing[5]; return nil },
		"far from nil":  func() error { sink = nothing[1<<19]; return nil },
		"foreign fault": func() error { sink = int(unmapped[0]); return nil },
		"index":         func() error { sink = []int{1}[len(name())]; return nil },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic did not come through", name)
				}
			}()
			_ = Guard("model", f)
		}()
	}
	mine := errors.New("mine")
	if err := Guard("model", func() error { return mine }); err != mine {
		t.Errorf("error %v", err)
	}
	if debug.SetPanicOnFault(false) {
		t.Error("Guard left faults as panics")
	}
}

func name() string { return "a string longer than one" }

// Files that are closed are forgotten, and their addresses with them.
func TestCloseForgets(t *testing.T) {
	f, err := Open(bigFile(t))
	if err != nil {
		t.Fatal(err)
	}
	start := address(f.data)
	if got, _ := owner(start + 5); got != f {
		t.Error("an open file is not known")
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if got, _ := owner(start + 5); got != nil {
		t.Error("a closed file is still known")
	}
	path := bigFile(t)
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || len(mapped.files) != 0 {
		t.Errorf("after error %v there are %d maps", err, len(mapped.files))
	}
	if f.Size() == 0 || f.Path() == "" || f.Meta().Name != "test" {
		t.Error("size, path and metadata must outlive Close")
	}
}

// Guard is called once a step by every worker.
func BenchmarkGuard(b *testing.B) {
	for b.Loop() {
		_ = Guard("model", func() error { return nil })
	}
}
