package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// Translator turns lines of text into lines of text: it takes sentences off lines as slots of its Session become free, and puts the
// results together in order. Beside its session it holds the text of the lines and what has been translated of them, not more.
// It is for one goroutine at a time.
type Translator struct {
	m       *Model
	s       *Session
	scratch text.Scratch
	ids     []int32 // of all jobs, one after another
	jobs    []job   // those that wait, are under way, or have ended before one that they follow
	next    task    // the one to start; of a job that does not exist yet when all have started
	inSlot  []task
	out     []byte
	glue    string // between the sentences of one paragraph
	tokens  bool   // the call under way is TranslateTokens

	lines   []string // of the call under way
	results []Translation
	cutting cutting
	joining int       // the line whose sentences are put together
	joined  []variant // of that line: the best, the second best...

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
	from, to     int    // its tokens in Translator.ids; none: before is all there is
	before       string // what joins it to the text before
	source       []string
	first        bool // of its line: the prefix and the alternatives are its own
	alternatives int  // how many are searched; 0: none, but the best
	left         int  // searches that have not ended
	found        []Variant
	cut          bool // the best of them reached the maximum length
}

// variant is a Variant that grows.
type variant struct {
	text   []byte
	score  float32
	tokens []string
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
	return t.translate(ctx, lines)
}

// TranslateTokens is Translate for lines of tokens with spaces between, in and out, without the tokenizers' rules: each
// line is one sentence, and one with more tokens than the session takes has its Err set.
func (t *Translator) TranslateTokens(ctx context.Context, lines []string) ([]Translation, error) {
	t.tokens = true
	return t.translate(ctx, lines)
}

func (t *Translator) translate(ctx context.Context, lines []string) ([]Translation, error) {
	t.lines, t.results, t.cutting = lines, make([]Translation, len(lines)), cutting{spans: t.cutting.spans[:0]}
	t.ids, t.jobs, t.next, t.joining, t.joined = t.ids[:0], t.jobs[:0], task{}, 0, t.joined[:0]
	defer func() { t.lines, t.results, t.joined = nil, nil, nil }()
	if err := t.run(ctx); err != nil {
		t.s.Reset()
		return nil, err
	}
	t.finish()
	return t.results, nil
}

// join puts the first of the jobs, which has ended, behind what there is of its line, and forgets it.
func (t *Translator) join() {
	j := &t.jobs[0]
	if j.line != t.joining {
		t.finish()
		t.joining = j.line
	}
	out := &t.results[j.line]
	out.SourceTokens = append(out.SourceTokens, j.source...)
	if j.cut {
		out.Warnings = append(out.Warnings,
			fmt.Sprintf("a translation reached the maximum length of %d tokens and ends there", t.s.opt.MaxTarget))
	}
	for k := len(t.joined); k < max(len(j.found), 1); k++ {
		v := variant{}
		if k > 0 { // so far it is the best
			v = variant{slices.Clone(t.joined[0].text), t.joined[0].score, slices.Clone(t.joined[0].tokens)}
		}
		t.joined = append(t.joined, v)
	}
	for k := range t.joined {
		v := &t.joined[k]
		v.text = append(v.text, j.before...)
		if len(j.found) > 0 {
			best := &j.found[0]
			if k < len(j.found) {
				best = &j.found[k]
			}
			v.text = append(v.text, best.Text...)
			v.score += best.Score
			v.tokens = append(v.tokens, best.Tokens...)
		}
	}
	t.ids = t.ids[:copy(t.ids, t.ids[j.to:])]
	gone := j.to
	t.jobs = slices.Delete(t.jobs, 0, 1)
	for i := range t.jobs {
		t.jobs[i].from -= gone
		t.jobs[i].to -= gone
	}
	t.next.job = max(t.next.job-1, 0)
	for i := range t.inSlot {
		t.inSlot[i].job--
	}
}

// finish makes the result of the line that was put together last.
func (t *Translator) finish() {
	if len(t.results) == 0 {
		return
	}
	out := &t.results[t.joining]
	for k, v := range t.joined {
		c := Variant{string(v.text), v.score, v.tokens}
		switch {
		case out.Err != nil:
		case k == 0:
			out.Variant = c
		default:
			out.Others = append(out.Others, c)
		}
	}
	t.joined = t.joined[:0]
}

