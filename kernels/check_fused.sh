#!/bin/sh
# Looks for fused multiply-adds in our packages: a*b+c in one rounding differs in its last bit from two, and only some
# machines would do it. What the compiler makes of them for arm64, and for amd64 at v3, where it fuses too; what a
# disassembler sees for arm64; and the text of our assembly.
# Arguments: packages (default: those whose floats reach a result).
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- ./kernels ./quant
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fused='[[:space:]]V?FN?M(ADD|SUB|LA|LS)[0-9A-Z]*[[:space:]]'
bad=0
report() {
	if [ -s "$dir/found" ]; then
		echo "check_fused: $1:" >&2
		head -20 "$dir/found" >&2
		bad=1
	fi
}
for p in $(go list "$@"); do
	at=$(go list -f '{{.Dir}}' "$p")
	for a in arm64 amd64; do
		GOARCH=$a GOAMD64=v3 CGO_ENABLED=0 go build -gcflags=-S -o "$dir/pkg.a" "$p" >"$dir/text" 2>&1
		if ! grep -q STEXT "$dir/text"; then
			echo "check_fused: the compiler showed nothing of $p for $a" >&2
			exit 1
		fi
		grep -E "$fused" "$dir/text" >"$dir/found" || true
		report "$p compiled for $a"
		if [ $a = arm64 ]; then
			go tool objdump "$dir/pkg.a" | grep -E "$fused" >"$dir/found" || true
			report "$p disassembled for $a"
		fi
	done
	grep -nEi '^[^/]*\<V?FN?M(ADD|SUB|LA|LS)' "$at"/*.s "$at"/*.h >"$dir/found" 2>/dev/null || true
	report "assembly of $p"
done
[ $bad -eq 0 ] && echo "check_fused: none in $*"
exit $bad
