package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	const other = "it belongs to another model"
	if err := checkpoint.DecodeJSON(path, raw, &json.RawMessage{}); err != nil { // what is no JSON at all
		return nil, err
	}
	in := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\uFEFF"))))
	in.UseNumber()
	first, err := in.Token()
	if err != nil {
		return nil, failure(path, err.Error(), "download it again")
	}
	if first != json.Delim('{') {
		return nil, failure(path, fmt.Sprintf("is %s where an object of tokens and their ids was expected", describeJSON(first)), "download it again")
	}
	vocab := make(map[string]int32, min(rows, len(raw)/8))
	byID := make([]string, rows)
	seen := make([]bool, rows)
	for in.More() {
		key, err := in.Token()
		var value json.Token
		if err == nil {
			value, err = in.Token()
		}
		if err != nil && err != io.EOF {
			return nil, failure(path, err.Error(), "download it again")
		}
		token := key.(string)
		number, _ := value.(json.Number)
		id, err := strconv.ParseInt(string(number), 10, 64)
		_, twice := vocab[token]
		switch {
		case err != nil:
			return nil, failure(path, fmt.Sprintf("gives %.80q %s where a whole number was expected", token, describeJSON(value)), "download it again")
		case twice:
			return nil, failure(path, fmt.Sprintf("has %.80q twice", token), "download it again")
		case len(vocab) == rows:
			return nil, failure(path, fmt.Sprintf("has more tokens than the embeddings have rows, %d", rows), other)
		case id < 0 || id >= int64(rows):
			return nil, failure(path, fmt.Sprintf("gives %.80q the id %d, outside of the %d rows of the embeddings", token, id, rows), other)
		case seen[id]:
			return nil, failure(path, fmt.Sprintf("gives the id %d to %.80q and to %.80q", id, byID[id], token), "download it again")
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
