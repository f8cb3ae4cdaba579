//go:build linux || darwin

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal asks for the window size, which only terminals have: /dev/null is a character device too.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

func diskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// readerGone says whether a write failed because the other end of a pipe was closed.
func readerGone(err error) bool { return errors.Is(err, unix.EPIPE) }
