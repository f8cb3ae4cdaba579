package runtime

import (
	"fmt"
	"math"
	"strings"

	"github.com/edge-infer/edge-infer/runtime/memory"
)

// InputError says that a text or token sequence cannot be processed. The session stays usable.
type InputError struct {
	Reason string
}

func (e *InputError) Error() string { return e.Reason }

// FamilyError says that a file is intact but holds a model of another family than the one asked for.
type FamilyError struct {
	Path, Family, Want string
}

func (e *FamilyError) Error() string {
	return fmt.Sprintf("%s: this is a %s model; a %s model is needed here", e.Path, e.Family, e.Want)
}

// ModelError says that a file is intact but its model cannot be run: a tensor is missing or has another shape than the
// config demands, or numbers left the range of float32 on the way.
type ModelError struct {
	Path, Where, Reason string
}

func (e *ModelError) Error() string {
	var parts []string
	for _, p := range []string{e.Path, e.Where, e.Reason} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// MemoryError says that a Plan needs more memory than there is, and what would fit.
type MemoryError struct {
	Need   int64 // bytes
	Limit  memory.Limit
	Batch  int // the largest batch that fits with all else as asked for; 0: none does
	Length int // then: with a batch of 1 the most tokens of a sentence, or steps at a time, that fit; 0: no number does

	units string // of Length
}

func (e *MemoryError) Error() string {
	hint := "nothing smaller fits, either: take a smaller model, or close other programs"
	switch {
	case e.Batch > 0:
		hint = fmt.Sprintf("a batch of %d fits", e.Batch)
	case e.Length > 0:
		hint = fmt.Sprintf("at most %d %s fit", e.Length, e.units)
	case e.Limit.Of == ofOptions:
		hint = "nothing smaller fits, either: allow more, or take a smaller model"
	}
	// Rounded apart, so that the first is always seen to be more.
	need := math.Ceil(float64(e.Need)*10/(1<<20)) / 10
	limit := fmt.Sprintf("%.1f MB", math.Floor(float64(e.Limit.Bytes)*10/(1<<20))/10)
	if e.Limit.Bytes < 1<<20 {
		limit = fmt.Sprintf("%d KB", e.Limit.Bytes>>10)
	}
	return fmt.Sprintf("this needs %.1f MB of memory, and %s is %s; %s", need, e.Limit.Of, limit, hint)
}
