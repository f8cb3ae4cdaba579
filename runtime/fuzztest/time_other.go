//go:build !unix

package fuzztest

import "time"

var began = time.Now()

// processorTime is the time since the process began, where what it has used of processors is not known.
func processorTime() time.Duration { return time.Since(began) }
