//go:build linux || darwin

package boards

import "golang.org/x/sys/unix"

// Machine is what uname -m prints. An arm64 kernel tells a 32-bit program "aarch64", or "armv8l" where the program was
// started as a 32-bit one (setarch linux32).
func Machine() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Machine[:])
}
