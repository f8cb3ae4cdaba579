package sklearn

import (
	"bytes"
	"os"
	"testing"

	"github.com/edge-infer/edge-infer/convert/joblib"
)

// TestMalformed changes real files in one place, so that they contradict themselves, and says what is said of each.
func TestMalformed(t *testing.T) {
	for _, c := range []struct{ file, old, new, want string }{
		{"1.9-protocol4.pkl", "", "", ""},
		{"1.9-protocol4.pkl", "KNeighborsClassifier", "KNeighborsClassifies", "x: it holds a KNeighborsClassifies, which is not a model of nearest neighbours that this version reads; " + saveKNN},
		{"1.9-protocol4.pkl", "sklearn.neighbors", "sklearm.neighbors", "x: it holds a sklearm.neighbors._classification.KNeighborsClassifier, which is not of scikit-learn; " + saveKNN},
		{"1.9-protocol4.pkl", "n_neighbors\x94K\x01", "n_neighbors\x94K\x00", "x: n_neighbors of its KNeighborsClassifier is an int 0"},
		{"1.9-protocol4.pkl", "n_samples_fit_\x94K\n", "n_samples_fit_\x94K\x0b", "x: its KNeighborsClassifier was fitted with 11 rows and has 10"},
		{"1.9-protocol4.pkl", "_fit_X", "_fit_Y", "x: its KNeighborsClassifier has no _fit_X: it was never fitted; call fit before saving it"},
		{"1.9-protocol4.pkl", "classes_", "classez_", "x: its KNeighborsClassifier has no classes_: it was never fitted; call fit before saving it"},
		{"1.9-protocol4.pkl", "_y\x94h", "_z\x94h", "x: its KNeighborsClassifier has no _y: it was never fitted; call fit before saving it"},
		{"1.9-protocol4.pkl", "uniform", "unifoam", `x: weights of its KNeighborsClassifier is "unifoam"; uniform and distance are known`},
		{"1.9-protocol4.pkl", "euclidean", "canberra!", `x: the metric of its KNeighborsClassifier is "canberra!", which is not supported; fit it with euclidean, manhattan, chebyshev, minkowski or cosine`},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "K\nK\x05\x86", "x: _fit_X of its KNeighborsClassifier: an array of shape [10 5] and type float64 needs more than the 320 bytes that are left"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "K\x00K\x04\x86", "x: _fit_X of its KNeighborsClassifier has the shape [0 4]; fit it with data"},
		{"1.9-protocol4.pkl", "f8\x94", "c8\x94", `x: _fit_X of its KNeighborsClassifier: the type "<c8" (complex) is not supported`},
		{"1.9-protocol4.pkl", "f8\x94", "S8\x94", "x: _fit_X of its KNeighborsClassifier has elements of type S8, which are not numbers"},
		{"1.9-protocol4.pkl", "numpy\x94\x8c\x07ndarray", "numpy\x94\x8c\x07nparray", "x: _fit_X of its KNeighborsClassifier: an array of the class numpy.nparray"},
		{"1.9-protocol4.pkl", "\x01\x00\x00\x00\x00\x00\x00\x00", "\x07\x00\x00\x00\x00\x00\x00\x00", "x: _y of its KNeighborsClassifier gives row 5 the class 7 of 2"},
		{"1.9-protocol4.pkl", "\x00\x00\x00\x00\x00\x00\x00\x00\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\x01", "x: _y of its KNeighborsClassifier gives row 4 the class -1 of 2"},
		{"1.9-protocol4.pkl", "C\x02\x00\x01", "C\x02\x00\x00", `x: classes_ of its KNeighborsClassifier has "False" twice`},
		{"1.9-protocol4.pkl", "\x80\x04", "\x80\x06", "x: it is not a pickle that can be read: byte 0 of the pickle: it is of protocol 6, newer than the 5 that this version reads"},
		{"1.9-protocol4.pkl", "ub.", "ub..", "x: 1 bytes follow the end of its pickle; save one model a file"},
		{"1.9-grid.pkl", "Pipeline", "Pipelins", "x: it holds a Pipelins, which is not a model of nearest neighbours that this version reads; " + saveKNN},
		{"1.9-grid.pkl", "best_estimator_", "beste_estimator", "x: its GridSearchCV has no best estimator; fit it with refit=True"},
		{"1.9-protocol4.joblib", "NumpyArrayWrapper", "NumpyArrayWrapped", ""},
		{"1.9-protocol4.joblib", "joblib.numpy_pickle", "joblib.numpy_pickel", ""},
		{"1.9-protocol4.joblib", "K\nK\x04\x86", "K\nK\xff\x86", "x: it is not a pickle that can be read: byte 821 of the pickle: cannot go on: an array of shape [10 255] and type float64 needs more than the 387 bytes that are left"},
		{"1.9-protocol4.joblib", "shape", "shake", ""},
		{"1.9-cosine.pkl", "X\x02\x00\x00\x00l2", "X\x02\x00\x00\x00l7", `x: step 1 of its Pipeline, Normalizer: norm is a str "l7"; l1, l2 and max are known`},
		{"1.9-pipeline.joblib", "mean_", "meen_", "x: step 1 of its Pipeline, StandardScaler: has no mean_: it was never fitted"},
		{"1.9-pipeline.joblib", "StandardScaler", "StandardScales", "x: step 1 of its Pipeline, StandardScales: is not supported; StandardScaler, MinMaxScaler, RobustScaler and Normalizer are"},
	} {
		data, err := os.ReadFile("testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte(c.old)) {
			t.Errorf("%s has no %q", c.file, c.old)
		}
		data = bytes.Replace(data, []byte(c.old), []byte(c.new), 1)
		file, err := joblib.Read("x", bytes.NewReader(data), int64(len(data)))
		if err == nil {
			_, err = read(file)
		}
		switch {
		case err == nil && c.old != "":
			t.Errorf("%s, %q for %q: no error", c.file, c.new, c.old)
		case c.want != "" && err.Error() != c.want:
			t.Errorf("%s, %q for %q:\ngot  %v\nwant %s", c.file, c.new, c.old, err, c.want)
		}
	}
}
