package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// FuzzLines reads any bytes as lines, in pieces of any size: every line comes, in order, without its end.
func FuzzLines(f *testing.F) {
	f.Add([]byte("\uFEFFa\r\nb\n\n\x00\xff"), true)
	f.Add([]byte("a\rb\r\r\n"), false)
	f.Fuzz(func(t *testing.T, data []byte, halves bool) {
		var want []string
		if len(data) > 0 {
			want = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
			want[0] = strings.TrimPrefix(want[0], "\uFEFF")
		}
		if string(data) == "\uFEFF" {
			want = []string{""}
		}
		var r io.Reader = bytes.NewReader(data)
		if halves {
			r = iotest.HalfReader(iotest.DataErrReader(r))
		}
		// What is kept of a line beside its text, where and why, is more than the text of a short one.
		fuzztest.Bounded(t, len(data)+64*len(want), func() {
			lines, err := collect(t, readLines(r, math.MaxInt64), 7)
			if err != io.EOF || len(lines) != len(want) {
				t.Fatalf("%q: %d lines and %v, want %d", data, len(lines), err, len(want))
			}
			for i, l := range lines {
				if w := strings.TrimSuffix(want[i], "\r"); (l.err == nil) != (len(w) <= maxLine) || l.err == nil && string(l.text) != w {
					t.Fatalf("%q: line %d is %q, %v", data, i+1, l.text, l.err)
				}
			}
		})
	})
}
