package vecs

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

func words(v ...uint32) string {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return string(b)
}

var (
	fvecs = words(2, math.Float32bits(1.5), math.Float32bits(-2), 2, math.Float32bits(3), math.Float32bits(0.25))
	ivecs = words(1, 7, 1, 0xffffffff)
	bvecs = words(3) + "\x00\x01\xff" + words(3) + "\x02\x03\x04"
)

// open reads all vectors.
func open(data string, kind byte) (string, error) {
	f, err := New("x", strings.NewReader(data), int64(len(data)), kind)
	if err != nil {
		return "", err
	}
	all, row := "", make([]float64, f.Cols)
	for i := range f.Rows {
		if err := f.Row(row, i); err != nil {
			return "", err
		}
		all += fmt.Sprint(row)
	}
	return all, nil
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		path, data, want string
	}{{"a.fvecs", fvecs, "[1.5 -2][3 0.25]"}, {"b.BVECS", bvecs, "[0 1 255][2 3 4]"}, {"c.ivecs", ivecs, "[7][-1]"}} {
		if got, err := open(c.data, Kind(c.path)); err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.path, got, err)
		}
	}
	if Kind("x.csv") != 0 || Kind("fvecs") != 0 {
		t.Error("other files are taken for vectors")
	}
}

func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		data string
		kind byte
		want string
	}{
		{"", 'f', "x: byte 0: it has no vector"},
		{"\x01\x00", 'f', "x: byte 0: it has no vector"},
		{words(0), 'f', "x: byte 0: its first vector has the dimension 0, must be 1 to 16777216"},
		{words(1 << 31), 'f', "x: byte 0: its first vector has the dimension -2147483648, must be 1 to 16777216"},
		{words(1 << 25), 'b', "x: byte 0: its first vector has the dimension 33554432, must be 1 to 16777216"},
		{fvecs[:20], 'f', "x: byte 12: 20 bytes are no multiple of the 12 that a vector of 2 float32 takes"},
		{bvecs, 'f', "x: byte 0: 14 bytes are no multiple of the 16 that a vector of 3 float32 takes"},
		{words(1, 5, 2, 6), 'i', "x: byte 8: vector 2 has the dimension 2, those before it 1"},
	} {
		if _, err := open(c.data, c.kind); err == nil || err.Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.data, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(fvecs, byte('f'))
	f.Add(bvecs, byte('b'))
	f.Fuzz(func(t *testing.T, data string, kind byte) {
		fuzztest.Bounded(t, len(data), func() { _, _ = open(data, kind) })
	})
}
