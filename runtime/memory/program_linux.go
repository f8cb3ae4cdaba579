package memory

import (
	"encoding/binary"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ProgramFile is the file of this program.
const ProgramFile = "/proc/self/exe"

// ProgramMaps calls f for each part of the program's file that is mapped as it is, to be read or run: from byte offset on it lies at
// addresses [start, end).
func ProgramMaps(f func(start, end uintptr, offset int64)) {
	name, err := os.Readlink(ProgramFile)
	if err != nil {
		return
	}
	written, ok := writtenParts()
	if !ok {
		return
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		// 00400000-00750000 r-xp 00000000 fe:00 9994746    /usr/bin/edge-infer
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasPrefix(fields[1], "r-") || !strings.HasSuffix(line, " "+name+"\n") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 0)
		end, err2 := strconv.ParseUint(to, 16, 0)
		offset, err3 := strconv.ParseInt(fields[2], 16, 64)
		if err1 == nil && err2 == nil && err3 == nil && !written(offset) {
			f(uintptr(start), uintptr(end), offset)
		}
	}
}

// writtenParts says of an offset in the program's file whether it belongs to a segment that is loaded to be written. Such a segment may
// have pages that look like others: where the program lies anywhere in memory (-buildmode=pie), or was linked with C, the loader
// writes addresses into them and makes them read-only then. They are no longer what the file has.
func writtenParts() (written func(offset int64) bool, ok bool) {
	file, err := os.Open(ProgramFile)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	b := make([]byte, 2048) // an ELF header, and a dozen program headers behind it
	n, _ := io.ReadFull(file, b)
	if n < 64 || string(b[:4]) != "\x7fELF" {
		return nil, false
	}
	order := binary.NativeEndian
	at, size, count := int64(order.Uint32(b[28:])), int64(order.Uint16(b[42:])), int64(order.Uint16(b[44:]))
	wide := b[4] == 2 // of 64 bits
	if wide {
		at, size, count = int64(order.Uint64(b[32:])), int64(order.Uint16(b[54:])), int64(order.Uint16(b[56:]))
	}
	if at < 0 || at > int64(n) || size < 32 || wide && size < 56 || count*size > int64(n)-at {
		return nil, false
	}
	var parts [][2]int64
	for range count {
		h := b[at:]
		from, length, flags := int64(order.Uint32(h[4:])), int64(order.Uint32(h[16:])), order.Uint32(h[24:])
		if wide {
			from, length, flags = int64(order.Uint64(h[8:])), int64(order.Uint64(h[32:])), order.Uint32(h[4:])
		}
		const load, write = 1, 2
		if order.Uint32(h) == load && flags&write != 0 {
			parts = append(parts, [2]int64{from &^ int64(os.Getpagesize()-1), from + length})
		}
		at += size
	}
	return func(offset int64) bool {
		for _, p := range parts {
			if p[0] <= offset && offset < p[1] {
				return true
			}
		}
		return false
	}, true
}

// SmallPages has the system give this process memory by the page, where it would give 2 MB at the first touch to everybody, as kernels are
// set that say "always": a small session touches a fraction of that. What Go has by then stays large, so the program starts over, once,
// which takes 3 ms on a PC. It returns where all is well, and where it cannot be done.
func SmallPages() {
	const startedOver = "EDGE_INFER_SMALL_PAGES" // some systems that are not quite Linux forget what they were told
	setting, _ := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if !strings.Contains(string(setting), "[always]") || os.Getenv(startedOver) != "" {
		return
	}
	program, err := os.Readlink(ProgramFile)
	small, asked := unix.PrctlRetInt(unix.PR_GET_THP_DISABLE, 0, 0, 0, 0)
	if err == nil && asked == nil && small == 0 && unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) == nil {
		_ = unix.Exec(program, os.Args, append(os.Environ(), startedOver+"=1"))
	}
}

// ForgetProgram takes the pages of the program that were used until now out of this process. They stay in the system's cache, and those
// that are used again come back, a fault for each 64 KB. What a program does before its work touches nearly all of it: each
// package has something to set up.
func ForgetProgram() {
	ProgramMaps(func(start, end uintptr, _ int64) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
	})
}

// ReadProgramSparsely says that a missing page of the program is to be read without its neighbours. Little of it is ever used, and
// some systems would read megabytes around each, into memory that is not there.
var ReadProgramSparsely = sync.OnceFunc(func() {
	ProgramMaps(func(start, end uintptr, _ int64) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_RANDOM)
	})
})
