// Package joblib opens pickles of models: plain ones, those that joblib.dump wrote, and either of them compressed.
//
// A joblib file is a pickle that has the bytes of its arrays between its opcodes, each behind the NumpyArrayWrapper
// that describes it: since joblib 1.2 (alignment known) one byte of padding length, then the padding, then the numbers;
// before, the numbers at once. An array of objects is a whole pickle of its own there.
//
// Nothing of the pickle is run (package pickle); arrays stay where they are in the file (package npy).
package joblib

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate"
	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/pickle"
)

// File is an opened pickle.
type File struct {
	Path   string
	Method string // of compression, "" for none
	Joblib bool   // it has arrays between its opcodes, or is compressed
	Root   pickle.Node

	plain  *inflate.Plain
	inline map[*pickle.Object]inlined
	room   int64 // bytes that may still be allocated for it
}

// inlined is what follows a NumpyArrayWrapper.
type inlined struct {
	at      int64
	objects pickle.Node // of an array of objects
}

// Close closes the file; arrays cannot be read afterwards.
func (f *File) Close() error { return f.plain.Close() }

// Take is asked before n bytes are allocated for what the file describes: a small one that was compressed may describe much.
func (f *File) Take(n int64) error {
	if f.room -= n; f.room >= 0 {
		return nil
	}
	return f.Fail(nil, fmt.Sprintf("its %d bytes describe more than such a file may take of memory", f.plain.Packed),
		"if the data is really that regular, save it without compression")
}

// mayCall allows what pickles of scikit-learn call beyond what package pickle knows. The calls are kept, not made.
func mayCall(module, name string) bool {
	switch {
	case strings.HasPrefix(module, "sklearn.") && (name == "newObj" || strings.HasPrefix(name, "__pyx_unpickle")): // its trees and metrics
		return true
	case module == "numpy.ma.core" && name == "_mareconstruct": // scores of a grid search
		return true
	}
	return false
}

// Open parses the pickle in a file. The reader of the result decides what its objects mean.
func Open(path string) (*File, error) {
	plain, err := inflate.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return read(path, plain)
}

// Read is Open for what is open already; it does not close src.
func Read(path string, src io.ReaderAt, size int64) (*File, error) {
	plain, err := inflate.New(src, size)
	if err != nil {
		return nil, unreadable(path, err)
	}
	return read(path, plain)
}

func unreadable(path string, err error) error {
	var system *fs.PathError
	if errors.As(err, &system) {
		return err
	}
	do := "download it or save it again"
	if errors.Is(err, inflate.ErrBomb) {
		do = "if the data is really that regular, save it without compression"
	}
	return &checkpoint.Error{File: path, Offset: -1, Reason: "it cannot be read", Err: err, Do: do}
}

