// Package inflate finds out how a file is compressed and makes its content readable at any place, without letting a
// small file become a very large one.
//
//	zlib, gzip, bzip2   by the standard library
//	xz, lzma, lz4, zstd by the packages below this folder
//
// Content up to 2 MB is kept in memory, more in a temporary file that Close removes.
package inflate

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate/lz4"
	"github.com/edge-infer/edge-infer/convert/inflate/lzma"
	"github.com/edge-infer/edge-infer/convert/inflate/zstd"
)

// Content may be maxFree bytes, or maxRatio times what it was compressed to if that is more. Real models of neighbours
// shrink to a half or a tenth; data that is mostly zeros, as digits are, to a twentieth.
const (
	maxFree  = 64 << 20
	maxRatio = 200
	inMemory = 1 << 20

	spoolBytes = 1 << 20 // written to the file at a time
)

// ErrBomb is what a file is refused with that unfolds beyond all measure.
var ErrBomb = errors.New("it unfolds to far more than its size allows")

// Plain is content that can be read at any place.
type Plain struct {
	io.ReaderAt
	Size   int64
	Packed int64  // what it takes compressed; Size for a file that is not
	Method string // "zlib", "gzip", "bz2", "zstd", "xz", "lzma", "lz4"; "" for a file that is not compressed

	closers []func() error
}

// Room is how many bytes a reader of the content may allocate: 8 times the file and 15 MB, less what unpacking it has taken.
func (p *Plain) Room() int64 {
	room := 8*p.Packed + 15<<20
	switch p.Method {
	case "":
		return room
	case "xz", "lzma", "zstd":
		return room - int64(window(p.Packed))*5/4 - 3<<20
	}
	return room - 8<<20
}

// Close closes the file and removes what was kept on disk.
func (p *Plain) Close() error {
	var err error
	for _, c := range p.closers {
		err = errors.Join(err, c())
	}
	p.closers = nil
	return err
}

// methods are told by how a file begins.
var methods = []struct {
	name, magic string
	decode      func(dst io.Writer, src io.Reader, window int) error
}{
	{"gzip", "\x1f\x8b", func(dst io.Writer, src io.Reader, _ int) error {
		r, err := gzip.NewReader(src)
		return copyAll(dst, r, err)
	}},
	{"bz2", "BZh", func(dst io.Writer, src io.Reader, _ int) error { return copyAll(dst, bzip2.NewReader(src), nil) }},
	{"xz", "\xfd7zXZ\x00", lzma.DecodeXZ},
	{"lzma", "]\x00\x00", lzma.DecodeAlone},
	{"lz4", "\x04\x22\x4d\x18", func(dst io.Writer, src io.Reader, _ int) error { return copyAll(dst, lz4.NewReader(src), nil) }},
	{"zlib", "\x78\x01", unzlib}, // the second byte tells the level
	{"zlib", "\x78\x5e", unzlib},
	{"zlib", "\x78\x9c", unzlib},
	{"zlib", "\x78\xda", unzlib},
	{"zstd", "\x28\xb5\x2f\xfd", zstd.Decode},
}

func unzlib(dst io.Writer, src io.Reader, _ int) error {
	r, err := zlib.NewReader(src)
	return copyAll(dst, r, err)
}

// window is how far back the content of a file of so many bytes may refer, all of which the decoder holds at once. Level 19 of zstd and
// level 6 of xz need 8 MB, whatever the size.
func window(size int64) int { return int(min(max(8<<20, 4*size), 64<<20)) }

func copyAll(dst io.Writer, src io.Reader, err error) error {
	if err == nil {
		_, err = io.Copy(dst, src)
	}
	return err
}

// Method says how a file is compressed that begins with head; "" for one that is not.
func Method(head []byte) string {
	for _, m := range methods {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.name
		}
	}
	return ""
}

// Open opens a file. If it is compressed, all of it is decompressed now.
func Open(path string) (*Plain, error) { return OpenIn("", path) }

// OpenIn is Open with the folder dir for what does not fit into memory, "" for the system's.
func OpenIn(dir, path string) (*Plain, error) {
	file, size, err := checkpoint.OpenFile(path)
	if err != nil {
		return nil, err
	}
	p, err := newIn(dir, file, size)
	if err != nil || p.Method != "" {
		file.Close()
		return p, err
	}
	p.closers = append(p.closers, file.Close)
	return p, nil
}

// New is Open for what is open already; it does not close src.
func New(src io.ReaderAt, size int64) (*Plain, error) { return newIn("", src, size) }

func newIn(dir string, src io.ReaderAt, size int64) (*Plain, error) {
	head := make([]byte, 8)
	n, err := src.ReadAt(head[:min(size, 8)], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	for _, m := range methods {
		if bytes.HasPrefix(head[:n], []byte(m.magic)) {
			p, err := Spool(dir, io.NewSectionReader(src, 0, size), size, func(dst io.Writer, src io.Reader) error { return m.decode(dst, src, window(size)) })
			if err != nil {
				return nil, fmt.Errorf("compressed with %s: %w", m.name, err)
			}
			p.Method = m.name
			return p, nil
		}
	}
	return &Plain{ReaderAt: src, Size: size, Packed: size}, nil
}

// Spool decompresses src, which is size bytes long, and keeps what comes of it; what is too large for memory in the folder dir,
// "" for the system's temporary files.
func Spool(dir string, src io.Reader, size int64, decode func(dst io.Writer, src io.Reader) error) (*Plain, error) {
	s := &spool{dir: dir, limit: max(maxFree, size*maxRatio)}
	if size > 1<<55/maxRatio {
		return nil, ErrBomb
	}
	err := decode(s, bufio.NewReaderSize(src, 1<<16))
	if err == nil && s.file != nil {
		err = s.flush()
	}
	if err != nil {
		s.close()
		if errors.Is(err, ErrBomb) {
			return nil, fmt.Errorf("%w: %d bytes make more than %d", ErrBomb, size, s.limit)
		}
		return nil, err
	}
	if s.file == nil {
		return &Plain{ReaderAt: bytes.NewReader(s.buf), Size: s.size, Packed: size}, nil
	}
	return &Plain{ReaderAt: s.file, Size: s.size, Packed: size, closers: []func() error{s.close}}, nil
}

// spool takes what is written into memory, and when that grows large into a file.
type spool struct {
	dir   string
	buf   []byte
	file  *os.File
	size  int64
	limit int64
}

func (s *spool) Write(b []byte) (int, error) {
	if s.size += int64(len(b)); s.size > s.limit {
		return 0, ErrBomb
	}
	if s.size > inMemory && s.file == nil {
		file, err := os.CreateTemp(s.dir, "edge-infer-*")
		if err != nil {
			return 0, fmt.Errorf("no place to unpack to: %w", err)
		}
		s.file = file
	}
	if s.file != nil && len(s.buf)+len(b) > spoolBytes {
		if err := s.flush(); err != nil {
			return 0, err
		}
		if len(b) >= spoolBytes {
			return s.file.Write(b)
		}
	}
	if need := len(s.buf) + len(b); need > cap(s.buf) { // twice as much each time: append's steps of a quarter leave more behind
		s.buf = append(make([]byte, 0, max(need, 2*cap(s.buf))), s.buf...)
	}
	s.buf = append(s.buf, b...)
	return len(b), nil
}

func (s *spool) flush() error {
	_, err := s.file.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	s.file = nil
	return err
}
