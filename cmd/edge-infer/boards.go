package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/boards"
	"github.com/edge-infer/edge-infer/kernels"
)

func newBoardsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "boards",
		Short: "Small boards: which are known, which this is, and what a model can do on them",
		Long: `What is known of small boards without having them at hand, what this machine is,
and whether a model fits a board and how fast it can be there at most.

A number with ~ before it was not measured on such a board: it is computed, of a
data sheet, or of a board like it. Sources: edge-infer boards show NAME`,
		Example: `  edge-infer boards list
  edge-infer boards show pi-4b
  edge-infer boards detect
  edge-infer boards fit zh-en.ei8 --board pi-zero-2-w`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Sprintf("boards has no command %q", args[0]), "it has list, show, detect and fit"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBoardsListCommand(), newBoardsShowCommand(), newBoardsDetectCommand(), newBoardsFitCommand())
	return cmd
}

func newBoardsListCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The boards that are known",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return printJSON(boards.Profiles)
			}
			var b bytes.Buffer
			w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "name\tboard\tcores\tkernels\tRAM\tGB/s")
			for i := range boards.Profiles {
				p := &boards.Profiles[i]
				cores := []string{}
				for _, c := range slices.Backward(p.Clusters) {
					cores = append(cores, fmt.Sprintf("%d %s", c.Count, strings.TrimPrefix(c.Core, "Cortex-")))
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Title, strings.Join(cores, " + "), kernelsOf(p.Fast().CoreKind()),
					ramSizes(p.RAM), figure(p.Fast().Read, 1e-3, "%.1f"))
			}
			w.Flush()
			b.WriteString("\nGB/s: what one of the faster cores reads from memory. ~ was not measured on such a board.\n")
			return printResult(b.Bytes())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array, with the source of every figure")
	return cmd
}

func newBoardsShowCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "All that is known of a board, and the source of every figure",
		Example: "  edge-infer boards show pi-zero-2-w",
		Args:    oneArgument("the name of a board", "edge-infer boards list names them"),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := findBoard(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(p)
			}
			return printResult(showProfile(p))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

//go:noinline
func tableRow(w *tabwriter.Writer, name, format string, args ...any) {
	fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

func showProfile(p *boards.Profile) []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) { tableRow(w, name, format, args...) }
	row("board", "%s (%s)", p.Title, p.SoC)
	row("calls itself", "%s ...", strings.Join(p.Models, " ..., "))
	row("RAM", "%s", ramSizes(p.RAM))
	row("free", "%s MB on an idle board of %s\t%s", figure(p.Free, 1, "%.0f"), ramSizes(p.RAM[:1]), p.Free.Source)
	for i := range p.Clusters {
		c := &p.Clusters[i]
		kind := c.CoreKind()
		row("cores", "%d x %s", c.Count, c.Core)
		row("  clock", "%s MHz\t%s", figure(c.MHz, 1, "%.0f"), c.MHz.Source)
		system := ""
		if kind.Feature != boards.FeatureNone {
			system = "; on a 64-bit system"
		}
		row("  int8", "%s: edge-infer takes its %s kernels%s", kind.Feature, kernelsOf(kind), system)
		if kind.Multiply.Value > 0 {
			row("  multiplies", "%s a cycle at most\t%s", figure(kind.Multiply, 1, "%.3g"), kind.Multiply.Source)
		}
		row("  caches", "%s\tdata sheet", profileCaches(c, p.L3))
		row("  reads", "%s MB/s, one core\t%s", figure(c.Read, 1, "%.0f"), c.Read.Source)
	}
	if len(p.Clusters) > 1 {
		row("used", "the %s, unless --cpus chooses others", p.Fast().Core)
	}
	w.Flush()
	b.WriteString("\n~ was not measured on such a board. sbc-bench NAME: measured by others,\nresults/NAME.txt of github.com/ThomasKaiser/sbc-bench.\n")
	return b.Bytes()
}

