package text

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Going through JSON that is known to be valid, in place: encoding/json would make a tree of it, many times the size of its smallest
// entries. What is of another kind than expected is the error of encoding/json, which names the field when it comes from UnmarshalJSON.

// jsonRaw is a part of the file where it lies, and valid as long as that: json.RawMessage copies.
type jsonRaw []byte

func (r *jsonRaw) UnmarshalJSON(raw []byte) error {
	*r = raw
	return nil
}

// given says whether the part is there and not null.
func (r jsonRaw) given() bool { return len(r) > 0 && string(r) != "null" }

// jsonKind is the kind of a value by its first byte, as encoding/json calls it.
func jsonKind(value string) string {
	switch value[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}

func otherKind(value string) error { return &json.UnmarshalTypeError{Value: jsonKind(value)} }

// jsonSpace is where the white space, commas and colons from at on end.
func jsonSpace(text string, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r' || text[at] == ',' || text[at] == ':') {
		at++
	}
	return at
}

// jsonEnd is the end of the value that begins at at.
func jsonEnd(text string, at int) int {
	for depth := 0; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case '"':
			for at++; text[at] != '"'; at++ {
				if text[at] == '\\' {
					at++
				}
			}
		default:
			if depth > 0 {
				continue
			}
			if n := strings.IndexAny(text[at:], ",]}: \n\t\r"); n >= 0 {
				return at + n
			}
			return len(text)
		}
		if depth == 0 {
			return at + 1
		}
	}
	return len(text)
}

// eachElement calls f for the elements of an array.
func eachElement(array string, f func(element string) error) error {
	if array[0] != '[' {
		return otherKind(array)
	}
	for at := jsonSpace(array, 1); array[at] != ']'; {
		end := jsonEnd(array, at)
		if err := f(array[at:end]); err != nil {
			return err
		}
		at = jsonSpace(array, end)
	}
	return nil
}

// eachMember calls f for the names, in quotes, and the values of an object.
func eachMember(object string, f func(name, value string) error) error {
	if object[0] != '{' {
		return otherKind(object)
	}
	for at := jsonSpace(object, 1); object[at] != '}'; {
		end := jsonEnd(object, at)
		start := jsonSpace(object, end)
		stop := jsonEnd(object, start)
		if err := f(object[at:end], object[start:stop]); err != nil {
			return err
		}
		at = jsonSpace(object, stop)
	}
	return nil
}

// jsonCount is how many elements an array has, or members an object; 0 of anything else.
func jsonCount(value string) (n int) {
	_ = eachElement(value, func(string) error { n++; return nil })
	_ = eachMember(value, func(string, string) error { n++; return nil })
	return n
}

// jsonString is the text of a string: a part of the value where it holds no escapes. As in encoding/json null is empty, and what is no
// character is U+FFFD.
func jsonString(value string) (string, error) {
	switch {
	case value == "null":
		return "", nil
	case value[0] != '"':
		return "", otherKind(value)
	}
	value = value[1 : len(value)-1]
	if strings.IndexByte(value, '\\') < 0 && utf8.ValidString(value) {
		return value, nil
	}
	text := make([]byte, 0, len(value))
	for i := 0; i < len(value); {
		if value[i] != '\\' {
			r, n := utf8.DecodeRuneInString(value[i:])
			text, i = utf8.AppendRune(text, r), i+n
			continue
		}
		c := value[i+1]
		i += 2
		if c == 'u' {
			r := hexRune(value[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				second := rune(utf8.RuneError)
				if strings.HasPrefix(value[i:], `\u`) {
					second = hexRune(value[i+2:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					i += 6
				}
			}
			text = utf8.AppendRune(text, r)
		} else if at := strings.IndexByte("bfnrt", c); at >= 0 {
			text = append(text, "\b\f\n\r\t"[at])
		} else {
			text = append(text, c)
		}
	}
	return string(text), nil
}

// hexRune reads the four digits behind \u.
func hexRune(digits string) rune {
	n, err := strconv.ParseUint(digits[:4], 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// jsonInt is a whole number that an id may have.
func jsonInt(value string) (int32, error) {
	if jsonKind(value) != "number" {
		return 0, otherKind(value)
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, &json.UnmarshalTypeError{Value: "number " + value}
	}
	return int32(n), nil
}

// jsonFloat is a number that a score may have.
func jsonFloat(value string) (float32, error) {
	if jsonKind(value) != "number" {
		return 0, otherKind(value)
	}
	x, err := strconv.ParseFloat(value, 32)
	if err != nil {
		return 0, &json.UnmarshalTypeError{Value: "number " + value}
	}
	return float32(x), nil
}
