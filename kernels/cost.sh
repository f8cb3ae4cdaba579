#!/bin/sh
# Makes cost.md: what the kernels for ARM cost where there is no board to measure on.
#   ./cost.sh >cost.md                 takes some minutes
#   MODEL=file.ei8 ./cost.sh >cost.md  and what a decoded token of that model costs, whose tokens are called t0, t1 and so on
# Needs llvm-mca and llvm-objdump (19, else the newest), and ARMCOUNT, a command "armcount CPU COMMAND" that prints on
# standard error "armcount: total N ..." for the instructions that an arm64 COMMAND executed under QEMU.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C
ARMCOUNT=${ARMCOUNT:-../../shared/tools/armcount/armcount}
mca=$(command -v llvm-mca-19 || command -v llvm-mca)
objdump=$(command -v llvm-objdump-19 || command -v llvm-objdump)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 GOARCH=arm64 go test -c -o "$dir/test" .
CGO_ENABLED=0 GOARCH=arm64 go build -o "$dir/edge-infer" ../cmd/edge-infer
version=$("$mca" --version | sed -n 's/.*LLVM version \([0-9.]*\).*/\1/p')

# loop SYMBOL I prints loop I of a function, the first that ends being 1: from a backward branch's target to the branch.
loop() {
	"$objdump" -d --no-show-raw-insn --mattr=+dotprod,+i8mm --disassemble-symbols="$1" "$dir/test" | awk -v want="$2" '
		/^ *[0-9a-f]+:/ {
			at = $1; sub(":", "", at)
			sub(/^ *[0-9a-f]+: */, ""); sub(/ *<.*/, "")
			place[at] = n; text[n++] = $0
			if ($1 ~ /^b\./ && (to = $2) && sub("^0x", "", to) && to in place && ++found == want) {
				for (i = place[to]; i < n - 1; i++) print text[i]
				print $1, ".-64"
			}
		}'
}

# cost NAME SYMBOL I WORK CPU...: one row; WORK multiply-adds (elements) a turn; "-" for a CPU without the instructions.
cost() {
	name=$1 symbol=$2 index=$3 work=$4
	shift 4
	loop "$symbol" "$index" >"$dir/loop.s"
	n=$(wc -l <"$dir/loop.s")
	[ "$n" -gt 2 ] || { echo "cost.sh: no loop $index in $symbol" >&2; exit 1; }
	printf '| %s | %d | %s |' "$name" "$n" "$(awk "BEGIN {printf \"%.3f\", $n/$work}")"
	for cpu; do
		if [ "$cpu" = - ]; then
			printf ' - |'
			continue
		fi
		"$mca" -mtriple=aarch64 -mattr=+dotprod,+i8mm -mcpu="$cpu" -iterations=200 "$dir/loop.s" 2>/dev/null |
			awk -v w="$work" '/^Total Cycles:/ {printf " %.1f: %.2f |", $3/200, w*200/$3}'
	done
	echo
}

# executed CPU SET COMMAND...: the instructions of one run.
executed() {
	cpu=$1 set=$2
	shift 2
	EDGE_INFER_KERNELS=$set GOMAXPROCS=1 GOGC=off "$ARMCOUNT" "$cpu" "$@" 2>&1 >/dev/null | awk '/^armcount:/ {print $3}'
}

# count CPU BENCHMARK TURNS: executed instructions of one turn, as the difference of two runs.
count() {
	few=$(executed "$1" "" "$dir/test" -test.run '^$' -test.bench "$2" -test.benchtime 3x)
	many=$(executed "$1" "" "$dir/test" -test.run '^$' -test.bench "$2" -test.benchtime $((3 + $3))x)
	echo $(((many - few) / $3))
}

in=github.com/edge-infer/edge-infer/kernels
all='cortex-a53 cortex-a55 cortex-a72 neoverse-n1 neoverse-n2'
dot='- cortex-a55 - neoverse-n1 neoverse-n2'
mm='- - - - neoverse-n2'

cat <<END
# What the kernels for ARM cost

Made by cost.sh. **Nothing here was measured on a board**: cycles are llvm-mca's, of one inner loop whose data lies in the first-level
cache, and instructions are those that QEMU executed. The Neoverse N1 stands for the Cortex-A76, which has no model of its own. llvm-mca
is pessimistic about cores that issue in order (A53, A55: it sees no load issue beside a product) and knows neither prefetching nor
memory, which set the pace of one row.

Where one instruction set has two good kernels: the A55 loads several registers at once slower than one after the other, so dotprod-a55
has a matrix x vector of its own, taken where the part number (MIDR_EL1) is 0xd05; EDGE_INFER_KERNELS=dotprod overrules that. The A53 and
the A72 share one neon kernel: by the model nothing is left to gain on either but loads that issue beside a product.

## Inner loops: llvm-mca $version

Instructions of one turn, of one multiply-add (MAC), then cycles a turn: MAC a cycle.

