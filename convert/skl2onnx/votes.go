package skl2onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/onnx"
)

// scalers goes from the query back to the graph's input.
func (p *pattern) scalers(at string) error {
	for range len(p.g.Nodes) + 1 {
		if slices.Contains(p.g.Inputs, at) {
			slices.Reverse(p.m.Scalers)
			return nil
		}
		n := p.makes[at]
		if n == nil || len(n.Inputs) == 0 {
			return errors.New("its query is not the input")
		}
		s := Scaler{}
		switch n.Op {
		case "Identity", "Cast":
			at = n.Inputs[0]
			continue
		case "Scaler": // (x - offset) * scale
			s.Kind = "standard"
			var factor []float64
			s.Center, factor = floats(n.Attributes["offset"]), floats(n.Attributes["scale"])
			for _, f := range factor {
				s.Scale = append(s.Scale, 1/f)
			}
		case "Normalizer":
			norm := n.Attributes["norm"]
			if norm == nil {
				norm = &onnx.Attribute{Text: "MAX"}
			}
			s.Kind, s.Norm = "normalizer", map[string]string{"MAX": "max", "L1": "l1", "L2": "l2"}[norm.Text]
			if s.Norm == "" {
				return fmt.Errorf("its Normalizer has the norm %.40q", norm.Text)
			}
		case "Clip":
			s = Scaler{Kind: "minmax", Clip: true, Center: make([]float64, p.m.X.Cols()), Scale: slices.Repeat([]float64{1}, p.m.X.Cols())}
			for i, to := range []*float64{&s.Low, &s.High} {
				if len(n.Inputs) != 3 {
					return errors.New("its Clip has no bounds")
				}
				c, err := p.numbers(n.Inputs[i+1])
				if err != nil || len(c) != 1 {
					return errors.New("its Clip has bounds that are not constant")
				}
				*to = c[0]
			}
		case "Mul", "Add", "Sub", "Div":
			variable, c, err := p.operand(n)
			if err != nil {
				return err
			}
			if len(c) == 1 {
				c = slices.Repeat(c, p.m.X.Cols())
			}
			switch n.Op {
			case "Mul":
				s = Scaler{Kind: "minmax", Scale: c, Center: make([]float64, len(c))}
			case "Add":
				s = Scaler{Kind: "minmax", Center: c, Scale: slices.Repeat([]float64{1}, len(c))}
			case "Sub":
				s = Scaler{Kind: "standard", Center: c}
			case "Div":
				s = Scaler{Kind: "standard", Scale: c}
			}
			p.m.Scalers = append(p.m.Scalers, s)
			at = variable
			continue
		default:
			return fmt.Errorf("its query comes from %s", n.Op)
		}
		for i, v := range [][]float64{s.Center, s.Scale} {
			if len(v) == 1 {
				v = slices.Repeat(v, p.m.X.Cols())
				*[]*[]float64{&s.Center, &s.Scale}[i] = v
			}
			if v != nil && len(v) != p.m.X.Cols() {
				return fmt.Errorf("its %s is for %d columns, its rows have %d", n.Op, len(v), p.m.X.Cols())
			}
		}
		p.m.Scalers = append(p.m.Scalers, s)
		at = n.Inputs[0]
	}
	return errors.New("its query goes in a circle")
}

func floats(a *onnx.Attribute) []float64 {
	if a == nil {
		return nil
	}
	var all []float64
	for _, f := range a.Floats {
		all = append(all, float64(f))
	}
	return all
}

