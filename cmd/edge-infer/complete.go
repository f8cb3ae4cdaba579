package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"unsafe"

	"github.com/spf13/cobra"

	edge "github.com/edge-infer/edge-infer/runtime"
)

// defaultCompleter is the embedded model that completes when none is named.
const defaultCompleter = "lstm"

type completeFlags struct {
	model, input, output string
	memory               string
	options              edge.CompleteOptions
	json                 bool
	text                 []byte // of the line in work
}

func newCompleteCommand() *cobra.Command {
	f := &completeFlags{}
	cmd := &cobra.Command{
		Use:   "complete [TEXT...]",
		Short: "Go on where a text ends, word by word",
		Long: `Prints the word that comes next, or the next n, one line for each TEXT. Without
TEXT it reads standard input line by line and answers each at once. A line that
cannot be completed gives an empty line, a word on standard error why, and exit
code 1 at the end.

Two models are built in, of equal size: lstm, and rnn, which has no gates to hold
on to what it has read (edge-infer recall shows the difference). The answer is the
same on every machine, with a temperature too.`,
		Example: `  edge-infer complete "Apple is"                                # red
  edge-infer complete "Tom is a cat. Tom's favorite food is"    # fish
  edge-infer complete --model rnn --top 5 "Tom is a cat. Tom likes to eat"
  edge-infer complete -n 12 --temperature 0.8 --seed 3 "I want to"
  edge-infer complete --model my.ei8 < beginnings.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, n := range map[string]int{"words": f.options.Words, "top": f.options.Top} {
				if n < 1 && cmd.Flags().Changed(name) {
					return &usageError{fmt.Sprintf("--%s is %d, must be 1 or more", name, n), ""}
				}
			}
			return f.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.model, "model", "m", defaultCompleter, "lstm, rnn, or the `FILE` of a model that predicts words")
	flags.StringVarP(&f.input, "input", "i", "", "read lines from `FILE` instead of standard input")
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, which appears when it is complete")
	flags.IntVarP(&f.options.Words, "words", "n", 1, "`WORDS` to add")
	flags.IntVar(&f.options.Top, "top", 0, "a table of the `N` most likely next words instead, with their probabilities")
	flags.Float32Var(&f.options.Temperature, "temperature", 0, "0 takes the most likely word; 1 draws words as often as the model expects them")
	flags.Uint64Var(&f.options.Seed, "seed", 1, "of the draws: the same seed gives the same words")
	addMemoryFlag(flags, &f.memory)
	flags.BoolVar(&f.json, "json", false, "one object a line: source, text, words with their probabilities, candidates, unknown words")
	return cmd
}

func (f *completeFlags) run(ctx context.Context, args []string) (err error) {
	if len(args) > 0 && f.input != "" {
		return &usageError{"both texts and an input file were given", "give one of them"}
	}
	in := os.Stdin
	if f.input != "" {
		if in, err = os.Open(f.input); err != nil {
			return err
		}
		defer in.Close()
	}
	memory, err := parseSize(f.memory)
	if err != nil {
		return err
	}
	m, err := openLean(f.model)
	if err != nil {
		return err
	}
	defer m.Close()
	options := edge.StreamOptions{MaxSteps: 16, Memory: memory}
	c, spare, err := lean(within(&options.Batch, &options.MaxSteps, func() (*edge.Plan, error) { return m.PlanCompleter(options) },
		func() (*edge.Completer, error) { return m.NewCompleter(options) }))
	if err != nil {
		return err
	}
	// What is wrong with the flags is found before any input is read.
	if err := f.options.Check(); err != nil {
		return asUsageError(err)
	}
	out, err := createOutput(f.output)
	if err != nil {
		return err
	}
	defer out.Abort()
	next := fromArguments(args, spare)
	if len(args) == 0 {
		next = fromLines(in, "", spare)
	}
	var count tally
	for {
		lines, err := next(ctx, 1)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		for _, l := range lines {
			if err := f.line(ctx, c, l, out, &count); err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	if err := out.Finish(); err != nil {
		return err
	}
	return count.end("could not be completed")
}

// line completes one line and prints what came of it. Without words to tell it makes no garbage.
func (f *completeFlags) line(ctx context.Context, c *edge.Completer, l line, out io.Writer, count *tally) (err error) {
	count.total++
	var done *edge.Completion // what there is to tell of words
	var unknown []string
	f.text = f.text[:0]
	if l.err == nil {
		text := unsafe.String(unsafe.SliceData(l.text), len(l.text)) // a view: nobody keeps it longer than the line
		if !f.json && f.options.Top == 0 {
			f.text, unknown, l.err = c.Append(ctx, f.text, text, f.options)
		} else if done, l.err = c.Complete(ctx, text, f.options); l.err == nil {
			unknown = done.Unknown
		}
		if l.err != nil && !is[*edge.InputError](l.err) {
			return l.err
		}
	}
	if l.err != nil {
		count.wrong(l.where(), l.err)
	}
	for _, word := range unknown {
		fmt.Fprintf(os.Stderr, "edge-infer: %s: warning: the model does not know the word %q\n", l.where(), word)
	}
	switch {
	case f.json:
		return f.printJSON(out, l, done)
	case done != nil:
		_, err = out.Write(candidateTable(done))
	default:
		for i, b := range f.text { // one line in, one line out, whatever words a model has
			if b == '\n' {
				f.text[i] = ' '
			}
		}
		f.text = append(f.text, '\n')
		_, err = out.Write(f.text)
	}
	return err
}

// candidateTable lists the most likely words of each place, the best first.
func candidateTable(c *edge.Completion) []byte {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for i, row := range c.Top {
		for rank, x := range row {
			fmt.Fprintf(w, "%d\t%d\t%s\t%.2f %%\n", i+1, rank+1, x.Word, 100*x.Probability)
		}
	}
	w.Flush()
	return table.Bytes()
}

func (f *completeFlags) printJSON(out io.Writer, l line, c *edge.Completion) error {
	if c == nil {
		c = &edge.Completion{}
	}
	object := struct {
		Source  string             `json:"source"`
		Text    string             `json:"text"`
		Words   []edge.Candidate   `json:"words"`
		Top     [][]edge.Candidate `json:"top,omitempty"`
		Unknown []string           `json:"unknown,omitempty"`
		Error   string             `json:"error,omitempty"`
	}{string(l.text), c.Text, c.Words, c.Top, c.Unknown, ""}
	if l.err != nil {
		object.Error = l.err.Error()
	}
	if object.Words == nil {
		object.Words = []edge.Candidate{}
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(object)
}
