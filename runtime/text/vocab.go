package text

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Vocab is tokens with their ids, which may have holes, but not many.
type Vocab struct {
	texts []string // by id; those of holes are empty
	order []uint32 // the ids there are, in order of their texts
}

// newVocab makes a vocabulary of count tokens with ids from 0 to last; each calls add for every one.
func newVocab(count int, last int32, each func(add func(token string, id int32) error) error) (*Vocab, error) {
	if count == 0 {
		return nil, errors.New("the vocabulary is empty")
	}
	limit := min(2*count+1024, maxIDs)
	v := &Vocab{texts: make([]string, min(int(last)+1, limit)), order: make([]uint32, 0, count)}
	empty := int32(-1) // the id of the token of no characters
	err := each(func(token string, id int32) error {
		if id < 0 || int(id) >= limit {
			return fmt.Errorf("the vocabulary gives %.80q the id %d, but has %d entries", token, id, count)
		}
		if first := v.texts[id]; first != "" || id == empty {
			return fmt.Errorf("the vocabulary gives the id %d to %.80q and to %.80q", id, min(first, token), max(first, token))
		}
		if token == "" {
			empty = id
		}
		v.texts[id], v.order = token, append(v.order, uint32(id))
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(v.order, func(i, j int) bool { return v.texts[v.order[i]] < v.texts[v.order[j]] })
	for i := 1; i < len(v.order); i++ {
		if a, b := v.order[i-1], v.order[i]; v.texts[a] == v.texts[b] {
			return nil, fmt.Errorf("%.80q is there twice, as %d and as %d", v.texts[a], min(a, b), max(a, b))
		}
	}
	return v, nil
}

// vocabOf is the vocabulary that a map says.
func vocabOf(ids map[string]int32) (*Vocab, error) {
	last := int32(0)
	for _, id := range ids {
		last = max(last, id)
	}
	return newVocab(len(ids), last, func(add func(string, int32) error) error {
		for token, id := range ids {
			if err := add(token, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Len is how many tokens there are.
func (v *Vocab) Len() int { return len(v.order) }

// ID finds a token.
func (v *Vocab) ID(token string) (id int32, ok bool) { return v.joined(token, "") }

// joined finds the token left + right.
func (v *Vocab) joined(left, right string) (id int32, ok bool) {
	compare := func(text string) int {
		n := min(len(text), len(left))
		switch c := strings.Compare(text[:n], left[:n]); {
		case c != 0:
			return c
		case n < len(left):
			return -1
		}
		return strings.Compare(text[n:], right)
	}
	i, ok := sort.Find(len(v.order), func(i int) int { return -compare(v.texts[v.order[i]]) })
	if !ok {
		return 0, false
	}
	return int32(v.order[i]), true
}

// Each calls f for the tokens and their ids, in order of the tokens.
func (v *Vocab) Each(f func(token string, id int32)) {
	for _, id := range v.order {
		f(v.texts[id], int32(id))
	}
}

// Remove takes out the token with the id, if there is one.
func (v *Vocab) Remove(id int32) {
	if id < 0 || int(id) >= len(v.texts) {
		return
	}
	v.texts[id] = ""
	order, last := v.order[:0], uint32(0)
	for _, o := range v.order {
		if o != uint32(id) {
			order, last = append(order, o), max(last, o)
		}
	}
	v.order, v.texts = order, v.texts[:last+1]
}
