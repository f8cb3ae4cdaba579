package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/edge-infer/edge-infer/convert/checkpoint"
	"github.com/edge-infer/edge-infer/kernels"
	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/modelfile"
)

// The exit codes that README.md promises.
const (
	exitOK          = 0
	exitInput       = 1   // some input was wrong; the rest was done
	exitUse         = 2   // unknown command or flag, impossible combination, kernels that this CPU lacks
	exitModel       = 3   // a model or checkpoint is unreadable, corrupt or of the wrong family
	exitMemory      = 4   // not enough memory
	exitIO          = 5   // could not read or write
	exitInterrupted = 130 // Ctrl-C
)

// usageError is a wrong use of the command line.
type usageError struct{ reason, hint string }

func (e *usageError) Error() string {
	if e.hint == "" {
		return e.reason
	}
	return e.reason + "; " + e.hint
}

// modelError is any reason why a model or a checkpoint could not be used, such as a file that is not there: the same
// *fs.PathError on a text would be exitIO.
type modelError struct{ err error }

func (e *modelError) Error() string { return e.err.Error() }
func (e *modelError) Unwrap() error { return e.err }

// tally counts the lines of a run.
type tally struct {
	bad, total int
	short      error // an *inputMemoryError of a bad one; nil: none had one
}

// wrong reports a line that could not be answered.
func (t *tally) wrong(where string, err error) {
	t.bad++
	fmt.Fprintf(os.Stderr, "edge-infer: %s: %v\n", where, err)
	if is[*inputMemoryError](err) {
		t.short = err
	}
}

// end is the error of a run that had bad lines, of which failed says what: "could not be translated".
func (t *tally) end(failed string) error {
	if t.bad == 0 {
		return nil
	}
	return &badLinesError{*t, failed}
}

// badLinesError ends a run that had wrong input. Each line has been reported when it came.
type badLinesError struct {
	lines  tally
	failed string
}

func (e *badLinesError) Unwrap() error { return e.lines.short }

func (e *badLinesError) Error() string {
	return fmt.Sprintf("%d of %d %s: see above", e.lines.bad, e.lines.total, e.failed)
}

// errReaderGone: whoever read our standard output has closed it (head, less). Nothing is wrong.
var errReaderGone = errors.New("standard output was closed")

// exitCode is the one place that knows which error ends in which code. The first that is found in the chain of causes
// counts, so the order matters: a model that is not there is an I/O error too.
func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, errReaderGone):
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case is[*usageError](err), is[*kernels.UnavailableError](err):
		return exitUse
	case is[*edge.MemoryError](err), is[*inputMemoryError](err):
		return exitMemory
	case is[*modelError](err), is[*modelfile.FormatError](err), is[*edge.FamilyError](err), is[*edge.ModelError](err),
		is[*checkpoint.Error](err):
		return exitModel
	case is[*edge.InputError](err), is[*badLinesError](err):
		return exitInput
	default: // what remains comes from the operating system
		return exitIO
	}
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// describe is what the user reads about an error; "" for an end that needs no words.
func describe(err error) string {
	switch {
	case err == nil, errors.Is(err, errReaderGone):
		return ""
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	// "open x: no such file or directory" says what and where; these say what to do.
	hint := ""
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "; check the permissions of the file and its folder"
	case diskFull(err):
		hint = "; make room or write to another place"
	}
	return err.Error() + hint
}