| loop | instructions | a MAC | Cortex-A53 | Cortex-A55 | Cortex-A72 | Neoverse N1 | Neoverse N2 |
| --- | --- | --- | --- | --- | --- | --- | --- |
END
cost 'neon: limit, registers alone' $in.peakNEON.abi0 1 256 $all
cost 'neon: matrix x matrix, 2 x 16' $in.tileS8NEON.abi0 1 512 $all
cost 'neon: matrix x vector' $in.gemvS8NEON.abi0 1 512 $all
cost 'dotprod: limit, registers alone' $in.peakDOT.abi0 1 256 $dot
cost 'dotprod: matrix x matrix, 4 x 16' $in.tileS8DOT.abi0 1 1024 $dot
cost 'dotprod: matrix x vector' $in.gemvS8DOT.abi0 1 1024 $dot
cost 'dotprod-a55: matrix x vector' $in.gemvS8DOTA55.abi0 1 1024 $dot
cost 'i8mm: limit, registers alone' $in.peakI8MM.abi0 1 512 $mm
cost 'i8mm: matrix x matrix, 16 x 4, from 13 rows on' tile16x4 1 1024 $mm
cost 'i8mm: matrix x matrix, 8 x 8, up to 8 rows' tile8x8 1 1024 $mm
cost 'neon: sum of differences (L1S8)' $in.l1RowNEON.abi0 1 256 $all
cost 'dotprod: sum of differences (L1S8)' $in.l1RowDOT.abi0 1 256 $dot
cost 'neon: largest difference (MaxS8)' $in.maxRowNEON.abi0 1 256 $all
cost 'neon: pairs of int4 (GemvS4)' $in.gemvS4NEON.abi0 1 512 $all
cost 'dotprod: pairs of int4 (GemvS4)' $in.gemvS4DOT.abi0 1 512 $dot
cat <<END

Floats, neon (the sets above it use them too): instructions of one turn, of one element (Scores, WeightedSum: of one product), then
cycles a turn: elements a cycle.

| loop | instructions | an element | Cortex-A53 | Cortex-A55 | Cortex-A72 | Neoverse N1 | Neoverse N2 |
| --- | --- | --- | --- | --- | --- | --- | --- |
END
cost 'exp' $in.vecExp.abi0 1 16 $all
cost 'tanh' $in.vecTanh.abi0 1 16 $all
cost 'sigmoid' $in.vecSigmoid.abi0 1 16 $all
cost 'GELU' $in.vecGELU.abi0 1 16 $all
cost 'Dot' $in.vecDot.abi0 1 16 $all
cost 'Scores' $in.vecScores.abi0 1 16 $all
cost 'WeightedSum' $in.vecWeighted.abi0 1 64 $all
cost 'QuantizeRow: absmax' $in.vecAbsMax.abi0 1 16 $all
cost 'QuantizeRow: round' $in.vecQuantize.abi0 1 16 $all
cost 'norms: squares' $in.vecSquares.abi0 1 16 $all
cost 'ArgMax, Softmax: largest' $in.vecMax.abi0 1 16 $all
cat <<END

## Executed instructions a multiply-add

Weights [2048, 512], as GemvS8 and GemmS8 run them, prefetches included.

| set | QEMU's CPU | 1 row | 8 rows | 64 rows |
| --- | --- | --- | --- | --- |
END
for p in neon:cortex-a72 dotprod:cortex-a76 dotprod-a55:cortex-a76 i8mm:max; do
	printf '| %s | %s |' ${p%:*} ${p#*:}
	for m in 1 8 64; do
		n=$(count ${p#*:} "^BenchmarkMatrix\$/^${p%:*}\$/^m=$m,n=2048,k=512\$" $((64 / m + 4)))
		awk -v n="$n" -v m=$m 'BEGIN {printf " %.3f |", n/(m*2048*512)}'
	done
	echo
done
cat <<END

## Executed instructions of the other operations

On 512 elements (StoreKeys, Scores and WeightedSum: 64 x 64; ArgMax and TopK: 32,000; differences, pairs of int4: 512 rows of 64). The bar: a third of generic's.

| operation | generic | neon | share |
| --- | --- | --- | --- |
END
for op in $(sed -n 's/^\t*{"\([A-Za-z0-9-]*\)", [a-z(].*func() {.*/\1/p' cost_test.go); do
	turns=1000
	case $op in
	ArgMax | TopK | L1S8 | MaxS8 | GemvS4 | RowsS4) turns=60 ;;
	LSTM | GRU | StoreKeys | Scores | WeightedSum) turns=300 ;;
	esac
	g=$(count max "^BenchmarkElements\$/^generic\$/^$op\$" $turns)
	v=$(count max "^BenchmarkElements\$/^neon\$/^$op\$" $turns)
	awk -v o="$op" -v g="$g" -v v="$v" 'BEGIN {printf "| %s | %d | %d | %.2f |\n", o, g, v, v/g}'
done
[ -n "${MODEL:-}" ] || exit 0
cat <<END

## Executed instructions a decoded token

Millions, of a model of the size of OPUS-MT ($(wc -c <"$MODEL" | awk '{printf "%.0f", $1/1e6}') MB: 6 + 6 layers of 512, feed-forward 2048, vocabulary 65,001), one
thread: (12 source to 20 target tokens minus 12 to 4) / 16.

| CPU, set | 1 sentence | 8 at once |
| --- | --- | --- |
END
awk -v dir="$dir" 'BEGIN {
	for (i = 0; i < 8; i++) {
		line = ""
		for (j = 0; j < 12; j++) line = line " t" (j*37 + i*101)
		print line >(dir "/source8")
		if (i == 0) print line >(dir "/source1")
	}
}'
for p in cortex-a53:neon cortex-a72:neon cortex-a76:dotprod max:i8mm; do
	printf '| %s, %s |' ${p%:*} ${p#*:}
	for b in 1 8; do
		for t in 4 20; do
			executed ${p%:*} ${p#*:} "$dir/edge-infer" translate -m "$MODEL" --tokens -i "$dir/source$b" --batch $b --threads 1 --min-length $t --max-length $t
		done | awk -v b=$b 'NR == 1 {a = $1} NR == 2 {printf " %.1f |", ($1 - a)/(16*b*1e6)}'
	done
	echo
done
