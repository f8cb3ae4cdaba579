// Package pickle reads Python pickles without running them.
//
// A pickle is a program for a small stack machine, and some of its instructions call any Python function
// by name. This machine builds inert nodes instead: a name is a Global, a call is an Object that says
// what would have been called with what. Nothing is looked up, imported or run. What a node means is up
// to the caller; OpenTorch gives meaning to tensors, and to nothing else.
//
// Memory is bounded by the length of the pickle (see machine.go), so that a hostile file costs an error.
package pickle

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Node is one of
//
//	nil  bool  int64  Long  float64  string       (values; strings as Python's UTF-8, surrogates passed)
//	*Bytes                                         (bytes and bytearray, left in the file)
//	*Tuple  *List  *Set  *Dict                     (containers; they may contain themselves)
//	*Global                                        (a class or function, by name)
//	*Object                                        (what a call or an instantiation would have made)
//	*Persistent                                    (something stored outside the pickle)
type Node any

// Bytes are left where they are until Load.
type Bytes struct {
	Source io.ReaderAt
	Offset int64
	Len    int64
}

// Load reads the bytes. They lie in the file, so this allocates no more than the file has.
func (b *Bytes) Load() ([]byte, error) {
	data := make([]byte, b.Len)
	if n, err := b.Source.ReadAt(data, b.Offset); n != len(data) {
		return nil, fmt.Errorf("bytes at %d of the pickle: %w", b.Offset, err)
	}
	return data, nil
}

// Tuple, List and Set hold their items in order.
type (
	Tuple struct{ Items []Node }
	List  struct{ Items []Node }
	Set   struct{ Items []Node }
)

// Pair is one item of a dictionary.
type Pair struct{ Key, Value Node }

// Dict keeps pairs as the pickle sets them: in order, equal keys not yet merged.
type Dict struct{ Pairs []Pair }

// Get finds the value of a string key; of equal keys the last counts, as in Python.
func (d *Dict) Get(key string) (Node, bool) {
	for i := len(d.Pairs) - 1; i >= 0; i-- {
		if k, ok := d.Pairs[i].Key.(string); ok && k == key {
			return d.Pairs[i].Value, true
		}
	}
	return nil, false
}

// Global is a class or function that the pickle names. Names of Python 2 are given as Python 3 calls
// them ("builtins" for "__builtin__", "copyreg" for "copy_reg").
type Global struct{ Module, Name string }

func (g *Global) String() string { return g.Module + "." + g.Name }

// Is says whether g is the given name; false for nil.
func (g *Global) Is(module, name string) bool {
	return g != nil && g.Module == module && g.Name == name
}

// Object is what Python would have made by calling a class or a function.
type Object struct {
	Class    *Global
	Called   bool   // by REDUCE: Class(*Args); else Class.__new__(Class, *Args), without __init__
	Args     []Node // positional
	Kwargs   *Dict  // of NEWOBJ_EX; may be nil
	State    Node   // what BUILD gave, usually a Dict (or a Tuple of Dict and slots); nil if none
	HasState bool   // tells a state None from no state
	Items    []Node // appended or added, for subclasses of list and set
	Pairs    []Pair // set, for subclasses of dict
}

// Persistent is a reference to something stored outside the pickle, in torch a storage.
type Persistent struct{ ID Node }

// AsDict gives the pairs of a dict, an OrderedDict or a defaultdict.
func AsDict(n Node) (*Dict, bool) {
	switch n := n.(type) {
	case *Dict:
		return n, true
	case *Object:
		if n.Class.Is("collections", "OrderedDict") || n.Class.Is("collections", "defaultdict") || n.Class.Is("builtins", "dict") {
			return &Dict{Pairs: n.Pairs}, true
		}
	}
	return nil, false
}

// AsItems gives the items of a tuple or list, or of a torch.Size.
func AsItems(n Node) ([]Node, bool) {
	switch n := n.(type) {
	case *Tuple:
		return n.Items, true
	case *List:
		return n.Items, true
	case *Object:
		if n.Class.Is("torch", "Size") && len(n.Args) == 1 {
			if t, ok := n.Args[0].(*Tuple); ok {
				return t.Items, true
			}
		}
	}
	return nil, false
}

// A Long is an integer that int64 cannot hold, as text: -0x1f or -31.
type Long string

// Float64 is the nearest float64; infinity where there is none.
func (l Long) Float64() float64 {
	text := string(l)
	if strings.Contains(text, "0x") {
		text += "p0"
	}
	f, _ := strconv.ParseFloat(text, 64) // nothing but ErrRange can come, with an infinity
	return f
}

// AsInt gives an integer that fits.
func AsInt(n Node) (int64, bool) {
	i, ok := n.(int64)
	return i, ok
}

// Describe says what kind of node this is, for error messages: never its content, which may be large.
func Describe(n Node) string {
	switch n := n.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64, Long:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case *Bytes:
		return "bytes"
	case *Tuple:
		return "a tuple"
	case *List:
		return "a list"
	case *Set:
		return "a set"
	case *Dict:
		return "a dict"
	case *Global:
		return n.String()
	case *Object:
		if n.Class != nil {
			return "a " + n.Class.String()
		}
	case *Persistent:
		return "a storage"
	}
	return fmt.Sprintf("a %T", n)
}
