package kernels

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestNeonWords evaluates every macro of neon_arm64.h and compares it with the committed table of words and their
// disassembly (testdata/neon_words.txt: macro, arguments | word | mnemonic), which check_words.sh holds against a disassembler.
func TestNeonWords(t *testing.T) {
	header, err := os.ReadFile("neon_arm64.h")
	if err != nil {
		t.Fatal(err)
	}
	type macro struct {
		args []string
		expr string
	}
	macros := map[string]macro{}
	for _, m := range regexp.MustCompile(`(?m)^#define (\w+)\(([^)]*)\)\s+WORD \$(\(.*\))$`).FindAllStringSubmatch(string(header), -1) {
		macros[m[1]] = macro{strings.Split(strings.ReplaceAll(m[2], " ", ""), ","), m[3]}
	}
	if n := strings.Count(string(header), "WORD $"); n != len(macros) || n == 0 {
		t.Fatalf("%d lines with WORD, %d of them understood", n, len(macros))
	}
	table, err := os.ReadFile("testdata/neon_words.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "|")
		if len(f) != 3 {
			t.Fatalf("line %d: %q", i+1, line)
		}
		call := strings.Fields(f[0])
		m, ok := macros[call[0]]
		if !ok || len(call)-1 != len(m.args) {
			t.Errorf("line %d: no macro %s of %d arguments", i+1, call[0], len(call)-1)
			continue
		}
		expr := m.expr
		for j, a := range m.args {
			expr = regexp.MustCompile(`\b`+a+`\b`).ReplaceAllString(expr, call[j+1])
		}
		if got, want := evaluate(t, expr), strings.TrimSpace(f[1]); got != want {
			t.Errorf("line %d: %s is %s, the table says %s (%s)", i+1, f[0], got, want, strings.TrimSpace(f[2]))
		}
		if mnemonic, _, _ := strings.Cut(strings.ToLower(call[0]), "_"); !strings.HasPrefix(strings.TrimSpace(f[2]), mnemonic+" ") {
			t.Errorf("line %d: %s disassembles as %q", i+1, call[0], f[2])
		}
		seen[call[0]]++
	}
	for name := range macros {
		if seen[name] < 2 {
			t.Errorf("%s has %d lines in the table, wants 2 with different registers", name, seen[name])
		}
	}
}

func evaluate(t *testing.T, expr string) string {
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	n, _ := constant.Uint64Val(constant.ToInt(v.Value))
	return fmt.Sprintf("%08x", n)
}
