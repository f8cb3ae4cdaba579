package modelfile

import (
	"os"
	goruntime "runtime"
	"runtime/debug"
	"sync"
)

// Guard runs f, and turns a fault on a mapped model into a *FormatError: when someone cuts or overwrites a file in place,
// its map has pages without content, and touching one would end the process. Every goroutine that reads weights needs
// its own Guard, around a whole step or sentence: it costs some tens of nanoseconds. path is that of the file that f reads.
//
// Other panics go on. What f was computing when the fault came is left half done.
func Guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		file, offset := (*File)(nil), int64(0)
		switch fault := r.(type) {
		case interface{ Addr() uintptr }: // a memory fault whose address is known: nil pointers lie in no map
			file, offset = owner(fault.Addr())
		case goruntime.Error: // or not, as under QEMU, where it looks like a nil pointer; then ask the file
			file = cutFile()
		}
		if file == nil {
			panic(r)
		}
		err = &FormatError{
			Path: path, Section: "file", Offset: offset,
			Reason: "changed while in use: it was cut or overwritten in place; copy it again, and replace a model by renaming",
		}
	}()
	return f()
}

// guarded is Guard for a file that may be embedded, whose memory cannot be cut.
func (f *File) guarded(fn func() error) error {
	if f.unmap == nil {
		return fn()
	}
	return Guard(f.path, fn)
}

// mapped are the files whose maps Guard knows.
var mapped struct {
	sync.Mutex
	files map[*File]struct{}
}

func remember(f *File) {
	if f.unmap == nil {
		return
	}
	mapped.Lock()
	defer mapped.Unlock()
	if mapped.files == nil {
		mapped.files = map[*File]struct{}{}
	}
	mapped.files[f] = struct{}{}
}

func forget(f *File) {
	mapped.Lock()
	defer mapped.Unlock()
	delete(mapped.files, f)
}

// owner is the file in whose map addr lies, and where in it.
func owner(addr uintptr) (*File, int64) {
	mapped.Lock()
	defer mapped.Unlock()
	for f := range mapped.files {
		start := address(f.data)
		if addr >= start && addr-start < uintptr(len(f.data)) {
			return f, int64(addr - start)
		}
	}
	return nil, 0
}

// cutFile is a mapped file that has become shorter than its map, if there is one.
func cutFile() *File {
	mapped.Lock()
	defer mapped.Unlock()
	for f := range mapped.files {
		if now, err := os.Stat(f.path); err == nil && os.SameFile(now, f.info) && now.Size() < f.info.Size() {
			return f
		}
	}
	return nil
}
