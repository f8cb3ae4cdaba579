package sklearn

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/edge-infer/edge-infer/convert/joblib"
)

// TestMalformed changes real files in one place, so that they contradict themselves, and says what is said of each.
func TestMalformed(t *testing.T) {
	for _, c := range []struct{ file, old, new, want string }{
		{"1.9-protocol4.pkl", "KNeighborsClassifier", "KNeighborsClassifies", "x: it holds a KNeighborsClassifies, which is not a model of nearest neighbours that this version reads; save a fitted KNeighborsClassifier, KNeighborsRegressor or NearestNeighbors, or a Pipeline of scalers that ends in one"},
		{"1.9-protocol4.pkl", "sklearn.neighbors", "sklearm.neighbors", "x: it holds a sklearm.neighbors._classification.KNeighborsClassifier, which is not of scikit-learn; save a fitted KNeighborsClassifier, KNeighborsRegressor or NearestNeighbors, or a Pipeline of scalers that ends in one"},
		{"1.9-protocol4.pkl", "n_neighbors\x94K\x01", "n_neighbors\x94K\x00", "x: n_neighbors of its KNeighborsClassifier is an int 0 where a whole number from 1 on was expected; fit the model and save it again"},
		{"1.9-protocol4.pkl", "n_samples_fit_\x94K\n", "n_samples_fit_\x94K\x0b", "x: its KNeighborsClassifier was fitted with 11 rows and has 10; fit the model and save it again"},
		{"1.9-protocol4.pkl", "_fit_X", "_fit_Y", "x: its KNeighborsClassifier has no _fit_X: it was never fitted; call fit before saving it"},
		{"1.9-protocol4.pkl", "classes_", "classez_", "x: its KNeighborsClassifier has no classes_: it was never fitted; call fit before saving it"},
		{"1.9-protocol4.pkl", "_y\x94h", "_z\x94h", "x: its KNeighborsClassifier has no _y: it was never fitted; call fit before saving it"},
		{"1.9-protocol4.pkl", "uniform", "unifoam", `x: weights of its KNeighborsClassifier is "unifoam"; uniform and distance are known; fit the model and save it again`},
		{"1.9-protocol4.pkl", "euclidean", "canberra!", `x: the metric of its KNeighborsClassifier is "canberra!", which is not supported; fit it with euclidean, manhattan, chebyshev, minkowski or cosine`},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "K\nK\x05\x86", "x: _fit_X of its KNeighborsClassifier: an array of shape [10 5] and type float64 needs more than the 320 bytes that are left; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "K\x00K\x04\x86", "x: _fit_X of its KNeighborsClassifier has the shape [0 4]; fit it with data"},
		{"1.9-protocol4.pkl", "f8\x94", "c8\x94", `x: _fit_X of its KNeighborsClassifier: the type "<c8" (complex) is not supported: save its parts as columns`},
		{"1.9-protocol4.pkl", "f8\x94", "S8\x94", "x: _fit_X of its KNeighborsClassifier has elements of type S8, which are not numbers; fit the model and save it again"},
		{"1.9-protocol4.pkl", "numpy\x94\x8c\x07ndarray", "numpy\x94\x8c\x07nparray", "x: _fit_X of its KNeighborsClassifier: an array of the class numpy.nparray; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x01\x00\x00\x00\x00\x00\x00\x00", "\x07\x00\x00\x00\x00\x00\x00\x00", "x: _y of its KNeighborsClassifier gives row 5 the class 7 of 2; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x00\x00\x00\x00\x00\x00\x00\x00\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\x01", "x: _y of its KNeighborsClassifier gives row 4 the class -1 of 2; fit the model and save it again"},
		{"1.9-protocol4.pkl", "C\x02\x00\x01", "C\x02\x00\x00", `x: classes_ of its KNeighborsClassifier has "False" twice; fit the model and save it again`},
		{"1.9-protocol4.pkl", "\x80\x04", "\x80\x06", "x: it is not a pickle that can be read: byte 0 of the pickle: it is of protocol 6, newer than the 5 that this version reads; fit the model and save it again"},
		{"1.9-protocol4.pkl", "ub.", "ub..", "x: 1 bytes follow the end of its pickle; save one model a file"},
		{"1.9-grid.pkl", "Pipeline", "Pipelins", "x: it holds a Pipelins, which is not a model of nearest neighbours that this version reads; save a fitted KNeighborsClassifier, KNeighborsRegressor or NearestNeighbors, or a Pipeline of scalers that ends in one"},
		{"1.9-grid.pkl", "best_estimator_", "beste_estimator", "x: its GridSearchCV has no best estimator; fit it with refit=True"},
		{"1.9-protocol4.joblib", "NumpyArrayWrapper", "NumpyArrayWrapped", "x: it is not a pickle that can be read: byte 466 of the pickle: opcode 0x0d is not known; fit the model and save it again"},
		{"1.9-protocol4.joblib", "joblib.numpy_pickle", "joblib.numpy_pickel", "x: it is not a pickle that can be read: byte 466 of the pickle: opcode 0x0d is not known; fit the model and save it again"},
		{"1.9-protocol4.joblib", "K\nK\x04\x86", "K\nK\xff\x86", "x: it is not a pickle that can be read: byte 821 of the pickle: cannot go on: an array of shape [10 255] and type float64 needs more than the 387 bytes that are left; fit the model and save it again"},
		{"1.9-protocol4.joblib", "shape", "shake", "x: it is not a pickle that can be read: byte 465 of the pickle: cannot go on: the shape of an array is None; fit the model and save it again"},
		{"1.9-cosine.pkl", "X\x02\x00\x00\x00l2", "X\x02\x00\x00\x00l7", `x: step 1 of its Pipeline, Normalizer: norm is a str "l7"; l1, l2 and max are known; fit a Pipeline of such scalers alone and save it again`},
		{"1.9-pipeline.joblib", "mean_", "meen_", "x: step 1 of its Pipeline, StandardScaler: has no mean_: it was never fitted; fit a Pipeline of such scalers alone and save it again"},
		{"1.9-pipeline.joblib", "StandardScaler", "StandardScales", "x: step 1 of its Pipeline, StandardScales: is not supported; StandardScaler, MinMaxScaler, RobustScaler and Normalizer are; fit a Pipeline of such scalers alone and save it again"},
		{"1.9-protocol4.pkl", "n_neighbors\x94K\x01", "n_neighbors\x94\x88", "x: n_neighbors of its KNeighborsClassifier is a bool where a whole number from 1 on was expected; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x8c\x07uniform", "cmath\nexp\n", "x: weights of its KNeighborsClassifier is a function (math.exp), which cannot be read from a file; fit it with weights='uniform' or 'distance'"},
		{"1.9-protocol4.pkl", "\x8c\teuclidean", "cmath\nexp\n", "x: the metric of its KNeighborsClassifier is a function (math.exp), which cannot be read from a file; fit it with euclidean, manhattan, chebyshev, minkowski or cosine"},
		{"1.9-protocol4.pkl", "\x8c\teuclidean", "\x8c\x0bprecomputed", "x: its KNeighborsClassifier was fitted with distances (metric='precomputed'), not with rows; fit it with the rows themselves"},
		{"1.9-protocol4.pkl", "effective_metric_params_\x94}", "effective_metric_params_\x94}\x8c\x01wK\x02s", `x: the metric of its KNeighborsClassifier has the parameter "w", which is not supported; fit it without metric_params`},
		{"1.9-protocol4.pkl", "effective_metric_params_\x94}\x94\x8c\x11effective_metric_\x94\x8c\teuclidean", "effective_metric_params_\x94}\x8c\x01pK\x00s\x94\x8c\x11effective_metric_\x94\x8c\tminkowski", "x: the metric of its KNeighborsClassifier is minkowski with p = 0; fit it with p of 1 or more"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "K(\x85", "x: _fit_X of its KNeighborsClassifier has the shape [40]; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "K\nK\x02K\x02\x87", "x: _fit_X of its KNeighborsClassifier has the shape [10 2 2]; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "J\xff\xff\xff\xffK\x04\x86", "x: _fit_X of its KNeighborsClassifier: the shape of an array has an int for a size; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "\x8c\x01aK\x04\x86", "x: _fit_X of its KNeighborsClassifier: the shape of an array has a str for a size; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\nK\x04\x86", "N", "x: _fit_X of its KNeighborsClassifier: the shape of an array is None; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\x01K\n\x85", "K\x01K\t\x85", "x: _y of its KNeighborsClassifier has 9 rows, _fit_X 10; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\x01K\x02\x85", "K\x01K\x01K\x02\x86", "x: classes_ of its KNeighborsClassifier has the shape [1 2]; fit the model and save it again"},
		{"1.9-protocol4.pkl", "K\x01K\x02\x85", "K\x01K\x01\x85", "x: _y of its KNeighborsClassifier gives row 5 the class 1 of 1; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x8c\x02b1", "\x8c\x02M8", `x: classes_ of its KNeighborsClassifier: the type "|M8" (dates) is not supported: save numbers`},
		{"1.9-protocol4.pkl", "\x8c\x02b1", "K\x07", "x: classes_ of its KNeighborsClassifier: the name of a numpy.dtype is an int; fit the model and save it again"},
		{"1.9-protocol4.pkl", "C\x02\x00\x01", "N", "x: classes_ of its KNeighborsClassifier: the numbers of an array are None; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x8c\x05dtype", "\x8c\x05dtypo", "x: it would run code when Python loads it: byte 359: the pickle asks to run numpy.dtypo: refused; nothing was run; do not load it there, unless you know who made it"},
		{"1.9-protocol4.pkl", "\x8c\x0c_reconstruct", "\x8c\x0c_reconstrucd", "x: it would run code when Python loads it: byte 329: the pickle asks to run numpy._core.multiarray._reconstrucd: refused; nothing was run; do not load it there, unless you know who made it"},
		{"1.9-protocol4.pkl", "\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct", "\x8c\x02os\x94\x8c\x06system", "x: it would run code when Python loads it: byte 271: the pickle asks to run os.system: refused; nothing was run; do not load it there, unless you know who made it"},
		{"1.9-protocol4.pkl", "ub.", "ub", "x: it is not a pickle that can be read: byte 1078 of the pickle: the pickle ends early, at byte 1078; fit the model and save it again"},
		{"1.9-protocol4.pkl", "ub.", "\xffb.", "x: it is not a pickle that can be read: byte 1076 of the pickle: opcode 0xff is not known; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x94(\x8c\x0bn_neighbors", "\x94\x8c\x0bn_neighbors", "x: it is not a pickle that can be read: byte 1075 of the pickle: it takes items up to a mark that was not set; fit the model and save it again"},
		{"1.9-protocol4.pkl", "h\x16h\x19", "h\xf0h\x19", "x: it is not a pickle that can be read: byte 400 of the pickle: it uses memo 240, which was not set; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x8c\x10_sklearn_version", "\x8c\xff_sklearn_version", "x: it is not a pickle that can be read: byte 1049 of the pickle: it claims 255 bytes where 28 are left; fit the model and save it again"},
		{"1.9-protocol4.pkl", "\x80\x04\x95", "ZF\x95", "x: it was written by joblib before 0.10; load it in Python and save it again with joblib.dump"},
		{"1.9-protocol4.pkl", "\x80\x04\x95", "\x1f\x8b\x08", "x: it cannot be read: compressed with gzip: unexpected EOF; download it or save it again"},
		{"1.9-protocol4.pkl", "\x80\x04\x95", "BZh9", "x: it cannot be read: compressed with bz2: bzip2 data invalid: bad magic value found; download it or save it again"},
		{"1.9-protocol4.pkl", "\x80\x04\x95", "1,2\n", "x: it is not a pickle that can be read: byte 0 of the pickle: it takes items up to a mark that was not set; fit the model and save it again"},
		{"1.9-pipeline.joblib", "scale_", "scake_", "x: step 1 of its Pipeline, StandardScaler: has no scale_: it was never fitted; fit a Pipeline of such scalers alone and save it again"},
		{"1.9-pipeline.joblib", "steps", "stepz", "x: the steps of its Pipeline are None; fit the model and save it again"},
	} {
		data, err := os.ReadFile("testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte(c.old)) {
			t.Errorf("%s has no %q", c.file, c.old)
		}
		size := len(data)
		data = bytes.Replace(data, []byte(c.old), []byte(c.new), 1)
		if bytes.HasPrefix(data, []byte("\x80\x04\x95")) { // what follows is the size of all the rest
			binary.LittleEndian.PutUint64(data[3:], binary.LittleEndian.Uint64(data[3:])+uint64(len(data)-size))
		}
		file, err := joblib.Read("x", bytes.NewReader(data), int64(len(data)))
		if err == nil {
			_, err = read(file)
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%s, %q for %q:\ngot  %v\nwant %s", c.file, c.new, c.old, err, c.want)
		}
	}
}
