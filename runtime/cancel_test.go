package runtime_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	edge "github.com/edge-infer/edge-infer/runtime"
)

// countdown is a context that ends when it is asked for the stop-th time.
type countdown struct {
	context.Context
	asked, stop int
}

func (c *countdown) Err() error {
	if c.asked++; c.asked >= c.stop {
		return context.Canceled
	}
	return nil
}

// A translation asks before every token whether to go on, and then ends at once. The next one is as if nothing had been.
func TestCancelWithinAToken(t *testing.T) {
	m := openAren(t)
	tr, err := m.NewTranslator(edge.Options{MaxTarget: 40, MinTarget: 40})
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("آ ت ز ", 5)
	whole := &countdown{context.Background(), 0, 1 << 30}
	want, err := tr.Translate(whole, []string{line})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(want[0].Tokens); n != 40 || whole.asked < n {
		t.Fatalf("%d tokens, asked %d times", n, whole.asked)
	}
	for _, stop := range []int{1, 2, 20, whole.asked} {
		c := &countdown{context.Background(), 0, stop}
		if _, err := tr.Translate(c, []string{line}); !errors.Is(err, context.Canceled) || c.asked != stop {
			t.Errorf("stopped at %d: %v after being asked %d times", stop, err, c.asked)
		}
		got, err := tr.Translate(context.Background(), []string{line})
		if err != nil || got[0].Text != want[0].Text {
			t.Errorf("after a stop at %d: %q, %v, want %q", stop, got[0].Text, err, want[0].Text)
		}
	}
}
