// Package onnx reads ONNX models: the part of them that describes a graph. Nothing is computed.
//
//	Model    producer, operator sets, Graph
//	Graph    nodes in order, initializers and inputs by name
//	Node     operator, names of inputs and outputs, attributes
//	Tensor   its numbers stay in the file; Array brings them
//
// Source: onnx.proto of ONNX 1.18 (onnx/onnx); fields that are not needed here are skipped.
package onnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/npy"
)

// Model is an opened model.
type Model struct {
	Path                      string
	Producer, ProducerVersion string
	Opsets                    map[string]int64 // domain -> version
	Graph                     *Graph

	closer io.Closer
	beside *beside
}

// Graph is a graph, of the model or inside an attribute.
type Graph struct {
	Name            string
	Nodes           []*Node
	Initializers    map[string]*Tensor
	Inputs, Outputs []string // inputs without those that are initializers
}

// Node is one operator.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attributes       map[string]*Attribute
}

// Attribute has the fields set that its type has.
type Attribute struct {
	Float   float32
	Int     int64
	Text    string
	Floats  []float32
	Ints    []int64
	Strings []string
	Tensor  *Tensor
	Graph   *Graph
}

// Tensor is a constant of the graph.
type Tensor struct {
	Name     string
	Shape    []int
	Type     int64 // TensorProto.DataType
	External bool  // its numbers are in another file

	src     io.ReaderAt
	at, end int64    // of raw or packed numbers
	message field    // the tensor itself, for its varints
	varints int64    // how many numbers int32_data, int64_data and uint64_data have
	strings []string // of string tensors
	floats  bool     // at, end are of float_data or double_data
	place   *place   // of External
	beside  *beside
}

// Close closes the files; tensors cannot be read afterwards.
func (m *Model) Close() error {
	m.beside.close()
	if m.closer == nil {
		return nil
	}
	return m.closer.Close()
}

// Open reads the graph of an .onnx file. Errors: *checkpoint.Error, and those of the file system.
func Open(path string) (*Model, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		var m *Model
		if m, err = read(path, file, info.Size(), &beside{path, true, map[string]*os.File{}}); err == nil {
			m.closer = file
			return m, nil
		}
	}
	file.Close()
	return nil, err
}

// Read is Open for what is open already. Numbers in other files cannot be read then.
func Read(path string, src io.ReaderAt, size int64) (*Model, error) {
	return read(path, src, size, &beside{model: path})
}

func read(path string, src io.ReaderAt, size int64, files *beside) (*Model, error) {
	r := &reader{src: src, beside: files}
	m := &Model{Path: path, Opsets: map[string]int64{}, beside: files}
	err := r.message(0, size, 0, func(f field) error {
		switch f.number {
		case 2:
			return r.text(f, &m.Producer)
		case 3:
			return r.text(f, &m.ProducerVersion)
		case 7:
			if m.Graph != nil {
				return fmt.Errorf("it has two graphs")
			}
			m.Graph = newGraph()
			return r.graph(f, m.Graph)
		case 8:
			domain, version := "", int64(0)
			err := r.message(f.at, f.end, f.depth, func(f field) error {
				if f.number == 1 {
					return r.text(f, &domain)
				}
				if f.number == 2 {
					version = int64(f.value)
				}
				return nil
			})
			if err == nil {
				err = r.make()
			}
			m.Opsets[domain] = version
			return err
		}
		return nil
	})
	if err == nil && m.Graph == nil {
		err = fmt.Errorf("it has no graph")
	}
	if err != nil {
		return nil, &checkpoint.Error{File: path, Offset: r.pos, Reason: "it is not an ONNX model that can be read", Err: err, Do: "export the model again, or download it again"}
	}
	return m, nil
}

func newGraph() *Graph { return &Graph{Initializers: map[string]*Tensor{}} }

// field is one field of a protobuf message.
type field struct {
	number  int
	wire    int
	value   uint64 // of numbers
	at, end int64  // of bytes: strings, messages, packed numbers
	depth   int
}

