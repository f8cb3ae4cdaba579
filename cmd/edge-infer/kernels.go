package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/boards"
	"github.com/edge-infer/edge-infer/kernels"
)

const kernelsVariable = "EDGE_INFER_KERNELS"

func newKernelsCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "Which inner loops this machine can run, and which were chosen",
		Long: `Lists the sets of kernels, the inner loops that take the time, what this CPU has,
and which set was chosen and why. Every set gives the same answers, bit for bit;
they differ in speed alone.

` + kernelsVariable + `=NAME takes another set, for comparisons. One that the CPU
lacks is an error, never a silent change. Where one instruction set has two good
sets, a table of core part numbers chooses; bench kernels says where it is wrong.`,
		Example: `  edge-infer kernels
  ` + kernelsVariable + `=generic edge-infer translate 你好   # slow, and the same words`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			r := newKernelReport()
			noteFaster()
			text := r.table()
			if asJSON {
				text = r.json()
			}
			return errors.Join(printResult(text), r.err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// kernelReport is what the command prints.
type kernelReport struct {
	Board    boards.Board `json:"board"`
	Target   string       `json:"target"`   // of this build
	Features []string     `json:"features"` // of the CPU, those that sets ask for
	Sets     []kernelSet  `json:"sets"`     // slowest first
	Chosen   string       `json:"chosen,omitempty"`
	Why      string       `json:"why"`
	err      error        // why none was chosen
}

type kernelSet struct {
	Name   string `json:"name"`
	Usable bool   `json:"usable"`
	Needs  string `json:"needs"`
	Why    string `json:"why,omitempty"`
}

// relevant are the CPU features that decide between sets, those of today and of tomorrow.
var relevant = []cpuid.FeatureID{
	cpuid.AVX2, cpuid.AVXVNNI, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512VNNI, cpuid.AMXINT8,
	cpuid.ASIMD, cpuid.ASIMDHP, cpuid.ASIMDDP, cpuid.I8MM, cpuid.SVE,
}

func newKernelReport() *kernelReport {
	r := &kernelReport{Board: boards.Detect(), Target: goruntime.GOOS + "/" + goruntime.GOARCH, Features: []string{}}
	for _, id := range relevant {
		if cpuid.CPU.Supports(id) {
			r.Features = append(r.Features, id.String())
		}
	}
	for _, info := range kernels.All() {
		r.Sets = append(r.Sets, kernelSet{info.Name, info.Usable, info.Needs, info.Why})
	}
	set, err := kernels.Default()
	switch forced := os.Getenv(kernelsVariable); {
	case err != nil:
		r.err, r.Why = err, err.Error()
	case forced != "":
		r.Chosen, r.Why = set.Name, kernelsVariable+" asks for it"
	case slices.ContainsFunc(r.Sets, func(s kernelSet) bool { return !s.Usable }):
		r.Chosen, r.Why = set.Name, "the fastest that this CPU can run"
	default:
		r.Chosen, r.Why = set.Name, "the fastest of this build"
	}
	for _, s := range r.Sets {
		if s.Name == r.Chosen && s.Why != "" {
			r.Why += "; " + s.Why
		}
	}
	return r
}

func (r *kernelReport) json() []byte {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // plain strings and numbers always encode
	}
	return append(text, '\n')
}

func (r *kernelReport) table() []byte {
	var b bytes.Buffer
	features := strings.Join(r.Features, " ")
	if features == "" {
		features = "none that a set asks for"
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "machine\t%s\nbuild\t%s\nCPU has\t%s\n\n", r.Board, r.Target, features)
	fmt.Fprintf(w, "set\tusable\tneeds\n")
	for _, s := range r.Sets {
		usable := "yes"
		if !s.Usable {
			usable = "no"
		}
		mark := ""
		if s.Name == r.Chosen {
			mark = "\t<- chosen: " + r.Why
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\n", s.Name, usable, s.Needs, mark)
	}
	w.Flush()
	return b.Bytes()
}
