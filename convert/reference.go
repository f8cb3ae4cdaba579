package convert

import (
	"fmt"

	"github.com/edge-infer/edge-infer/convert/reference"
	"github.com/edge-infer/edge-infer/quant"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// OpenReference reads a source model as Convert does, whole and in float32, for the reference to run: the weights as they
// were trained.
func OpenReference(src string) (*reference.Transformer, error) {
	s, err := openSource(src, "", BergamotOptions{})
	if err != nil {
		return nil, err
	}
	defer s.close()
	tensors := map[string]reference.Tensor{}
	for i := range s.tensors {
		t := &s.tensors[i]
		values := t.values
		if values == nil {
			for _, p := range t.parts {
				part, err := p.floats(len(t.spec.Shape))
				if err != nil {
					return nil, err
				}
				values = append(values, part...)
			}
		}
		tensors[t.spec.Name] = reference.Tensor{Shape: t.spec.Shape, Data: values}
	}
	return reference.New(&s.config, tensors)
}

func (p part) floats(rank int) ([]float32, error) {
	if p.from == nil {
		return make([]float32, p.rows), nil
	}
	values, err := p.from.F32()
	if err != nil {
		return nil, err
	}
	n := p.rows
	if rank > 1 {
		n *= p.from.Cols()
	}
	return values[:n], nil
}

// ReferenceOf gives the same for an .ei8 file: its int8 weights turned back into float32. Against OpenReference it shows what
// the weights' quantization costs, against runtime what that of the activations does.
func ReferenceOf(f *modelfile.File) (*reference.Transformer, error) {
	config, err := runtime.ParseTransformerConfig(f.Meta().Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path(), err)
	}
	tensors := map[string]reference.Tensor{}
	for i := range f.Tensors() {
		t := &f.Tensors()[i]
		rows, cols := t.Rows(), t.Cols()
		values := make([]float32, rows*cols)
		for row := range rows {
			dst := values[row*cols : (row+1)*cols]
			switch {
			case t.DType == modelfile.F32:
				copy(dst, t.F32()[row*t.PaddedCols():])
			case t.DType == modelfile.I8 && t.Layout == modelfile.N16K4:
				var m quant.Matrix
				m.N, m.K, m.Data, m.Scale, m.Sum = t.PaddedRows(), t.PaddedCols(), t.I8(), t.Scale, t.Sum
				m.DequantizeRow(dst, row)
			case t.DType == modelfile.I8:
				for j, q := range t.I8()[row*t.PaddedCols():][:cols] {
					dst[j] = float32(q) * t.Scale[row]
				}
			default:
				return nil, fmt.Errorf("%s: tensor %s has type %v", f.Path(), t.Name, t.DType)
			}
		}
		tensors[t.Name] = reference.Tensor{Shape: t.Shape, Data: values}
	}
	return reference.New(config, tensors)
}
