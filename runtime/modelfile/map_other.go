//go:build !linux && !darwin

package modelfile

import "os"

// load reads the file: a map is not worth its own code on machines that are not boards.
func (f *File) load(file *os.File, size int) error { return f.read(file, size) }

// readAhead is for maps.
func (f *File) readAhead() {}

// alone is for maps.
func (f *File) alone() {}

// together is for maps.
func (f *File) together() {}

// ask is for maps.
func (f *File) ask([]byte) {}

// dropPages is for maps; here the file was read into memory.
func dropPages([]byte) {}
