package main

import (
	"os"
	"path/filepath"
	"reflect"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/threads"
)

func TestParseCPUs(t *testing.T) {
	allowed := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for s, want := range map[string][]int{"0": {0}, "4-7,0": {4, 5, 6, 7, 0}, "3,1": {3, 1}, "2-2": {2}} {
		if got, err := parseCPUs(s, allowed); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %v, %v; want %v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "neither", "x": "neither", "1-": "neither", "-1": "neither", "1,": "neither", "1.5": "neither", "0-99999999999": "neither",
		"99": "no CPU 99", "6-9": "no CPU 8", "5-2": "ends before it begins", "1,0-2": "CPU 1 comes twice",
	} {
		if got, err := parseCPUs(s, allowed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, %v; want an error with %q", s, got, err, want)
		}
	}
	for want, cpus := range map[string][]int{"0": {0}, "0-3": {0, 1, 2, 3}, "0,4-7": {0, 4, 5, 6, 7}, "1-2,4": {1, 2, 4}} {
		if got := formatCPUs(cpus); got != want {
			t.Errorf("%v is written %q, want %q", cpus, got, want)
		}
	}
}

// tree writes files below a new root folder, which it returns with a slash behind.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root + "/"
}

func TestFastCPUs(t *testing.T) {
	siblings := func(lists ...string) string {
		files := map[string]string{}
		for cpu, list := range lists {
			files["sys/devices/system/cpu/cpu"+formatCPUs([]int{cpu})+"/topology/thread_siblings_list"] = list + "\n"
		}
		return tree(t, files)
	}
	for _, c := range []struct {
		name                string
		root                string
		allowed, big, fasts []int
	}{
		{"nothing known", siblings(), []int{0, 1}, nil, []int{0, 1}},
		{"big and little", siblings("0", "1", "2", "3"), []int{0, 1, 2, 3}, []int{2, 3}, []int{2, 3}},
		{"only little ones allowed", siblings(), []int{0, 1}, []int{2, 3}, []int{0, 1}},
		{"two threads a core, side by side", siblings("0-1", "0-1", "2-3", "2-3"), []int{0, 1, 2, 3}, nil, []int{0, 2}},
		{"two threads a core, apart", siblings("0,2", "1,3", "0,2", "1,3"), []int{0, 1, 2, 3}, nil, []int{0, 1}},
		{"half of a core", siblings("0,2", "1,3", "0,2", "1,3"), []int{1, 2, 3}, nil, []int{1, 2}},
	} {
		if got := fastCPUs(c.root, c.allowed, c.big); !reflect.DeepEqual(got, c.fasts) {
			t.Errorf("%s: %v, want %v", c.name, got, c.fasts)
		}
	}
}

func TestCPUQuota(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"no control groups", nil, 0},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 0},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 2},
		{"half a CPU", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 1},
		{"the group above", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
			"sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 3},
		{"version 1", map[string]string{"proc/self/cgroup": "5:memory:/x\n3:cpu,cpuacct:/x\n0::/\n",
			"sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"}, 2},
		{"version 1 without limit", map[string]string{"proc/self/cgroup": "3:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 0},
		{"a container that sees no groups above its own", map[string]string{"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "100000 100000"}, 1},
		{"nonsense", map[string]string{"proc/self/cgroup": "x\n0::/a\n", "sys/fs/cgroup/a/cpu.max": "1 2 3\n"}, 0},
	} {
		if got := cpuQuota(tree(t, c.files)); got != c.want {
			t.Errorf("%s: %d CPUs, want %d", c.name, got, c.want)
		}
	}
}

// What is wrong with the flags ends in exit code 2 and a sentence that says what the machine has.
func TestThreadFlags(t *testing.T) {
	machine := "this machine has"
	if threads.Allowed() != nil {
		machine = "CPUs of this machine that may be used: "
	}
	refused := map[string]string{
		"--threads 0": "--threads is 0", "--threads -3": "--threads is -3", "--threads 10000": "--threads is 10000, must be 1 to 64",
		"--cpus 9999": "there is no CPU 9999", "--cpus 5-2": "ends before it begins", "--cpus x": "neither", "--cpus 0,0": "comes twice",
	}
	if testing.Short() {
		refused = map[string]string{"--threads 0": "--threads is 0", "--cpus 9999": "there is no CPU 9999"}
	}
	for args, want := range refused {
		words := []string{want, machine}
		if goruntime.GOOS != "linux" && strings.HasPrefix(args, "--cpus") {
			words = []string{"does not let a program choose its CPUs"}
		}
		runProgram(t, "", append([]string{"classify", "1"}, strings.Fields(args)...)...).expect(t, exitUse, words...)
	}
	if goruntime.GOOS != "linux" {
		return
	}
	last := formatCPUs(threads.Allowed()[len(threads.Allowed())-1:])
	model := testModel(t)
	r := runProgram(t, names, "translate", "-m", model, "--tokens", "--cpus", last)
	if r.expect(t, exitOK); r.stdout != namesLatin {
		t.Errorf("on CPU %s: %q", last, r.stdout)
	}
	runProgram(t, "", "translate", "-m", model, "--cpus", last, "--threads", "2", "x").expect(t, exitUse, "--cpus names 1", machine)
}
