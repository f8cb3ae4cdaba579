package memory

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"
)

// tree writes a folder with these files, as its path with a slash at the end.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir() + "/"
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAvailable(t *testing.T) {
	const (
		self   = "proc/self/cgroup"
		status = "proc/self/status"
		info   = "proc/meminfo"
		v1     = "sys/fs/cgroup/memory"
		v2     = "sys/fs/cgroup"
		have   = "VmRSS:\t    9000 kB\nRssAnon:\t    2048 kB\nRssFile:\t 6952 kB\n"
		free   = "MemTotal:  435000 kB\nMemAvailable:  102400 kB\n"
		mb     = 1 << 20
	)
	const machine = "what the machine has free"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Limit
	}{
		{"nothing can be read", nil, Limit{}},
		{"the machine", map[string]string{info: free}, Limit{100 * mb, machine}},
		{"the machine, and what the process has", map[string]string{info: free, status: have}, Limit{102 * mb, machine}},
		{"an old kernel without MemAvailable", map[string]string{info: "MemTotal: 435000 kB\nMemFree: 1 kB\n"}, Limit{}},
		{"nonsense", map[string]string{info: "MemAvailable: many kB\n", self: "x\n0::\n", status: "RssAnon:\n"}, Limit{}},
		{"version 1", map[string]string{info: free, status: have, self: "5:cpu:/\n4:memory:/x\n0::/\n", v1 + "/x/memory.limit_in_bytes": "20971520\n",
			v1 + "/x/memory.stat": "rss 1\ntotal_rss 2500000\n"}, Limit{20 * mb, "the control group /memory/x"}},
		{"version 1, others in it", map[string]string{info: free, status: have, self: "4:memory:/x\n", v1 + "/x/memory.limit_in_bytes": "20971520\n",
			v1 + "/x/memory.stat": "total_cache 90000000\ntotal_rss 7400000\n"}, Limit{15 * mb, "the control group /memory/x"}},
		{"version 1 without limit", map[string]string{info: free, self: "4:memory:/\n", v1 + "/memory.limit_in_bytes": "9223372036854771712\n"}, Limit{100 * mb, machine}},
		{"version 1, a container that sees its group as the root", map[string]string{info: free, self: "4:memory:/docker/abc\n",
			v1 + "/memory.limit_in_bytes": "52428800\n"}, Limit{50 * mb, "the control group /memory"}},
		{"version 2", map[string]string{info: free, self: "0::/a/b\n", v2 + "/a/b/memory.max": "31457280\n", v2 + "/a/b/memory.high": "max\n"},
			Limit{30 * mb, "the control group /a/b"}},
		{"version 2, the group above, others below it", map[string]string{info: free, status: have, self: "0::/a/b\n", v2 + "/a/b/memory.max": "max\n",
			v2 + "/a/memory.max": "31457280\n", v2 + "/a/memory.stat": "anon 12582912\nfile 9\n"}, Limit{20 * mb, "the control group /a"}},
		{"version 2, high", map[string]string{info: free, self: "0::/a\n", v2 + "/a/memory.max": "31457280\n", v2 + "/a/memory.high": "20971520\n"},
			Limit{20 * mb, "the control group /a"}},
		{"version 2 without limit", map[string]string{info: free, self: "0::/a\n", v2 + "/a/memory.max": "max\n"}, Limit{100 * mb, machine}},
		{"version 2, larger than the machine", map[string]string{info: free, self: "0::/a\n", v2 + "/a/memory.max": "315728640\n"}, Limit{100 * mb, machine}},
		{"version 2, full", map[string]string{info: free, self: "0::/a\n", v2 + "/a/memory.max": "0\n"}, Limit{1, "the control group /a"}},
		{"both versions mounted, memory in the first", map[string]string{info: free, self: "4:memory:/x\n0::/y\n",
			v1 + "/x/memory.limit_in_bytes": "20971520\n", v2 + "/unified/y/cgroup.procs": "1\n"}, Limit{20 * mb, "the control group /memory/x"}},
	} {
		if got := availableIn(tree(t, c.files)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestBelow(t *testing.T) {
	small, large := Limit{1, "s"}, Limit{2, "l"}
	for _, c := range [][3]Limit{{small, large, small}, {large, small, small}, {small, {}, small}, {{}, small, small}, {{}, {}, {}}} {
		if got := c[0].Below(c[1]); got != c[2] {
			t.Errorf("%v below %v: %v, want %v", c[0], c[1], got, c[2])
		}
	}
}

// What this machine says is sensible.
func TestHere(t *testing.T) {
	if goruntime.GOOS != "linux" {
		if l := Available(); l != (Limit{}) || Anonymous() != -1 {
			t.Errorf("%+v and %d are known", l, Anonymous())
		}
		return
	}
	if l := Available(); l.Bytes < 1<<20 || l.Of == "" {
		t.Errorf("%+v is available", l)
	}
	if n := Anonymous(); n != -1 && n < 100<<10 { // some emulators do not say
		t.Errorf("this process has %d bytes", n)
	}
}
