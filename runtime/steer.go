package runtime

import (
	"context"
	"fmt"
	"strings"

	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// What a caller of a Translator may ask for beside the text: what the translations begin with, the language of a model that has
// several, and to see the words as they come.

// SetPrefix makes the translation of every line begin with a text, which is a part of it; "" is no prefix.
// Errors: *InputError for text that the model has no words for, or that is too long.
func (t *Translator) SetPrefix(prefix string) error {
	if err := validUTF8(prefix); err != nil {
		return &InputError{"the prefix is " + err.Error()}
	}
	ids := t.m.target.Encode(nil, prefix, &t.scratch)
	for _, id := range ids {
		if id < 0 || id == t.m.target.Unk() {
			return &InputError{fmt.Sprintf("the prefix %q has characters that the model cannot write", prefix)}
		}
	}
	return t.setPrefix(ids)
}

// SetPrefixTokens is SetPrefix for tokens with spaces between.
func (t *Translator) SetPrefixTokens(prefix string) error {
	var ids []int32
	for _, token := range strings.Fields(prefix) {
		id, ok := t.m.target.ID(token)
		if !ok {
			return &InputError{fmt.Sprintf("the prefix has the token %q, which is not in the model's vocabulary", token)}
		}
		ids = append(ids, id)
	}
	return t.setPrefix(ids)
}

func (t *Translator) setPrefix(ids []int32) error {
	err := t.s.checkPrefix(ids)
	if err == nil {
		t.prefix = ids
	}
	return err
}

// Languages are the target languages between which the model chooses by a token such as >>fra<<, without the angles; none where it
// has one target language.
func (m *Model) Languages() []string {
	if m.source == nil {
		return nil
	}
	return m.source.Languages()
}

// SetLanguage chooses one of Model.Languages for the lines that do not begin with one, such as ">>fra<< Hello".
// Errors: *InputError for one that the model does not have.
func (t *Translator) SetLanguage(code string) error {
	id, err := t.languageToken(">>" + code + "<<")
	if err == nil {
		t.language = id
	}
	return err
}

func (t *Translator) languageToken(token string) (int32, error) {
	if id, ok := t.m.source.ID(token); ok {
		return id, nil
	}
	const shown = 12
	has := t.languages
	more := ""
	if len(has) > shown {
		has, more = has[:shown], fmt.Sprintf(" and %d more", len(has)-shown)
	}
	return -1, &InputError{fmt.Sprintf("the model has no target language %s; it has %s%s", token, strings.Join(has, ", "), more)}
}

// takeLanguage takes a language's token off the beginning of a line. Text of a model without such tokens is left as it is.
func (t *Translator) takeLanguage(s string) (id int32, rest string, err error) {
	text := strings.TrimLeft(s, " \t")
	if len(t.languages) == 0 || !strings.HasPrefix(text, ">>") {
		return t.language, s, nil
	}
	code, rest, ok := strings.Cut(text[2:], "<<")
	if !ok || code == "" || strings.ContainsAny(code, " \t\n") {
		return t.language, s, nil
	}
	id, err = t.languageToken(">>" + code + "<<")
	return id, rest, err
}

// stream follows the one sentence that is under way.
type stream struct {
	emit func(string) error
	text []byte // of the line, as far as it stands
	sent int    // bytes of it that were emitted
}

// Stream translates one line and calls emit with its parts as they come, token by token; together they are Translation.Text. A part
// may be held back until it stands: a character of several bytes, text that the model's rules still change.
// Errors: *InputError for a session with beams, alternatives or a batch, in which nothing stands before its end; those of
// Translate, and of emit.
func (t *Translator) Stream(ctx context.Context, line string, emit func(part string) error) (Translation, error) {
	return t.streamLine(ctx, line, emit, t.Translate)
}

// StreamTokens is Stream for a line of tokens, as TranslateTokens takes and gives them.
func (t *Translator) StreamTokens(ctx context.Context, line string, emit func(part string) error) (Translation, error) {
	return t.streamLine(ctx, line, emit, t.TranslateTokens)
}

func (t *Translator) streamLine(ctx context.Context, line string, emit func(string) error,
	translate func(context.Context, []string) ([]Translation, error)) (Translation, error) {
	if o := &t.s.opt; o.Beam > 1 || o.Alternatives > 0 || o.Batch > 1 {
		return Translation{}, &InputError{"words can be shown as they come in greedy search of one line at a time: beam 1, batch 1, no alternatives"}
	}
	t.stream = &stream{emit: emit}
	defer func() { t.stream = nil }()
	out, err := translate(ctx, []string{line})
	if err != nil {
		return Translation{}, err
	}
	if out[0].Err != nil {
		return out[0], nil
	}
	if rest := out[0].Text[t.stream.sent:]; rest != "" {
		err = emit(rest)
	}
	return out[0], err
}

// show emits what has come since the last step, if somebody watches.
func (t *Translator) show() error {
	w := t.stream
	if w == nil {
		return nil
	}
	for len(t.jobs) > 0 && t.jobs[0].left == 0 {
		w.text = append(w.text, t.jobs[0].before...)
		if found := t.jobs[0].found; len(found) > 0 {
			w.text = append(w.text, found[0].Text...)
		}
		t.join()
	}
	whole := w.text
	if len(t.jobs) > 0 {
		if tokens := t.s.Growing(0); len(tokens) > 0 {
			whole = append(whole, t.jobs[0].before...)
			err := modelfile.Guard(t.s.file.Path(), func() error {
				whole = t.growing(whole, tokens)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	if len(whole) <= w.sent {
		return nil
	}
	part := string(whole[w.sent:])
	w.sent = len(whole)
	return w.emit(part)
}

// growing appends the text of a sentence under way, as far as no token that follows can change it.
func (t *Translator) growing(dst []byte, tokens []int32) []byte {
	if !t.tokens {
		return t.m.target.DecodeGrowing(dst, tokens)
	}
	for i, id := range tokens {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, t.m.target.Piece(id)...)
	}
	return dst
}
