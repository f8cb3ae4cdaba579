package npy

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/convert/checkpoint/checkpointtest"
	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// TestTypes reads 0 to 11 in every type that NumPy writes.
func TestTypes(t *testing.T) {
	for _, name := range strings.Fields("f2 f4 f8 big-f4 big-f8 i1 i2 i4 i8 big-i8 u1 u2 u4 big-u4 u8 fortran") {
		f, err := Open("testdata/" + name + ".npy")
		if err != nil {
			t.Error(err)
			continue
		}
		a, _ := f.Array("")
		row := make([]float64, 3)
		for _, i := range []int{3, 0, 1, 2} {
			if err := a.Row(row, i); err != nil || row[0] != float64(3*i) || row[1] != float64(3*i+1) || row[2] != float64(3*i+2) {
				t.Errorf("%s: row %d is %v (%v)", name, i, row, err)
			}
		}
		if a.Rows() != 4 || a.Cols() != 3 {
			t.Errorf("%s: %d rows of %d", name, a.Rows(), a.Cols())
		}
		f.Close()
	}
	for name, want := range map[string]string{"cube": "[12 13 14 15 16 17 18 19 20 21 22 23]", "old": "[2 3]"} {
		f, err := Open("testdata/" + name + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		a, _ := f.Array("")
		row := make([]float64, a.Cols())
		if err := a.Row(row, 1); err != nil || fmt.Sprint(row) != want {
			t.Errorf("%s: %v, %v", name, row, err)
		}
		f.Close()
	}
}

func TestArchives(t *testing.T) {
	for name, want := range map[string]string{
		"stored": "X[4 3] float32 0 1 2 3 4 5 6 7 8 9 10 11|y[4] U3 été b c b|feature_names[3] U1 p q r|",
		"packed": "data[4 3] float64 0 1 2 3 4 5 6 7 8 9 10 11|target[4] int64 1 0 1 2|other[2] S3 abc d|",
	} {
		f, err := Open("testdata/" + name + ".npz")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, n := range f.Names {
			a, err := f.Array(n)
			if err != nil {
				got += n + ": "
				continue
			}
			got += fmt.Sprintf("%s%v %s", n, a.Shape, a.DType)
			for i := range a.Rows() {
				for j := range a.Cols() {
					v, err := a.Value(i, j)
					if err != nil {
						t.Error(err)
					}
					got += " " + strings.TrimSuffix(v.Text, ".0")
				}
			}
			got += "|"
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
		f.Close()
	}
}

// file is a .npy file with a header.
func file(header, data string) string {
	return Magic + "\x01\x00" + string([]byte{byte(len(header)), byte(len(header) >> 8)}) + header + data
}

// archive is a zip file of stored members: name, content, name, content.
func archive(members ...string) string { return zipped(zip.Store, members...) }

func zipped(method uint16, members ...string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		if m, err := w.CreateHeader(&zip.FileHeader{Name: members[i], Method: method}); err == nil {
			_, _ = m.Write([]byte(members[i+1]))
		}
	}
	_ = w.Close()
	return b.String()
}

// TestMalformed says what is wrong with files that NumPy does not write.
func TestMalformed(t *testing.T) {
	head := func(descr, order, shape string) string {
		return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
	}
	good := file(head("'<f8'", "False", "(1,)"), "12345678")
	for _, c := range []struct{ data, want string }{
		{"", "x: it is not an array that can be read: it does not start as NumPy's .npy files do; save it again with numpy.save or numpy.savez"},
		{"1,2,3\n4,5,6\n", "x: it is not an array that can be read: it does not start as NumPy's .npy files do; save it again with numpy.save or numpy.savez"},
		{Magic, "x: it is not an array that can be read: it does not start as NumPy's .npy files do; save it again with numpy.save or numpy.savez"},
		{Magic + "\x04\x00\x01\x00x", "x: it is not an array that can be read: it is of version 4.0 of the format; 1 to 3 are known; save it again with numpy.save or numpy.savez"},
		{Magic + "\x01\x00\xff\xffx", "x: it is not an array that can be read: its header claims 65535 bytes where 1 are left; save it again with numpy.save or numpy.savez"},
		{Magic + "\x02\x00\xff\xff\xff\xffx", "x: it is not an array that can be read: its header claims 4294967295 bytes, more than 65536; save it again with numpy.save or numpy.savez"},
		{file("", ""), `x: it is not an array that can be read: its header: "{" expected, not ""; save it again with numpy.save or numpy.savez`},
		{file("{}", ""), `x: it is not an array that can be read: its header: "descr" is missing; save it again with numpy.save or numpy.savez`},
		{file("{'descr': '<f8', 'fortran_order': False}", ""), `x: it is not an array that can be read: its header: "shape" is missing; save it again with numpy.save or numpy.savez`},
		{file("{'descr': '<f8', 'descr': '<f8'}", ""), `x: it is not an array that can be read: its header: "descr" occurs twice; save it again with numpy.save or numpy.savez`},
		{file("{'magic': 1}", ""), `x: it is not an array that can be read: its header: the key "magic" is not known; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "Maybe", "(1,)"), ""), `x: it is not an array that can be read: its header: "False" expected, not "Maybe, 'shape': (1,)"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "(-1,)"), ""), `x: it is not an array that can be read: its header: a size expected, not "-1,), }"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "(1 2)"), ""), `x: it is not an array that can be read: its header: ")" expected, not "2), }"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "(99999999999999999999,)"), ""), `x: it is not an array that can be read: its header: a size expected, not "99999999999999999999"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "("+strings.Repeat("1,", 65)+")"), ""), "x: it is not an array that can be read: its header: more than 64 dimensions; save it again with numpy.save or numpy.savez"},
		{file(head("'<f8'", "False", "(1000000000, 1000000000)"), ""), "x: it is not an array that can be read: an array of the impossible shape [1000000000 1000000000]; save it again with numpy.save or numpy.savez"},
		{file(head("'<f8'", "False", "(2, 2)"), "1234567890"), "x: it is not an array that can be read: an array of shape [2 2] and type float64 needs more than the 10 bytes that are left; save it again with numpy.save or numpy.savez"},
		{file(head("'<f8", "False", "(2,)"), ""), `x: it is not an array that can be read: its header: "," expected, not "fortran_order': Fals"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "(1,)")+"x", "12345678"), "x: it is not an array that can be read: its header: \"\\nx\" follows its end; save it again with numpy.save or numpy.savez"},
		{file(head("'|O'", "False", "(1,)"), "12345678"), "x: it is not an array that can be read: it holds Python objects, which only Python can read: save it with .astype('U') or as numbers"},
		{file(head("'<f16'", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "<f16" (long double) is not supported: save it as float64`},
		{file(head("'<c16'", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "<c16" (complex) is not supported: save its parts as columns`},
		{file(head("'<M8'", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "<M8" (dates) is not supported: save numbers`},
		{file(head("'<f3'", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "<f3" is not supported: save numbers or text`},
		{file(head("'<S99999999'", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "<S99999999" is not supported: save numbers or text`},
		{file(head("''", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "" is not supported: save numbers or text`},
		{file(head("[('x', '<f4')]", "False", "(1,)"), ""), "x: it is not an array that can be read: its header: it is an array of records: save its fields as columns"},
		{Magic + "\x00\x00\x01\x00x", "x: it is not an array that can be read: it is of version 0.0 of the format; 1 to 3 are known; save it again with numpy.save or numpy.savez"},
		{Magic + "\x02\x00\x01", "x: it is not an array that can be read: it does not start as NumPy's .npy files do; save it again with numpy.save or numpy.savez"},
		{Magic + "\x01\x00", "x: it is not an array that can be read: it does not start as NumPy's .npy files do; save it again with numpy.save or numpy.savez"},
		{file("[1, 2]", ""), `x: it is not an array that can be read: its header: "{" expected, not "[1, 2]"; save it again with numpy.save or numpy.savez`},
		{file("{'descr': <f8}", ""), `x: it is not an array that can be read: its header: a text in quotes expected, not "<f8}"; save it again with numpy.save or numpy.savez`},
		{file("{'descr' '<f8'}", ""), `x: it is not an array that can be read: its header: ":" expected, not "'<f8'}"; save it again with numpy.save or numpy.savez`},
		{file("{descr: '<f8'}", ""), `x: it is not an array that can be read: its header: a text in quotes expected, not "descr: '<f8'}"; save it again with numpy.save or numpy.savez`},
		{file("{'descr': '<f8', 'shape': (1,)}", ""), `x: it is not an array that can be read: its header: "fortran_order" is missing; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "0", "(1,)"), ""), `x: it is not an array that can be read: its header: "False" expected, not "0, 'shape': (1,), }"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "[1]"), ""), `x: it is not an array that can be read: its header: "(" expected, not "[1], }"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "1"), ""), `x: it is not an array that can be read: its header: "(" expected, not "1, }"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "(1.5,)"), ""), `x: it is not an array that can be read: its header: ")" expected, not ".5,), }"; save it again with numpy.save or numpy.savez`},
		{file(head("'<f8'", "False", "((1,),)"), ""), `x: it is not an array that can be read: its header: a size expected, not "(1,),), }"; save it again with numpy.save or numpy.savez`},
		{file(head("'|V8'", "False", "(1,)"), "12345678"), `x: it is not an array that can be read: the type "|V8" (a record) is not supported: save its fields as columns`},
		{file(head("'<m8'", "False", "(1,)"), "12345678"), `x: it is not an array that can be read: the type "<m8" (dates) is not supported: save numbers`},
		{file(head("'<U0'", "False", "(1,)"), ""), `x: it is not an array that can be read: the type "<U0" is not supported: save numbers or text`},
		{file(head("'!f8'", "False", "(1,)"), "12345678"), `x: it is not an array that can be read: the type "!f8" is not supported: save numbers or text`},
		{file(head("'<f8'", "False", "(1,)"), ""), "x: it is not an array that can be read: an array of shape [1] and type float64 needs more than the 0 bytes that are left; save it again with numpy.save or numpy.savez"},
		{file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)", ""), `x: it is not an array that can be read: its header: "," expected, not ""; save it again with numpy.save or numpy.savez`},
		{Magic + "\x02\x00\x01\x00\x01\x00" + strings.Repeat(" ", 1<<16+1), "x: it is not an array that can be read: its header claims 65537 bytes, more than 65536; save it again with numpy.save or numpy.savez"},
		{"PK\x03\x04", "x: it is not a .npz archive that can be read: zip: not a valid zip file; save it again with numpy.save or numpy.savez"},
		{archive("y.txt", "1"), "x: it is a zip archive without arrays; save it again with numpy.save or numpy.savez"},
		{archive("X.npy", good, "X.npy", good), `x: it has the array "X" twice; save it again with numpy.save or numpy.savez`},
		{strings.Replace(archive("X.npy", good), "PK\x01\x02", "PK\x01\x03", 1), "x: it is not a .npz archive that can be read: zip: not a valid zip file; save it again with numpy.save or numpy.savez"},
		{archive("X.npy", good)[:100], "x: it is not a .npz archive that can be read: zip: not a valid zip file; save it again with numpy.save or numpy.savez"},
	} {
		f, err := ReadFile("x", strings.NewReader(c.data), int64(len(c.data)))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.60q: %v\ngot  %v\nwant %s", c.data, f, err, c.want)
		}
	}
}

