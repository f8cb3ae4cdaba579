//go:build unix

package fuzztest

import (
	"syscall"
	"time"
)

// processorTime is what this process has used of processors: it stands still where the process has to wait.
func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
