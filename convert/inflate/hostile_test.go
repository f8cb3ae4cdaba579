package inflate

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// zeros packs n zeros.
func zeros(t *testing.T, w io.WriteCloser, to *bytes.Buffer, n int) []byte {
	if _, err := w.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

// lz4Zeros packs n zeros as a frame of blocks of 4 MB.
func lz4Zeros(n int) []byte {
	const block = 4 << 20
	frame := []byte("\x04\x22\x4d\x18\x60\x70\x73")
	for ; n > 0; n -= block {
		size := min(n, block)
		more := size - 1 - 5 - 4 // a zero, the same again at least four times, and the last five as they are
		packed := []byte{0x1f, 0, 1, 0}
		for ; more-15 >= 255; more -= 255 {
			packed = append(packed, 255)
		}
		packed = append(packed, byte(more-15), 0x50, 0, 0, 0, 0, 0)
		frame = append(binary.LittleEndian.AppendUint32(frame, uint32(len(packed))), packed...)
	}
	return append(frame, 0, 0, 0, 0)
}

// TestHostile unpacks what becomes nearly as much as may be, and megabytes of streams that are as small as may be. With as much as a
// reader of the content may allocate, that stays within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	size, rest := 60<<20, 4<<20
	if testing.Short() {
		size, rest = 20<<20, 1<<20
	}
	file := func(name string) []byte {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	many := func(stream string) []byte { return []byte(strings.Repeat(stream, rest/len(stream))) }
	var gz, gz0, zl, zs bytes.Buffer
	encoder, err := zstd.NewWriter(&zs, zstd.WithWindowSize(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"gzip":            zeros(t, gzip.NewWriter(&gz), &gz, size),
		"zlib":            zeros(t, zlib.NewWriter(&zl), &zl, size),
		"zstd":            zeros(t, encoder, &zs, size),
		"lz4":             lz4Zeros(size),
		"bz2":             file("zeros.bz2"),
		"xz":              file("zeros.xz"),
		"lzma":            file("zeros.lzma"),
		"dictionary xz":   file("far.xz"),
		"streams of gzip": many(string(zeros(t, gzip.NewWriter(&gz0), &gz0, 0))),
		"streams of zstd": many("\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"),
		"streams of lz4":  many("\x04\x22\x4d\x18\x60\x40\x82\x00\x00\x00\x00"),
		"streams of bz2":  many("BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"),
		"streams of xz":   many(string(file("dictionary.xz"))),
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && (name == "xz" || name == "lzma") {
				t.Skip("60 MB, bit by bit: an emulator takes longer than a second")
			}
			fuzztest.Bounded(t, len(data), func() {
				p, err := New(bytes.NewReader(data), int64(len(data)))
				if err != nil {
					t.Log(err)
					return
				}
				t.Log(len(data), p.Size, len(make([]byte, p.Room())))
				p.Close()
			})
		})
	}
}
