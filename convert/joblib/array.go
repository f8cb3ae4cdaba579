package joblib

import (
	"errors"
	"fmt"

	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/pickle"
)

// IsArray says whether a node stands for a NumPy array, in any of the ways that arrays are pickled.
func IsArray(n pickle.Node) bool {
	o, ok := n.(*pickle.Object)
	if !ok {
		return false
	}
	switch o.Class.String() {
	case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
		"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer":
		return true
	}
	return o.Class.Name == "NumpyArrayWrapper"
}

// Array gives the array that a node stands for:
//
//	NumpyArrayWrapper          joblib; the numbers follow in the file
//	_frombuffer(b, dtype, ...) protocol 5
//	_reconstruct(...)          protocols 2 to 4, with the state (1, shape, dtype, is_fortran, bytes or list)
func (f *File) Array(n pickle.Node) (*npy.Array, error) {
	o, ok := n.(*pickle.Object)
	if !ok || !IsArray(n) {
		return nil, fmt.Errorf("%s where an array was expected", pickle.Describe(n))
	}
	if in, ok := f.inline[o]; ok {
		d, shape, fortran, err := wrapper(o)
		if err != nil {
			return nil, err
		}
		if d.Kind == 'O' {
			if !IsArray(in.objects) || in.objects == n {
				return nil, fmt.Errorf("%s where an array of objects was expected", pickle.Describe(in.objects))
			}
			return f.Array(in.objects)
		}
		return npy.New(f.plain, in.at, f.plain.Size, shape, d, fortran)
	}
	switch o.Class.Name {
	case "_frombuffer":
		return f.fromBuffer(o)
	case "_reconstruct":
		return f.reconstruct(o)
	}
	return nil, errors.New("the description of an array without its numbers")
}

// fromBuffer reads _frombuffer(bytes, dtype, shape, order).
func (f *File) fromBuffer(o *pickle.Object) (*npy.Array, error) {
	if len(o.Args) != 4 {
		return nil, fmt.Errorf("an array made of %d arguments", len(o.Args))
	}
	d, err := dtype(o.Args[1])
	if err != nil {
		return nil, err
	}
	shape, err := shapeOf(o.Args[2])
	if err != nil {
		return nil, err
	}
	return f.fromBytes(o.Args[0], shape, d, o.Args[3] == "F")
}

// reconstruct reads an array by its state.
func (f *File) reconstruct(o *pickle.Object) (*npy.Array, error) {
	if len(o.Args) > 0 {
		if c, ok := o.Args[0].(*pickle.Global); !ok || c.Module != "numpy" || c.Name != "ndarray" && c.Name != "memmap" {
			return nil, fmt.Errorf("an array of the class %s", pickle.Describe(o.Args[0]))
		}
	}
	state, ok := o.State.(*pickle.Tuple)
	if !ok || len(state.Items) != 5 {
		return nil, errors.New("an array without its shape, type and numbers")
	}
	d, err := dtype(state.Items[2])
	if err != nil {
		return nil, err
	}
	shape, err := shapeOf(state.Items[1])
	if err != nil {
		return nil, err
	}
	if list, ok := state.Items[4].(*pickle.List); ok {
		if d.Kind != 'O' {
			return nil, fmt.Errorf("an array of %s as a list", d)
		}
		if err := f.Take(32 * int64(len(list.Items))); err != nil { // a slot, and a text of its own
			return nil, err
		}
		items := make([]any, len(list.Items))
		for i, n := range list.Items {
			items[i] = plainValue(n)
		}
		return npy.NewObjects(shape, items)
	}
	return f.fromBytes(state.Items[4], shape, d, state.Items[3] == true)
}

// plainValue replaces NumPy's scalars by Go's values.
func plainValue(n pickle.Node) any {
	if o, ok := n.(*pickle.Object); ok {
		if v, ok := scalar(o); ok && v.Number {
			return v.Float
		} else if ok {
			return v.Text
		}
	}
	return n
}

func (f *File) fromBytes(n pickle.Node, shape []int, d npy.DType, fortran bool) (*npy.Array, error) {
	if err := f.Take(textBytes(n)); err != nil {
		return nil, err
	}
	src, base, limit, ok := rawBytes(n)
	if !ok {
		return nil, fmt.Errorf("the numbers of an array are %s", pickle.Describe(n))
	}
	return npy.New(src, base, limit, shape, d, fortran)
}
