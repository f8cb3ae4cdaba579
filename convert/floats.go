package convert

import (
	"fmt"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/quant"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// OpenFloats reads a source model as Convert does, whole and in float32, for the reference (reference.New) to run: the weights as
// they were trained, by the names that they have in an .ei8 file. The reference itself is no part of the program.
func OpenFloats(src string) (*runtime.TransformerConfig, map[string]checkpoint.Floats, error) {
	s, err := openSource(src, "", BergamotOptions{})
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	tensors := map[string]checkpoint.Floats{}
	for i := range s.tensors {
		t := &s.tensors[i]
		values := t.values
		if values == nil {
			if values, err = floats(t.parts, len(t.spec.Shape)); err != nil {
				return nil, nil, err
			}
		}
		tensors[t.spec.Name] = checkpoint.Floats{Shape: t.spec.Shape, Data: values}
	}
	return &s.config, tensors, nil
}

func floats(parts []part, rank int) (all []float32, err error) {
	for _, p := range parts {
		values, err := p.floats(rank)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	return all, nil
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

// FloatsOf gives the same for an .ei8 file: its int8 weights turned back into float32. Against OpenFloats it shows what
// the weights' quantization costs, against runtime what that of the activations does.
func FloatsOf(f *modelfile.File) (*runtime.TransformerConfig, map[string]checkpoint.Floats, error) {
	config, err := runtime.ParseTransformerConfig(f.Meta().Config)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Path(), err)
	}
	tensors := map[string]checkpoint.Floats{}
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
				return nil, nil, fmt.Errorf("%s: tensor %s has type %v", f.Path(), t.Name, t.DType)
			}
		}
		tensors[t.Name] = checkpoint.Floats{Shape: t.Shape, Data: values}
	}
	return config, tensors, nil
}