func profileCaches(c *boards.Cluster, l3 int) string {
	s := fmt.Sprintf("~%d KB L1", c.L1)
	switch {
	case c.L2 < 0:
		s += fmt.Sprintf(", ~%d KB L2 each", -c.L2)
	case c.L2 > 0:
		s += fmt.Sprintf(", ~%d KB L2 for all", c.L2)
	}
	if l3 > 0 {
		s += fmt.Sprintf(", ~%d KB L3", l3)
	}
	return s
}

func newBoardsDetectCommand() *cobra.Command {
	asJSON, root := false, ""
	cmd := &cobra.Command{
		Use:   "detect",
		Short: "What this machine is",
		Long: `Reads what the kernel tells everybody: the model that the firmware names, cores,
clocks, caches, memory, temperature, and what holds the clock down. What is not
told is left out.`,
		Example: `  edge-infer boards detect
  edge-infer boards detect --root /mnt/recorded    # the same files, copied from a board`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			d, err := detect(root)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(d)
			}
			if root == "" {
				noteFaster()
			}
			return printResult(d.table())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&root, "root", "", "read the files of another machine, below `FOLDER`")
	return cmd
}

// detection is what the command prints.
type detection struct {
	boards.Board
	Profile  string `json:"profile,omitempty"`   // a name in boards.Profiles
	BigCores []int  `json:"big_cores,omitempty"` // taken by default
	Kernels  string `json:"kernels,omitempty"`   // of this program, on this machine
}

// detect describes this machine, or with a root that whose files are there.
func detect(root string) (*detection, error) {
	d := &detection{}
	if root == "" {
		d.Board = boards.Detect()
		if set, err := kernels.Default(); err == nil {
			d.Kernels = set.Name
		}
	} else {
		info, err := os.Stat(root)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, &usageError{fmt.Sprintf("--root %s is not a folder", root), "name one that holds proc and sys"}
		}
		d.Board = boards.DetectIn(root)
	}
	d.BigCores = d.Board.BigCores()
	if p := d.Board.Profile(); p != nil {
		d.Profile = p.Name
	}
	return d, nil
}

func (d *detection) table() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) { tableRow(w, name, format, args...) }
	here := d.PageSize > 0 // no file tells it
	pc := here && goruntime.GOOS != "linux" || slices.ContainsFunc(d.CPUs, func(c boards.CPU) bool { return c.Name != "" && c.Implementer == 0 })
	switch {
	case d.Profile != "":
		row("board", "%s", d.Model)
		row("profile", "edge-infer boards show %s", d.Profile)
	case d.Model != "":
		row("board", "%s; there is no profile of it, edge-infer boards list names those there are", d.Model)
	case pc:
		row("board", "none: this is a PC or a server")
	default:
		row("board", "not told; edge-infer boards list names those there are profiles of")
	}
	switch {
	case d.Cores == 0:
		row("cores", "not told")
	case len(d.CPUs) == 0:
		row("cores", "%d", d.Cores)
	}
	for _, c := range d.CPUs {
		row("cores", "%d x %s", len(c.Cores), strings.TrimSpace(coreName(c)+" "+c.Revision))
		if clock := clockOf(c); clock != "" {
			row("  clock", "%s", clock)
		}
		caches := []string{}
		for _, cache := range c.Caches {
			s := fmt.Sprintf("%d KB L%d", cache.KB, cache.Level)
			if cache.Cores > 1 {
				s += fmt.Sprintf(" for %d", cache.Cores)
			}
			caches = append(caches, s)
		}
		if len(caches) > 0 {
			row("  caches", "%s", strings.Join(caches, ", "))
		}
	}
	if len(d.BigCores) > 0 {
		row("big cores", "CPUs %s, which are taken by default; --cpus chooses others", formatCPUs(d.BigCores))
	}
	if d.Kernels != "" {
		row("kernels", "%s; edge-infer kernels says why", d.Kernels)
	}
	if d.MemTotal > 0 {
		row("memory", "%d MB, %d MB of it free", d.MemTotal>>20, d.MemAvailable>>20)
	}
	if here {
		row("pages", "%d KB", d.PageSize>>10)
	}
	if d.Temperature > 0 {
		row("temperature", "%.0f degrees Celsius", d.Temperature)
	}
	for _, what := range d.Throttling {
		row("throttling", "%s", what)
	}
	w.Flush()
	return b.Bytes()
}

