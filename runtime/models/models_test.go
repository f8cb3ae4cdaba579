package models

import (
	"slices"
	"testing"
)

func TestGet(t *testing.T) {
	if _, ok := Get("no-such"); ok {
		t.Error("a model that is not there was found")
	}
	names := Names()
	if !slices.IsSorted(names) {
		t.Errorf("%v is not sorted", names)
	}
	for _, name := range names {
		if _, ok := Get(name); !ok {
			t.Errorf("%s is listed and cannot be had", name)
		}
	}
	if _, ok := Get(Default); ok != (len(names) > 0) {
		t.Errorf("the default %q is not among %v", Default, names)
	}
}