// reader is a window on the file. Every object costs some of what may be made.
type reader struct {
	src    io.ReaderAt
	beside *beside
	buf    [4 << 10]byte
	start  int64
	n      int
	pos    int64 // for errors
	made   int
}

// Bounds: of messages in messages, of things in a model, of a text, of the bytes of an attribute's integers. Networks that are read
// have some dozens of nodes.
const (
	maxDepth  = 32
	maxThings = 1 << 16
	maxText   = 1 << 16
	maxInts   = 1 << 26
)

func (r *reader) make() error {
	if r.made++; r.made > maxThings {
		return fmt.Errorf("it has more than %d parts", maxThings)
	}
	return nil
}

var errEarly = errors.New("a field ends early")

func (r *reader) byte(at, end int64) (byte, error) {
	if at >= end {
		return 0, errEarly
	}
	if at < r.start || at >= r.start+int64(r.n) {
		n, err := r.src.ReadAt(r.buf[:], at)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = errEarly
			}
			return 0, err
		}
		r.start, r.n = at, n
	}
	return r.buf[at-r.start], nil
}

func (r *reader) varint(at, end int64) (uint64, int64, error) {
	var v uint64
	for i := range 10 {
		b, err := r.byte(at, end)
		if err != nil {
			return 0, at, err
		}
		at++
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, at, nil
		}
	}
	return 0, at, fmt.Errorf("a number does not end")
}

// message calls each with the fields from at to end.
func (r *reader) message(at, end int64, depth int, each func(f field) error) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	for at < end {
		r.pos = at
		tag, next, err := r.varint(at, end)
		if err != nil {
			return err
		}
		f := field{number: int(tag >> 3 & (1<<29 - 1)), wire: int(tag & 7), depth: depth + 1}
		at = next
		switch f.wire {
		case 0:
			f.value, at, err = r.varint(at, end)
		case 1, 5:
			n := map[int]int64{1: 8, 5: 4}[f.wire]
			for i := range n {
				var b byte
				if b, err = r.byte(at+i, end); err != nil {
					break
				}
				f.value |= uint64(b) << (8 * i)
			}
			f.at, f.end = at, at+n
			at += n
		case 2:
			var n uint64
			if n, at, err = r.varint(at, end); err == nil && n > uint64(end-at) {
				err = fmt.Errorf("a field claims %d bytes where %d are left", n, end-at)
			}
			f.at, f.end = at, at+int64(n)
			at = f.end
		default:
			err = fmt.Errorf("a field of wire type %d", f.wire)
		}
		if err != nil {
			return err
		}
		if f.number == 0 {
			return fmt.Errorf("a field without a number")
		}
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) bytes(f field, limit int64) ([]byte, error) {
	if f.wire != 2 {
		return nil, fmt.Errorf("field %d has wire type %d where bytes were expected", f.number, f.wire)
	}
	if f.end-f.at > limit {
		return nil, fmt.Errorf("a text of %d bytes", f.end-f.at)
	}
	b := make([]byte, f.end-f.at)
	if n, err := r.src.ReadAt(b, f.at); n < len(b) {
		return nil, fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, err)
	}
	return b, nil
}

func (r *reader) text(f field, s *string) error {
	b, err := r.bytes(f, maxText)
	*s = string(b)
	return err
}

func (r *reader) list(f field, all *[]string) error {
	var s string
	err := r.text(f, &s)
	*all = append(*all, s)
	if err == nil {
		err = r.make()
	}
	return err
}

