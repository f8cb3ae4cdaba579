package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/convert"
)

func newConvertCommand() *cobra.Command {
	output := ""
	o := convert.Options{}
	cmd := &cobra.Command{
		Use:   "convert SRC -o FILE",
		Short: "Make a model file of a checkpoint trained elsewhere",
		Long: `Reads a model that was trained elsewhere and writes one compact int8 file, which
holds all that running it takes. SRC is a folder:

  CTranslate2           model.bin with its vocabularies; or an .argosmodel
  Hugging Face Marian   config.json, model.safetensors or pytorch_model.bin,
  (OPUS-MT)             source.spm, target.spm, vocab.json, or tokenizer.json
  Firefox (Bergamot)    model.*.intgemm*.bin, *vocab.*.spm, lex.*.s2t.bin, as they
                        are, .gz or .zst; or that .bin alone with --vocab

or a file:

  CSV, TSV, NPY, NPZ,   training rows, for neighbours; or a neighbours model of
  LIBSVM, fvecs, bvecs  scikit-learn, as .pkl, .joblib or .onnx
  PyTorch               a state dict of an RNN, LSTM or GRU: .pt, .safetensors;
                        beside it NAME.json: vocabulary, tokenizer, output
  ONNX                  .onnx with a chain of LSTM, GRU or RNN nodes

No Python is needed and nothing inside SRC is run. Tensors pass through a few rows
at a time: a 512 MB board can convert its own models. FILE appears when complete.`,
		Example: `  edge-infer convert opus-mt-zh-en/ -o zh-en.ei8
  edge-infer convert opus-mt-zh-en/ -o zh-en.ei8 --force --from zh --to en \
      --licence CC-BY-4.0 --source https://huggingface.co/Helsinki-NLP/opus-mt-zh-en
  edge-infer inspect zh-en.ei8                    # what came out
  edge-infer translate -m zh-en.ei8 你好           # does it speak?
  edge-infer convert iris.csv -o iris.ei8 --label-column species`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Sprintf("convert takes one source, but was given %d", len(args)), "edge-infer convert SRC -o FILE"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return &usageError{"convert needs a name for the new file", fmt.Sprintf("edge-infer convert %s -o FILE", args[0])}
			}
			return runConvert(cmd.Context(), args[0], output, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "the `FILE` to write")
	flags.BoolVar(&o.Force, "force", false, "replace FILE if it exists")
	flags.StringVar(&o.Name, "name", "", "`NAME` of the model (default: that of the folder)")
	flags.StringVar(&o.From, "from", "", "`LANGUAGE` that the model reads, such as zh")
	flags.StringVar(&o.To, "to", "", "`LANGUAGE` that it writes, such as en")
	flags.StringVar(&o.Licence, "licence", "", "`LICENCE` of the model, best as an SPDX name: CC-BY-4.0")
	flags.StringVar(&o.Source, "source", "", "`WHERE` the model came from: address, revision")
	addKNNFlags(flags, &o.KNN)
	flags.StringArrayVar(&o.Attributions, "attribution", nil, "a `LINE` to be shown with the model; may be given again")
	flags.StringArrayVar(&o.Bergamot.Vocabs, "vocab", nil, "of a Firefox model: its SentencePiece `FILE`, or given twice: of the source, of the target")
	flags.StringVar(&o.Bergamot.Shortlist, "shortlist", "", "of a Firefox model: the binary `FILE` of its lexical shortlist")
	flags.StringVar(&o.RNN.Settings, "settings", "", "of a recurrent network: the JSON `FILE` that says what a checkpoint does not (default: NAME.json beside it)")
	flags.StringArrayVar(&o.RNN.Map, "map", nil, "of a recurrent network: `OURS=THEIRS`, such as rnn=decoder.lstm, embed=tokens, head.0=classifier")
	return cmd
}

func runConvert(ctx context.Context, src, dst string, o convert.Options) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(convertMemory(src)) // garbage is collected before it could crowd a small board
	}
	bar := &progressBar{on: isTerminal(os.Stderr)}
	o.Progress = bar.show
	report, err := convert.Convert(ctx, src, dst, o)
	bar.clear()
	switch {
	case errors.Is(err, fs.ErrExist):
		return &usageError{err.Error(), ""}
	case ofSource(err, src):
		if _, missing := os.Stat(src); errors.Is(missing, fs.ErrNotExist) {
			err = fmt.Errorf("%s is not there; give the folder or the file of a model", src)
		}
		return &modelError{err}
	case err != nil:
		return err
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(os.Stderr, "edge-infer: warning:", w)
	}
	var table bytes.Buffer
	if err := report.WriteTable(&table); err != nil {
		return err
	}
	return printResult(table.Bytes())
}

// convertMemory is what a conversion may hold before garbage is collected at any price. Checkpoints pass through a few rows at a
// time; a table is held in memory, and so is what finds the principal axes of training rows.
func convertMemory(src string) int64 {
	const checkpoint, axes = 64 << 20, 192 << 20
	info, err := os.Stat(src)
	if err != nil || !info.Mode().IsRegular() {
		return checkpoint
	}
	switch strings.ToLower(filepath.Ext(src)) {
	case ".bin", ".safetensors", ".json":
		return checkpoint
	case ".csv", ".tsv":
		return axes + 6*info.Size()
	}
	return axes
}

// ofSource tells a checkpoint that cannot be opened from a file that cannot be written.
func ofSource(err error, src string) bool {
	var e *fs.PathError
	if !errors.As(err, &e) {
		return false
	}
	src, path := filepath.Clean(src), filepath.Clean(e.Path)
	return path == src || strings.HasPrefix(path, src+string(filepath.Separator)) || filepath.Dir(path) == filepath.Dir(src) && isFile(src)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// progressBar draws on a terminal's standard error, at most ten times a second.
type progressBar struct {
	on    bool
	drawn time.Time
}

func (b *progressBar) show(tensor string, done, total int64) {
	if !b.on || total <= 0 || time.Since(b.drawn) < 100*time.Millisecond {
		return
	}
	b.drawn = time.Now()
	const width = 30
	full := int(min(done, total) * width / total)
	fmt.Fprintf(os.Stderr, "\r%s%s %3d %%  %-40.40s", strings.Repeat("#", full), strings.Repeat(".", width-full), min(done, total)*100/total, tensor)
}

func (b *progressBar) clear() {
	if !b.drawn.IsZero() {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
