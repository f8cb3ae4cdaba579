// Package skl2onnx recovers models of nearest neighbours from the ONNX graphs that skl2onnx makes of scikit-learn's.
//
// Such a graph spells the search out in operators. Its pattern is followed, and nothing is computed:
//
//	input -> Scaler, Normalizer, MinMax    scalers
//	      -> Scan, CDist or MatMul         the rows, an initializer, and the metric
//	      -> TopK                          k
//	      -> ArrayFeatureExtractor         the label or target of each row, an initializer
//	      -> ArgMax or ReduceMean          classes or regression; Reciprocal of the distances: weights "distance"
//
// A graph that differs anywhere is refused with the operator at which it does.
package skl2onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/onnx"
)

// Model is what was recovered. Its rows stay in the file.
type Model struct {
	Version  string // of skl2onnx
	X        *npy.Array
	Classify bool
	Classes  []string // if Classify
	Numeric  bool     // the classes are numbers
	Labels   []int32
	Values   [][]float64 // one slice a target; none, and no labels: a search for neighbours only
	K        int
	Metric   string // euclidean, manhattan, minkowski, cosine
	P        float64
	Weights  string // uniform, distance
	Scalers  []Scaler
	Warnings []string

	file *onnx.Model
}

// Scaler is one step in front of the search, with the formulas of convert.KNNScaler.
type Scaler struct {
	Kind          string // standard, minmax, normalizer
	Center, Scale []float64
	Clip          bool
	Low, High     float64
	Norm          string
}

// Close closes the file.
func (m *Model) Close() error { return m.file.Close() }

// Open reads everything of a model but its rows. Errors: *checkpoint.Error, and those of the file system.
func Open(path string) (*Model, error) {
	file, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := Match(file)
	if err != nil {
		file.Close()
	}
	return m, err
}

// Match is Open for a model that is open.
func Match(file *onnx.Model) (*Model, error) {
	p := &pattern{g: file.Graph, m: &Model{Version: file.ProducerVersion, Weights: "uniform", file: file}}
	if err := p.match(); err != nil {
		var known *checkpoint.Error
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, &checkpoint.Error{File: file.Path, Offset: -1, Err: err,
			Reason: "it is not a graph of nearest neighbours as skl2onnx writes them",
			Do:     "if the scikit-learn model is at hand, convert its pickle or joblib file instead"}
	}
	return p.m, nil
}

// pattern follows names through the graph.
type pattern struct {
	g     *onnx.Graph
	m     *Model
	makes map[string]*onnx.Node
	uses  map[string][]*onnx.Node
}

// expected are the operators that skl2onnx writes for neighbours; any other is a step that would be lost.
var expected = []string{"Scan", "CDist", "Transpose", "Sqrt", "Pow", "Mul", "TopK", "Flatten", "ArrayFeatureExtractor", "Reshape", "Equal", "Cast",
	"ReduceSum", "ReduceMean", "Concat", "ArgMax", "Div", "ZipMap", "Max", "Reciprocal", "Shape", "Identity", "Scaler", "Normalizer", "Add", "Sub",
	"MatMul", "ReduceSumSquare", "Neg", "Clip"}

func (p *pattern) match() error {
	p.makes, p.uses = map[string]*onnx.Node{}, map[string][]*onnx.Node{}
	var top *onnx.Node
	for _, n := range p.g.Nodes {
		if !slices.Contains(expected, n.Op) {
			return fmt.Errorf("it has the operator %.40q", n.Op)
		}
		for _, out := range n.Outputs {
			if p.makes[out] != nil {
				return fmt.Errorf("%.40q is made twice", out)
			}
			p.makes[out] = n
		}
		for _, in := range n.Inputs {
			p.uses[in] = append(p.uses[in], n)
		}
		if n.Op == "TopK" {
			if top != nil {
				return errors.New("it has two TopK operators")
			}
			top = n
		}
	}
	if top == nil || len(top.Outputs) != 2 || len(top.Inputs) < 1 {
		return errors.New("it has no TopK operator")
	}
	if err := p.neighbors(top); err != nil {
		return err
	}
	query, err := p.distances(top)
	if err != nil {
		return err
	}
	if err := p.scalers(query); err != nil {
		return err
	}
	return p.votes(top)
}

