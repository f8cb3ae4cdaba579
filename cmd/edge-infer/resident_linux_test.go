package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// largeLSTM writes a model of 2 x 512 units and 10,000 words, of 9.5 million bytes.
func largeLSTM(t *testing.T) string {
	t.Helper()
	const units, words = 512, 10000
	var header []string
	var data []byte
	seed := uint32(1)
	add := func(name string, shape ...int) {
		count, sizes := 1, []string{}
		for _, n := range shape {
			count *= n
			sizes = append(sizes, fmt.Sprint(n))
		}
		from := len(data)
		for range count {
			seed = seed*1664525 + 1013904223
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(int32(seed))/(1<<35)))
		}
		header = append(header, fmt.Sprintf(`"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}`, name, strings.Join(sizes, ","), from, len(data)))
	}
	for layer := range 2 {
		add(fmt.Sprintf("rnn.weight_ih_l%d", layer), 4*units, units)
		add(fmt.Sprintf("rnn.weight_hh_l%d", layer), 4*units, units)
		add(fmt.Sprintf("rnn.bias_ih_l%d", layer), 4*units)
		add(fmt.Sprintf("rnn.bias_hh_l%d", layer), 4*units)
	}
	add("head.weight", words, units)
	add("head.bias", words)
	text := "{" + strings.Join(header, ",") + "}"
	source, model := filepath.Join(t.TempDir(), "lstm.safetensors"), filepath.Join(t.TempDir(), "lstm.ei8")
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	if err := os.WriteFile(source, append(file, data...), 0o644); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "", "convert", source, "-o", model).expect(t, exitOK)
	return model
}

// A model of one of the small families takes at most 8 MB beside its file, pages of the program included, from the start to the end of
// many lines.
func TestResident(t *testing.T) {
	noEmulation(t)
	needModels(t)
	const most = 8 << 20
	program := os.Getenv("EDGE_INFER_TEST_PROGRAM")
	if program == "" {
		program = builtProgram(t) // this binary holds the tests too, and a C library where cgo is on
	}
	models := "../../runtime/models/"
	query := strings.Repeat("500,", 7) + "500"
	for _, c := range []struct {
		model, line string
		lines       int
		args        []string
	}{
		{manyRows(t), query, 500, []string{"classify", "-m"}},
		{manyRows(t, "--compact"), query, 500, []string{"classify", "-m"}},
		{models + "iris.ei8", "5.1,3.5,1.4,0.2", 20000, []string{"classify", "-m"}},
		{models + "lstm.ei8", "Tom likes to eat", 20000, []string{"complete", "--model"}},
		{models + "rnn.ei8", "12", 500, []string{"run", "--stream"}},
		{"", strings.Repeat("0.25,", 511) + "-1", 500, []string{"run", "--stream"}},
	} {
		if c.model == "" {
			if testing.Short() {
				continue // its making takes seconds
			}
			c.model = largeLSTM(t)
		}
		info, err := os.Stat(c.model)
		if err != nil {
			t.Fatal(err)
		}
		var env []string
		if startCPUs > fewCPUs { // as on a board: Go takes memory for each CPU
			env = []string{fmt.Sprint("GOMAXPROCS=", fewCPUs)}
		}
		cmd := command(t, env, append(c.args, c.model)...)
		cmd.Path, cmd.Args[0] = program, program
		stdin, _ := cmd.StdinPipe()
		stdout, _ := cmd.StdoutPipe()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go fmt.Fprint(stdin, strings.Repeat(c.line+"\n", c.lines))
		answers := bufio.NewReaderSize(stdout, 1<<20)
		for range c.lines {
			if _, err := answers.ReadSlice('\n'); err != nil {
				t.Fatalf("%v: %v, %s", c.args, err, stderr.String())
			}
		}
		peak := procOf(cmd.Process.Pid, "status", "VmHWM:")
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v, %s", c.args, err, stderr.String())
		}
		beside := peak - info.Size()
		t.Logf("%v %s: %.2f MB resident at most, %.2f more than the file", c.args, filepath.Base(c.model), float64(peak)/(1<<20), float64(beside)/(1<<20))
		if peak == 0 || beside > most {
			t.Errorf("%v %s: %d bytes beside the file, at most %d are allowed", c.args, filepath.Base(c.model), beside, most)
		}
	}
}
