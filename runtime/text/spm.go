package text

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// pieceType is SentencePiece's own numbering.
type pieceType uint8

const (
	pieceNormal pieceType = iota + 1
	pieceUnknown
	pieceControl
	pieceUserDefined
	pieceUnused
	pieceByte
)

type spmPiece struct {
	text  string
	score float32
	kind  pieceType
}

// spmModel is what segmentation and decoding need of a SentencePiece ModelProto.
type spmModel struct {
	pieces []spmPiece

	modelType    uint64 // 1 unigram, 2 BPE, 3 word, 4 char
	byteFallback bool
	spaceSuffix  bool
	unkSurface   string
	unkPiece     string
	normalizer   spmRules
	denormalizer spmRules // of decoded text, if it has a charsmap
	selfTest     []byte   // the whole model, whose texts with their pieces are read when they are run

	reserved, normal pieceList // what index makes of the pieces: the special ones, and the others
}

// spmRules is a NormalizerSpec.
type spmRules struct {
	charsmap     []byte
	dummyPrefix  bool
	removeSpaces bool
	escape       bool
}

// spmSample is one text of the model's self-test, with its pieces, spaces between.
type spmSample struct{ input, expected []byte }

// protoField is one field of a protobuf message.
type protoField struct {
	number int
	wire   int
	value  uint64 // varint, fixed32 or fixed64
	bytes  []byte // length-delimited; within the message, not copied
}

// eachField calls f for the fields of a message in order. Source: protobuf.dev/programming-guides/encoding.
func eachField(message []byte, f func(protoField) error) error {
	var groups []int // numbers of open groups (deprecated, but legal): their content is skipped
	for at := 0; at < len(message); {
		key, n := binary.Uvarint(message[at:])
		if n <= 0 || key>>3 == 0 || key>>3 > math.MaxInt32>>2 {
			return fmt.Errorf("byte %d is no protobuf field: is this a SentencePiece model?", at)
		}
		start := at
		at += n
		field := protoField{number: int(key >> 3), wire: int(key & 7)}
		truncated := func() error { return fmt.Errorf("the file ends inside field %d at byte %d", field.number, start) }
		switch field.wire {
		case 0:
			if field.value, n = binary.Uvarint(message[at:]); n <= 0 {
				return truncated()
			}
			at += n
		case 1:
			if len(message)-at < 8 {
				return truncated()
			}
			field.value = binary.LittleEndian.Uint64(message[at:])
			at += 8
		case 2:
			size, n := binary.Uvarint(message[at:])
			if n <= 0 {
				return truncated()
			}
			at += n
			if size > uint64(len(message)-at) {
				return fmt.Errorf("field %d at byte %d claims %d bytes, %d are left", field.number, start, size, len(message)-at)
			}
			field.bytes = message[at : at+int(size)]
			at += int(size)
		case 3:
			if len(groups) == 100 {
				return fmt.Errorf("byte %d: groups are nested too deep", start)
			}
			groups = append(groups, field.number)
			continue
		case 4:
			if len(groups) == 0 || groups[len(groups)-1] != field.number {
				return fmt.Errorf("byte %d ends a group that was not begun", start)
			}
			groups = groups[:len(groups)-1]
			continue
		case 5:
			if len(message)-at < 4 {
				return truncated()
			}
			field.value = uint64(binary.LittleEndian.Uint32(message[at:]))
			at += 4
		default:
			return fmt.Errorf("byte %d has the wire type %d: is this a SentencePiece model?", start, field.wire)
		}
		if len(groups) > 0 {
			continue
		}
		if err := f(field); err != nil {
			return err
		}
	}
	if len(groups) > 0 {
		return fmt.Errorf("the file ends inside group %d", groups[len(groups)-1])
	}
	return nil
}

