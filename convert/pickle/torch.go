package pickle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// TorchFile is an opened file of torch.save: the pickle's nodes, and a checkpoint's tensors on request.
//
// Since PyTorch 1.6 such a file is a zip archive whose members are stored, not compressed:
//
//	NAME/data.pkl     the pickle; tensors in it refer to storages by key
//	NAME/data/KEY     the bytes of storage KEY
//	NAME/byteorder    "little" or "big" (since 2.1)
//
// The form before that is in legacy.go.
type TorchFile struct {
	Path string
	Root Node

	file    io.ReaderAt
	closer  io.Closer
	legacy  bool
	member  string // of the pickle, for errors
	at      int64  // of the pickle in the file
	storage map[string]extent
}

// extent is where a stored member's bytes lie in the file.
type extent struct{ offset, size int64 }

// remedy is how to bring any PyTorch file into the form that we read.
const remedy = "re-save it where PyTorch is: python -c \"import torch; " +
	"torch.save(torch.load('IN', map_location='cpu', weights_only=True), 'OUT')\""

//go:noinline
func (f *TorchFile) fail(name string, offset int64, do string, err error, format string, args ...any) error {
	return &checkpoint.Error{File: f.Path, Tensor: name, Offset: offset, Reason: fmt.Sprintf(format, args...), Do: do, Err: err}
}

// LoadTorch parses a file of torch.save without running it. Use OpenTorch for a dictionary of tensors.
func LoadTorch(path string) (*TorchFile, error) {
	file, size, err := checkpoint.OpenFile(path)
	if err != nil {
		return nil, err
	}
	f := &TorchFile{Path: path, file: file, closer: file, storage: make(map[string]extent)}
	if err := f.load(size); err != nil {
		file.Close()
		return nil, err
	}
	return f, nil
}

// Close closes the file; tensors cannot be read afterwards.
func (f *TorchFile) Close() error { return f.closer.Close() }

func (f *TorchFile) load(size int64) error {
	if err := f.sniff(size); err != nil {
		return err
	}
	if f.legacy {
		return f.loadLegacy(size)
	}
	archive, err := zip.NewReader(f.file, size)
	if err != nil {
		return f.fail("", -1, "download or save it again", err, "the zip archive cannot be read: damaged, or cut short")
	}
	pickle, err := f.members(archive, size)
	if err != nil {
		return err
	}
	f.at = pickle.offset
	// Only the pickle is checked against its CRC: storages are read later, a few rows at a time.
	node, end, err := Read(io.NewSectionReader(f.file, pickle.offset, pickle.size), pickle.size, Options{})
	if err != nil {
		return f.pickleError(err)
	}
	if end != pickle.size {
		return f.fail("", f.at+end, "", nil, "%s has %d bytes after the end of its pickle", f.member, pickle.size-end)
	}
	f.Root = node
	return nil
}

// pickleError says where in the file a pickle went wrong.
func (f *TorchFile) pickleError(err error) error {
	var syntax *SyntaxError
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return f.fail("", f.at+refused.Offset, "do not load it in Python; get the model as .safetensors, or from someone you trust", err, "%s", f.member)
	case errors.As(err, &syntax):
		return f.fail("", f.at+syntax.Offset, "", err, "%s is damaged", f.member)
	}
	return err
}

// sniff tells the forms by their first bytes.
func (f *TorchFile) sniff(size int64) error {
	var head [512]byte
	n, err := f.file.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return f.fail("", 0, "", err, "could not read")
	}
	b := head[:n]
	switch {
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return nil
	case len(b) > 0 && b[0] == 0x80 && bytes.Contains(b[:min(n, 32)], legacyMagic):
		f.legacy = true
		return nil
	case len(b) > 262 && string(b[257:262]) == "ustar":
		return f.fail("", 0, "open it with the PyTorch of its time, and save it again with a newer one", nil, "it is a tar archive, the oldest form of torch.save, which is not read")
	case bytes.HasPrefix(b, []byte("version https://git-lfs")):
		return f.fail("", 0, "run git lfs pull", nil, "it is a Git LFS pointer, not the model itself")
	case size == 0:
		return f.fail("", 0, "download it again", nil, "it is empty")
	}
	return f.fail("", 0, "", nil, "it is not a file of torch.save: neither a zip archive, which starts with \"PK\", nor the form before PyTorch 1.6")
}

