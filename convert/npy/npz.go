package npy

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate"
)

// File is an opened .npy or .npz file: arrays by name. A .npy file has one, with the name "".
type File struct {
	Path  string
	Names []string // in the order of the file

	src     io.ReaderAt
	size    int64
	members map[string]*zip.File
	arrays  map[string]opened
	closers []io.Closer
}

// opened is an array that was asked for, or why it cannot be read.
type opened struct {
	array *Array
	err   error
}

// maxMembers bounds the arrays of an archive.
const maxMembers = 1 << 12

// Open opens a .npy file or a .npz archive, told by how it begins. Members that are compressed are decompressed when they are asked
// for, those that are stored stay in the file.
func Open(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	f, err := ReadFile(path, file, info.Size())
	if err != nil {
		file.Close()
		return nil, err
	}
	f.closers = append(f.closers, file)
	return f, nil
}

// ReadFile is Open for what is open already; it does not close src.
func ReadFile(path string, src io.ReaderAt, size int64) (*File, error) {
	f := &File{Path: path, src: src, size: size, members: map[string]*zip.File{}, arrays: map[string]opened{}}
	var head [4]byte
	n, err := src.ReadAt(head[:min(size, 4)], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if string(head[:n]) != "PK\x03\x04" {
		a, err := Read(src, size)
		if err != nil {
			return nil, f.fail(err, "it is not an array that can be read")
		}
		f.Names, f.arrays[""] = []string{""}, opened{array: a}
		return f, nil
	}
	archive, err := zip.NewReader(src, size)
	if err != nil {
		return nil, f.fail(err, "it is not a .npz archive that can be read")
	}
	if len(archive.File) > maxMembers {
		return nil, f.fail(nil, fmt.Sprintf("it has %d members, more than %d", len(archive.File), maxMembers))
	}
	for _, member := range archive.File {
		name, ok := strings.CutSuffix(member.Name, ".npy")
		if !ok {
			continue
		}
		if f.members[name] != nil {
			return nil, f.fail(nil, fmt.Sprintf("it has the array %.40q twice", name))
		}
		f.Names, f.members[name] = append(f.Names, name), member
	}
	if len(f.Names) == 0 {
		return nil, f.fail(nil, "it is a zip archive without arrays")
	}
	return f, nil
}

//go:noinline
func (f *File) fail(err error, reason string) error {
	do := "save it again with numpy.save or numpy.savez"
	if err != nil && strings.Contains(err.Error(), ": save ") { // it says how
		do = ""
	}
	return &checkpoint.Error{File: f.Path, Offset: -1, Reason: reason, Err: err, Do: do}
}

// Array gives the array of a name: nil for one that is not there, an error for one that cannot be read.
func (f *File) Array(name string) (*Array, error) {
	known, ok := f.arrays[name]
	if m := f.members[name]; m != nil && !ok {
		if known.array, known.err = f.member(m); known.err != nil {
			known.err = f.fail(known.err, fmt.Sprintf("the array %.40q", name))
		}
		f.arrays[name] = known
	}
	return known.array, known.err
}

// Close closes the file; arrays cannot be read afterwards.
func (f *File) Close() error {
	var err error
	for _, c := range f.closers {
		err = errors.Join(err, c.Close())
	}
	f.closers = nil
	return err
}

// member reads one array of an archive: a stored one in place.
func (f *File) member(m *zip.File) (*Array, error) {
	at, err := m.DataOffset()
	if err != nil {
		return nil, err
	}
	if packed := m.CompressedSize64; at > f.size || packed > uint64(f.size-at) {
		return nil, fmt.Errorf("it claims %d bytes where %d are left", packed, max(f.size-at, 0))
	}
	if m.Method == zip.Store {
		if m.UncompressedSize64 != m.CompressedSize64 {
			return nil, errors.New("it is stored, and its two sizes differ")
		}
		length := int64(m.CompressedSize64)
		return Read(io.NewSectionReader(f.src, at, length), length)
	}
	plain, err := inflate.Spool("", strings.NewReader(""), int64(m.CompressedSize64), func(dst io.Writer, _ io.Reader) error {
		r, err := m.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(dst, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, plain)
	return Read(plain, plain.Size)
}
