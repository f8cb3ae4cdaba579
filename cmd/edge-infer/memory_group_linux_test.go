package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/edge-infer/edge-infer/runtime/models"
)

// memoryGroup makes a control group with a limit in bytes, of whichever version this machine has. It takes root.
func memoryGroup(t *testing.T, limit int64) string {
	t.Helper()
	for _, version := range []struct{ mount, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
	} {
		folder := filepath.Join(version.mount, fmt.Sprintf("edge-infer-test-%d-%d", os.Getpid(), limit))
		if os.Mkdir(folder, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(folder) })
		if os.WriteFile(filepath.Join(folder, version.limit), []byte(strconv.FormatInt(limit, 10)), 0o644) == nil {
			return folder
		}
		os.Remove(folder)
	}
	t.Skip("NOT RUN: no control group with a memory limit can be made; run as root on a machine that has them (runtime/memory has tests on recorded files)")
	return ""
}

// builtProgram is the program alone: this test binary has more pages of its own, which would be counted.
func builtProgram(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if _, missing := os.Stat("../../go.mod"); err != nil || missing != nil {
		t.Skip("NOT RUN: it takes the go tool and the sources")
	}
	program := filepath.Join(t.TempDir(), "edge-infer")
	// Without -trimpath, which would compile every package once more.
	build := exec.Command(tool, "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOPROXY=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// inGroup is a run of the program inside a control group.
func inGroup(t *testing.T, program, group string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, nil, args...)
	cmd.Args[0] = program
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("NOT RUN: it takes a shell")
	}
	cmd.Args = append([]string{"sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, group}, cmd.Args...)
	cmd.Path = shell
	return cmd
}

// dropPages takes a file out of the page cache, as after a start of the machine.
func dropPages(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// majorFaults is how often a process has waited for a page to be read.
func majorFaults(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	n, err := strconv.Atoi(strings.Fields(rest)[9])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// In a control group: with room for all of a model nothing is read twice; with less it runs, and says that it reads again; with too
// little it is refused, before anything is killed.
func TestMemoryGroup(t *testing.T) {
	noEmulation(t)
	memoryGroup(t, 64<<20)
	program := builtProgram(t)
	image, ok := models.Get("zh-en")
	if !ok {
		t.Skip("built without models")
	}
	model := filepath.Join(t.TempDir(), "zh-en.ei8")
	if err := os.WriteFile(model, []byte(image), 0o644); err != nil {
		t.Fatal(err)
	}
	r := runProgram(t, "", "inspect", "--plan", "--json", "--max-source", "32", "--max-target", "32", model)
	r.expect(t, exitOK)
	var plan struct{ Anonymous, Mapped int64 }
	if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil {
		t.Fatal(err)
	}
	args := []string{"translate", "-m", model, "--threads", "1", "--max-source", "32", "--max-length", "32"}
	const text, want = "我正在吃饭", "I'm eating.\n"

	t.Run("all of it fits", func(t *testing.T) {
		dropPages(t, model)
		cmd := inGroup(t, program, memoryGroup(t, plan.Anonymous+plan.Mapped+8<<20), args...)
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		faults := []int{}
		for range 4 {
			fmt.Fprintln(in, text)
			if got, err := lines.ReadString('\n'); got != want {
				t.Fatalf("%q, %v, %s", got, err, errs.String())
			}
			faults = append(faults, majorFaults(t, cmd.Process.Pid))
		}
		in.Close()
		if err := cmd.Wait(); err != nil || errs.Len() > 0 {
			t.Errorf("%v, %q", err, errs.String())
		}
		if faults[len(faults)-1] != faults[0] {
			t.Errorf("major faults after each sentence: %v", faults)
		}
		t.Logf("major faults after each sentence: %v", faults)
	})
	t.Run("its own memory and 4 MB", func(t *testing.T) {
		dropPages(t, model)
		cmd := inGroup(t, program, memoryGroup(t, plan.Anonymous+4<<20), append(args, text, text)...)
		r := finish(t, cmd, nil)
		if r.expect(t, exitOK, "read again and again", "control group"); r.stdout != want+want {
			t.Errorf("%q", r.stdout)
		}
	})
	t.Run("less", func(t *testing.T) {
		r := finish(t, inGroup(t, program, memoryGroup(t, plan.Anonymous+3<<20), append(args, text)...), nil)
		r.expect(t, exitMemory, "this needs", "control group")
	})
}
