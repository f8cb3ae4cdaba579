package runtime

import (
	"runtime/debug"
	"sync"
)

// pool runs one task on several goroutines. It belongs to a Model, grows to the largest thread count that a session asked
// for, and ends with Close. The caller is always worker 0, so one thread means no goroutine at all.
type pool struct {
	mu      sync.Mutex // held while a task runs; a second session meanwhile runs its tasks alone
	workers []chan task
	done    sync.WaitGroup
	failed  [maxThreads]any // panic values of the workers, in worker order
}

// task is a part of some work: f(worker, part). Parts are dealt out evenly and in order; a part never depends on another.
type task struct {
	f        func(worker, part int)
	from, to int
}

const maxThreads = 64

// grow starts workers until there are n threads, the caller included.
func (p *pool) grow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.workers) < min(n, maxThreads)-1 {
		c := make(chan task)
		id := len(p.workers) + 1
		p.workers = append(p.workers, c)
		go p.work(id, c)
	}
}

func (p *pool) work(id int, tasks <-chan task) {
	// The weights are a mapping of a file that somebody may cut: a fault becomes a panic, which run hands to the caller.
	debug.SetPanicOnFault(true)
	for t := range tasks {
		p.part(id, t)
	}
}

func (p *pool) part(id int, t task) {
	defer func() {
		p.failed[id] = recover()
		p.done.Done()
	}()
	for i := t.from; i < t.to; i++ {
		t.f(id, i)
	}
}

// run calls f for parts 0 to parts-1 on up to threads goroutines and returns when all have ended. The results must not
// depend on which worker runs which part. It does not allocate.
func (p *pool) run(threads, parts int, f func(worker, part int)) {
	n := min(threads, parts)
	if n <= 1 || !p.mu.TryLock() {
		for i := range parts {
			f(0, i)
		}
		return
	}
	defer p.mu.Unlock()
	n = min(n, len(p.workers)+1)
	p.done.Add(n - 1)
	for w := 1; w < n; w++ {
		p.workers[w-1] <- task{f, parts * w / n, parts * (w + 1) / n}
	}
	func() {
		// The workers read what the caller owns: wait for them even if the caller's own part panics.
		defer p.done.Wait()
		for i := range parts / n {
			f(0, i)
		}
	}()
	for w := 1; w < n; w++ {
		if v := p.failed[w]; v != nil {
			p.failed[w] = nil
			panic(v)
		}
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.workers {
		close(c)
	}
	p.workers = nil
}
