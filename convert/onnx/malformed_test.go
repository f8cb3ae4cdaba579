package onnx

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// Parts of protobuf messages.

func bytesField(number int, parts ...string) string {
	content := strings.Join(parts, "")
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), uint64(len(content)))) + content
}

func intField(number int, value uint64) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), value))
}

// model is a model of a graph with such content.
func model(graph ...string) string { return bytesField(7, graph...) }

// node is one of a graph.
func node(parts ...string) string { return bytesField(1, parts...) }

// initializer is one of a graph.
func initializer(parts ...string) string { return bytesField(5, parts...) }

// TestMalformed says what is wrong with files that no exporter writes.
func TestMalformed(t *testing.T) {
	deep := bytesField(5, bytesField(6))
	for range 20 {
		deep = bytesField(5, bytesField(6, node(deep)))
	}
	for _, c := range []struct{ data, want string }{
		{"", "x: byte 0: it is not an ONNX model that can be read: it has no graph; export the model again, or download it again"},
		{"not a model", "x: byte 0: it is not an ONNX model that can be read: a field of wire type 6; export the model again, or download it again"},
		{"\x80", "x: byte 0: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{strings.Repeat("\x80", 11), "x: byte 0: it is not an ONNX model that can be read: a number does not end; export the model again, or download it again"},
		{"\x00", "x: byte 0: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{"\x08", "x: byte 0: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{"\x09\x01\x02", "x: byte 0: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{"\x0d\x01\x02", "x: byte 0: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{"\x0b", "x: byte 0: it is not an ONNX model that can be read: a field of wire type 3; export the model again, or download it again"},
		{"\x0c", "x: byte 0: it is not an ONNX model that can be read: a field of wire type 4; export the model again, or download it again"},
		{"\x0e\x01", "x: byte 0: it is not an ONNX model that can be read: a field of wire type 6; export the model again, or download it again"},
		{"\x0f\x01", "x: byte 0: it is not an ONNX model that can be read: a field of wire type 7; export the model again, or download it again"},
		{"\x12\x05abc", "x: byte 0: it is not an ONNX model that can be read: a field claims 5 bytes where 3 are left; export the model again, or download it again"},
		{"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "x: byte 0: it is not an ONNX model that can be read: a field claims 9223372036854775807 bytes where 0 are left; export the model again, or download it again"},
		{"\x12\x80", "x: byte 0: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{intField(2, 7), "x: byte 0: it is not an ONNX model that can be read: field 2 has wire type 0 where bytes were expected; export the model again, or download it again"},
		{bytesField(2, strings.Repeat("a", 1<<16+1)), "x: byte 0: it is not an ONNX model that can be read: a text of 65537 bytes; export the model again, or download it again"},
		{bytesField(8, "\x0a\x05a"), "x: byte 2: it is not an ONNX model that can be read: a field claims 5 bytes where 1 are left; export the model again, or download it again"},
		{bytesField(8, intField(1, 3)), "x: byte 2: it is not an ONNX model that can be read: field 1 has wire type 0 where bytes were expected; export the model again, or download it again"},
		{bytesField(2, "producer"), "x: byte 0: it is not an ONNX model that can be read: it has no graph; export the model again, or download it again"},
		{model() + model(), "x: byte 2: it is not an ONNX model that can be read: it has two graphs; export the model again, or download it again"},
		{intField(7, 1), "x: byte 0: it is not an ONNX model that can be read: a graph of wire type 0; export the model again, or download it again"},
		{"\x3a\x0a\x0a", "x: byte 0: it is not an ONNX model that can be read: a field claims 10 bytes where 1 are left; export the model again, or download it again"},
		{model("\x0a\x05ab"), "x: byte 2: it is not an ONNX model that can be read: a field claims 5 bytes where 2 are left; export the model again, or download it again"},
		{model(node("\x0a\x05ab")), "x: byte 4: it is not an ONNX model that can be read: a field claims 5 bytes where 2 are left; export the model again, or download it again"},
		{model(node(intField(1, 1))), "x: byte 4: it is not an ONNX model that can be read: field 1 has wire type 0 where bytes were expected; export the model again, or download it again"},
		{model(node(bytesField(4, strings.Repeat("a", 1<<16+1)))), "x: byte 8: it is not an ONNX model that can be read: a text of 65537 bytes; export the model again, or download it again"},
		{model(intField(5, 1)), "x: byte 2: it is not an ONNX model that can be read: a tensor of wire type 0; export the model again, or download it again"},
		{model(initializer("\x42\x05w")), "x: byte 4: it is not an ONNX model that can be read: a field claims 5 bytes where 1 are left; export the model again, or download it again"},
		{model(initializer(bytesField(8, "w")), initializer(bytesField(8, "w"))), `x: byte 9: it is not an ONNX model that can be read: the initializer "w" occurs twice; export the model again, or download it again`},
		{model(initializer(strings.Repeat(intField(1, 1), 65))), "x: byte 134: it is not an ONNX model that can be read: a tensor of 65 dimensions; export the model again, or download it again"},
		{model(initializer(bytesField(1, strings.Repeat("\x01", 65)))), "x: byte 4: it is not an ONNX model that can be read: a tensor of 65 dimensions; export the model again, or download it again"},
		{model(initializer(bytesField(1, "\x80"))), "x: byte 4: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{model(initializer(intField(9, 1))), "x: byte 4: it is not an ONNX model that can be read: the numbers of a tensor are not packed; export the model again, or download it again"},
		{model(initializer(intField(4, 1))), "x: byte 4: it is not an ONNX model that can be read: the numbers of a tensor are not packed; export the model again, or download it again"},
		{model(initializer(bytesField(7, "\xff"))), "x: byte 4: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{model(initializer(intField(6, 1))), "x: byte 4: it is not an ONNX model that can be read: field 6 has wire type 0 where bytes were expected; export the model again, or download it again"},
		{model(node(bytesField(5, "\x0a\x09x"))), "x: byte 6: it is not an ONNX model that can be read: a field claims 9 bytes where 1 are left; export the model again, or download it again"},
		{model(node(bytesField(5, intField(5, 1)))), "x: byte 6: it is not an ONNX model that can be read: a tensor of wire type 0; export the model again, or download it again"},
		{model(node(bytesField(5, intField(6, 1)))), "x: byte 6: it is not an ONNX model that can be read: a graph of wire type 0; export the model again, or download it again"},
		{model(node(bytesField(5, bytesField(7, "\x00\x00\x80")))), "x: byte 6: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{model(node(bytesField(5, bytesField(8, "\x80\x80")))), "x: byte 6: it is not an ONNX model that can be read: a field ends early; export the model again, or download it again"},
		{model(node(bytesField(5, intField(9, 1)))), "x: byte 6: it is not an ONNX model that can be read: field 9 has wire type 0 where bytes were expected; export the model again, or download it again"},
		{model(node(deep)), "x: byte 64: it is not an ONNX model that can be read: it is nested more than 32 deep; export the model again, or download it again"},
		{model(bytesField(11, "\x0a\x09x")), "x: byte 4: it is not an ONNX model that can be read: a field claims 9 bytes where 1 are left; export the model again, or download it again"},
		{model(bytesField(12, intField(1, 1))), "x: byte 4: it is not an ONNX model that can be read: field 1 has wire type 0 where bytes were expected; export the model again, or download it again"},
		{model(strings.Repeat(node(), 1<<16+1)), "x: byte 131076: it is not an ONNX model that can be read: it has more than 65536 parts; export the model again, or download it again"},
	} {
		m, err := Read("x", strings.NewReader(c.data), int64(len(c.data)))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.60q: %v\ngot  %v\nwant %s", c.data, m, err, c.want)
		}
	}
}

// TestMalformedTensors: numbers that do not fit what a tensor says of them are an error when they are asked for.
func TestMalformedTensors(t *testing.T) {
	name := bytesField(8, "w")
	for _, c := range []struct{ tensor, want string }{
		{name + intField(1, 2) + intField(2, 1), `tensor "w": an array of shape [2] and type float32 needs more than the 0 bytes that are left`},
		{name + intField(1, 2) + intField(2, 1) + bytesField(9, "1234567"), `tensor "w": an array of shape [2] and type float32 needs more than the 7 bytes that are left`},
		{name + intField(1, 2) + intField(2, 1) + bytesField(9, "123456789"), `tensor "w" of shape [2] has 9 bytes`},
		{name + intField(1, 1<<40) + intField(1, 1<<40) + intField(2, 1) + bytesField(9, "1234"), `tensor "w": an array of the impossible shape [2147483647 2147483647]`},
		{name + intField(2, 0) + bytesField(9, "1234"), `tensor "w": numbers of type 0 are not supported`},
		{name + intField(2, 14) + bytesField(9, "12345678"), `tensor "w": numbers of type 14 are not supported`},
		{name + intField(2, 16) + bytesField(9, "12"), `tensor "w": numbers of type 16 are not supported`},
		{name + intField(1, 1) + intField(2, 6) + bytesField(4, "1234"), `tensor "w": numbers of another type than int32`},
		{name + intField(1, 1) + intField(2, 6) + intField(5, 1) + bytesField(9, "1234"), `tensor "w": numbers of another type than int32`},
		{name + intField(1, 3) + intField(2, 7) + intField(7, 1) + intField(7, 2), `tensor "w": an array of shape [3] and type int64 needs more than the 16 bytes that are left`},
		{name + intField(1, 1) + intField(2, 1) + intField(14, 1), `x: tensor "w": its numbers are in another file, of which the name is missing; copy all files of the model into one folder, or export it with external_data=False`},
		{name + intField(1, 2) + intField(2, 8) + bytesField(6, "a"), `tensor "w": an array of shape [2] has 1 objects`},
	} {
		data := model(initializer(c.tensor))
		m, err := Read("x", strings.NewReader(data), int64(len(data)))
		if err != nil {
			t.Errorf("%q: %v", c.tensor, err)
			continue
		}
		if _, err := m.Graph.Initializers["w"].Array(); err == nil || err.Error() != c.want {
			t.Errorf("%.60q\ngot  %v\nwant %s", c.tensor, err, c.want)
		}
	}
}

// TestHostile: megabytes of the smallest parts stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	fill := func(part string) string { return strings.Repeat(part, 5<<20/len(part)) }
	for name, data := range map[string]string{
		"nodes": model(fill(node())), "attributes": model(fill(node(bytesField(5)))), "initializers": model(fill(initializer())),
		"dimensions": model(initializer(bytesField(1, fill("\x01")))), "integers": model(node(bytesField(5, bytesField(8, fill("\x01"))))),
		"elements": model(initializer(bytesField(5, fill("\x01")))), "texts": model(initializer(fill(bytesField(6, "a")))),
		"inputs": model(node(fill(bytesField(1)))), "operator sets": model() + fill(bytesField(8)),
		"floats": model(node(bytesField(5, bytesField(7, fill("\x00\x00\x80\x3f"))))), "one by one": model(node(bytesField(5, fill(intField(8, 1))))),
	} {
		t.Run(name, func(t *testing.T) {
			fuzztest.Bounded(t, len(data), func() {
				if m, err := Read("x", strings.NewReader(data), int64(len(data))); err == nil {
					constants(m.Graph)
				}
			})
		})
	}
}

// TestVarints: numbers of one byte each, of which a file has many, take the room of the type that they stand for once.
func TestVarints(t *testing.T) {
	const n = 3 << 20
	data := model(initializer(intField(1, n), intField(2, 7), bytesField(8, "x"), bytesField(7, strings.Repeat("\x05", n-1)), intField(7, math.MaxUint64)))
	fuzztest.Bounded(t, len(data), func() {
		m, err := Read("x", strings.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		a, err := m.Graph.Initializers["x"].Array()
		if err != nil {
			t.Fatal(err)
		}
		if row := make([]float64, 1); a.Rows() != n || a.Row(row, 0) != nil || row[0] != 5 || a.Row(row, n-1) != nil || row[0] != -1 {
			t.Errorf("%d rows, the last of which is %v", a.Rows(), row)
		}
	})
}

// zeros are a file of zeros behind what is given.
type zeros string

func (z zeros) ReadAt(b []byte, at int64) (int, error) {
	clear(b)
	if at < int64(len(z)) {
		copy(b, z[at:])
	}
	return len(b), nil
}

// TestLongAttribute: integers of an attribute that would take gigabytes are refused before there is room for them.
func TestLongAttribute(t *testing.T) {
	const n = maxInts + 1
	open := func(number int, size uint64) string {
		return string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3|2), size))
	}
	head := open(8, n)
	for _, number := range []int{5, 1, 7} { // an attribute of a node of a graph
		head = open(number, uint64(len(head)+n)) + head
	}
	fuzztest.Bounded(t, len(head), func() {
		_, err := Read("x", zeros(head), int64(len(head)+n))
		const want = "it is not an ONNX model that can be read: an attribute of 67108865 bytes; export the model again, or download it again"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}
