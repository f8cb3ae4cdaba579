package memory

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ProgramFile is the file of this program.
const ProgramFile = "/proc/self/exe"

// ProgramMaps calls f for each part of the program's file that is mapped: from byte offset on it lies at addresses [start, end).
func ProgramMaps(f func(start, end uintptr, offset int64)) {
	name, err := os.Readlink(ProgramFile)
	if err != nil {
		return
	}
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		var start, end uintptr
		var offset int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s %x ", &start, &end, &rights, &offset); err == nil && strings.HasSuffix(line, " "+name+"\n") {
			f(start, end, offset)
		}
	}
}

// ReadProgramSparsely says that a missing page of the program is to be read without its neighbours. Little of it is ever used, and
// some systems would read megabytes around each, into memory that is not there.
var ReadProgramSparsely = sync.OnceFunc(func() {
	ProgramMaps(func(start, end uintptr, _ int64) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_RANDOM)
	})
})
