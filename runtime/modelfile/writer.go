package modelfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
)

// Writer writes an .ei8 file in one pass, without holding a tensor in memory.
//
// For each tensor in the order given to Create: Write its padded data in as many calls as you like, then Finish it. Then
// Close. Everything goes into a file beside the target that takes the target's name only when it is complete, on the disk,
// and has passed the same check as Open makes; after any error, or Abort, nothing is left behind. After an error every
// call returns that error again, so a caller may look at Close's alone.
type Writer struct {
	path     string
	temp     string
	force    bool
	file     diskFile
	buf      *bufio.Writer
	sections []section
	total    uint64

	tensors []TensorSpec
	where   []extent
	current int    // index of the tensor that Write adds to
	at      uint64 // bytes of the file written so far
	crc     uint32 // of the data section so far
	err     error  // of the first failure
	done    bool   // closed or aborted
}

// diskFile is what Writer needs of *os.File; tests put a full disk in its place.
type diskFile interface {
	io.Writer
	io.WriterAt
	Sync() error
	Close() error
}

// Create starts a file. The data section is planned from the specs, so every error in them comes from here, before
// anything touches the disk. Without force an existing file is an error for which errors.Is(err, fs.ErrExist).
func Create(path string, meta *Meta, sections []SectionData, tensors []TensorSpec, force bool) (*Writer, error) {
	w := &Writer{path: path, force: force, tensors: tensors}
	head, err := w.plan(meta, sections)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := w.checkTarget(); err != nil {
		return nil, err
	}
	file, err := createTemp(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	w.temp = file.Name()
	w.start(file, head)
	if w.err != nil {
		return nil, w.err
	}
	return w, nil
}

// start writes everything that comes before the data section. The header is still zero: a file that was left by a
// power cut is no model.
func (w *Writer) start(file diskFile, head [][]byte) {
	w.file = file
	w.buf = bufio.NewWriterSize(file, 1<<18)
	w.put(make([]byte, headerSize+len(w.sections)*entrySize))
	for i, b := range head {
		w.padTo(w.sections[i].offset)
		w.put(b)
	}
	w.padTo(w.sections[len(head)].offset)
	w.crc = 0
}

// plan lays the file out, and returns the content of all sections but the last, which is the data.
func (w *Writer) plan(meta *Meta, sections []SectionData) (head [][]byte, err error) {
	if bigEndian() {
		return nil, errors.New("models cannot be written on a machine that stores numbers with the highest byte first")
	}
	text, err := meta.encode()
	if err != nil {
		return nil, err
	}
	all := append([]SectionData{{Kind: SectionMeta, Data: text}}, sections...)
	seen := map[Kind]bool{SectionTensors: true, SectionTensorData: true}
	for _, s := range all {
		switch {
		case seen[s.Kind]:
			return nil, fmt.Errorf("section %v is given twice, or is not the caller's to give", s.Kind)
		case len(s.Data) == 0:
			return nil, fmt.Errorf("section %v is empty", s.Kind)
		case s.Optional == s.Kind.known():
			return nil, fmt.Errorf("section %v cannot be written by this version as optional = %v", s.Kind, s.Optional)
		}
		seen[s.Kind] = true
	}
	if len(all)+2 > maxSections {
		return nil, fmt.Errorf("%d sections are given, %d fit", len(all), maxSections-2)
	}
	index, err := w.planTensors(0) // to know the length of the index, which is the same wherever the data starts
	if err != nil {
		return nil, err
	}
	at := uint64(headerSize + (len(all)+2)*entrySize)
	add := func(kind Kind, optional bool, size uint64) {
		s := section{kind: kind, flags: flagMust, offset: alignUp(at), size: size}
		if optional {
			s.flags = 0
		}
		at = s.offset + size
		w.sections = append(w.sections, s)
	}
	for _, s := range all {
		add(s.Kind, s.Optional, uint64(len(s.Data)))
	}
	add(SectionTensors, false, uint64(len(index)))
	if index, err = w.planTensors(alignUp(at)); err != nil {
		return nil, err
	}
	w.total = w.where[len(w.where)-1].end
	add(SectionTensorData, false, w.total-alignUp(at))
	for _, s := range all {
		head = append(head, s.Data)
	}
	head = append(head, index)
	for i, b := range head {
		w.sections[i].crc = checksum(b)
	}
	return head, nil
}

// planTensors places the tensors from byte start on and returns their index.
func (w *Writer) planTensors(start uint64) ([]byte, error) {
	if len(w.tensors) == 0 || len(w.tensors) > maxTensors {
		return nil, fmt.Errorf("%d tensors are given, must be 1 to %d", len(w.tensors), maxTensors)
	}
	index := le.AppendUint64(nil, uint64(len(w.tensors)))
	names := make(map[string]bool, len(w.tensors))
	w.where = make([]extent, len(w.tensors))
	for i := range w.tensors {
		t := &w.tensors[i]
		if err := checkName(t.Name); err != nil {
			return nil, fmt.Errorf("tensor %d (%q) %w", i, t.Name, err)
		}
		if names[t.Name] {
			return nil, fmt.Errorf("tensor %q is given twice", t.Name)
		}
		names[t.Name] = true
		e, err := t.place(start)
		if err != nil {
			return nil, fmt.Errorf("tensor %q %w", t.Name, err)
		}
		if start = e.end; start > 1<<56 {
			return nil, errors.New("the tensors take more than 2^56 bytes")
		}
		w.where[i] = e
		index = t.appendRecord(index, e)
	}
	return index, nil
}

// encode is the metadata as JSON, checked by what reads it.
func (m *Meta) encode() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	b := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if reason := new(Meta).decode(b); reason != "" {
		return nil, errors.New(reason)
	}
	return b, nil
}

