package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// tokenTranslator is translate --tokens: the tokens of a line go to the session as they are and those of the translation
// come back, without the tokenizer's rules on either side.
type tokenTranslator struct {
	m *edge.Model
	s *edge.Session
}

func (t *tokenTranslator) translate(ctx context.Context, texts []string) ([]edge.Translation, error) {
	out := make([]edge.Translation, len(texts))
	slots := map[int]int{} // of sentences under way -> index of their text
	for next := 0; next < len(texts) || len(slots) > 0; {
		if err := ctx.Err(); err != nil {
			t.s.Reset()
			return nil, err
		}
		for ; next < len(texts); next++ {
			slot, err := t.add(texts[next], &out[next])
			var wrong *edge.InputError
			if errors.As(err, &wrong) {
				out[next].Err = wrong
			} else if err != nil {
				return nil, err
			} else if slot == slotsTaken {
				break
			} else if slot >= 0 {
				slots[slot] = next
			}
		}
		if len(slots) == 0 {
			continue
		}
		if _, err := t.s.Step(); err != nil {
			return nil, err
		}
		for slot, i := range slots {
			if t.s.Done(slot) {
				if err := t.collect(slot, &out[i]); err != nil {
					return nil, err
				}
				delete(slots, slot)
			}
		}
	}
	return out, nil
}

const (
	slotsTaken = -1 // what Session.Add says
	slotNone   = -2 // an empty line needs none
)

// add looks the tokens of a line up and gives them to the session.
func (t *tokenTranslator) add(text string, out *edge.Translation) (slot int, err error) {
	if !utf8.ValidString(text) {
		return slotNone, &edge.InputError{Reason: "not valid UTF-8"}
	}
	out.SourceTokens = strings.Fields(text)
	out.Warnings = nil
	if len(out.SourceTokens) == 0 {
		return slotNone, nil
	}
	ids := make([]int32, len(out.SourceTokens))
	err = modelfile.Guard(t.m.File().Path(), func() error {
		vocabulary := t.m.Source()
		for i, token := range out.SourceTokens {
			id, ok := vocabulary.ID(token)
			if !ok {
				if id = vocabulary.Unk(); id < 0 {
					return &edge.InputError{Reason: fmt.Sprintf("token %q is not in the model's vocabulary", token)}
				}
				out.Warnings = append(out.Warnings, fmt.Sprintf("token %q is not in the model's vocabulary and counts as unknown", token))
			}
			ids[i] = id
		}
		return nil
	})
	if err != nil {
		return slotNone, err
	}
	return t.s.Add(ids)
}

// collect takes the best hypothesis of a finished slot and frees the slot.
func (t *tokenTranslator) collect(slot int, out *edge.Translation) error {
	best := t.s.Best(slot)[0]
	err := modelfile.Guard(t.m.File().Path(), func() error {
		for _, id := range best.Tokens {
			out.Tokens = append(out.Tokens, t.m.Target().Piece(id))
		}
		return nil
	})
	out.Text, out.Score = strings.Join(out.Tokens, " "), best.Score
	if best.Cut {
		out.Warnings = append(out.Warnings, "the translation reached the maximum length and ends there")
	}
	t.s.Release(slot)
	return err
}
