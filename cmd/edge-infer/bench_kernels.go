package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/edge-infer/edge-infer/boards"
	"github.com/edge-infer/edge-infer/kernels"
)

type benchKernelsFlags struct {
	ops, shapes []string
	set         string
	threads     int
	format      string
	plot        string
}

func newBenchKernelsCommand() *cobra.Command {
	f := &benchKernelsFlags{}
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "How near to its limits each inner loop comes",
		Long: `Times every operation of every set of kernels that this CPU can run, beside the
limits of the machine, which are measured in the same run: the multiply-adds of a
set's instructions on registers alone (op peak), and reading from each cache and
from memory (op read).

gemv and gemm are products with their scales and biases, of M rows with N x K
weights. Their limit is the slower of multiplying and of reading the weights from
where they lie; that of all others is reading. times_generic compares with plain
Go, ns_per_element is of what multiplies no matrices. Times are the best of several.

Where another set multiplies faster than the one that is chosen for this CPU, that
is said: EDGE_INFER_KERNELS=NAME overrules the choice.

Operations: ` + strings.Join(benchOperationNames(), " ") + `.`,
		Example: `  edge-infer bench kernels
  edge-infer bench kernels --op gemv,gemm --shapes 1x2048x512,32x2048x512
  edge-infer bench kernels --set neon -f json > zero2w.json
  edge-infer bench kernels --plot roofline.svg`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.ops, "op", nil, "only these `OPERATIONS`, separated by commas")
	flags.StringVar(&f.set, "set", "all", "only the set `NAME`, or all")
	flags.StringSliceVar(&f.shapes, "shapes", nil, "other `SHAPES`: 8x2048x512 for M x N x K, 512 for a vector; each goes to the operations with as many sizes")
	flags.IntVar(&f.threads, "threads", 1, "threads that work at the same time")
	flags.StringVarP(&f.format, "format", "f", "table", benchFormatUsage)
	flags.StringVar(&f.plot, "plot", "", "also draw the products under the machine's limits into `FILE`, as SVG")
	return cmd
}

func (f *benchKernelsFlags) run(ctx context.Context) error {
	if err := checkBenchFormat(f.format); err != nil {
		return err
	}
	if f.threads < 1 || f.threads > 256 {
		return &usageError{fmt.Sprintf("--threads is %d, must be 1 to 256", f.threads), ""}
	}
	sets := kernels.Available()
	shown := sets
	if f.set != "all" {
		set, err := kernels.Select(f.set)
		if err != nil {
			return err
		}
		shown = []kernels.Set{set}
	}
	levels := memoryLevels()
	work, err := f.work(levels)
	if err != nil {
		return err
	}
	before := clockFacts("/")
	b := &kernelBench{ctx: ctx, threads: f.threads, sets: sets, progress: newBenchProgress(), reads: map[int]float64{}}
	rows, err := b.measure(work, shown, levels)
	b.progress.clear()
	if err != nil {
		return err
	}
	facts := machineFacts(before, clockFacts("/")) + b.advice(sets[len(sets)-1].Name)
	if f.plot != "" {
		if err := writePlot(f.plot, b.roofline(levels)); err != nil {
			return err
		}
	}
	out := formatBench(f.format, "Kernels", rows)
	if f.format == "table" {
		out = append([]byte(facts+"\n"), out...)
	} else {
		fmt.Fprint(os.Stderr, facts)
	}
	return printResult(out)
}

// machineFacts says what was measured on. Boards slow down when they are hot: the clock is read before and after.
func machineFacts(before, after string) string {
	board := boards.Detect()
	facts := fmt.Sprintf("machine  %s\n", board)
	for _, c := range board.CPUs {
		if c.Part != 0 {
			facts += fmt.Sprintf("core     part 0x%03x of implementer 0x%02x, CPUs %s\n", c.Part, c.Implementer, strings.Trim(fmt.Sprint(c.Cores), "[]"))
		}
	}
	if before != "" {
		facts += fmt.Sprintf("before   %s\nafter    %s\n", before, after)
	}
	return facts
}

