//go:build !linux

package main

// dropFromCache cannot empty the page cache here.
func dropFromCache(string) (fetched int64, ok bool) { return 0, false }

func bytesFetched() (int64, bool) { return 0, false }