// members finds the pickle and the storages, and checks that each is stored as it is.
func (f *TorchFile) members(archive *zip.Reader, size int64) (pickle extent, err error) {
	f.member = ""
	for _, m := range archive.File {
		if folder, ok := strings.CutSuffix(m.Name, "/data.pkl"); ok && !strings.Contains(folder, "/") {
			if f.member != "" {
				return pickle, f.fail("", -1, "", nil, "the archive has two pickles, %q and %q", clip(f.member), clip(m.Name))
			}
			f.member = m.Name
		}
	}
	if f.member == "" {
		return pickle, f.fail("", -1, "", nil, "the zip archive has no data.pkl: not a file of torch.save")
	}
	prefix := strings.TrimSuffix(f.member, "data.pkl")
	for _, m := range archive.File {
		name, ok := strings.CutPrefix(m.Name, prefix)
		if !ok || strings.HasSuffix(m.Name, "/") {
			continue
		}
		key, isStorage := strings.CutPrefix(name, "data/")
		if !isStorage && name != "data.pkl" && name != "byteorder" && name != "constants.pkl" {
			continue
		}
		e, err := f.extent(m, size)
		if err != nil {
			return pickle, err
		}
		switch {
		case isStorage:
			if _, twice := f.storage[key]; twice {
				return pickle, f.fail("", e.offset, "", nil, "the archive has member %q twice", clip(m.Name))
			}
			f.storage[key] = e
		case name == "data.pkl":
			if pickle = e; f.checksum(m) != nil {
				return pickle, f.fail("", e.offset, "download it again", f.checksum(m), "member %q is damaged", clip(m.Name))
			}
		case name == "byteorder":
			order := make([]byte, min(e.size, 16))
			if _, err := f.file.ReadAt(order, e.offset); err != nil {
				return pickle, f.fail("", e.offset, "", err, "could not read %q", m.Name)
			}
			if string(order) == "big" {
				return pickle, f.fail("", e.offset, "re-save it on a little-endian machine", nil, "its numbers are big-endian")
			}
			if string(order) != "little" {
				return pickle, f.fail("", e.offset, "", nil, "byteorder is %q where little or big was expected", clip(string(order)))
			}
		case name == "constants.pkl":
			return pickle, f.fail("", e.offset, "save model.state_dict() with torch.save instead", nil, "it is a TorchScript archive (torch.jit.save), a program rather than weights")
		}
	}
	return pickle, nil
}

func (f *TorchFile) extent(m *zip.File, size int64) (extent, error) {
	offset, err := m.DataOffset()
	if err != nil {
		return extent{}, f.fail("", -1, "download it again", err, "member %q cannot be found", clip(m.Name))
	}
	if m.Method != zip.Store || m.Flags&1 != 0 {
		return extent{}, f.fail("", offset, remedy, nil, "member %q is compressed or encrypted, which torch.save never does", clip(m.Name))
	}
	n := int64(m.UncompressedSize64)
	if m.UncompressedSize64 != m.CompressedSize64 || n < 0 || offset < 0 || offset > size || n > size-offset {
		return extent{}, f.fail("", offset, "download it again", nil, "member %q claims %d bytes, more than the file has", clip(m.Name), m.UncompressedSize64)
	}
	return extent{offset, n}, nil
}