// cutting is how far the lines were cut into jobs.
type cutting struct {
	line      int    // the one under way, or the next
	begun     bool   // that it is under way: its language is known, and what follows
	some      bool   // that there was something to translate in it
	language  int32  // of the line
	paragraph string // under way
	rest      string // the paragraphs behind it
	more      bool   // that there are some
	spans     []text.Span
	next      int    // of spans
	before    string // what joins the next sentence to the text before
}

// maxSentence is the longest text that is made tokens of at a time: what the tokenizer takes for it is many times as much.
const maxSentence = 8 << 10

// cut makes jobs of the next sentence of the lines, or of what follows the last one of a line. more is false when nothing is left.
// A line with an error has no more jobs.
func (t *Translator) cut() (more bool) {
	c := &t.cutting
	if c.line == len(t.lines) {
		return false
	}
	out := &t.results[c.line]
	if !c.begun {
		out.Err = t.begin(t.lines[c.line])
	} else if c.next < len(c.spans) {
		out.Err = t.cutSentence(out)
	} else if c.more {
		if c.before == t.glue {
			c.before = ""
		}
		c.before += "\n"
		t.beginParagraph(c.rest)
	} else {
		if strings.HasPrefix(c.before, "\n") { // newlines at the end of the line
			t.jobs = append(t.jobs, job{line: c.line, before: c.before, from: len(t.ids), to: len(t.ids)})
		}
		t.endLine()
	}
	if out.Err != nil {
		t.endLine()
	}
	return true
}

// begin looks at a whole line.
func (t *Translator) begin(line string) error {
	c := &t.cutting
	c.begun, c.before, c.more = true, "", false
	if err := validUTF8(line); err != nil {
		return err
	}
	if t.tokens {
		return t.cutTokens(line, &t.results[c.line])
	}
	language, line, err := t.takeLanguage(line)
	c.language = language
	t.beginParagraph(line)
	return err
}

func (t *Translator) beginParagraph(s string) {
	c := &t.cutting
	c.paragraph, c.rest, c.more = strings.Cut(s, "\n")
	c.spans, c.next = c.spans[:0], 0
	if t.m.source.Kind() == kindTokens {
		c.spans = append(c.spans, text.Span{Start: 0, End: len(c.paragraph)})
	} else {
		c.spans = text.Sentences(c.spans, c.paragraph)
	}
}

func (t *Translator) endLine() {
	c := &t.cutting
	*c = cutting{line: c.line + 1, spans: c.spans[:0]}
}

// cutSentence makes jobs of the first sentence of the paragraph, or of the beginning of a very long one.
func (t *Translator) cutSentence(out *Translation) error {
	c := &t.cutting
	span := &c.spans[c.next]
	s := c.paragraph[span.Start:span.End]
	if len(s) > maxSentence {
		s = s[:breakBefore(s, maxSentence)]
		span.Start += len(s)
	} else {
		c.next++
	}
	some, err := t.sentence(c.line, c.language, s, c.before, out)
	if some {
		c.before = t.glue
	}
	return err
}

// breakBefore is where to break a text of more than n bytes: behind the last space of the second half of n bytes, or between characters.
func breakBefore(s string, n int) int {
	if i := strings.LastIndexAny(s[n/2:n], " \t"); i >= 0 {
		return n/2 + i + 1
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// cutTokens makes a job of a line of tokens.
func (t *Translator) cutTokens(s string, out *Translation) error {
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
				return &InputError{unknownToken(i, token) + ", which has no <unk>"}
			}
			out.Warnings = append(out.Warnings, unknownToken(i, token)+" and counts as unknown")
		}
		t.ids = append(t.ids, id)
	}
	if len(tokens) > 0 {
		t.add(job{line: t.cutting.line, from: from, to: len(t.ids), source: tokens})
	}
	return nil
}

