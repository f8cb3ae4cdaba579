package modelfile

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// mapFlags are the VmFlags that the system has for the map of f at some byte.
func mapFlags(t *testing.T, f *File, at int) []string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	in, address := false, address(f.data[at:])
	for line := range strings.Lines(string(maps)) {
		var start, end uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &start, &end); n == 2 {
			in = start <= address && address < end
		} else if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && in {
			return strings.Fields(flags)
		}
	}
	t.Skip("the system does not tell flags of maps")
	return nil
}

// Where there is room a file's pages may be large; once there is not, no more of them.
func TestLargePages(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("pages are large on amd64 alone")
	}
	if os.Getenv("EDGE_INFER_TEST_EXEC") != "" {
		t.Skip("an emulator keeps advice about pages to itself")
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage/enabled"); err != nil {
		t.Skip("the system has no large pages")
	}
	const pieces = 32 // 8 MB: some of it is whole pages of 2 MB wherever it lies
	f, _ := narrowed(t, pieces, 0)
	if flags := mapFlags(t, f, pieces/2*WindowPiece); !slices.Contains(flags, "nh") {
		t.Errorf("a narrowed file's flags are %v, want nh among them", flags)
	}
	wide, err := Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	if flags := mapFlags(t, wide, pieces/2*WindowPiece); !slices.Contains(flags, "hg") {
		t.Errorf("flags of a file for which there is room are %v, want hg among them", flags)
	}
}
