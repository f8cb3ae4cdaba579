package modelfile

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// What is written comes back the same, from a map, from the heap and from a string.
func TestRoundTrip(t *testing.T) {
	sections, samples := testModel()
	path := filepath.Join(t.TempDir(), "model.ei8")
	if err := write(path, testMeta(), sections, samples, false); err != nil {
		t.Fatal(err)
	}
	mapped, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer mapped.Close()
	embedded, err := openBytes(image(t, testMeta(), sections, samples))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*File{"mapped": mapped, "embedded": embedded} {
		t.Run(name, func(t *testing.T) {
			if !reflect.DeepEqual(f.Meta(), testMeta()) {
				t.Errorf("metadata %+v", f.Meta())
			}
			for _, s := range sections {
				if got := f.Section(s.Kind); !bytes.Equal(got, s.Data) {
					t.Errorf("section %v: %q", s.Kind, got)
				}
			}
			if len(f.Tensors()) != len(samples) {
				t.Fatalf("%d tensors", len(f.Tensors()))
			}
			for _, s := range samples {
				got, ok := f.Lookup(s.Name)
				if !ok {
					t.Fatalf("no tensor %s", s.Name)
				}
				if !reflect.DeepEqual(got.Spec(), s.TensorSpec) || !bytes.Equal(got.Data, s.data) ||
					!slices.Equal(got.Scale, s.scale) || !slices.Equal(got.Sum, s.sum) {
					t.Errorf("tensor %s differs", s.Name)
				}
				if address(got.Data)%align != 0 {
					t.Errorf("tensor %s is not aligned", s.Name)
				}
			}
			if _, ok := f.Lookup("nothing"); ok {
				t.Error("a tensor that is not there was found")
			}
		})
	}
}
