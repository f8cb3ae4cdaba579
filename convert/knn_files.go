package convert

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/inflate"
	"github.com/edge-infer/edge-infer/convert/libsvm"
	"github.com/edge-infer/edge-infer/convert/npy"
	"github.com/edge-infer/edge-infer/convert/sklearn"
	"github.com/edge-infer/edge-infer/convert/vecs"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// openKNNFile reads models and data of nearest neighbours other than CSV; nil for a file that is something else.
//
//	.pkl .pickle .sav .joblib, or compressed   scikit-learn
//	.onnx                                      scikit-learn by way of skl2onnx
//	.npy .npz                                  NumPy
//	.svm .libsvm .svmlight                     LIBSVM
//	.fvecs .bvecs .ivecs                       vectors without labels
//
// A file of another name is taken for a pickle or a .npy file if it begins as one.
func openKNNFile(path string, o KNNOptions) (*KNNSource, error) {
	if kind := vecs.Kind(path); kind != 0 {
		return openVectors(path, kind, o)
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npy", ".npz":
		return openNumPy(path, o)
	case ".svm", ".libsvm", ".svmlight":
		return openLIBSVM(path, o)
	case ".onnx":
		return openONNXNeighbors(path)
	case ".pkl", ".pickle", ".sav", ".joblib":
		return openSKLearn(path)
	case ".bin", ".pt", ".pth", ".safetensors", ".json", ".ei8", ".gguf":
		return nil, nil
	}
	head := make([]byte, 8)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	n, err := io.ReadFull(f, head)
	f.Close()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	switch head = head[:n]; {
	case len(head) > 6 && string(head[:6]) == npy.Magic:
		return openNumPy(path, o)
	case len(head) > 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5, inflate.Method(head) != "":
		name := strings.ToLower(path)
		for _, inner := range []string{".csv", ".tsv", ".tar", ".tgz", ".npy", ".svm", ".libsvm", ".txt", ".fvecs", ".bvecs", ".ivecs"} {
			if strings.HasSuffix(strings.TrimSuffix(name, filepath.Ext(name)), inner) || strings.HasSuffix(name, inner) {
				return nil, failure(path, "is compressed with "+inflate.Method(head), "unpack it first; only joblib files are read as they are")
			}
		}
		return openSKLearn(path)
	}
	return nil, nil
}

// openSKLearn reads a pickle or joblib file.
func openSKLearn(path string) (*KNNSource, error) {
	m, err := sklearn.Open(path)
	if err != nil {
		return nil, err
	}
	if err := tooRegular(path, m.X.Rows()); err != nil {
		m.Close()
		return nil, err
	}
	s := &KNNSource{
		Format: "scikit-learn", Path: path, Rows: m.X.Rows(), Cols: m.X.Cols(), RowType: rowType(m.X), ReadRow: readRow(path, m.X),
		K: m.K, Metric: m.Metric, P: m.P, Weights: m.Weights, Features: m.Features, Warnings: m.Warnings, Close: m.Close,
	}
	if m.Version != "" {
		s.Format += " " + m.Version
	}
	s.Format += map[bool]string{true: " joblib", false: " pickle"}[m.Joblib]
	s.Task = map[string]string{sklearn.Classifier: runtime.TaskClassify, sklearn.Regressor: runtime.TaskRegress, sklearn.Neighbors: runtime.TaskNeighbors}[m.Class]
	for _, out := range m.Outputs {
		s.Outputs = append(s.Outputs, KNNOutput{Classes: out.Classes, Numeric: out.Numeric, Labels: out.Labels, Values: out.Values})
	}
	for _, c := range m.Scalers {
		s.Scalers = append(s.Scalers, KNNScaler{Kind: c.Kind, Center: c.Center, Scale: c.Scale, Clip: c.Clip, Low: c.Low, High: c.High, Norm: c.Norm})
	}
	return s, nil
}

// tooRegular refuses a small compressed file that describes far more rows than it has bytes: some forty bytes of memory are needed a row.
func tooRegular(path string, rows int) error {
	info, err := os.Stat(path)
	if err != nil || int64(rows) <= max(1<<19, info.Size()) {
		return err
	}
	return failure(path, fmt.Sprintf("describes %d rows in %d bytes", rows, info.Size()), "if the data is really that regular, save it without compression")
}

