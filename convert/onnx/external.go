package onnx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// Numbers of tensors in other files beside the model, as PyTorch's newer exporter writes them, and everybody above 2 GB: external_data is
// a list of keys and texts, of which location, offset and length say where the raw numbers lie.

// beside is a model's file and what is open of its folder.
type beside struct {
	model string
	known bool // model is a file, whose folder can be looked into
	files map[string]*os.File
}

// maxBeside is how many files may be open at once for a model.
const maxBeside = 64

// place is where the numbers of a tensor lie outside of the model: length bytes, or with -1 as many as its shape asks for.
type place struct {
	location       string
	offset, length int64
}

// external reads one key and its text.
func (r *reader) external(f field, p *place) error {
	var key, value string
	if f.wire != 2 {
		return fmt.Errorf("a place of numbers of wire type %d", f.wire)
	}
	if err := r.message(f.at, f.end, f.depth, func(f field) error {
		switch f.number {
		case 1:
			return r.text(f, &key)
		case 2:
			return r.text(f, &value)
		}
		return nil
	}); err != nil {
		return err
	}
	into := &p.offset
	switch key {
	case "location":
		p.location = value
		return nil
	case "offset":
	case "length":
		into = &p.length
	default: // a checksum, which is not asked for
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("the %s %.40q of numbers in another file is no count of bytes", key, value)
	}
	*into = n
	return nil
}

// open gives the file of a place and its size. Only files in the model's folder, or below it, are opened.
func (b *beside) open(location string) (io.ReaderAt, int64, error) {
	folder := filepath.Dir(b.model)
	switch {
	case !b.known:
		return nil, 0, errors.New("and there is no folder to look for it")
	case !filepath.IsLocal(filepath.FromSlash(location)):
		return nil, 0, errors.New("which lies outside the model's folder")
	}
	file := b.files[location]
	if file == nil {
		if len(b.files) >= maxBeside {
			return nil, 0, fmt.Errorf("beside %d others", maxBeside)
		}
		path := filepath.Join(folder, filepath.FromSlash(location))
		// Before it is opened: to open a pipe is to wait for its other end.
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			return nil, 0, errors.New("which is no ordinary file")
		}
		if err == nil {
			file, err = os.Open(path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if whole, err := filepath.Abs(folder); err == nil {
				folder = whole
			}
			return nil, 0, fmt.Errorf("which is not in the folder %s", folder)
		case err != nil:
			if named := (*fs.PathError)(nil); errors.As(err, &named) {
				err = named.Err // its name is said, in quotes: it may have any characters
			}
			return nil, 0, fmt.Errorf("which cannot be opened: %w", err)
		}
		b.files[location] = file
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("which cannot be read: %w", err)
	}
	return file, info.Size(), nil
}

// close closes all files.
func (b *beside) close() {
	for _, file := range b.files {
		file.Close()
	}
}

// outside gives the file that holds the numbers of a tensor, and from where to where it may. open: the end is not given, but the file's.
func (t *Tensor) outside() (src io.ReaderAt, at, end int64, open bool, err error) {
	fail := func(format string, args ...any) (io.ReaderAt, int64, int64, bool, error) {
		return nil, 0, 0, false, checkpoint.Errorf(t.beside.model, t.Name, -1, "copy all files of the model into one folder, or export it with external_data=False", format, args...)
	}
	p := t.place
	if p == nil || p.location == "" {
		return fail("its numbers are in another file, of which the name is missing")
	}
	src, size, err := t.beside.open(p.location)
	if err != nil {
		return fail("its numbers are in the file %.80q, %v", p.location, err)
	}
	length, open := p.length, p.length < 0
	if open {
		length = max(size-p.offset, 0)
	}
	if length > size-p.offset {
		return fail("its numbers are %d bytes from byte %d on of the file %.80q, which has %d bytes", length, p.offset, p.location, size)
	}
	return src, p.offset, p.offset + length, open, nil
}
