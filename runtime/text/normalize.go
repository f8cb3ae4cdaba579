package text

import (
	"bytes"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// How many keys that begin the text SentencePiece looks at.
const (
	maxUserKeys     = 64
	maxCharsmapKeys = 32
)

// rules says how text is normalized. Its slices lie in the image.
type rules struct {
	flags    uint32 // flagDummyPrefix, flagRemoveSpaces, flagEscape, flagSpaceSuffix; others are not looked at
	user     []byte // trie of symbols that are left alone
	charsmap []byte // trie of what is replaced, by offsets into replace
	replace  []byte
}

// prefix normalizes what begins s: it returns the result, and how many bytes of s it stands for, at least one.
// The result lies in s, in the image or in a constant.
//
// A user-defined symbol stays as it is; else the longest rule of the charsmap applies; else one character stays.
func (r *rules) prefix(s string) (result string, n int) {
	if n, _ := longest(r.user, s, maxUserKeys); n > 0 {
		return s[:n], n
	}
	if n, at := longest(r.charsmap, s, maxCharsmapKeys); n > 0 {
		end := bytes.IndexByte(r.replace[at:], 0) // found: Open saw to it that the last byte is NUL
		return unsafe.String(&r.replace[at], end), n
	}
	if s[0] < utf8.RuneSelf {
		return s[:1], 1
	}
	c, n := utf8.DecodeRuneInString(s)
	if c == utf8.RuneError && n == 1 {
		return replacement, 1
	}
	return s[:n], n
}

// normalize appends to dst what SentencePiece cuts: rules applied, spaces reduced and written as U+2581, one put before.
func (r *rules) normalize(dst []byte, s string) []byte {
	remove := r.flags&flagRemoveSpaces != 0
	for remove && s != "" {
		result, n := r.prefix(s)
		if result != " " {
			break
		}
		s = s[n:]
	}
	if s == "" {
		return dst
	}
	begin := len(dst)
	symbol := " "
	if r.flags&flagEscape != 0 {
		symbol = space
	}
	if r.flags&(flagDummyPrefix|flagSpaceSuffix) == flagDummyPrefix {
		dst = append(dst, symbol...)
	}
	afterSpace := remove // the space that comes next is dropped
	for s != "" {
		result, n := r.prefix(s)
		s = s[n:]
		if afterSpace {
			result = strings.TrimLeft(result, " ")
		}
		if result == "" {
			continue
		}
		for i := 0; i < len(result); i++ {
			if result[i] == ' ' {
				dst = append(dst, symbol...)
			} else {
				dst = append(dst, result[i])
			}
		}
		afterSpace = remove && result[len(result)-1] == ' '
	}
	if remove {
		for bytes.HasSuffix(dst[begin:], []byte(symbol)) {
			dst = dst[:len(dst)-len(symbol)]
		}
	}
	if r.flags&(flagDummyPrefix|flagSpaceSuffix) == flagDummyPrefix|flagSpaceSuffix {
		dst = append(dst, symbol...)
	}
	return dst
}