// votes goes from TopK to what is made of the neighbours.
func (p *pattern) votes(top *onnx.Node) error {
	y, err := p.extracted(top.Outputs[1])
	if err != nil {
		return err
	}
	if p.reaches(top.Outputs[0], "Reciprocal") {
		p.m.Weights = "distance"
		p.m.Warnings = append(p.m.Warnings,
			"its weights are distance: this file answers as scikit-learn does, while graphs of skl2onnx (1.20 and others) give all neighbours the same weight")
	}
	if y == nil {
		if p.count("ArgMax") > 0 || p.count("ReduceMean") > 0 {
			return errors.New("its labels are not where skl2onnx has them")
		}
		return nil
	}
	arg := p.count("ArgMax")
	if arg == 0 {
		mean := p.count("ReduceMean") == 1 || p.m.Weights == "distance" && p.count("Div") == 1
		if !mean || p.count("Equal") > 0 || p.count("ZipMap") > 0 {
			return errors.New("it neither votes nor averages as scikit-learn does")
		}
		return p.targets(y)
	}
	if arg != 1 || len(y.Shape) != 1 {
		return fmt.Errorf("it predicts several labels, %v", y.Shape)
	}
	for _, n := range p.g.Nodes {
		if n.Op == "ArgMax" && len(n.Outputs) == 1 {
			names, err := p.extracted(n.Outputs[0])
			if err != nil {
				return err
			}
			if names == nil {
				return errors.New("its classes have no names")
			}
			return p.labels(y, names)
		}
	}
	return errors.New("its ArgMax has no output")
}

func (p *pattern) count(op string) (n int) {
	for _, node := range p.g.Nodes {
		if node.Op == op {
			n++
		}
	}
	return n
}

// extracted follows indices to the ArrayFeatureExtractor that takes elements of a constant by them; nil if there is none.
func (p *pattern) extracted(indices string) (*npy.Array, error) {
	for range len(p.g.Nodes) + 1 {
		next := ""
		for _, n := range p.uses[indices] {
			switch {
			case n.Op == "ArrayFeatureExtractor" && len(n.Inputs) == 2 && n.Inputs[1] == indices:
				return p.constant(n.Inputs[0])
			case slices.Contains([]string{"Flatten", "Reshape", "Cast", "Identity", "Transpose"}, n.Op) && len(n.Outputs) == 1 && n.Inputs[0] == indices:
				next = n.Outputs[0]
			}
		}
		if next == "" {
			return nil, nil
		}
		indices = next
	}
	return nil, errors.New("its indices go in a circle")
}

// reaches says whether a name gets to an operator through others.
func (p *pattern) reaches(name, op string) bool {
	for range len(p.g.Nodes) + 1 {
		next := ""
		for _, n := range p.uses[name] {
			if n.Op == op {
				return true
			}
			if (n.Op == "Mul" || n.Op == "Max" || n.Op == "Neg" || n.Op == "Identity") && len(n.Outputs) == 1 {
				next = n.Outputs[0]
			}
		}
		if next == "" {
			return false
		}
		name = next
	}
	return false
}

// targets reads numbers to average: [rows], or [targets, rows].
func (p *pattern) targets(y *npy.Array) error {
	rows := p.m.X.Rows()
	if len(y.Shape) == 2 && y.Shape[1] == rows {
		for i := range y.Rows() {
			v := make([]float64, rows)
			if err := y.Row(v, i); err != nil {
				return err
			}
			p.m.Values = append(p.m.Values, v)
		}
		return nil
	}
	if len(y.Shape) != 1 || y.Rows() != rows {
		return fmt.Errorf("it has %d rows and targets of the shape %v", rows, y.Shape)
	}
	v, err := y.Column(0)
	p.m.Values = [][]float64{v}
	return err
}

// labels reads the class of each row and the names of the classes.
func (p *pattern) labels(y, names *npy.Array) error {
	if y.Rows() != p.m.X.Rows() || len(names.Shape) != 1 {
		return fmt.Errorf("it has %d rows, labels of the shape %v and classes of %v", p.m.X.Rows(), y.Shape, names.Shape)
	}
	p.m.Classify = true
	for i := range names.Rows() {
		v, err := names.Value(i, 0)
		if err != nil {
			return err
		}
		p.m.Classes, p.m.Numeric = append(p.m.Classes, v.Text), v.Number
	}
	v, err := y.Column(0)
	if err != nil {
		return err
	}
	for i, c := range v {
		if !(c >= 0 && c < float64(len(p.m.Classes))) || c != math.Trunc(c) {
			return fmt.Errorf("row %d has the class %v of %d", i+1, c, len(p.m.Classes))
		}
		p.m.Labels = append(p.m.Labels, int32(c))
	}
	return nil
}
