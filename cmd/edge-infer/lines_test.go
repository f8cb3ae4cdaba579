package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// collect takes all lines, n at a time.
func collect(t *testing.T, q *lineQueue, n int) (lines []line, err error) {
	t.Helper()
	for {
		some, err := q.take(context.Background(), n)
		if err != nil {
			return lines, err
		}
		if len(some) == 0 || len(some) > n {
			t.Fatalf("took %d lines, asked for up to %d", len(some), n)
		}
		for _, l := range some {
			l.text = bytes.Clone(l.text) // it is the next line's
			lines = append(lines, l)
		}
	}
}

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, c := range []struct {
		name, input string
		want        []string // "!" for a line that is refused
	}{
		{"nothing", "", nil},
		{"one newline", "\n", []string{""}},
		{"no newline at the end", "a\nb", []string{"a", "b"}},
		{"empty lines", "\n\na\n\n", []string{"", "", "a", ""}},
		{"Windows", "\uFEFFa\r\nb\r\n", []string{"a", "b"}},
		{"a mark that is not at the start", "a\n\uFEFFb\n", []string{"a", "\uFEFFb"}},
		{"a carriage return inside", "a\rb\n", []string{"a\rb"}},
		{"NUL", "a\x00b\n", []string{"a\x00b"}},
		{"not UTF-8", "a\xff\n", []string{"a\xff"}},
		{"longest", long + "\nb\n", []string{long, "b"}},
		{"too long", long + "x\nb\n", []string{"!", "b"}},
		{"much too long, no end", "a\n" + long + long + long, []string{"a", "!"}},
	} {
		for name, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.input), "by halves": iotest.HalfReader(strings.NewReader(c.input)),
			"end with data": iotest.DataErrReader(strings.NewReader(c.input)),
		} {
			lines, err := collect(t, readLines(r, math.MaxInt64), 3)
			if err != io.EOF || len(lines) != len(c.want) {
				t.Errorf("%s, %s: %d lines and %v, want %d", c.name, name, len(lines), err, len(c.want))
				continue
			}
			for i, l := range lines {
				if where := fmt.Sprintf("line %d", i+1); l.where() != where {
					t.Errorf("%s: %q is called %q", c.name, where, l.where())
				}
				if refused := c.want[i] == "!"; refused != (l.err != nil) || !refused && string(l.text) != c.want[i] {
					t.Errorf("%s, %s: line %d is %.20q %v, want %.20q", c.name, name, i+1, l.text, l.err, c.want[i])
				}
			}
		}
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("the card was pulled out")
	lines, err := collect(t, readLines(io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(broken)), math.MaxInt64), 8)
	if len(lines) != 2 || err != broken {
		t.Errorf("%d lines and %v", len(lines), err)
	}
}

// Reading pauses when enough lines wait: a large file does not end up in memory, nor do its empty lines.
func TestReadAheadIsBounded(t *testing.T) {
	const n = 1 << 17
	for _, text := range []string{"0123456789abcde", ""} {
		q := readLines(strings.NewReader(strings.Repeat(text+"\n", n)), math.MaxInt64)
		for q.waiting() {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		q.mu.Lock()
		bytes, lines := q.bytes, len(q.lines)
		q.mu.Unlock()
		if most := readAhead + together*lineBytes(line{text: []byte(text)}); bytes > most || lines > most/64 {
			t.Errorf("%d bytes in %d lines wait, the limit is %d", bytes, lines, most)
		}
		all, err := collect(t, q, 1000)
		if len(all) != n || err != io.EOF {
			t.Errorf("%d lines and %v", len(all), err)
		}
	}
}

// The memory of lines that were dealt with is lent on, and stays within bounds where a few of them are long.
func TestLinesLendLittle(t *testing.T) {
	const cycles = 300
	short, long := strings.Repeat("some twenty letters.\n", 400), strings.Repeat("x", 60<<10)+"\n"
	q := readLines(strings.NewReader(strings.Repeat(short+long, cycles)), math.MaxInt64)
	lines, most := 0, 0
	for {
		some, err := q.take(context.Background(), 16)
		if err == io.EOF {
			break
		}
		lines += len(some)
		lent := 0
		q.mu.Lock()
		for _, b := range q.free {
			lent += cap(b)
		}
		for _, l := range append(q.lines[q.first:], q.taken...) {
			lent += cap(l.text)
		}
		q.mu.Unlock()
		most = max(most, lent)
	}
	t.Logf("%d lines, at most %d bytes for them", lines, most)
	if lines != cycles*401 || most > 8*readAhead {
		t.Errorf("%d lines, and %d bytes for them", lines, most)
	}
}

// take returns what is there and does not wait for the rest of the batch.
func TestTakeDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	q := readLines(r, math.MaxInt64)
	for i := range 3 {
		if _, err := fmt.Fprintf(w, "%d a\n%d b\n%d c", i, i, i); err != nil {
			t.Fatal(err)
		}
		lines, err := q.take(context.Background(), 8)
		if err != nil || len(lines) != 2 {
			t.Fatalf("took %v, %v", lines, err)
		}
		fmt.Fprintln(w)
		if lines, err = q.take(context.Background(), 8); err != nil || len(lines) != 1 || string(lines[0].text) != fmt.Sprintf("%d c", i) {
			t.Fatalf("took %v, %v", lines, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.take(ctx, 1); err != context.Canceled {
		t.Errorf("after the interrupt: %v", err)
	}
	w.Close()
}
