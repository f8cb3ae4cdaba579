package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/edge-infer/edge-infer"

// mayImport holds, for each package of ours, which others of ours it may import: section 3 of the design. A key that ends
// in /... stands for all packages below, unless one has a key of its own.
var mayImport = map[string][]string{
	"cmd/...":           {"convert/...", "quant", "runtime", "runtime/modelfile", "runtime/text", "runtime/threads", "runtime/memory", "runtime/cgroup", "runtime/models", "kernels", "boards"},
	"convert/...":       {"convert/...", "runtime", "runtime/modelfile", "runtime/text", "quant"},
	"quant":             {"kernels"},
	"runtime":           {"runtime/modelfile", "runtime/text", "runtime/threads", "runtime/memory", "quant", "kernels"},
	"runtime/modelfile": {"runtime/memory"},
	"runtime/text":      {},
	"runtime/threads":   {},
	"runtime/memory":    {"runtime/cgroup"},
	"runtime/cgroup":    {},
	"runtime/models":    {},
	"kernels":           {},
	"boards":            {},
}

// devicePath is what a board needs of others to run a model; the rest of a program's libraries belongs to cmd and convert.
var devicePath = []string{"github.com/klauspost/cpuid/v2", "golang.org/x/sys"}

// goList runs go list for a platform. Without a go tool, or under emulation, there is nothing to ask.
func goList(t *testing.T, platform string, args ...string) []string {
	t.Helper()
	if os.Getenv("EDGE_INFER_TEST_EXEC") != "" {
		t.Skip("not run under emulation: the sources are the same there")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("not run: it asks the go tool, and there is none on PATH")
	}
	if _, err := os.Stat("../../go.mod"); err != nil {
		t.Skip("not run: the sources are not here")
	}
	goos, goarch, _ := strings.Cut(platform, "/")
	// -e: a fresh clone has downloaded the modules of its own platform only, and this asks about others.
	cmd := exec.Command(tool, append([]string{"list", "-e", "-deps"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOPROXY=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportRules(t *testing.T) {
	for _, platform := range []string{"linux/amd64", "linux/arm64", "linux/arm", "darwin/arm64", "windows/amd64"} {
		seen := 0
		for _, row := range goList(t, platform, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
			fields := strings.Fields(row)
			from, ours := strings.CutPrefix(fields[0], module+"/")
			if !ours {
				continue
			}
			seen++
			for _, to := range fields[1:] {
				if to, ours := strings.CutPrefix(to, module+"/"); ours && !allowed(from, to) {
					t.Errorf("%s: %s imports %s", platform, from, to)
				}
			}
		}
		if seen < len(mayImport) {
			t.Errorf("%s: go list named %d packages of ours, the rules know %d", platform, seen, len(mayImport))
		}
	}
}

// allowed looks the rule up: that of the package, else of the nearest folder above it. No rule means no import.
func allowed(from, to string) bool {
	for key := from; ; key = path.Dir(strings.TrimSuffix(key, "/...")) + "/..." {
		if rule, ok := mayImport[key]; ok {
			return slices.ContainsFunc(rule, func(r string) bool { return matches(r, to) })
		}
		if rule, ok := mayImport[key+"/..."]; ok {
			return slices.ContainsFunc(rule, func(r string) bool { return matches(r, to) })
		}
		if key == "./..." {
			return false
		}
	}
}

func matches(pattern, name string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == below || strings.HasPrefix(name, below+"/")
	}
	return pattern == name
}

// The rule of the rules: what must not be, is not.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"cmd/edge-infer", "runtime/models", true},
		{"convert/safetensors", "convert/checkpoint", true},
		{"convert", "runtime", true},
		{"convert/reference", "kernels", false},
		{"runtime", "convert", false},
		{"runtime", "runtime/models", false},
		{"runtime/modelfile", "runtime", false},
		{"runtime/text", "runtime/modelfile", false},
		{"kernels", "boards", false},
		{"boards", "kernels", false},
		{"quant", "kernels", true},
		{"kernels/asm", "quant", false},
		{"convert", "cmd/edge-infer", false},
		{"elsewhere", "kernels", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// A program that uses the runtime as a library carries the CPU's description and the system calls, no network, no models.
func TestDevicePath(t *testing.T) {
	for _, row := range goList(t, "linux/arm64", "-f", `{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}`, "./runtime") {
		name, mod, _ := strings.Cut(row, " ")
		if mod != "" && mod != module && !slices.Contains(devicePath, mod) {
			t.Errorf("the runtime needs %s", name)
		}
		if name == "net" || strings.HasPrefix(name, "net/") || name == "os/exec" {
			t.Errorf("the runtime imports %s", name)
		}
	}
}

// moduleOf names a package's module; go list knows none for a package that was not downloaded, which then speaks for itself.
const moduleOf = `{{if .Module}}{{.Module.Path}}{{else if not .Standard}}{{.ImportPath}}{{end}}`

var updateLicences = flag.Bool("update", false, "pack licences/ into licences.gz")

// Every module that the program is linked with has its licence in the program, and no other has.
func TestLicences(t *testing.T) {
	modules := []string{"go"}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "linux/arm", "darwin/arm64", "windows/amd64"} {
		for _, mod := range goList(t, platform, "-f", moduleOf, "./cmd/edge-infer") {
			if mod != "" && mod != module {
				modules = append(modules, mod)
			}
		}
	}
	slices.Sort(modules)
	modules = slices.Compact(modules)
	files, err := os.ReadDir("licences")
	if err != nil {
		t.Fatal(err)
	}
	have, texts := []string{}, bytes.Buffer{}
	for _, f := range files {
		text, err := os.ReadFile("licences/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, strings.TrimSuffix(f.Name(), ".txt"))
		name := strings.ReplaceAll(have[len(have)-1], "_", "/")
		if name == "go" {
			name = "The Go standard library and runtime"
		}
		fmt.Fprintf(&texts, "\n%s\n%s\n\n%s\n", name, strings.Repeat("-", len(name)), bytes.TrimSpace(text))
	}
	if *updateLicences {
		packed := bytes.Buffer{}
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		w.Write(texts.Bytes())
		w.Close()
		if err := os.WriteFile("licences.gz", packed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if packed, err := unpackLicences(); err != nil || !bytes.Equal(packed, texts.Bytes()) {
		t.Errorf("licences.gz is not what licences/ holds (%v): go test ./cmd/edge-infer -run TestLicences -update", err)
	}
	for _, mod := range modules {
		name := strings.ReplaceAll(mod, "/", "_")
		if i := slices.Index(have, name); i >= 0 {
			have = slices.Delete(have, i, i+1)
		} else {
			t.Errorf("licences/%s.txt is missing", name)
		}
	}
	if len(have) > 0 {
		t.Errorf("licences of modules that are not linked: %v", have)
	}
}

func TestTopLevel(t *testing.T) {
	want := []string{
		".ci", ".gitignore", "LICENSE", "README.md", "boards", "cmd", "convert", "go.mod", "go.sum", "kernels", "quant", "runtime",
	}
	entries, err := os.ReadDir("../..")
	if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "go.mod" }) {
		t.Skip("not run: the sources are not here")
	}
	ignored, _ := os.ReadFile("../../.gitignore") // build results, which a working tree may hold
	got := []string{}
	for _, e := range entries {
		rule := "/" + e.Name()
		if e.IsDir() {
			rule += "/"
		}
		if e.Name() != ".git" && !slices.Contains(strings.Fields(string(ignored)), rule) {
			got = append(got, e.Name())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the top level holds %v, must be %v", got, want)
	}
}
