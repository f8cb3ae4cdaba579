package kernels

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// ledger counts, by set and operation, what was compared with generic: cases of TestCases, and tests of one operation.
var ledger struct {
	sync.Mutex
	cases map[[2]string]int
	tests map[[2]string]bool
}

// counted notes one case of TestCases.
func counted(set, op string) {
	ledger.Lock()
	defer ledger.Unlock()
	if ledger.cases == nil {
		ledger.cases = map[[2]string]int{}
	}
	ledger.cases[[2]string{set, op}]++
}

// tested notes that a test of this operation alone ran.
func tested(set, op string) {
	ledger.Lock()
	defer ledger.Unlock()
	if ledger.tests == nil {
		ledger.tests = map[[2]string]bool{}
	}
	ledger.tests[[2]string{set, op}] = true
}

// TestMain closes the ledger: a run of all tests must have compared every operation of every set that this CPU has, in enough cases.
// EDGE_INFER_TEST_LEDGER names a file to append what ran to, so that several runs (this CPU's, and those under emulation) can be
// held against the sets there are: a line "set NAME" for each that the build knows, "ran NAME CASES" for each that ran.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.count").Value.String() == "1" {
		if err := closeLedger(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func closeLedger() error {
	var lines strings.Builder
	for _, i := range All() {
		fmt.Fprintf(&lines, "set %s\n", i.Name)
	}
	for _, s := range Available() {
		total := 0
		for _, op := range append(operations(), "Linear", "Reach") {
			key := [2]string{s.Name, op}
			if !ledger.tests[key] || ledger.cases[key] == 0 {
				return fmt.Errorf("no test has exercised %s of %s", op, s.Name)
			}
		}
		for key, n := range ledger.cases {
			if key[0] == s.Name {
				total += n
			}
		}
		if total < wantCases() {
			return fmt.Errorf("%s was compared in %d cases, not %d", s.Name, total, wantCases())
		}
		fmt.Fprintf(&lines, "ran %s %d\n", s.Name, total)
	}
	path := os.Getenv("EDGE_INFER_TEST_LEDGER")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(lines.String()); err != nil {
		return err
	}
	return f.Close()
}
