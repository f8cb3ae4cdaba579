package main

import (
	"fmt"
	"os"
	"path"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/edge-infer/edge-infer/boards"
	"github.com/edge-infer/edge-infer/runtime/cgroup"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// threadFlags are --threads and --cpus, for every command that computes.
type threadFlags struct {
	threads int
	cpus    string
	flags   *pflag.FlagSet
}

// mostByDefault is how many threads are taken when nobody asks: the cores of a small board, and no more of a large machine's.
const mostByDefault = 4

func (f *threadFlags) add(flags *pflag.FlagSet) {
	f.flags = flags
	flags.IntVar(&f.threads, "threads", 0, fmt.Sprintf("most threads to share the work; as many as pay are used (default: the fast cores, at most %d)", mostByDefault))
	flags.StringVar(&f.cpus, "cpus", "", "run on these CPUs, such as `4-7,0`, a thread on each (default: the fast ones; Linux)")
}

// choose gives the number of threads and the CPUs to pin them to, nil for none, and pins the calling goroutine to the first.
func (f *threadFlags) choose() (n int, cpus []int, err error) {
	allowed := threads.Allowed()
	machine := fmt.Sprintf("this machine has %d CPUs", goruntime.NumCPU())
	if allowed != nil {
		machine = "CPUs of this machine that may be used: " + formatCPUs(allowed)
	}
	if n = f.threads; f.flags.Changed("threads") && (n < 1 || n > threads.Max) {
		return 0, nil, &usageError{fmt.Sprintf("--threads is %d, must be 1 to %d", n, threads.Max), machine}
	}
	if f.flags.Changed("cpus") {
		if allowed == nil {
			return 0, nil, &usageError{"--cpus: this system does not let a program choose its CPUs", "leave it out"}
		}
		if cpus, err = parseCPUs(f.cpus, allowed); err != nil {
			return 0, nil, &usageError{fmt.Sprintf("--cpus %s: %v", f.cpus, err), machine}
		}
		if n == 0 {
			n = min(len(cpus), threads.Max)
		}
		if n > len(cpus) {
			return 0, nil, &usageError{fmt.Sprintf("--threads is %d, but --cpus names %d", n, len(cpus)), machine}
		}
	} else {
		if cpus = allowed; cpus == nil { // not Linux: nothing is pinned, but workers may spin
			for i := range goruntime.NumCPU() {
				cpus = append(cpus, i)
			}
		}
		if n != 1 {
			big := boards.Detect().BigCores()
			fast := fastCPUs("/", cpus, big)
			if n == 0 {
				n = min(len(fast), mostByDefault)
				if quota := cpuQuota("/"); quota > 0 {
					n = min(n, quota)
				}
			}
			if n <= len(fast) {
				if len(big) > 0 && len(fast) < len(cpus) {
					fmt.Fprintf(os.Stderr, "edge-infer: running on the fast cores, CPUs %s; --cpus chooses others\n", formatCPUs(fast[:n]))
				}
				cpus = fast
			}
		}
		if n == 1 || n > len(cpus) {
			return n, nil, nil
		}
	}
	goruntime.LockOSThread()
	if err := threads.Pin(cpus[0]); err != nil && f.cpus != "" {
		return 0, nil, fmt.Errorf("--cpus %s: %w", f.cpus, err)
	}
	return n, cpus, nil
}

// fastCPUs are those of the allowed CPUs that make good company: one of each core's threads, and where there are big and
// little cores the big ones.
func fastCPUs(root string, allowed, big []int) []int {
	var fast []int
	for _, cpu := range allowed {
		if len(big) > 0 && !slices.Contains(big, cpu) {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("%ssys/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, cpu))
		if siblings, bad := parseCPUs(strings.TrimSpace(string(raw)), nil); err == nil && bad == nil &&
			slices.ContainsFunc(siblings, func(s int) bool { return slices.Contains(fast, s) }) {
			continue
		}
		fast = append(fast, cpu)
	}
	if len(fast) == 0 { // only little cores are allowed
		return allowed
	}
	return fast
}

// parseCPUs reads "4-7,0". With allowed, the CPUs must be among those.
func parseCPUs(s string, allowed []int) ([]int, error) {
	var cpus []int
	for _, part := range strings.Split(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		switch {
		case err1 != nil || err2 != nil:
			return nil, fmt.Errorf("%q is neither a CPU nor a range of them such as 4-7", part)
		case from > to:
			return nil, fmt.Errorf("the range %s ends before it begins", part)
		}
		for cpu := int(from); cpu <= int(to); cpu++ {
			if allowed != nil && !slices.Contains(allowed, cpu) {
				return nil, fmt.Errorf("there is no CPU %d", cpu)
			}
			if slices.Contains(cpus, cpu) {
				return nil, fmt.Errorf("CPU %d comes twice", cpu)
			}
			if len(cpus) == 4096 {
				return nil, fmt.Errorf("those are more than 4096 CPUs")
			}
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// formatCPUs is the other direction: "0,4-7".
func formatCPUs(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}

// cpuQuota is how many whole CPUs the control groups of this process grant it, at least 1; 0 for no limit. Threads beyond
// that would only wait for the next period, and hold up the others.
func cpuQuota(root string) int {
	least := 0
	cgroup.Each(root, "cpu", func(folder string, v2 bool) {
		if n := groupQuota(folder, v2); n > 0 && (least == 0 || n < least) {
			least = n
		}
	})
	return least
}

// groupQuota is that of one group: version 2 has "QUOTA PERIOD" or "max PERIOD" in one file, version 1 has two files.
func groupQuota(folder string, v2 bool) int {
	var values []string
	if v2 {
		raw, _ := os.ReadFile(path.Join(folder, "cpu.max"))
		values = strings.Fields(string(raw))
	} else {
		for _, name := range []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"} {
			raw, _ := os.ReadFile(path.Join(folder, name))
			values = append(values, strings.TrimSpace(string(raw)))
		}
	}
	if len(values) != 2 {
		return 0
	}
	quota, err1 := strconv.Atoi(values[0])
	period, err2 := strconv.Atoi(values[1])
	if err1 != nil || err2 != nil || quota < 1 || period < 1 { // "max", or -1
		return 0
	}
	return max(quota/period, 1)
}
