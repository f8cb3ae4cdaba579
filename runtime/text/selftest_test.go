package text

import (
	"strings"
	"testing"
)

// withSelfTest is smallModel with a self-test, of the model type given.
func withSelfTest(modelType uint64, input, expected string) []byte {
	m := smallModel()
	m.trainer = protoVarint(nil, 3, modelType)
	sample := protoBytes(protoBytes(nil, 1, input), 2, expected)
	m.rest = protoBytes(nil, 4, string(protoBytes(nil, 1, string(sample))))
	return m.bytes()
}

// TestSelfTest: a model whose own texts come out otherwise is refused, unless it is unigram and the scores agree.
func TestSelfTest(t *testing.T) {
	for _, c := range []struct {
		modelType       uint64
		input, expected string
		fails           bool
	}{
		{1, "ab a<sep>x", "▁a b ▁a <sep> x", false},
		{1, "ll", "▁ l l", false},
		{1, "lo", "▁ o l", false}, // -3 -4 -4 either way
		{1, "ab", "▁ ab", true},
		{2, "ab a<sep>x", "▁a b ▁a <sep> x", false},
		{2, "lo", "▁ o l", true},
		{3, "a b", "▁a ▁b", false}, // ▁b is unknown, and stands as it is
		{3, "a b", "▁a", true},
		{4, "ab", "▁ a b", false},
		{4, "ab", "▁ ab", true},
		{4, "", "", false},
	} {
		for _, vocab := range []map[string]int32{nil, {"<unk>": 0, "a": 1}} {
			image, err := Build(withSelfTest(c.modelType, c.input, c.expected), vocab)
			if !c.fails && err != nil {
				t.Errorf("type %d, %q: %v", c.modelType, c.input, err)
			}
			if c.fails && (err == nil || image != nil || !strings.Contains(err.Error(), "self-test fails: text 0, \""+c.input)) {
				t.Errorf("type %d, %q as %q: %v", c.modelType, c.input, c.expected, err)
			}
		}
	}
}
