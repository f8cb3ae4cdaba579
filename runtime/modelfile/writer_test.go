package modelfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
)

// entries are the names in a folder: after a failure there must be none that was not there before.
func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// fullDisk takes only so many bytes, as a card does; it can also fail at the other steps of writing.
type fullDisk struct {
	*os.File
	left                      int
	noPatch, noSync, badClose bool
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.left {
		n, _ := d.File.Write(p[:d.left])
		d.left = 0
		return n, &fs.PathError{Op: "write", Path: d.Name(), Err: syscall.ENOSPC}
	}
	d.left -= len(p)
	return d.File.Write(p)
}

func (d *fullDisk) WriteAt(p []byte, at int64) (int, error) {
	if d.noPatch {
		return 0, syscall.EIO
	}
	return d.File.WriteAt(p, at)
}

func (d *fullDisk) Sync() error {
	if d.noSync {
		return syscall.EIO
	}
	return d.File.Sync()
}

func (d *fullDisk) Close() error {
	if err := d.File.Close(); err != nil || !d.badClose {
		return err
	}
	return syscall.EIO
}

// writeToDisk does what Create and the calls after it do, on a disk of the test's.
func writeToDisk(t *testing.T, path string, disk fullDisk) error {
	sections, samples := testModel()
	w := &Writer{path: path, tensors: specs(samples)}
	head, err := w.plan(testMeta(), sections)
	if err != nil {
		t.Fatal(err)
	}
	if disk.File, err = createTemp(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	w.temp = disk.Name()
	w.start(&disk, head)
	defer w.Abort()
	return writeTo(w, samples)
}

// A full disk, wherever it fills up, and every other failure: an error, and nothing is left.
func TestFullDiskLeavesNothing(t *testing.T) {
	sections, samples := testModel()
	size := len(image(t, testMeta(), sections, samples))
	dir := t.TempDir()
	path := filepath.Join(dir, "model.ei8")
	for left := 0; left < size; left += 511 {
		err := writeToDisk(t, path, fullDisk{left: left})
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
			t.Fatalf("room for %d of %d bytes: %v", left, size, err)
		}
		if got := entries(t, dir); got != "" {
			t.Fatalf("room for %d of %d bytes: %s is left", left, size, got)
		}
	}
	for name, disk := range map[string]fullDisk{
		"patch": {left: size, noPatch: true}, "sync": {left: size, noSync: true}, "close": {left: size, badClose: true},
	} {
		if err := writeToDisk(t, path, disk); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", name, err)
		}
		if got := entries(t, dir); got != "" {
			t.Errorf("%s: %s is left", name, got)
		}
	}
	if err := writeToDisk(t, path, fullDisk{left: size}); err != nil {
		t.Errorf("a disk that is just large enough: %v", err)
	}
	if got := entries(t, dir); got != "model.ei8" {
		t.Errorf("the folder holds %s", got)
	}
}

// Overwriting needs force, and a failure leaves the old file as it was.
func TestForce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.ei8")
	sections, samples := testModel()
	if err := write(path, testMeta(), sections, samples, false); err != nil {
		t.Fatal(err)
	}
	old, _ := os.ReadFile(path)
	err := write(path, testMeta(), nil, samples[:1], false)
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("without force: %v", err)
	}
	bad := samples[0]
	bad.data = append(bytes.Clone(bad.data[1:]), 0x80)
	if err := write(path, testMeta(), nil, []sample{bad}, true); !isFormatError(err) {
		t.Errorf("a tensor with -128: %v", err)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, old) {
		t.Error("the old file was touched")
	}
	if err := write(path, testMeta(), nil, samples[:1], true); err != nil {
		t.Errorf("with force: %v", err)
	}
	f, err := Open(path)
	if err != nil || len(f.Tensors()) != 1 {
		t.Fatalf("after force: %v", err)
	}
	f.Close()

	// The target appears while the file is being written.
	late := filepath.Join(dir, "late.ei8")
	w, err := Create(late, testMeta(), nil, specs(samples[:1]), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeTo(w, samples[:1]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a target that appeared: %v", err)
	}
	if now, _ := os.ReadFile(late); string(now) != "mine" {
		t.Error("a file that appeared was overwritten")
	}
	if err := write(dir, testMeta(), nil, samples[:1], true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a folder as target: %v", err)
	}
	if got := entries(t, dir); got != "late.ei8 model.ei8" {
		t.Errorf("the folder holds %s", got)
	}
}

