package threads

import (
	"math/bits"
	"slices"
	"time"
)

// Kind is what bounds the speed of some work. Tasks of one kind and nearly one size are taken to behave alike.
type Kind uint8

const (
	Row   Kind = iota // a product with one row of activations: bound by reading the weights
	Rows              // with several rows: bound by multiplying
	Other             // attention
	All               // of any size: all threads take part, untried

	kinds = All // that are tried
)

// Work is how much a task has to do.
type Work struct {
	Kind Kind
	MACs int64 // multiply-adds, or what takes as long

	// Grain is how many units a thread should have at a time where there is a choice: with fewer the work takes longer. 0 is 1.
	Grain int
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

	times [7][rounds - 1]time.Duration // of each count of threads: 1, 2, 4, ..., n
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

// add notes the time of a call, and after the last of a trial decides by the medians: sometimes somebody else has the core. The
// first round does not count, as threads wake up and data comes in. Fewer threads win unless more are faster by a twentieth.
func (r *record) add(d time.Duration) {
	counts := r.counts()
	round := (r.calls - 1) / counts
	if round == 0 {
		return
	}
	r.times[r.now][round-1] = d
	if r.calls < rounds*counts {
		return
	}
	best := time.Duration(0)
	for i := range counts {
		slices.Sort(r.times[i][:])
		if median := r.times[i][rounds/2-1]; i == 0 || 20*median < 19*best {
			r.best, best = r.threads(i), median
		}
	}
}
