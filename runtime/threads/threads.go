// Package threads shares one task at a time out over several threads, and finds out how many of them it pays to use.
//
//	var p threads.Pool
//	p.Grow(4, []int{4, 5, 6, 7}) // three workers, pinned to CPUs 5 to 7; the caller is the fourth
//	p.Run(4, blocks, threads.Work{Kind: threads.Row, MACs: int64(n * k)}, multiply)
//	p.Close()
//
// Workers without CPUs of their own park as soon as they have nothing to do; pinned ones spin for SpinTime first, so that
// the next task of the same token finds them awake. Either way an idle pool costs no CPU. Nothing here allocates but Grow.
package threads

import (
	goruntime "runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Max is the largest number of threads, the caller included.
const Max = 64

// SpinTime is how long a pinned worker looks for the next task before it parks: longer than a model spends between two
// products of a token on the slowest board, and too short to show in anybody's idle figures.
const SpinTime = 200 * time.Microsecond

// chunks is how many parts a thread's share of a task has. More even out cores of different speed, or ones that somebody
// else uses too; fewer leave longer streams of weights.
const chunks = 8

// partMACs are the multiply-adds for which it pays to take a part: about a microsecond on the fastest cores.
const partMACs = 1 << 17

// Pool is a caller and its workers. The zero value is ready. It grows to the largest number of threads that anybody asked
// for and ends with Close.
type Pool struct {
	mu      sync.Mutex // held while a task runs; who comes meanwhile does its task alone
	workers []*worker  // worker i+1
	closed  atomic.Bool
	running sync.WaitGroup // the workers
	spins   atomic.Bool    // all workers are pinned, each to a CPU of its own
	learned [kinds][40]record
	failed  [Max]any // panic values of the workers, in their order

	// The task under way. It is written before state is, and read by those alone who have taken a part of it: the task
	// cannot end, nor the next one be written, before that part has ended.
	f     func(worker, from, to int)
	units int
	parts int

	// What all threads write lies in cache lines of its own.
	_      [64]byte
	state  atomic.Uint32 // number of threads that may take part << 24 | parts that nobody has taken
	_      [64]byte
	left   atomic.Int32 // parts that have not ended
	asleep atomic.Bool  // the caller waits for awake
	_      [64]byte
	awake  chan struct{}
}

const partsMask = 1<<24 - 1

type worker struct {
	id, cpu int // cpu -1: not pinned
	asleep  atomic.Bool
	awake   chan struct{}
}

// Grow starts workers until there are n threads with the caller's. With cpus, worker i is pinned to cpus[i]; cpus[0] is for
// the caller, who pins its own thread if it wants to. Without cpus, or with fewer than n, no worker is pinned and none spins.
func (p *Pool) Grow(n int, cpus []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n = min(n, Max); n <= len(p.workers)+1 {
		return
	}
	pin := len(cpus) >= n
	// Spinning pays only where nobody else needs the CPU for the very thing that is waited for.
	p.spins.Store(pin && (p.spins.Load() || len(p.workers) == 0) && n <= goruntime.GOMAXPROCS(0))
	if p.awake == nil {
		p.awake = make(chan struct{}, 1)
	}
	for id := len(p.workers) + 1; id < n; id++ {
		w := &worker{id: id, cpu: -1, awake: make(chan struct{}, 1)}
		if pin {
			w.cpu = cpus[id]
		}
		p.workers = append(p.workers, w)
		p.running.Add(1)
		go p.work(w)
	}
}

// Run calls f for all of the units from 0 on, in runs of neighbours [from, to), on up to n threads side by side, and returns
// when all have ended. worker is below n and no two calls at the same time have the same. The results must not depend on
// who does what. What f panics with, Run panics with. Run does not allocate.
func (p *Pool) Run(n, units int, w Work, f func(worker, from, to int)) {
	if n == 1 || units <= 1 || w.Kind != All && w.MACs < leastMACs || !p.mu.TryLock() {
		f(0, 0, units)
		return
	}
	defer p.mu.Unlock()
	n = min(n, len(p.workers)+1, units)
	if w.Kind == All {
		p.share(n, units, w.parts(n, units), f)
		return
	}
	r := p.record(w)
	n, timed := r.next(n)
	if !timed {
		p.share(n, units, w.parts(n, units), f)
		return
	}
	start := time.Now()
	p.share(n, units, w.parts(n, units), f)
	r.add(time.Since(start))
}

// parts is how many parts the units make for n threads: one for each, and more where the parts stay large enough.
func (w *Work) parts(n, units int) int {
	more := min(n*chunks, units/max(w.Grain, 1))
	if w.MACs > 0 && w.MACs/partMACs < int64(more) {
		more = int(w.MACs / partMACs)
	}
	return min(max(more, n), units)
}

// share deals the units out.
func (p *Pool) share(n, units, parts int, f func(worker, from, to int)) {
	if n == 1 {
		f(0, 0, units)
		return
	}
	p.f, p.units, p.parts = f, units, parts
	p.left.Store(int32(p.parts))
	p.state.Store(uint32(n)<<24 | uint32(p.parts))
	for _, w := range p.workers[:n-1] {
		if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
			w.awake <- struct{}{}
		}
	}
	p.take(0)
	p.wait()
	for i := range p.failed[:n] {
		if v := p.failed[i]; v != nil {
			p.failed[i] = nil
			panic(v)
		}
	}
}

