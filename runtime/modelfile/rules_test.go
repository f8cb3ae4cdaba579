package modelfile

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// broken is a model being broken. Tensors are found by their index in brokenModel.
type broken struct {
	b []byte
}

// brokenModel has one tensor of each sort, all of them padded.
func brokenModel(t testing.TB) *broken {
	s := func(name string, d DType, l Layout, shape ...int) sample {
		s := sample{TensorSpec: TensorSpec{name, d, l, shape}}
		s.data = make([]byte, s.PaddedRows()*s.PaddedCols()*d.Size())
		if d == I8 {
			s.scale = make([]float32, s.PaddedRows())
		}
		if l == N16K4 {
			s.sum = make([]int32, s.PaddedRows())
		}
		return s
	}
	samples := []sample{
		s("blocks", I8, N16K4, 3, 2300), // more than 128 * 4 columns, so that lanes are emptied on the way
		s("bytes", I8, Rows, 5, 20),
		s("half", F16, Rows, 2, 3),
		s("single", F32, Rows, 2, 3),
		s("double", F64, Rows, 3),
	}
	// The largest and smallest values everywhere: sums that would overflow a lane show.
	for k := range 2300 {
		samples[0].data[k/4*64+0*4+k%4] = 127
		samples[0].data[k/4*64+1*4+k%4] = 0x81
		samples[0].data[k/4*64+2*4+k%4] = byte(k % 100)
		samples[0].sum[0] += 127
		samples[0].sum[1] -= 127
		samples[0].sum[2] += int32(k % 100)
	}
	return &broken{image(t, testMeta(), []SectionData{{Kind: SectionTokenizerSource, Data: []byte("tok")}}, samples)}
}

const ( // tensors of brokenModel
	blocks = iota
	bytesRows
	half
	single
	double
)

func (m *broken) entry(i int) []byte { return m.b[headerSize+i*entrySize:] }

// find is the number of a section in the table.
func (m *broken) find(k Kind) int {
	for i := range int(le.Uint32(m.b[12:])) {
		if decodeSection(m.entry(i)).kind == k {
			return i
		}
	}
	panic("no section " + k.String())
}

func (m *broken) section(k Kind) []byte {
	s := decodeSection(m.entry(m.find(k)))
	return m.b[s.offset : s.offset+s.size]
}

// record is the index record of a tensor.
func (m *broken) record(i int) []byte {
	b := m.section(SectionTensors)[indexHeader:]
	for ; i > 0; i-- {
		b = b[(recordSize+8*int(b[3])+int(b[0])+7)&^7:]
	}
	return b
}

// array is the data (0), the scales (1) or the sums (2) of a tensor and everything after them.
func (m *broken) array(i, which int) []byte { return m.b[le.Uint64(m.record(i)[16+8*which:]):] }

// splice puts other content into a section and moves what follows, offsets in the index included.
func (m *broken) splice(k Kind, content []byte) {
	n := int(le.Uint32(m.b[12:]))
	out := bytes.Clone(m.b[:headerSize+n*entrySize])
	var moved int
	for i := range n {
		s := decodeSection(m.entry(i))
		body := m.b[s.offset : s.offset+s.size]
		if s.kind == k {
			body = content
		}
		out = append(out, make([]byte, int(alignUp(uint64(len(out))))-len(out))...)
		moved = len(out) - int(s.offset)
		s.offset, s.size = uint64(len(out)), uint64(len(body))
		s.encode(out[headerSize+i*entrySize:])
		out = append(out, body...)
	}
	m.b = aligned(out)
	le.PutUint64(m.b[16:], uint64(len(out)))
	if k != SectionTensors {
		for i := range int(le.Uint32(m.section(SectionTensors))) {
			for _, at := range []int{16, 24, 32} {
				if old := le.Uint64(m.record(i)[at:]); old != 0 {
					le.PutUint64(m.record(i)[at:], old+uint64(moved))
				}
			}
		}
	}
}

