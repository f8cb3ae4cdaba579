package threads

import (
	"math/bits"
	"time"
)

// Kind is what bounds the speed of some work. Tasks of one kind and nearly one size are taken to behave alike.
type Kind uint8

const (
	Row   Kind = iota // a product with one row of activations: bound by reading the weights
	Rows              // with several rows: bound by multiplying
	Other             // attention, scans
	kinds
)

// Work is how much a task has to do.
type Work struct {
	Kind Kind
	MACs int64 // multiply-adds, or what takes as long
}

const (
	leastMACs = 1 << 14 // below, calling another core takes longer than the work

	// Of every period calls of a kind and size, the first rounds of each count of threads are timed, in turns.
	period = 1 << 12
	rounds = 8
)

// record is what was learned of one kind and size of work: whether more threads finish it sooner depends on the memory, which
// one core of a small board may keep busy alone, on the caches, and on who else uses the cores. So it is tried out, on the work itself: the
// results do not depend on it.
type record struct {
	n     int // threads that may be used
	best  int // threads to use until the next trial
	calls int // in this period
	now   int // index of the count that is being timed

	total, worst [7]time.Duration // of each count of threads: 1, 2, 4, ..., n
}

func (p *Pool) record(w Work) *record {
	sizes := &p.learned[w.Kind]
	return &sizes[min(bits.Len64(uint64(w.MACs)), len(sizes)-1)]
}

// counts is how many counts of threads there are to try.
func (r *record) counts() int { return bits.Len(uint(r.n-1)) + 1 }

func (r *record) threads(i int) int { return min(1<<i, r.n) }

// next says how many of n threads to use now, and whether to time it and call add.
func (r *record) next(n int) (threads int, timed bool) {
	if r.n != n || r.calls == period {
		*r = record{n: n, best: n}
	}
	r.calls++
	if n == 1 || r.calls > rounds*r.counts() {
		return r.best, false
	}
	r.now = r.calls % r.counts()
	return r.threads(r.now), true
}

// add notes the time of a call, and after the last of a trial decides. The first round does not count, as threads wake up and data
// comes in, nor does the slowest, when somebody else had the core. Fewer threads win unless more are faster by a twentieth.
func (r *record) add(d time.Duration) {
	if r.calls <= r.counts() {
		return
	}
	r.total[r.now] += d
	r.worst[r.now] = max(r.worst[r.now], d)
	if r.calls < rounds*r.counts() {
		return
	}
	best := 0
	for i := range r.counts() {
		if 20*(r.total[i]-r.worst[i]) < 19*(r.total[best]-r.worst[best]) {
			best = i
		}
	}
	r.best = r.threads(best)
}
