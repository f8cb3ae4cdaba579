package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/models"
)

func TestInspect(t *testing.T) {
	m := testModel(t)
	r := runProgram(t, "", "inspect", m)
	r.expect(t, exitOK)
	for _, want := range []string{
		"transformer", "ar to en", "MIT", "CTranslate2's tests", "tokens", `"encoder_layers"`, "encoder.layers.0.self.qkv", "n16k4",
		"key-value caches", "mapped: shared", "META",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(r.stdout)
	}

	r = runProgram(t, "", "inspect", "--json", m)
	r.expect(t, exitOK)
	var o struct {
		File       string
		Size       int64
		Parameters int64
		Meta       struct {
			Family, Licence string
			Languages       struct{ From, To string }
			Config          struct {
				Dim int `json:"dim"`
			}
		}
		Sections   []struct{ Offset, Size int64 }
		Tokenizers []struct{ Kind string }
		Tensors    []struct {
			Name  string
			Bytes int64
		}
		Plan struct {
			Parts             []struct{ Bytes int64 }
			Anonymous, Mapped int64
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &o); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(m)
	if err != nil {
		t.Fatal(err)
	}
	if o.File != m || o.Size != info.Size() || o.Plan.Mapped != o.Size || o.Meta.Family != "transformer" || o.Meta.Config.Dim == 0 {
		t.Errorf("%+v", o)
	}
	// The parts add up: nothing is counted twice or left out.
	var parts, tensors, end int64
	for _, p := range o.Plan.Parts {
		parts += p.Bytes
	}
	for _, x := range o.Tensors {
		tensors += x.Bytes
	}
	for _, s := range o.Sections {
		end = max(end, s.Offset+s.Size)
	}
	if parts != o.Plan.Anonymous || end != o.Size || tensors > o.Size || tensors < o.Size/2 || len(o.Tokenizers) == 0 {
		t.Errorf("plan %d of %d, sections to %d of %d, tensors %d", parts, o.Plan.Anonymous, end, o.Size, tensors)
	}
}

// The model inside the program, or what is said where there is none.
func TestEmbeddedModel(t *testing.T) {
	if len(models.Names()) == 0 {
		runProgram(t, "", "inspect").expect(t, exitUse, "built without a model")
		runProgram(t, "", "translate", "x").expect(t, exitUse, "-m FILE")
		return
	}
	r := runProgram(t, "", "inspect")
	r.expect(t, exitOK)
	if !strings.Contains(r.stdout, "zh to en") {
		t.Errorf("the default model: %.500s", r.stdout)
	}
	for _, args := range [][]string{{"inspect"}, {"version", "--licences"}} {
		r := runProgram(t, "", args...)
		r.expect(t, exitOK)
		for _, want := range []string{"CC-BY-SA-4.0", "CC-CEDICT, cc-cedict.org, CC-BY-SA 3.0", "Tatoeba, tatoeba.org, CC-BY 2.0 FR"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("%v does not say %q", args, want)
			}
		}
	}
	// The sentence on the first page, by the model's name too, and from another folder than the sources'.
	for _, args := range [][]string{{"translate", "我正在吃饭"}, {"translate", "-m", models.Default, "--from", "zh", "--to", "en", "我正在吃饭"}} {
		cmd := command(t, nil, args...)
		cmd.Dir = t.TempDir()
		r := finish(t, cmd, nil)
		r.expect(t, exitOK)
		if r.stdout != "I am eating.\n" && r.stdout != "I'm eating.\n" {
			t.Errorf("我正在吃饭 is %q", r.stdout)
		}
	}
	runProgram(t, "", "translate", "--from", "fr", "--to", "de", "x").
		expect(t, exitUse, "this model translates zh to en, not fr to de")
}

func TestConvert(t *testing.T) {
	m, dir := testModel(t), t.TempDir()
	out := filepath.Join(dir, "x.ei8")
	r := runProgram(t, "", "convert", trained, "-o", out, "--name", "names", "--attribution", "somebody")
	r.expect(t, exitOK)
	for _, want := range []string{"encoder.layers.0.self.qkv", "worst", "mean", "total", "parameters"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the table does not say %q: %.900s", want, r.stdout)
		}
	}
	if strings.Contains(r.stderr, "\r") {
		t.Error("a progress bar was drawn on no terminal")
	}
	inspected := runProgram(t, "", "inspect", out).stdout
	if !strings.Contains(inspected, "names") || !strings.Contains(inspected, "somebody") {
		t.Errorf("inspect: %.500s", inspected)
	}

	before, _ := os.ReadFile(out)
	runProgram(t, "", "convert", trained, "-o", out).expect(t, exitUse, "--force")
	if after, _ := os.ReadFile(out); string(after) != string(before) {
		t.Error("it was replaced without --force")
	}
	runProgram(t, "", "convert", trained, "-o", out, "--force").expect(t, exitOK)

	empty := t.TempDir()
	for _, c := range []struct {
		src, dst string
		code     int
		word     string
	}{
		{filepath.Join(dir, "none"), filepath.Join(dir, "y.ei8"), exitModel, "none"},
		{empty, filepath.Join(dir, "y.ei8"), exitModel, "config.json"},
		{m, filepath.Join(dir, "y.ei8"), exitModel, "already"},
		{trained, filepath.Join(dir, "no", "folder", "y.ei8"), exitIO, "no"},
		{trained, dir, exitIO, "folder"},
		{trained, filepath.Join(out, "y.ei8"), exitIO, "x.ei8"},
	} {
		runProgram(t, "", "convert", c.src, "-o", c.dst).expect(t, c.code, "edge-infer: ", c.word)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600) == nil {
		t.Skip("not run: this user may write anywhere (root)")
	}
	runProgram(t, "", "convert", trained, "-o", filepath.Join(dir, "x.ei8")).expect(t, exitIO, "permission")
	runProgram(t, names, "translate", "-m", testModel(t), "-o", filepath.Join(dir, "x.txt")).expect(t, exitIO, "permission")
}
