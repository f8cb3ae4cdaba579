//go:build noembed

package models

var embedded map[string]string

var stories string
