//go:build !linux

package modelfile

// discard gives the whole pages in b back to the system, if they are a map's.
func (f *File) discard(b []byte) {
	if f.unmap != nil {
		dropPages(b)
	}
}

// findInProgram is for systems that say how much memory there is.
func (f *File) findInProgram() {}
