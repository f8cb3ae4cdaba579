// Package convert makes one .ei8 file out of a model trained elsewhere.
//
//	open the source      marian.go, ctranslate2.go: names, options and vocabularies -> source
//	map its tensors      transformer.go: what an .ei8 of family "transformer" holds, shapes checked
//	quantize and write   write.go: 16 rows at a time, so that a model of any size passes through little memory
//	say what it cost     report.go
//
// The formats themselves are read by the packages below this folder. They run nothing of what they read.
package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// Options says what the source does not, and how to proceed. The zero value is right for a plain conversion.
type Options struct {
	Force        bool     // replace an existing file
	Name         string   // default: the name of the source's folder
	From, To     string   // languages, BCP 47; default: what tokenizer_config.json or the folder's name says
	Licence      string   // SPDX; default: what the folder's README.md declares
	Source       string   // where the model came from, for the file's metadata
	Attributions []string // lines to be shown with the model

	KNN KNNOptions // of models of nearest neighbours and tables of data
	RNN RNNOptions // of recurrent networks

	Bergamot BergamotOptions // of Firefox models

	// Progress, if not nil, is called after each piece of a tensor, with bytes of the source read so far and in all.
	Progress func(tensor string, done, total int64)
}

// Convert reads the model at src (a folder, or its file of weights) and writes dst. On any error, and when ctx ends, no file
// is left behind and an existing dst is as it was.
//
// Errors: *checkpoint.Error for a source that cannot be read or understood, fs.ErrExist for an existing dst without Force,
// those of the file system, and ctx's.
func Convert(ctx context.Context, src, dst string, o Options) (*Report, error) {
	started := time.Now()
	if err := checkTarget(dst, o.Force); err != nil {
		return nil, err
	}
	// A missing one is for the readers to tell. To open a pipe would be to wait for its other end.
	if info, err := os.Stat(src); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, failure(src, "is neither a file nor a folder", "write the model to a file, and name that")
	}
	if network, err := openRNN(src, o.RNN); network != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return convertRNN(ctx, dst, network, o)
	}
	if rows, err := openKNN(src, o.KNN); rows != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return convertKNN(ctx, dst, rows, o)
	}
	s, err := openSource(src, filepath.Dir(dst), o.Bergamot)
	if err != nil {
		return nil, err
	}
	defer s.close()

	meta, err := s.meta(o)
	if err != nil {
		return nil, err
	}
	sections := []modelfile.SectionData{{Kind: modelfile.SectionTokenizerSource, Data: s.sourceTokenizer}}
	if s.targetTokenizer != nil {
		sections = append(sections, modelfile.SectionData{Kind: modelfile.SectionTokenizerTarget, Data: s.targetTokenizer})
	}
	if s.shortlist != nil {
		sections = append(sections, modelfile.SectionData{Kind: modelfile.SectionShortlist, Data: s.shortlist})
	}
	report := &Report{Format: s.format, Source: s.path, Path: dst, Warnings: s.warnings}
	if err := write(ctx, s, dst, meta, sections, o, report); err != nil {
		return nil, err
	}
	info, err := os.Stat(dst)
	if err != nil {
		return nil, err
	}
	report.FileBytes = info.Size()
	report.Duration = time.Since(started)
	return report, nil
}

// checkTarget finds out before any work what would only fail at its end.
func checkTarget(dst string, force bool) error {
	info, err := os.Stat(dst)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder; name the file to write, such as %s", dst, filepath.Join(dst, "model.ei8"))
	case err == nil && !force:
		return fmt.Errorf("%s: %w; choose another name, or replace it with --force", dst, fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be written: %w", dst, err) // among others: a parent that is a file
	}
	folder := filepath.Dir(dst)
	info, err = os.Stat(folder)
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", dst, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s cannot be written: %s is not a folder", dst, folder)
	}
	return nil
}

// source is a foreign model that has been understood: all that an .ei8 holds, its weights still in their files.
type source struct {
	format, path, name               string // name: "" for that of the folder
	files                            fs.FS  // the folder path: what lies beside the weights
	config                           runtime.TransformerConfig
	tensors                          []tensor
	sourceTokenizer, targetTokenizer []byte // images; target nil: one for both languages
	shortlist                        []byte // section of an .ei8; nil: none
	moses                            *mosesCodes
	languages                        modelfile.Languages
	warnings                         []string
	checkpoint                       *checkpoint.Checkpoint
	archive                          io.Closer // nil where the files are not in one
}

// mosesCodes is a bpe.model, and the languages of the rules that cut text before.
type mosesCodes struct {
	path     string
	codes    []byte
	from, to string
}

func (s *source) close() {
	s.checkpoint.Close()
	if s.archive != nil {
		s.archive.Close()
	}
}

// openSource finds out which format src is in, by the files that are there, and reads everything but the weights. What has to be
// unpacked and is too large for memory goes into the folder spill, "" for the system's temporary files.
func openSource(src, spill string, bergamot BergamotOptions) (*source, error) {
	model, err := findBergamot(src)
	switch {
	case err != nil:
		return nil, err
	case model != "":
		return openBergamot(model, spill, bergamot)
	}
	return open(src, spill)
}

