package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
)

type translateFlags struct {
	model, from, to      string
	input, output        string
	batch                int
	threads              threadFlags
	search               searchFlags
	memory               string
	tokens, json, stream bool
}

func newTranslateCommand() *cobra.Command {
	f := &translateFlags{}
	cmd := &cobra.Command{
		Use:   "translate [TEXT...]",
		Short: "Translate texts, files, or what you type",
		Long: `Translates each TEXT, one line of output each. Without TEXT it reads standard
input line by line and prints each translation at once: as many lines as came in,
in the same order. A line that cannot be translated gives an empty line, a word on
standard error why, and exit code 1 at the end.

The answer depends on the model and the text alone: never on the machine, the
number of threads, or the size of the batch.`,
		Example: `  edge-infer translate 我正在吃饭                 # one text
  edge-infer translate 早上好 谢谢 再见           # three texts, three lines
  edge-infer translate                            # type, press Enter, read
  edge-infer translate < zh.txt > en.txt
  edge-infer translate -i zh.txt -o en.txt --batch 8
  edge-infer translate -m my.ei8 --beam 4 --json 你好
  edge-infer translate --n-best 3 --scores 你好     # three answers with their scores
  edge-infer translate --prefix "I was" 我正在吃饭 # how it goes on from there
  tail -f chat.log | edge-infer translate         # every line as it comes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.model, "model", "m", "", "`FILE` of a model, or the name of an embedded one")
	flags.StringVar(&f.from, "from", "", "`LANGUAGE` of the texts, checked against the model's")
	flags.StringVar(&f.to, "to", "", "`LANGUAGE` to translate to: one of the model's, or checked against it")
	flags.StringVarP(&f.input, "input", "i", "", "read lines from `FILE` instead of standard input")
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which appears when it is complete")
	f.search.add(flags)
	flags.IntVar(&f.batch, "batch", 1, "lines to translate together if they are already there; takes more memory, never waits")
	f.threads.add(flags)
	addMemoryFlag(flags, &f.memory)
	flags.BoolVar(&f.tokens, "tokens", false, "texts and translations are tokens of the model, separated by spaces")
	flags.BoolVar(&f.json, "json", false, "one object a line: source, text, score, tokens, milliseconds")
	flags.BoolVar(&f.stream, "stream", false, "print the words of a line as they come; takes the best word each time")
	return cmd
}

// check finds flags that no model could take, or that contradict each other.
func (f *translateFlags) check() error {
	if f.batch < 1 {
		return &usageError{fmt.Sprintf("--batch is %d, must be 1 or more", f.batch), ""}
	}
	if err := f.search.check(); err != nil || !f.stream {
		return err
	}
	for _, other := range []struct {
		flag string
		on   bool
	}{
		{"--beam", f.search.beam > 1}, {"--n-best", f.search.nBest > 1}, {"--alternatives", f.search.alternatives > 0}, {"--batch", f.batch > 1},
		{"--json", f.json}, {"--scores", f.search.scores},
	} {
		if other.on {
			return &usageError{"--stream prints words before the end of the search, and so goes with no " + other.flag, "leave out one of them"}
		}
	}
	return nil
}

func (f *translateFlags) run(ctx context.Context, args []string) (err error) {
	if len(args) > 0 && f.input != "" {
		return &usageError{"both texts and an input file were given", "give one of them"}
	}
	// Inputs that are not there should not cost the time to load a model.
	var in *os.File
	if f.input != "" {
		if in, err = os.Open(f.input); err != nil {
			return err
		}
		defer in.Close()
	} else {
		in = os.Stdin
	}
	m, err := openModel(f.model)
	if err != nil {
		return err
	}
	defer m.Close()
	t, spare, err := f.translator(m)
	if err != nil {
		return err
	}
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	noteFaster()

	next := fromArguments(args, spare)
	if len(args) == 0 {
		from := m.File().Meta().Languages.From
		next = fromLines(in, from, spare)
	}
	var count tally
	languages := m.Languages()
	if f.to != "" || f.tokens {
		languages = nil
	}
	for {
		lines, err := next(ctx, f.batch)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if unchosen(lines, languages) {
			noteLanguages(languages)
			languages = nil
		}
		if err := f.translateLines(ctx, t, lines, out, &count); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return count.end("could not be translated")
}

// noteLanguages says how to choose between the target languages of a model.
func noteLanguages(languages []string) {
	const shown = 8
	named, more := languages, ""
	if len(named) > shown {
		named, more = named[:shown], fmt.Sprintf(" and %d more languages", len(languages)-shown)
	}
	fmt.Fprintf(os.Stderr, "edge-infer: the model writes %s%s: choose with --to, or begin a line with >>%s<<\n", strings.Join(named, ", "), more, named[0])
}

// unchosen: the model has several target languages, and a line does not begin with one of them.
func unchosen(lines []line, languages []string) bool {
	return len(languages) > 1 && slices.ContainsFunc(lines, func(l line) bool {
		text := bytes.TrimSpace(l.text)
		return l.err == nil && len(text) > 0 && !bytes.HasPrefix(text, []byte(">>"))
	})
}

// translator makes the session that the flags ask for.
func (f *translateFlags) translator(m *edge.Model) (made *edge.Translator, spare int64, err error) {
	// From among those of the model, if it has several; the one that its metadata name needs no choice.
	chosen := slices.Contains(m.Languages(), f.to) || len(m.Languages()) > 0 && f.to != "" && f.to != m.File().Meta().Languages.To
	checked := f.to
	if chosen {
		checked = ""
	}
	if err := checkLanguages(m.File().Meta(), f.from, checked); err != nil {
		return nil, 0, err
	}
	memory, err := parseSize(f.memory)
	if err != nil {
		return nil, 0, err
	}
	threads, cpus, err := f.threads.choose()
	if err != nil {
		return nil, 0, err
	}
	options := f.search.options(m)
	options.Batch, options.Threads, options.CPUs, options.Memory = f.batch, threads, cpus, memory
	options.Scores, options.TextOnly = options.Scores || f.json, !f.json
	if f.stream {
		options.Beam = 1
	}
	t, spare, err := within(&options.Batch, nil, func() (*edge.Plan, error) { return m.Plan(options) },
		func() (*edge.Translator, error) { return m.NewTranslator(options) })
	var short *edge.MemoryError
	if errors.As(err, &short) && short.Length > 0 {
		err = fmt.Errorf("%w: --max-source %d --max-length %[2]d", err, short.Length)
	}
	f.batch = options.Batch
	if err == nil && chosen {
		err = t.SetLanguage(f.to)
	}
	if err == nil && f.tokens {
		err = t.SetPrefixTokens(f.search.prefix)
	} else if err == nil {
		err = t.SetPrefix(f.search.prefix)
	}
	return t, spare, asUsageError(err)
}

// asUsageError: options out of range come from flags, not from input.
func asUsageError(err error) error {
	var e *edge.InputError
	if errors.As(err, &e) {
		return &usageError{e.Reason, ""}
	}
	return err
}

// translateLines prints the results of each line.
func (f *translateFlags) translateLines(ctx context.Context, t *edge.Translator, lines []line, out *output, count *tally) error {
	texts := []string{}
	for _, l := range lines {
		if l.err == nil {
			texts = append(texts, string(l.text))
		}
	}
	start := time.Now()
	results, err := f.translate(ctx, t, texts, out)
	if err != nil {
		return err
	}
	elapsed := time.Since(start)
	for _, l := range lines {
		count.total++
		r := edge.Translation{Err: l.err}
		if l.err == nil {
			r, results = results[0], results[1:]
		}
		r.Warnings = countRepeats(r.Warnings)
		for _, w := range r.Warnings {
			fmt.Fprintf(os.Stderr, "edge-infer: %s: warning: %s\n", l.where(), w)
		}
		if r.Err != nil {
			count.wrong(l.where(), r.Err)
		}
		switch {
		case f.json:
			err = printJSONLine(out, string(l.text), &r, elapsed)
		case f.stream: // the words are there already
			_, err = io.WriteString(out, "\n")
		default: // one line in, one line out, whatever pieces a model has
			_, err = io.WriteString(out, f.search.lines(&r, bytes.Contains(l.text, []byte("\n"))))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// translate translates some texts side by side, or one and prints its words as they come. What is wrong with one text is in its
// Translation; an error ends the run.
func (f *translateFlags) translate(ctx context.Context, t *edge.Translator, texts []string, out *output) ([]edge.Translation, error) {
	switch {
	case f.stream && len(texts) == 1:
		emit := func(part string) error {
			if !strings.Contains(texts[0], "\n") {
				part = strings.ReplaceAll(part, "\n", " ")
			}
			if _, err := io.WriteString(out, part); err != nil {
				return err
			}
			return out.Flush()
		}
		stream := t.Stream
		if f.tokens {
			stream = t.StreamTokens
		}
		r, err := stream(ctx, texts[0], emit)
		return []edge.Translation{r}, err
	case f.tokens:
		return t.TranslateTokens(ctx, texts)
	}
	return t.Translate(ctx, texts)
}

// countRepeats joins warnings that are the same: a long text may have a thousand.
func countRepeats(warnings []string) []string {
	counts := map[string]int{}
	different := []string{}
	for _, w := range warnings {
		if counts[w]++; counts[w] == 1 {
			different = append(different, w)
		}
	}
	for i, w := range different {
		if n := counts[w]; n > 1 {
			different[i] = fmt.Sprintf("%s (%d times)", w, n)
		}
	}
	return different
}

// printJSONLine prints one object of --json. Its milliseconds are those of the whole batch, as the lines of a batch are
// translated side by side.
func printJSONLine(out io.Writer, source string, r *edge.Translation, elapsed time.Duration) error {
	type other struct {
		Text   string   `json:"text"`
		Score  float32  `json:"score"`
		Tokens []string `json:"tokens"`
	}
	object := struct {
		Source       string   `json:"source"`
		Text         string   `json:"text"`
		Score        float32  `json:"score"`
		Tokens       []string `json:"tokens"`
		SourceTokens []string `json:"source_tokens"`
		Others       []other  `json:"others,omitempty"`
		Milliseconds float64  `json:"milliseconds"`
		Warnings     []string `json:"warnings,omitempty"`
		Error        string   `json:"error,omitempty"`
	}{source, r.Text, r.Score, r.Tokens, r.SourceTokens, nil, float64(elapsed.Microseconds()) / 1000, r.Warnings, ""}
	for _, v := range r.Others {
		object.Others = append(object.Others, other{v.Text, v.Score, v.Tokens})
	}
	if r.Err != nil {
		object.Error = r.Err.Error()
	}
	if object.Tokens == nil {
		object.Tokens = []string{}
	}
	if object.SourceTokens == nil {
		object.SourceTokens = []string{}
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(object)
}

// lineSource gives up to n lines that are there, waiting for the first only, good until it is called again; io.EOF at the end.
type lineSource func(ctx context.Context, n int) ([]line, error)

func fromArguments(args []string, spare int64) lineSource {
	done := 0
	return func(ctx context.Context, n int) ([]line, error) {
		if done == len(args) {
			return nil, io.EOF
		}
		lines := []line{}
		for ; done < len(args) && len(lines) < n; done++ {
			lines = append(lines, newLine("argument", done+1, []byte(args[done]), longestLine(spare)))
		}
		return lines, ctx.Err()
	}
}

// fromLines reads a file or standard input. To a person at a terminal it says what to do, on standard error.
func fromLines(in *os.File, language string, spare int64) lineSource {
	interactive := isTerminal(in) && isTerminal(os.Stderr)
	if interactive {
		fmt.Fprintln(os.Stderr, "Type a line and press Enter; Ctrl-D ends.")
	}
	q := readLines(in, spare)
	return func(ctx context.Context, n int) ([]line, error) {
		if interactive && q.waiting() {
			fmt.Fprint(os.Stderr, strings.TrimSpace(language)+"> ")
		}
		lines, err := q.take(ctx, n)
		if interactive && err != nil {
			fmt.Fprintln(os.Stderr)
		}
		return lines, err
	}
}
