//go:build linux || darwin

package modelfile

import (
	"errors"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"github.com/edge-infer/edge-infer/runtime/memory"
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
	f.data = data
	f.readAhead()
	f.unmap = func() error { return unix.Munmap(data) }
	return nil
}

// readAhead asks the system to read what the check will: all of the file at once, or where that is too much nothing but what ask is
// called for. How far it would read ahead by itself is a setting of the disk, and may be more than there is room for. Large pages come
// as they are touched, each with the one behind it: what is asked for comes in small ones. Only where that was measured; the systems of
// boards are older than large pages of files, and their cards slow.
func (f *File) readAhead() {
	switch {
	case f.frugal:
		f.alone()
	case f.roomy && goruntime.GOARCH == "amd64" && memory.PreferLargePages(f.data):
	default:
		f.ask(f.data)
	}
}

// alone says that a page which is missing is to be read without its neighbours.
func (f *File) alone() {
	if f.roomy {
		memory.PreferSmallPages(f.data)
	}
	advise(f.data, unix.MADV_RANDOM)
}

// together takes alone back, and asks for all of the file.
func (f *File) together() {
	advise(f.data, unix.MADV_NORMAL)
	f.ask(f.data)
}

// ask tells the system to read the pages that b, a part of the file, lies in.
func (f *File) ask(b []byte) {
	if len(b) == 0 {
		return
	}
	page, at := os.Getpagesize(), int(f.offsetOf(b))
	from := at - int(address(b)%uintptr(page))
	if from < 0 { // an embedded model need not start with a page: what shares its first with others is not asked for
		from += page
	}
	if from < at+len(b) {
		_ = unix.Madvise(f.data[from:at+len(b)], unix.MADV_WILLNEED)
	}
}

// advise tells the system about the whole pages in b. That is only advice.
func advise(b []byte, how int) {
	page := os.Getpagesize()
	skip := -int(address(b)%uintptr(page)) & (page - 1)
	if n := (len(b) - skip) &^ (page - 1); n > 0 {
		_ = unix.Madvise(b[skip:skip+n], how)
	}
}

// dropPages gives the whole pages in b, which is part of a map of a file, back to the system.
func dropPages(b []byte) { advise(b, unix.MADV_DONTNEED) }
