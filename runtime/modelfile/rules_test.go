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
	reason  string
	raw     bool
	breakIt func(m *broken)
}

func put32(b []byte, v uint32) { le.PutUint32(b, v) }
func put64(b []byte, v uint64) { le.PutUint64(b, v) }

func metaText(text string) func(m *broken) {
	return func(m *broken) { m.splice(SectionMeta, []byte(text)) }
}

var ruleCases = []ruleCase{
	{"this is not an .ei8 model", true, func(m *broken) { m.b[0] = 0x88 }},
	{"the file was cut off after", true, func(m *broken) { m.b = m.b[:31] }},
	{"the header's checksum does not match", true, func(m *broken) { m.b[28]++ }},
	{"the header's checksum does not match", true, func(m *broken) { m.b[8]++ }},
	{"needs format version", false, func(m *broken) { put32(m.b[8:], 2) }},
	{"format version 0 does not exist", false, func(m *broken) { put32(m.b[8:], 0) }},
	{"the file was cut off: it has", false, func(m *broken) { put64(m.b[16:], uint64(len(m.b)+1)) }},
	{"the file was cut off: it has", false, func(m *broken) { put64(m.b[16:], math.MaxUint64) }},
	{"follow the end of the model", false, func(m *broken) { m.b = append(m.b, 0) }},
	{"sections do not fit", false, func(m *broken) { put32(m.b[12:], 65) }},
	{"sections do not fit", false, func(m *broken) { put32(m.b[12:], math.MaxUint32) }},
	{"sections do not fit", false, func(m *broken) { m.b = m.b[:3*entrySize]; put64(m.b[16:], 3*entrySize) }},
	{"the section table's checksum does not match", true, func(m *broken) { m.entry(0)[8]++ }},
	{"needs section", false, func(m *broken) { copy(m.entry(1), "NEWS") }},
	{"must be marked as one that must be understood", false, func(m *broken) { put32(m.entry(1)[4:], 0) }},
	{"has unknown flags", false, func(m *broken) { put32(m.entry(1)[4:], 3) }},
	{"has unknown flags", false, func(m *broken) { put32(m.entry(1)[28:], 1) }},
	{"comes twice", false, func(m *broken) { copy(m.entry(1)[:4], m.entry(0)[:4]) }},
	{"no holes, no overlap", false, func(m *broken) { e := m.entry(1)[8:]; put64(e, le.Uint64(e)-64) }},
	{"no holes, no overlap", false, func(m *broken) { e := m.entry(1)[8:]; put64(e, le.Uint64(e)+64) }},
	{"no holes, no overlap", false, func(m *broken) { put64(m.entry(0)[8:], 0) }},
	{"no holes, no overlap", false, func(m *broken) { put64(m.entry(0)[8:], math.MaxUint64-63) }},
	{"no holes, no overlap", false, func(m *broken) { e := m.entry(1)[16:]; put64(e, le.Uint64(e)+64) }},
	{"bytes remain", false, func(m *broken) { put64(m.entry(1)[16:], math.MaxUint64) }},
	{"bytes remain", false, func(m *broken) { put64(m.entry(3)[16:], 1<<63) }},
	{"bytes remain", false, func(m *broken) { put64(m.entry(1)[16:], 0) }},
	{"after the last section belong to none", false, func(m *broken) { e := m.entry(3)[16:]; put64(e, le.Uint64(e)-1) }},
	{"after the last section belong to none", false, func(m *broken) { put32(m.b[12:], 0) }},
	{"is missing", false, func(m *broken) { copy(m.entry(0), "TOKT") }},
	{"is missing", false, func(m *broken) { copy(m.entry(2), "TOKT") }},
	{"is missing", false, func(m *broken) { copy(m.entry(3), "TOKT") }},
	{"padding must be zero", false, func(m *broken) { e := decodeSection(m.entry(1)); m.b[e.offset+e.size] = 1 }},
	{"padding must be zero", false, func(m *broken) { m.array(bytesRows, 0)[5*32] = 1 }},
	{"padding must be zero", false, func(m *broken) { m.array(bytesRows, 1)[4*5] = 1 }},
	{"the checksum of section", true, func(m *broken) { m.section(SectionTokenizerSource)[0]++ }},
	{"the checksum of section", true, func(m *broken) { m.section(SectionTensorData)[5]++ }},

	{"are allowed", false, func(m *broken) {
		m.splice(SectionMeta, []byte(`{"family":"knn","name":"`+strings.Repeat("x", 1<<20)+`"}`))
	}},
	{"metadata is not UTF-8", false, metaText("{\"family\":\"\xff\"}")},
	{"metadata is not a JSON object", false, metaText("null")},
	{"metadata is not a JSON object", false, metaText(`["a"]`)},
	{"metadata is not the JSON it must be", false, metaText(`{"family":1}`)},
	{"metadata is not the JSON it must be", false, metaText(`{"family":"knn"} {}`)},
	{"metadata is not the JSON it must be", false, metaText(`{"family":"knn"`)},
	{"metadata is not the JSON it must be", false, metaText(strings.Repeat(`{"config":`, 20000))},
	{`written by a newer edge-infer: needs "`, false, metaText(`{"family":"knn","requires":["teleport"]}`)},
	{"metadata has no family", false, metaText(`{}`)},
	{"config in the metadata is not a JSON object", false, metaText(`{"family":"knn","config":[]}`)},
	{"config in the metadata is not a JSON object", false, metaText(`{"family":"knn","config":null}`)},

	{"the index has", false, func(m *broken) { m.splice(SectionTensors, make([]byte, 7)) }},
	{"tensors do not fit", false, func(m *broken) { put32(m.section(SectionTensors), 0) }},
	{"tensors do not fit", false, func(m *broken) { put32(m.section(SectionTensors), math.MaxUint32) }},
	{"tensors do not fit", false, func(m *broken) {
		index := make([]byte, indexHeader+(maxTensors+1)*(recordSize+16))
		put32(index, maxTensors+1)
		m.splice(SectionTensors, index)
	}},
	{"reserved bytes of the index must be zero", false, func(m *broken) { put32(m.section(SectionTensors)[4:], 1) }},
	{"is cut off", false, func(m *broken) { put32(m.section(SectionTensors), 6) }},
	{"dimensions, name of", false, func(m *broken) { m.record(double)[0] = 255 }},
	{"dimensions, name of", false, func(m *broken) { m.record(blocks)[3] = 9 }},
	{"has no name", false, func(m *broken) { m.record(blocks)[0] = 0 }},
	{"has a name with the byte", false, func(m *broken) { m.record(blocks)[recordSize+16] = '\n' }},
	{"has a name with the byte", false, func(m *broken) { m.record(blocks)[recordSize+16] = 0 }},
	{"comes twice", false, func(m *broken) { copy(m.record(double)[recordSize+8:], "single") }},
	{"more than fits", false, func(m *broken) { put64(m.record(blocks)[recordSize:], math.MaxUint64) }},
	{"more than fits", false, func(m *broken) { put64(m.record(blocks)[recordSize+8:], 1<<63) }},
	{"needs tensors of", false, func(m *broken) { m.record(blocks)[1] = byte(I4) }},
	{"needs tensors of", false, func(m *broken) { m.record(blocks)[1] = 77 }},
	{"has no type", false, func(m *broken) { m.record(blocks)[1] = 0 }},
	{"needs tensors in", false, func(m *broken) { m.record(blocks)[2] = 3 }},
	{"has no layout", false, func(m *broken) { m.record(blocks)[2] = 0 }},
	{"which is for i8", false, func(m *broken) { m.record(half)[2] = byte(N16K4) }},
	{"dimensions, must have", false, func(m *broken) {
		index := append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 8, byte(F32), byte(Rows)}, make([]byte, recordSize-3)...)
		m.splice(SectionTensors, append(index, "tensor-a"...))
	}},
	{"must be 1 or more", false, func(m *broken) { put64(m.record(blocks)[recordSize:], 0) }},
	{"n16k4 allows", false, func(m *broken) { put64(m.record(blocks)[recordSize+8:], 1<<17) }},
	{"more than 2^48 bytes", false, func(m *broken) {
		put64(m.record(bytesRows)[recordSize:], math.MaxInt)
		put64(m.record(bytesRows)[recordSize+8:], math.MaxInt)
	}},
	{"more than 2^48 bytes", false, func(m *broken) {
		put64(m.record(bytesRows)[recordSize:], math.MaxInt32)
		put64(m.record(bytesRows)[recordSize+8:], math.MaxInt32)
	}},
	{"needs tensors with scales of type", false, func(m *broken) { m.record(blocks)[4] = 2 }},
	{"needs tensors with scales of type", false, func(m *broken) { put64(m.record(blocks)[8:], 32) }},
	{"has scales of type", false, func(m *broken) { m.record(blocks)[4] = 0 }},
	{"has scales of type", false, func(m *broken) { m.record(half)[4] = 1 }},
	{"reserved bytes in the record", false, func(m *broken) { m.record(blocks)[7] = 1 }},
	{"reserved bytes in the record", false, func(m *broken) { m.record(half)[recordSize+16+7] = 1 }},
	{"the data ends at", false, func(m *broken) { put64(m.record(double)[recordSize:], 17) }},
	{"the data ends at", false, func(m *broken) {
		data := m.section(SectionTensorData)
		m.splice(SectionTensorData, bytes.Clone(data[:len(data)-1]))
	}},
	{"the data ends at", false, func(m *broken) { put64(m.record(bytesRows)[recordSize:], 1<<30) }},
	{"must be at", false, func(m *broken) { put64(m.record(half)[16:], le.Uint64(m.record(bytesRows)[16:])) }},
	{"must be at", false, func(m *broken) { put64(m.record(half)[24:], le.Uint64(m.record(bytesRows)[24:])) }},
	{"must be at", false, func(m *broken) { put64(m.record(blocks)[32:], 0) }},
	{"must be at", false, func(m *broken) { put64(m.record(half)[recordSize:], 3) }},
	{"follow the last record", false, func(m *broken) { put32(m.section(SectionTensors), 4) }},
	{"follow the last tensor", false, func(m *broken) { m.splice(SectionTensorData, append(bytes.Clone(m.section(SectionTensorData)), 0)) }},

	{"holds -128", false, func(m *broken) { m.array(blocks, 0)[2*4] = 0x80 }},
	{"holds -128", false, func(m *broken) { m.array(blocks, 0)[16*2304-1] = 0x80 }},
	{"holds -128", false, func(m *broken) { m.array(bytesRows, 0)[4*32+19] = 0x80 }},
	{"the sum of row", false, func(m *broken) { m.array(blocks, 0)[2*4]++ }},
	{"the sum of row", false, func(m *broken) { m.array(blocks, 2)[0]++ }},
	{"the sum of row", false, func(m *broken) { m.array(blocks, 2)[15*4]++ }},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(blocks, 1), math.Float32bits(float32(math.NaN()))) }},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(blocks, 1)[8:], 0x7f800000) }},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(bytesRows, 1)[16:], math.Float32bits(-1)) }},
	{"must be finite and not negative", false, func(m *broken) { put32(m.array(bytesRows, 1), 1<<31) }},
	{"which is padding", false, func(m *broken) { put32(m.array(blocks, 1)[12:], math.Float32bits(1)) }},
	{"must be finite", false, func(m *broken) { m.array(half, 0)[2*16+5] = 0x7c }},
	{"must be finite", false, func(m *broken) { put32(m.array(single, 0)[64+8:], 0xff800000) }},
	{"must be finite", false, func(m *broken) { put64(m.array(double, 0), math.Float64bits(math.NaN())) }},
	{"padding of row", false, func(m *broken) { // a padding column of a real row, with the sum made right
		m.array(blocks, 0)[2300/4*64+2*4]++
		sum := m.array(blocks, 2)[2*4:]
		put32(sum, le.Uint32(sum)+1)
	}},
	{"padding of row", false, func(m *broken) { m.array(bytesRows, 0)[20] = 1 }},
	{"padding of row", false, func(m *broken) { m.array(half, 0)[2*16+2*3] = 1 }},
	{"padding of row", false, func(m *broken) { put32(m.array(single, 0)[4*3:], 1<<31) }},
	{"padding of row", false, func(m *broken) { m.array(double, 0)[8*15] = 1 }},
	{"padding rows after row", false, func(m *broken) { m.array(blocks, 0)[3*4] = 1; put32(m.array(blocks, 2)[12:], 1) }},
	{"padding rows after row", false, func(m *broken) { // +1 and -1: the sum stays 0
		m.array(blocks, 0)[64+15*4] = 1
		m.array(blocks, 0)[64+15*4+1] = 0xff
	}},
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
