package bergamot

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/convert/inflate"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
	"github.com/klauspost/compress/zstd"
)

// entry is one tensor of a container.
type entry struct {
	name  string
	kind  uint64
	shape []int32
	data  []byte
}

// container writes a file of entries as Marian does, with three bytes of padding before the numbers.
func container(entries ...entry) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(le.AppendUint64(nil, containerVersion), uint64(len(entries)))
	for _, e := range entries {
		b = le.AppendUint64(le.AppendUint64(b, uint64(len(e.name)+1)), e.kind)
		b = le.AppendUint64(le.AppendUint64(b, uint64(len(e.shape))), uint64(len(e.data)))
	}
	for _, e := range entries {
		b = append(append(b, e.name...), 0)
	}
	for _, e := range entries {
		for _, d := range e.shape {
			b = le.AppendUint32(b, uint32(d))
		}
	}
	b = append(le.AppendUint64(b, 3), 0, 0, 0)
	for _, e := range entries {
		b = append(b, e.data...)
	}
	return b
}

func floats(values ...float32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func yml(text string) entry {
	return entry{configName, typeInt8, []int32{int32(len(text) + 1)}, append([]byte(text), 0)}
}

// small is a container with an embedding, a quantized matrix, a bias, and a configuration.
func small() []byte {
	return container(
		entry{"encoder_Wemb", typeIntgemm8, []int32{3, 2}, append([]byte{1, 2, 3, 4, 5, 6}, floats(10)...)},
		entry{"ffn_W1", typeIntgemm8, []int32{2, 3}, append([]byte{1, 2, 3, 4, 5, 6}, floats(10)...)},
		entry{"ffn_b1", typeFloat32, []int32{1, 3}, floats(1, 2, 3)},
		yml("type: transformer\nenc-depth: 6\ntransformer-tied-layers:\n  []\nvocabs:\n  - a.spm\n  - 'b.spm'\n"))
}

// openContainer opens a container as it lies in a file, compressed or not, and reads all of it.
func openContainer(data []byte) (*Model, error) {
	file, err := inflate.New(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := checkPacked("f", file); err != nil {
		return nil, err
	}
	m := &Model{Checkpoint: checkpoint.New("Marian binary", "f")}
	if err := m.read("f", file); err != nil {
		return nil, err
	}
	checkpointtest.Drain(m.Checkpoint)
	return m, nil
}

// openLists opens a shortlist of n and m words as it lies in a file, compressed or not.
func openLists(data []byte, source, target int) (*Shortlist, error) {
	file, err := inflate.New(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := checkPacked("f", file); err != nil {
		return nil, err
	}
	return readShortlist("f", file, source, target)
}

func gzipped(f testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(f testing.TB, data []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

func FuzzOpen(f *testing.F) {
	for _, data := range [][]byte{small(), container(yml("a: 1"), entry{"w", typeIntgemm16, []int32{1, 2}, make([]byte, 8)})} {
		f.Add(data)
		f.Add(gzipped(f, data))
		f.Add(zstandard(f, data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _, _ = openContainer(data) })
	})
}

// FuzzConfig puts any text into a sound container.
func FuzzConfig(f *testing.F) {
	f.Add("type: transformer\nlist:\n  - a\n  - 'b'\nflow: [a, \"b\"]\nempty: []\nnumber: 6\nfirst: true\n# comment\n---\n", "number")
	f.Add("a: \"\nb:\n- '\n", "a")
	f.Fuzz(func(t *testing.T, text, key string) {
		data := container(yml(text))
		fuzztest.Bounded(t, len(data), func() {
			m, err := openContainer(data)
			if err != nil {
				return
			}
			_, _ = m.Config.Int(key, 1)
			_, _ = m.Config.Bool(key, true)
			if len(m.Config.List(key)) == 1 && m.Config.String(key, "") != m.Config.List(key)[0] {
				t.Errorf("%q is %q and %q", key, m.Config.String(key, ""), m.Config.List(key))
			}
		})
	})
}

// lists writes a shortlist with the right checksum.
func lists(first, best uint64, offsets []uint64, ids []uint32) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(make([]byte, 16), first)
	b = le.AppendUint64(b, best)
	b = le.AppendUint64(b, uint64(len(offsets)))
	b = le.AppendUint64(b, uint64(len(ids)))
	for _, v := range offsets {
		b = le.AppendUint64(b, v)
	}
	for _, v := range ids {
		b = le.AppendUint32(b, v)
	}
	return sealed(b)
}

// checksum is what the header has of the bytes behind it.
func checksum(b []byte) uint64 {
	w := &words{}
	for ; len(b) >= 8; b = b[8:] {
		w.add(binary.LittleEndian.Uint64(b))
	}
	return w.sum
}

// sealed sets magic and checksum.
func sealed(b []byte) []byte {
	if len(b) >= 16 {
		binary.LittleEndian.PutUint64(b, shortlistMagic)
		binary.LittleEndian.PutUint64(b[8:], checksum(b[16:]))
	}
	return b
}

// FuzzShortlist opens any bytes as they are, and with the checksum made right.
func FuzzShortlist(f *testing.F) {
	data := lists(2, 3, []uint64{0, 2, 2, 5}, []uint32{4, 5, 2, 3, 6})
	f.Add(data, uint8(3), uint8(7))
	f.Add(zstandard(f, data), uint8(3), uint8(7))
	f.Add(lists(100, 100, []uint64{0}, nil), uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, source, target uint8) {
		for range 2 {
			fuzztest.Bounded(t, len(data), func() {
				s, err := openLists(data, int(source), int(target))
				if err != nil {
					return
				}
				if len(s.Offsets) != int(source)+1 || s.First > int(target) {
					t.Errorf("%d lists and %d first words for %d and %d words", len(s.Offsets)-1, s.First, source, target)
				}
				for w := range int(source) {
					for _, id := range s.IDs[s.Offsets[w]:s.Offsets[w+1]] {
						if int(id) >= int(target) {
							t.Errorf("target word %d of %d", id, target)
						}
					}
				}
			})
			data = sealed(bytes.Clone(data))
		}
	})
}