// checkTarget checks that the target may be replaced.
func (w *Writer) checkTarget() error {
	info, err := os.Lstat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().IsRegular() && !w.force:
		return fmt.Errorf("%s: %w: give another name, or --force to replace it", w.path, fs.ErrExist)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: %w and is not a regular file: give another name", w.path, fs.ErrExist)
	}
	return nil
}

// createTemp makes a new file in the folder. os.CreateTemp would make it readable for its owner alone, and a model is
// for everybody whom the umask allows.
func createTemp(folder string) (*os.File, error) {
	for tries := 0; ; tries++ {
		name := filepath.Join(folder, ".edge-infer-"+strconv.FormatUint(rand.Uint64(), 36)+".tmp")
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) || tries == 100 {
			return file, err
		}
	}
}

// Write adds to the data of the current tensor.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && w.done {
		w.err = fs.ErrClosed
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.current == len(w.tensors) {
		return 0, w.abort(fmt.Errorf("%s: %d bytes after the last tensor", w.path, len(p)))
	}
	e := w.where[w.current]
	if left := e.data + e.dataSize - w.at; uint64(len(p)) > left {
		t := w.tensors[w.current]
		return 0, w.abort(fmt.Errorf("%s: tensor %q of shape %v takes %d bytes, %d more were given", w.path, t.Name, t.Shape, e.dataSize, uint64(len(p))-left))
	}
	w.put(p)
	return len(p), w.err
}

