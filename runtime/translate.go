package runtime

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// Translator turns lines of text into lines of text: it splits lines into sentences, keeps a Session's slots filled, and
// puts the results together in order. It is for one goroutine at a time.
type Translator struct {
	m       *Model
	s       *Session
	scratch text.Scratch
	spans   []text.Span
	ids     []int32 // of all jobs, one after another
	jobs    []job
	inSlot  []task
	out     []byte
	glue    string // between the sentences of one paragraph
	tokens  bool   // the call under way is TranslateTokens

	prefix    []int32  // what each line's translation begins with
	languages []string // target languages that the model has a token for; see steer.go
	language  int32    // the token put before every sentence; -1: none
	stream    *stream  // of Stream
}

// kindTokens is the Kind of a tokenizer that takes and gives tokens separated by spaces.
const kindTokens = "tokens"

// Variant is one text that a search has found.
type Variant struct {
	Text   string
	Score  float32 // sum over its sentences of Hypothesis.Score
	Tokens []string
}

// Translation is the result for one line.
type Translation struct {
	Variant
	// Others are the next best with Options.NBest, best first, and the other alternatives with Options.Alternatives. Of a line of
	// several sentences the k-th joins the k-th of each, or its best where it has fewer; alternatives belong to the first sentence.
	Others       []Variant
	SourceTokens []string // pieces as the model saw them
	Warnings     []string // what was cut
	Err          error    // *InputError: this line could not be translated; the others were
}

// job is one sentence on its way through a slot, or with alternatives through several.
type job struct {
	line         int
	from, to     int    // its tokens in Translator.ids
	before       string // what joins it to the text before
	source       []string
	first        bool // of its line: the prefix and the alternatives are its own
	alternatives int  // how many are searched; 0: none, but the best
	found        []Variant
	cut          bool // the best of them reached the maximum length
}

// task is what a slot works on: a job, or one of its alternatives, counted from 1.
type task struct{ job, alternative int }

// NewTranslator makes a translator with a session of its own. Errors: those of NewSession.
func (m *Model) NewTranslator(o Options) (*Translator, error) {
	s, err := m.NewSession(o)
	if err != nil {
		return nil, err
	}
	t := &Translator{m: m, s: s, inSlot: make([]task, len(s.slots)), glue: " ", languages: m.source.Languages(), language: -1}
	switch lang, _, _ := strings.Cut(m.file.Meta().Languages.To, "-"); lang {
	case "zh", "ja", "th", "lo", "km", "my":
		t.glue = ""
	}
	if m.target.Kind() == kindTokens {
		t.glue = " "
	}
	return t, nil
}

// Translate translates lines, in order, batching their sentences. Newlines inside a line are kept. A line that cannot be
// translated has its Err set and the others go on.
// Errors: ctx's; those of Session.Step. Nothing of the lines is returned then.
func (t *Translator) Translate(ctx context.Context, lines []string) ([]Translation, error) {
	t.tokens = false
	return t.translate(ctx, lines, t.plan)
}

// TranslateTokens is Translate for lines of tokens with spaces between, in and out, without the tokenizers' rules: each
// line is one sentence, and one with more tokens than the session takes has its Err set.
func (t *Translator) TranslateTokens(ctx context.Context, lines []string) ([]Translation, error) {
	t.tokens = true
	return t.translate(ctx, lines, t.planTokens)
}

