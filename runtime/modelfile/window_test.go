package modelfile

import (
	"path/filepath"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

// narrowed is an open file of at least so many pieces, of which no more than capacity are held.
func narrowed(t *testing.T, pieces, capacity int) (*File, *window) {
	t.Helper()
	spec := TensorSpec{Name: "all", DType: I8, Layout: Rows, Shape: []int{pieces, WindowPiece}}
	path := filepath.Join(t.TempDir(), "large.ei8")
	table := sample{TensorSpec: spec, data: make([]byte, pieces*WindowPiece), scale: make([]float32, pieces)}
	for i := range table.data {
		table.data[i] = byte(i % 101)
	}
	if err := write(path, &Meta{Name: "large", Family: "knn"}, nil, []sample{table}, false); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if f.Narrowed() {
		t.Fatal("narrowed before anybody asked for it")
	}
	f.Use(f.data) // nothing to do
	f.Narrow(touchedPages + int64(capacity)*WindowPiece)
	return f, f.window.Load()
}

// use goes through some pieces in order, checks what Use promises, and counts those that were there before they were asked for.
func use(t *testing.T, f *File, w *window, from, to int) (there int) {
	t.Helper()
	for p := from; p < to; p++ {
		if next := w.pieces[p].next; w.pieces[next].held {
			there++
		}
		b := w.bytes(int32(p))
		f.Use(b)
		next := w.pieces[p].next
		if !w.pieces[p].held || !w.pieces[next].held || len(w.held) > w.capacity {
			t.Fatalf("piece %d: held %v, the next, %d, %v; %d of %d", p, w.pieces[p].held, next, w.pieces[next].held, len(w.held), w.capacity)
		}
		start := int(f.offset(SectionTensorData))
		for i := 0; i < len(b); i += 997 {
			if at := p*WindowPiece + i - start; at >= 0 && at < 40*WindowPiece && b[i] != byte(at%101) {
				t.Fatalf("byte %d of piece %d is %d", i, p, b[i])
			}
		}
	}
	return there
}

// What goes round in a circle finds most of what there is room for where it was; what is not used any more makes way for it.
func TestWindow(t *testing.T) {
	const pieces, capacity = 40, 20
	f, w := narrowed(t, pieces, capacity)
	if w.capacity != capacity || len(w.pieces) != pieces+1 {
		t.Fatalf("%d of %d pieces", w.capacity, len(w.pieces))
	}
	use(t, f, w, 0, 10) // once, as an encoder
	there := 0
	for range 10 {
		there = use(t, f, w, 10, pieces)
	}
	if want := capacity - passing - 3; there < want {
		t.Errorf("%d of %d pieces were still there, want %d", there, pieces-10, want)
	}
	for p := range 9 {
		if w.pieces[p].held {
			t.Errorf("piece %d is kept, which nobody has used for long", p)
		}
	}
	if next := w.pieces[pieces-1].next; next != 10 {
		t.Errorf("after the last piece %d is expected, want the first of the circle", next)
	}
	f.Use([]byte{1, 2, 3}, nil) // not the file's
	f.Narrow(0)
	if use(t, f, w, 0, pieces); len(w.held) != 4 {
		t.Errorf("%d pieces are held after it became narrower", len(w.held))
	}
	f.Narrow(1 << 40)
	if w.capacity != 4 {
		t.Errorf("%d pieces after somebody asked for more than another has", w.capacity)
	}
}

// Bringing pieces in and out allocates nothing.
func TestWindowDoesNotAllocate(t *testing.T) {
	f, w := narrowed(t, 12, 4)
	p := int32(0)
	if n := alloctest.PerRun(100, func() {
		f.Use(w.bytes(p), w.bytes((p+5)%12), nil)
		p = (p + 1) % 12
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
