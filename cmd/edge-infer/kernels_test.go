package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/kernels"
)

func TestKernels(t *testing.T) {
	best, err := kernels.Select("")
	if err != nil {
		t.Fatal(err)
	}
	for forced, want := range map[string]string{"": best.Name, "generic": "generic"} {
		env := []string{}
		if forced != "" {
			env = append(env, kernelsVariable+"="+forced)
		}
		r := finish(t, command(t, env, "kernels"), nil)
		r.expect(t, exitOK)
		chosen := ""
		for _, l := range strings.Split(r.stdout, "\n") {
			if strings.Contains(l, "<- chosen") {
				chosen = strings.Fields(l)[0]
			}
		}
		if chosen != want {
			t.Errorf("%q chose %q, want %q:\n%s", forced, chosen, want, r.stdout)
		}

		r = finish(t, command(t, env, "kernels", "--json"), nil)
		r.expect(t, exitOK)
		var o struct {
			Chosen string
			Sets   []struct {
				Name   string
				Usable bool
			}
			Board struct{ Cores int }
		}
		if err := json.Unmarshal([]byte(r.stdout), &o); err != nil {
			t.Fatal(err)
		}
		if o.Chosen != want || len(o.Sets) != len(kernels.All()) || o.Sets[0].Name != "generic" || o.Board.Cores < 1 {
			t.Errorf("%+v", o)
		}
	}
	r := finish(t, command(t, []string{kernelsVariable + "=quantum"}, "kernels"), nil)
	r.expect(t, exitUse, `"quantum"`, "generic")
	if strings.Contains(r.stdout, "chosen") || !strings.Contains(r.stdout, "generic") {
		t.Errorf("printed:\n%s", r.stdout)
	}
}

func TestSlowBuild(t *testing.T) {
	for _, c := range []struct {
		goarch, machine string
		want            bool
	}{
		{"arm", "aarch64", true}, {"arm", "armv8l", true}, {"arm", "armv7l", false}, {"arm", "armv6l", false},
		{"arm64", "aarch64", false}, {"amd64", "x86_64", false}, {"arm", "", false},
	} {
		if got := slowBuild(c.goarch, c.machine); (got != "") != c.want {
			t.Errorf("%s on %s: %q", c.goarch, c.machine, got)
		}
	}
}

func TestVersion(t *testing.T) {
	r := runProgram(t, "", "version")
	r.expect(t, exitOK)
	if !strings.HasPrefix(r.stdout, "edge-infer ") || !strings.Contains(r.stdout, "model") {
		t.Errorf("printed %q", r.stdout)
	}
	if strings.Count(r.stdout, "\n") > 5 {
		t.Errorf("the short form is long: %q", r.stdout)
	}
	r = runProgram(t, "", "version", "--licences")
	r.expect(t, exitOK)
	for _, want := range []string{
		"github.com/spf13/cobra", "github.com/klauspost/cpuid/v2", "Apache License", "Permission is hereby granted", "Redistribution and use",
		"The Go standard library",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the licences do not say %q", want)
		}
	}
}
