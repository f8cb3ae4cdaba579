//go:build !noembed

package models

import _ "embed"

//go:embed zh-en.ei8
var zhEn string

var embedded = map[string]string{"zh-en": zhEn}
