package text

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strings"
	"testing"
)

// protoModel writes a ModelProto, for models made by hand.
type protoModel struct{ pieces, trainer, normalizer, rest []byte }

func protoBytes(dst []byte, number int, value string) []byte {
	dst = binary.AppendUvarint(dst, uint64(number)<<3|2)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func protoVarint(dst []byte, number int, value uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(number)<<3), value)
}

func (m *protoModel) add(text string, kind pieceType, score float32) *protoModel {
	p := protoBytes(nil, 1, text)
	p = binary.LittleEndian.AppendUint32(append(p, 2<<3|5), math.Float32bits(score))
	p = protoVarint(p, 3, uint64(kind))
	m.pieces = protoBytes(m.pieces, 1, string(p))
	return m
}

func (m *protoModel) bytes() []byte {
	b := protoBytes(append([]byte{}, m.pieces...), 2, string(m.trainer))
	return append(protoBytes(b, 3, string(m.normalizer)), m.rest...)
}

// madeModel has n pieces: words of letters and of Chinese characters, with random scores.
func madeModel(n int) []byte {
	rnd := rand.New(rand.NewSource(1))
	m := &protoModel{}
	m.add("<unk>", pieceUnknown, 0).add("<s>", pieceControl, 0).add("</s>", pieceControl, 0)
	seen := map[string]bool{}
	for len(seen) < n-3 {
		var w []rune
		if rnd.Intn(2) == 0 {
			w = append(w, '▁')
		}
		for k := 1 + rnd.Intn(7); k > 0; k-- {
			if len(seen)%2 == 0 {
				w = append(w, rune('a'+rnd.Intn(26)))
			} else {
				w = append(w, rune(0x4E00+rnd.Intn(3000)))
			}
		}
		if s := string(w); !seen[s] {
			seen[s] = true
			m.add(s, pieceNormal, -rnd.Float32()*16)
		}
	}
	return m.bytes()
}

const marianSize = 65001

func BenchmarkOpen65001(b *testing.B) {
	image, err := Build(madeModel(marianSize), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ReportMetric(float64(len(image)), "image-bytes")
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, err := Open(image); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild65001(b *testing.B) {
	spm := madeModel(marianSize)
	for i := 0; i < b.N; i++ {
		if _, err := Build(spm, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// goldenTexts are the sentences of a golden file.
func goldenTexts(b *testing.B, file string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	var texts []string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[:100] {
		texts = append(texts, parseGolden(b, line).input)
	}
	return texts
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range []string{"en", "zh-byte", "bpe-mixed", "word-mixed", "char-mixed"} {
		tok := openSPM(b, "testdata/"+name+".model")
		texts := goldenTexts(b, "testdata/"+name+".golden")
		b.Run(name, func(b *testing.B) {
			var sc Scratch
			var ids []int32
			size := 0
			for _, s := range texts {
				size += len(s)
				ids = tok.Encode(ids[:0], s, &sc)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				for _, s := range texts {
					ids = tok.Encode(ids[:0], s, &sc)
				}
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			var sc Scratch
			ids := tok.Encode(nil, strings.Join(texts, " "), &sc)
			out := tok.Decode(nil, ids)
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				out = tok.Decode(out[:0], ids)
			}
		})
	}
}

func BenchmarkLongText(b *testing.B) {
	tok := openSPM(b, "testdata/zh-byte.model")
	for _, size := range []int{1000, 10000, 100000} {
		s := strings.Repeat("这是一个没有空格的长文本", size/36+1)[:size]
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var sc Scratch
			ids := tok.Encode(nil, s, &sc)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				ids = tok.Encode(ids[:0], s, &sc)
			}
		})
	}
}
