//go:build linux || darwin

package modelfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// load maps the file. A file system that has no maps (some network and FUSE ones) is read instead; when memory or
// address space is short, reading would need more of it, so that is an error.
func (f *File) load(file *os.File, size int) error {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EAGAIN) {
		return err
	}
	if err != nil {
		return f.read(file, size)
	}
	_ = unix.Madvise(data, unix.MADV_WILLNEED) // only advice: the check reads everything, front to back
	f.data = data
	f.unmap = func() error { return unix.Munmap(data) }
	return nil
}

// dropPages gives the whole pages in b, which is part of a map of a file, back to the system.
func dropPages(b []byte) {
	page := os.Getpagesize()
	skip := -int(address(b)%uintptr(page)) & (page - 1)
	if n := (len(b) - skip) &^ (page - 1); n > 0 {
		_ = unix.Madvise(b[skip:skip+n], unix.MADV_DONTNEED) // only advice
	}
}