// constant gives an initializer by name.
func (p *pattern) constant(name string) (*npy.Array, error) {
	t := p.g.Initializers[name]
	if t == nil {
		return nil, fmt.Errorf("%.40q is not a constant", name)
	}
	return t.Array()
}

// numbers gives a small constant's values.
func (p *pattern) numbers(name string) ([]float64, error) {
	a, err := p.constant(name)
	if err != nil {
		return nil, err
	}
	if a.Rows() > 1<<20 || a.Cols() > 1<<20 {
		return nil, fmt.Errorf("%.40q has the shape %v", name, a.Shape)
	}
	var all []float64
	row := make([]float64, a.Cols())
	for i := range a.Rows() {
		if err := a.Row(row, i); err != nil {
			return nil, err
		}
		all = append(all, row...)
	}
	return all, nil
}

// operand splits the inputs of a node with one constant: a * c or c * a.
func (p *pattern) operand(n *onnx.Node) (variable string, c []float64, err error) {
	if len(n.Inputs) != 2 {
		return "", nil, fmt.Errorf("%s has %d inputs", n.Op, len(n.Inputs))
	}
	i := 1
	if p.g.Initializers[n.Inputs[0]] != nil && (n.Op == "Mul" || n.Op == "Add") {
		i = 0
	}
	c, err = p.numbers(n.Inputs[i])
	return n.Inputs[1-i], c, err
}

// neighbors reads k, and checks that the smallest distances are taken.
func (p *pattern) neighbors(top *onnx.Node) error {
	k := float64(0)
	if a := top.Attributes["k"]; a != nil {
		k = float64(a.Int)
	} else if len(top.Inputs) == 2 {
		c, err := p.numbers(top.Inputs[1])
		if err != nil {
			return err
		}
		if len(c) == 1 {
			k = c[0]
		}
	}
	if !(k >= 1 && k <= math.MaxInt32) || k != math.Trunc(k) {
		return fmt.Errorf("its TopK takes %v", k)
	}
	p.m.K = int(k)
	return nil
}

// distances goes from TopK back to the rows, and gives the name of the query.
func (p *pattern) distances(top *onnx.Node) (query string, err error) {
	negated, root, power := false, false, 0.0
	for at := top.Inputs[0]; ; {
		n := p.makes[at]
		if n == nil || len(n.Inputs) == 0 {
			return "", errors.New("its TopK does not take distances")
		}
		switch n.Op {
		case "Neg":
			negated, at = !negated, n.Inputs[0]
			continue
		case "Mul":
			variable, c, err := p.operand(n)
			if err != nil || len(c) != 1 || c[0] != -1 {
				return "", fmt.Errorf("its distances are multiplied by %v", c)
			}
			negated, at = !negated, variable
			continue
		case "Sqrt":
			if root {
				return "", errors.New("its distances have two roots")
			}
			root, at = true, n.Inputs[0]
			continue
		case "Pow":
			variable, c, err := p.operand(n)
			if err != nil || len(c) != 1 || power != 0 {
				return "", errors.New("its distances have a power that is not constant")
			}
			power, at = c[0], variable
			continue
		case "Transpose", "Identity":
			at = n.Inputs[0]
			continue
		}
		largest := true // before operator set 11 there was no choice
		if a := top.Attributes["largest"]; a != nil {
			largest = a.Int != 0
		}
		if largest != negated {
			return "", errors.New("its TopK takes the largest distances")
		}
		var rows string
		switch n.Op {
		case "CDist":
			query, rows, err = p.cdist(n, &root)
		case "Scan":
			query, rows, err = p.scan(n, root, power)
			root, power = false, 0
		case "Sub":
			query, rows, err = p.cosine(n)
		default:
			return "", fmt.Errorf("its distances come from %s", n.Op)
		}
		if err == nil && (root || power != 0) {
			err = errors.New("its distances have a root that their metric has not")
		}
		if err != nil {
			return "", err
		}
		if p.m.X, err = p.constant(rows); err != nil {
			return "", err
		}
		if len(p.m.X.Shape) != 2 || p.m.X.Rows() == 0 || !p.m.X.DType.IsNumber() {
			return "", fmt.Errorf("its rows have the shape %v and type %s", p.m.X.Shape, p.m.X.DType)
		}
		return query, nil
	}
}