// fix makes all checksums right again, as far as the sections lie in the file.
func (m *broken) fix() {
	fixSums(m.b)
}

func fixSums(b []byte) {
	n := uint64(le.Uint32(b[12:]))
	if size := uint64(len(b)); n <= min(maxSections, (size-headerSize)/entrySize) {
		table := b[headerSize : headerSize+n*entrySize]
		for ; len(table) > 0; table = table[entrySize:] {
			s := decodeSection(table)
			if s.offset <= size && s.size <= size-s.offset {
				// A section over the table itself cannot have a right checksum; all others get theirs.
				le.PutUint32(table[24:], checksum(b[s.offset:s.offset+s.size]))
			}
		}
		le.PutUint32(b[24:], checksum(b[headerSize:headerSize+n*entrySize]))
	}
	le.PutUint32(b[28:], checksum(b[:28]))
}

// ruleCase breaks one rule. Unless raw is set, checksums are made right afterwards, so that the rule itself must answer.
type ruleCase struct {
	reason  string // as FORMAT.md has it
	raw     bool
	breakIt func(m *broken)
	want    string // the whole error, behind the path
}

func put32(b []byte, v uint32) { le.PutUint32(b, v) }
func put64(b []byte, v uint64) { le.PutUint64(b, v) }

func metaText(text string) func(m *broken) {
	return func(m *broken) { m.splice(SectionMeta, []byte(text)) }
}

