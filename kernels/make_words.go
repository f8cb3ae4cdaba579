//go:build ignore

// Make_words prints neon_arm64.h, made of testdata/neon_macros.txt: a line there is a comment, or a macro and the instruction it stands
// for, its arguments in braces. What llvm-mc makes of the instruction with all arguments 0, and with one of them 1, gives the word
// and each argument's place in it.
//
//	go run make_words.go >neon_arm64.h
package main

import (
	"fmt"
	"log"
	"math/bits"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

var (
	macroLine = regexp.MustCompile(`^(\w+)\(([a-z, ]+)\) (.+)$`)
	encoding  = regexp.MustCompile(`encoding: \[0x(..),0x(..),0x(..),0x(..)\]`)
)

func main() {
	log.SetFlags(0)
	spec, err := os.ReadFile("testdata/neon_macros.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("// Made by make_words.go of testdata/neon_macros.txt: do not edit.")
	for line := range strings.Lines(string(spec)) {
		line = strings.TrimSpace(line)
		m := macroLine.FindStringSubmatch(line)
		switch {
		case m != nil:
			fmt.Println(macro(m[1], strings.Split(m[2], ", "), m[3]))
		case line == "" || strings.HasPrefix(line, "//"):
			fmt.Println(line)
		default:
			log.Fatalf("not understood: %s", line)
		}
	}
}

// macro is the #define of one instruction.
func macro(name string, args []string, text string) string {
	// Every argument 0; then each of them 1, and 2 to see whether its bits lie together.
	with := func(arg string, value int) string {
		t := text
		for _, a := range args {
			v := 0
			if a == arg {
				v = value
			}
			t = strings.ReplaceAll(t, "{"+a+"}", strconv.Itoa(v))
		}
		return t
	}
	lines := []string{with("", 0)}
	for _, a := range args {
		lines = append(lines, with(a, 1), with(a, 2))
	}
	words := assemble(lines)
	terms := []string{fmt.Sprintf("0x%08x", words[0])}
	for i := len(args) - 1; i >= 0; i-- {
		low, high := place(words[0], words[1+2*i]), place(words[0], words[2+2*i])
		switch {
		case high == low+1 && low == 0:
			terms = append(terms, fmt.Sprintf("(%s)", args[i]))
		case high == low+1:
			terms = append(terms, fmt.Sprintf("(%s)<<%d", args[i], low))
		default: // two bits apart
			terms = append(terms, fmt.Sprintf("((%s)&1)<<%d", args[i], low), fmt.Sprintf("((%s)>>1)<<%d", args[i], high))
		}
	}
	return fmt.Sprintf("%-27s WORD $(%s)", fmt.Sprintf("#define %s(%s)", name, strings.Join(args, ", ")), strings.Join(terms, " | "))
}

// place is where the one bit lies in which two words differ.
func place(a, b uint32) int {
	if bits.OnesCount32(a^b) != 1 || a&^b != 0 {
		log.Fatalf("%08x and %08x do not differ in one bit that was 0", a, b)
	}
	return bits.TrailingZeros32(a ^ b)
}

func assemble(lines []string) []uint32 {
	cmd := exec.Command("llvm-mc", "-triple=aarch64", "-mattr=+v8.6a,+dotprod,+i8mm", "--show-encoding")
	cmd.Stdin, cmd.Stderr = strings.NewReader(strings.Join(lines, "\n")+"\n"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		log.Fatal(err)
	}
	var words []uint32
	for _, m := range encoding.FindAllStringSubmatch(string(out), -1) {
		w, err := strconv.ParseUint(m[4]+m[3]+m[2]+m[1], 16, 32)
		if err != nil {
			log.Fatal(err)
		}
		words = append(words, uint32(w))
	}
	if len(words) != len(lines) {
		log.Fatalf("%d words for %d lines:\n%s", len(words), len(lines), out)
	}
	return words
}
