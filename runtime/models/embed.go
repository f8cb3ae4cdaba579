//go:build !noembed

package models

import _ "embed"

//go:embed zh-en.ei8
var zhEn string

//go:embed iris.ei8
var iris string // Fisher's iris, 150 rows: see README.md

//go:embed rnn.ei8
var rnn string // next words by a plain recurrent network: see convert/recipe/next-word

//go:embed lstm.ei8
var lstm string // next words by an LSTM of the same size

//go:embed recall.tsv.gz
var stories string // what neither of the two has seen

var embedded = map[string]string{"zh-en": zhEn, "iris": iris, "rnn": rnn, "lstm": lstm}