// clockFacts is the clock and governor of the first core, and what throttles it, as far as the kernel below root tells.
func clockFacts(root string) string {
	facts := []string{}
	for _, f := range []struct{ name, path string }{
		{"clock", "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"},
		{"governor", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"},
	} {
		raw, err := os.ReadFile(root + f.path)
		if err != nil {
			continue
		}
		value := strings.TrimSpace(string(raw))
		if khz, err := strconv.Atoi(value); err == nil && f.name == "clock" {
			value = fmt.Sprintf("%d MHz", khz/1000)
		}
		facts = append(facts, f.name+" "+value)
	}
	if t := boards.Throttling(root); len(t) > 0 {
		facts = append(facts, "throttling "+strings.Join(t, "; "))
	}
	return strings.Join(facts, ", ")
}

// advice names the set whose products were clearly the fastest, if that is not the chosen one.
func (b *kernelBench) advice(chosen string) string {
	const clearly = 1.03
	rates := map[string]map[string]float64{} // of each set, multiply-adds a nanosecond of each product
	for _, p := range b.points {
		if rates[p.set] == nil {
			rates[p.set] = map[string]float64{}
		}
		rates[p.set][p.label] = p.at
	}
	best, gain := chosen, clearly
	for i := range b.sets {
		name, product, n := b.sets[i].Name, 1.0, 0
		for label, rate := range rates[name] {
			if base := rates[chosen][label]; base > 0 {
				product, n = product*rate/base, n+1
			}
		}
		if mean := math.Pow(product, 1/float64(max(n, 1))); mean > gain {
			best, gain = name, mean
		}
	}
	if best == chosen {
		return ""
	}
	return fmt.Sprintf("advice   products ran %.2f times as fast on %s as on %s, the set chosen for this CPU: %s=%s takes it\n",
		gain, best, chosen, kernelsVariable, best)
}

// benchWork is an operation with a shape.
type benchWork struct {
	op    *benchOperation
	shape []int
}

func (w *benchWork) String() string { return shapeName(w.shape) }

func shapeName(shape []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "x"), "[]")
}

// work lists what the flags ask for.
func (f *benchKernelsFlags) work(levels []memoryLevel) ([]benchWork, error) {
	for _, name := range f.ops {
		if !slices.Contains(benchOperationNames(), name) {
			return nil, &usageError{fmt.Sprintf("there is no operation %q", name), "take some of " + strings.Join(benchOperationNames(), ", ")}
		}
	}
	shapes := [][]int{}
	for _, s := range f.shapes {
		shape, err := parseShape(s)
		if err != nil {
			return nil, err
		}
		shapes = append(shapes, shape)
	}
	work, used := []benchWork{}, make([]bool, len(shapes))
	for i := range benchOperations {
		op := &benchOperations[i]
		if len(f.ops) > 0 && !slices.Contains(f.ops, op.name) {
			continue
		}
		if len(shapes) == 0 {
			for _, shape := range op.shapes(levels) {
				work = append(work, benchWork{op, shape})
			}
		}
		for j, shape := range shapes {
			if op.takes(shape) {
				work, used[j] = append(work, benchWork{op, shape}), true
			}
		}
	}
	if j := slices.Index(used, false); j >= 0 {
		return nil, &usageError{fmt.Sprintf("no operation here takes the shape %s", f.shapes[j]),
			"products take M x N x K, N and K multiples of 16; the others a vector's length, or two sizes"}
	}
	return work, nil
}

func parseShape(s string) ([]int, error) {
	shape, elements := []int{}, 1
	for _, part := range strings.Split(s, "x") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 1<<28/elements {
			return nil, &usageError{fmt.Sprintf("%q is not a shape", s), "write it like 8x2048x512, of at most 2^28 elements"}
		}
		shape, elements = append(shape, n), elements*n
	}
	return shape, nil
}

// kernelBench measures.
type kernelBench struct {
	ctx      context.Context
	threads  int
	sets     []kernels.Set // all of this CPU, generic first
	progress *benchProgress
	each     time.Duration   // for one row
	reads    map[int]float64 // bytes -> bytes a nanosecond
	peaks    []float64       // of each set, multiply-adds a nanosecond; 0: not known
	points   []plotPoint
}

const benchTime = 14 * time.Second // for all rows together

