package modelfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

// File is an open model. It is read-only and may be used by many goroutines; those that touch the bytes of a file that
// was opened by path do so inside Guard.
type File struct {
	path     string
	data     []byte
	unmap    func() error // nil when the memory is not a map of ours
	info     os.FileInfo  // when it was opened
	sections []section
	meta     Meta
	tensors  []Tensor
	byName   map[string]int
	close    sync.Once
	locate   sync.Once // findInProgram
	file     *os.File  // open while it is mapped; of an embedded model the program, if that was asked for
	start    int64     // of data in file
	frugal   bool      // read in order by one goroutine, and give pages back as soon as they are checked
	tight    bool      // it does not fit into memory: frugal, and what is given back shall not stay with the system either
	roomy    bool      // it was mapped while there was room for it twice: then pages may be large
	window   atomic.Pointer[window]
}

// Open maps a file and checks every byte of it. Where files cannot be mapped it is read into memory instead.
//
// Errors: those of the file system as they are; *FormatError for everything that is wrong with the content.
func Open(path string) (*File, error) { return open(path, false) }

func open(path string, frugal bool) (*File, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &FormatError{Path: path, Reason: "this is a folder, not an .ei8 model"}
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{Path: path, Reason: "this is not a regular file, so not an .ei8 model"}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			file.Close()
		}
	}()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	size := info.Size()
	if size == 0 {
		return nil, &FormatError{Path: path, Reason: "the file is empty"}
	}
	var head [sniffLen]byte
	n, err := file.ReadAt(head[:min(size, sniffLen)], 0)
	if err != nil {
		return nil, err
	}
	if reason := sniff(head[:n]); reason != "" {
		return nil, &FormatError{Path: path, Reason: reason}
	}
	if size > math.MaxInt-align {
		return nil, &FormatError{Path: path, Reason: fmt.Sprintf("its %d bytes are more than this 32-bit machine can address", size)}
	}
	room := memory.Available()
	f := &File{path: path, info: info, tight: tight(size, room), roomy: fits(2*size, room)}
	f.frugal = frugal || f.tight
	if err := f.load(file, int(size)); err != nil {
		return nil, &fs.PathError{Op: "map", Path: path, Err: err}
	}
	if kept = f.unmap != nil; kept {
		f.file = file
	}
	remember(f)
	if err := f.guarded(f.check); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// tight says that a file of this size does not fit into the memory that there is beside the program itself. Reading it ahead, or by
// many goroutines at once, would then push out what is read next.
func tight(size int64, room memory.Limit) bool {
	if fits(size, room) {
		return false
	}
	memory.ReadProgramSparsely()
	return true
}

// fits says that there is memory for so many bytes beside the program itself.
func fits(size int64, room memory.Limit) bool {
	const program = 8 << 20
	return room.Bytes == 0 || room.Bytes >= size+program
}

// OpenString opens a model that lies in the program itself, in place: image is not copied. name stands for the path in
// errors. The linker aligns strings to 8 bytes or more; an image that is not is refused.
func OpenString(name, image string) (*File, error) {
	data := unsafe.Slice(unsafe.StringData(image), len(image))
	if len(data) == 0 {
		return nil, &FormatError{Path: name, Reason: "the file is empty"}
	}
	if address(data)%8 != 0 {
		return nil, &FormatError{Path: name, Reason: "the embedded model does not start at a multiple of 8 bytes in memory: embed it as a string of its own"}
	}
	if reason := sniff(data[:min(len(data), sniffLen)]); reason != "" {
		return nil, &FormatError{Path: name, Reason: reason}
	}
	f := &File{path: name, data: data, tight: tight(int64(len(data)), memory.Available())}
	if f.frugal = f.tight; f.tight {
		f.locate.Do(f.findInProgram)
	}
	f.readAhead()
	if err := f.check(); err != nil {
		return nil, err
	}
	return f, nil
}

// bigEndian hosts are refused, because they would have to turn every number around: the file is the memory image.
func bigEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) != 1 }

// read loads the file without a map: 64-byte aligned memory, as in a map.
func (f *File) read(file *os.File, size int) error {
	if tight(int64(size), memory.Available()) {
		return fmt.Errorf("its %d bytes do not fit into memory, and it lies where files cannot be mapped", size)
	}
	buf := make([]byte, size+align-1)
	skip := -int(address(buf)%align) & (align - 1)
	f.data = buf[skip : skip+size : skip+size]
	_, err := file.ReadAt(f.data, 0)
	return err
}

// Close gives the map back. Slices taken from the file must not be used any more. Closing twice does nothing.
func (f *File) Close() (err error) {
	f.close.Do(func() {
		forget(f)
		if f.unmap != nil {
			err = f.unmap()
		}
		if f.file != nil {
			err = errors.Join(err, f.file.Close())
		}
		f.data = nil
	})
	return err
}

// Path is the path, or for an embedded model the name, that the file was opened by.
func (f *File) Path() string { return f.path }

// Size is the size of the file in bytes.
func (f *File) Size() int64 {
	last := f.sections[len(f.sections)-1]
	return int64(last.offset + last.size)
}

// Mapped says whether the model lies in a file, as a map or in the program, from where the system can read its pages again. If not it
// was read into memory.
func (f *File) Mapped() bool { return f.unmap != nil || f.info == nil }

// Meta is the metadata. It must not be changed.
func (f *File) Meta() *Meta { return &f.meta }

// Tensors are all tensors in the order of the file, which is that of their first use. The slice must not be changed.
func (f *File) Tensors() []Tensor { return f.tensors }

// Lookup finds a tensor by name.
func (f *File) Lookup(name string) (*Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return nil, false
	}
	return &f.tensors[i], true
}

// Section is the content of a section in place, nil if the file has none of this kind. It starts at a multiple of 64
// bytes in the file.
func (f *File) Section(k Kind) []byte {
	for _, s := range f.sections {
		if s.kind == k {
			end := s.offset + s.size
			return f.data[s.offset:end:end]
		}
	}
	return nil
}

// Sections is the section table in the order of the file. What lies between the sections is the header, the table and
// padding.
func (f *File) Sections() []SectionInfo {
	infos := make([]SectionInfo, len(f.sections))
	for i, s := range f.sections {
		infos[i] = SectionInfo{Kind: s.kind, Offset: int64(s.offset), Size: int64(s.size), CRC32C: s.crc, Optional: s.flags&flagMust == 0}
	}
	return infos
}
