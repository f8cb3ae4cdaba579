package threads

import (
	"errors"
	goruntime "runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edge-infer/edge-infer/runtime/alloctest"
)

const large = 1 << 30 // multiply-adds: enough to be shared out

// cpus are n CPUs to pin to, the same ones again where the machine has fewer; nil without pinning.
func cpus(n int, pinned bool) []int {
	if !pinned {
		return nil
	}
	list := make([]int, n)
	if allowed := Allowed(); allowed != nil {
		for i := range list {
			list[i] = allowed[i%len(allowed)]
		}
	}
	return list
}

// always puts the next trial of thread counts off: all n threads are called for the next tasks.
func (p *Pool) always(n int) {
	for kind := range p.learned {
		for i := range p.learned[kind] {
			p.learned[kind][i] = record{n: n, best: n, calls: period / 2}
		}
	}
}

// settle waits until no more goroutines are left than before. A pinned worker takes its thread with it, for which Go may
// start another, and that is memory: on a busy machine dozens of them would still do so in the next test.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); goruntime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", goruntime.NumGoroutine(), before)
		}
	}
}

// Every unit is done once, by a worker whose number nobody else has at that time, however many tasks follow each other.
func TestRun(t *testing.T) {
	defer settle(t, goruntime.NumGoroutine())
	tasks := 20000
	if testing.Short() {
		tasks = 500
	}
	for _, c := range []struct {
		threads, units int
		pinned         bool
	}{{1, 5, false}, {2, 100, false}, {2, 100, true}, {3, 2, true}, {5, 17, false}, {5, 1000, true}, {Max, 300, true}} {
		var p Pool
		p.Grow(c.threads, cpus(c.threads, c.pinned))
		done := make([]int, c.units)
		var busy [Max]atomic.Bool
		f := func(worker, from, to int) {
			if busy[worker].Swap(true) {
				t.Errorf("worker %d of %d works twice at the same time", worker, c.threads)
			}
			for i := from; i < to; i++ {
				done[i]++
			}
			busy[worker].Store(false)
		}
		n := tasks
		if c.threads > 2 {
			n /= 20 // they wait for each other on small machines
		}
		for i := range n {
			p.Run(c.threads, c.units, Work{Kind: Kind(i % int(All+1)), MACs: large}, f)
			for j, times := range done {
				if times != i+1 {
					t.Fatalf("%+v: after %d tasks unit %d was done %d times", c, i+1, j, times)
				}
			}
		}
		p.Close()
	}
}

// Fewer threads than the pool has are asked for: the others keep out.
func TestRunOnFewer(t *testing.T) {
	var p Pool
	p.Grow(4, nil)
	defer p.Close()
	for range 1000 {
		p.Run(2, 64, Work{Kind: Rows, MACs: large}, func(worker, from, to int) {
			if worker > 1 {
				t.Errorf("worker %d takes part in a task for two", worker)
			}
		})
	}
}

// Two callers at the same time: one has the pool, the other does its task alone.
func TestTwoCallers(t *testing.T) {
	var p Pool
	p.Grow(2, nil)
	defer p.Close()
	var sums [2]atomic.Int64
	ended := make(chan struct{})
	for caller := range sums {
		go func() {
			for range 1000 {
				p.Run(2, 10, Work{Kind: Row, MACs: large}, func(_, from, to int) { sums[caller].Add(int64(to - from)) })
			}
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
	for i := range sums {
		if got := sums[i].Load(); got != 10000 {
			t.Errorf("caller %d: %d units were done, want 10000", i, got)
		}
	}
}

// What a part panics with reaches the caller after all other parts have ended, and the pool goes on.
func TestPanic(t *testing.T) {
	var p Pool
	p.Grow(2, cpus(2, true))
	defer p.Close()
	p.always(2)
	failure := errors.New("broken")
	for bad := range 8 {
		var done atomic.Int32
		got := func() (r any) {
			defer func() { r = recover() }()
			p.Run(2, 8, Work{Kind: Rows, MACs: large}, func(_, from, _ int) {
				if from == bad {
					panic(failure)
				}
				done.Add(1)
			})
			return nil
		}()
		if got != failure || done.Load() != 7 {
			t.Errorf("unit %d panics: %v after %d of the others", bad, got, done.Load())
		}
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	for _, pinned := range []bool{false, true} {
		var p Pool
		p.Grow(2, cpus(2, pinned))
		var sum [2]int
		f := func(worker, from, to int) { sum[worker] += to - from }
		if n := alloctest.PerRun(100, func() { p.Run(2, 64, Work{Kind: Row, MACs: large}, f) }); n != 0 {
			t.Errorf("pinned %v: %v allocations a task", pinned, n)
		}
		p.Close()
	}
}

// Close ends every goroutine, spinning or parked.
func TestClose(t *testing.T) {
	before := goruntime.NumGoroutine()
	for i := range 20 {
		var p Pool
		p.Grow(3, cpus(3, i%2 == 0))
		if i%3 == 0 {
			time.Sleep(2 * SpinTime)
		}
		p.Run(3, 9, Work{Kind: Row, MACs: large}, func(int, int, int) {})
		p.Close()
		p.Run(3, 9, Work{Kind: Row, MACs: large}, func(worker, _, _ int) { // nobody is there but the caller
			if worker != 0 {
				t.Errorf("worker %d after Close", worker)
			}
		})
	}
	settle(t, before)
}

// The trial keeps what is fastest, the smaller count where there is little in it, and is repeated.
func TestLearn(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		cost func(threads int) time.Duration
		want int
	}{
		{"twice as fast", 2, func(n int) time.Duration { return time.Duration(1000 / n) }, 2},
		{"memory is busy with one", 2, func(n int) time.Duration { return 1000 }, 1},
		{"slower", 2, func(n int) time.Duration { return time.Duration(1000 * n) }, 1},
		{"hardly faster", 2, func(n int) time.Duration { return time.Duration(1000 - 20*n) }, 1},
		{"two of four", 4, func(n int) time.Duration { return time.Duration(1000/min(n, 2) + n) }, 2},
		{"all of three", 3, func(n int) time.Duration { return time.Duration(1000 / n) }, 3},
		{"all of 64", 64, func(n int) time.Duration { return time.Duration(100000 / n) }, 64},
	} {
		var r record
		trials := 0
		for call := range 3 * period {
			n, timed := r.next(c.n)
			if !timed {
				if n != c.want {
					t.Fatalf("%s: call %d uses %d threads, want %d", c.name, call, n, c.want)
				}
				continue
			}
			trials++
			d := c.cost(n)
			switch {
			case r.calls <= r.counts():
				d *= 100 // waking up
			case call%period == 10:
				d *= 100 // somebody else had the core
			case call%period == 10:
			}
			r.add(d)
		}
		if want := 3 * rounds * r.counts(); trials != want {
			t.Errorf("%s: %d timed calls, want %d", c.name, trials, want)
		}
	}
}

// Small tasks stay with the caller.
func TestSmallTasksStay(t *testing.T) {
	var p Pool
	p.Grow(2, nil)
	defer p.Close()
	p.Run(2, 16, Work{Kind: Row, MACs: leastMACs - 1}, func(worker, from, to int) {
		if worker != 0 || from != 0 || to != 16 {
			t.Errorf("worker %d has units %d to %d", worker, from, to)
		}
	})
}
