// Package fuzztest says what every reader of foreign bytes is held to: it does not panic, allocates in proportion to its input,
// and ends in time. Only tests import it.
package fuzztest

import (
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Bounds, for an input of n bytes: 8·n bytes + 16 MB allocated, a second of processor time for each megabyte begun. What takes
// hopeless times as long has no end, and is ended: fuzzing itself would wait for ever.
const (
	factor   = 8
	free     = 16 << 20
	slice    = time.Second
	hopeless = 30
	emulator = 10 // so many times as long an emulated processor may take
)

// Bounded runs f, which reads size bytes, and fails t if f allocated more than the bound, counting everything, what was freed too,
// or took longer. Nothing else may run meanwhile.
func Bounded(t testing.TB, size int, f func()) {
	t.Helper()
	limit := slice * time.Duration(1+size>>20)
	if os.Getenv("EDGE_INFER_TEST_EXEC") != "" {
		limit *= emulator
	}
	before, start := allocated(), processorTime()
	watch(start + hopeless*limit)
	defer watch(0)
	f()
	if took := processorTime() - start; took > limit {
		t.Errorf("%d bytes of input kept it busy for %v, more than %v", size, took, limit)
	}
	if used, limit := allocated()-before, uint64(factor*size+free); used > limit {
		t.Errorf("%d bytes of input made it allocate %d, more than %d", size, used, limit)
	}
}

// allocated is how many bytes this process has allocated so far. (runtime.ReadMemStats stops the world, too slow for fuzzing.)
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

var (
	deadline atomic.Int64 // of processorTime; 0: none
	watcher  sync.Once
)

// watch ends the process with the stacks of its goroutines when its processor time passes end; 0 calls that off.
func watch(end time.Duration) {
	deadline.Store(int64(end))
	watcher.Do(func() {
		go func() {
			for range time.Tick(time.Second) {
				if end := deadline.Load(); end > 0 && processorTime() > time.Duration(end) {
					debug.SetTraceback("all")
					panic(fmt.Sprintf("the reader is still busy after %v of processor time", processorTime()))
				}
			}
		}()
	})
}
