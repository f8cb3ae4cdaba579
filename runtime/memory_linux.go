package runtime

import (
	"bytes"
	"os"
	"strconv"
)

// availableMemory is MemAvailable of /proc/meminfo in bytes: what can be had without swapping. 0 where it is not known.
func availableMemory() int64 {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(info, []byte("MemAvailable:"))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil || kib < 0 || kib > 1<<50 {
		return 0
	}
	return kib << 10
}
