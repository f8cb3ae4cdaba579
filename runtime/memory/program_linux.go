package memory

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ProgramFile is the file of this program.
const ProgramFile = "/proc/self/exe"

// ProgramMaps calls f for each part of the program's file that is mapped to be read or run, not written: from byte offset on it lies
// at addresses [start, end).
func ProgramMaps(f func(start, end uintptr, offset int64)) {
	name, err := os.Readlink(ProgramFile)
	if err != nil {
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
		if err1 == nil && err2 == nil && err3 == nil {
			f(uintptr(start), uintptr(end), offset)
		}
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
