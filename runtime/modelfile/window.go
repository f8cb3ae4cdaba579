package modelfile

import "sync"

// WindowPiece is how much of a file is asked for at a time where it does not fit into memory whole: enough that cards and disks read
// at full speed.
const WindowPiece = 256 << 10

const (
	// touchedPages is what the program's own pages, and those of the model that are touched here and there, take beside a window.
	touchedPages = 5 << 19

	// passing pieces of a window are those used last and those that come next. All others stay as long as they are of use.
	passing = 6
)

// window is the part of a file that is kept in memory where not all of it fits. The system would drop what was used longest ago,
// which is what a model needs next, as it goes through its file in the same order for each token; and it reads ahead as far as
// the disk is set to, which may be more than there is room for. So the window asks for a piece before it is used, learns which one
// comes after it, and drops pieces that pass, so that the others stay.
type window struct {
	mu       sync.Mutex
	file     *File
	pieces   []windowPiece
	capacity int
	held     []int32 // pieces that were asked for, that used last at the end
	last     int32   // the piece used last
	steps    int     // from one piece to another, so far
}

type windowPiece struct {
	next int32 // the piece that was used after it
	used int   // at which step
	held bool
}

// Narrow says that no more than room bytes of the file will be in memory at a time; of several the least counts. From then on those who
// read much of it call Use.
func (f *File) Narrow(room int64) {
	if !f.Mapped() {
		return
	}
	if f.unmap == nil {
		f.locate.Do(f.findInProgram)
	}
	pieces := (len(f.data) + WindowPiece - 1) / WindowPiece
	capacity := int(min(max((room-touchedPages)/WindowPiece, 4), int64(pieces)))
	w := f.window.Load()
	if w == nil {
		w = &window{file: f, pieces: make([]windowPiece, pieces)}
		for i := range w.pieces { // in the order of the file, which is that of first use
			w.pieces[i].next = int32((i + 1) % pieces)
		}
		w.capacity, w.held = capacity, make([]int32, 0, capacity)
		if f.window.CompareAndSwap(nil, w) {
			f.alone()
			return
		}
		w = f.window.Load()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.capacity = min(w.capacity, capacity)
}

// Relax says that there is room for all of the file, whatever there was when it was opened.
func (f *File) Relax() {
	if f.tight && f.Mapped() && !f.Narrowed() {
		f.together()
	}
}

// Narrowed says that Use is wanted, with WindowPiece bytes at a time or some more.
func (f *File) Narrowed() bool { return f.window.Load() != nil }

// Use brings in a part of the file that is going to be read, and what was used after it the last time; beside is what is read with it,
// of which nothing is learned. Memory that is not the file's is left alone. Where all of the file is in memory Use does nothing.
func (f *File) Use(b []byte, beside ...[]byte) {
	w := f.window.Load()
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range beside {
		from, to := w.span(b)
		for p := from; p < to; p++ {
			w.hold(p)
		}
	}
	from, to := w.span(b)
	for p := from; p < to; p++ {
		if p != w.last {
			w.pieces[w.last].next = p
			w.last = p
			w.steps++
		}
		w.hold(p)
	}
	if from < to {
		w.hold(w.pieces[w.last].next)
	}
}

// span is the pieces [from, to) that b lies in; none if it is not the file's.
func (w *window) span(b []byte) (from, to int32) {
	start, at := address(w.file.data), address(b)
	if len(b) == 0 || at < start || at-start >= uintptr(len(w.file.data)) {
		return 0, 0
	}
	offset := at - start
	return int32(offset / WindowPiece), int32((offset+uintptr(len(b))-1)/WindowPiece) + 1
}

// hold asks for a piece, also where it should be there: the system may have taken it.
func (w *window) hold(p int32) {
	piece := &w.pieces[p]
	at := len(w.held)
	if piece.held {
		for at--; w.held[at] != p; at-- {
		}
	} else {
		for len(w.held) >= w.capacity {
			w.drop()
		}
		w.held = append(w.held, p)
		at = len(w.held) - 1
	}
	w.held = append(append(w.held[:at], w.held[at+1:]...), p)
	piece.held, piece.used = true, w.steps
	w.file.ask(w.bytes(p))
}

// drop gives a piece back: the oldest if it is of no use any more, as those of the encoder while one decodes, else the last of those
// that do not pass. What goes round in a circle is served best by keeping the same part of it.
func (w *window) drop() {
	at := 0
	if stale := w.steps-w.pieces[w.held[0]].used > 2*len(w.pieces); !stale {
		at = max(len(w.held)-1-passing, 0)
	}
	p := w.held[at]
	w.held = append(w.held[:at], w.held[at+1:]...)
	w.pieces[p].held = false
	w.file.discard(w.bytes(p))
}

func (w *window) bytes(p int32) []byte {
	from := int(p) * WindowPiece
	return w.file.data[from:min(from+WindowPiece, len(w.file.data))]
}
