package text

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/fuzztest"
)

// TestHostile: megabytes of the smallest entries of every kind stay within the bound that fuzzing holds small files to.
func TestHostile(t *testing.T) {
	size := 5 << 20
	if testing.Short() {
		size = 3 << 20
	}
	word := func(i int) string { // different ones, three characters or less
		var b []byte
		for ; i > 0 || len(b) == 0; i /= 64 {
			b = append(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"[i%64])
		}
		return string(b)
	}
	fill := func(begin, end string, entry func(i int) string) []byte {
		var b bytes.Buffer
		b.WriteString(begin)
		for i := 0; b.Len() < size; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(entry(i))
		}
		b.WriteString(end)
		return b.Bytes()
	}
	const metaspace = `"pre_tokenizer": {"type": "Metaspace", "replacement": "▁"}`
	const bpe = `{` + metaspace + `, "model": {"type": "BPE", "vocab": `
	for name, raw := range map[string][]byte{
		"tokens":               fill(bpe+`{`, `}}}`, func(i int) string { return fmt.Sprintf("%q:%d", word(i), i) }),
		"tokens, ids apart":    fill(bpe+`{`, `}}}`, func(i int) string { return fmt.Sprintf("%q:%d", word(i), 2*i) }),
		"equal tokens":         fill(bpe+`{`, `}}}`, func(i int) string { return `"":0` }),
		"tokens with escapes":  fill(bpe+`{`, `}}}`, func(i int) string { return fmt.Sprintf(`"\n%s":%d`, word(i), i) }),
		"long tokens":          fill(bpe+`{`, `}}}`, func(i int) string { return fmt.Sprintf("%q:%d", strings.Repeat(word(i), 2000), i) }),
		"empty added tokens":   fill(`{"added_tokens": [`, `], `+metaspace+`, "model": {"vocab": {"a": 0}}}`, func(i int) string { return `{}` }),
		"added tokens":         fill(`{"added_tokens": [`, `], `+metaspace+`, "model": {"vocab": {"!": 0}}}`, func(i int) string { return fmt.Sprintf(`{"id":%d,"content":%q}`, i+1, word(i)) }),
		"equal added tokens":   fill(`{"added_tokens": [`, `], `+metaspace+`, "model": {"vocab": {"!": 0}}}`, func(i int) string { return `{"content":"!"}` }),
		"merges":               fill(bpe+`{"a":0,"aa":1}, "merges": [`, `]}}`, func(i int) string { return `"a a"` }),
		"merges of two":        fill(bpe+`{"a":0,"aa":1}, "merges": [`, `]}}`, func(i int) string { return `["a","a"]` }),
		"empty merges":         fill(bpe+`{"a":0,"aa":1}, "merges": [`, `]}}`, func(i int) string { return `[]` }),
		"numbers for merges":   fill(bpe+`{"a":0,"aa":1}, "merges": [`, `]}}`, func(i int) string { return `0` }),
		"pieces":               fill(`{`+metaspace+`, "model": {"type": "Unigram", "unk_id": 0, "vocab": [`, `]}}`, func(i int) string { return fmt.Sprintf("[%q,0]", word(i)) }),
		"empty pieces":         fill(`{`+metaspace+`, "model": {"type": "Unigram", "unk_id": 0, "vocab": [`, `]}}`, func(i int) string { return `[]` }),
		"normalizers":          fill(`{"normalizer": {"type": "Sequence", "normalizers": [`, `]}, "model": {}}`, func(i int) string { return `{}` }),
		"pre-tokenizers":       fill(`{"pre_tokenizer": {"type": "Sequence", "pretokenizers": [`, `]}, "model": {}}`, func(i int) string { return `{}` }),
		"steps in steps":       fill(`{"normalizer": {"type": "Sequence", "normalizers": [`, `]}, "model": {}}`, func(i int) string { return `{"normalizers":[{},{},{}]}` }),
		"sequences":            fill(`{"normalizer": {"type": "Sequence", `, `}, "model": {}}`, func(i int) string { return `"normalizers":[` + strings.Repeat("{},", 31) + `{}]` }),
		"vocabularies":         fill(`{`+metaspace+`, "model": {"type": "BPE", `, `}}`, func(i int) string { return `"vocab":{"a":0,"b":1,"c":2}` }),
		"templates":            fill(`{"post_processor": {"type": "TemplateProcessing", "single": [`, `]}, "model": {}}`, func(i int) string { return `{}` }),
		"tokens of a template": fill(`{"post_processor": {"type": "TemplateProcessing", "single": [`, `]}, "model": {}}`, func(i int) string { return `{"SpecialToken":{}}` }),
		"what nobody asks for": fill(`{"x": [`, `], "model": {}}`, func(i int) string { return `{}` }),
	} {
		t.Run(name, func(t *testing.T) {
			fuzztest.Bounded(t, len(raw), func() {
				parsed, err := ParseJSON(raw)
				if err == nil {
					_, err = parsed.Build()
				}
				t.Log(err)
			})
		})
	}
	for name, piece := range map[string]func(i int) []byte{
		"SentencePiece": func(i int) []byte { return protoBytes(nil, 1, string(protoBytes(nil, 1, word(i)))) },
		"SentencePiece with scores": func(i int) []byte {
			p := binary.LittleEndian.AppendUint32(append(protoBytes(nil, 1, word(i)), 2<<3|5), math.Float32bits(-float32(i)))
			return protoBytes(nil, 1, string(p))
		},
		"controls": func(i int) []byte { return protoBytes(nil, 1, string(protoVarint(protoBytes(nil, 1, word(i)), 3, 3))) },
		"empty":    func(i int) []byte { return []byte{1<<3 | 2, 0} },
		"samples":  func(i int) []byte { return []byte{4<<3 | 2, 2, 1<<3 | 2, 0} },
	} {
		for _, kind := range []uint64{1, 2} {
			t.Run(fmt.Sprint(name, " ", kind), func(t *testing.T) {
				raw := protoBytes(protoBytes(nil, 2, string(protoVarint(nil, 3, kind))), 1, string(protoVarint(protoBytes(nil, 1, "<unk>"), 3, 2)))
				for i := 0; len(raw) < size; i++ {
					raw = append(raw, piece(i)...)
				}
				fuzztest.Bounded(t, len(raw), func() {
					_, err := Build(raw, nil)
					t.Log(err)
				})
			})
		}
	}
	for name, code := range map[string]func(i int) string{
		"codes": func(i int) string { return word(i) + " b\n" }, "equal codes": func(int) string { return "a b\n" }, "blank codes": func(int) string { return "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte("#version: 0.2\n")
			for i := 0; len(raw) < size; i++ {
				raw = append(raw, code(i)...)
			}
			fuzztest.Bounded(t, len(raw), func() {
				_, err := BuildMoses([]string{"<unk>"}, raw, "en", "de")
				t.Log(err)
			})
		})
	}
}
