package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
)

// maxLine is the longest line that is translated, if there is memory for it: see longestLine. It bounds the memory that input can take; a
// longer line is skipped up to its end without being kept.
const maxLine = 1 << 20

// readAhead is how many bytes of lines wait for their translation before reading pauses.
const readAhead = 64 << 10

// line is one text to translate.
type line struct {
	where string // "line 3", "argument 2"
	text  string
	err   error // why it cannot be translated
}

// longestLine is the longest line that there is memory for.
func longestLine(spare int64) int { return int(min(readAhead+spare/growing, maxLine)) }

// newLine refuses what is too long; whether the rest is text, the runtime finds out.
func newLine(where, text string, longest int) line {
	l := line{where: where, text: text}
	if len(text) > longest {
		l.text = ""
		l.err = fmt.Errorf("this is longer than %d MB; break it into several lines", maxLine>>20)
		if longest < maxLine {
			l.err = tooLarge("this line", int64(longest), "break it into several lines")
		}
	}
	return l
}

// lineQueue reads lines in a goroutine of its own, so that the lines which are already there can be told from those that
// are still to come. There is no limit on a line but longest.
type lineQueue struct {
	mu    sync.Mutex
	lines []line
	bytes int           // held by lines
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
		ready   []line // complete lines of one read: they become visible together
		number  int
		bom     = []byte("\uFEFF")
	)
	add := func() {
		number++
		text := partial
		if number == 1 { // Windows editors mark a file as UTF-8 with it
			text = bytes.TrimPrefix(text, bom)
		}
		ready = append(ready, newLine(fmt.Sprintf("line %d", number), string(bytes.TrimSuffix(text, []byte("\r"))), longest))
		if partial = partial[:0]; cap(partial) > readAhead {
			partial = nil
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
		for q.put(ready, err) > readAhead && err == nil {
			<-q.room
			ready = nil
		}
		ready = nil
		if err != nil {
			return
		}
	}
}

// put adds lines and tells how many bytes are waiting.
func (q *lineQueue) put(lines []line, end error) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines = append(q.lines, lines...)
	for _, l := range lines {
		q.bytes += lineBytes(l)
	}
	q.end = end
	signalOne(q.wake)
	return q.bytes
}

// take waits for a line, then takes up to n of those that are there, but not many long ones. At the end it returns io.EOF or the
// read error.
func (q *lineQueue) take(ctx context.Context, n int) ([]line, error) {
	for {
		q.mu.Lock()
		if n := min(n, len(q.lines)); n > 0 {
			bytes := lineBytes(q.lines[0])
			for i := range q.lines[1:n] {
				if bytes += lineBytes(q.lines[i+1]); bytes > readAhead {
					n = i + 1
					break
				}
			}
			taken := slices.Clone(q.lines[:n])
			clear(q.lines[:n]) // the array lives on, its strings need not
			q.lines = q.lines[n:]
			for _, l := range taken {
				q.bytes -= lineBytes(l)
			}
			signalOne(q.room)
			q.mu.Unlock()
			return taken, nil
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
	return len(q.lines) == 0 && q.end == nil
}

func lineBytes(l line) int { return len(l.text) + 64 }

func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