func read(path string, plain *inflate.Plain) (*File, error) {
	f := &File{Path: path, Method: plain.Method, Joblib: plain.Method != "", plain: plain, inline: map[*pickle.Object]inlined{}, room: plain.Room()}
	if err := f.parse(); err != nil {
		plain.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) parse() error {
	var head [2]byte
	if n, _ := f.plain.ReadAt(head[:], 0); n == 2 && string(head[:]) == "ZF" {
		return f.Fail(nil, "it was written by joblib before 0.10", "load it in Python and save it again with joblib.dump")
	}
	var err error
	var end int64
	f.Root, end, err = pickle.Read(f.plain, f.plain.Size, pickle.Options{Call: mayCall, Built: f.built, Budget: &f.room})
	if err != nil {
		var refused *pickle.RefusedError
		if errors.As(err, &refused) {
			return f.Fail(err, "it would run code when Python loads it", "do not load it there, unless you know who made it")
		}
		return f.Fail(err, "it is not a pickle that can be read", "")
	}
	if end != f.plain.Size {
		return f.Fail(nil, fmt.Sprintf("%d bytes follow the end of its pickle", f.plain.Size-end), "save one model a file")
	}
	return nil
}

// Fail makes an error about the file; do is what helps, "" for saving it again.
func (f *File) Fail(err error, reason, do string) error {
	if do == "" && (err == nil || !strings.Contains(err.Error(), ": save ")) { // unless err says how
		do = "fit the model and save it again"
	}
	return &checkpoint.Error{File: f.Path, Offset: -1, Reason: reason, Do: do, Err: err}
}

// built skips the bytes of an array that joblib wrote behind its description, and notes where they are.
func (f *File) built(o *pickle.Object, in *pickle.Inline) error {
	if o.Class.Module != "joblib.numpy_pickle" && !strings.HasSuffix(o.Class.Module, ".joblib.numpy_pickle") {
		if strings.HasSuffix(o.Class.Module, "numpy_pickle_compat") {
			return errors.New("its arrays are in files beside it, as joblib before 0.10 wrote them: load it in Python and save it again with joblib.dump")
		}
		return nil
	}
	if o.Class.Name != "NumpyArrayWrapper" {
		return nil
	}
	f.Joblib = true
	d, shape, _, err := wrapper(o)
	if err != nil && d.Size == 0 {
		return err
	}
	if d.Kind == 'O' {
		at := in.Pos
		objects, err := in.Pickle()
		f.inline[o] = inlined{at, objects}
		return err
	}
	if n, ok := attribute(o, "numpy_array_alignment_bytes"); ok && n != nil {
		var padding [1]byte
		if err := readFull(in.Source, padding[:], in.Pos); err != nil {
			return err
		}
		in.Pos += 1 + int64(padding[0])
	}
	a, err := npy.New(in.Source, in.Pos, in.Size, shape, d, false)
	if err != nil {
		return err
	}
	f.inline[o] = inlined{at: in.Pos}
	in.Pos += a.Bytes()
	return nil
}

func readFull(src io.ReaderAt, b []byte, at int64) error {
	n, err := src.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	return errors.Join(io.ErrUnexpectedEOF, err)
}

// wrapper reads the description of an array. A type that is not supported, such as the records of a tree, is an error with
// the size of an element.
func wrapper(o *pickle.Object) (d npy.DType, shape []int, fortran bool, err error) {
	n, _ := attribute(o, "dtype")
	d, err = dtype(n)
	n, _ = attribute(o, "shape")
	shape, bad := shapeOf(n)
	if bad != nil {
		return npy.DType{}, nil, false, bad
	}
	order, _ := attribute(o, "order")
	return d, shape, order == "F", err
}

// attribute finds one attribute of an object.
func attribute(o *pickle.Object, name string) (pickle.Node, bool) {
	d, ok := State(o)
	if !ok {
		return nil, false
	}
	return d.Get(name)
}

// State gives the attributes of an object.
func State(o *pickle.Object) (*pickle.Dict, bool) {
	d, ok := pickle.AsDict(o.State)
	return d, ok
}

func shapeOf(n pickle.Node) ([]int, error) {
	items, ok := pickle.AsItems(n)
	if i, single := n.(int64); single {
		items, ok = []pickle.Node{i}, true
	}
	if !ok {
		return nil, fmt.Errorf("the shape of an array is %s", pickle.Describe(n))
	}
	shape := make([]int, len(items))
	for i, item := range items {
		v, ok := Int(item)
		if !ok || int64(int(v)) != v || v < 0 {
			return nil, fmt.Errorf("the shape of an array has %s for a size", pickle.Describe(item))
		}
		shape[i] = int(v)
	}
	return shape, nil
}

// dtype reads numpy.dtype('f8', False, True) with the state (3, '<', None, ...).
func dtype(n pickle.Node) (npy.DType, error) {
	o, ok := n.(*pickle.Object)
	if !ok || !o.Class.Is("numpy", "dtype") || len(o.Args) == 0 {
		return npy.DType{}, fmt.Errorf("the type of an array is %s where a numpy.dtype was expected", pickle.Describe(n))
	}
	name, ok := Text(o.Args[0])
	if !ok {
		return npy.DType{}, fmt.Errorf("the name of a numpy.dtype is %s", pickle.Describe(o.Args[0]))
	}
	if state, ok := o.State.(*pickle.Tuple); ok && len(state.Items) > 1 {
		if order, ok := Text(state.Items[1]); ok && (order == "<" || order == ">" || order == "|" || order == "=") {
			name = order + strings.TrimLeft(name, "<>|=")
		}
	}
	return npy.ParseDType(name)
}

// Text gives a string, also one that Python 2 kept as bytes.
func Text(n pickle.Node) (string, bool) {
	switch n := n.(type) {
	case string:
		return n, true
	case *pickle.Bytes:
		if n.Len < 1<<16 {
			b, err := n.Load()
			return string(b), err == nil
		}
	case *pickle.Object: // str subclass of NumPy: a scalar
		if v, ok := scalar(n); ok && !v.Number {
			return v.Text, true
		}
	}
	return "", false
}

// Int gives an integer, also NumPy's.
func Int(n pickle.Node) (int64, bool) {
	f, ok := Float(n)
	if i, isInt := n.(int64); isInt {
		return i, true
	}
	if _, isFloat := n.(float64); isFloat || !ok || f != float64(int64(f)) {
		return 0, false
	}
	return int64(f), true
}

// Float gives a number, also NumPy's.
func Float(n pickle.Node) (float64, bool) {
	switch n := n.(type) {
	case float64:
		return n, true
	case int64:
		return float64(n), true
	case *pickle.Object:
		if v, ok := scalar(n); ok && v.Number {
			return v.Float, true
		}
	}
	return 0, false
}

// scalar reads numpy.core.multiarray.scalar(dtype, bytes).
func scalar(o *pickle.Object) (npy.Value, bool) {
	if o.Class.Name != "scalar" || !strings.HasPrefix(o.Class.Module, "numpy.") || len(o.Args) != 2 {
		return npy.Value{}, false
	}
	d, err := dtype(o.Args[0])
	if err != nil || d.Kind == 'O' {
		return npy.Value{}, false
	}
	src, base, limit, ok := rawBytes(o.Args[1])
	if !ok {
		return npy.Value{}, false
	}
	a, err := npy.New(src, base, limit, []int{1}, d, false)
	if err != nil {
		return npy.Value{}, false
	}
	v, err := a.Value(0, 0)
	return v, err == nil
}

// rawBytes finds bytes: those of protocols 3 to 5 in the file, those of protocol 2 as text that stands for them.
func rawBytes(n pickle.Node) (src io.ReaderAt, base, limit int64, ok bool) {
	switch n := n.(type) {
	case *pickle.Bytes:
		return n.Source, n.Offset, n.Offset + n.Len, true
	case string: // Python 2
		return latin1(n)
	case *pickle.Object:
		if n.Class.Is("_codecs", "encode") && len(n.Args) == 2 {
			if text, ok := n.Args[0].(string); ok && (n.Args[1] == "latin1" || n.Args[1] == "latin-1") {
				return latin1(text)
			}
		}
		if (n.Class.Is("builtins", "bytes") || n.Class.Is("builtins", "bytearray")) && len(n.Args) == 0 {
			return bytes.NewReader(nil), 0, 0, true
		}
		if n.Class.Is("builtins", "bytearray") {
			return rawBytes(n.Args[0])
		}
	}
	return nil, 0, 0, false
}

// textBytes is how long the text is that stands for bytes, 0 where they lie in the file.
func textBytes(n pickle.Node) int64 {
	if o, ok := n.(*pickle.Object); ok && len(o.Args) > 0 {
		n = o.Args[0]
	}
	text, _ := n.(string)
	return int64(len(text))
}

func latin1(s string) (io.ReaderAt, int64, int64, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 255 {
			return nil, 0, 0, false
		}
		b = append(b, byte(r))
	}
	return bytes.NewReader(b), 0, int64(len(b)), true
}
