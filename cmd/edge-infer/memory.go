package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/memory"
)

// addMemoryFlag is --memory, for every command that runs a model.
func addMemoryFlag(flags *pflag.FlagSet, to *string) {
	flags.StringVar(to, "memory", "", "take no more than `SIZE` of memory beside the model's file, such as 64M (default: what the machine leaves)")
}

// parseSize reads "64M": a number of bytes, or of binary kilobytes, megabytes or gigabytes. "" is 0.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, shift := s, 0
	if i := strings.IndexByte("KMG", s[len(s)-1]&^0x20); i >= 0 {
		number, shift = s[:len(s)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt64>>shift {
		return 0, &usageError{fmt.Sprintf("--memory: %q is not a size", s), "write it like 64M"}
	}
	return n << shift, nil
}

// textMemory is for lines on their way in and out: those that were read ahead, the one in work, and what is allocated for each. A line
// of more than readAhead takes growing times its bytes beside it.
const textMemory = 1 << 20

// addProgram counts what this program needs beside a session.
func addProgram(p *edge.Plan) {
	p.Add("lines of text", textMemory)
	addCPUs(p)
}

// addCPUs counts what Go makes at the start for each CPU that it might use, beyond fewCPUs.
func addCPUs(p *edge.Plan) {
	if more := startCPUs - fewCPUs; more > 0 {
		p.Add("Go, on so many CPUs", int64(more)*cpuMemory)
	}
}

// startCPUs is what Go was made for, before limitMemory.
var startCPUs = goruntime.GOMAXPROCS(0)

// fewCPUs are as many as boards have: no Plan for a board depends on the machine that makes it.
const (
	fewCPUs   = 16
	cpuMemory = 30 << 10
)

// growing is how many times its bytes a long line takes: as it was read, as it waits, its translation as that grows and as it is
// written, and what was left behind on the way. Arrays that are read from pipes take less.
const growing = 8

// within makes what runs a model, in the memory that there is. batch and steps are in the options of plan and open. Those that are too
// large are made smaller, which changes no answer; steps is nil where it would. spare is the bytes that are left for what is larger
// than the Plan knows: long lines, arrays.
func within[T any](batch, steps *int, plan func() (*edge.Plan, error), open func() (T, error)) (made T, spare int64, err error) {
	var none T
	withText := func() (*edge.Plan, error) {
		p, err := plan()
		if err == nil {
			addProgram(p)
		}
		return p, asUsageError(err)
	}
	p, err := withText()
	if err != nil {
		return none, 0, err
	}
	var short *edge.MemoryError
	if err := p.Check(); errors.As(err, &short) && (short.Batch > 0 || short.Length > 0 && steps != nil) {
		*batch = max(short.Batch, 1)
		smaller := fmt.Sprintf("a batch of %d", *batch)
		if short.Batch == 0 {
			*steps = short.Length
			smaller = fmt.Sprintf("%d steps at a time", *steps)
		}
		fmt.Fprintf(os.Stderr, "edge-infer: this needs %s, and %s is %s: going on with %s; the answers are the same\n",
			megabytes(short.Need), p.Limit.Of, megabytes(p.Limit.Bytes), smaller)
		if p, err = withText(); err != nil {
			return none, 0, err
		}
	} else if err != nil {
		return none, 0, err
	}
	limitMemory(p)
	t, err := open()
	if err != nil {
		return none, 0, asUsageError(err)
	}
	if p.Rereads() {
		fmt.Fprintf(os.Stderr, "edge-infer: the model's %s and %s beside it are more than %s, which is %s: parts of the model are read again and again, which is slow\n",
			megabytes(p.Mapped), megabytes(p.Anonymous), p.Limit.Of, megabytes(p.Limit.Bytes))
	}
	return t, p.Spare(), nil
}

// tooLarge is the error of input that is longer than the memory that is left allows.
func tooLarge(name string, most int64, do string) error {
	return &inputMemoryError{fmt.Sprintf("%s: more than %s do not fit into the memory that is left; %s", name, kilobytes(most), do)}
}

// inputMemoryError says that there is not enough memory for some input.
type inputMemoryError struct{ reason string }

func (e *inputMemoryError) Error() string { return e.reason }

func kilobytes(n int64) string { return fmt.Sprintf("%d KB", n>>10) }

// openLean is openModel, and lean passes on what was made of the model, for families whose models may be smaller than the program: of
// its pages those go that starting and opening needed. A translator keeps them, since it would need a tenth of its start to have them again.
func openLean(name string) (*edge.Model, error) {
	memory.ForgetProgram()
	return openModel(name)
}

func lean[T any](t T, spare int64, err error) (T, int64, error) {
	memory.ForgetProgram()
	return t, spare, err
}

// limitMemory makes Go's collector keep this process within the Plan; without it the heap may grow to twice what is live. So much
// may be allocated between two collections, in per cent of what is live, or of 4 MB if that is more. The first collection alone takes a
// megabyte, for lists of all sizes of objects, so it comes that much after a small session: most commands make no garbage then.
// GOMEMLIMIT is the same rule for large sessions. What Go has asked the system for and never touched counts for it and takes no
// memory, so it is above the Plan by that. The environment has the last word.
func limitMemory(plan *edge.Plan) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	if goruntime.GOMAXPROCS(0) > plan.CPUs {
		goruntime.GOMAXPROCS(plan.CPUs)
	}
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	const between, least = 512 << 10, 4 << 20 // least is Go's
	session := int64(stats.HeapAlloc) + plan.Session()
	percent := int(max(100*between/max(plan.Session(), least), 1))
	if session < least/2 {
		first := 100 * (session + between) * 10 / 7 / least // it begins with 7 tenths of what it should end before
		debug.SetGCPercent(int(first))
		// The first collection finds this object dead, and from then on the rule is the same as for large sessions.
		goruntime.SetFinalizer(&struct{ _ [64]byte }{}, func(any) { debug.SetGCPercent(percent) })
	} else {
		debug.SetGCPercent(percent)
	}

	const untouchedLater = 3 << 20 // the collector's own, most of it
	untouched := max(int64(stats.Sys-stats.HeapReleased)-memory.Anonymous(), 0)
	debug.SetMemoryLimit(plan.Anonymous + min(plan.Spare(), growing*maxLine) + untouched + untouchedLater)
}