// TestMalformedMembers: an array of an archive that cannot be read is an error when it is asked for.
func TestMalformedMembers(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{archive("X.npy", "1,2"), `x: the array "X": it does not start as NumPy's .npy files do; save it again with numpy.save or numpy.savez`},
		{archive("X.npy", file("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "12345678")), `x: the array "X": it holds Python objects, which only Python can read: save it with .astype('U') or as numbers`},
		{strings.ReplaceAll(archive("X.npy", file("{}", "")), "\x0c\x00\x00\x00", "\xff\xff\x00\x00"), `x: the array "X": it claims 65535 bytes where 101 are left; save it again with numpy.save or numpy.savez`},
	} {
		f, err := ReadFile("x", strings.NewReader(c.data), int64(len(c.data)))
		if err != nil {
			t.Errorf("%q: %v", c.data, err)
			continue
		}
		if _, err := f.Array("X"); err == nil || err.Error() != c.want {
			t.Errorf("%.60q\ngot  %v\nwant %s", c.data, err, c.want)
		}
		f.Close()
	}
}

// TestBomb: an array that unfolds to far more than its file.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	w := zip.NewWriter(&bomb)
	x, err := w.Create("X.npy")
	for range 70 {
		_, _ = x.Write(make([]byte, 1<<20))
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	f, err := ReadFile("x", bytes.NewReader(bomb.Bytes()), int64(bomb.Len()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Array("X"); err == nil || !strings.Contains(err.Error(), "it unfolds to far more than its size allows") {
		t.Error(err)
	}
}

// TestHostile: archives of a few thousand bytes whose arrays all unfold to megabytes stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	zeros, members := file("{'descr': '|i1', 'fortran_order': False, 'shape': (1000000,)}", strings.Repeat("\x00", 1000000)), []string{}
	for i := range 200 {
		members = append(members, fmt.Sprintf("a%d.npy", i), zeros)
	}
	data := zipped(zip.Deflate, members...)
	fuzztest.Bounded(t, len(data), func() {
		f, err := ReadFile("x", strings.NewReader(data), int64(len(data)))
		if err != nil || len(f.Names) != 200 {
			t.Fatal(err)
		}
		defer f.Close()
		if a, err := f.Array("a5"); err != nil || a.Rows() != 1000000 {
			t.Error(a, err)
		}
	})
}

func TestDamaged(t *testing.T) {
	for _, name := range []string{"f8.npy", "fortran.npy", "stored.npz", "packed.npz"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		checkpointtest.Spoil(t, data, 2000, drain)
	}
}

// drain reads every array.
func drain(data []byte) error {
	f, err := ReadFile("x", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, name := range f.Names {
		a, err := f.Array(name)
		if err != nil {
			continue
		}
		row := make([]float64, a.Cols())
		for i := range min(a.Rows(), 100) {
			_ = a.Row(row, i)
			if a.Cols() > 0 {
				_, _ = a.Value(i, 0)
			}
		}
	}
	return nil
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.np*")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil && len(data) < 3000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Bounded(t, len(data), func() { _ = drain(data) })
	})
}