// add appends a job with something to translate.
func (t *Translator) add(j job) {
	c := &t.cutting
	j.first, j.left = !c.some, 1
	c.some = true
	if j.first && t.s.opt.Alternatives > 0 {
		j.alternatives = t.s.opt.Alternatives
		j.left, j.found = j.alternatives, make([]Variant, j.alternatives)
	}
	if t.s.opt.TextOnly {
		j.source = nil
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
	if t.m.source.Kind() == kindTokens {
		if err := t.knownTokens(t.ids[from:], s, out); err != nil {
			t.ids = t.ids[:from]
			return false, err
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
		if !t.s.opt.TextOnly {
			for _, id := range t.ids[j.from:j.to] {
				j.source = append(j.source, t.m.source.Piece(id))
			}
		}
		t.add(j)
		before = t.glue
	}
	return true, nil
}

// knownTokens looks at the ids of a text that a list of tokens has cut at its spaces. A text of which nothing is known is most likely not
// cut into tokens.
func (t *Translator) knownTokens(ids []int32, s string, out *Translation) error {
	if !slices.Contains(ids, t.m.source.Unk()) {
		return nil
	}
	var unknown []string
	for i, token := range t.m.source.EncodePieces(s, &t.scratch) {
		switch {
		case ids[i] < 0:
			return &InputError{unknownToken(i, token) + ", which has no <unk>"}
		case t.m.source.Piece(ids[i]) != token:
			unknown = append(unknown, fmt.Sprintf("%.40q", token))
		}
	}
	if n := len(unknown); 0 < n && n < len(ids) {
		if n > 5 {
			unknown = append(unknown[:5], "...")
		}
		out.Warnings = append(out.Warnings, fmt.Sprintf("tokens that are not in the model's vocabulary count as unknown: %s (%d of %d)", strings.Join(unknown, ", "), n, len(ids)))
	}
	if len(unknown) < len(ids) {
		return nil
	}
	var some []string
	for id := int32(0); int(id) < t.m.source.Size() && len(some) < 5; id++ {
		if piece := t.m.source.Piece(id); t.m.source.IsText(id) && !strings.HasPrefix(piece, "<") {
			some = append(some, piece)
		}
	}
	return &InputError{fmt.Sprintf("none of it is in the model's vocabulary: this model has no tokenizer and takes tokens with spaces between, such as %q", strings.Join(some, " "))}
}

func unknownToken(i int, token string) string {
	return fmt.Sprintf("token %d (%q) is not in the model's vocabulary", i+1, token)
}

// run takes all lines through the session.
func (t *Translator) run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := modelfile.Guard(t.s.file.Path(), t.fill); err != nil {
			return err
		}
		if len(t.jobs) == 0 {
			return nil
		}
		if _, err := t.s.Step(); err != nil {
			return err
		}
		for slot := range t.inSlot {
			if t.s.Done(slot) {
				if err := t.collect(slot); err != nil {
					return err
				}
			}
		}
		if err := t.show(); err != nil {
			return err
		}
	}
}

// fill puts together what has ended, and keeps the slots busy.
func (t *Translator) fill() error {
	for {
		for len(t.jobs) > 0 && t.jobs[0].left == 0 {
			t.join()
		}
		if t.next.job == len(t.jobs) {
			if !t.s.vacant() || !t.cut() {
				return nil
			}
			continue
		}
		j := &t.jobs[t.next.job]
		if j.left > 0 {
			t.next.alternative = max(t.next.alternative, min(j.alternatives, 1))
			slot, err := t.start(j, t.next.alternative)
			if slot < 0 || err != nil {
				return err
			}
			t.inSlot[slot] = t.next
		}
		if t.next.alternative < j.alternatives {
			t.next.alternative++
		} else {
			t.next = task{t.next.job + 1, 0}
		}
	}
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
	j.left--
	t.s.Release(slot)
	return err
}

// variant is a hypothesis as text.
func (t *Translator) variant(h Hypothesis) Variant {
	c := Variant{Score: h.Score}
	if t.tokens || !t.s.opt.TextOnly {
		c.Tokens = make([]string, len(h.Tokens))
		for i, id := range h.Tokens {
			c.Tokens[i] = t.m.target.Piece(id)
		}
	}
	if t.tokens {
		c.Text = strings.Join(c.Tokens, " ")
	} else {
		t.out = t.m.target.Decode(t.out[:0], h.Tokens)
		c.Text = string(t.out)
	}
	if t.s.opt.TextOnly {
		c.Tokens = nil
	}
	return c
}
