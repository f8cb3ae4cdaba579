package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"
)

const againJSON = "download or write it again"

// DecodeJSON is json.Unmarshal of a whole file, with errors that say where in the file something else was expected. A byte order mark
// is passed over; what is not UTF-8 is an error, where encoding/json would put U+FFFD.
func DecodeJSON(path string, raw []byte, into any) error {
	fail := func(at int64, format string, args ...any) error {
		return Errorf(path, "", at, againJSON, format, args...)
	}
	if at := invalidUTF8(raw); at >= 0 {
		return fail(int64(at), "the JSON is not UTF-8")
	}
	text := bytes.TrimPrefix(raw, []byte("\uFEFF"))
	mark := int64(len(raw) - len(text))
	err := json.Unmarshal(text, into)
	var syntax *json.SyntaxError
	var other *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input":
		return fail(int64(len(raw)), "the JSON ends early")
	case errors.As(err, &syntax):
		return fail(mark+max(syntax.Offset-1, 0), "this is not JSON: %v", syntax)
	case errors.As(err, &other):
		what := strings.TrimPrefix(other.Value, "number ")
		if what == other.Value {
			what = article(what)
		}
		field := ""
		if other.Field != "" {
			field = other.Field + " is "
		}
		return fail(mark+other.Offset, "%s%s where %s was expected", field, what, kindOf(other.Type))
	}
	return &Error{File: path, Offset: -1, Reason: "the JSON is not what was expected", Err: err, Do: againJSON}
}

// invalidUTF8 is where raw stops to be UTF-8, -1 if it does not.
func invalidUTF8(raw []byte) int {
	if utf8.Valid(raw) {
		return -1
	}
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// article puts one before what encoding/json calls a value: string, object, array, bool.
func article(what string) string {
	switch what {
	case "object", "array":
		return "an " + what
	case "bool":
		return "true or false"
	}
	return "a " + what
}

// kindOf says in words what JSON a Go type is read from.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Int32, reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "a number"
}