func (r *reader) graph(f field, g *Graph) error {
	if f.wire != 2 {
		return fmt.Errorf("a graph of wire type %d", f.wire)
	}
	err := r.message(f.at, f.end, f.depth, func(f field) error {
		switch f.number {
		case 1:
			n := &Node{}
			g.Nodes = append(g.Nodes, n)
			return r.node(f, n)
		case 2:
			return r.text(f, &g.Name)
		case 5:
			t, err := r.tensor(f)
			if err != nil {
				return err
			}
			if g.Initializers[t.Name] != nil {
				return fmt.Errorf("the initializer %.40q occurs twice", t.Name)
			}
			g.Initializers[t.Name] = t
		case 11, 12:
			into := &g.Inputs
			if f.number == 12 {
				into = &g.Outputs
			}
			return r.message(f.at, f.end, f.depth, func(f field) error {
				if f.number == 1 {
					return r.list(f, into)
				}
				return nil
			})
		}
		return nil
	})
	g.Inputs = slices.DeleteFunc(g.Inputs, func(name string) bool { return g.Initializers[name] != nil })
	return err
}

func (r *reader) node(f field, n *Node) error {
	if err := r.make(); err != nil {
		return err
	}
	return r.message(f.at, f.end, f.depth, func(f field) error {
		switch f.number {
		case 1:
			return r.list(f, &n.Inputs)
		case 2:
			return r.list(f, &n.Outputs)
		case 3:
			return r.text(f, &n.Name)
		case 4:
			return r.text(f, &n.Op)
		case 5:
			a, name := &Attribute{}, ""
			if err := r.attribute(f, a, &name); err != nil {
				return err
			}
			if n.Attributes == nil {
				n.Attributes = map[string]*Attribute{}
			}
			n.Attributes[name] = a
		case 7:
			return r.text(f, &n.Domain)
		}
		return nil
	})
}

func (r *reader) attribute(f field, a *Attribute, name *string) error {
	if err := r.make(); err != nil {
		return err
	}
	return r.message(f.at, f.end, f.depth, func(f field) (err error) {
		switch f.number {
		case 1:
			err = r.text(f, name)
		case 2:
			a.Float = math.Float32frombits(uint32(f.value))
		case 3:
			a.Int = int64(f.value)
		case 4:
			err = r.text(f, &a.Text)
		case 5:
			a.Tensor, err = r.tensor(f)
		case 6:
			a.Graph = newGraph()
			err = r.graph(f, a.Graph)
		case 7:
			a.Floats = slices.Grow(a.Floats, int(f.end-f.at)/4)
			err = r.numbers(f, 4, func(v uint64) { a.Floats = append(a.Floats, math.Float32frombits(uint32(v))) })
		case 8:
			if f.end-f.at > maxInts {
				return fmt.Errorf("an attribute of %d bytes", f.end-f.at)
			}
			a.Ints = slices.Grow(a.Ints, int(f.end-f.at))
			err = r.numbers(f, 0, func(v uint64) { a.Ints = append(a.Ints, int64(v)) })
		case 9:
			err = r.list(f, &a.Strings)
		}
		return err
	})
}

// numbers reads a repeated number: one, or packed as bytes. width 0 is a varint.
func (r *reader) numbers(f field, width int64, each func(v uint64)) error {
	if f.wire != 2 {
		each(f.value)
		return r.make()
	}
	for at := f.at; at < f.end; {
		var v uint64
		if width == 0 {
			var err error
			if v, at, err = r.varint(at, f.end); err != nil {
				return err
			}
		}
		for i := range width {
			b, err := r.byte(at+i, f.end)
			if err != nil {
				return err
			}
			v |= uint64(b) << (8 * i)
		}
		at += width
		each(v)
	}
	return nil
}