// take does parts of the task until none is left.
func (p *Pool) take(id int) {
	for {
		s := p.state.Load()
		if int(s>>24) <= id || s&partsMask == 0 {
			return
		}
		if p.state.CompareAndSwap(s, s-1) {
			p.part(id, p.parts-int(s&partsMask))
		}
	}
}

// part does one part. A panic waits until the others have ended: they read what the caller owns.
func (p *Pool) part(id, part int) {
	defer func() {
		if r := recover(); r != nil {
			p.failed[id] = r
		}
		p.end()
	}()
	p.f(id, p.units*part/p.parts, p.units*(part+1)/p.parts)
}

// end counts a part as ended and wakes the caller after the last.
func (p *Pool) end() {
	if p.left.Add(-1) == 0 && p.asleep.Load() && p.asleep.CompareAndSwap(true, false) {
		p.awake <- struct{}{}
	}
}

// wait returns when all parts have ended. A worker that was slow to look may wake it for the task before: so it looks again.
func (p *Pool) wait() {
	for !p.spin(func() bool { return p.left.Load() == 0 }) {
		p.asleep.Store(true)
		if p.left.Load() != 0 || !p.asleep.CompareAndSwap(true, false) {
			<-p.awake
		}
	}
}

// spin looks for SpinTime; once, if nobody is to spin.
func (p *Pool) spin(ready func() bool) bool {
	if ready() {
		return true
	}
	if !p.spins.Load() {
		return false
	}
	for start := time.Now(); time.Since(start) < SpinTime; {
		for range 64 { // reading the clock costs more than a look
			if ready() {
				return true
			}
		}
	}
	return false
}

func (p *Pool) work(w *worker) {
	defer p.running.Done()
	if w.cpu >= 0 {
		goruntime.LockOSThread() // until it ends, and the thread with it: its affinity is nobody else's
		_ = Pin(w.cpu)           // only faster
	}
	// Weights are a mapping of a file that somebody may cut: a fault becomes a panic, which Run hands to the caller.
	debug.SetPanicOnFault(true)
	ready := func() bool {
		s := p.state.Load()
		return int(s>>24) > w.id && s&partsMask != 0 || p.closed.Load()
	}
	for !p.closed.Load() {
		if p.spin(ready) {
			p.take(w.id)
			continue
		}
		w.asleep.Store(true)
		if !ready() || !w.asleep.CompareAndSwap(true, false) {
			<-w.awake
		}
	}
}

// Close ends the workers and returns when they have ended. Later tasks are the caller's alone.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed.Store(true)
	for _, w := range p.workers {
		if w.asleep.CompareAndSwap(true, false) {
			w.awake <- struct{}{}
		}
	}
	p.workers = nil
	p.running.Wait()
}
