package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/models"
)

// openModel opens the file that -m names, an embedded model by its name, or with "" the default one.
func openModel(name string) (*edge.Model, error) {
	return openWith(name, edge.Open, edge.OpenEmbedded)
}

// openFile is openModel for a model of any family, which need not be one that can be run.
func openFile(name string) (*modelfile.File, error) {
	return openWith(name, modelfile.Open, modelfile.OpenString)
}

func openWith[T any](name string, open func(string) (T, error), openString func(name, image string) (T, error)) (T, error) {
	var none T
	info, err := os.Stat(name)
	if name == "" || errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `/\`) {
		embedded := name
		if name == "" {
			embedded = models.Default
		}
		if image, ok := models.Get(embedded); ok {
			m, err := openString(embedded+" (embedded)", image)
			return m, asModelError(err)
		}
		if name == "" {
			return none, &usageError{"this program was built without a model", "name a file with -m FILE"}
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reason := fmt.Sprintf("there is no model %s", name)
		if names := models.Names(); len(names) > 0 {
			reason += "; embedded: " + strings.Join(names, ", ")
		}
		return none, &modelError{errors.New(reason)}
	case err != nil:
		return none, &modelError{err}
	case info.IsDir():
		return none, &modelError{fmt.Errorf("%s is a folder; to make a model of a checkpoint: edge-infer convert %s -o %s.ei8",
			name, name, filepath.Base(filepath.Clean(name)))}
	}
	m, err := open(name)
	return m, asModelError(err)
}

// asModelError marks an error of opening a model, so that a missing model is told from a missing text.
func asModelError(err error) error {
	if err == nil {
		return nil
	}
	return &modelError{err}
}

// checkLanguages compares --from and --to with what the model translates. A model that names no languages takes any.
func checkLanguages(m *modelfile.Meta, from, to string) error {
	wrong := func(want, have string) bool { return want != "" && have != "" && !strings.EqualFold(want, have) }
	has := m.Languages
	if !wrong(from, has.From) && !wrong(to, has.To) {
		return nil
	}
	if from == "" {
		from = has.From
	}
	if to == "" {
		to = has.To
	}
	return &usageError{fmt.Sprintf("this model translates %s to %s, not %s to %s", has.From, has.To, from, to),
		"name another with -m FILE"}
}
