package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// output is where results go: standard output, or a file that appears under its name only when it is whole.
type output struct {
	*bufio.Writer
	file  *os.File
	final string // the name that file gets in the end; "" for standard output and for devices
}

// createOutput opens the place of the results; path "" is standard output. A file is written under a temporary name in the
// same folder and renamed by Finish. Pipes and devices cannot be renamed over and are written as they are.
func createOutput(path string) (*output, error) {
	if path == "" {
		return &output{Writer: bufio.NewWriter(os.Stdout), file: os.Stdout}, nil
	}
	// A link keeps pointing where it points: the file behind it is replaced.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, &fs.PathError{Op: "write", Path: path, Err: errors.New("this is a folder; name a file")}
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &output{Writer: bufio.NewWriter(f), file: f}, nil
	}
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d-%d.tmp", filepath.Base(path), os.Getpid(), tempNumber.Add(1)))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return &output{Writer: bufio.NewWriter(f), file: f, final: path}, nil
}

var tempNumber atomic.Int32

// Flush hands everything written so far to the reader.
func (o *output) Flush() error {
	err := o.Writer.Flush()
	if o.file == os.Stdout && readerGone(err) {
		return errReaderGone
	}
	return err
}

// Finish flushes and puts a file in its place.
func (o *output) Finish() error {
	if err := o.Flush(); err != nil || o.final == "" {
		return err
	}
	temp := o.file.Name()
	err := o.file.Sync()
	if e := o.file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, o.final)
	}
	if err != nil {
		os.Remove(temp)
	}
	o.final = ""
	return err
}

// Abort leaves nothing behind; after Finish it does nothing.
func (o *output) Abort() {
	if o.final != "" {
		o.file.Close()
		os.Remove(o.file.Name())
	}
}

// printResult writes a whole result, such as a table, to standard output.
func printResult(text []byte) error {
	_, err := os.Stdout.Write(text)
	if readerGone(err) {
		return errReaderGone
	}
	return err
}
