package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
)

// readVocabulary reads a vocab.json whose ids must be those of the rows of the embeddings; drop leaves the last one out.
func readVocabulary(path string, rows int, drop bool) (map[string]int32, error) {
	raw, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failure(path, "is missing", "it gives the tokens their ids; download it as well")
	}
	if err != nil {
		return nil, err
	}
	return parseVocabulary(path, raw, rows, drop)
}

// parseVocabulary goes token by token: encoding/json keeps the last of two equal names without a word, and would read on beyond the
// rows there are.
func parseVocabulary(path string, raw []byte, rows int, drop bool) (map[string]int32, error) {
	const other, again = "it belongs to another model", "download it again"
	if err := checkpoint.DecodeJSON(path, raw, &json.RawMessage{}); err != nil { // what is no JSON at all
		return nil, err
	}
	text := bytes.TrimPrefix(raw, []byte("\uFEFF"))
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	fail := func(do, format string, args ...any) error {
		at := int64(len(raw)-len(text)) + in.InputOffset()
		return checkpoint.Errorf(path, "", at, do, format, args...)
	}
	first, err := in.Token()
	if err != nil || first != json.Delim('{') {
		return nil, fail(again, "%s where an object of tokens and their ids was expected", describeJSON(first))
	}
	vocab := make(map[string]int32, min(rows, len(raw)/8))
	byID := make([]string, rows)
	seen := make([]bool, rows)
	for in.More() {
		key, err1 := in.Token()
		value, err2 := in.Token()
		if err := errors.Join(err1, err2); err != nil {
			return nil, fail(again, "%v", err)
		}
		token := key.(string)
		number, _ := value.(json.Number)
		id, err := strconv.ParseInt(string(number), 10, 64)
		_, twice := vocab[token]
		switch {
		case err != nil:
			return nil, fail(again, "%.80q has %s for its id where a whole number was expected", token, describeJSON(value))
		case twice:
			return nil, fail(again, "%.80q is there twice", token)
		case len(vocab) == rows:
			return nil, fail(other, "there are more tokens than the embeddings have rows, %d", rows)
		case id < 0 || id >= int64(rows):
			return nil, fail(other, "%.80q has the id %d, outside of the %d rows of the embeddings", token, id, rows)
		case seen[id]:
			return nil, fail(again, "the id %d is that of %.80q and of %.80q", id, byID[id], token)
		}
		vocab[token], byID[id], seen[id] = int32(id), token, true
	}
	if len(vocab) != rows {
		return nil, failure(path, fmt.Sprintf("has %d tokens, but the embeddings have %d rows", len(vocab), rows), other)
	}
	if drop {
		delete(vocab, byID[rows-1])
	}
	return vocab, nil
}

// describeJSON says what a token is that was not expected.
func describeJSON(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(t)
	case string:
		return fmt.Sprintf("the string %.40q", t)
	case json.Number:
		return fmt.Sprintf("the number %.40s", t)
	case json.Delim:
		if t == '[' {
			return "an array"
		}
	}
	return "an object"
}
