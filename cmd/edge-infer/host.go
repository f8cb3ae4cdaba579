package main

import (
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/edge-infer/edge-infer/boards"
)

// noteFaster tells the owner of a 64-bit board who runs the 32-bit program what is left on the table.
func noteFaster() {
	if note := slowBuild(goruntime.GOARCH, boards.Machine()); note != "" {
		fmt.Fprintln(os.Stderr, "edge-infer:", note)
	}
}

// slowBuild compares the program's architecture with the kernel's: arm64 kernels say "aarch64", or "armv8l" to a program
// that was started as a 32-bit one; 32-bit kernels on the same CPUs say "armv7l".
func slowBuild(goarch, machine string) string {
	if goarch == "arm" && (machine == "aarch64" || machine == "armv8l") {
		return "this is the 32-bit program on a 64-bit kernel; the arm64 one runs here too and is much faster"
	}
	return ""
}