func (b *kernelBench) measure(work []benchWork, shown []kernels.Set, levels []memoryLevel) ([]benchRow, error) {
	b.each = min(benchTime/time.Duration(len(work)*len(b.sets)+1), 100*time.Millisecond)
	rows := []benchRow{}
	isShown := func(s *kernels.Set) bool {
		return slices.ContainsFunc(shown, func(t kernels.Set) bool { return t.Name == s.Name })
	}
	best := b.sets[len(b.sets)-1].Name
	for i := range b.sets {
		s := &b.sets[i]
		b.peaks = append(b.peaks, b.peak(s))
		if b.peaks[i] > 0 && isShown(s) {
			rows = append(rows, b.row("peak", "registers", s.Name, 0, b.peaks[i], nil, nil, nil, nil))
		}
	}
	for _, l := range levels {
		b.progress.show("reading %s", l.name)
		rows = append(rows, b.row("read", l.name, best, 0, nil, b.read(l.bytes), nil, nil, nil))
	}
	for _, w := range work {
		generic := 0.0
		for i := range b.sets {
			s := &b.sets[i]
			if s.Name != "generic" && !isShown(s) {
				continue
			}
			if err := b.ctx.Err(); err != nil {
				return nil, err
			}
			b.progress.show("%s %s %s", w.op.name, &w, s.Name)
			r, err := b.one(w, i, &generic)
			if err != nil {
				return nil, err
			}
			if isShown(s) {
				rows = append(rows, r)
			}
		}
	}
	return rows, nil
}

// one measures one operation of one set.
func (b *kernelBench) one(w benchWork, set int, generic *float64) (benchRow, error) {
	s := &b.sets[set]
	tasks, weights, load := []func(){}, [][]int8{}, benchLoad{}
	for i := range b.threads {
		task, l := w.op.prepare(s, w.shape, i, b.threads)
		tasks = append(tasks, task)
		load.macs, load.bytes, load.elements = load.macs+l.macs, load.bytes+l.bytes, load.elements+l.elements
		weights = append(weights, l.weights)
	}
	ns := b.time(tasks)
	if s.Name == "generic" {
		*generic = ns
	}
	// The limit: multiplying on registers, or reading what is read once a call.
	read := 0.0
	if load.macs > 0 {
		read = b.readAll(weights) // the very weights: the pages that memory happens to lie in make a difference
	} else {
		read = b.read(load.bytes / b.threads)
	}
	least := float64(load.bytes) / read
	var percent, gmacs, each any
	if load.macs > 0 {
		gmacs = float64(load.macs) / ns
		if p := b.peaks[set]; p > 0 {
			least = max(least, float64(load.macs)/p)
		}
		if b.peaks[set] > 0 || w.shape[0] == 1 { // without a peak only one row, which reading bounds, has a limit
			percent = 100 * least / ns
		}
		b.points = append(b.points, plotPoint{s.Name, w.op.name + " " + w.String(), float64(load.macs) / float64(load.bytes), float64(load.macs) / ns})
	} else {
		percent, each = 100*least/ns, ns/float64(load.elements)
	}
	return b.row(w.op.name, w.String(), s.Name, ns, gmacs, float64(load.bytes)/ns, *generic/ns, percent, each), nil
}

func (b *kernelBench) row(op, shape, set string, ns float64, gmacs, gbs, times, percent, each any) benchRow {
	var time any
	if ns > 0 {
		time = ns
	}
	return benchRow{
		subject: []benchField{{"op", op}, {"shape", shape}, {"set", set}, {"threads", b.threads}},
		figures: []benchField{{"ns", time}, {"gmac_per_s", gmacs}, {"gb_per_s", gbs}, {"times_generic", times}, {"percent_of_limit", percent},
			{"ns_per_element", each}},
	}
}

