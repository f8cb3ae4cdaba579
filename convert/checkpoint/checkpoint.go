// Package checkpoint is what every reader of a foreign format returns: named tensors whose numbers
// stay in the file until rows of them are asked for.
//
// A Tensor is a view: an element type, a shape, strides, and an offset into an io.ReaderAt. Opening a
// checkpoint of 300 MB therefore costs its list of names, and converting one row costs one small
// buffer. Nothing here knows a file format; safetensors, pickle and ctranslate2 build on it.
package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// A Checkpoint is an opened foreign file (or folder of files): tensors by name. It is safe for use by
// several goroutines once the reader that made it has returned it.
type Checkpoint struct {
	Format   string            // "safetensors", "torch", "ctranslate2"
	Path     string            // as the user gave it
	Metadata map[string]string // free text that the format carries (safetensors "__metadata__"); may be nil

	tensors map[string]*Tensor
	names   []string          // in the order of the file
	aliases map[string]string // alias -> name of the tensor it stands for
	closers []io.Closer
}

// New returns an empty checkpoint for a reader to fill. Close closes the closers, last one first.
func New(format, path string, closers ...io.Closer) *Checkpoint {
	return &Checkpoint{
		Format:  format,
		Path:    path,
		tensors: make(map[string]*Tensor),
		aliases: make(map[string]string),
		closers: closers,
	}
}

// Grow makes room for n tensors, before the first.
func (c *Checkpoint) Grow(n int) {
	c.tensors, c.names = make(map[string]*Tensor, n), make([]string, 0, n)
}

// Add puts a tensor in. A name that is there already is an error: which of the two is meant is not ours
// to guess.
func (c *Checkpoint) Add(t *Tensor) error {
	if c.has(t.Name) {
		return &Error{File: c.Path, Tensor: t.Name, Offset: t.Offset, Reason: "the name occurs twice", Do: "save or download the checkpoint again"}
	}
	c.tensors[t.Name] = t
	c.names = append(c.names, t.Name)
	return nil
}

// Alias makes alias another name of the tensor called name, which must be there (by that name or as an alias).
func (c *Checkpoint) Alias(alias, name string) error {
	if c.has(alias) {
		return &Error{File: c.Path, Tensor: alias, Offset: -1, Reason: "the alias is the name of another tensor"}
	}
	if target, ok := c.aliases[name]; ok {
		name = target
	}
	if _, ok := c.tensors[name]; !ok {
		return &Error{File: c.Path, Tensor: alias, Offset: -1,
			Reason: fmt.Sprintf("the alias stands for %q, which is not in the file", name)}
	}
	c.aliases[alias] = name
	return nil
}

func (c *Checkpoint) has(name string) bool {
	_, stored := c.tensors[name]
	_, alias := c.aliases[name]
	return stored || alias
}

// OpenFile opens a regular file and gives its size. What it is is asked before: to open a pipe is to wait for its other end.
func OpenFile(path string) (*os.File, int64, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, 0, Errorf(path, "", -1, "give the file itself", "it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Names lists the stored tensors in the order of the file, without aliases.
func (c *Checkpoint) Names() []string { return append([]string(nil), c.names...) }

// Aliases lists the aliases, sorted.
func (c *Checkpoint) Aliases() []string {
	all := make([]string, 0, len(c.aliases))
	for a := range c.aliases {
		all = append(all, a)
	}
	sort.Strings(all)
	return all
}

// Lookup finds a tensor by name or by alias. An alias gives the very same *Tensor as the name it stands
// for, so that tied weights can be told by comparing pointers (or with SameData, for formats that tie
// by sharing bytes).
func (c *Checkpoint) Lookup(name string) (*Tensor, bool) {
	if target, ok := c.aliases[name]; ok {
		name = target
	}
	t, ok := c.tensors[name]
	return t, ok
}

// Close closes the files; tensors cannot be read afterwards.
func (c *Checkpoint) Close() error {
	var err error
	for i := len(c.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, c.closers[i].Close())
	}
	c.closers = nil
	return err
}

// Error is everything that can be wrong with a foreign file: where it is and what can be done.
type Error struct {
	File   string
	Tensor string // "" where no tensor is concerned
	Offset int64  // byte in File; below 0 where none applies
	Reason string // what is wrong
	Do     string // what the user can do; "" where the file is simply damaged
	Err    error  // the cause, where another error is one
}

// Errorf makes an Error without a cause. Like all that only makes an error it is not inlined: readers have some hundred places that do.
//
//go:noinline
func Errorf(file, tensor string, offset int64, do, format string, args ...any) error {
	return &Error{File: file, Tensor: tensor, Offset: offset, Reason: fmt.Sprintf(format, args...), Do: do}
}

// Error says file, tensor, offset, reason and remedy, in that order, in one line.
func (e *Error) Error() string {
	s := e.File
	if e.Tensor != "" {
		s += fmt.Sprintf(": tensor %q", e.Tensor)
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(": byte %d", e.Offset)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Do != "" {
		s += "; " + e.Do
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
