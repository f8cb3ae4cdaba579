package onnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// apart is a tensor of two float32 whose numbers are in another file, found by pairs of a key and its text.
func apart(pairs ...string) string {
	t := bytesField(8, "w") + intField(1, 2) + intField(2, 1) + intField(14, 1)
	for i := 0; i < len(pairs); i += 2 {
		t += bytesField(13, bytesField(1, pairs[i]), bytesField(2, pairs[i+1]))
	}
	return model(initializer(t))
}

// TestNumbersApart: numbers in a file beside the model are read, or it is said why not.
func TestNumbersApart(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("w.data", "....\x00\x00\x80\x3f\x00\x00\x00\x40..") // 1 and 2 from byte 4 on
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	const again = "; copy all files of the model into one folder, or export it with external_data=False"
	for _, c := range []struct{ data, want string }{
		{apart("location", "w.data", "offset", "4", "length", "8", "checksum", "no one asks"), ""},
		{apart("location", "./sub/../w.data", "offset", "4"), ""},
		{apart(), `its numbers are in another file, of which the name is missing` + again},
		{apart("offset", "4"), `its numbers are in another file, of which the name is missing` + again},
		{apart("location", "../w.data"), `its numbers are in the file "../w.data", which lies outside the model's folder` + again},
		{apart("location", "sub/../../w.data"), `its numbers are in the file "sub/../../w.data", which lies outside the model's folder` + again},
		{apart("location", "sub"), `its numbers are in the file "sub", which is no ordinary file` + again},
		{apart("location", "w.data", "length", "8", "offset", "7"), `its numbers are 8 bytes from byte 7 on of the file "w.data", which has 14 bytes` + again},
		{apart("location", "w.data", "length", "8", "offset", "9223372036854775807"), `its numbers are 8 bytes from byte 9223372036854775807 on of the file "w.data", which has 14 bytes` + again},
		{apart("location", "w.data", "length", "9223372036854775807"), `its numbers are 9223372036854775807 bytes from byte 0 on of the file "w.data", which has 14 bytes` + again},
		{apart("location", "w.data", "offset", "15"), `its numbers are 0 bytes from byte 15 on of the file "w.data", which has 14 bytes` + again},
		{apart("location", "w.data", "offset", "7"), `an array of shape [2] and type float32 needs more than the 7 bytes that are left`},
		{apart("location", "w.data", "length", "9"), `of shape [2] has 9 bytes`},
		{apart("location", "w.data", "length", "-8"), `the length "-8" of numbers in another file is no count of bytes`},
		{apart("location", "w.data", "offset", "four"), `the offset "four" of numbers in another file is no count of bytes`},
		{model(initializer(intField(13, 1))), `a place of numbers of wire type 0`},
		{apart("location", "none.data"), `its numbers are in the file "none.data", which is not in the folder ` + folder + again},
	} {
		m, err := Open(write("model.onnx", c.data))
		if err == nil {
			defer m.Close()
			a, wrong := m.Graph.Initializers["w"].Array()
			if err = wrong; err == nil {
				for i := range 2 {
					row := make([]float64, 1)
					if err := a.Row(row, i); err != nil || row[0] != float64(1+i) {
						t.Errorf("%q: %v, %v", c.data, row, err)
					}
				}
			}
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q\ngot  %v\nwant %s", c.data, err, c.want)
		}
	}
	// A model that was read without a folder has none to look in.
	data := apart("location", "w.data")
	m, err := Read("x", strings.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Graph.Initializers["w"].Array(); err == nil || !strings.HasSuffix(err.Error(), "and there is no folder to look for it"+again) {
		t.Error(err)
	}
}
