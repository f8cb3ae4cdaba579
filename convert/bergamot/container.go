// Package bergamot reads what Firefox's translation models consist of: Marian's binary container of tensors with the model's
// configuration inside (container.go, config.go), and the lexical shortlist (shortlist.go). Files may be compressed as package inflate
// knows it, among others with gzip and zstd, as they are published.
//
// Each layout is described alike in two places that do not stem from one another's readers: the program that writes it
// (marian-nmt/marian-dev and browsermt/marian-dev) and a reader written anew (jerinphilip/slimt).
package bergamot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate"
)

// The container, version 1, little-endian:
//
//	u64 version, u64 n
//	n × { u64 bytes of the name with its NUL, u64 type, u64 dimensions, u64 bytes of data }
//	n names, n shapes of i32, u64 padding, so many bytes, n × data
//
// Sources: marian-nmt/marian-dev src/common/binary.cpp (saveItems), src/common/types.h; slimt/Io.cc (load_items).
const (
	containerVersion = 1
	encryptedVersion = 2
	headerBytes      = 32

	// Limits on what a header may claim, far above every model: published ones have some 300 tensors.
	maxItems  = 1 << 14
	maxName   = 1 << 10
	maxRank   = 8
	maxConfig = 1 << 20
)

// Types of elements: a class in the high byte, the size in the low one.
const (
	typeInt8      = 0x0101
	typeFloat32   = 0x0404
	typeIntgemm8  = 0x4101
	typeIntgemm16 = 0x4102
)

const configName = "special:model.yml"

// A Model is an opened container. Its tensors are as the rest of convert wants them: matrices [out, in], embeddings
// [vocabulary, dim], quantized ones int8 (or int16) with their scale.
type Model struct {
	*checkpoint.Checkpoint
	Config Config
	Method string // how the file was compressed, "" if it was not
}

// item is one entry of the table of contents.
type item struct {
	name   string
	kind   uint64
	shape  []int
	offset int64 // of the data
	size   int64
}

