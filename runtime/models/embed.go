//go:build !noembed

package models

import _ "embed"

//go:embed zh-en.ei8
var zhEn string

//go:embed iris.ei8
var iris string // Fisher's iris, 150 rows: see README.md

var embedded = map[string]string{"zh-en": zhEn, "iris": iris}
