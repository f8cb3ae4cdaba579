// Package runtime opens .ei8 models and runs them within a memory plan that is known before anything is allocated.
//
//	model, err := edge.Open("zh-en.ei8")       // map and check; read-only, shared by goroutines
//	plan, err := model.Plan(edge.Options{})    // bytes, before they are allocated
//	tr, err := model.NewTranslator(edge.Options{Beam: 4})
//	out, err := tr.Translate(ctx, []string{"我正在吃饭"})
//
// Import it as edge; the standard library's runtime is goruntime inside this package. RATIONALE.md tells why things are as
// they are. The same model and input give the same bytes on every CPU, with any number of threads and any batch.
package runtime

import (
	"fmt"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// Version of the program; recorded in the files that it writes.
const Version = "0.1.0"

// Model is an opened file. It is read-only; any number of goroutines may make sessions of it. What it can do depends on its
// family; asking one for what another family does is a *FamilyError.
type Model struct {
	file *modelfile.File
	pool threads.Pool

	knn            *knn         // family "knn"
	rnn            *rnn         // family "rnn"
	transformer    *transformer // family "transformer"
	source, target *text.Tokenizer
}

// The families of models, as in a file's metadata.
const (
	FamilyTransformer = "transformer" // encoder-decoder: NewTranslator, NewSession
	FamilyKNN         = "knn"         // nearest neighbours: NewClassifier
	FamilyRNN         = "rnn"         // RNN, LSTM, GRU: NewStream, NewCompleter
)

// Open maps a model file and checks every byte of it.
// Errors: *MemoryError for a machine, or a control group, with less memory than any model needs; those of the file system; *modelfile.FormatError for a file that is not an intact .ei8; *ModelError for a family
// that this version does not know, and for tensors that do not fit the config.
func Open(path string) (*Model, error) {
	if err := checkLeast(); err != nil {
		return nil, err
	}
	file, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	return open(file)
}

// OpenEmbedded uses a model image where it lies in the program, as go:embed puts it into a string.
func OpenEmbedded(name, image string) (*Model, error) {
	file, err := modelfile.OpenString(name, image)
	if err != nil {
		return nil, err
	}
	return open(file)
}

func open(file *modelfile.File) (*Model, error) {
	m := &Model{file: file}
	if err := modelfile.Guard(file.Path(), m.bind); err != nil {
		file.Close()
		return nil, err
	}
	return m, nil
}

func (m *Model) bind() error {
	switch family := m.file.Meta().Family; family {
	case FamilyTransformer:
		return m.bindTransformer()
	case FamilyKNN:
		return m.bindKNN()
	case FamilyRNN:
		return m.bindRNN()
	default:
		return &ModelError{m.file.Path(), "", fmt.Sprintf("holds a model of family %q, which this version cannot run", family)}
	}
}

func (m *Model) bindTransformer() error {
	path := m.file.Path()
	cfg, err := ParseTransformerConfig(m.file.Meta().Config)
	if err != nil {
		return &ModelError{path, "", err.Error()}
	}
	if m.transformer, err = bindTransformer(m.file, cfg); err != nil {
		return err
	}
	if section := m.file.Section(modelfile.SectionShortlist); section != nil {
		if m.transformer.shortlist, err = openShortlist(section, cfg); err != nil {
			return &ModelError{path, "shortlist", err.Error()}
		}
	}
	for _, t := range []struct {
		what    string
		section modelfile.Kind
		vocab   int
		to      **text.Tokenizer
	}{
		{"source tokenizer", modelfile.SectionTokenizerSource, cfg.SourceVocab, &m.source},
		{"target tokenizer", modelfile.SectionTokenizerTarget, cfg.TargetVocab, &m.target},
	} {
		image := m.file.Section(t.section)
		if image == nil && t.section == modelfile.SectionTokenizerTarget {
			image = m.file.Section(modelfile.SectionTokenizerSource) // one for both languages
		}
		if image == nil {
			return &ModelError{path, t.what, "is missing"}
		}
		m.file.Ahead(image)
		if *t.to, err = text.Open(image); err != nil {
			return &ModelError{path, t.what, err.Error()}
		}
		if n := (*t.to).Size(); n > t.vocab {
			return &ModelError{path, t.what, fmt.Sprintf("has %d tokens, the model %d", n, t.vocab)}
		}
	}
	return nil
}

// want is the error of asking a model of one family for what another does, nil if the family is the right one.
func (m *Model) want(family string) error {
	if have := m.file.Meta().Family; have != family {
		return &FamilyError{m.file.Path(), have, family}
	}
	return nil
}

// Close ends the model's worker goroutines and unmaps the file. No session may be in use.
func (m *Model) Close() error {
	m.pool.Close()
	return m.file.Close()
}

// File gives the opened file: metadata, sections, tensors.
func (m *Model) File() *modelfile.File { return m.file }

// Family names what kind of model it is, one of the Family constants.
func (m *Model) Family() string { return m.file.Meta().Family }

// Config gives a Transformer's architecture, nil for other families. It must not be changed.
func (m *Model) Config() *TransformerConfig {
	if m.transformer == nil {
		return nil
	}
	return m.transformer.cfg
}

// Source gives a Transformer's tokenizer of the input, nil for other families.
func (m *Model) Source() *text.Tokenizer { return m.source }

// Target gives a Transformer's tokenizer of the output, nil for other families.
func (m *Model) Target() *text.Tokenizer { return m.target }
