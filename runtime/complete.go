package runtime

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
	"github.com/edge-infer/edge-infer/runtime/text"
)

// CompleteOptions say how a text goes on. Zero values mean the default in brackets.
type CompleteOptions struct {
	Words       int     // most words [1]
	Top         int     // candidates that are told of each word [0]
	Temperature float32 // 0: always the most likely word; 1: as often as the model thinks; above: bolder
	Seed        uint64  // of the random numbers that a temperature needs
}

const maxTop = 1000

// Check says what is out of range, as *InputError.
func (o CompleteOptions) Check() error {
	switch {
	case o.Words < 0 || o.Words > 1<<20:
		return &InputError{fmt.Sprintf("the number of words is %d, must be 1 to %d", o.Words, 1<<20)}
	case o.Top < 0 || o.Top > maxTop:
		return &InputError{fmt.Sprintf("the number of candidates is %d, must be 0 to %d", o.Top, maxTop)}
	case !(o.Temperature >= 0 && o.Temperature <= 100):
		return &InputError{fmt.Sprintf("the temperature is %g, must be 0 to 100", o.Temperature)}
	}
	return nil
}

// Candidate is a word that may come next.
type Candidate struct {
	ID          int32   `json:"id"`
	Word        string  `json:"word"`
	Probability float32 `json:"probability"`
}

// Completion is how one text goes on.
type Completion struct {
	Text    string        // the words behind the given text
	Words   []Candidate   // the same, one by one
	Top     [][]Candidate // with CompleteOptions.Top: the most likely ones for each word, in order
	Unknown []string      // words of the text that the model does not know
}

// Completer goes on where a text ends. It is for one goroutine at a time.
type Completer struct {
	m       *Model
	s       *Stream
	scratch text.Scratch
	ids     []int32
	logits  []float32
	top     []int32
	value   []float32
	chance  *rand.PCG
	random  *rand.Rand // of chance
}

// PlanCompleter computes what NewCompleter(o) will allocate. Errors: as PlanStream's.
func (m *Model) PlanCompleter(o StreamOptions) (*Plan, error) {
	o.Batch = 1
	return m.planStream(o, func(a *arena) { (&Completer{m: m}).allocate(a) })
}

func (c *Completer) allocate(a *arena) {
	const part = "probabilities of words"
	words := c.m.rnn.cfg.Vocab
	c.logits = take[float32](a, part, words)
	c.value = take[float32](a, part, words)
	c.top = take[int32](a, part, words)
}

// NewCompleter makes a completer with a Stream of its own. Errors: those of NewStream, and *ModelError for a model without a
// vocabulary or whose output is not one number a word.
func (m *Model) NewCompleter(o StreamOptions) (*Completer, error) {
	plan, err := m.PlanCompleter(o)
	if err != nil {
		return nil, err
	}
	if err := plan.Check(); err != nil {
		return nil, err
	}
	o.Batch = 1
	s, err := m.NewStream(o)
	if err != nil {
		return nil, err
	}
	cfg := m.rnn.cfg
	reason := ""
	switch {
	case m.rnn.tokens == nil:
		reason = "has no vocabulary: it cannot complete text"
	case cfg.Backward():
		reason = "reads from the end, too: it cannot complete text"
	case len(cfg.Head) == 0 || cfg.OutputWidth() != cfg.Vocab:
		reason = fmt.Sprintf("puts out %d values for a vocabulary of %d words: it does not predict the next word", cfg.OutputWidth(), cfg.Vocab)
	}
	if reason != "" {
		return nil, &ModelError{m.file.Path(), "", reason}
	}
	c := &Completer{m: m, s: s, chance: rand.NewPCG(0, 0)}
	c.random = rand.New(c.chance)
	c.allocate(&arena{})
	return c, nil
}

// Complete says how s goes on. Errors: *InputError for text that is not valid UTF-8 or empty (where the model has no token that
// texts start with) and options out of range; ctx's; those of Stream.Run.
func (c *Completer) Complete(ctx context.Context, s string, o CompleteOptions) (*Completion, error) {
	out := &Completion{}
	text, unknown, err := c.complete(ctx, nil, s, o, out)
	if err != nil {
		return nil, err
	}
	out.Text, out.Unknown = string(text), unknown
	return out, nil
}

// Append appends the text that follows s to dst, and gives the words of s that the model does not know: Complete for many texts, since
// what does not grow is not allocated. o.Top has no part in it.
func (c *Completer) Append(ctx context.Context, dst []byte, s string, o CompleteOptions) (text []byte, unknown []string, err error) {
	return c.complete(ctx, dst, s, o, nil)
}

