// Package safetensors reads .safetensors files: a u64 header length, a JSON header, then the numbers.
//
//	offset  size  what
//	0       8     n, little-endian
//	8       n     {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}, padded with spaces
//	8+n     rest  the data that data_offsets count from
//
// The header is checked as strictly as the format's own library does, and a little more: no name twice,
// no unknown field, every byte of the data belongs to exactly one tensor.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// maxHeader is the bound that the format's own library sets.
const maxHeader = 100_000_000

// dtypes maps the format's names to ours. F4, F6_E2M3 and F6_E3M2 pack elements into parts of a byte and
// are refused by name.
var dtypes = map[string]string{
	"BOOL": checkpoint.Bool, "U8": checkpoint.U8, "I8": checkpoint.I8,
	"F8_E4M3": checkpoint.F8E4, "F8_E5M2": checkpoint.F8E5, "F8_E8M0": checkpoint.F8E8,
	"U16": checkpoint.U16, "I16": checkpoint.I16, "F16": checkpoint.F16, "BF16": checkpoint.BF16,
	"U32": checkpoint.U32, "I32": checkpoint.I32, "F32": checkpoint.F32,
	"U64": checkpoint.U64, "I64": checkpoint.I64, "F64": checkpoint.F64, "C64": checkpoint.C64,
}

// Open opens a .safetensors file, or, given a name that ends in .json, the shards that an index
// (model.safetensors.index.json) lists. Nothing but headers is read.
func Open(path string) (*checkpoint.Checkpoint, error) {
	if strings.HasSuffix(path, ".json") {
		return checkpoint.OpenIndex("safetensors", path, openFile)
	}
	return openFile(path)
}

func openFile(path string) (*checkpoint.Checkpoint, error) {
	f, size, err := checkpoint.OpenFile(path)
	if err != nil {
		return nil, err
	}
	c := checkpoint.New("safetensors", path, f)
	if err := read(c, f, path, size); err != nil {
		f.Close()
		return nil, err
	}
	return c, nil
}

// entry is one line of the header.
type entry struct {
	name       string
	dtype      string
	shape      []int
	start, end uint64 // in the data
}

