// Package alloctest counts what a function allocates. Only tests import it.
//
// Go counts for the whole process: a thread of an earlier test that ends, or a collection that begins, allocates too, most of all
// on a busy machine. What a function allocates by itself comes each time it runs, so the least of several counts is its own.
package alloctest

import (
	"runtime"
	"testing"
)

const tries = 5

// PerRun is how often f allocates on average, after a first run that is not counted.
func PerRun(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for i := 1; i < tries && least > 0; i++ {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}

// Bytes is how many bytes f allocates, what is freed at once included. It runs f several times.
func Bytes(f func()) uint64 {
	least := bytesOnce(f)
	for range tries - 1 {
		least = min(least, bytesOnce(f))
	}
	return least
}

func bytesOnce(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
