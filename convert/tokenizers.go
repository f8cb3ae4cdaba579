package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/convert/ctranslate2"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// spmBeside looks for SentencePiece models in the folder, by the names that OPUS-MT and Argos use. Empty: none.
func (s *source) spmBeside() (source, target string) {
	for _, names := range [][2]string{{"source.spm", "target.spm"}, {"sentencepiece.model", "sentencepiece.model"}, {"spm.model", "spm.model"}} {
		found := true
		for _, name := range names {
			_, err := fs.Stat(s.files, name)
			found = found && err == nil
		}
		if found {
			return names[0], names[1]
		}
	}
	return "", ""
}

// spmTokenizers builds the images of two SentencePiece models whose pieces get their ids from the vocabularies. Where both
// are the same, one image serves both languages.
func (s *source) spmTokenizers(sourceName, targetName string, sourceVocab, targetVocab map[string]int32, separate bool) error {
	read := func(name string) ([]byte, error) {
		path := filepath.Join(s.path, name)
		raw, err := readSmallIn(s.files, name, path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, failure(path, "is missing", "it cuts text into the pieces that the vocabulary numbers; download it as well")
		}
		return raw, err
	}
	source, err := read(sourceName)
	if err != nil {
		return err
	}
	target, err := read(targetName)
	if err != nil {
		return err
	}
	if s.sourceTokenizer, err = text.Build(source, sourceVocab); err != nil {
		return failure(filepath.Join(s.path, sourceName), err.Error(), "download it again")
	}
	if !separate && bytes.Equal(source, target) {
		return nil
	}
	if s.targetTokenizer, err = text.Build(target, targetVocab); err != nil {
		return failure(filepath.Join(s.path, targetName), err.Error(), "download it again")
	}
	return nil
}

// jsonTokenizer builds the one tokenizer of both languages from a tokenizer.json, for embeddings of so many rows; drop leaves the last
// one out.
func (s *source) jsonTokenizer(rows int, drop bool) error {
	path := filepath.Join(s.path, "tokenizer.json")
	raw, err := readSmall(path)
	if err != nil {
		return err
	}
	const instead = "put the source.spm, target.spm and vocab.json of the model beside it"
	if err := checkpoint.DecodeJSON(path, raw, &json.RawMessage{}); err != nil { // what is no JSON at all
		return err
	}
	parsed, err := text.ParseJSON(raw)
	if err != nil {
		return failure(path, err.Error(), instead)
	}
	to, vocab := &s.config, parsed.Vocab
	var outside error
	vocab.Each(func(token string, id int32) {
		if int(id) >= rows {
			outside = failure(path, fmt.Sprintf("gives %q the id %d, outside of the %d rows of the embeddings", token, id, rows), "it belongs to another model")
		}
	})
	if outside != nil {
		return outside
	}
	if drop {
		vocab.Remove(int32(rows - 1))
	}
	ids := func(tokens []string) (ids []int32, err error) {
		for _, token := range tokens {
			id, ok := vocab.ID(token)
			if !ok {
				return nil, failure(path, fmt.Sprintf("puts %q around each text, which is not in its vocabulary", token), instead)
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	if to.SourcePrefix, err = ids(parsed.Prefix); err != nil {
		return err
	}
	suffix, err := ids(parsed.Suffix)
	if err != nil {
		return err
	}
	if len(suffix) > 1 {
		return failure(path, fmt.Sprintf("puts %d tokens behind each text", len(suffix)), "this version knows one, which ends it")
	}
	if to.SourceEOS = len(suffix) == 1; to.SourceEOS {
		to.SourceEOSID = suffix[0]
	}
	s.noteLanguages(vocab.Each)
	if s.sourceTokenizer, err = parsed.Build(); err != nil {
		return failure(path, err.Error(), instead)
	}
	t, err := text.Open(s.sourceTokenizer)
	if err == nil {
		to.TargetUnk = t.Unk()
	}
	return err
}

// tokenLists builds tokenizers that take tokens with spaces between, for a model that comes without its own.
func (s *source) tokenLists(m *ctranslate2.Model) error {
	s.warnings = append(s.warnings, "there is no SentencePiece model beside model.bin: the model takes and gives tokens with spaces between")
	return s.listTokenizers(m, text.BuildTokens)
}

// mosesTokenizers builds tokenizers for words cut by Moses' rules and the codes of a bpe.model.
func (s *source) mosesTokenizers(m *ctranslate2.Model) error {
	b := s.moses
	if !text.KnowsAbbreviations(b.from) {
		s.warnings = append(s.warnings, fmt.Sprintf("of the language %q no abbreviations are known: a full stop behind one becomes a word of its own, which the model may not have seen", b.from))
	}
	return s.listTokenizers(m, func(tokens []string) ([]byte, error) {
		image, err := text.BuildMoses(tokens, b.codes, b.from, b.to)
		if err != nil {
			err = failure(b.path, err.Error(), "download the package again")
		}
		return image, err
	})
}

// listTokenizers compiles the vocabularies as lists.
func (s *source) listTokenizers(m *ctranslate2.Model, compile func([]string) ([]byte, error)) error {
	build := func(v *ctranslate2.Vocabulary) ([]byte, error) {
		tokens := append([]string{}, v.Tokens...)
		seen := make(map[string]bool, len(tokens))
		for i, token := range tokens {
			if seen[token] {
				tokens[i] = fmt.Sprintf("<duplicate %d>", i) // with a space: it cannot come in
			}
			seen[token] = true
		}
		image, err := compile(tokens)
		if err != nil && !errors.As(err, new(*checkpoint.Error)) {
			err = failure(v.Path, err.Error(), "")
		}
		return image, err
	}
	var err error
	if s.sourceTokenizer, err = build(m.Source[0]); err != nil || m.Shared {
		return err
	}
	s.targetTokenizer, err = build(m.Target)
	return err
}
