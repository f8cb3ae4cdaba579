// Package models holds the models that are built into the edge-infer command. Only the command imports it, so that programs
// that use the runtime as a library carry none of them. Built with -tags noembed it is empty.
package models

import (
	"maps"
	"slices"
)

// Default is the name of the model that translates when none is asked for.
const Default = "zh-en"

// Names lists the embedded models in alphabetical order.
func Names() []string {
	return slices.Sorted(maps.Keys(embedded))
}

// Get gives the image of an embedded .ei8 file, to be used in place: a string, so that the linker puts it into read-only
// pages, which the system can share between processes and drop when memory is short.
func Get(name string) (image string, ok bool) {
	image, ok = embedded[name]
	return image, ok
}
