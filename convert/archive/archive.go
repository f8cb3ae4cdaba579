// Package archive shows a zip archive as a folder whose files can be read at any place, as the readers of checkpoints want
// them, without unpacking it.
//
// A member that is stored lies in the archive as it is, and is read there. One that is compressed is unpacked when it is
// opened: a small one into memory, a large one into a temporary file, which Close removes. What a member claims to hold is
// bounded by its compressed size before anything is unpacked.
package archive

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate"
)

// Bounds: of the members of an archive; and a member that claims more than maxFree bytes may claim at most maxRatio times its
// compressed size, and twice that of the archive. Weights hardly shrink, texts to a fifth, and these are a small part.
const (
	maxMembers = 1 << 16
	maxFree    = 1 << 20
	maxRatio   = 8
)

// Archive is an opened archive. It is an fs.FS whose files are io.ReaderAts too. It is not safe for use by several goroutines.
type Archive struct {
	Path string

	src     io.ReaderAt
	size    int64
	spill   string // folder for temporary files
	members map[string]*zip.File
	names   []string // of files, in the order of the archive
	closers []io.Closer
}

// Open opens the archive in a file. Large members that are compressed are unpacked into the folder spill, "" for the system's.
//
// Errors: *checkpoint.Error for what is no sound archive, and those of the file system.
func Open(path, spill string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var a *Archive
		if a, err = New(path, f, info.Size(), spill); err == nil {
			a.closers = append(a.closers, f)
			return a, nil
		}
	}
	f.Close()
	return nil, err
}

// New is Open for what is open already; it does not close src.
func New(path string, src io.ReaderAt, size int64, spill string) (*Archive, error) {
	a := &Archive{Path: path, src: src, size: size, spill: spill, members: map[string]*zip.File{}}
	z, err := zip.NewReader(src, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, a.fail(err, "download it again", "the zip archive cannot be read: damaged, or cut short")
	}
	if len(z.File) > maxMembers {
		return nil, a.fail(nil, "unpack it, and name the folder", "it has %d members, more than %d", len(z.File), maxMembers)
	}
	for _, m := range z.File {
		switch {
		case strings.HasSuffix(m.Name, "/"): // a folder
			continue
		case !fs.ValidPath(m.Name):
			return nil, a.fail(nil, "do not unpack it", "member %.80q has a name that no file in an archive may have", m.Name)
		case a.members[m.Name] != nil:
			return nil, a.fail(nil, "unpack it, and name the folder", "it has member %.80q twice", m.Name)
		}
		a.members[m.Name] = m
		a.names = append(a.names, m.Name)
	}
	return a, nil
}

// Names lists the files in the order of the archive.
func (a *Archive) Names() []string { return a.names }

// Close closes the archive and removes what was unpacked to disk; files cannot be read afterwards.
func (a *Archive) Close() error {
	var err error
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i].Close())
	}
	a.closers = nil
	return err
}

//go:noinline
func (a *Archive) fail(err error, do, format string, args ...any) error {
	return &checkpoint.Error{File: a.Path, Offset: -1, Reason: fmt.Sprintf(format, args...), Do: do, Err: err}
}

// Open opens a member; folders have no entry of their own.
func (a *Archive) Open(name string) (fs.File, error) { return folder{a, "."}.Open(name) }

// Stat looks a member up without unpacking it.
func (a *Archive) Stat(name string) (fs.FileInfo, error) { return folder{a, "."}.Stat(name) }

// Sub shows a folder of the archive as the root.
func (a *Archive) Sub(dir string) (fs.FS, error) { return folder{a, "."}.Sub(dir) }

// folder is a folder in an archive.
type folder struct {
	a    *Archive
	path string
}

func (f folder) Sub(dir string) (fs.FS, error) {
	if !fs.ValidPath(dir) {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: fs.ErrInvalid}
	}
	return folder{f.a, path.Join(f.path, dir)}, nil
}

func (f folder) find(op, name string) (*zip.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	full := path.Join(f.path, name)
	m := f.a.members[full]
	if m == nil {
		return nil, &fs.PathError{Op: op, Path: f.a.Path + "/" + full, Err: fs.ErrNotExist}
	}
	return m, nil
}

func (f folder) Stat(name string) (fs.FileInfo, error) {
	m, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return m.FileInfo(), nil
}

func (f folder) Open(name string) (fs.File, error) {
	m, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	return f.a.open(m)
}

// file is an opened member.
type file struct {
	*io.SectionReader
	info fs.FileInfo
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

func (a *Archive) open(m *zip.File) (fs.File, error) {
	at, err := m.DataOffset()
	if err != nil {
		return nil, a.fail(err, "download it again", "member %.80q cannot be found", m.Name)
	}
	packed, size := m.CompressedSize64, m.UncompressedSize64
	switch {
	case m.Flags&1 != 0:
		return nil, a.fail(nil, "unpack it with its password, and name the folder", "member %.80q is encrypted", m.Name)
	case at > a.size || packed > uint64(a.size-at):
		return nil, a.fail(nil, "download it again", "member %.80q claims %d bytes where %d are left", m.Name, packed, max(a.size-at, 0))
	case m.Method == zip.Store && packed != size:
		return nil, a.fail(nil, "download it again", "member %.80q is stored, but its two sizes are %d and %d", m.Name, packed, size)
	case m.Method == zip.Store:
		if err := a.unpack(m, io.Discard); err != nil { // for its checksum
			return nil, a.fail(err, "download it again", "member %.80q is damaged", m.Name)
		}
		return &file{io.NewSectionReader(a.src, at, int64(size)), m.FileInfo()}, nil
	case size > max(maxFree, min(maxRatio*packed, 2*uint64(a.size))):
		return nil, a.fail(nil, "if it is genuine, unpack it, and name the folder", "member %.80q claims to unpack from %d bytes to %d", m.Name, packed, size)
	}
	plain, err := inflate.Spool(a.spill, strings.NewReader(""), int64(packed), func(dst io.Writer, _ io.Reader) error { return a.unpack(m, dst) })
	if err != nil {
		return nil, a.fail(err, "download it again", "member %.80q cannot be unpacked", m.Name)
	}
	a.closers = append(a.closers, plain)
	return &file{io.NewSectionReader(plain, 0, plain.Size), m.FileInfo()}, nil
}

// unpack copies a member and compares its checksum.
func (a *Archive) unpack(m *zip.File, dst io.Writer) error {
	r, err := m.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(dst, r)
	return err
}
