package threads

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Pin binds the calling thread to one CPU; the goroutine should be locked to it. Elsewhere than on Linux it does nothing.
func Pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// Allowed are the CPUs that this process may run on, in ascending order; nil if the system does not say. They are those of the
// first call: later ones may come from a thread that was pinned.
var Allowed = sync.OnceValue(func() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
})