func rowType(a *npy.Array) modelfile.DType {
	if a.DType.FitsF32() {
		return modelfile.F32
	}
	return modelfile.F64
}

func readRow(path string, a *npy.Array) func(dst []float64, i int) error {
	return func(dst []float64, i int) error {
		if err := a.Row(dst, i); err != nil {
			return &checkpoint.Error{File: path, Offset: -1, Reason: "it cannot be read", Err: err}
		}
		return nil
	}
}

// Names under which the rows and the labels lie in .npz archives, in the order tried.
var (
	npzRows   = []string{"X", "x", "X_train", "x_train", "data", "features", "arr_0"}
	npzLabels = []string{"y", "Y", "Y_train", "y_train", "labels", "label", "target", "targets", "classes", "arr_1"}
)

// openNumPy reads the rows of a .npy file, one of whose columns may be the label, or of a .npz archive that has them as X and
// the labels as y (see npzRows and npzLabels). --label-column names another array of the archive, or a column of X by its number
// from 1, or "none".
func openNumPy(path string, o KNNOptions) (*KNNSource, error) {
	f, err := npy.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := numPy(f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	if s.Close == nil { // in memory
		return s, f.Close()
	}
	return s, nil
}

func numPy(f *npy.File, o KNNOptions) (*KNNSource, error) {
	bad := func(do, format string, args ...any) (*KNNSource, error) {
		return nil, failure(f.Path, fmt.Sprintf(format, args...), do)
	}
	format := "NPZ"
	var x, y *npy.Array
	var err error
	if slices.Equal(f.Names, []string{""}) {
		format = "NPY"
		x, _ = f.Array("")
	} else if x, _, err = pick(f, npzRows); err != nil {
		return nil, err
	}
	if x == nil {
		return bad("name the rows X and the labels y: numpy.savez(FILE, X=X, y=y)", "has the arrays %s, none of which is known to hold rows", list(f.Names))
	}
	if len(x.Shape) < 2 {
		return bad("rows are an array of two dimensions", "has rows of the shape %v", x.Shape)
	}
	if !x.DType.IsNumber() {
		return bad("save features as numbers, and labels apart from them", "has rows of type %s", x.DType)
	}
	if x.Rows() == 0 {
		return bad("", "has rows of the shape %v, which are none", x.Shape)
	}
	labelName, column := "", -1
	switch n, err := strconv.Atoi(o.LabelColumn); {
	case o.LabelColumn == "none":
	case err == nil:
		if n < 1 || n > x.Cols() || x.Cols() == 1 {
			return bad("", "has rows of %d columns; --label-column %d is not one of them", x.Cols(), n)
		}
		column = n - 1
	case o.LabelColumn != "":
		if labelName = o.LabelColumn; !slices.Contains(f.Names, labelName) || format == "NPY" {
			return bad("give the number of the label's column, or none", "has no array %.40q; it has %s", labelName, list(f.Names))
		}
		if y, err = f.Array(labelName); err != nil {
			return nil, err
		}
	case format == "NPZ":
		if y, labelName, err = pick(f, npzLabels); err != nil {
			return nil, err
		}
	}
	if y != nil && (y.Rows() != x.Rows() || y.Cols() != 1) {
		return bad("labels are one for each row", "has rows of the shape %v and labels of %v", x.Shape, y.Shape)
	}
	if err := tooRegular(f.Path, x.Rows()); err != nil {
		return nil, err
	}
	label := func(i int) (string, error) {
		from, j := y, 0
		if y == nil {
			from, j = x, column
		}
		v, err := from.Value(i, j)
		switch {
		case err != nil:
			return "", &checkpoint.Error{File: f.Path, Offset: -1, Reason: fmt.Sprintf("label of row %d", i+1), Err: err}
		case v.Number && v.Float != v.Float:
			return "", failure(f.Path, fmt.Sprintf("has no label for row %d: it is NaN", i+1), "remove the row")
		case v.Number && v.Float == float64(int64(v.Float)): // 1.0 among features is class 1
			v.Text = strings.TrimSuffix(v.Text, ".0")
		}
		return v.Text, nil
	}
	var labels Labels
	if y != nil || column >= 0 {
		labels = label
	}
	var features []string
	if names, _, _ := pick(f, []string{"feature_names", "columns"}); names != nil && names.Rows() == x.Cols() && names.Cols() == 1 {
		for i := range x.Cols() {
			v, err := names.Value(i, 0)
			if err != nil {
				return nil, &checkpoint.Error{File: f.Path, Offset: -1, Reason: "feature_names", Err: err}
			}
			features = append(features, v.Text)
		}
	}
	if column >= 0 && features != nil {
		labelName, features = features[column], slices.Delete(features, column, column+1)
	}
	row := make([]float64, x.Cols())
	read := readRow(f.Path, x)
	return rowsWithLabels(format, f.Path, x.Rows(), x.Cols()-min(column+1, 1), rowType(x), func(dst []float64, i int) error {
		if column < 0 {
			return read(dst, i)
		}
		err := read(row, i)
		copy(dst[copy(dst, row[:column]):], row[column+1:])
		return err
	}, f.Close, labels, labelName, features, o)
}

// pick finds the first array that is there of some names.
func pick(f *npy.File, names []string) (*npy.Array, string, error) {
	for _, name := range names {
		if a, err := f.Array(name); a != nil || err != nil {
			return a, name, err
		}
	}
	return nil, "", nil
}

// list is names for a message.
func list(names []string) string {
	if len(names) > 10 {
		names = append(slices.Clone(names[:10]), "...")
	}
	return strings.Join(names, ", ")
}

// rowsWithLabels makes a source of rows that stay where they are. Only a scaler that has to be fitted brings them into memory.
func rowsWithLabels(format, path string, rows, cols int, dtype modelfile.DType, read func(dst []float64, i int) error, close func() error,
	labels Labels, labelName string, features []string, o KNNOptions) (*KNNSource, error) {
	var values []float64
	if o.Scale != "" {
		values = make([]float64, rows*cols)
		for i := range rows {
			if err := read(values[i*cols:(i+1)*cols], i); err != nil {
				return nil, err
			}
		}
	}
	if features == nil {
		features = o.Names
	}
	s, err := KNNTable(format, path, rows, cols, values, labels, labelName, features, nil, o)
	if err == nil && values == nil {
		s.RowType, s.ReadRow, s.Close = dtype, read, close
	}
	return s, err
}

// openLIBSVM reads a file of LIBSVM, all of it.
func openLIBSVM(path string, o KNNOptions) (*KNNSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := libsvm.Read(f, path)
	if err != nil {
		return nil, err
	}
	labels := Labels(func(i int) (string, error) { return labelText(d.Labels[i]), nil })
	switch o.LabelColumn {
	case "", "1", "label":
	case "none":
		labels = nil
	default:
		return nil, failure(path, fmt.Sprintf("has its labels in front of each line, not in column %q", o.LabelColumn), "leave --label-column out")
	}
	read := func(dst []float64, i int) error { d.Row(dst, i); return nil }
	return rowsWithLabels("LIBSVM", path, d.Rows(), d.Cols, modelfile.F64, read, func() error { return nil }, labels, "label", nil, o)
}

// labelText names a class by a number: 1, +1 and 1.0 are one.
func labelText(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// openVectors reads a file of vectors, which has no labels.
func openVectors(path string, kind byte, o KNNOptions) (*KNNSource, error) {
	if o.LabelColumn != "" && o.LabelColumn != "none" || o.Task != "" && o.Task != runtime.TaskNeighbors {
		return nil, failure(path, fmt.Sprintf("is a file of vectors (%cvecs), which have no labels", kind), "it can be searched for neighbours: leave --label-column and --task out")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	var f *vecs.File
	if err == nil {
		f, err = vecs.New(path, file, info.Size(), kind)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	o.LabelColumn = "none"
	dtype := modelfile.F32
	if kind == 'i' {
		dtype = modelfile.F64
	}
	s, err := rowsWithLabels(string(kind)+"vecs", path, f.Rows, f.Cols, dtype, f.Row, file.Close, nil, "", nil, o)
	if err != nil || s.Close == nil {
		file.Close()
	}
	return s, err
}
