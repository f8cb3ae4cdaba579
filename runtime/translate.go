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
	inSlot  []int // slot -> job
	out     []byte
	glue    string // between the sentences of one paragraph
	tokens  bool   // the call under way is TranslateTokens
}

// kindTokens is the Kind of a tokenizer that takes and gives tokens separated by spaces.
const kindTokens = "tokens"

// Translation is the result for one line.
type Translation struct {
	Text         string
	Score        float32  // sum over its sentences of Hypothesis.Score
	SourceTokens []string // pieces as the model saw them
	Tokens       []string
	Warnings     []string // what was cut
	Err          error    // *InputError: this line could not be translated; the others were
}

// job is one sentence on its way through a slot.
type job struct {
	line     int
	from, to int    // its tokens in Translator.ids
	before   string // what joins it to the text before
	source   []string
	text     string
	tokens   []string
	score    float32
	cut      bool
}

// NewTranslator makes a translator with a session of its own. Errors: those of NewSession.
func (m *Model) NewTranslator(o Options) (*Translator, error) {
	s, err := m.NewSession(o)
	if err != nil {
		return nil, err
	}
	t := &Translator{m: m, s: s, inSlot: make([]int, len(s.slots)), glue: " "}
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
	err := modelfile.Guard(t.s.path, func() error {
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
	var b strings.Builder
	next := 0
	for i := range out {
		b.Reset()
		for ; next < len(t.jobs) && t.jobs[next].line == i; next++ {
			j := &t.jobs[next]
			b.WriteString(j.before)
			b.WriteString(j.text)
			out[i].Score += j.score
			out[i].SourceTokens = append(out[i].SourceTokens, j.source...)
			out[i].Tokens = append(out[i].Tokens, j.tokens...)
			if j.cut {
				out[i].Warnings = append(out[i].Warnings,
					fmt.Sprintf("a translation reached the maximum length of %d tokens and ends there", t.s.opt.MaxTarget))
			}
		}
		if out[i].Err == nil {
			out[i].Text = b.String()
		}
	}
	return out, nil
}

// plan cuts a line into jobs. A line with an error has none.
func (t *Translator) plan(line int, s string, out *Translation) (err error) {
	jobs := len(t.jobs)
	defer func() {
		if err != nil {
			t.jobs = t.jobs[:jobs]
		}
	}()
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
			some, err := t.sentence(line, paragraph[span.Start:span.End], before, out)
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
		t.jobs = append(t.jobs, job{line: line, from: from, to: len(t.ids), source: tokens})
	}
	return nil
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
func (t *Translator) sentence(line int, s, before string, out *Translation) (some bool, err error) {
	from := len(t.ids)
	t.ids = t.m.source.Encode(t.ids, s, &t.scratch)
	n, room := len(t.ids)-from, t.s.SourceRoom()
	if n == 0 {
		return false, nil
	}
	for i, id := range t.ids[from:] {
		if id < 0 { // a list of tokens without an unknown token
			return false, &InputError{fmt.Sprintf("token %d (%q) is not in the model's vocabulary, which has no <unk>",
				i+1, t.m.source.EncodePieces(s, &t.scratch)[i])}
		}
	}
	parts := (n + room - 1) / room
	if parts > 1 {
		out.Warnings = append(out.Warnings,
			fmt.Sprintf("a sentence of %d tokens is longer than %d and was cut into %d parts", n, room, parts))
	}
	for i := range parts {
		j := job{line: line, from: from + n*i/parts, to: from + n*(i+1)/parts, before: before}
		for _, id := range t.ids[j.from:j.to] {
			j.source = append(j.source, t.m.source.Piece(id))
		}
		t.jobs = append(t.jobs, j)
		before = t.glue
	}
	return true, nil
}

// run takes all jobs through the session.
func (t *Translator) run(ctx context.Context) error {
	next := 0
	for left := len(t.jobs); left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		for ; next < len(t.jobs); next++ {
			j := &t.jobs[next]
			if j.from == j.to {
				left--
				continue
			}
			slot, err := t.s.Add(t.ids[j.from:j.to])
			if err != nil {
				return err
			}
			if slot < 0 {
				break
			}
			t.inSlot[slot] = next
		}
		if left == 0 {
			break
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
	}
	return nil
}

// collect turns a finished slot into its job's text and frees it.
func (t *Translator) collect(slot int) error {
	j := &t.jobs[t.inSlot[slot]]
	best := t.s.Best(slot)[0]
	err := modelfile.Guard(t.s.path, func() error {
		for _, id := range best.Tokens {
			j.tokens = append(j.tokens, t.m.target.Piece(id))
		}
		if t.tokens {
			j.text = strings.Join(j.tokens, " ")
		} else {
			t.out = t.m.target.Decode(t.out[:0], best.Tokens)
			j.text = string(t.out)
		}
		return nil
	})
	j.score, j.cut = best.Score, best.Cut
	t.s.Release(slot)
	return err
}