// checksum reads a member to its end, which is where package zip compares the CRC.
func (f *TorchFile) checksum(m *zip.File) error {
	r, err := m.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// storageTypes are the element types of torch's typed storages.
var storageTypes = map[string]string{
	"FloatStorage": checkpoint.F32, "HalfStorage": checkpoint.F16, "BFloat16Storage": checkpoint.BF16, "DoubleStorage": checkpoint.F64,
	"CharStorage": checkpoint.I8, "ByteStorage": checkpoint.U8, "ShortStorage": checkpoint.I16, "IntStorage": checkpoint.I32,
	"LongStorage": checkpoint.I64, "BoolStorage": checkpoint.Bool, "ComplexFloatStorage": checkpoint.C64, "ComplexDoubleStorage": checkpoint.C128,
}

// dtypes are the names of torch.dtype, which tensors over an UntypedStorage carry.
var dtypes = map[string]string{
	"float32": checkpoint.F32, "float16": checkpoint.F16, "bfloat16": checkpoint.BF16, "float64": checkpoint.F64,
	"int8": checkpoint.I8, "uint8": checkpoint.U8, "int16": checkpoint.I16, "uint16": checkpoint.U16, "int32": checkpoint.I32,
	"uint32": checkpoint.U32, "int64": checkpoint.I64, "uint64": checkpoint.U64, "bool": checkpoint.Bool,
	"float8_e4m3fn": checkpoint.F8E4, "float8_e5m2": checkpoint.F8E5, "float8_e8m0fnu": checkpoint.F8E8, "complex64": checkpoint.C64, "complex128": checkpoint.C128,
}

const torchUtils = "torch._utils"

// IsTensor says whether a node stands for a tensor or parameter of any kind, readable here or not.
func IsTensor(n Node) bool {
	o, ok := n.(*Object)
	return ok && o.Class != nil && (o.Class.Module == torchUtils && strings.HasPrefix(o.Class.Name, "_rebuild_") ||
		o.Class.Is("torch._tensor", "_rebuild_from_type_v2") || o.Class.Is("torch", "Tensor") || o.Class.Is("torch.nn.parameter", "Parameter"))
}

// Tensor gives the tensor that a node stands for, under the given name.
func (f *TorchFile) Tensor(name string, n Node) (*checkpoint.Tensor, error) {
	bad := func(format string, args ...any) (*checkpoint.Tensor, error) {
		return nil, f.fail(name, f.at, "", nil, format, args...)
	}
	// A Parameter wraps a tensor, and in a hostile file a wrapper wraps itself.
	for depth := 0; ; depth++ {
		o, ok := n.(*Object)
		if !ok || !IsTensor(n) {
			return bad("%s where a tensor was expected", Describe(n))
		}
		wrapper := o.Class.Is(torchUtils, "_rebuild_parameter") || o.Class.Is(torchUtils, "_rebuild_parameter_with_state")
		if !wrapper {
			break
		}
		if depth == 8 || len(o.Args) == 0 {
			return bad("a parameter without a tensor")
		}
		n = o.Args[0]
	}
	o := n.(*Object)
	v3 := o.Class.Is(torchUtils, "_rebuild_tensor_v3")
	if !v3 && !o.Class.Is(torchUtils, "_rebuild_tensor_v2") && !o.Class.Is(torchUtils, "_rebuild_tensor") {
		return nil, f.fail(name, f.at, "save the model as plain float32, float16 or bfloat16 tensors", nil, "it is not a plain tensor: %s", Describe(o))
	}
	// (storage, storage_offset, size, stride, requires_grad, backward_hooks, [dtype of v3,] metadata)
	if len(o.Args) < 4 || v3 && len(o.Args) < 7 {
		return bad("%s has %d arguments", o.Class, len(o.Args))
	}
	rest := o.Args[4:]
	if v3 {
		rest = o.Args[7:]
	} else if len(rest) > 2 {
		rest = rest[2:]
	} else {
		rest = nil
	}
	for _, metadata := range rest {
		if d, ok := AsDict(metadata); metadata != nil && (!ok || len(d.Pairs) > 0) {
			return bad("it is a conjugated or negated view, or carries other metadata")
		}
	}
	e, dtype, err := f.resolve(name, o.Args[0])
	if err != nil {
		return nil, err
	}
	if v3 {
		g, ok := o.Args[6].(*Global)
		if !ok || g.Module != "torch" || dtypes[g.Name] == "" {
			return bad("its type is %s, which is not known", Describe(o.Args[6]))
		}
		dtype = dtypes[g.Name]
	}
	if dtype == "" {
		return bad("its storage does not say of what type its elements are")
	}
	first, ok := AsInt(o.Args[1])
	size := int64(checkpoint.ElementSize(dtype))
	if !ok || first < 0 || first > e.size/size {
		return bad("it starts at element %v of a storage of %d", o.Args[1], e.size/size)
	}
	dims, err := f.dims(name, "size", o.Args[2])
	if err != nil {
		return nil, err
	}
	strides, err := f.dims(name, "stride", o.Args[3])
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(dims))
	for i, d := range dims {
		if shape[i] = int(d); int64(shape[i]) != d {
			return bad("dimension %d is too large", d)
		}
	}
	return checkpoint.NewTensor(f.Path, name, dtype, shape, checkpoint.Layout{
		Source: f.file, Offset: e.offset + first*size, Limit: e.offset + e.size, Strides: strides})
}