// open is openSource for the formats that have no options of their own.
func open(src, spill string) (*source, error) {
	info, err := os.Stat(src)
	if err != nil {
		return nil, err
	}
	folder := src
	if !info.IsDir() {
		// One file of a model's folder stands for the folder: none of the formats fits into one file.
		switch filepath.Base(src) {
		case "model.bin", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "config.json", "metadata.json":
			folder = filepath.Dir(src)
		default:
			if s, err := openArgosArchive(src, spill); s != nil || err != nil {
				return s, err
			}
			return nil, unknownFile(src)
		}
	}
	if folder, err = fromHubCache(folder); err != nil {
		return nil, err
	}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(folder, name))
		return err == nil
	}
	switch {
	case exists("metadata.json") && exists("model/model.bin"):
		return openArgos(os.DirFS(folder), folder)
	case exists("model.bin"):
		return openCTranslate2(folder)
	case exists("config.json"):
		return openHuggingFace(folder)
	}
	return nil, unknownFolder(folder)
}

// unknownFile says what a single file is that no reader takes.
func unknownFile(path string) error {
	head := make([]byte, 8)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, _ := f.ReadAt(head, 0)
	switch head := string(head[:n]); {
	case len(head) >= 4 && head[1:4] == "EI8" || filepath.Ext(path) == ".ei8":
		return failure(path, "is an edge-infer model already", "run it with edge-infer translate -m, or look into it with edge-infer inspect")
	case len(head) >= 4 && head[:4] == "PK\x03\x04":
		return failure(path, "is a zip archive", "unpack it, and name the folder that holds config.json or model.bin")
	case len(head) >= 4 && head[:4] == "GGUF":
		return failure(path, "is a GGUF file, which this version does not read yet", readable)
	case len(head) >= 2 && head[:2] == "\x1f\x8b":
		return failure(path, "is compressed with gzip", "unpack it, and name the folder that holds the model")
	}
	return failure(path, "is not a file that this version reads", readable)
}

const readable = "give the folder of a CTranslate2 model (model.bin with its vocabularies), of a Hugging Face Marian model " +
	"(config.json, model.safetensors or pytorch_model.bin, source.spm, target.spm, vocab.json) or of a Firefox model (model.*.intgemm.alphas.bin, vocab.*.spm), " +
	"an .argosmodel, or one of the files that edge-infer help convert lists"

// unknownFolder says what was looked for, and names formats that are recognised but not read.
func unknownFolder(folder string) error {
	for _, known := range []struct{ pattern, what, do string }{
		{"*.npz", "a native Marian model, which this version does not read", "convert it with ct2-marian-converter or transformers' convert_marian_to_pytorch.py first; if it holds rows of numbers, name the file itself"},
		{"*.gguf", "a GGUF model, which this version does not read", readable},
		{"*.onnx", "an ONNX model, which is read as a file", "name the file itself"},
		{"*.pt", "a PyTorch checkpoint without config.json", "if it holds an RNN, LSTM or GRU, name the file itself; if it is OpenNMT-py's, convert it with ct2-opennmt-py-converter first"},
		{"pytorch_model.bin", "weights without a config.json beside them, which says how many layers and heads they make", "copy it there"},
		{"*.safetensors", "weights without a config.json beside them, which says how many layers and heads they make", "copy it there; if it holds an RNN, LSTM or GRU, name the file itself"},
	} {
		if found, _ := filepath.Glob(filepath.Join(folder, known.pattern)); len(found) > 0 {
			return failure(found[0], "is "+known.what, known.do)
		}
	}
	return failure(folder, "holds no model that this version reads: neither model.bin (CTranslate2) nor config.json (Hugging Face) is there", readable)
}

// failure is an error about a file or folder as a whole.
//
//go:noinline
func failure(path, reason, do string) error {
	return &checkpoint.Error{File: path, Offset: -1, Reason: reason, Do: do}
}

// meta is the file's metadata: what the options say, else what the source says.
func (s *source) meta(o Options) (*modelfile.Meta, error) {
	raw, err := json.Marshal(&s.config)
	if err != nil {
		return nil, err
	}
	if _, err := runtime.ParseTransformerConfig(raw); err != nil {
		return nil, failure(s.path, err.Error(), "the model is of a shape that edge-infer cannot run")
	}
	m := &modelfile.Meta{
		Name:         o.Name,
		Family:       runtime.FamilyTransformer,
		Languages:    s.languages,
		Licence:      o.Licence,
		Attributions: o.Attributions,
		Source:       o.Source,
		Tool:         "edge-infer " + runtime.Version,
		Config:       raw,
	}
	if s.config.DecoderMixer != "" {
		m.Requires = append(m.Requires, s.config.DecoderMixer)
	}
	if s.config.TargetPrefix != nil {
		m.Requires = append(m.Requires, "target_prefix")
	}
	folder := s.path
	if full, err := filepath.Abs(folder); err == nil {
		folder = full
	}
	if m.Name == "" {
		m.Name = s.name
	}
	if m.Name == "" {
		m.Name = nameOfFolder(folder)
	}
	if m.Languages == (modelfile.Languages{}) {
		m.Languages = languagesOfName(nameOfFolder(folder))
	}
	if o.From != "" {
		m.Languages.From = o.From
	}
	if o.To != "" {
		m.Languages.To = o.To
	}
	if m.Licence == "" {
		m.Licence = licenceOfReadme(s.files)
	}
	return m, nil
}
