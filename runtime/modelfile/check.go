package modelfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// checkPiece is how many bytes one goroutine checks at a time.
const checkPiece = 1 << 20

// check reads the whole file, from what says least about it to what says most: header, table, checksums, metadata,
// index, values. Nothing is used before it was checked.
func (f *File) check() error {
	if bigEndian() {
		return f.fail("header", 0, "this machine stores numbers with the highest byte first, .ei8 models need the lowest first")
	}
	for _, step := range []func() error{f.checkTable, f.checkSums, f.checkMeta, f.checkIndex, f.checkValues} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// fail makes a *FormatError about byte offset of the file.
//
//go:noinline
func (f *File) fail(section string, offset uint64, format string, args ...any) error {
	return &FormatError{Path: f.path, Section: section, Offset: int64(offset), Reason: fmt.Sprintf(format, args...)}
}

// unsound is fail for what checksums vouch for: the file came as it was made, and was made wrongly or by a newer program.
func (f *File) unsound(section string, offset uint64, format string, args ...any) error {
	reason, do := fmt.Sprintf(format, args...), "convert the model again"
	if strings.Contains(reason, newer) {
		do = "update edge-infer"
	}
	return f.fail(section, offset, "%s; %s", reason, do)
}

const (
	damaged = "the file was damaged: copy or download it again"
	newer   = "written by a newer edge-infer"
)

// checkTable checks the header and the section table, and that the sections cover the file.
func (f *File) checkTable() error {
	b := f.data
	size := uint64(len(b))
	if size < headerSize {
		return f.fail("header", size, "the file was cut off after %d bytes: copy or download it again", size)
	}
	if checksum(b[:28]) != le.Uint32(b[28:]) {
		return f.fail("header", 28, "the header's checksum does not match: %s", damaged)
	}
	if v := le.Uint32(b[8:]); v > majorVersion {
		return f.unsound("header", 8, newer+": needs format version %d, this one reads up to %d", v, majorVersion)
	} else if v == 0 {
		return f.unsound("header", 8, "format version 0 does not exist")
	}
	total := le.Uint64(b[16:])
	if size < total {
		return f.fail("header", 16, "the file was cut off: it has %d of %d bytes; copy or download it again", size, total)
	}
	if size > total {
		return f.fail("header", 16, "%d bytes follow the end of the model: copy or download it again", size-total)
	}
	count := uint64(le.Uint32(b[12:]))
	if count > maxSections || headerSize+count*entrySize > size {
		return f.unsound("header", 12, "%d sections do not fit: the file has %d bytes, and no version has more than %d", count, size, maxSections)
	}
	table := b[headerSize : headerSize+count*entrySize]
	if checksum(table) != le.Uint32(b[24:]) {
		return f.fail("header", 24, "the section table's checksum does not match: %s", damaged)
	}

	f.sections = make([]section, count)
	seen := uint64(headerSize + len(table)) // end of what is accounted for
	for i := range f.sections {
		at := uint64(headerSize + i*entrySize)
		s := decodeSection(table[i*entrySize:])
		f.sections[i] = s
		if s.flags&flagMust != 0 && !s.kind.known() {
			return f.unsound("section table", at, newer+": needs section %v", s.kind)
		}
		if s.flags&flagMust == 0 && s.kind.known() {
			return f.unsound("section table", at+4, "section %v must be marked as one that must be understood", s.kind)
		}
		if s.flags&^flagMust != 0 || le.Uint32(table[i*entrySize+28:]) != 0 {
			return f.unsound("section table", at+4, "section %v has unknown flags", s.kind)
		}
		for _, other := range f.sections[:i] {
			if other.kind == s.kind {
				return f.unsound("section table", at, "section %v comes twice", s.kind)
			}
		}
		if s.offset != alignUp(seen) {
			return f.unsound("section table", at+8, "section %v starts at byte %d, must start at %d: no holes, no overlap", s.kind, s.offset, alignUp(seen))
		}
		if s.size == 0 || s.offset > size || s.size > size-s.offset {
			return f.unsound("section table", at+16, "section %v of %d bytes does not fit: %d bytes remain", s.kind, s.size, size-min(s.offset, size))
		}
		if err := f.checkZero(s.kind.String(), seen, s.offset); err != nil {
			return err
		}
		seen = s.offset + s.size
	}
	if seen != size {
		return f.unsound("section table", headerSize, "%d bytes after the last section belong to none", size-seen)
	}
	for _, k := range []Kind{SectionMeta, SectionTensors, SectionTensorData} {
		if f.Section(k) == nil {
			return f.unsound("section table", headerSize, "section %v is missing", k)
		}
	}
	return nil
}

// checkZero checks the padding from byte from to byte to, fewer than 64.
func (f *File) checkZero(section string, from, to uint64) error {
	for i := from; i < to; i++ {
		if f.data[i] != 0 {
			return f.fail(section, i, "padding must be zero: %s", damaged)
		}
	}
	return nil
}

// checkSums checks the checksum of every section, in pieces.
func (f *File) checkSums() error {
	type piece struct {
		data []byte
		crc  uint32
	}
	var pieces []piece
	for _, s := range f.sections {
		for at := s.offset; at < s.offset+s.size; at += checkPiece {
			pieces = append(pieces, piece{data: f.data[at:min(at+checkPiece, s.offset+s.size)]})
		}
	}
	data := func(i int) [][]byte { return [][]byte{pieces[i].data} }
	err := f.parallel(len(pieces), func(i int) error {
		f.ahead(i, len(pieces), data)
		pieces[i].crc = checksum(pieces[i].data)
		f.release(pieces[i].data)
		return nil
	})
	if err != nil {
		return err
	}
	next := 0
	for i, s := range f.sections {
		var crc uint32
		for n := uint64(0); n < s.size; next++ {
			crc = combineCRC(crc, pieces[next].crc, len(pieces[next].data))
			n += uint64(len(pieces[next].data))
		}
		if crc != s.crc {
			return f.fail("section table", uint64(headerSize+i*entrySize+24), "the checksum of section %v does not match: %s", s.kind, damaged)
		}
	}
	return nil
}

// ahead asks the system to read the one of n pieces that a frugal check looks at after piece i; with the first for that one, too.
func (f *File) ahead(i, n int, piece func(i int) [][]byte) {
	if !f.frugal {
		return
	}
	for next := min(i, 1) + i; next <= min(i+1, n-1); next++ {
		for _, b := range piece(next) {
			f.ask(b)
		}
	}
}

// Ahead asks the system to read a part of a file that does not fit into memory whole, which is going to be read from end to end.
func (f *File) Ahead(b []byte) {
	if f.tight {
		f.ask(b)
	}
}

// release gives pages that were checked back to the system where f.frugal asks for it: the writer's look at what it wrote
// must not take as much memory as the file has bytes. The map stays valid; pages come back when touched.
func (f *File) release(b []byte) {
	switch {
	case f.tight:
		f.discard(b)
	case f.frugal && f.unmap != nil: // what OpenString was given may not lie in a file
		dropPages(b)
	}
}

// parallel does n independent jobs on up to four cores, each under a guard of its own, and returns the error of the
// lowest job that has one. A small file is done at once by the caller.
func (f *File) parallel(n int, job func(i int) error) error {
	workers := min(goruntime.GOMAXPROCS(0), 4, n, len(f.data)/checkPiece)
	if workers < 2 || f.frugal {
		for i := range n {
			if err := job(i); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, n)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = f.guarded(func() error { return job(i) })
			}
		}()
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkMeta decodes the metadata.
func (f *File) checkMeta() error {
	b := f.Section(SectionMeta)
	at := f.offset(SectionMeta)
	if reason := f.meta.decode(b); reason != "" {
		return f.unsound("META", at, "%s", reason)
	}
	return nil
}

// decode parses and checks the metadata section; reason is "" when all is well.
func (m *Meta) decode(b []byte) (reason string) {
	if len(b) > maxMeta {
		return fmt.Sprintf("metadata of %d bytes, %d are allowed", len(b), maxMeta)
	}
	if !utf8.Valid(b) {
		return "metadata is not UTF-8"
	}
	if !bytes.HasPrefix(b, []byte("{")) { // null would decode as well
		return "metadata is not a JSON object"
	}
	if err := json.Unmarshal(b, m); err != nil {
		return fmt.Sprintf("metadata is not the JSON it must be: %v", err)
	}
	for _, need := range m.Requires {
		if !features[need] {
			return fmt.Sprintf(newer+": needs %q", need)
		}
	}
	if m.Family == "" {
		return "metadata has no family"
	}
	if len(m.Config) > 0 && m.Config[0] != '{' {
		return "config in the metadata is not a JSON object"
	}
	return ""
}

// offset is where a section that is known to be there starts.
func (f *File) offset(k Kind) uint64 {
	for _, s := range f.sections {
		if s.kind == k {
			return s.offset
		}
	}
	panic("modelfile: no section " + k.String())
}

// checkIndex decodes the tensor index. Every array must lie exactly where place says, so that together they fill the
// data section and nothing needs a look for overlap.
func (f *File) checkIndex() error {
	b, start := f.Section(SectionTensors), f.offset(SectionTensors)
	bad := func(at int, format string, args ...any) error {
		return f.unsound("TENS", start+uint64(at), format, args...)
	}
	if len(b) < indexHeader {
		return bad(0, "the index has %d bytes, %d are the least", len(b), indexHeader)
	}
	count := le.Uint32(b)
	if count == 0 || count > maxTensors || int(count) > (len(b)-indexHeader)/(recordSize+8) {
		return bad(0, "%d tensors do not fit: the index has %d bytes, and 1 to %d tensors are allowed", count, len(b), maxTensors)
	}
	if le.Uint32(b[4:]) != 0 {
		return bad(4, "reserved bytes of the index must be zero")
	}
	f.tensors = make([]Tensor, count)
	f.byName = make(map[string]int, count)
	dataStart := f.offset(SectionTensorData)
	dataEnd := dataStart + uint64(len(f.Section(SectionTensorData)))
	at, end := indexHeader, dataStart
	for i := range f.tensors {
		r := b[at:]
		if len(r) < recordSize {
			return bad(at, "the record of tensor %d is cut off", i)
		}
		nameLen, rank := int(r[0]), int(r[3])
		used := recordSize + 8*rank + nameLen
		padded := (used + 7) &^ 7
		if rank > maxRank || padded > len(r) {
			return bad(at, "the record of tensor %d (%d dimensions, name of %d bytes) does not fit", i, rank, nameLen)
		}
		spec := TensorSpec{Name: string(r[used-nameLen : used]), DType: DType(r[1]), Layout: Layout(r[2]), Shape: make([]int, rank)}
		if err := checkName(spec.Name); err != nil {
			return bad(at, "tensor %d %v", i, err)
		}
		if _, twice := f.byName[spec.Name]; twice {
			return bad(at, "tensor %q comes twice", spec.Name)
		}
		f.byName[spec.Name] = i
		for j := range spec.Shape {
			d := le.Uint64(r[recordSize+8*j:])
			if d > math.MaxInt {
				return bad(at+recordSize+8*j, "tensor %q has a dimension of %d: more than fits", spec.Name, d)
			}
			spec.Shape[j] = int(d)
		}
		where, err := spec.place(end)
		if err != nil {
			return bad(at, "tensor %q %v", spec.Name, err)
		}
		scaleType := byte(scaleNone)
		if spec.DType == I8 {
			scaleType = scaleRow
		}
		if group := le.Uint64(r[8:]); group != 0 || r[4] > scaleRow {
			return bad(at+4, newer+": needs tensors with scales of type %d in groups of %d", r[4], group)
		}
		if r[4] != scaleType {
			return bad(at+4, "tensor %q of %v has scales of type %d, must have %d", spec.Name, spec.DType, r[4], scaleType)
		}
		if r[5] != 0 || r[6] != 0 || r[7] != 0 || !allZero(r[used:padded]) {
			return bad(at, "reserved bytes in the record of tensor %q must be zero", spec.Name)
		}
		if where.end > dataEnd {
			return bad(at, "tensor %q of shape %v needs bytes %d to %d, the data ends at %d", spec.Name, spec.Shape, where.data, where.end, dataEnd)
		}
		for j, want := range []uint64{where.data, where.scale, where.sum} {
			if got := le.Uint64(r[16+8*j:]); got != want {
				name := []string{"data", "scales", "sums"}[j]
				return bad(at+16+8*j, "the %s of tensor %q are at byte %d, must be at %d: no holes, no overlap", name, spec.Name, got, want)
			}
		}
		f.tensors[i] = f.tensor(spec, where)
		at += padded
		end = where.end
	}
	if at != len(b) {
		return bad(at, "%d bytes follow the last record", len(b)-at)
	}
	if end != dataEnd {
		return f.unsound("DATA", end, "%d bytes follow the last tensor", dataEnd-end)
	}
	return nil
}

// tensor makes the slices of a tensor whose extent was checked.
func (f *File) tensor(s TensorSpec, e extent) Tensor {
	cut := func(at, size uint64) []byte { return f.data[at : at+size : at+size] }
	t := Tensor{Name: s.Name, DType: s.DType, Layout: s.Layout, Shape: s.Shape, Data: cut(e.data, e.dataSize)}
	if e.scaleSize > 0 {
		t.Scale = view[float32](cut(e.scale, e.scaleSize))
	}
	if e.sumSize > 0 {
		t.Sum = view[int32](cut(e.sum, e.sumSize))
	}
	return t
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
