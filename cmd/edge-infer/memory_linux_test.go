package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	edge "github.com/edge-infer/edge-infer/runtime"
	"github.com/edge-infer/edge-infer/runtime/memory"
)

// fullLength makes this binary run a model at the longest lengths that a Plan is for, see TestPlanIsHeld.
const fullLength = "EDGE_INFER_TEST_FULL_LENGTH"

func init() {
	if name := os.Getenv(fullLength); name != "" {
		memory.SmallPages()
		if err := runFullLength(name, os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// runFullLength prints the bytes of its Plan, runs, prints a line, and waits for the end of standard input.
func runFullLength(family, path string) error {
	m, err := openModel(path)
	if err != nil {
		return err
	}
	var plan *edge.Plan
	var again func() error
	switch family {
	case edge.FamilyTransformer:
		plan, again, err = fullTransformer(m)
	case edge.FamilyRNN:
		plan, again, err = fullStream(m)
	case edge.FamilyKNN:
		plan, again, err = fullClassifier(m)
	}
	if err != nil {
		return err
	}
	fmt.Println(plan.Anonymous)
	for range 3 {
		if err := again(); err != nil {
			return err
		}
		goruntime.GC() // which comes every two minutes, and has tables of its own
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func fullTransformer(m *edge.Model) (plan *edge.Plan, again func() error, err error) {
	o := edge.Options{MaxSource: 256, MaxTarget: 256, MinTarget: 256, Batch: 4, Beam: 3, Threads: 2}
	if plan, err = m.Plan(o); err != nil {
		return nil, nil, err
	}
	addCPUs(plan)
	limitMemory(plan)
	s, err := m.NewSession(o)
	source := make([]int32, o.MaxSource-sourceExtra(m))
	for i := range source {
		source[i] = int32(10 + i)
	}
	return plan, func() error {
		for range o.Batch {
			if _, err := s.Add(source); err != nil {
				return err
			}
		}
		for running := 1; running > 0; {
			if running, err = s.Step(); err != nil {
				return err
			}
		}
		s.Reset()
		return nil
	}, err
}

func fullStream(m *edge.Model) (plan *edge.Plan, again func() error, err error) {
	o := edge.StreamOptions{Batch: 8, MaxSteps: 64, Threads: 2}
	if plan, err = m.PlanStream(o); err != nil {
		return nil, nil, err
	}
	addCPUs(plan)
	limitMemory(plan)
	s, err := m.NewStream(o)
	ids, out := make([]int32, o.Batch*o.MaxSteps), make([]float32, o.Batch*o.MaxSteps*m.RNNConfig().OutputWidth())
	own := int64(4 * (len(ids) + len(out))) // not the stream's
	plan.Anonymous += own
	debug.SetMemoryLimit(debug.SetMemoryLimit(-1) + own)
	return plan, func() error { return s.RunTokens(out, ids, o.MaxSteps, nil) }, err
}

func fullClassifier(m *edge.Model) (plan *edge.Plan, again func() error, err error) {
	o := edge.KNNOptions{Batch: 1000, K: 64}
	if plan, err = m.PlanClassifier(o); err != nil {
		return nil, nil, err
	}
	addCPUs(plan)
	limitMemory(plan)
	c, err := m.NewClassifier(o)
	return plan, func() error {
		for i := range o.Batch {
			if _, err := c.AddRow(i % m.KNN().Rows); err != nil {
				return err
			}
		}
		defer c.Reset()
		return c.Run()
	}, err
}

// anonymousOf is the anonymous memory of a process in bytes, 0 when it has ended. smaps_rollup counts pages; RssAnon of Linux 6.2 and later is
// off by what each CPU has not yet added to it, half a megabyte a CPU on large machines.
func anonymousOf(pid int) int64 {
	if n := procOf(pid, "smaps_rollup", "Anonymous:"); n > 0 {
		return n
	}
	return procOf(pid, "status", "RssAnon:")
}

// procOf is an entry of a file in the /proc of a process in bytes, 0 when it has ended.
func procOf(pid int, file, name string) int64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	_, rest, _ := strings.Cut(string(raw), name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

func noEmulation(t *testing.T) {
	t.Helper()
	if os.Getenv("EDGE_INFER_TEST_EXEC") != "" {
		t.Skip("not run under emulation: the emulator's memory would be counted")
	}
	if n := anonymousOf(os.Getpid()); n == 0 {
		t.Skip("not run: this system does not tell the anonymous memory of a process")
	}
}

// manyRows writes a model of nearest neighbours with enough rows that batches fill their scratch.
func manyRows(t *testing.T, flags ...string) string {
	t.Helper()
	var csv strings.Builder
	for i := range 12000 {
		for j := range 8 {
			fmt.Fprintf(&csv, "%d,", (i*7919+j*104729+i*i*(j+3))%1000)
		}
		fmt.Fprintf(&csv, "c%d\n", i%5)
	}
	table := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(table, []byte(csv.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(t.TempDir(), "rows.ei8")
	runProgram(t, "", append([]string{"convert", table, "-o", model}, flags...)...).expect(t, exitOK)
	return model
}

// At full lengths each family takes what its Plan says: never more, and no more than 3 % and 2 MB less.
func TestPlanIsHeld(t *testing.T) {
	noEmulation(t)
	needModels(t)
	for family, model := range map[string]string{
		edge.FamilyTransformer: "zh-en", edge.FamilyRNN: "lstm", edge.FamilyKNN: manyRows(t),
	} {
		env := []string{fullLength + "=" + family}
		if startCPUs < 4 { // a Plan is for as many as a board has, and Go takes memory for each
			env = append(env, "GOMAXPROCS=4")
		}
		cmd := command(t, env, model)
		cmd.Path, _ = os.Executable() // not a release that is tested
		cmd.Args[0] = cmd.Path
		stdin, _ := cmd.StdinPipe()
		stdout, _ := cmd.StdoutPipe()
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		said := func() string { lines.Scan(); return lines.Text() }
		first := said()
		plan, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			t.Fatalf("%s: %s", family, first)
		}
		done := make(chan string)
		go func() { done <- said() }()
		peak := int64(0)
		for ended := false; !ended; {
			select {
			case s := <-done:
				if ended = true; s != "done" {
					t.Fatalf("%s: %q", family, s)
				}
			case <-time.After(time.Millisecond):
			}
			peak = max(peak, anonymousOf(cmd.Process.Pid))
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", family, err)
		}
		t.Logf("%s: %.2f MB planned, at most %.2f MB anonymous", family, float64(plan)/(1<<20), float64(peak)/(1<<20))
		if peak > plan {
			t.Errorf("%s: %d bytes, planned %d", family, peak, plan)
		}
		if slack := plan*3/100 + 2<<20; peak < plan-slack {
			t.Errorf("%s: %d bytes, planned %d: too much", family, peak, plan)
		}
	}
}

// The commands stay within the plan that inspect shows, however many lines come.
func TestCommandsStayWithinThePlan(t *testing.T) {
	noEmulation(t)
	needModels(t)
	times := 10
	if testing.Short() {
		times = 1
	}
	for _, c := range []struct {
		line       string
		lines      int
		args, plan []string
	}{
		{"我正在吃饭。他们正在看书。", 10, []string{"translate", "--threads", "2"}, []string{"--threads", "2"}},
		{"我正在吃饭而且他们正在看书，", 10, []string{"translate", "--beam", "4", "--batch", "8", "--max-length", "32", "--json", "--threads", "1"},
			[]string{"--beam", "4", "--batch", "8", "--max-target", "32"}},
		{"Tom likes to eat", 250, []string{"complete", "--top", "5"}, []string{"lstm", "--steps", "16"}},
		{"5.1,3.5,1.4,0.2", 1000, []string{"classify", "--json", "--threads", "1"}, []string{"iris", "--batch", "16"}},
	} {
		plan := plannedAnonymous(t, c.plan...)
		cmd := command(t, nil, c.args...)
		cmd.Stdin = strings.NewReader(strings.Repeat(c.line+"\n", c.lines*times))
		peak := peakAnonymous(t, cmd)
		t.Logf("%v: %.2f MB planned, at most %.2f MB anonymous", c.args, float64(plan)/(1<<20), float64(peak)/(1<<20))
		if peak > plan || peak == 0 {
			t.Errorf("%v: %d bytes, planned %d", c.args, peak, plan)
		}
	}
}

// plannedAnonymous is what inspect says.
func plannedAnonymous(t *testing.T, args ...string) int64 {
	t.Helper()
	r := runProgram(t, "", append([]string{"inspect", "--plan", "--json"}, args...)...)
	r.expect(t, exitOK)
	_, rest, _ := strings.Cut(r.stdout, `"anonymous": `)
	number, _, _ := strings.Cut(rest, ",")
	plan, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// peakAnonymous runs a command to its end, which must be a good one, and gives the most anonymous memory that was seen of it.
func peakAnonymous(t *testing.T, cmd *exec.Cmd) (peak int64) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v: %v", cmd.Args, err)
			}
			return peak
		case <-time.After(time.Millisecond):
			peak = max(peak, anonymousOf(cmd.Process.Pid))
		}
	}
}

// However long an input is, no more of it is in memory than the Plan knows, but for growing times the bytes of a long line.
func TestLongInputStaysWithinThePlan(t *testing.T) {
	noEmulation(t)
	needModels(t)
	dir, times := t.TempDir(), 20
	if testing.Short() {
		times = 4
	}
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lstm := smallRNN(t, "lstm-3-layer.pt")
	steps := 10000 * times
	rows := file("x.csv", bytes.Repeat([]byte("0.25,-1,0.5,1.25,0,1,-0.75\n"), steps))
	array := file("x.npy", npyBytes(make([]float32, 7*steps), 2, steps/2, 7))
	table := file("rows.csv", bytes.Repeat([]byte("5.1,3.5,1.4,0.2,setosa\n6.3,3.3,6,2.5,virginica\n"), 5000*times))
	vectors := file("rows.npy", npyBytes(make([]float32, 4*steps), steps, 4))
	line := file("line.txt", bytes.Repeat([]byte("我正在吃饭。"), 1000*times))
	type longInput struct {
		args, plan []string
		more       int64
	}
	cases := []longInput{
		{[]string{"translate", "--threads", "1", "--max-source", "16", "--max-length", "2", "-i", line},
			[]string{"--max-source", "16", "--max-target", "2"}, growing * int64(18000*times)},
		{[]string{"run", lstm, "--threads", "1", "-i", rows, "-o", filepath.Join(dir, "y.csv")}, []string{lstm}, 0},
		{[]string{"run", lstm, "--threads", "1", "-i", array, "-o", filepath.Join(dir, "y.npy")}, []string{lstm}, 0},
		{[]string{"classify", "--threads", "1", "--evaluate", table}, []string{"iris", "--batch", "16"}, 0},
		{[]string{"classify", "--threads", "1", "-i", vectors, "-o", filepath.Join(dir, "y.txt")}, []string{"iris", "--batch", "16"}, 0},
	}
	if !testing.Short() { // making the model takes seconds
		wide := largeLSTM(t)
		steps := file("wide.csv", bytes.Repeat([]byte(strings.Repeat("0.25,", 511)+"-1\n"), 200))
		cases = append(cases, longInput{[]string{"run", wide, "--threads", "1", "-i", steps, "-o", filepath.Join(dir, "wide-out.csv")}, []string{wide},
			pieceBytes + 10000*longestNumber})
	}
	for _, c := range cases {
		plan := plannedAnonymous(t, c.plan...)
		peak := peakAnonymous(t, command(t, nil, c.args...))
		t.Logf("%s: %.2f MB planned, at most %.2f MB anonymous", c.args[0], float64(plan)/(1<<20), float64(peak)/(1<<20))
		if peak > plan+c.more || peak == 0 {
			t.Errorf("%v: %d bytes, planned %d", c.args, peak, plan+c.more)
		}
	}

	// What must be in memory whole is refused where it does not fit.
	both := smallRNN(t, "gru-bidirectional.safetensors")
	for _, c := range []struct {
		plan   []string
		args   []string
		stderr string
	}{
		{[]string{"--max-source", "16", "--max-target", "2"}, []string{"translate", "--threads", "1", "--max-source", "16", "--max-length", "2", "-i", line}, "line 1: this line: more than"},
		{[]string{"lstm"}, []string{"complete", "--model", "lstm", "-i", line}, "line 1: this line: more than"},
		{[]string{"iris", "--batch", "16"}, []string{"classify", "--threads", "1", "-i", line}, "line 1: this line: more than"},
		{[]string{lstm}, []string{"run", lstm, "--threads", "1", "--stream", "-i", line}, "line 1: this line: more than"},
		{[]string{both}, []string{"run", both, "--threads", "1", "-i", rows}, "cut it into shorter sequences"},
		{[]string{lstm}, []string{"run", lstm, "--threads", "1", "-i", rows, "-o", filepath.Join(dir, "z.npy")}, "give the input as .npy, or write CSV"},
	} {
		limit := plannedAnonymous(t, c.plan...) + 4<<20 + 1<<18
		r := runProgram(t, "", append(c.args, "--memory", strconv.FormatInt(limit, 10))...)
		if times < 20 && c.args[len(c.args)-1] == line {
			continue // the line fits
		}
		r.expect(t, exitMemory, c.stderr)
	}
}