func (r *reader) tensor(f field) (*Tensor, error) {
	t := &Tensor{src: r.src, beside: r.beside, message: f}
	if f.wire != 2 {
		return nil, fmt.Errorf("a tensor of wire type %d", f.wire)
	}
	if err := r.make(); err != nil {
		return nil, err
	}
	return t, r.message(f.at, f.end, f.depth, func(f field) (err error) {
		switch f.number {
		case 1:
			dimensions := len(t.Shape)
			err = r.numbers(f, 0, func(v uint64) {
				if dimensions++; dimensions <= checkpoint.MaxRank {
					t.Shape = append(t.Shape, int(min(v, math.MaxInt32)))
				}
			})
			if dimensions > checkpoint.MaxRank {
				err = fmt.Errorf("a tensor of %d dimensions", dimensions)
			}
		case 2:
			t.Type = int64(f.value)
		case 4, 10, 9: // float_data, double_data, raw_data
			if f.wire != 2 {
				return fmt.Errorf("the numbers of a tensor are not packed")
			}
			if f.end > f.at {
				t.at, t.end, t.floats = f.at, f.end, f.number != 9
			}
		case 5, 7, 11: // int32_data, int64_data, uint64_data
			err = r.numbers(f, 0, func(uint64) { t.varints++ })
		case 6:
			err = r.list(f, &t.strings)
		case 8:
			err = r.text(f, &t.Name)
		case 13:
			if t.place == nil {
				t.place = &place{length: -1}
			}
			err = r.external(f, t.place)
		case 14:
			t.External = f.value == 1
		}
		return err
	})
}

// packed gives the varints as numbers of so many bytes, of which the low ones count; a float16 too. They are read when they are asked
// for: a varint may have one byte where its number has eight.
func (t *Tensor) packed(size int) ([]byte, error) {
	b := make([]byte, 0, int(t.varints)*size)
	r := &reader{src: t.src}
	err := r.message(t.message.at, t.message.end, t.message.depth, func(f field) error {
		if f.number != 5 && f.number != 7 && f.number != 11 {
			return nil
		}
		return r.numbers(f, 0, func(v uint64) {
			var bytes [8]byte
			binary.LittleEndian.PutUint64(bytes[:], v)
			b = append(b, bytes[:size]...)
		})
	})
	return b, err
}

// types are those of TensorProto.DataType whose numbers can be read.
var types = map[int64]string{1: "<f4", 2: "|u1", 3: "|i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "|b1", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"}

// stringType is TensorProto.STRING.
const stringType = 8

// Array gives the numbers or texts of a tensor. An error about numbers in another file is a *checkpoint.Error.
func (t *Tensor) Array() (*npy.Array, error) {
	if t.Type == stringType {
		items := make([]any, len(t.strings))
		for i, s := range t.strings {
			items[i] = s
		}
		a, err := npy.NewObjects(t.Shape, items)
		if err != nil {
			err = fmt.Errorf("tensor %.40q: %w", t.Name, err)
		}
		return a, err
	}
	name, ok := types[t.Type]
	if !ok {
		return nil, fmt.Errorf("tensor %.40q: numbers of type %d are not supported", t.Name, t.Type)
	}
	d, err := npy.ParseDType(name)
	if err != nil {
		return nil, err
	}
	src, at, end, open := t.src, t.at, t.end, false
	switch {
	case t.External:
		if src, at, end, open, err = t.outside(); err != nil {
			return nil, err
		}
	case t.floats && d.Kind != 'f', t.varints > 0 && t.end > 0:
		return nil, fmt.Errorf("tensor %.40q: numbers of another type than %s", t.Name, d)
	case t.varints > math.MaxInt/int64(d.Size):
		return nil, fmt.Errorf("tensor %.40q: its %d numbers do not fit into memory", t.Name, t.varints)
	case t.varints > 0:
		packed, err := t.packed(d.Size)
		if err != nil {
			return nil, fmt.Errorf("tensor %.40q: %w", t.Name, err)
		}
		src, at, end = bytes.NewReader(packed), 0, int64(len(packed))
	}
	a, err := npy.New(src, at, end, t.Shape, d, false)
	if err != nil {
		return nil, fmt.Errorf("tensor %.40q: %w", t.Name, err)
	}
	if a.Bytes() != end-at && !open {
		return nil, fmt.Errorf("tensor %.40q of shape %v has %d bytes", t.Name, t.Shape, end-at)
	}
	return a, nil
}
