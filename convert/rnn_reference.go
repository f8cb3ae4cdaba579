package convert

import "github.com/edge-infer/edge-infer/convert/reference"

// OpenRNNReference reads a recurrent network as Convert does, in float32, for the reference to run. Nil for another source.
func OpenRNNReference(src string, o RNNOptions) (*reference.RNN, error) {
	s, err := openRNN(src, o)
	if s == nil || err != nil {
		return nil, err
	}
	defer s.close()
	return s.reference()
}

func (s *rnnSource) reference() (*reference.RNN, error) {
	tensors := map[string]reference.Tensor{}
	for i := range s.tensors {
		t := &s.tensors[i]
		var values []float32
		for _, p := range t.parts {
			part, err := p.floats(len(t.spec.Shape))
			if err != nil {
				return nil, err
			}
			values = append(values, part...)
		}
		tensors[t.spec.Name] = reference.Tensor{Shape: t.spec.Shape, Data: values}
	}
	return reference.NewRNN(&s.config, tensors)
}
