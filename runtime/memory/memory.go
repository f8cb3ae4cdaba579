// Package memory says how much memory this process may have before the system kills something, and how much it has.
//
//	limit := memory.Available() // of the control groups, and of what the machine has free
//
// On systems other than Linux nothing is known, and nothing is limited.
package memory

import (
	"bytes"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/edge-infer/edge-infer/runtime/cgroup"
)

// Limit is the bytes of memory that this process may have in all, what it has already included. The zero value is no limit.
type Limit struct {
	Bytes int64
	Of    string // what sets it: "the control group /a/b", "what the machine has free"
}

// none is the least of what stands for "no limit": version 1 of control groups has the largest number of pages.
const none = 1 << 60

// Below is the smaller of two limits.
func (l Limit) Below(other Limit) Limit {
	if other.Bytes == 0 || l.Bytes > 0 && l.Bytes <= other.Bytes {
		return l
	}
	return other
}

// Available is the least of MemAvailable, which is what programs can have without swapping, and of the limits of this process'
// control groups, less what others in them have. A map of a file does not count: its pages can be taken back.
func Available() Limit { return availableIn("/") }

func availableIn(root string) Limit {
	mine := field(root+"proc/self/status", "RssAnon:")
	limit := Limit{}
	if free := field(root+"proc/meminfo", "MemAvailable:"); free >= 0 {
		limit = Limit{free + max(mine, 0), "what the machine has free"}
	}
	cgroup.Each(root, "memory", func(folder string, v2 bool) {
		most := groupLimit(folder, v2)
		if most == 0 {
			return
		}
		// The kernel's counters of a group lag behind by some hundred KB, so only whole megabytes are others'.
		others := max(groupAnonymous(folder, v2)-max(mine, 0), 0) >> 20 << 20
		name := strings.TrimPrefix(folder, path.Join(root, "sys/fs/cgroup"))
		limit = limit.Below(Limit{max(most-others, 1), "the control group " + name})
	})
	return limit
}

// groupLimit is the bytes that a group may have, 0 for any number. Above memory.high the kernel makes its processes wait.
func groupLimit(folder string, v2 bool) (least int64) {
	names := []string{"memory.limit_in_bytes"}
	if v2 {
		names = []string{"memory.max", "memory.high"}
	}
	for _, name := range names {
		file, err := os.Open(path.Join(folder, name))
		if err != nil {
			continue
		}
		raw := make([]byte, 32) // os.ReadFile would take the page that the system says each file has
		length, _ := io.ReadFull(file, raw)
		file.Close()
		n, err := strconv.ParseInt(strings.TrimSpace(string(raw[:length])), 10, 64) // version 2 says "max"
		if err == nil && n >= 0 && n < none && (least == 0 || n < least) {
			least = max(n, 1)
		}
	}
	return least
}

// groupAnonymous is the bytes of anonymous memory that a group has, with the groups below it; 0 where that is not known.
func groupAnonymous(folder string, v2 bool) int64 {
	name := "total_rss "
	if v2 {
		name = "anon "
	}
	return max(field(path.Join(folder, "memory.stat"), name), 0)
}

// Anonymous is the bytes of memory that only this process has, and that no file can be read again for: RssAnon. -1 where it is not known.
func Anonymous() int64 { return field("/proc/self/status", "RssAnon:") }

// field is the number behind a name at the start of a line of a file, in bytes; -1 if there is none.
func field(file, name string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	_, rest, ok := bytes.Cut(append([]byte("\n"), raw...), []byte("\n"+name))
	if !ok {
		return -1
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(string(words[0]), 10, 64)
	if err != nil || n < 0 || n > 1<<50 {
		return -1
	}
	if len(words) > 1 && string(words[1]) == "kB" {
		n <<= 10
	}
	return n
}