// cdist reads com.microsoft.CDist(query, rows).
func (p *pattern) cdist(n *onnx.Node, root *bool) (query, rows string, err error) {
	metric := "sqeuclidean"
	if a := n.Attributes["metric"]; a != nil {
		metric = a.Text
	}
	if metric == "sqeuclidean" && *root {
		metric, *root = "euclidean", false
	}
	if metric != "euclidean" || len(n.Inputs) != 2 {
		return "", "", fmt.Errorf("its CDist has the metric %.40q", metric)
	}
	p.m.Metric = metric
	return n.Inputs[0], n.Inputs[1], nil
}

// scan reads Scan(query, rows), whose body computes the distances of all queries to one row.
func (p *pattern) scan(n *onnx.Node, root bool, power float64) (query, rows string, err error) {
	body := n.Attributes["body"]
	if body == nil || body.Graph == nil || len(n.Inputs) != 2 {
		return "", "", errors.New("its Scan has no body")
	}
	var ops []string
	exponent := math.NaN()
	for _, b := range body.Graph.Nodes {
		if b.Op != "Identity" {
			ops = append(ops, b.Op)
		}
		if b.Op == "Pow" {
			inner := &pattern{g: body.Graph}
			if _, c, err := inner.operand(b); err == nil && len(c) == 1 {
				exponent = c[0]
			}
		}
	}
	switch {
	case slices.Equal(ops, []string{"Sub", "ReduceSumSquare"}) && root && power == 0:
		p.m.Metric = "euclidean"
	case slices.Equal(ops, []string{"Sub", "Abs", "ReduceSum"}) && !root && power == 0:
		p.m.Metric = "manhattan"
	case slices.Equal(ops, []string{"Sub", "Abs", "Pow", "ReduceSum"}) && !root && exponent >= 1 && math.Abs(float64(power*exponent)-1) < 1e-6:
		p.m.Metric, p.m.P = "minkowski", exponent
	default:
		return "", "", fmt.Errorf("the body of its Scan computes %v, which is no metric that is known", ops)
	}
	return n.Inputs[0], n.Inputs[1], nil
}

// cosine reads 1 - query · rowsᵀ / (|query| |rows|).
func (p *pattern) cosine(n *onnx.Node) (query, rows string, err error) {
	no := errors.New("its distances are a difference that is not the cosine's")
	if len(n.Inputs) != 2 {
		return "", "", no
	}
	one, err := p.numbers(n.Inputs[0])
	div := p.makes[n.Inputs[1]]
	if err != nil || len(one) != 1 || one[0] != 1 || div == nil || div.Op != "Div" || len(div.Inputs) != 2 {
		return "", "", no
	}
	product, norms := p.makes[div.Inputs[0]], p.makes[div.Inputs[1]]
	if product == nil || product.Op != "MatMul" || len(product.Inputs) != 2 || norms == nil || norms.Op != "MatMul" || len(norms.Inputs) != 2 {
		return "", "", no
	}
	transposed := p.makes[product.Inputs[1]]
	if transposed == nil || transposed.Op != "Transpose" || len(transposed.Inputs) != 1 {
		return "", "", no
	}
	for i, name := range norms.Inputs { // each the root of the sum of squares of its factor
		root := p.makes[name]
		if root == nil || root.Op != "Sqrt" || len(root.Inputs) != 1 {
			return "", "", no
		}
		squares := p.makes[root.Inputs[0]]
		if squares == nil || squares.Op != "ReduceSumSquare" || len(squares.Inputs) < 1 || squares.Inputs[0] != product.Inputs[i] {
			return "", "", no
		}
	}
	p.m.Metric = "cosine"
	return product.Inputs[0], transposed.Inputs[0], nil
}
