package kernels

import "unsafe"

//go:noescape
func fetch(p unsafe.Pointer, bytes int)

//go:noescape
func fetchFirst(p unsafe.Pointer, bytes int)

// Fetch asks for p to be brought into the second-level cache and does not wait: a hint for what will be read soon.
func Fetch[T int8 | float32](p []T) {
	if len(p) > 0 {
		fetch(unsafe.Pointer(&p[0]), len(p)*int(unsafe.Sizeof(p[0])))
	}
}

// FetchFirst is Fetch into the first-level cache: for what is read next, of a size that finds room there.
func FetchFirst[T int8 | float32](p []T) {
	if len(p) > 0 {
		fetchFirst(unsafe.Pointer(&p[0]), len(p)*int(unsafe.Sizeof(p[0])))
	}
}
