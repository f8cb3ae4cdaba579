#!/bin/sh
# Makes neon_arm64.h anew from testdata/neon_macros.txt with an assembler, and holds testdata/neon_words.txt (macro and arguments
# | word | mnemonic) against a disassembler. With -w it writes the header and the third column. Needs llvm-mc (any version that knows Armv8.6); without it, says so and passes.
set -eu
cd "$(dirname "$0")"
mc=$(command -v llvm-mc || command -v llvm-mc-19 || true)
if [ -z "$mc" ]; then
	echo "check_words: no llvm-mc here, nothing checked" >&2
	exit 0
fi
table=testdata/neon_words.txt
new=$(mktemp)
trap 'rm -f "$new" "$new.h"' EXIT
grep '^#' $table >"$new"
grep -v '^#' $table | while IFS='|' read -r call word old; do
	word=$(echo $word)
	# The word's bytes, lowest first.
	bytes=$(echo "$word" | sed 's/\(..\)\(..\)\(..\)\(..\)/0x\4 0x\3 0x\2 0x\1/')
	text=$(echo "$bytes" | "$mc" --disassemble -triple=aarch64 -mattr=+v8.6a,+dotprod,+i8mm | sed -n '2,$p' | tr '\t' ' ' | sed 's/^ *//;s/  */ /g' | grep -v '^\.text' | head -1)
	printf '%s| %s | %s\n' "$call" "$word" "$text" >>"$new"
done
go run make_words.go >"$new.h"
if [ "${1:-}" = -w ]; then
	cp "$new" $table
	cp "$new.h" neon_arm64.h
else
	diff -u neon_arm64.h "$new.h"
	diff -u $table "$new" && echo "check_words: $(grep -vc '^#' $table) words are what they say"
fi
