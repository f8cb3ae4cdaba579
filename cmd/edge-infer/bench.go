package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/boards"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "How fast this machine runs kernels and models",
		Long: `Measures on the machine in hand: "bench kernels" the inner loops, beside what its
cores and its memory could do at most, "bench model" a whole model. Compare
figures that were taken in the same minute: machines change their clocks.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchKernelsCommand(), newBenchThreadsCommand(), newBenchModelCommand())
	return cmd
}

// benchField is one value of a row: string, int, int64, float64, or nil for what could not be measured.
type benchField struct {
	key   string
	value any
}

// benchRow is one measurement: what was measured, and the figures.
type benchRow struct{ subject, figures []benchField }

func (r *benchRow) fields() []benchField { return slices.Concat(r.subject, r.figures) }

// benchFormats are the values of --format.
var benchFormats = []string{"table", "json", "csv", "go"}

const benchFormatUsage = "`FORMAT` of the output: table, json, csv, or go for benchstat"

func checkBenchFormat(format string) error {
	if slices.Contains(benchFormats, format) {
		return nil
	}
	return &usageError{fmt.Sprintf("there is no format %q", format), "take one of " + strings.Join(benchFormats, ", ")}
}

// formatBench prints rows, which all have the same fields, in one of benchFormats. name is the benchmark's in the go format.
func formatBench(format, name string, rows []benchRow) []byte {
	var b bytes.Buffer
	switch format {
	case "json":
		writeBenchJSON(&b, rows)
	case "csv":
		writeBenchCSV(&b, rows)
	case "go":
		writeBenchGo(&b, name, rows)
	default:
		writeBenchTable(&b, rows)
	}
	return b.Bytes()
}

func writeBenchJSON(b *bytes.Buffer, rows []benchRow) {
	b.WriteString("[")
	for i, r := range rows {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n  {")
		for j, f := range r.fields() {
			if j > 0 {
				b.WriteString(", ")
			}
			value, err := json.Marshal(rounded(f.value))
			if err != nil {
				panic(err) // strings and finite numbers always encode
			}
			fmt.Fprintf(b, "%q: %s", f.key, value)
		}
		b.WriteString("}")
	}
	b.WriteString("\n]\n")
}

func writeBenchCSV(b *bytes.Buffer, rows []benchRow) {
	w := csv.NewWriter(b)
	for i, r := range rows {
		keys, values := []string{}, []string{}
		for _, f := range r.fields() {
			keys, values = append(keys, f.key), append(values, plainValue(f.value, ""))
		}
		if i == 0 {
			w.Write(keys)
		}
		w.Write(values)
	}
	w.Flush()
}

func writeBenchTable(b *bytes.Buffer, rows []benchRow) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for i, r := range rows {
		keys, values := []string{}, []string{}
		for _, f := range r.fields() {
			keys, values = append(keys, f.key), append(values, plainValue(f.value, "-"))
		}
		if i == 0 {
			fmt.Fprintln(w, strings.Join(keys, "\t"))
		}
		fmt.Fprintln(w, strings.Join(values, "\t"))
	}
	w.Flush()
}

// writeBenchGo writes what "go test -bench" writes: the subject in the name, the figures as units. benchstat takes rows with
// the same subject as samples of one benchmark.
func writeBenchGo(b *bytes.Buffer, name string, rows []benchRow) {
	fmt.Fprintf(b, "goos: %s\ngoarch: %s\n", goruntime.GOOS, goruntime.GOARCH)
	if cpus := boards.Detect().CPUs; len(cpus) > 0 && cpus[0].Name != "" {
		fmt.Fprintf(b, "cpu: %s\n", cpus[0].Name)
	}
	for _, r := range rows {
		fmt.Fprintf(b, "Benchmark%s", name)
		for _, f := range r.subject {
			fmt.Fprintf(b, "/%s=%s", f.key, strings.Map(goNameRune, plainValue(f.value, "")))
		}
		b.WriteString("\t1")
		for _, f := range r.figures {
			if f.value == nil {
				continue
			}
			unit := f.key
			if unit == "ns" {
				unit = "ns/op"
			}
			fmt.Fprintf(b, "\t%s %s", plainValue(f.value, ""), unit)
		}
		b.WriteByte('\n')
	}
}

// goNameRune keeps a value in one word of a benchmark's name, and one part of it.
func goNameRune(r rune) rune {
	if r == '/' || r <= ' ' {
		return '_'
	}
	return r
}

// plainValue is a value without quotes; none stands for nil.
func plainValue(v any, none string) string {
	switch v := rounded(v).(type) {
	case nil:
		return none
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// rounded keeps four digits of a float, and all before the point: more is noise.
func rounded(v any) any {
	f, ok := v.(float64)
	if !ok {
		return v
	}
	digits := 4
	for a := f; a >= 1 || a <= -1; a /= 10 {
		digits--
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', max(digits, 0), 64), 64)
	if err != nil {
		return v
	}
	return r
}

// benchProgress is one line on a terminal's standard error that says what is being measured.
type benchProgress struct{ on, drawn bool }

func newBenchProgress() *benchProgress { return &benchProgress{on: isTerminal(os.Stderr)} }

func (p *benchProgress) show(format string, args ...any) {
	if p.on {
		p.drawn = true
		fmt.Fprintf(os.Stderr, "\r\x1b[K"+format, args...)
	}
}

func (p *benchProgress) clear() {
	if p.drawn {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
