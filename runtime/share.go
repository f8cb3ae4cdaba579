package runtime

import (
	"github.com/edge-infer/edge-infer/kernels"
	"github.com/edge-infer/edge-infer/runtime/threads"
)

// product is the work of multiplying rows of x with w, whose columns are shared out in so many units.
func product(set *kernels.Set, rows int, w *linear, units int) threads.Work {
	kind := threads.Rows
	if rows == 1 {
		kind = threads.Row
	}
	return threads.Work{Kind: kind, MACs: int64(rows) * int64(w.N) * int64(w.K), Grain: (set.Grain(rows)*units + w.N - 1) / w.N}
}

// attention is the work of rows that look at so many positions each.
func attention(rows, positions, dim int) threads.Work {
	return threads.Work{Kind: threads.Other, MACs: 2 * int64(rows) * int64(positions) * int64(dim)}
}

// each does what a thread has got unit by unit.
func each(f func(worker, unit int)) func(worker, from, to int) {
	return func(worker, from, to int) {
		for i := from; i < to; i++ {
			f(worker, i)
		}
	}
}
