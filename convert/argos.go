package convert

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/edge-infer/edge-infer/convert/archive"
	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// A package of Argos Translate is a zip archive (.argosmodel) of one folder, or that folder:
//
//	metadata.json          languages
//	model/                 a CTranslate2 model
//	sentencepiece.model    cuts text, of both languages; or bpe.model, which cuts what Moses' rules have split
//	stanza/, README.md     finds sentences; not read

// argosMetadata is what metadata.json says.
type argosMetadata struct {
	Type         string `json:"type"` // "" for translate
	From         string `json:"from_code"`
	To           string `json:"to_code"`
	TargetPrefix string `json:"target_prefix"`
}

// openArgosArchive reads src if it is a zip archive with a package in it; nil if it is something else.
func openArgosArchive(src, spill string) (*source, error) {
	named := strings.EqualFold(filepath.Ext(src), ".argosmodel")
	head := make([]byte, 4)
	f, err := os.Open(src)
	if err != nil {
		return nil, err
	}
	n, _ := f.ReadAt(head, 0)
	f.Close()
	if string(head[:n]) != "PK\x03\x04" {
		if named {
			return nil, failure(src, "is not a zip archive, as packages of Argos Translate are", "download it again")
		}
		return nil, nil
	}
	a, err := archive.Open(src, spill)
	if err != nil {
		return nil, err
	}
	s, err := openArgosIn(a, named)
	if s == nil || err != nil {
		a.Close()
		return nil, err
	}
	s.archive, s.name = a, strings.TrimSuffix(filepath.Base(src), filepath.Ext(src))
	return s, nil
}

// openArgosIn finds the package's folder in an archive: the only one with metadata.json.
func openArgosIn(a *archive.Archive, named bool) (*source, error) {
	var found []string
	for _, name := range a.Names() {
		if path.Base(name) == "metadata.json" && strings.Count(name, "/") <= 1 {
			found = append(found, path.Dir(name))
		}
	}
	switch {
	case len(found) == 0 && named:
		return nil, failure(a.Path, "has no metadata.json", "it is no package of Argos Translate, or damaged; download it again")
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		return nil, failure(a.Path, fmt.Sprintf("has several packages: %.40q and %.40q", found[0], found[1]), "unpack it, and name the folder of one")
	}
	files, err := a.Sub(found[0])
	if err != nil {
		return nil, err
	}
	return openArgos(files, filepath.Join(a.Path, filepath.FromSlash(found[0])))
}

// openArgos reads the folder of a package.
func openArgos(files fs.FS, folder string) (*source, error) {
	s := &source{path: folder, files: files}
	name := filepath.Join(folder, "metadata.json")
	raw, err := readSmallIn(files, "metadata.json", name)
	if err != nil {
		return nil, err
	}
	var meta argosMetadata
	if err := checkpoint.DecodeJSON(name, raw, &meta); err != nil {
		return nil, err
	}
	if meta.Type != "" && meta.Type != "translate" {
		return nil, failure(name, fmt.Sprintf("says type %.40q", meta.Type), "this version reads packages that translate")
	}
	has := func(name string) bool {
		_, err := fs.Stat(files, name)
		return err == nil
	}
	switch {
	case !has("model/model.bin"):
		return nil, failure(filepath.Join(folder, "model", "model.bin"), "is missing", "it holds the weights; download the package again")
	case !has("sentencepiece.model") && has("bpe.model"):
		s.moses = &mosesCodes{path: filepath.Join(folder, "bpe.model"), from: meta.From, to: meta.To}
		if s.moses.codes, err = readSmallIn(files, "bpe.model", s.moses.path); err != nil {
			return nil, err
		}
	case !has("sentencepiece.model"):
		return nil, failure(filepath.Join(folder, "sentencepiece.model"), "is missing", "it cuts text into the pieces that the vocabulary numbers; download the package again")
	}
	s.languages = modelfile.Languages{From: language(meta.From), To: language(meta.To)}
	if err := s.openCTranslate2("model"); err != nil {
		return nil, err
	}
	s.format = "Argos Translate, " + s.format
	if err := s.argosPrefix(meta.TargetPrefix, name); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// argosPrefix makes every translation begin with the token that the package wants, which is no part of the translation.
func (s *source) argosPrefix(token, metadata string) error {
	if token == "" {
		return nil
	}
	image := s.targetTokenizer
	if image == nil {
		image = s.sourceTokenizer
	}
	t, err := text.Open(image)
	if err != nil {
		return err
	}
	id, ok := t.ID(token)
	if !ok {
		return failure(metadata, fmt.Sprintf("says target_prefix %.40q, which is not in the model's vocabulary", token), "download the package again")
	}
	s.config.TargetPrefix = []int32{id}
	return nil
}