// Finish ends the current tensor. scale has one entry a padded row for I8 and is nil otherwise, sum for N16K4.
func (w *Writer) Finish(scale []float32, sum []int32) error {
	if w.err == nil && w.done {
		w.err = fs.ErrClosed
	}
	if w.err != nil {
		return w.err
	}
	if w.current == len(w.tensors) {
		return w.abort(fmt.Errorf("%s: more tensors are finished than were declared", w.path))
	}
	t, e := w.tensors[w.current], w.where[w.current]
	if w.at != e.data+e.dataSize {
		return w.abort(fmt.Errorf("%s: tensor %q of shape %v takes %d bytes, only %d were given", w.path, t.Name, t.Shape, e.dataSize, w.at-e.data))
	}
	if uint64(len(scale)) != e.scaleSize/4 || uint64(len(sum)) != e.sumSize/4 {
		return w.abort(fmt.Errorf("%s: tensor %q of shape %v takes %d scales and %d sums, %d and %d were given", w.path, t.Name, t.Shape, e.scaleSize/4, e.sumSize/4, len(scale), len(sum)))
	}
	if len(scale) > 0 {
		w.padTo(e.scale)
		w.put(Bytes(scale))
	}
	if len(sum) > 0 {
		w.padTo(e.sum)
		w.put(Bytes(sum))
	}
	if w.current++; w.current < len(w.where) {
		w.padTo(w.where[w.current].data)
	}
	return w.err
}

// Close completes the file: header and table, the check, fsync, rename. An error that Open would give for the file is given
// here, as *FormatError, and no file appears.
func (w *Writer) Close() error {
	if w.done || w.err != nil {
		return w.err
	}
	if w.current < len(w.tensors) {
		return w.abort(fmt.Errorf("%s: tensor %q was not finished", w.path, w.tensors[w.current].Name))
	}
	w.sections[len(w.sections)-1].crc = w.crc
	head := make([]byte, headerSize+len(w.sections)*entrySize)
	for i := range w.sections {
		w.sections[i].encode(head[headerSize+i*entrySize:])
	}
	encodeHeader(head, len(w.sections), w.total, head[headerSize:])
	for _, step := range []func() error{
		w.buf.Flush,
		func() error { _, err := w.file.WriteAt(head, 0); return err },
		w.verify,
		w.file.Sync,
		w.closeFile,
		w.checkTarget, // it may have appeared since Create
		func() error { return os.Rename(w.temp, w.path) },
	} {
		if err := step(); err != nil {
			return w.abort(w.rename(err))
		}
	}
	w.done = true
	syncFolder(filepath.Dir(w.path))
	return nil
}

// verify opens what was written as any reader would.
func (w *Writer) verify() error {
	f, err := open(w.temp, true)
	if err != nil {
		return err
	}
	return f.Close()
}

// Abort gives up and removes the temporary file. After Close, or twice, it does nothing, so it can be deferred.
func (w *Writer) Abort() {
	if !w.done && w.err == nil {
		_ = w.abort(fs.ErrClosed)
	}
}

// abort removes the temporary file and keeps the error.
func (w *Writer) abort(err error) error {
	if w.err == nil {
		w.err = err
	}
	if !w.done {
		w.done = true
		_ = w.closeFile()
		_ = os.Remove(w.temp)
	}
	return w.err
}

func (w *Writer) closeFile() error {
	if w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	return file.Close()
}

// rename puts the path that the user knows in the place of the temporary one.
func (w *Writer) rename(err error) error {
	var format *FormatError
	var path *fs.PathError
	if errors.As(err, &format) {
		format.Path = w.path
	} else if errors.As(err, &path) && path.Path == w.temp {
		path.Path = w.path
	}
	return err
}

// put writes p and adds it to the checksum.
func (w *Writer) put(p []byte) {
	if w.err != nil {
		return
	}
	if _, err := w.buf.Write(p); err != nil {
		_ = w.abort(w.rename(err))
		return
	}
	w.at += uint64(len(p))
	w.crc = crc32.Update(w.crc, castagnoli, p)
}

func (w *Writer) padTo(at uint64) {
	var zeros [align]byte
	w.put(zeros[:at-w.at])
}

// syncFolder makes the rename last through a power cut. Windows cannot, some file systems refuse, and a folder may be
// writable without being readable: the content is safe in any case, so none of that is an error.
func syncFolder(folder string) {
	if dir, err := os.Open(folder); err == nil && goruntime.GOOS != "windows" {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