// complete also says in out, if there is one, which words were chosen, and from among which.
func (c *Completer) complete(ctx context.Context, dst []byte, s string, o CompleteOptions, out *Completion) (text []byte, unknown []string, err error) {
	if o.Words == 0 {
		o.Words = 1
	}
	if err := o.Check(); err != nil {
		return dst, nil, err
	}
	if !utf8.ValidString(s) {
		return dst, nil, &InputError{"not valid UTF-8"}
	}
	if unknown, err = c.read(ctx, s); err != nil {
		return dst, nil, err
	}
	c.chance.Seed(o.Seed, 0)
	given := len(c.ids)
	for len(c.ids) < given+o.Words {
		if err := ctx.Err(); err != nil {
			return dst, nil, err
		}
		if len(c.ids) > given {
			if err := c.s.Feed(c.logits, c.ids[len(c.ids)-1:]); err != nil {
				return dst, nil, err
			}
		}
		if err := c.next(o, out); err != nil {
			return dst, nil, err
		}
	}
	err = modelfile.Guard(c.s.file.Path(), func() error {
		dst = c.m.rnn.tokens.Decode(dst, c.ids[given:])
		return nil
	})
	return dst, unknown, err
}

// read feeds the whole text and gives its unknown words.
func (c *Completer) read(ctx context.Context, s string) (unknown []string, err error) {
	cfg := c.m.rnn.cfg
	c.ids = c.ids[:0]
	if cfg.Start >= 0 {
		c.ids = append(c.ids, cfg.Start)
	}
	err = modelfile.Guard(c.s.file.Path(), func() error {
		from := len(c.ids)
		c.ids = c.m.rnn.tokens.Encode(c.ids, s, &c.scratch)
		var pieces []string
		for i, id := range c.ids[from:] {
			if id != c.m.rnn.tokens.Unk() {
				continue
			}
			if pieces == nil {
				pieces = c.m.rnn.tokens.EncodePieces(s, &c.scratch)
			}
			word := pieces[i]
			if id < 0 {
				return &InputError{fmt.Sprintf("the model does not know %q and has no <unk>", word)}
			}
			unknown = append(unknown, word)
		}
		c.s.Reset()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(c.ids) == 0 {
		return nil, &InputError{"there is no text to complete"}
	}
	left := c.ids
	for n := c.s.opt.MaxSteps; len(left) > n; left = left[n:] { // in pieces, to be interrupted between them
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.s.Feed(nil, left[:n]); err != nil {
			return nil, err
		}
	}
	return unknown, c.s.Feed(c.logits, left)
}

// next chooses a word by c.logits, which become probabilities.
func (c *Completer) next(o CompleteOptions, out *Completion) error {
	return modelfile.Guard(c.s.file.Path(), func() error {
		tokens, set := c.m.rnn.tokens, &c.s.set
		for id := range c.logits {
			if !tokens.IsText(int32(id)) {
				c.logits[id] = float32(math.Inf(-1)) // <unk>, <s>, and rows that no word has
			}
		}
		id := -1
		if o.Temperature > 0 {
			id = c.draw(o.Temperature)
		}
		set.Softmax(c.logits)
		if o.Temperature == 0 {
			id = set.ArgMax(c.logits)
		}
		if id < 0 || c.logits[id]-c.logits[id] != 0 {
			return &ModelError{c.s.file.Path(), "", "the probabilities of its words are not numbers"}
		}
		c.ids = append(c.ids, int32(id))
		if out == nil {
			return nil
		}
		out.Words = append(out.Words, Candidate{int32(id), tokens.Piece(int32(id)), c.logits[id]})
		if o.Top > 0 {
			k := min(o.Top, len(c.logits))
			n := set.TopK(c.top[:k], c.value[:k], c.logits)
			row := make([]Candidate, 0, n)
			for i := range n {
				if tokens.IsText(c.top[i]) {
					row = append(row, Candidate{c.top[i], tokens.Piece(c.top[i]), c.value[i]})
				}
			}
			out.Top = append(out.Top, row)
		}
		return nil
	})
}

// draw picks a word at random by softmax(logits / temperature), the same for a seed on every machine.
func (c *Completer) draw(temperature float32) int {
	copy(c.value, c.logits)
	c.s.set.Scale(c.value, 1/temperature)
	c.s.set.Softmax(c.value)
	left, last := c.random.Float32(), -1
	for i, p := range c.value {
		if p > 0 {
			if last = i; left < p {
				break
			}
			left -= p // what rounding leaves over in the end goes to the last word
		}
	}
	return last
}
