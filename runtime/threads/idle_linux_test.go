package threads

import (
	"os"
	goruntime "runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A pool that has nothing to do takes no CPU, a moment after its last task.
func TestIdleCostsNothing(t *testing.T) {
	var p Pool
	p.Grow(4, cpus(4, true))
	defer p.Close()
	p.spins.Store(true) // on a machine of fewer cores, too
	p.always(4)
	for range 100 {
		p.Run(4, 64, Work{Kind: Rows, MACs: large}, func(int, int, int) {})
	}
	time.Sleep(20 * time.Millisecond) // under emulation, on a busy machine
	goruntime.GC()
	const idle = 500 * time.Millisecond
	used := idle
	for try := 0; try < 5 && used > idle/20; try++ { // a worker that waits for a CPU has not come to rest yet
		before := cpuTime(t)
		time.Sleep(idle)
		used = cpuTime(t) - before
	}
	// The allowance is for Go's own: its clock wakes up now and then.
	if used > idle/20 {
		t.Errorf("an idle pool took %v of CPU in %v", used, idle)
	}
}

// A pinned worker runs where it is told, and the caller stays free.
func TestPinned(t *testing.T) {
	if os.Getenv("EDGE_INFER_TEST_EXEC") != "" {
		t.Skip("not run under emulation, which may not say on which CPU a thread is")
	}
	allowed := Allowed()
	if len(allowed) == 0 {
		t.Fatal("no CPU is allowed")
	}
	last := allowed[len(allowed)-1]
	var p Pool
	p.Grow(2, []int{allowed[0], last})
	defer p.Close()
	p.always(2)
	seen := false
	for deadline := time.Now().Add(time.Minute); !seen && time.Now().Before(deadline); {
		p.Run(2, 64, Work{Kind: Rows, MACs: large}, func(worker, _, _ int) {
			if worker == 0 {
				time.Sleep(time.Microsecond) // leave some to the other
				return
			}
			seen = true
			var mask unix.CPUSet
			if err := unix.SchedGetaffinity(0, &mask); err != nil || mask.Count() != 1 || !mask.IsSet(last) {
				t.Errorf("the worker's affinity is %v (%v), want CPU %d alone", mask, err, last)
			}
		})
	}
	if !seen {
		t.Error("the worker never came")
	}
	var mask unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mask); err != nil || mask.Count() != len(allowed) {
		t.Errorf("the caller may run on %d CPUs (%v), before on %v", mask.Count(), err, allowed)
	}
}