func TestAbort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.ei8")
	_, samples := testModel()
	w, err := Create(path, testMeta(), nil, specs(samples), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(samples[0].data[:100]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(w.temp); !isFormatError(err) {
		t.Errorf("an unfinished file opens: %v", err)
	}
	w.Abort()
	w.Abort()
	if got := entries(t, dir); got != "" {
		t.Errorf("%s is left", got)
	}
	if _, err := w.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("writing after Abort: %v", err)
	}
	if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closing after Abort: %v", err)
	}
	if err := write(path, testMeta(), nil, samples, false); err != nil { // ends with an Abort after Close
		t.Fatal(err)
	}
	if got := entries(t, dir); got != "model.ei8" {
		t.Errorf("the folder holds %q", got)
	}
}

// What is wrong with a plan is said before anything touches the disk.
func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.ei8")
	good := []TensorSpec{{"a", F32, Rows, []int{1}}}
	spec := func(name string, d DType, l Layout, shape ...int) []TensorSpec {
		return []TensorSpec{{name, d, l, shape}}
	}
	long := strings.Repeat("x", 256)
	many := make([]int, 9)
	for i := range many {
		many[i] = 1
	}
	for want, c := range map[string]struct {
		meta     *Meta
		sections []SectionData
		tensors  []TensorSpec
	}{
		"metadata has no family":       {&Meta{}, nil, good},
		`needs "teleport"`:             {&Meta{Family: "knn", Requires: []string{"teleport"}}, nil, good},
		"config in the metadata":       {&Meta{Family: "knn", Config: json.RawMessage(`[1]`)}, nil, good},
		"metadata: json":               {&Meta{Family: "knn", Config: json.RawMessage(`{`)}, nil, good},
		"are allowed":                  {&Meta{Family: "knn", Description: strings.Repeat("x", maxMeta)}, nil, good},
		"section META is given twice":  {testMeta(), []SectionData{{Kind: SectionMeta, Data: []byte("{}")}}, good},
		"section TENS is given twice":  {testMeta(), []SectionData{{Kind: SectionTensors, Data: []byte("x")}}, good},
		"section TOKS is given twice":  {testMeta(), []SectionData{{Kind: SectionTokenizerSource, Data: []byte("x")}, {Kind: SectionTokenizerSource, Data: []byte("x")}}, good},
		"section TOKS is empty":        {testMeta(), []SectionData{{Kind: SectionTokenizerSource}}, good},
		"as optional = true":           {testMeta(), []SectionData{{Kind: SectionTokenizerSource, Data: []byte("x"), Optional: true}}, good},
		"as optional = false":          {testMeta(), []SectionData{{Kind: 0x41414141, Data: []byte("x")}}, good},
		"0 tensors are given":          {testMeta(), nil, nil},
		"has no name":                  {testMeta(), nil, spec("", F32, Rows, 1)},
		"has a name with the byte":     {testMeta(), nil, spec("a b", F32, Rows, 1)},
		"has a name of 256 bytes":      {testMeta(), nil, spec(long, F32, Rows, 1)},
		`tensor "a" is given twice`:    {testMeta(), nil, append(spec("a", F32, Rows, 2), good...)},
		"has no type":                  {testMeta(), nil, spec("a", 0, Rows, 1)},
		"needs tensors of i4":          {testMeta(), nil, spec("a", I4, Rows, 1)},
		"has no layout":                {testMeta(), nil, spec("a", F32, 0, 1)},
		"needs tensors in layout 3":    {testMeta(), nil, spec("a", F32, 3, 1)},
		"which is for i8":              {testMeta(), nil, spec("a", F32, N16K4, 1, 1)},
		"has 0 dimensions":             {testMeta(), nil, spec("a", F32, Rows)},
		"has 9 dimensions":             {testMeta(), nil, spec("a", F32, Rows, many...)},
		"has a dimension of 0":         {testMeta(), nil, spec("a", F32, Rows, 4, 0)},
		"has a dimension of -1":        {testMeta(), nil, spec("a", F32, Rows, -1, 4)},
		"n16k4 allows":                 {testMeta(), nil, spec("a", I8, N16K4, 1, 1<<17)},
		"has a shape of more than 2^4": {testMeta(), nil, spec("a", F32, Rows, math.MaxInt, math.MaxInt)},
	} {
		w, err := Create(path, c.meta, c.sections, c.tensors, false)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: %v", want, err)
		}
		if w != nil {
			w.Abort()
		}
	}
	if got := entries(t, dir); got != "" {
		t.Errorf("%s is left", got)
	}
}