// storageID is what a persistent id says of a storage.
type storageID struct {
	dtype       string // "" for bytes of any type
	key         string
	size, count int64 // of an element, and elements
	view        Node  // legacy form: nil, or (key, first element, elements)
}

// parseID reads ('storage', torch.FloatStorage, key, location, elements); the legacy form has the view behind them.
func (f *TorchFile) parseID(name string, n Node) (id storageID, err error) {
	bad := func(format string, args ...any) (storageID, error) {
		return id, f.fail(name, f.at, "", nil, format, args...)
	}
	items, form := 5, "(\"storage\", type, key, location, size)"
	if f.legacy {
		items, form = 6, "(\"storage\", type, key, location, size, view)"
	}
	t, ok := n.(*Tuple)
	if !ok || len(t.Items) != items || t.Items[0] != Node("storage") {
		return bad("the id of its storage is not %s", form)
	}
	class, ok1 := t.Items[1].(*Global)
	key, ok2 := t.Items[2].(string)
	count, ok3 := AsInt(t.Items[4])
	if !ok1 || !ok2 || !ok3 || count < 0 {
		return bad("the id of its storage is not %s", form)
	}
	id.key, id.count, id.size = key, count, 1
	if f.legacy {
		id.view = t.Items[5]
	}
	switch {
	case class.Is("torch", "UntypedStorage"), class.Is("torch.storage", "UntypedStorage"):
	case (class.Module == "torch" || class.Module == "torch.cuda") && storageTypes[class.Name] != "":
		id.dtype = storageTypes[class.Name]
		id.size = int64(checkpoint.ElementSize(id.dtype))
	default:
		return bad("its storage is a %s, which is not known", clip(class.String()))
	}
	return id, nil
}

// resolve finds the bytes of a storage.
func (f *TorchFile) resolve(name string, n Node) (e extent, dtype string, err error) {
	bad := func(format string, args ...any) (extent, string, error) {
		return e, "", f.fail(name, f.at, "", nil, format, args...)
	}
	p, ok := n.(*Persistent)
	if !ok {
		return bad("%s where a storage was expected", Describe(n))
	}
	id, err := f.parseID(name, p.ID)
	if err != nil {
		return e, "", err
	}
	what := func() string {
		if f.legacy {
			return fmt.Sprintf("storage %q", clip(id.key))
		}
		return fmt.Sprintf("member %q", clip("data/"+id.key))
	}
	e, ok = f.storage[id.key]
	if !ok {
		return bad("its data, %s, is not in the file", what())
	}
	if id.count > e.size/id.size {
		return bad("its storage has %d elements of %d bytes, but %s has %d bytes", id.count, id.size, what(), e.size)
	}
	e.size = id.count * id.size
	if id.view != nil {
		v, ok := id.view.(*Tuple)
		if !ok || len(v.Items) != 3 {
			return bad("the view of its storage is not (key, first element, elements)")
		}
		first, ok1 := AsInt(v.Items[1])
		count, ok2 := AsInt(v.Items[2])
		if !ok1 || !ok2 || first < 0 || count < 0 || first > id.count || count > id.count-first {
			return bad("the view of its storage reaches beyond its %d elements", id.count)
		}
		e = extent{e.offset + first*id.size, count * id.size}
	}
	return e, id.dtype, nil
}

// dims reads a tuple of natural numbers.
func (f *TorchFile) dims(name, what string, n Node) ([]int64, error) {
	items, ok := AsItems(n)
	if !ok || len(items) > checkpoint.MaxRank {
		return nil, f.fail(name, f.at, "", nil, "its %s is %s where a short tuple of integers was expected", what, Describe(n))
	}
	dims := make([]int64, len(items))
	for i, item := range items {
		d, ok := AsInt(item)
		if !ok || d < 0 {
			return nil, f.fail(name, f.at, "", nil, "its %s has %s where an integer from 0 was expected", what, Describe(item))
		}
		dims[i] = d
	}
	return dims, nil
}
