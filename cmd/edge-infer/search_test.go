package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSearchFlags: each way to search, on the transliteration model; every line gives as many lines as were asked for.
func TestSearchFlags(t *testing.T) {
	m := testModel(t)
	first := func(n int) func(string) bool { // of each n lines the first is what greedy search gives
		return func(out string) bool {
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			var b strings.Builder
			for i := 0; i < len(lines); i += n {
				b.WriteString(lines[i] + "\n")
			}
			return len(lines) == 3*n && b.String() == namesLatin
		}
	}
	each := func(ok func(string) bool) func(string) bool {
		return func(out string) bool {
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			for _, line := range lines {
				if !ok(line) {
					return false
				}
			}
			return len(lines) == 3
		}
	}
	for flags, ok := range map[string]func(string) bool{
		"--n-best 3":                             first(3),
		"--n-best 2 --beam 4 --tokens":           first(2),
		"--alternatives 4":                       first(4),
		"--alternatives 2 --batch 3 --threads 2": first(2),
		"--stream":                               first(1),
		"--stream --tokens":                      first(1),
		"--repetition-penalty 1":                 first(1),
		"--scores":                               each(func(s string) bool { return s[0] == '-' && strings.Contains(s, "\ta ") }),
		"--min-length 12":                        each(func(s string) bool { return len(strings.Fields(s)) >= 12 }),
		"--no-repeat-ngram 1":                    each(func(s string) bool { return repeats(s) == 0 }),
		"--prefix o":                             each(func(s string) bool { return strings.HasPrefix(s, "o ") }),
	} {
		r := runProgram(t, names, append([]string{"translate", "-m", m}, strings.Fields(flags)...)...)
		r.expect(t, exitOK)
		if !ok(r.stdout) {
			t.Errorf("%s: %q", flags, r.stdout)
		}
	}
	r := runProgram(t, "\nآ ز ا\n\xff\n", "translate", "-m", m, "--n-best", "2")
	r.expect(t, exitInput, "line 3: ")
	if lines := strings.Split(r.stdout, "\n"); len(lines) != 7 || lines[0]+lines[1]+lines[4]+lines[5] != "" || lines[2] != "a z z a" || lines[3] == "" {
		t.Errorf("empty and bad lines: %q", r.stdout)
	}
	r = runProgram(t, "آ ز ا\n", "translate", "-m", m, "--n-best", "2", "--json")
	r.expect(t, exitOK)
	var object struct {
		Text   string
		Score  float32
		Others []struct {
			Text   string
			Score  float32
			Tokens []string
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &object); err != nil || len(object.Others) != 1 || object.Others[0].Score > object.Score || len(object.Others[0].Tokens) == 0 {
		t.Errorf("%v: %s", err, r.stdout)
	}
}

// repeats counts tokens that came before.
func repeats(line string) (n int) {
	seen := map[string]bool{}
	for _, token := range strings.Fields(line) {
		if seen[token] {
			n++
		}
		seen[token] = true
	}
	return n
}

// TestFlagsOverDefaults: a model searches as its makers say, and flags turn each of that off.
func TestFlagsOverDefaults(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(folder, os.DirFS("../../convert/testdata/marian-safetensors")); err != nil {
		t.Fatal(err)
	}
	generation := `{"num_beams": 4, "no_repeat_ngram_size": 1, "repetition_penalty": 3, "min_length": 9, "max_length": 12}`
	if err := os.WriteFile(filepath.Join(folder, "generation_config.json"), []byte(generation), 0o644); err != nil {
		t.Fatal(err)
	}
	m := folder + ".ei8"
	runProgram(t, "", "convert", folder, "-o", m).expect(t, exitOK)
	for flags, ok := range map[string]func(tokens []string) bool{
		"":               func(tokens []string) bool { return len(tokens) >= 8 && repeats(strings.Join(tokens, " ")) == 0 },
		"--min-length 0": func(tokens []string) bool { return repeats(strings.Join(tokens, " ")) == 0 },
		"--no-repeat-ngram 0 --repetition-penalty 1 --beam 1 --min-length 11": func(tokens []string) bool {
			return len(tokens) == 11 && repeats(strings.Join(tokens, " ")) > 0
		},
		"--max-length 5": func(tokens []string) bool { return len(tokens) == 5 }, // below the least that the makers ask for
	} {
		r := runProgram(t, "this is the time\n", append([]string{"translate", "-m", m, "--tokens"}, strings.Fields(flags)...)...)
		if tokens := strings.Fields(r.stdout); r.code != exitOK || !ok(tokens) {
			t.Errorf("%s: %d, %q, %s", flags, r.code, tokens, r.stderr)
		}
	}
}

func TestSearchFlagsRefused(t *testing.T) {
	m := testModel(t)
	for flags, want := range map[string]string{
		"--n-best 0":                    "--n-best is 0, must be 1 or more",
		"--n-best 3 --beam 2":           "n-best is 3, must be at most the beam, which is 2",
		"--n-best 2 --alternatives 2":   "both the best 2 and 2 alternatives: a search gives one or the other",
		"--n-best 65":                   "n-best is 65, must be 1 to 64 for this model",
		"--n-best NaN":                  `--n-best is "NaN", must be a whole number; edge-infer translate --help lists the flags`,
		"--repetition-penalty x":        `--repetition-penalty is "x", must be a number; edge-infer translate --help lists the flags`,
		"--repetition-penalty NaN":      "repetition penalty is NaN, must be 0.01 to 100",
		"--scores=maybe":                `--scores is "maybe", must be true or false, behind an equals sign; edge-infer translate --help lists the flags`,
		"--alternatives -1":             "--alternatives is -1, must be 0 or more",
		"--alternatives 100":            "number of alternatives is 100, must be 0 to 64 for this model",
		"--min-length -1":               "--min-length is -1, must be 0 or more",
		"--min-length 9 --max-length 8": "minimum target length 9 is above the maximum 8",
		"--no-repeat-ngram -1":          "--no-repeat-ngram is -1, must be 0 or more",
		"--repetition-penalty 0.001":    "repetition penalty is 0.001, must be 0.01 to 100",
		"--length-penalty NaN":          "length penalty is NaN, must be -10 to 10",
		"--prefix \xff":                 "the prefix is not valid UTF-8 (byte 1 of the line is 0xff)",
		"--prefix ж":                    `the prefix "ж" has characters that the model cannot write`,
		"--prefix ж --tokens":           `the prefix has the token "ж", which is not in the model's vocabulary`,
		"--stream --beam 2":             "--stream prints words before the end of the search, and so goes with no --beam; leave out one of them",
		"--stream --json":               "--stream prints words before the end of the search, and so goes with no --json; leave out one of them",
		"--batch 0":                     "--batch is 0, must be 1 or more",
	} {
		r := runProgram(t, names, append([]string{"translate", "-m", m}, strings.Fields(flags)...)...)
		r.expect(t, exitUse, want)
	}
}
