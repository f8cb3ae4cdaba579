package modelfile

import "golang.org/x/sys/unix"

// discard takes the whole pages in b out of memory, also out of what the system keeps of files. Those of a model in the program, which
// may lie anywhere, it only offers to the system; kernels before 5.4 know no such offer.
func (f *File) discard(b []byte) {
	if f.unmap == nil {
		advise(b, unix.MADV_PAGEOUT)
		return
	}
	dropPages(b)
	_ = unix.Fadvise(int(f.file.Fd()), int64(f.offsetOf(b)), int64(len(b)), unix.FADV_DONTNEED)
}
