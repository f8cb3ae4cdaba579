package main

import (
	"encoding/json"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
)

// --memory that is no size is wrong use; too little memory is refused, with what would fit.
func TestMemoryFlag(t *testing.T) {
	needModels(t)
	m := testModel(t)
	for _, args := range []string{"translate -m " + m + " ي", "complete x", "classify 5,3,1,1", "inspect --plan " + m} {
		with := func(memory string) result {
			return runProgram(t, "", append(strings.Fields(args), "--memory", memory)...)
		}
		with("lots").expect(t, exitUse, `"lots" is not a size`, "64M")
		with("1K").expect(t, exitMemory, "the limit that was given is 1 KB", "nothing smaller fits")
		if testing.Short() {
			break
		}
		for _, bad := range []string{"-5", "0", "1T", "99999999999G", "M", " "} {
			with(bad).expect(t, exitUse, "is not a size")
		}
		with("64M").expect(t, exitOK)
	}
	runProgram(t, "", "run", m, "--memory", "lots").expect(t, exitUse, "is not a size")
}

// A batch that does not fit becomes smaller by itself, and the answers stay; a length that does not fit is refused with the one that would.
func TestMemoryShapes(t *testing.T) {
	m := testModel(t)
	plan := func(flags ...string) (p struct {
		Anonymous, Limit int64
		LimitOf          string `json:"limit_of"`
		Mapped           int64
		MappedParts      []struct{ Name string } `json:"mapped_parts"`
	}, r result) {
		r = runProgram(t, "", append([]string{"inspect", "--plan", "--json", m}, flags...)...)
		if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
			t.Fatal(err, r.stderr)
		}
		return p, r
	}
	three, _ := plan("--batch", "3")
	limit := fmt.Sprint(three.Anonymous + 4<<20)
	all, r := plan("--batch", "8", "--memory", limit)
	r.expect(t, exitMemory, "a batch of 3 fits")
	if all.Anonymous <= three.Anonymous || fmt.Sprint(all.Limit) != limit || all.LimitOf != "the limit that was given" || len(all.MappedParts) < 3 {
		t.Errorf("%+v", all)
	}
	r = runProgram(t, names, "translate", "-m", m, "--tokens", "--threads", "1", "--batch", "8", "--memory", limit)
	if r.expect(t, exitOK, "going on with a batch of 3"); r.stdout != namesLatin {
		t.Errorf("%q", r.stdout)
	}
	short, _ := plan("--max-source", "60", "--max-target", "60", "--beam", "2")
	limit = fmt.Sprint(short.Anonymous + 4<<20)
	r = runProgram(t, names, "translate", "-m", m, "--tokens", "--threads", "1", "--beam", "2", "--memory", limit)
	r.expect(t, exitMemory, "tokens a sentence fit: --max-source 6", " --max-length 6") // 60, or as many as its blocks of 16 hold
	r = runProgram(t, names, "translate", "-m", m, "--tokens", "--threads", "1", "--beam", "2", "--memory", limit, "--max-source", "60", "--max-length", "60")
	if r.expect(t, exitOK); strings.Count(r.stdout, "\n") != 3 {
		t.Errorf("%q", r.stdout)
	}
}

// inspect --plan answers for every family, and refuses what cannot be planned.
func TestInspectPlan(t *testing.T) {
	needModels(t)
	for model, want := range map[string][]string{
		"zh-en": {"weights", "tokenizer", "key-value caches", "Go runtime", "mapped: shared, can be evicted", "anonymous: its own"},
		"lstm":  {"weights", "tokenizer", "state", "sequences, 2 at a time"},
		"iris":  {"weights", "scan", "queries, 2 at a time"},
	} {
		r := runProgram(t, "", "inspect", "--plan", model, "--batch", "2", "--threads", "2")
		r.expect(t, exitOK)
		if goruntime.GOOS == "linux" {
			want = append(want, "it fits")
		}
		for _, w := range want {
			if !strings.Contains(r.stdout, w) {
				t.Errorf("%s: it does not say %q\n%s", model, w, r.stdout)
			}
		}
	}
	for flag, want := range map[string]string{
		"--batch 0": "--batch is 0", "--threads 10000": "threads is 10000", "--threads 0": "--threads is 0", "--max-source 1000000": "maximum source length",
		"--beam 1000": "beam is 1000", "--max-target -1": "--max-target is -1",
		"--steps 5": "--steps is for a rnn model, this is a transformer model", "--k 3 zh-en": "--k is for a knn model",
		"--beam 4 lstm": "--beam is for a transformer model", "--max-source 9 iris": "--max-source is for",
	} {
		runProgram(t, "", append([]string{"inspect", "--plan"}, strings.Fields(flag)...)...).expect(t, exitUse, want)
	}
}
