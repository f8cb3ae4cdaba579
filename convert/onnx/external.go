package onnx

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// Numbers of tensors in other files beside the model, as PyTorch's newer exporter writes them, and everybody above 2 GB: external_data is
// a list of keys and texts, of which location, offset and length say where the raw numbers lie.

// beside is the folder of a model and what is open of it.
type beside struct {
	folder string
	files  map[string]*os.File
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
	const again = "copy all files of the model into one folder, or export it with external_data=False"
	if b == nil {
		return nil, 0, fmt.Errorf("and there is no folder to look for it; %s", again)
	}
	if !filepath.IsLocal(filepath.FromSlash(location)) {
		return nil, 0, fmt.Errorf("which lies outside the model's folder; %s", again)
	}
	file := b.files[location]
	if file == nil {
		if len(b.files) >= maxBeside {
			return nil, 0, fmt.Errorf("beside %d others; %s", maxBeside, again)
		}
		path := filepath.Join(b.folder, filepath.FromSlash(location))
		// Before it is opened: to open a pipe is to wait for its other end.
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			return nil, 0, fmt.Errorf("which is no ordinary file; %s", again)
		}
		if err == nil {
			file, err = os.Open(path)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("which cannot be opened: %w; %s", err, again)
		}
		b.files[location] = file
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// close closes all files.
func (b *beside) close() {
	if b != nil {
		for _, file := range b.files {
			file.Close()
		}
	}
}

// outside gives the file that holds the numbers of a tensor, and from where to where it may. open: the end is not given, but the file's.
func (t *Tensor) outside() (src io.ReaderAt, at, end int64, open bool, err error) {
	p := t.place
	if p == nil || p.location == "" {
		return nil, 0, 0, false, fmt.Errorf("its numbers are in another file, of which the name is missing")
	}
	src, size, err := t.beside.open(p.location)
	if err != nil {
		return nil, 0, 0, false, fmt.Errorf("its numbers are in the file %.80q, %w", p.location, err)
	}
	length, open := p.length, p.length < 0
	if open {
		length = max(size-p.offset, 0)
	}
	if length > size-p.offset {
		return nil, 0, 0, false, fmt.Errorf("its numbers are %d bytes from byte %d on of the file %.80q, which has %d bytes", length, p.offset, p.location, size)
	}
	return src, p.offset, p.offset + length, open, nil
}