var ruleCases = []ruleCase{
	{"this is not an .ei8 model", true, func(m *broken) { m.b[0] = 0x88 }, "this is not an .ei8 model: make one with edge-infer convert"},
	{"the file was cut off after", true, func(m *broken) { m.b = m.b[:31] }, "header, byte 31: the file was cut off after 31 bytes: copy or download it again"},
	{"the header's checksum does not match", true, func(m *broken) { m.b[28]++ }, "header, byte 28: the header's checksum does not match: the file was damaged: copy or download it again"},
	{"the header's checksum does not match", true, func(m *broken) { m.b[8]++ }, "header, byte 28: the header's checksum does not match: the file was damaged: copy or download it again"},
	{"needs format version", false, func(m *broken) { put32(m.b[8:], 2) }, "header, byte 8: written by a newer edge-infer: needs format version 2, this one reads up to 1; update edge-infer"},
	{"format version 0 does not exist", false, func(m *broken) { put32(m.b[8:], 0) }, "header, byte 8: format version 0 does not exist; convert the model again"},
	{"the file was cut off: it has", false, func(m *broken) { put64(m.b[16:], uint64(len(m.b)+1)) }, "header, byte 16: the file was cut off: it has 38400 of 38401 bytes; copy or download it again"},
	{"the file was cut off: it has", false, func(m *broken) { put64(m.b[16:], math.MaxUint64) }, "header, byte 16: the file was cut off: it has 38400 of 18446744073709551615 bytes; copy or download it again"},
	{"follow the end of the model", false, func(m *broken) { m.b = append(m.b, 0) }, "header, byte 16: 1 bytes follow the end of the model: copy or download it again"},
	{"sections do not fit", false, func(m *broken) { put32(m.b[12:], 65) }, "header, byte 12: 65 sections do not fit: the file has 38400 bytes, and no version has more than 64; convert the model again"},
	{"sections do not fit", false, func(m *broken) { put32(m.b[12:], math.MaxUint32) }, "header, byte 12: 4294967295 sections do not fit: the file has 38400 bytes, and no version has more than 64; convert the model again"},
	{"sections do not fit", false, func(m *broken) { m.b = m.b[:3*entrySize]; put64(m.b[16:], 3*entrySize) }, "header, byte 12: 4 sections do not fit: the file has 96 bytes, and no version has more than 64; convert the model again"},
	{"the section table's checksum does not match", true, func(m *broken) { m.entry(0)[8]++ }, "header, byte 24: the section table's checksum does not match: the file was damaged: copy or download it again"},
	{"needs section", false, func(m *broken) { copy(m.entry(1), "NEWS") }, "section table, byte 64: written by a newer edge-infer: needs section NEWS; update edge-infer"},
	{"must be marked as one that must be understood", false, func(m *broken) { put32(m.entry(1)[4:], 0) }, "section table, byte 68: section TOKS must be marked as one that must be understood; convert the model again"},
	{"has unknown flags", false, func(m *broken) { put32(m.entry(1)[4:], 3) }, "section table, byte 68: section TOKS has unknown flags; convert the model again"},
	{"has unknown flags", false, func(m *broken) { put32(m.entry(1)[28:], 1) }, "section table, byte 68: section TOKS has unknown flags; convert the model again"},
	{"comes twice", false, func(m *broken) { copy(m.entry(1)[:4], m.entry(0)[:4]) }, "section table, byte 64: section META comes twice; convert the model again"},
	{"no holes, no overlap", false, func(m *broken) { e := m.entry(1)[8:]; put64(e, le.Uint64(e)-64) }, "section table, byte 72: section TOKS starts at byte 384, must start at 448: no holes, no overlap; convert the model again"},
	{"no holes, no overlap", false, func(m *broken) { e := m.entry(1)[8:]; put64(e, le.Uint64(e)+64) }, "section table, byte 72: section TOKS starts at byte 512, must start at 448: no holes, no overlap; convert the model again"},
	{"no holes, no overlap", false, func(m *broken) { put64(m.entry(0)[8:], 0) }, "section table, byte 40: section META starts at byte 0, must start at 192: no holes, no overlap; convert the model again"},
	{"no holes, no overlap", false, func(m *broken) { put64(m.entry(0)[8:], math.MaxUint64-63) }, "section table, byte 40: section META starts at byte 18446744073709551552, must start at 192: no holes, no overlap; convert the model again"},
	{"no holes, no overlap", false, func(m *broken) { e := m.entry(1)[16:]; put64(e, le.Uint64(e)+64) }, "section table, byte 104: section TENS starts at byte 512, must start at 576: no holes, no overlap; convert the model again"},
	{"bytes remain", false, func(m *broken) { put64(m.entry(1)[16:], math.MaxUint64) }, "section table, byte 80: section TOKS of 18446744073709551615 bytes does not fit: 37952 bytes remain; convert the model again"},
	{"bytes remain", false, func(m *broken) { put64(m.entry(3)[16:], 1<<63) }, "section table, byte 144: section DATA of 9223372036854775808 bytes does not fit: 37568 bytes remain; convert the model again"},
	{"bytes remain", false, func(m *broken) { put64(m.entry(1)[16:], 0) }, "section table, byte 80: section TOKS of 0 bytes does not fit: 37952 bytes remain; convert the model again"},
	{"after the last section belong to none", false, func(m *broken) { e := m.entry(3)[16:]; put64(e, le.Uint64(e)-1) }, "section table, byte 32: 1 bytes after the last section belong to none; convert the model again"},
	{"after the last section belong to none", false, func(m *broken) { put32(m.b[12:], 0) }, "section table, byte 32: 38368 bytes after the last section belong to none; convert the model again"},
	{"is missing", false, func(m *broken) { copy(m.entry(0), "TOKT") }, "section table, byte 32: section META is missing; convert the model again"},
	{"is missing", false, func(m *broken) { copy(m.entry(2), "TOKT") }, "section table, byte 32: section TENS is missing; convert the model again"},
	{"is missing", false, func(m *broken) { copy(m.entry(3), "TOKT") }, "section table, byte 32: section DATA is missing; convert the model again"},
	{"padding must be zero", false, func(m *broken) { e := decodeSection(m.entry(1)); m.b[e.offset+e.size] = 1 }, "TENS, byte 451: padding must be zero: the file was damaged: copy or download it again"},
	{"padding must be zero", false, func(m *broken) { m.array(bytesRows, 0)[5*32] = 1 }, "DATA, byte 37984: padding must be zero: the file was damaged: copy or download it again"},
	{"padding must be zero", false, func(m *broken) { m.array(bytesRows, 1)[4*5] = 1 }, "DATA, byte 38036: padding must be zero: the file was damaged: copy or download it again"},
	{"the checksum of section", true, func(m *broken) { m.section(SectionTokenizerSource)[0]++ }, "section table, byte 88: the checksum of section TOKS does not match: the file was damaged: copy or download it again"},
	{"the checksum of section", true, func(m *broken) { m.section(SectionTensorData)[5]++ }, "section table, byte 152: the checksum of section DATA does not match: the file was damaged: copy or download it again"},

	{"are allowed", false, func(m *broken) {
		m.splice(SectionMeta, []byte(`{"family":"knn","name":"`+strings.Repeat("x", 1<<20)+`"}`))
	}, "META, byte 192: metadata of 1048602 bytes, 1048576 are allowed; convert the model again"},
	{"metadata is not UTF-8", false, metaText("{\"family\":\"\xff\"}"), "META, byte 192: metadata is not UTF-8; convert the model again"},
	{"metadata is not a JSON object", false, metaText("null"), "META, byte 192: metadata is not a JSON object; convert the model again"},
	{"metadata is not a JSON object", false, metaText(`["a"]`), "META, byte 192: metadata is not a JSON object; convert the model again"},
	{"metadata is not the JSON it must be", false, metaText(`{"family":1}`), "META, byte 192: metadata is not the JSON it must be: json: cannot unmarshal number into Go struct field Meta.family of type string; convert the model again"},
	{"metadata is not the JSON it must be", false, metaText(`{"family":"knn"} {}`), "META, byte 192: metadata is not the JSON it must be: invalid character '{' after top-level value; convert the model again"},
	{"metadata is not the JSON it must be", false, metaText(`{"family":"knn"`), "META, byte 192: metadata is not the JSON it must be: unexpected end of JSON input; convert the model again"},
	{"metadata is not the JSON it must be", false, metaText(strings.Repeat(`{"config":`, 20000)), "META, byte 192: metadata is not the JSON it must be: invalid character '{' exceeded max depth; convert the model again"},
	{`written by a newer edge-infer: needs "`, false, metaText(`{"family":"knn","requires":["teleport"]}`), `META, byte 192: written by a newer edge-infer: needs "teleport"; update edge-infer`},
	{"metadata has no family", false, metaText(`{}`), "META, byte 192: metadata has no family; convert the model again"},
	{"config in the metadata is not a JSON object", false, metaText(`{"family":"knn","config":[]}`), "META, byte 192: config in the metadata is not a JSON object; convert the model again"},
	{"config in the metadata is not a JSON object", false, metaText(`{"family":"knn","config":null}`), "META, byte 192: config in the metadata is not a JSON object; convert the model again"},

	{"the index has", false, func(m *broken) { m.splice(SectionTensors, make([]byte, 7)) }, "TENS, byte 512: the index has 7 bytes, 8 are the least; convert the model again"},
	{"tensors do not fit", false, func(m *broken) { put32(m.section(SectionTensors), 0) }, "TENS, byte 512: 0 tensors do not fit: the index has 320 bytes, and 1 to 65536 tensors are allowed; convert the model again"},
	{"tensors do not fit", false, func(m *broken) { put32(m.section(SectionTensors), math.MaxUint32) }, "TENS, byte 512: 4294967295 tensors do not fit: the index has 320 bytes, and 1 to 65536 tensors are allowed; convert the model again"},
	{"tensors do not fit", false, func(m *broken) {
		index := make([]byte, indexHeader+(maxTensors+1)*(recordSize+16))
		put32(index, maxTensors+1)
		m.splice(SectionTensors, index)
	}, "TENS, byte 512: 65537 tensors do not fit: the index has 3670080 bytes, and 1 to 65536 tensors are allowed; convert the model again"},
	{"reserved bytes of the index must be zero", false, func(m *broken) { put32(m.section(SectionTensors)[4:], 1) }, "TENS, byte 516: reserved bytes of the index must be zero; convert the model again"},
	{"is cut off", false, func(m *broken) { put32(m.section(SectionTensors), 6) }, "TENS, byte 832: the record of tensor 5 is cut off; convert the model again"},
	{"dimensions, name of", false, func(m *broken) { m.record(double)[0] = 255 }, "TENS, byte 776: the record of tensor 4 (1 dimensions, name of 255 bytes) does not fit; convert the model again"},
	{"dimensions, name of", false, func(m *broken) { m.record(blocks)[3] = 9 }, "TENS, byte 520: the record of tensor 0 (9 dimensions, name of 6 bytes) does not fit; convert the model again"},
	{"has no name", false, func(m *broken) { m.record(blocks)[0] = 0 }, "TENS, byte 520: tensor 0 has no name; convert the model again"},
	{"has a name with the byte", false, func(m *broken) { m.record(blocks)[recordSize+16] = '\n' }, "TENS, byte 520: tensor 0 has a name with the byte 0x0a; letters, digits and . _ - / are allowed; convert the model again"},
	{"has a name with the byte", false, func(m *broken) { m.record(blocks)[recordSize+16] = 0 }, "TENS, byte 520: tensor 0 has a name with the byte 0x00; letters, digits and . _ - / are allowed; convert the model again"},
	{"comes twice", false, func(m *broken) { copy(m.record(double)[recordSize+8:], "single") }, `TENS, byte 776: tensor "single" comes twice; convert the model again`},
	{"more than fits", false, func(m *broken) { put64(m.record(blocks)[recordSize:], math.MaxUint64) }, `TENS, byte 560: tensor "blocks" has a dimension of 18446744073709551615: more than fits; convert the model again`},
	{"more than fits", false, func(m *broken) { put64(m.record(blocks)[recordSize+8:], 1<<63) }, `TENS, byte 568: tensor "blocks" has a dimension of 9223372036854775808: more than fits; convert the model again`},
	{"needs tensors of", false, func(m *broken) { m.record(blocks)[1] = byte(I4) }, `TENS, byte 520: tensor "blocks" written by a newer edge-infer: needs tensors of i4; update edge-infer`},
	{"needs tensors of", false, func(m *broken) { m.record(blocks)[1] = 77 }, `TENS, byte 520: tensor "blocks" written by a newer edge-infer: needs tensors of type 77; update edge-infer`},
	{"has no type", false, func(m *broken) { m.record(blocks)[1] = 0 }, `TENS, byte 520: tensor "blocks" has no type; convert the model again`},
	{"needs tensors in", false, func(m *broken) { m.record(blocks)[2] = 3 }, `TENS, byte 520: tensor "blocks" written by a newer edge-infer: needs tensors in layout 3; update edge-infer`},
	{"has no layout", false, func(m *broken) { m.record(blocks)[2] = 0 }, `TENS, byte 520: tensor "blocks" has no layout; convert the model again`},
	{"which is for i8", false, func(m *broken) { m.record(half)[2] = byte(N16K4) }, `TENS, byte 648: tensor "half" is f16 in layout n16k4, which is for i8; convert the model again`},
	{"dimensions, must have", false, func(m *broken) {
		index := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 8, byte(F32), byte(Rows)}, make([]byte, recordSize-3)...)
		m.splice(SectionTensors, append(index, "tensor-a"...))
	}, `TENS, byte 520: tensor "tensor-a" has 0 dimensions, must have 1 to 8; convert the model again`},
	{"must be 1 or more", false, func(m *broken) { put64(m.record(blocks)[recordSize:], 0) }, `TENS, byte 520: tensor "blocks" has a dimension of 0, must be 1 or more; convert the model again`},
	{"n16k4 allows", false, func(m *broken) { put64(m.record(blocks)[recordSize+8:], 1<<17) }, `TENS, byte 520: tensor "blocks" has rows of 131072 elements, n16k4 allows 131071; convert the model again`},
	{"more than 2^48 bytes", false, func(m *broken) {
		put64(m.record(bytesRows)[recordSize:], math.MaxInt)
		put64(m.record(bytesRows)[recordSize+8:], math.MaxInt)
	}, `TENS, byte 584: tensor "bytes" has a shape of more than 2^48 bytes; convert the model again`},
	{"more than 2^48 bytes", false, func(m *broken) {
		put64(m.record(bytesRows)[recordSize:], math.MaxInt32)
		put64(m.record(bytesRows)[recordSize+8:], math.MaxInt32)
	}, `TENS, byte 584: tensor "bytes" has a shape of more than 2^48 bytes; convert the model again`},
	{"needs tensors with scales of type", false, func(m *broken) { m.record(blocks)[4] = 2 }, "TENS, byte 524: written by a newer edge-infer: needs tensors with scales of type 2 in groups of 0; update edge-infer"},
	{"needs tensors with scales of type", false, func(m *broken) { put64(m.record(blocks)[8:], 32) }, "TENS, byte 524: written by a newer edge-infer: needs tensors with scales of type 1 in groups of 32; update edge-infer"},
	{"has scales of type", false, func(m *broken) { m.record(blocks)[4] = 0 }, `TENS, byte 524: tensor "blocks" of i8 has scales of type 0, must have 1; convert the model again`},
	{"has scales of type", false, func(m *broken) { m.record(half)[4] = 1 }, `TENS, byte 652: tensor "half" of f16 has scales of type 1, must have 0; convert the model again`},
	{"reserved bytes in the record", false, func(m *broken) { m.record(blocks)[7] = 1 }, `TENS, byte 520: reserved bytes in the record of tensor "blocks" must be zero; convert the model again`},
	{"reserved bytes in the record", false, func(m *broken) { m.record(half)[recordSize+16+7] = 1 }, `TENS, byte 648: reserved bytes in the record of tensor "half" must be zero; convert the model again`},
	{"the data ends at", false, func(m *broken) { put64(m.record(double)[recordSize:], 17) }, `TENS, byte 776: tensor "double" of shape [17] needs bytes 38272 to 38528, the data ends at 38400; convert the model again`},
	{"the data ends at", false, func(m *broken) {
		data := m.section(SectionTensorData)
		m.splice(SectionTensorData, bytes.Clone(data[:len(data)-1]))
	}, `TENS, byte 776: tensor "double" of shape [3] needs bytes 38272 to 38400, the data ends at 38399; convert the model again`},
	{"the data ends at", false, func(m *broken) { put64(m.record(bytesRows)[recordSize:], 1<<30) }, `TENS, byte 584: tensor "bytes" of shape [1073741824 20] needs bytes 37824 to 38654743488, the data ends at 38400; convert the model again`},
	{"must be at", false, func(m *broken) { put64(m.record(half)[16:], le.Uint64(m.record(bytesRows)[16:])) }, `TENS, byte 664: the data of tensor "half" are at byte 37824, must be at 38080: no holes, no overlap; convert the model again`},
	{"must be at", false, func(m *broken) { put64(m.record(half)[24:], le.Uint64(m.record(bytesRows)[24:])) }, `TENS, byte 672: the scales of tensor "half" are at byte 38016, must be at 0: no holes, no overlap; convert the model again`},
	{"must be at", false, func(m *broken) { put64(m.record(blocks)[32:], 0) }, `TENS, byte 552: the sums of tensor "blocks" are at byte 0, must be at 37760: no holes, no overlap; convert the model again`},
	{"must be at", false, func(m *broken) { put64(m.record(half)[recordSize:], 3) }, `TENS, byte 728: the data of tensor "single" are at byte 38144, must be at 38208: no holes, no overlap; convert the model again`},
	{"follow the last record", false, func(m *broken) { put32(m.section(SectionTensors), 4) }, "TENS, byte 776: 56 bytes follow the last record; convert the model again"},
	{"follow the last tensor", false, func(m *broken) { m.splice(SectionTensorData, append(bytes.Clone(m.section(SectionTensorData)), 0)) }, "DATA, byte 38400: 1 bytes follow the last tensor; convert the model again"},

	{"holds -128", false, func(m *broken) { m.array(blocks, 0)[2*4] = 0x80 }, `DATA, byte 840: tensor "blocks" holds -128: int8 weights must be -127 to 127; convert the model again`},
	{"holds -128", false, func(m *broken) { m.array(blocks, 0)[16*2304-1] = 0x80 }, `DATA, byte 37695: tensor "blocks" holds -128: int8 weights must be -127 to 127; convert the model again`},
	{"holds -128", false, func(m *broken) { m.array(bytesRows, 0)[4*32+19] = 0x80 }, `DATA, byte 37971: tensor "bytes" holds -128: int8 weights must be -127 to 127; convert the model again`},
	{"the sum of row", false, func(m *broken) { m.array(blocks, 0)[2*4]++ }, `DATA, byte 37768: tensor "blocks": the sum of row 2 is given as 113850, but is 113851; convert the model again`},
	{"the sum of row", false, func(m *broken) { m.array(blocks, 2)[0]++ }, `DATA, byte 37760: tensor "blocks": the sum of row 0 is given as 292101, but is 292100; convert the model again`},
	{"the sum of row", false, func(m *broken) { m.array(blocks, 2)[15*4]++ }, `DATA, byte 37820: tensor "blocks": the sum of row 15 is given as 1, but is 0; convert the model again`},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(blocks, 1), math.Float32bits(float32(math.NaN()))) }, `DATA, byte 37696: tensor "blocks": the scale of row 0 is NaN, must be finite and not negative; convert the model again`},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(blocks, 1)[8:], 0x7f800000) }, `DATA, byte 37704: tensor "blocks": the scale of row 2 is +Inf, must be finite and not negative; convert the model again`},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(bytesRows, 1)[16:], math.Float32bits(-1)) }, `DATA, byte 38032: tensor "bytes": the scale of row 4 is -1, must be finite and not negative; convert the model again`},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(bytesRows, 1), 1<<31) }, `DATA, byte 38016: tensor "bytes": the scale of row 0 is -0, must be finite and not negative; convert the model again`},
	{"which is padding", false, func(m *broken) { put32(m.array(blocks, 1)[12:], math.Float32bits(1)) }, `DATA, byte 37708: tensor "blocks": the scale of row 3, which is padding, is 1, must be 0; convert the model again`},
	{"must be finite", false, func(m *broken) { m.array(half, 0)[2*16+5] = 0x7c }, `DATA, byte 38116: tensor "half": element 2 of row 1 must be finite; convert the model again`},
	{"must be finite", false, func(m *broken) { put32(m.array(single, 0)[64+8:], 0xff800000) }, `DATA, byte 38216: tensor "single": element 2 of row 1 must be finite; convert the model again`},
	{"must be finite", false, func(m *broken) { put64(m.array(double, 0), math.Float64bits(math.NaN())) }, `DATA, byte 38272: tensor "double": element 0 of row 0 must be finite; convert the model again`},
	{"padding of row", false, func(m *broken) { // a padding column of a real row, with the sum made right
		m.array(blocks, 0)[2300/4*64+2*4]++
		sum := m.array(blocks, 2)[2*4:]
		put32(sum, le.Uint32(sum)+1)
	}, `DATA, byte 37640: tensor "blocks": padding of row 2 must be zero; convert the model again`},
	{"padding of row", false, func(m *broken) { m.array(bytesRows, 0)[20] = 1 }, `DATA, byte 37844: tensor "bytes": padding of row 0 must be zero; convert the model again`},
	{"padding of row", false, func(m *broken) { m.array(half, 0)[2*16+2*3] = 1 }, `DATA, byte 38118: tensor "half": padding of row 1 must be zero; convert the model again`},
	{"padding of row", false, func(m *broken) { put32(m.array(single, 0)[4*3:], 1<<31) }, `DATA, byte 38156: tensor "single": padding of row 0 must be zero; convert the model again`},
	{"padding of row", false, func(m *broken) { m.array(double, 0)[8*15] = 1 }, `DATA, byte 38296: tensor "double": padding of row 0 must be zero; convert the model again`},
	{"padding rows after row", false, func(m *broken) { m.array(blocks, 0)[3*4] = 1; put32(m.array(blocks, 2)[12:], 1) }, `DATA, byte 844: tensor "blocks": padding rows after row 2 must be zero; convert the model again`},
	{"padding rows after row", false, func(m *broken) { // +1 and -1: the sum stays 0
		m.array(blocks, 0)[64+15*4] = 1
		m.array(blocks, 0)[64+15*4+1] = 0xff
	}, `DATA, byte 908: tensor "blocks": padding rows after row 2 must be zero; convert the model again`},
}