// time returns the best time in nanoseconds of one call of all tasks side by side.
func (b *kernelBench) time(tasks []func()) float64 {
	round := func(n int) time.Duration {
		start := time.Now()
		if len(tasks) == 1 {
			for range n {
				tasks[0]()
			}
			return time.Since(start)
		}
		var done sync.WaitGroup
		for _, task := range tasks {
			done.Add(1)
			go func() {
				defer done.Done()
				for range n {
					task()
				}
			}()
		}
		done.Wait()
		return time.Since(start)
	}
	first := max(round(1), time.Nanosecond) // brings pages in
	n := 1
	if first < time.Millisecond {
		n = max(int(b.each/20/max(round(1), 20*time.Nanosecond)), 1)
	}
	best := float64(first)
	for end := time.Now().Add(b.each); ; {
		best = min(best, float64(round(n))/float64(n))
		if !time.Now().Before(end) {
			return best
		}
	}
}

// peak is a set's multiply-adds a nanosecond on registers alone, by all threads; 0 if it has no such loop.
func (b *kernelBench) peak(s *kernels.Set) float64 {
	if s.Limits.Peak == nil {
		return 0
	}
	b.progress.show("peak of %s", s.Name)
	const rounds = 1000
	macs, tasks := 0, []func(){}
	for range b.threads {
		macs += s.Limits.Peak(rounds)
		tasks = append(tasks, func() { s.Limits.Peak(rounds) })
	}
	return float64(macs) / b.time(tasks)
}

// read is how many bytes a nanosecond all threads read together, each as many of its own.
func (b *kernelBench) read(bytes int) float64 {
	if v, ok := b.reads[bytes]; ok {
		return v
	}
	all := [][]int8{}
	for range b.threads {
		own := make([]int8, max(bytes, 256))
		for j := range own {
			own[j] = 1 // pages that nobody wrote to are all the same one
		}
		all = append(all, own)
	}
	b.reads[bytes] = b.readAll(all)
	return b.reads[bytes]
}

// readAll is how many bytes a nanosecond the threads read, each its part.
func (b *kernelBench) readAll(parts [][]int8) float64 {
	read, tasks, bytes := b.sets[len(b.sets)-1].Limits.Read, []func(){}, 0
	for _, p := range parts {
		tasks, bytes = append(tasks, func() { read(p) }), bytes+len(p)
	}
	return float64(bytes) / b.time(tasks)
}

// memoryLevel is a size that lies in one level of the memory.
type memoryLevel struct {
	name  string
	bytes int
}

// memoryLevels are half of each cache, the last level's part that one core may hope for, and what only memory holds.
func memoryLevels() []memoryLevel {
	l1, l2, l3 := cacheSizes("/")
	levels := []memoryLevel{{"L1", l1 / 2}, {"L2", l2 / 2}}
	last := l2
	if l3 > 2*l2 {
		last = l3
		levels = append(levels, memoryLevel{"last level", min(l3/2, 16<<20)})
	}
	memory := min(max(4*last, 32<<20), 128<<20)
	if free := boards.Detect().MemAvailable; free > 0 {
		memory = min(memory, int(min(free/4, 1<<30)))
	}
	if memory > levels[len(levels)-1].bytes {
		levels = append(levels, memoryLevel{"memory", memory &^ (1<<20 - 1)})
	}
	for i := range levels {
		l := &levels[i]
		l.bytes &^= 4095
		l.name += fmt.Sprintf(" (%d KB)", l.bytes>>10)
	}
	return levels
}

// cacheSizes are those of the first core's data caches in bytes, as the kernel below root tells them, or what small boards have.
func cacheSizes(root string) (l1, l2, l3 int) {
	l1, l2 = 32<<10, 512<<10
	for i := range 8 {
		dir := fmt.Sprintf("%ssys/devices/system/cpu/cpu0/cache/index%d/", root, i)
		kind, err1 := os.ReadFile(dir + "type")
		level, err2 := os.ReadFile(dir + "level")
		size, err3 := os.ReadFile(dir + "size")
		n, err4 := parseSize(strings.TrimSpace(string(size)))
		if errors.Join(err1, err2, err3, err4) != nil || n < 4<<10 || n > 1<<30 || strings.TrimSpace(string(kind)) == "Instruction" {
			continue
		}
		switch strings.TrimSpace(string(level)) {
		case "1":
			l1 = int(n)
		case "2":
			l2 = int(n)
		case "3":
			l3 = int(n)
		}
	}
	return l1, l2, l3
}
