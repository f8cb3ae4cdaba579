package kernels

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain closes the ledger: a run of all tests must have compared every operation of every set that this CPU has.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" {
		for _, s := range Available() {
			for _, op := range append(operations(), "Linear") {
				if _, ok := exercised.Load(s.Name + " " + op); !ok {
					fmt.Fprintf(os.Stderr, "no test has exercised %s of %s\n", op, s.Name)
					code = 1
				}
			}
		}
	}
	os.Exit(code)
}
