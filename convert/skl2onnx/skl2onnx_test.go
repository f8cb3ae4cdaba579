package skl2onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/onnx"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// open matches a model in memory and reads its rows.
func open(data []byte) (*Model, error) {
	file, err := onnx.Read("x", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	m, err := Match(file)
	if err != nil {
		return nil, err
	}
	row := make([]float64, m.X.Cols())
	for i := range m.X.Rows() {
		if err := m.X.Row(row, i); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRefused says where a graph leaves the pattern. Those that skl2onnx did not write are changed in one place.
func TestRefused(t *testing.T) {
	const no = "x: it is not a graph of nearest neighbours as skl2onnx writes them: "
	const do = "; if the scikit-learn model is at hand, convert its pickle or joblib file instead"
	for _, c := range []struct{ name, old, new, want string }{
		{"refused-pca", "", "", no + "its query comes from MatMul" + do},
		{"refused-logistic", "", "", no + `it has the operator "LinearClassifier"` + do},
		{"refused-outputs", "", "", no + "it predicts several labels, [2 30]" + do},
		{"classify", "TopK", "TopJ", no + `it has the operator "TopJ"` + do},
		{"classify", "largest\x18\x00", "largest\x18\x01", no + "its TopK takes the largest distances" + do},
		{"classify", "Sqrt", "Sqrx", no + `it has the operator "Sqrx"` + do},
		{"classify", "ArgMax", "Concat", no + "it neither votes nor averages as scikit-learn does" + do},
		{"cdist", "euclidean", "chebyshev", no + `its CDist has the metric "chebyshev"` + do},
		{"classify", "body", "bodx", no + "its Scan has no body" + do},
		{"cosine", "Div", "Mul", no + "its distances are a difference that is not the cosine's" + do},
	} {
		data := read(t, c.name)
		if c.old != "" && !bytes.Contains(data, []byte(c.old)) {
			t.Errorf("%s has no %q", c.name, c.old)
		}
		data = bytes.ReplaceAll(data, []byte(c.old), []byte(c.new))
		_, err := open(data)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s, %s for %s:\ngot  %v\nwant %s", c.name, c.new, c.old, err, c.want)
		}
	}
	const again = "; export the model again, or download it again"
	for data, want := range map[string]string{
		"":                                  "x: byte 0: it is not an ONNX model that can be read: it has no graph" + again,
		"\x3a\xff\x01":                      "x: byte 0: it is not an ONNX model that can be read: a field claims 255 bytes where 0 are left" + again,
		"\x3b":                              "x: byte 0: it is not an ONNX model that can be read: a field of wire type 3" + again,
		"\x00\x00":                          "x: byte 0: it is not an ONNX model that can be read: a field without a number" + again,
		"\x3a\x00\x3a\x00":                  "x: byte 2: it is not an ONNX model that can be read: it has two graphs" + again,
		"\x3a\x00":                          no + "it has no TopK operator" + do,
		"\x08" + strings.Repeat("\xff", 11): "x: byte 0: it is not an ONNX model that can be read: a number does not end" + again,
	} {
		if _, err := open([]byte(data)); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", data, err, want)
		}
	}
	// An attribute with a graph whose node has an attribute with a graph ...
	nested := ""
	for range 40 {
		nested = wrap(0x32, nested) // attribute.g
		nested = wrap(0x2a, nested) // node.attribute
		nested = wrap(0x0a, nested) // graph.node
	}
	if _, err := open([]byte(wrap(0x3a, nested))); err == nil || !strings.Contains(err.Error(), "it is nested more than 32 deep") {
		t.Error(err)
	}
}

// wrap makes a field of bytes.
func wrap(tag byte, s string) string {
	return string([]byte{tag, byte(len(s))&0x7f | 0x80, byte(len(s) >> 7)}) + s
}

func TestDamaged(t *testing.T) {
	for _, name := range []string{"regress", "cdist"} {
		data := read(t, name)
		for n := range data {
			if n < len(data)-60 { // the operator sets at the end can be missing
				if _, err := open(data[:n]); err == nil {
					t.Errorf("%s: the first %d of %d bytes were accepted", name, n, len(data))
				}
			}
		}
		for i := range data {
			for bit := i % 4; bit < 8; bit += 4 {
				data[i] ^= 1 << bit
				_, _ = open(data)
				data[i] ^= 1 << bit
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.onnx")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _, _ = open(data) })
	})
}