// parseSPM reads a SentencePiece ModelProto (sentencepiece_model.proto of 0.2.3). Fields with another wire type than the
// schema's are unknown fields, and skipped, as protobuf has it.
func parseSPM(data []byte) (*spmModel, error) {
	const smallest = 3 // bytes of a piece of one character
	pieces := 0
	_ = eachField(data, func(f protoField) error { // its error comes again below
		if f.number == 1 && f.wire == 2 && len(f.bytes) >= smallest {
			pieces++
		}
		return nil
	})
	if err := checkCount(pieces); err != nil {
		return nil, err
	}
	m := &spmModel{modelType: 1, unkSurface: " \u2047 ", unkPiece: "<unk>", pieces: make([]spmPiece, 0, pieces), selfTest: data}
	m.normalizer = spmRules{dummyPrefix: true, removeSpaces: true, escape: true}
	m.denormalizer = m.normalizer
	err := eachField(data, func(f protoField) error {
		if f.wire != 2 {
			return nil
		}
		switch f.number {
		case 1:
			piece := spmPiece{kind: pieceNormal}
			err := eachField(f.bytes, func(f protoField) error {
				switch {
				case f.number == 1 && f.wire == 2:
					piece.text = unsafe.String(unsafe.SliceData(f.bytes), len(f.bytes)) // the model's bytes stay until it is compiled
				case f.number == 2 && f.wire == 5:
					piece.score = math.Float32frombits(uint32(f.value))
				case f.number == 3 && f.wire == 0:
					if f.value < uint64(pieceNormal) || f.value > uint64(pieceByte) {
						return fmt.Errorf("its type is %d, 1 to 6 are known", f.value)
					}
					piece.kind = pieceType(f.value)
				}
				return nil
			})
			if err == nil {
				err = piece.check()
			}
			if err != nil {
				return fmt.Errorf("piece %d: %w", len(m.pieces), err)
			}
			m.pieces = append(m.pieces, piece)
		case 2:
			return within("trainer", eachField(f.bytes, m.trainerField))
		case 3:
			return within("normalizer", eachField(f.bytes, m.normalizer.field))
		case 4:
			return within("self-test", eachSample(f.bytes, func(spmSample) error { return nil }))
		case 5:
			return within("rules for decoding", eachField(f.bytes, m.denormalizer.field))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func checkCount(pieces int) error {
	if pieces > maxPieces {
		return fmt.Errorf("there are %d pieces, at most %d may be", pieces, maxPieces)
	}
	return nil
}

// within says in which part of the model an error is.
func within(part string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}

// isNormal: neither a mark, nor a byte, nor what stands for the unknown.
func (p *spmPiece) isNormal() bool {
	return p.kind == pieceNormal || p.kind == pieceUserDefined || p.kind == pieceUnused
}

func (p *spmPiece) check() error {
	if p.text == "" {
		return errors.New("it is empty")
	}
	if len(p.text) >= maxPieceBytes {
		return fmt.Errorf("it has %d bytes, must have less than %d", len(p.text), maxPieceBytes)
	}
	if !finite(p.score) {
		return fmt.Errorf("its score is %g, must be finite", p.score)
	}
	return nil
}

func (m *spmModel) trainerField(f protoField) error {
	switch {
	case f.number == 3 && f.wire == 0:
		m.modelType = f.value
	case f.number == 24 && f.wire == 0:
		m.spaceSuffix = f.value != 0
	case f.number == 35 && f.wire == 0:
		m.byteFallback = f.value != 0
	case f.number == 44 && f.wire == 2:
		m.unkSurface = string(f.bytes)
	case f.number == 45 && f.wire == 2:
		m.unkPiece = string(f.bytes)
	}
	return nil
}

func (r *spmRules) field(f protoField) error {
	switch {
	case f.number == 2 && f.wire == 2:
		r.charsmap = f.bytes
	case f.number == 3 && f.wire == 0:
		r.dummyPrefix = f.value != 0
	case f.number == 4 && f.wire == 0:
		r.removeSpaces = f.value != 0
	case f.number == 5 && f.wire == 0:
		r.escape = f.value != 0
	}
	return nil
}

// eachSample calls f for the texts of a self-test.
func eachSample(test []byte, f func(spmSample) error) error {
	return eachField(test, func(field protoField) error {
		if field.number != 1 || field.wire != 2 {
			return nil
		}
		var sample spmSample
		err := eachField(field.bytes, func(f protoField) error {
			switch {
			case f.number == 1 && f.wire == 2:
				sample.input = f.bytes
			case f.number == 2 && f.wire == 2:
				sample.expected = f.bytes
			}
			return nil
		})
		if err != nil {
			return err
		}
		return f(sample)
	})
}

// splitCharsmap takes the normalizer's blob apart: u32 size of the trie, the trie, strings that end in NUL.
func splitCharsmap(blob []byte) (trie, replace []byte, err error) {
	if len(blob) == 0 {
		return nil, nil, nil
	}
	if len(blob) <= 4 {
		return nil, nil, fmt.Errorf("the normalizer's rules have %d bytes, must have more than 4", len(blob))
	}
	size := uint64(binary.LittleEndian.Uint32(blob))
	if size == 0 {
		return nil, nil, errors.New("the normalizer's trie is empty")
	}
	if size >= uint64(len(blob)-4) {
		return nil, nil, fmt.Errorf("the normalizer's trie claims %d bytes, %d are left", size, len(blob)-4)
	}
	return blob[4 : 4+size], blob[4+size:], nil
}
