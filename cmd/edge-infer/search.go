package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	edge "github.com/edge-infer/edge-infer/runtime"
)

// searchFlags say how translations are searched for. What is not given is as the model's makers search, see edge.Model.Defaults.
type searchFlags struct {
	beam, nBest, alternatives      int
	minLength, maxLength, noRepeat int
	maxSource                      int
	penalty, repetition            float32
	prefix                         string
	scores, badWords, noShortlist  bool

	given func(flag string) bool // was it on the command line?
}

func (f *searchFlags) add(flags *pflag.FlagSet) {
	f.given = flags.Changed
	flags.IntVar(&f.beam, "beam", 1, "hypotheses to keep in the search; 1 takes the best word each time (default: the model's, else 1)")
	flags.IntVar(&f.nBest, "n-best", 1, "so many translations of each line, best first, a line each; at most as many as beams")
	flags.IntVar(&f.alternatives, "alternatives", 0, "so many translations that differ in their first word (behind a prefix), a line each")
	flags.BoolVar(&f.scores, "scores", false, "put a score and a tab before each translation: log-probability / length^P, of each sentence, summed")
	flags.Float32Var(&f.penalty, "length-penalty", 0, "the `P` of the score; above 0 favours longer translations (default: the model's, else 0)")
	flags.Float32Var(&f.repetition, "repetition-penalty", 1, "above 1: words that a sentence has had become less likely")
	flags.IntVar(&f.noRepeat, "no-repeat-ngram", 0, "no sequence of so many tokens comes twice in a sentence; 0: any may (default: the model's, else 0)")
	flags.IntVar(&f.maxSource, "max-source", 0, "tokens that a sentence may have; longer ones are cut into parts (default 256, or what the model allows)")
	flags.IntVar(&f.minLength, "min-length", 0, "tokens that a sentence's translation has at least")
	flags.IntVar(&f.maxLength, "max-length", 0, "tokens that a sentence's translation may have (default 256, or less where the model says so)")
	flags.StringVar(&f.prefix, "prefix", "", "`TEXT` that each translation begins with")
	flags.BoolVar(&f.badWords, "allow-bad-words", false, "let words come that the model's makers do not want to see")
	flags.BoolVar(&f.noShortlist, "no-shortlist", false, "let every word come, also where the model lists those that can come of the source's: slower")
	for _, name := range []string{"beam", "n-best", "repetition-penalty"} {
		flags.Lookup(name).DefValue = "0" // which help does not show
	}
}

// check finds what no model could take.
func (f *searchFlags) check() error {
	for _, flag := range []struct {
		name     string
		n, least int
	}{{"beam", f.beam, 1}, {"n-best", f.nBest, 1}, {"max-source", f.maxSource, 1}, {"max-length", f.maxLength, 1},
		{"min-length", f.minLength, 0}, {"alternatives", f.alternatives, 0}, {"no-repeat-ngram", f.noRepeat, 0}} {
		if flag.n < flag.least && f.given(flag.name) {
			return &usageError{fmt.Sprintf("--%s is %d, must be %d or more", flag.name, flag.n, flag.least), ""}
		}
	}
	if f.repetition <= 0 {
		return &usageError{fmt.Sprintf("--repetition-penalty is %g, must be 0.01 to 100", f.repetition), ""}
	}
	return nil
}

// options are the model's own with what the flags say instead.
func (f *searchFlags) options(m *edge.Model) edge.Options {
	o := m.Defaults()
	if f.given("beam") {
		o.Beam = f.beam
	} else if f.given("n-best") {
		o.Beam = max(o.Beam, f.nBest)
	}
	for flag, set := range map[string]func(){
		"length-penalty":     func() { o.LengthPenalty = f.penalty },
		"repetition-penalty": func() { o.RepetitionPenalty = f.repetition },
		"no-repeat-ngram":    func() { o.NoRepeatNgram = f.noRepeat },
		"min-length":         func() { o.MinTarget = f.minLength },
		"max-length":         func() { o.MaxTarget = f.maxLength },
	} {
		if f.given(flag) {
			set()
		}
	}
	if f.given("max-length") && !f.given("min-length") {
		o.MinTarget = min(o.MinTarget, o.MaxTarget)
	}
	o.NBest, o.Alternatives, o.MaxSource = f.nBest, f.alternatives, f.maxSource
	o.AllowBadWords, o.NoShortlist, o.Scores = f.badWords, f.noShortlist, f.scores
	return o
}

// results is how many lines each line of input gives.
func (f *searchFlags) results() int { return max(f.nBest, f.alternatives, 1) }

// lines are the results of one line of input as text: always as many, so that who reads them can count. Newlines stay where the
// input has some.
func (f *searchFlags) lines(r *edge.Translation, newlines bool) string {
	var b strings.Builder
	for k, found := range append([]edge.Variant{r.Variant}, r.Others...) {
		if r.Err != nil || k >= f.results() {
			break
		}
		if f.scores {
			fmt.Fprintf(&b, "%.4f\t", found.Score)
		}
		if !newlines {
			found.Text = strings.ReplaceAll(found.Text, "\n", " ")
		}
		b.WriteString(found.Text + "\n")
	}
	missing := f.results() - 1 - len(r.Others)
	if r.Err != nil {
		missing = f.results()
	}
	b.WriteString(strings.Repeat("\n", max(missing, 0)))
	return b.String()
}