func coreName(c boards.CPU) string {
	switch {
	case c.Name != "":
		return c.Name
	case c.Part != 0:
		return fmt.Sprintf("part 0x%03x of implementer 0x%02x", c.Part, c.Implementer)
	}
	return "core of a kind that is not told"
}

// clockOf is a core's clock in words, "" if nothing is told.
func clockOf(c boards.CPU) string {
	s := ""
	switch {
	case c.MHz > 0 && c.MaxMHz > 0:
		s = fmt.Sprintf("%d MHz now, %d at most", c.MHz, c.MaxMHz)
	case c.MHz+c.MaxMHz > 0:
		s = fmt.Sprintf("%d MHz", c.MHz+c.MaxMHz)
	}
	if s != "" && c.Governor != "" {
		s += ", governor " + c.Governor
	}
	return s
}

// kernelsOf is the set that the program chooses on a core: what sets_arm64.go of package kernels does there, said of a core that
// is not here.
func kernelsOf(c *boards.Core) string {
	const cortexA55 = 0xd05
	switch {
	case c.Feature == boards.FeatureI8MM:
		return "i8mm"
	case c.Feature == boards.FeatureDotProd && c.Part == cortexA55:
		return "dotprod-a55"
	case c.Feature == boards.FeatureDotProd:
		return "dotprod"
	case c.Feature == boards.FeatureASIMD:
		return "neon"
	}
	return "generic"
}

// figure prints a number times a unit; ~ marks what was not measured on such a board.
func figure(f boards.Figure, unit float64, format string) string {
	s := fmt.Sprintf(format, f.Value*unit)
	if !f.Measured {
		s = "~" + s
	}
	return s
}

// ramSizes prints "512 MB" or "1, 2, 4 GB".
func ramSizes(mb []int) string {
	sizes, unit := []string{}, " GB"
	if mb[0] < 1024 {
		unit = " MB"
	}
	for _, n := range mb {
		if unit == " GB" {
			sizes = append(sizes, fmt.Sprintf("%.3g", float64(n)/1024))
		} else {
			sizes = append(sizes, fmt.Sprint(n))
		}
	}
	return strings.Join(sizes, ", ") + unit
}

// findBoard is a board by its name; an error names those that are nearly called so.
func findBoard(name string) (*boards.Profile, error) {
	if p := boards.Find(name); p != nil {
		return p, nil
	}
	plain := func(s string) string {
		return strings.NewReplacer(" ", "", "-", "", "+", "plus").Replace(strings.ToLower(s))
	}
	contains := func(known string) bool { return strings.Contains(plain(known), plain(name)) }
	alike := func(known string) bool { return distance(plain(name), plain(known)) <= min(len(known)/3, 3) }
	near := []string{}
	for _, likely := range []func(string) bool{contains, alike} {
		for _, p := range boards.Profiles {
			if len(plain(name)) > 1 && slices.ContainsFunc(append([]string{p.Name, p.Title, p.SoC}, p.Models...), likely) {
				near = append(near, p.Name)
			}
		}
		if len(near) > 0 {
			break
		}
	}
	hint := "edge-infer boards list names those that are known"
	if 0 < len(near) && len(near) <= 5 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return nil, &usageError{fmt.Sprintf("there is no board %q", name), hint}
}

// oneArgument is for commands that take exactly one.
func oneArgument(what, hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{fmt.Sprintf("%s takes %s, but was given %d", strings.TrimPrefix(cmd.CommandPath(), "edge-infer "), what, len(args)), hint}
		}
		return nil
	}
}

func printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return printResult(append(text, '\n'))
}