// Open reads the table of contents and the configuration; the numbers stay in the file. Errors: *checkpoint.Error for
// what is not such a file or a damaged one, those of the file system. A compressed file that does not fit into memory is unpacked
// into the folder spill, "" for the system's.
func Open(path, spill string) (*Model, error) {
	file, err := OpenPacked(path, spill)
	if err != nil {
		return nil, err
	}
	m := &Model{Checkpoint: checkpoint.New("Marian binary", path, file), Method: file.Method}
	if err := m.read(path, file); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// OpenPacked opens any file of a model, compressed or not; what is compressed may unfold as far as models, lists and vocabularies do.
// Errors and spill are as in Open.
func OpenPacked(path, spill string) (*inflate.Plain, error) {
	file, err := inflate.OpenIn(spill, path)
	if err != nil {
		if !isPathError(err) {
			err = &checkpoint.Error{File: path, Offset: -1, Reason: "cannot be unpacked", Do: "download it again", Err: err}
		}
		return nil, err
	}
	if err := checkPacked(path, file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Weights, lists and vocabularies shrink to a half: a file that was packed may become maxFree bytes, or maxRatio times what it takes.
const (
	maxFree  = 1 << 19
	maxRatio = 4
)

func checkPacked(path string, file *inflate.Plain) error {
	if file.Size <= max(maxFree, maxRatio*file.Packed) {
		return nil
	}
	return &checkpoint.Error{File: path, Offset: -1, Reason: fmt.Sprintf("unfolds from %d bytes to %d, more than such files do", file.Packed, file.Size),
		Do: "if it is genuine, unpack it, and name the plain file"}
}

func (m *Model) read(path string, file *inflate.Plain) error {
	r := &reader{file: path, src: file, size: file.Size}
	items := r.items()
	if r.err != nil {
		return r.err
	}
	for _, it := range items {
		var err error
		if it.name == configName {
			err = m.config(r, it)
		} else {
			err = m.add(r, it)
		}
		if err != nil {
			return err
		}
	}
	if m.Config.fields == nil {
		return &checkpoint.Error{File: path, Tensor: configName, Offset: -1, Reason: "is missing: it says how many layers and heads the weights make",
			Do: "export the model with marian-conv, which puts it there"}
	}
	return nil
}

// reader walks over the container and keeps the first error.
type reader struct {
	file string
	src  io.ReaderAt
	size int64
	at   int64
	err  error
}

//go:noinline
func (r *reader) fail(offset int64, format string, args ...any) {
	if r.err == nil {
		r.err = &checkpoint.Error{File: r.file, Offset: offset, Reason: fmt.Sprintf(format, args...), Do: "copy or download it again"}
	}
}

// bytes reads n bytes that the file must have, for what.
func (r *reader) bytes(n int64, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n > r.size-r.at {
		r.fail(r.at, "the file ends inside %s: %d bytes are needed, %d are there", what, n, r.size-r.at)
		return nil
	}
	b := make([]byte, n)
	if _, err := r.src.ReadAt(b, r.at); err != nil && r.err == nil {
		r.err = &checkpoint.Error{File: r.file, Offset: r.at, Reason: "could not read", Err: err}
	}
	r.at += n
	return b
}

func (r *reader) u64(what string) uint64 {
	if b := r.bytes(8, what); b != nil && r.err == nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// items reads the table of contents and checks that all data lie in the file.
func (r *reader) items() []item {
	switch version := r.u64("the version"); {
	case r.err != nil:
		return nil
	case version == encryptedVersion:
		r.err = &checkpoint.Error{File: r.file, Offset: 0, Reason: "is an encrypted model", Do: "only Marian with its key reads it"}
		return nil
	case version != containerVersion:
		r.err = &checkpoint.Error{File: r.file, Offset: 0, Reason: fmt.Sprintf("begins with %d where a Marian binary has its version, 1", version),
			Do: "give the .bin file of a Firefox (Bergamot) model"}
		return nil
	}
	n := r.u64("the number of tensors")
	if n == 0 || n > maxItems {
		r.fail(8, "it claims %d tensors, 1 to %d may be", n, maxItems)
	}
	if r.err != nil {
		return nil
	}
	table := r.bytes(int64(n)*headerBytes, "the table of tensors")
	items := make([]item, n)
	ranks, names := make([]int64, n), make([]int64, n)
	for i := range items {
		if r.err != nil {
			return nil
		}
		at := 16 + int64(i)*headerBytes
		h := table[i*headerBytes:]
		name, rank, size := binary.LittleEndian.Uint64(h), binary.LittleEndian.Uint64(h[16:]), binary.LittleEndian.Uint64(h[24:])
		switch {
		case name < 2 || name > maxName:
			r.fail(at, "tensor %d has a name of %d bytes, 2 to %d may be", i, name, maxName)
		case rank == 0 || rank > maxRank:
			r.fail(at+16, "tensor %d has %d dimensions, 1 to %d may be", i, rank, maxRank)
		case size > uint64(r.size):
			r.fail(at+24, "tensor %d claims %d bytes, the whole file has %d", i, size, r.size)
		}
		items[i].kind, items[i].size = binary.LittleEndian.Uint64(h[8:]), int64(size)
		names[i], ranks[i] = int64(name), int64(rank)
	}
	for i := range items {
		at := r.at
		name := r.bytes(names[i], "the names")
		if r.err != nil {
			return nil
		}
		if end := bytes.IndexByte(name, 0); end != len(name)-1 {
			r.fail(at, "the name of tensor %d does not end where it should: %q", i, name)
			return nil
		}
		items[i].name = string(name[:len(name)-1])
	}
	for i := range items {
		at := r.at
		raw := r.bytes(4*ranks[i], "the shapes")
		if r.err != nil {
			return nil
		}
		for ; len(raw) > 0; raw = raw[4:] {
			items[i].shape = append(items[i].shape, int(int32(binary.LittleEndian.Uint32(raw))))
		}
		for _, d := range items[i].shape {
			if d < 1 {
				r.fail(at, "tensor %q has the shape %v, dimensions are 1 or more", items[i].name, items[i].shape)
			}
		}
	}
	at := r.at
	pad := r.u64("the padding")
	if r.err == nil && pad > uint64(r.size-r.at) {
		r.fail(at, "%d bytes of padding are claimed, %d are left", pad, r.size-r.at)
	}
	r.at += int64(pad)
	for i := range items {
		items[i].offset = r.at
		if r.err == nil && items[i].size > r.size-r.at {
			r.fail(r.at, "the file ends inside the numbers of tensor %q: %d bytes are needed, %d are there", items[i].name, items[i].size, r.size-r.at)
		}
		r.at += items[i].size
	}
	return items
}

// typeNames are those that are not read, by what marian calls them.
var typeNames = map[uint64]string{
	0x0102: "int16", 0x0104: "int32", 0x0108: "int64", 0x0201: "uint8", 0x0202: "uint16", 0x0204: "uint32", 0x0208: "uint64",
	0x0402: "float16", 0x0408: "float64",
}

// add puts one tensor into the checkpoint.
//
// A quantized matrix lies transposed: its shape says [in, out], its numbers are [out][in]. A float one lies as its shape says. One
// float32 follows the numbers of a quantized tensor: real = stored / it. Embeddings are never transposed.
// Sources: browsermt/marian-dev src/tensors/cpu/expression_graph_packable.h and integer_common.h; slimt/Io.cc.
func (m *Model) add(r *reader, it item) error {
	fail := func(reason, do string) error {
		return checkpoint.Errorf(r.file, it.name, it.offset, do, "%s", reason)
	}
	const export = "export the model with marian-conv --gemm-type intgemm8 or float32"
	dtype, size := "", int64(0)
	switch it.kind {
	case typeFloat32:
		dtype, size = checkpoint.F32, 4
	case typeIntgemm8:
		dtype, size = checkpoint.I8, 1
	case typeIntgemm16:
		dtype, size = checkpoint.I16, 2
	case typeInt8:
		return fail("has plain bytes for elements, as only the configuration has", export)
	default:
		name := fmt.Sprintf("%#x", it.kind)
		if known := typeNames[it.kind]; known != "" {
			name = known
		} else if it.kind&0xf800 != 0 {
			name += ", packed for one kind of processor"
		}
		return fail("has elements of type "+name, export)
	}
	quantized := it.kind != typeFloat32
	if quantized && strings.HasSuffix(it.name, "_QuantMultA") {
		return nil // what is left of an embedding's activation multiplier by quantizing it: not used by anyone
	}
	count := int64(1)
	for _, d := range it.shape {
		if count > it.size/int64(d) {
			return fail(fmt.Sprintf("has the shape %v, but %d bytes of numbers", it.shape, it.size), "copy or download it again")
		}
		count *= int64(d)
	}
	end := it.offset + it.size
	needed := count * size
	if quantized {
		needed += 4
	}
	if needed > it.size {
		return fail(fmt.Sprintf("has the shape %v, which needs %d bytes of numbers, but %d", it.shape, needed, it.size), "copy or download it again")
	}
	layout := checkpoint.Layout{Source: r.src, Offset: it.offset, Limit: end}
	shape := it.shape
	if len(shape) == 2 && shape[0] > 1 && !strings.Contains(it.name, "Wemb") {
		shape = []int{it.shape[1], it.shape[0]}
		if !quantized {
			layout.Strides = []int64{1, int64(it.shape[1])}
		}
	}
	t, err := checkpoint.NewTensor(r.file, it.name, dtype, shape, layout)
	if err != nil {
		return err
	}
	if quantized {
		layout := checkpoint.Layout{Source: r.src, Offset: it.offset + count*size, Limit: end}
		if t.Scale, err = checkpoint.NewTensor(r.file, it.name+" multiplier", checkpoint.F32, nil, layout); err != nil {
			return err
		}
	}
	return m.Add(t)
}

func (m *Model) config(r *reader, it item) error {
	fail := func(offset int64, reason string) error {
		return checkpoint.Errorf(r.file, configName, offset, "copy or download it again", "%s", reason)
	}
	if m.Config.fields != nil {
		return fail(it.offset, "the name occurs twice")
	}
	if it.kind != typeInt8 || it.size > maxConfig {
		return fail(it.offset, fmt.Sprintf("has type %#x and %d bytes, must be text of at most %d", it.kind, it.size, maxConfig))
	}
	text := make([]byte, it.size)
	if _, err := r.src.ReadAt(text, it.offset); err != nil {
		return &checkpoint.Error{File: r.file, Tensor: configName, Offset: it.offset, Reason: "could not read", Err: err}
	}
	text = bytes.TrimRight(text, "\x00") // one ends it, more are padding
	line, reason := m.Config.parse(string(text))
	if reason != "" {
		return fail(it.offset, fmt.Sprintf("line %d %s", line, reason))
	}
	return nil
}
