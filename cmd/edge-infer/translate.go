package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
)

type translateFlags struct {
	model, from, to     string
	input, output       string
	batch, beam, length int
	threads             threadFlags
	penalty             float32
	memory              string
	tokens, json        bool
	noShortlist         bool
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
  tail -f chat.log | edge-infer translate         # every line as it comes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, n := range map[string]int{"batch": f.batch, "beam": f.beam, "max-length": f.length} {
				if n < 1 && cmd.Flags().Changed(name) {
					return &usageError{fmt.Sprintf("--%s is %d, must be 1 or more", name, n), ""}
				}
			}
			return f.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.model, "model", "m", "", "`FILE` of a model, or the name of an embedded one")
	flags.StringVar(&f.from, "from", "", "`LANGUAGE` of the texts, checked against the model's")
	flags.StringVar(&f.to, "to", "", "`LANGUAGE` to translate to, checked against the model's")
	flags.StringVarP(&f.input, "input", "i", "", "read lines from `FILE` instead of standard input")
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which appears when it is complete")
	flags.IntVar(&f.beam, "beam", 1, "hypotheses to keep in the search; 1 takes the best word each time")
	flags.IntVar(&f.length, "max-length", 0, "tokens that a sentence's translation may have (default 256, or what the model allows)")
	flags.Float32Var(&f.penalty, "length-penalty", 0, "score = log-probability / length^`P`; above 0 favours longer translations")
	flags.IntVar(&f.batch, "batch", 1, "lines to translate together if they are already there; takes more memory, never waits")
	f.threads.add(flags)
	flags.StringVar(&f.memory, "memory", "", "refuse to take more than `SIZE`, such as 64M (default: what the machine has free)")
	flags.BoolVar(&f.noShortlist, "no-shortlist", false, "let every word come, also where the model lists those that can come of the source's: slower")
	flags.BoolVar(&f.tokens, "tokens", false, "texts and translations are tokens of the model, separated by spaces")
	flags.BoolVar(&f.json, "json", false, "one object a line: source, text, score, tokens, milliseconds")
	return cmd
}

// translateFunc translates some texts side by side. An *edge.InputError of one text is in its Translation; an error ends
// the run.
type translateFunc func(ctx context.Context, texts []string) ([]edge.Translation, error)

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
	if err := checkLanguages(m.File().Meta(), f.from, f.to); err != nil {
		return err
	}
	translate, err := f.translator(m)
	if err != nil {
		return err
	}
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	noteFaster()

	next := fromArguments(args)
	if len(args) == 0 {
		from := m.File().Meta().Languages.From
		next = fromLines(in, from)
	}
	bad, total := 0, 0
	for {
		lines, err := next(ctx, f.batch)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n, err := f.translateLines(ctx, translate, lines, out)
		if err != nil {
			return err
		}
		total, bad = total+len(lines), bad+n
		if err := out.Flush(); err != nil {
			return err
		}
	}
	if err := out.Finish(); err != nil {
		return err
	}
	if bad > 0 {
		return &badLinesError{bad, total}
	}
	return nil
}

// translator makes the session that the flags ask for.
func (f *translateFlags) translator(m *edge.Model) (translateFunc, error) {
	memory, err := parseSize(f.memory)
	if err != nil {
		return nil, err
	}
	threads, cpus, err := f.threads.choose()
	if err != nil {
		return nil, err
	}
	options := edge.Options{
		MaxTarget: f.length, Batch: f.batch, Beam: f.beam, Threads: threads, CPUs: cpus,
		LengthPenalty: f.penalty, Scores: f.json, Memory: memory, NoShortlist: f.noShortlist,
	}
	plan, err := m.Plan(options)
	if err != nil {
		return nil, asUsageError(err)
	}
	limitMemory(plan)
	t, err := m.NewTranslator(options)
	if err != nil {
		return nil, asUsageError(err)
	}
	if f.tokens {
		return t.TranslateTokens, nil
	}
	return t.Translate, nil
}

// asUsageError: options out of range come from flags, not from input.
func asUsageError(err error) error {
	var e *edge.InputError
	if errors.As(err, &e) {
		return &usageError{e.Reason, ""}
	}
	return err
}

// parseSize reads "64M": a number of bytes, or of binary kilobytes, megabytes or gigabytes. "" is 0.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, shift := s, 0
	if i := strings.IndexByte("KMG", s[len(s)-1]&^0x20); i >= 0 {
		number, shift = s[:len(s)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64>>shift {
		return 0, &usageError{fmt.Sprintf("%q is not a size", s), "write it like 64M"}
	}
	return n << shift, nil
}

// translateLines prints one line of output for each line and returns how many could not be translated.
func (f *translateFlags) translateLines(ctx context.Context, translate translateFunc, lines []line, out io.Writer) (bad int, err error) {
	texts := []string{}
	for _, l := range lines {
		if l.err == nil {
			texts = append(texts, l.text)
		}
	}
	start := time.Now()
	results, err := translate(ctx, texts)
	if err != nil {
		return 0, err
	}
	elapsed := time.Since(start)
	for _, l := range lines {
		r := edge.Translation{Err: l.err}
		if l.err == nil {
			r, results = results[0], results[1:]
		}
		r.Warnings = countRepeats(r.Warnings)
		for _, w := range r.Warnings {
			fmt.Fprintf(os.Stderr, "edge-infer: %s: warning: %s\n", l.where, w)
		}
		if r.Err != nil {
			bad++
			r.Text = ""
			fmt.Fprintf(os.Stderr, "edge-infer: %s: %v\n", l.where, r.Err)
		}
		if f.json {
			err = printJSONLine(out, l.text, &r, elapsed)
		} else {
			if !strings.Contains(l.text, "\n") { // one line in, one line out, whatever pieces a model has
				r.Text = strings.ReplaceAll(r.Text, "\n", " ")
			}
			_, err = io.WriteString(out, r.Text+"\n")
		}
		if err != nil {
			return bad, err
		}
	}
	return bad, nil
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
	object := struct {
		Source       string   `json:"source"`
		Text         string   `json:"text"`
		Score        float32  `json:"score"`
		Tokens       []string `json:"tokens"`
		SourceTokens []string `json:"source_tokens"`
		Milliseconds float64  `json:"milliseconds"`
		Warnings     []string `json:"warnings,omitempty"`
		Error        string   `json:"error,omitempty"`
	}{source, r.Text, r.Score, r.Tokens, r.SourceTokens, float64(elapsed.Microseconds()) / 1000, r.Warnings, ""}
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

// lineSource gives up to n lines that are there, waiting for the first only; io.EOF at the end.
type lineSource func(ctx context.Context, n int) ([]line, error)

func fromArguments(args []string) lineSource {
	done := 0
	return func(ctx context.Context, n int) ([]line, error) {
		if done == len(args) {
			return nil, io.EOF
		}
		lines := []line{}
		for ; done < len(args) && len(lines) < n; done++ {
			lines = append(lines, newLine(fmt.Sprintf("argument %d", done+1), args[done]))
		}
		return lines, ctx.Err()
	}
}

// fromLines reads a file or standard input. To a person at a terminal it says what to do, on standard error.
func fromLines(in *os.File, language string) lineSource {
	interactive := isTerminal(in) && isTerminal(os.Stderr)
	if interactive {
		fmt.Fprintln(os.Stderr, "Type a line and press Enter; Ctrl-D ends.")
	}
	q := readLines(in)
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
