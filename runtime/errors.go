package runtime

import (
	"fmt"
	"strings"
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

// MemoryError says that a Plan needs more memory than there is.
type MemoryError struct {
	Need, Have int64 // bytes
	Hint       string
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("this needs %s of memory and %s are free; %s", mib(e.Need), mib(e.Have), e.Hint)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