// read parses the header of one file of size bytes and adds its tensors to c.
func read(c *checkpoint.Checkpoint, src io.ReaderAt, path string, size int64) error {
	fail := func(offset int64, do, format string, args ...any) error {
		return checkpoint.Errorf(path, "", offset, do, format, args...)
	}
	const again = "download or save it again"
	if size < 8 {
		return fail(0, again, "%d bytes are too few for a safetensors file, which starts with 8 bytes of header length", size)
	}
	var head [8]byte
	if _, err := src.ReadAt(head[:], 0); err != nil {
		return &checkpoint.Error{File: path, Offset: 0, Reason: "could not read the header length", Err: err}
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > uint64(size-8) {
		return fail(0, again, "the header claims %d bytes but only %d follow: not a safetensors file, or cut short", n, size-8)
	}
	if n > maxHeader {
		return fail(0, again, "the header claims %d bytes; the format allows %d", n, maxHeader)
	}
	header := make([]byte, n)
	if _, err := src.ReadAt(header, 8); err != nil {
		return &checkpoint.Error{File: path, Offset: 8, Reason: "could not read the header", Err: err}
	}
	entries, metadata, err := parse(header)
	if err != nil {
		err.File = path
		return err
	}

	data := int64(8 + n)
	length := uint64(size - data)
	byStart := make([]*entry, len(entries))
	for i := range entries {
		byStart[i] = &entries[i]
	}
	sort.SliceStable(byStart, func(i, j int) bool {
		if byStart[i].start != byStart[j].start {
			return byStart[i].start < byStart[j].start
		}
		return byStart[i].end < byStart[j].end
	})
	next := uint64(0) // first byte that no tensor owns yet
	for _, e := range byStart {
		at := func(format string, args ...any) error {
			return &checkpoint.Error{File: path, Tensor: e.name, Offset: data + int64(min(e.start, length)),
				Reason: fmt.Sprintf(format, args...), Do: again}
		}
		switch {
		case e.end < e.start:
			return at("data_offsets [%d, %d] end before they start", e.start, e.end)
		case e.end > length:
			return at("data_offsets [%d, %d] reach beyond the %d bytes of data", e.start, e.end, length)
		case e.start < next:
			return at("data_offsets [%d, %d] overlap those of the tensor before", e.start, e.end)
		case e.start > next:
			return at("no tensor owns bytes %d to %d of the data", next, e.start)
		}
		next = e.end
	}
	if next != length {
		return fail(data+int64(next), again, "no tensor owns the last %d bytes", length-next)
	}
	for i := range entries {
		e := &entries[i]
		t, err := checkpoint.NewTensor(path, e.name, dtypes[e.dtype], e.shape, checkpoint.Layout{
			Source: src, Offset: data + int64(e.start), Limit: data + int64(e.end)})
		if err != nil {
			return err
		}
		if need := uint64(t.Len()) * uint64(checkpoint.ElementSize(t.DType)); need != e.end-e.start {
			return &checkpoint.Error{File: path, Tensor: e.name, Offset: t.Offset, Do: again,
				Reason: fmt.Sprintf("shape %v of %s is %d bytes but data_offsets hold %d", e.shape, e.dtype, need, e.end-e.start)}
		}
		if err := c.Add(t); err != nil {
			return err
		}
	}
	for k, v := range metadata {
		if c.Metadata == nil {
			c.Metadata = make(map[string]string)
		}
		c.Metadata[k] = v
	}
	return nil
}

// parse reads the JSON by tokens, because json.Unmarshal keeps the last of two equal names without a word.
func parse(header []byte) ([]entry, map[string]string, *checkpoint.Error) {
	p := &parser{json: json.NewDecoder(bytes.NewReader(header))}
	p.json.UseNumber()
	switch {
	case len(header) == 0 || header[0] != '{':
		return nil, nil, p.fail("", "the header does not start with '{': not a safetensors file")
	case !utf8.Valid(header):
		return nil, nil, p.fail("", "the header is not UTF-8")
	}
	var entries []entry
	var metadata map[string]string
	seen := make(map[string]bool)
	err := p.object("", func(name string) *checkpoint.Error {
		if seen[name] {
			return p.fail(name, "the name occurs twice in the header")
		}
		seen[name] = true
		if name == "__metadata__" {
			metadata = make(map[string]string)
			return p.object(name, func(key string) *checkpoint.Error {
				if _, ok := metadata[key]; ok {
					return p.fail(name, "the key %q occurs twice", key)
				}
				value, err := p.text(name, key)
				metadata[key] = value
				return err
			})
		}
		e, err := p.entry(name)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := bytes.TrimLeft(header[p.json.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, nil, p.fail("", "text follows the end of the header's JSON")
	}
	return entries, metadata, nil
}

type parser struct{ json *json.Decoder }

//go:noinline
func (p *parser) fail(name, format string, args ...any) *checkpoint.Error {
	return &checkpoint.Error{Tensor: name, Offset: 8 + p.json.InputOffset(), Reason: fmt.Sprintf(format, args...), Do: "download or save it again"}
}

func (p *parser) token(name string) (json.Token, *checkpoint.Error) {
	t, err := p.json.Token()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, p.fail(name, "the header's JSON ends early")
	}
	if err != nil {
		return nil, p.fail(name, "the header is not JSON: %v", err)
	}
	return t, nil
}

// object calls member for each key, which must read the value.
func (p *parser) object(name string, member func(key string) *checkpoint.Error) *checkpoint.Error {
	t, err := p.token(name)
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return p.fail(name, "%v where an object was expected", t)
	}
	for {
		t, err := p.token(name)
		if err != nil {
			return err
		}
		if t == json.Delim('}') {
			return nil
		}
		// The decoder lets nothing but strings be keys.
		if err := member(t.(string)); err != nil {
			return err
		}
	}
}

func (p *parser) text(name, field string) (string, *checkpoint.Error) {
	t, err := p.token(name)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", p.fail(name, "%s is %v where a string was expected", field, t)
	}
	return s, nil
}

// numbers reads an array of at most limit natural numbers.
func (p *parser) numbers(name, field string, limit int) ([]uint64, *checkpoint.Error) {
	t, err := p.token(name)
	if err != nil {
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, p.fail(name, "%s is %v where an array was expected", field, t)
	}
	var all []uint64
	for {
		t, err := p.token(name)
		if err != nil {
			return nil, err
		}
		if t == json.Delim(']') {
			return all, nil
		}
		number, ok := t.(json.Number)
		n, bad := strconv.ParseUint(string(number), 10, 64)
		if !ok || bad != nil {
			return nil, p.fail(name, "%s has %v where a whole number from 0 was expected", field, t)
		}
		if len(all) == limit {
			return nil, p.fail(name, "%s has more than %d numbers", field, limit)
		}
		all = append(all, n)
	}
}

var fields = [3]string{"dtype", "shape", "data_offsets"}

func (p *parser) entry(name string) (entry, *checkpoint.Error) {
	e := entry{name: name}
	var seen [3]bool // of fields
	err := p.object(name, func(field string) *checkpoint.Error {
		for i, known := range fields {
			if field == known {
				if seen[i] {
					return p.fail(name, "%s occurs twice", field)
				}
				seen[i] = true
			}
		}
		switch field {
		case "dtype":
			dtype, err := p.text(name, field)
			if err != nil {
				return err
			}
			if _, ok := dtypes[dtype]; !ok {
				bad := p.fail(name, "elements of type %q are not supported", dtype)
				bad.Do = "save the model as float32, float16 or bfloat16"
				return bad
			}
			e.dtype = dtype
		case "shape":
			dims, err := p.numbers(name, field, checkpoint.MaxRank)
			if err != nil {
				return err
			}
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				if e.shape[i] = int(d); e.shape[i] < 0 || uint64(e.shape[i]) != d {
					return p.fail(name, "dimension %d is too large", d)
				}
			}
		case "data_offsets":
			offsets, err := p.numbers(name, field, 2)
			if err != nil {
				return err
			}
			if len(offsets) != 2 {
				return p.fail(name, "data_offsets has %d numbers where 2 were expected", len(offsets))
			}
			e.start, e.end = offsets[0], offsets[1]
		default:
			return p.fail(name, "field %q is not known", field)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	for i, field := range fields {
		if !seen[i] {
			return e, p.fail(name, "%s is missing", field)
		}
	}
	return e, nil
}
