package checkpoint

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// CountLines counts, in what is left of in, the lines that are not blank, the separators and all bytes, so that tables get room once: what grows by
// and by takes several times its size. It goes back then; of what cannot go back nothing is counted.
func CountLines(in io.Reader, separators string) (lines, count int, size int64, err error) {
	seeker, ok := in.(io.Seeker)
	if !ok {
		return 0, 0, 0, nil
	}
	at, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, 0, 0, nil // a pipe
	}
	r, blank := bufio.NewReaderSize(in, 1<<16), true
	for err == nil {
		var c byte
		switch c, err = r.ReadByte(); {
		case err != nil || c == '\n':
			if !blank {
				lines++
			}
			size++
			blank = true
		case c == '\r':
			size++
		default:
			size++
			blank = false
			if strings.IndexByte(separators, c) >= 0 {
				count++
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return 0, 0, 0, err
	}
	_, err = seeker.Seek(at, io.SeekStart)
	return lines, count, size, err
}

// Interner keeps one copy of each of a few texts: labels come again and again.
type Interner map[string]string

// Keep returns a copy of s, the one that it has if it has one.
func (n Interner) Keep(s string) string {
	if kept, ok := n[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	if len(n) < 256 {
		n[s] = s
	}
	return s
}
