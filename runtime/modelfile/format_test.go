package modelfile

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/v1.ei8 and the hexdump in FORMAT.md (never after a release)")

// page is FORMAT.md with the line ends that a checkout may have changed put right.
func page(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// goldenFile is the file at the end of FORMAT.md, as the Writer makes it.
func goldenFile(t *testing.T) []byte {
	w := sample{
		TensorSpec: TensorSpec{"w", I8, N16K4, []int{2, 3}}, data: make([]byte, 256),
		scale: append([]float32{0.5, 0.25}, make([]float32, 14)...), sum: append([]int32{2, 0}, make([]int32, 14)...),
	}
	copy(w.data[0:], []byte{1, 0xfe, 3})
	copy(w.data[4:], []byte{127, 0x81, 0})
	b := sample{TensorSpec: TensorSpec{"b", F32, Rows, []int{2}}, data: make([]byte, 64)}
	copy(b.data, Bytes([]float32{1, -1}))
	meta := &Meta{Name: "example", Family: "knn", Licence: "MIT", Config: json.RawMessage(`{"k":1}`)}
	return image(t, meta, []SectionData{{Kind: SectionTokenizerSource, Data: []byte("words")}}, []sample{w, b})
}

// The page, the frozen file and the Writer agree on every byte.
func TestFormatPageHexdump(t *testing.T) {
	want := goldenFile(t)
	if *update {
		text, _, _ := strings.Cut(page(t), "```\n")
		text += "```\n" + dump(want) + "```\n"
		if err := os.WriteFile("FORMAT.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/v1.ei8", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile("testdata/v1.ei8")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, frozen) {
		t.Errorf("the Writer no longer makes the file of version 1; now:\n%s", dump(want))
	}
	_, block, _ := strings.Cut(page(t), "```\n")
	block, _, _ = strings.Cut(block, "```")
	fromPage, err := undump(block)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fromPage, frozen) {
		t.Errorf("the hexdump in FORMAT.md is not testdata/v1.ei8, which is:\n%s", dump(frozen))
	}

	f, err := openBytes(aligned(fromPage))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := f.Lookup("w")
	b, _ := f.Lookup("b")
	if w == nil || b == nil || len(f.Tensors()) != 2 {
		t.Fatal("the tensors of the example are not w and b")
	}
	if got := fmt.Sprint(w.I8()[:8], w.Scale[:3], w.Sum[:3], w.Shape, b.F32()[:3]); got != "[1 -2 3 0 127 -127 0 0] [0.5 0.25 0] [2 0 0] [2 3] [1 -1 0]" {
		t.Errorf("the example holds %s", got)
	}
	if f.Meta().Name != "example" || string(f.Meta().Config) != `{"k":1}` || string(f.Section(SectionTokenizerSource)) != "words" {
		t.Errorf("metadata of the example: %+v", f.Meta())
	}
}

// Files of every version that was released open, and stay in testdata for ever.
func TestReleasedFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/v*.ei8")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			t.Error(err)
			continue
		}
		readAll(f)
		f.Close()
	}
}

// dump is like `hexdump -C`: repeated lines are one asterisk.
func dump(b []byte) string {
	var out strings.Builder
	var last []byte
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		if bytes.Equal(line, last) {
			if !strings.HasSuffix(out.String(), "*\n") {
				out.WriteString("*\n")
			}
			continue
		}
		last = line
		text := bytes.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, slices.Clone(line))
		fmt.Fprintf(&out, "%06x  % x  |%s|\n", at, line, text)
	}
	fmt.Fprintf(&out, "%06x\n", len(b))
	return out.String()
}

// undump is the inverse of dump.
func undump(text string) ([]byte, error) {
	var b, last []byte
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line == "*" {
			continue
		}
		var at int
		if _, err := fmt.Sscanf(line, "%x", &at); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		for len(b) < at { // the asterisk before this line
			b = append(b, last...)
		}
		if len(line) < 8 {
			break
		}
		digits, _, _ := strings.Cut(line[8:], "|")
		var err error
		if last, err = hex.DecodeString(strings.ReplaceAll(digits, " ", "")); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		b = append(b, last...)
	}
	return b, nil
}

// Each rule of the page has a case in TestRules, and the other way round.
func TestFormatPageRules(t *testing.T) {
	var onPage []string
	_, text, _ := strings.Cut(page(t), "## Rules")
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, "MUST") || !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(line, "|")
		onPage = append(onPage, strings.Trim(cells[len(cells)-2], " `"))
	}
	for _, reason := range onPage {
		if !slices.ContainsFunc(ruleCases, func(c ruleCase) bool { return c.reason == reason }) {
			t.Errorf("no case breaks the rule with the reason %q", reason)
		}
	}
	for _, c := range ruleCases {
		if !slices.Contains(onPage, c.reason) {
			t.Errorf("the reason %q is not in FORMAT.md", c.reason)
		}
	}
	if len(onPage) < 50 {
		t.Errorf("only %d rules were found in FORMAT.md", len(onPage))
	}
}
