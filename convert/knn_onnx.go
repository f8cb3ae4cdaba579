package convert

import (
	"github.com/edge-infer/edge-infer/convert/skl2onnx"
	"github.com/edge-infer/edge-infer/runtime"
)

// openONNXNeighbors reads a model of neighbours that skl2onnx wrote.
func openONNXNeighbors(path string) (*KNNSource, error) {
	m, err := skl2onnx.Open(path)
	if err != nil {
		return nil, err
	}
	s := &KNNSource{
		Format: "skl2onnx", Path: path, Task: runtime.TaskNeighbors, Rows: m.X.Rows(), Cols: m.X.Cols(), RowType: rowType(m.X), ReadRow: readRow(path, m.X),
		K: m.K, Metric: m.Metric, P: m.P, Weights: m.Weights, Warnings: m.Warnings, Close: m.Close,
	}
	if m.Version != "" {
		s.Format += " " + m.Version
	}
	if m.Classify {
		s.Task, s.Outputs = runtime.TaskClassify, []KNNOutput{{Classes: m.Classes, Numeric: m.Numeric, Labels: m.Labels}}
	}
	for _, v := range m.Values {
		s.Task, s.Outputs = runtime.TaskRegress, append(s.Outputs, KNNOutput{Values: v})
	}
	for _, c := range m.Scalers {
		s.Scalers = append(s.Scalers, KNNScaler{Kind: c.Kind, Center: c.Center, Scale: c.Scale, Clip: c.Clip, Low: c.Low, High: c.High, Norm: c.Norm})
	}
	return s, nil
}
