package npy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Magic starts every .npy file.
const Magic = "\x93NUMPY"

// maxHeader bounds the description of an array, which is a line of text.
const maxHeader = 1 << 16

// Read reads the header of a .npy file that takes the bytes of src up to size; the numbers stay there.
func Read(src io.ReaderAt, size int64) (*Array, error) {
	var head [12]byte
	n, err := src.ReadAt(head[:min(size, 12)], 0)
	if n < 10 || string(head[:6]) != Magic {
		if n == 0 && err != nil && err != io.EOF {
			return nil, err
		}
		return nil, fmt.Errorf("it does not start as NumPy's .npy files do")
	}
	// Version 1 has a header length of two bytes, 2 and 3 have four; 3 allows UTF-8 in names of fields.
	length, at := int64(binary.LittleEndian.Uint16(head[8:])), int64(10)
	switch head[6] {
	case 1:
	case 2, 3:
		length, at = int64(binary.LittleEndian.Uint32(head[8:])), 12
	default:
		return nil, fmt.Errorf("it is of version %d.%d of the format; 1 to 3 are known", head[6], head[7])
	}
	if length > maxHeader {
		return nil, fmt.Errorf("its header claims %d bytes, more than %d", length, maxHeader)
	}
	if length > size-at {
		return nil, fmt.Errorf("its header claims %d bytes where %d are left", length, max(size-at, 0))
	}
	header := make([]byte, length)
	if err := readAt(src, header, at); err != nil {
		return nil, err
	}
	descr, fortran, shape, err := parseHeader(header)
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	d, err := ParseDType(descr)
	if err != nil {
		return nil, err
	}
	if d.Kind == 'O' {
		return nil, fmt.Errorf("it holds Python objects, which only Python can read: save it with .astype('U') or as numbers")
	}
	return New(src, at+length, size, shape, d, fortran)
}

// parseHeader reads a Python dictionary with the keys descr (text), fortran_order (True or False) and shape
// (a tuple of integers), in any order: {'descr': '<f8', 'fortran_order': False, 'shape': (150, 4), }
func parseHeader(b []byte) (descr string, fortran bool, shape []int, err error) {
	p := &parser{s: string(bytes.TrimRight(b, " \n\x00"))}
	seen := map[string]bool{}
	p.want("{")
	for p.err == nil && !p.have("}") {
		key := p.text()
		p.want(":")
		if seen[key] {
			p.fail("%q occurs twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			if p.peek() == '[' {
				p.fail("it is an array of records: save its fields as columns")
				break
			}
			descr = p.text()
		case "fortran_order":
			if fortran = p.have("True"); !fortran {
				p.want("False")
			}
		case "shape":
			shape = p.tuple()
		default:
			p.fail("the key %.20q is not known", key)
		}
		if !p.have(",") && p.peek() != '}' {
			p.want(",")
		}
	}
	if p.err == nil && strings.TrimSpace(p.s) != "" {
		p.fail("%.20q follows its end", p.s)
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if p.err == nil && !seen[key] {
			p.fail("%q is missing", key)
		}
	}
	return descr, fortran, shape, p.err
}

// parser takes Python literals off the front of a text. After the first error it takes nothing more.
type parser struct {
	s   string
	err error
}

//go:noinline
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *parser) peek() byte {
	if p.s = strings.TrimLeft(p.s, " \t\n"); p.s == "" {
		return 0
	}
	return p.s[0]
}

func (p *parser) have(token string) bool {
	p.peek()
	if p.err != nil || !strings.HasPrefix(p.s, token) {
		return false
	}
	p.s = p.s[len(token):]
	return true
}

func (p *parser) want(token string) {
	if p.err == nil && !p.have(token) {
		p.fail("%q expected, not %.20q", token, p.s)
	}
}

func (p *parser) text() string {
	quote := p.peek()
	if p.err != nil || quote != '\'' && quote != '"' {
		p.fail("a text in quotes expected, not %.20q", p.s)
		return ""
	}
	end := strings.IndexByte(p.s[1:], quote)
	if end < 0 {
		p.fail("a text does not end")
		return ""
	}
	text := p.s[1 : 1+end]
	p.s = p.s[end+2:]
	return text
}

func (p *parser) tuple() []int {
	shape := []int{}
	p.want("(")
	for p.err == nil && !p.have(")") {
		p.peek()
		n := 0
		for n < len(p.s) && p.s[n] >= '0' && p.s[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(p.s[:n])
		if err != nil {
			p.fail("a size expected, not %.20q", p.s)
			break
		}
		if shape = append(shape, v); len(shape) > maxRank {
			p.fail("more than %d dimensions", maxRank)
		}
		p.s = strings.TrimPrefix(p.s[n:], "L") // Python 2
		if !p.have(",") && p.peek() != ')' {
			p.want(")")
		}
	}
	return shape
}
