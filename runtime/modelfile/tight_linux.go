package modelfile

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

// discard takes the whole pages in b out of memory, also out of what the system keeps of files.
func (f *File) discard(b []byte) {
	if f.file != nil {
		dropPages(b)
		_ = unix.Fadvise(int(f.file.Fd()), f.start+int64(f.offsetOf(b)), int64(len(b)), unix.FADV_DONTNEED)
	}
}

// findInProgram finds the file that an embedded model lies in, which is the program, if it lies in a file at all.
func (f *File) findInProgram() {
	at := address(f.data)
	memory.ProgramMaps(func(start, end uintptr, offset int64) {
		if start > at || at-start >= end-start || end-at < uintptr(len(f.data)) || f.file != nil {
			return
		}
		if file, err := os.Open(memory.ProgramFile); err == nil {
			f.file, f.start = file, offset+int64(at-start)
		}
	})
}
