package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
)

// maxLine is the longest line that is translated, if there is memory for it: see longestLine. It bounds the memory that input can take; a
// longer line is skipped up to its end without being kept.
const maxLine = 1 << 20

// readAhead is how many bytes of lines wait for their translation before reading pauses, and the largest memory of a line that is kept.
const readAhead = 64 << 10

// together is how many lines become visible at once, so that they can be taken as one batch, if one read brought them. Without a bound,
// 32 KB of line ends would be megabytes of empty lines.
const together = 256

// line is one text to translate.
type line struct {
	what   string // "line" or "argument"
	number int    // which one, counted from 1
	text   []byte // only until the next lines are taken
	err    error  // why it cannot be translated
}

// longestLine is the longest line that there is memory for.
func longestLine(spare int64) int { return int(min(readAhead+spare/growing, maxLine)) }

// where is "line 3".
func (l *line) where() string { return fmt.Sprintf("%s %d", l.what, l.number) }

// newLine refuses what is too long; whether the rest is text, the runtime finds out.
func newLine(what string, number int, text []byte, longest int) line {
	l := line{what: what, number: number, text: text}
	if len(text) > longest {
		l.text = nil
		l.err = fmt.Errorf("this is longer than %d MB; break it into several lines", maxLine>>20)
		if longest < maxLine {
			l.err = tooLarge("this line", int64(longest), "break it into several lines")
		}
	}
	return l
}

// lineQueue reads lines in a goroutine of its own, so that the lines which are already there can be told from those that
// are still to come. There is no limit on a line but longest. Lines that were dealt with lend their memory to later ones: a sensor
// may send lines for weeks, and not one of them is garbage.
type lineQueue struct {
	mu    sync.Mutex
	lines []line // those from first on are waiting
	first int
	bytes int           // held by lines
	taken []line        // what take gave last
	free  [][]byte      // of lines that nobody needs any more
	end   error         // io.EOF or a read error, after the last line
	wake  chan struct{} // capacity 1: something was added
	room  chan struct{} // capacity 1: something was taken
}

func readLines(r io.Reader, spare int64) *lineQueue {
	q := &lineQueue{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	go q.read(r, longestLine(spare))
	return q
}

func (q *lineQueue) read(r io.Reader, longest int) {
	var (
		chunk   = make([]byte, 32<<10)
		partial []byte // the beginning of a line whose end has not been read
		ready   = make([]line, 0, together)
		number  int
		bom     = []byte("\uFEFF")
	)
	// show waits until there is room for more, but at the end.
	show := func(end error) {
		for q.put(ready, end) > readAhead && end == nil {
			ready = ready[:0]
			<-q.room
		}
		ready = ready[:0]
	}
	add := func() {
		number++
		text := partial
		if number == 1 { // Windows editors mark a file as UTF-8 with it
			text = bytes.TrimPrefix(text, bom)
		}
		ready = append(ready, newLine("line", number, bytes.TrimSuffix(text, []byte("\r")), longest))
		partial = q.buffer(len(partial))
		if len(ready) == together {
			show(nil)
		}
	}
	// keep appends to the unfinished line, one byte more than it may have so that newLine sees that it is too long.
	keep := func(b []byte) {
		partial = append(partial, b[:min(len(b), longest+1-len(partial))]...)
	}
	for {
		n, err := r.Read(chunk)
		for rest := chunk[:n]; len(rest) > 0; {
			before, after, found := bytes.Cut(rest, []byte("\n"))
			keep(before)
			if found {
				add()
			}
			rest = after
		}
		if err != nil && len(partial) > 0 { // the last line need not end in a newline
			add()
		}
		if show(err); err != nil {
			return
		}
	}
}

// buffer is an empty one for a line: of an old line, or somewhat larger than the one before it. One that is much larger goes: hundreds
// of short lines may wait, and each would come to hold as much as the longest line there ever was.
func (q *lineQueue) buffer(size int) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last := len(q.free) - 1; last >= 0 {
		b := q.free[last]
		q.free[last], q.free = nil, q.free[:last]
		if cap(b) <= 4*(size+64) {
			return b
		}
	}
	return make([]byte, 0, min(size+size/4, readAhead))
}

// put adds lines and tells how many bytes are waiting.
func (q *lineQueue) put(lines []line, end error) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines)+len(lines) > cap(q.lines) { // those that were taken make room
		n := copy(q.lines, q.lines[q.first:])
		clear(q.lines[n:])
		q.lines, q.first = q.lines[:n], 0
	}
	q.lines = append(q.lines, lines...)
	for _, l := range lines {
		q.bytes += lineBytes(l)
	}
	q.end = end
	signalOne(q.wake)
	return q.bytes
}

// take waits for a line, then takes up to n of those that are there, but not many long ones; the ones before it may not be used any
// more. At the end it returns io.EOF or the read error.
func (q *lineQueue) take(ctx context.Context, n int) ([]line, error) {
	for {
		q.mu.Lock()
		for _, l := range q.taken {
			if cap(l.text) > 0 && cap(l.text) <= readAhead {
				q.free = append(q.free, l.text[:0])
			}
		}
		clear(q.taken)
		q.taken = q.taken[:0]
		if waiting := q.lines[q.first:]; len(waiting) > 0 {
			for bytes := 0; len(q.taken) < min(n, len(waiting)); {
				next := waiting[len(q.taken)]
				if bytes += lineBytes(next); bytes > readAhead && len(q.taken) > 0 {
					break
				}
				q.taken = append(q.taken, next)
			}
			clear(waiting[:len(q.taken)]) // the array lives on, its long lines need not
			if q.first += len(q.taken); q.first == len(q.lines) {
				q.lines, q.first = q.lines[:0], 0
			}
			for _, l := range q.taken {
				q.bytes -= lineBytes(l)
			}
			signalOne(q.room)
			q.mu.Unlock()
			return q.taken, nil
		}
		end := q.end
		q.mu.Unlock()
		if end != nil {
			return nil, end
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// waiting reports whether take would have to wait.
func (q *lineQueue) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) == q.first && q.end == nil
}

func lineBytes(l line) int { return len(l.text) + 64 }

func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