func (t *Translator) translate(ctx context.Context, lines []string, plan func(int, string, *Translation) error) ([]Translation, error) {
	out := make([]Translation, len(lines))
	t.ids, t.jobs = t.ids[:0], t.jobs[:0]
	err := modelfile.Guard(t.s.file.Path(), func() error {
		for i, line := range lines {
			if out[i].Err = validUTF8(line); out[i].Err == nil {
				out[i].Err = plan(i, line, &out[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.run(ctx); err != nil {
		t.s.Reset()
		return nil, err
	}
	for i, next := 0, 0; i < len(out); i++ {
		from := next
		for next < len(t.jobs) && t.jobs[next].line == i {
			next++
		}
		t.join(&out[i], t.jobs[from:next])
	}
	return out, nil
}

// join puts the sentences of a line together.
func (t *Translator) join(out *Translation, jobs []job) {
	results := 1
	for i := range jobs {
		j := &jobs[i]
		results = max(results, len(j.found))
		out.SourceTokens = append(out.SourceTokens, j.source...)
		if j.cut {
			out.Warnings = append(out.Warnings,
				fmt.Sprintf("a translation reached the maximum length of %d tokens and ends there", t.s.opt.MaxTarget))
		}
	}
	var b strings.Builder
	for k := range results {
		var c Variant
		b.Reset()
		for i := range jobs {
			b.WriteString(jobs[i].before)
			if found := jobs[i].found; len(found) > 0 {
				best := found[0]
				if k < len(found) {
					best = found[k]
				}
				b.WriteString(best.Text)
				c.Score += best.Score
				c.Tokens = append(c.Tokens, best.Tokens...)
			}
		}
		c.Text = b.String()
		if k == 0 {
			out.Variant = c
		} else {
			out.Others = append(out.Others, c)
		}
	}
}

// plan cuts a line into jobs. A line with an error has none.
func (t *Translator) plan(line int, s string, out *Translation) (err error) {
	jobs := len(t.jobs)
	defer func() {
		if err != nil {
			t.jobs = t.jobs[:jobs]
		}
	}()
	language, s, err := t.takeLanguage(s)
	if err != nil {
		return err
	}
	before := ""
	for first := true; ; first = false {
		paragraph, rest, more := strings.Cut(s, "\n")
		if !first {
			before += "\n"
		}
		t.spans = t.spans[:0]
		if t.m.source.Kind() == kindTokens {
			t.spans = append(t.spans, text.Span{Start: 0, End: len(paragraph)})
		} else {
			t.spans = text.Sentences(t.spans, paragraph)
		}
		for _, span := range t.spans {
			some, err := t.sentence(line, language, paragraph[span.Start:span.End], before, out)
			if err != nil {
				return err
			}
			if some {
				before = t.glue
			}
		}
		if before == t.glue {
			before = ""
		}
		if !more {
			break
		}
		s = rest
	}
	if before != "" { // newlines at the end of the line
		t.jobs = append(t.jobs, job{line: line, before: before})
	}
	return nil
}

// planTokens makes a job of a line of tokens.
func (t *Translator) planTokens(line int, s string, out *Translation) error {
	tokens := strings.Fields(s)
	if n, room := len(tokens), t.s.SourceRoom(); n > room {
		return &InputError{fmt.Sprintf("a line of %d tokens; this session takes %d", n, room)}
	}
	from := len(t.ids)
	for i, token := range tokens {
		id, ok := t.m.source.ID(token)
		if !ok {
			if id = t.m.source.Unk(); id < 0 {
				t.ids = t.ids[:from]
				return &InputError{fmt.Sprintf("token %d (%q) is not in the model's vocabulary, which has no <unk>", i+1, token)}
			}
			out.Warnings = append(out.Warnings, fmt.Sprintf("token %d (%q) is not in the model's vocabulary and counts as unknown", i+1, token))
		}
		t.ids = append(t.ids, id)
	}
	if len(tokens) > 0 {
		t.add(job{line: line, from: from, to: len(t.ids), source: tokens})
	}
	return nil
}

// add appends a job with something to translate.
func (t *Translator) add(j job) {
	j.first = len(t.jobs) == 0 || t.jobs[len(t.jobs)-1].line != j.line
	if j.first {
		j.alternatives = t.s.opt.Alternatives
	}
	t.jobs = append(t.jobs, j)
}

// validUTF8 says where s is not UTF-8.
func validUTF8(s string) error {
	for at := 0; at < len(s); {
		r, n := utf8.DecodeRuneInString(s[at:])
		if r == utf8.RuneError && n == 1 {
			return &InputError{fmt.Sprintf("not valid UTF-8 (byte %d of the line is 0x%02x)", at+1, s[at])}
		}
		at += n
	}
	return nil
}

// sentence adds one sentence's job, or several where it is longer than the session takes. It reports whether there was
// anything to translate.
func (t *Translator) sentence(line int, language int32, s, before string, out *Translation) (some bool, err error) {
	from, room := len(t.ids), t.s.SourceRoom()
	t.ids = t.m.source.Encode(t.ids, s, &t.scratch)
	n := len(t.ids) - from
	if n == 0 {
		return false, nil
	}
	for i, id := range t.ids[from:] {
		if id < 0 { // a list of tokens without an unknown token
			return false, &InputError{fmt.Sprintf("token %d (%q) is not in the model's vocabulary, which has no <unk>",
				i+1, t.m.source.EncodePieces(s, &t.scratch)[i])}
		}
	}
	if language >= 0 {
		if room--; room == 0 {
			return false, &InputError{"this session has no room for a sentence behind its language"}
		}
	}
	parts := (n + room - 1) / room
	if parts > 1 {
		out.Warnings = append(out.Warnings,
			fmt.Sprintf("a sentence of %d tokens is longer than %d and was cut into %d parts", n, room, parts))
	}
	for i := range parts {
		j := job{line: line, from: from + n*i/parts, to: from + n*(i+1)/parts, before: before}
		if language >= 0 { // each part needs it, so the ids move behind those of all parts
			at := len(t.ids)
			t.ids = append(append(t.ids, language), t.ids[j.from:j.to]...)
			j.from, j.to = at, len(t.ids)
		}
		for _, id := range t.ids[j.from:j.to] {
			j.source = append(j.source, t.m.source.Piece(id))
		}
		t.add(j)
		before = t.glue
	}
	return true, nil
}

// run takes all jobs through the session.
func (t *Translator) run(ctx context.Context) error {
	var next task // to be started
	for left := t.tasks(); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		for next.job < len(t.jobs) {
			j := &t.jobs[next.job]
			if j.from < j.to {
				next.alternative = max(next.alternative, min(j.alternatives, 1))
				slot, err := t.start(j, next.alternative)
				if err != nil {
					return err
				}
				if slot < 0 {
					break
				}
				t.inSlot[slot] = next
			}
			if next.alternative < j.alternatives {
				next.alternative++
			} else {
				next = task{next.job + 1, 0}
			}
		}
		if _, err := t.s.Step(); err != nil {
			return err
		}
		for slot := range t.inSlot {
			if t.s.Done(slot) {
				if err := t.collect(slot); err != nil {
					return err
				}
				left--
			}
		}
		if err := t.show(); err != nil {
			return err
		}
	}
	return nil
}

// tasks counts what slots have to do for the jobs.
func (t *Translator) tasks() (n int) {
	for i := range t.jobs {
		if j := &t.jobs[i]; j.from < j.to {
			n += max(1, j.alternatives)
			if j.alternatives > 0 {
				j.found = make([]Variant, j.alternatives)
			}
		}
	}
	return n
}

// start puts a job, or one of its alternatives, into a free slot; -1 if there is none.
func (t *Translator) start(j *job, alternative int) (slot int, err error) {
	x := Sentence{Source: t.ids[j.from:j.to], Alternative: alternative}
	if j.first {
		x.Prefix = t.prefix
	}
	return t.s.Start(x)
}

// collect turns a finished slot into its job's texts and frees it.
func (t *Translator) collect(slot int) error {
	task := t.inSlot[slot]
	j := &t.jobs[task.job]
	err := modelfile.Guard(t.s.file.Path(), func() error {
		for i, h := range t.s.Best(slot) {
			c := t.variant(h)
			if i == 0 && task.alternative <= 1 {
				j.cut = h.Cut
			}
			if task.alternative > 0 {
				j.found[task.alternative-1] = c
			} else {
				j.found = append(j.found, c)
			}
		}
		return nil
	})
	if task.alternative > 0 && len(t.s.Best(slot)) == 0 {
		// The first that is missing ends the list: the others are less probable still.
		j.found = j.found[:min(len(j.found), task.alternative-1)]
	}
	t.s.Release(slot)
	return err
}

// variant is a hypothesis as text.
func (t *Translator) variant(h Hypothesis) Variant {
	c := Variant{Score: h.Score}
	for _, id := range h.Tokens {
		c.Tokens = append(c.Tokens, t.m.target.Piece(id))
	}
	if t.tokens {
		c.Text = strings.Join(c.Tokens, " ")
	} else {
		t.out = t.m.target.Decode(t.out[:0], h.Tokens)
		c.Text = string(t.out)
	}
	return c
}
