package memory

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePage is the size of what one entry of the tables for large pages maps, on amd64, and on arm and arm64 with pages of 4 KB.
const largePage = 2 << 20

// PreferLargePages asks the system to put p, before it is first written, into large pages as far as it covers them whole: a processor
// knows the addresses of some thousand pages, and waits for those of others. Only a hint, and no more memory than p has.
func PreferLargePages(p []float32) {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	first, end := (start+largePage-1)&^(largePage-1), (start+4*uintptr(len(p)))&^(largePage-1)
	if first < end {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, first, end-first, unix.MADV_HUGEPAGE)
	}
}
