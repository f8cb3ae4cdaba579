package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edge-infer/edge-infer/runtime/models"
)

func needModels(t *testing.T) {
	t.Helper()
	if _, ok := models.Get(defaultCompleter); !ok {
		t.Skip("built without models")
	}
}

func TestComplete(t *testing.T) {
	needModels(t)
	const cat = "Tom is a cat. Tom's favorite food is"
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		stdout      string
		stderr      []string
	}{
		{"a colour", "", []string{"Apple is"}, exitOK, "red\n", nil},
		{"a colour, rnn", "", []string{"--model", "rnn", "Apple is"}, exitOK, "red\n", nil},
		{"a food", "", []string{cat}, exitOK, "fish\n", nil},
		{"two arguments", "", []string{"Apple is", cat}, exitOK, "red\nfish\n", nil},
		{"lines", "Apple is\r\n" + cat, nil, exitOK, "red\nfish\n", nil},
		{"two words", "", []string{"-n", "2", cat}, exitOK, "fish.\n", nil},
		{"bad lines", "Apple is\n\xff\xfe\n" + cat + "\n", nil, exitInput, "red\n\nfish\n", []string{"line 2: not valid UTF-8", "1 of 3 could not be completed"}},
		{"an unknown word", "", []string{"Xyzzy. Apple is"}, exitOK, "red\n", []string{`does not know the word "Xyzzy"`}},
		{"nothing", "", nil, exitOK, "", nil},
		{"an embedded name", "", []string{"-m", "iris", "x"}, exitModel, "", []string{"knn", "rnn"}},
		{"no such model", "", []string{"-m", "none.ei8", "x"}, exitModel, "", []string{"there is no model"}},
		{"no words", "", []string{"-n", "0", "x"}, exitUse, "", []string{"--words is 0"}},
		{"too many words", "", []string{"-n", "99999999", "x"}, exitUse, "", []string{"99999999"}},
		{"cold", "", []string{"--temperature", "-1", "x"}, exitUse, "", []string{"temperature"}},
		{"no number", "", []string{"--temperature", "NaN", "x"}, exitUse, "", []string{"temperature"}},
		{"two inputs", "", []string{"-i", "x.txt", "x"}, exitUse, "", []string{"both"}},
		{"no such input", "", []string{"-i", "none.txt"}, exitIO, "", []string{"none.txt"}},
		{"little memory", "", []string{"--memory", "1M", "x"}, exitMemory, "", []string{"memory"}},
		{"an unknown flag", "", []string{"--temprature", "1", "x"}, exitUse, "", []string{"--temperature"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runProgram(t, c.stdin, append([]string{"complete"}, c.args...)...)
			r.expect(t, c.code, c.stderr...)
			if r.stdout != c.stdout {
				t.Errorf("printed %q, want %q", r.stdout, c.stdout)
			}
		})
	}
}

// TestCompleteDraws: a seed gives the same words each time, another one others, and the table and JSON say what was likely.
func TestCompleteDraws(t *testing.T) {
	needModels(t)
	draw := func(seed string) string {
		return runProgram(t, "", "complete", "-n", "12", "--temperature", "1", "--seed", seed, "I want to").stdout
	}
	if a, b := draw("1"), draw("1"); a != b || len(strings.Fields(a)) < 6 {
		t.Errorf("%q and %q", a, b)
	}
	if draw("1") == draw("2") {
		t.Error("the seed changes nothing")
	}
	r := runProgram(t, "", "complete", "--top", "3", "Tom is a cat. Tom's favorite food is")
	if lines := strings.Split(strings.TrimSpace(r.stdout), "\n"); len(lines) != 3 || !strings.Contains(lines[0], "fish") || !strings.Contains(lines[0], "%") {
		t.Errorf("a table of %q", r.stdout)
	}
	var object struct {
		Source, Text string
		Words        []struct {
			Word        string
			Probability float64
		}
		Top [][]struct{ Word string }
	}
	r = runProgram(t, "", "complete", "--json", "--top", "2", "-n", "2", "Apple is")
	if err := json.Unmarshal([]byte(r.stdout), &object); err != nil {
		t.Fatalf("%q: %v", r.stdout, err)
	}
	if object.Source != "Apple is" || len(object.Words) != 2 || object.Words[0].Word != "red" || object.Words[0].Probability <= 0.2 || len(object.Top) != 2 || len(object.Top[1]) != 2 {
		t.Errorf("%+v", object)
	}
}

func TestRecall(t *testing.T) {
	needModels(t)
	if testing.Short() || os.Getenv("EDGE_INFER_TEST") == "few" {
		t.Skip("asks two models 976 stories")
	}
	plot := filepath.Join(t.TempDir(), "recall.svg")
	r := runProgram(t, "", "recall", "--json", "--plot", plot)
	r.expect(t, exitOK)
	var object struct {
		Stories int
		Models  []curve
	}
	if err := json.Unmarshal([]byte(r.stdout), &object); err != nil {
		t.Fatal(err)
	}
	if object.Stories != 976 || len(object.Models) != 2 {
		t.Fatalf("%d stories, %d models", object.Stories, len(object.Models))
	}
	rnn, lstm := object.Models[0], object.Models[1]
	for d, a := range lstm.Accuracy {
		if a < 0.9 {
			t.Errorf("lstm names %.0f %% of the foods after %d words", 100*a, d)
		}
	}
	near, far := mean(rnn.Accuracy[:5]), mean(rnn.Accuracy[len(rnn.Accuracy)-10:])
	if lstm.Mean < 0.98 || near-far < 0.2 || far > 0.6 || rnn.Mean > 0.6 {
		t.Errorf("lstm %.3f; rnn %.3f near, %.3f far", lstm.Mean, near, far)
	}
	if svg, err := os.ReadFile(plot); err != nil || !strings.HasPrefix(string(svg), "<svg") || strings.Count(string(svg), "<path") < 8 {
		t.Errorf("a plot of %d bytes, %v", len(svg), err)
	}
	r = runProgram(t, "", "recall")
	for _, want := range []string{"words between", "0 to 9", "60", "all", "┤"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the table lacks %q", want)
		}
	}
	runProgram(t, "", "recall", "x").expect(t, exitUse)
	runProgram(t, "", "recall", "-m", "none.ei8").expect(t, exitModel)
}