// Tensors that do not keep to the plan are refused, and nothing is left.
func TestWriterRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.ei8")
	_, samples := testModel()
	bad := func(change func(s *sample)) func(w *Writer) error {
		return func(w *Writer) error {
			list := append([]sample(nil), samples...)
			s := &list[1]
			s.data, s.scale, s.sum = bytes.Clone(s.data), append([]float32(nil), s.scale...), append([]int32(nil), s.sum...)
			change(s)
			return writeTo(w, list)
		}
	}
	for want, act := range map[string]func(w *Writer) error{
		"1 more were given":          bad(func(s *sample) { s.data = append(s.data, 0) }),
		"only 34047 were given":      bad(func(s *sample) { s.data = s.data[1:] }),
		"takes 112 scales and 112":   bad(func(s *sample) { s.scale = s.scale[:100] }),
		"112 and 0 were given":       bad(func(s *sample) { s.sum = nil }),
		"the sum of row 5":           bad(func(s *sample) { s.sum[5]++ }),
		"holds -128":                 bad(func(s *sample) { s.data[0] = 0x80 }),
		"the scale of row 0 is NaN":  bad(func(s *sample) { s.scale[0] = float32(math.NaN()) }),
		"row 100, which is padding":  bad(func(s *sample) { s.scale[100] = 1 }),
		"padding of row 0":           bad(func(s *sample) { s.data[75*64] = 1; s.sum[0]++ }),
		`tensor "layer.0/w" was not`: func(w *Writer) error { _ = writeHalf(w, samples[:1]); return w.Close() },
		"bytes after the last":       func(w *Writer) error { _ = writeHalf(w, samples); _, err := w.Write([]byte{1}); return err },
		"more tensors are finished":  func(w *Writer) error { _ = writeHalf(w, samples); return w.Finish(nil, nil) },
	} {
		w, err := Create(path, testMeta(), nil, specs(samples), false)
		if err != nil {
			t.Fatal(err)
		}
		err = act(w)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s: %v", want, err)
		}
		if again := w.Close(); again != err {
			t.Errorf("%s: Close then says %v", want, again)
		}
		if got := entries(t, dir); got != "" {
			t.Errorf("%s: %s is left", want, got)
		}
	}
}

// writeHalf writes samples without closing.
func writeHalf(w *Writer, samples []sample) error {
	for _, s := range samples {
		if _, err := w.Write(s.data); err != nil {
			return err
		}
		if err := w.Finish(s.scale, s.sum); err != nil {
			return err
		}
	}
	return nil
}

// Folders that cannot be written to.
func TestCreateWhereNothingCanBe(t *testing.T) {
	dir := t.TempDir()
	_, samples := testModel()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(file, "model.ei8"), testMeta(), nil, samples, false); err == nil {
		t.Error("a file as folder: no error")
	}
	if err := write(filepath.Join(dir, "no", "model.ei8"), testMeta(), nil, samples, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if os.Getuid() == 0 || goruntime.GOOS == "windows" {
		t.Log("permission bits do not bind this user: the read-only folder is not tried")
		return
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(closed, "model.ei8"), testMeta(), nil, samples, false); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a read-only folder: %v", err)
	}
}

// The same content gives the same bytes, and a file that others may read.
func TestWriterIsReproducible(t *testing.T) {
	dir := t.TempDir()
	sections, samples := testModel()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, path := range []string{a, b} {
		if err := write(path, testMeta(), sections, samples, false); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := os.ReadFile(a)
	second, _ := os.ReadFile(b)
	if !bytes.Equal(first, second) {
		t.Error("two files of the same content differ")
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	want, _ := os.Stat(plain)
	if got, _ := os.Stat(a); got.Mode() != want.Mode() {
		t.Errorf("mode %v, other new files have %v", got.Mode(), want.Mode())
	}
}
