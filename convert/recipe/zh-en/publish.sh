#!/bin/sh
# Puts the results of a finished run into this repository: the model, its logs and scores, its card, and what the tests expect of it.
#
#   ZHEN_WORK=<folder of the run> ./publish.sh
set -eu
: "${ZHEN_WORK:?set ZHEN_WORK to the folder of the run}"
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "$ZHEN_WORK" && pwd)
models=$(cd "$here/../../../runtime/models" && pwd)
for stage in first second third; do
    cp "$work/$stage/log.csv" "$here/$stage.csv"
done
cp "$work/curve.svg" "$work/choice.csv" "$here/"
ZHEN_WORK="$work" "${PYTHON:-python3}" -B "$here/card.py" "$models/zh-en.md" "$here/README.md"
cp "$work/scores.csv" "$here/"
# Greedy, which is what the test has time for under emulation. Generic Go is the meaning of every kernel: what it says is what the others are held to.
EDGE_INFER_KERNELS=generic "$work/edge-infer" translate -m "$work/zh-en.ei8" --beam 1 --threads 1 \
    -i "$models/testdata/sentences.zh.txt" -o "$models/testdata/sentences.en.txt"
cp "$work/zh-en.ei8" "$models/zh-en.ei8.tmp"
mv "$models/zh-en.ei8.tmp" "$models/zh-en.ei8"