// Each broken rule is found by its own check, and says so.
func TestRules(t *testing.T) {
	whole := brokenModel(t)
	if _, err := openBytes(whole.b); err != nil {
		t.Fatal(err)
	}
	for i, c := range ruleCases {
		m := &broken{aligned(whole.b)}
		c.breakIt(m)
		if !c.raw {
			m.fix()
		}
		_, err := openBytes(m.b)
		var e *FormatError
		if !errors.As(err, &e) {
			t.Errorf("case %d (%s): error %v", i, c.reason, err)
			continue
		}
		if !strings.Contains(e.Reason, c.reason) {
			t.Errorf("case %d (%s): another reason: %v", i, c.reason, e)
		}
		if got := strings.TrimPrefix(err.Error(), "test: "); got != c.want && math.MaxInt > math.MaxInt32 {
			t.Errorf("case %d:\ngot  %s\nwant %s", i, got, c.want)
		}
		if e.Path != "test" || e.Offset < 0 || e.Offset > int64(len(m.b)) {
			t.Errorf("case %d (%s): %+v", i, c.reason, e)
		}
	}
}

// The splice of the tests moves a file's parts without breaking it, or the cases above would prove nothing.
func TestSpliceKeepsAModelWhole(t *testing.T) {
	m := brokenModel(t)
	m.splice(SectionMeta, []byte(`{"family":"knn","config":{},"later":[1,{}]}`))
	m.splice(SectionTokenizerSource, bytes.Repeat([]byte("x"), 1000))
	m.fix()
	f, err := openBytes(m.b)
	if err != nil {
		t.Fatal(err)
	}
	if f.Meta().Family != "knn" || len(f.Section(SectionTokenizerSource)) != 1000 {
		t.Error("the spliced sections are not there")
	}
}

// Sections and features of later versions: optional ones are passed over, the others are named.
func TestNewerFiles(t *testing.T) {
	_, samples := testModel()
	kind := Kind('X' | 'T'<<8 | 'R'<<16 | 'A'<<24)
	b := image(t, testMeta(), []SectionData{{Kind: kind, Data: []byte("for later"), Optional: true}}, samples)
	f, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(f.Section(kind)) != "for later" || !slices.ContainsFunc(f.Sections(), func(s SectionInfo) bool { return s.Kind == kind && s.Optional }) {
		t.Error("the optional section is not there")
	}
	m := &broken{b}
	put32(m.entry(m.find(kind))[4:], flagMust)
	m.fix()
	if _, err = openBytes(m.b); err == nil || !strings.Contains(err.Error(), "written by a newer edge-infer: needs section XTRA") {
		t.Errorf("error %v", err)
	}

	features["known"] = true
	defer delete(features, "known")
	m = brokenModel(t)
	m.splice(SectionMeta, []byte(`{"family":"knn","requires":["known"]}`))
	m.fix()
	if _, err := openBytes(m.b); err != nil {
		t.Errorf("a feature that is known: %v", err)
	}
}
