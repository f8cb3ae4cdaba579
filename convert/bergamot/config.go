package bergamot

import (
	"fmt"
	"strconv"
	"strings"
)

// Config is the flat YAML that Marian writes: keys with a scalar, or a list of scalars.
type Config struct {
	fields map[string][]string
}

// parse reads the lines, or says which is wrong and why. Marian's emitter writes "key: value", and "key:" with "  - value" lines or,
// for an empty list, "  []" below; flow lists behind the key are read too. Values lose their quotes.
func (c *Config) parse(text string) (line int, reason string) {
	c.fields = map[string][]string{}
	list := "" // the key whose items follow
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimRight(l, " \r")
		if l == "" || l == "---" || strings.HasPrefix(strings.TrimSpace(l), "#") {
			continue
		}
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), "- "); ok {
			if list == "" {
				return i + 1, fmt.Sprintf("is an item of no list: %.60q", l)
			}
			c.fields[list] = append(c.fields[list], unquote(v))
			continue
		}
		if list != "" && len(c.fields[list]) == 0 && strings.TrimSpace(l) == "[]" {
			list = ""
			continue
		}
		key, value, ok := strings.Cut(l, ":")
		if !ok || key == "" || strings.ContainsAny(key, " \t\"'{[") || value != "" && value[0] != ' ' {
			return i + 1, fmt.Sprintf("is not \"key: value\": %.60q", l)
		}
		if _, twice := c.fields[key]; twice {
			return i + 1, fmt.Sprintf("gives %q again", key)
		}
		list = ""
		switch value = strings.TrimSpace(value); {
		case value == "":
			list = key
			c.fields[key] = []string{}
		case value[0] == '[' && strings.HasSuffix(value, "]"):
			c.fields[key] = []string{}
			for _, v := range strings.Split(value[1:len(value)-1], ",") {
				if v = strings.TrimSpace(v); v != "" {
					c.fields[key] = append(c.fields[key], unquote(v))
				}
			}
		default:
			c.fields[key] = []string{unquote(value)}
		}
	}
	return 0, ""
}

func unquote(v string) string {
	v = strings.TrimSpace(v)
	if n := len(v); n > 1 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
		return v[1 : n-1]
	}
	return v
}

// String gives a scalar, fallback where the key lacks.
func (c *Config) String(key, fallback string) string {
	if v, ok := c.fields[key]; ok && len(v) == 1 {
		return v[0]
	}
	return fallback
}

// List gives a list, or a scalar as a list of one.
func (c *Config) List(key string) []string { return c.fields[key] }

// Int gives a whole number, fallback where the key lacks. The error says what is there instead.
func (c *Config) Int(key string, fallback int) (int, error) {
	v, ok := c.fields[key]
	if !ok {
		return fallback, nil
	}
	if len(v) == 1 {
		if n, err := strconv.Atoi(v[0]); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s is %q, must be a whole number", key, strings.Join(v, ", "))
}

// Bool gives a truth value, fallback where the key lacks.
func (c *Config) Bool(key string, fallback bool) (bool, error) {
	v, ok := c.fields[key]
	if !ok {
		return fallback, nil
	}
	switch strings.ToLower(strings.Join(v, ", ")) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%s is %q, must be true or false", key, strings.Join(v, ", "))
}
