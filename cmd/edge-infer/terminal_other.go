//go:build !linux && !darwin && !windows

package main

import "os"

func isTerminal(*os.File) bool  { return false }
func diskFull(error) bool       { return false }
func readerGone(err error) bool { return false }
