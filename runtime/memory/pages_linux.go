package memory

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePage is the size of what one entry of the tables for large pages maps, on amd64, and on arm and arm64 with pages of 4 KB.
const largePage = 2 << 20

// PreferLargePages asks the system to put p, before it is first touched, into large pages as far as it covers them whole, and says
// whether it is willing: a processor knows the addresses of some thousand pages, and waits for those of others. Only a hint, and no more
// memory than p has.
func PreferLargePages[T float32 | byte](p []T) bool { return advisePages(p, unix.MADV_HUGEPAGE) }

// PreferSmallPages takes that back for what is not there yet.
func PreferSmallPages[T float32 | byte](p []T) { advisePages(p, unix.MADV_NOHUGEPAGE) }

func advisePages[T float32 | byte](p []T, how uintptr) bool {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	first, end := (start+largePage-1)&^(largePage-1), (start+uintptr(len(p))*unsafe.Sizeof(p[0]))&^(largePage-1)
	if first >= end {
		return false
	}
	_, _, failed := unix.Syscall(unix.SYS_MADVISE, first, end-first, how)
	return failed == 0
}
