#!/bin/sh
# From the raw pairs to the scored .ei8. Safe to kill at any point and to run again: each step goes on where it stopped.
#
#   ZHEN_DATA=<folder of the .tsv files> ZHEN_WORK=<folder for work> ./run.sh
#
# Optional: PYTHON, THREADS, STEPS, STEPS2 and STEPS3 (of the three stages), TRAIN and DISTIL (more flags of train.py and distill.py, for
# trials); ZHEN_SETS="" leaves the test sets alone. With a libjemalloc.so.2 in JEMALLOC freed pages are kept for a while, which helped
# on the virtual machine where this was trained (page faults are dear there).
set -eu
: "${ZHEN_DATA:?set ZHEN_DATA to the folder with train.permissive.tsv.gz}" "${ZHEN_WORK:?set ZHEN_WORK to a scratch folder}"
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
threads=${THREADS:-2}
work=$(mkdir -p "$ZHEN_WORK" && cd "$ZHEN_WORK" && pwd)
data=$(cd "$ZHEN_DATA" && pwd)
export ZHEN_DATA="$data" ZHEN_WORK="$work" OMP_NUM_THREADS="$threads" ONEDNN_PRIMITIVE_CACHE_CAPACITY=2000 PYTHONDONTWRITEBYTECODE=1

cd "$here"
go build -o "$work/edge-infer" ../../../cmd/edge-infer
go build -o "$work/float32" ./float32
train() (
    if [ -n "${JEMALLOC:-}" ]; then
        export LD_PRELOAD="$JEMALLOC" MALLOC_CONF=dirty_decay_ms:20000,muzzy_decay_ms:20000,oversize_threshold:0,narenas:1
    fi
    stage=$1
    shift
    "$python" train.py --threads "$threads" --run "$work/$stage" "$@" ${TRAIN:-}
)
"$python" prepare.py
# Sampled target pieces first: a regularizer, but one that teaches to spell. Then the pieces as they will be wanted.
train first --steps "${STEPS:-16000}"
train second --steps "${STEPS2:-14972}" --init "$work/first/last.pt" --plain --lr 7e-4 --dropout 0.15
# Then, for half of the sentences, what the model itself says that is nearest to the reference.
if [ ! -e "$work/distilled.tsv" ]; then
    "$python" export.py --weights "$work/second/last.pt" --out "$work/teacher"
    "$work/edge-infer" convert "$work/teacher" -o "$work/teacher.ei8" --force
    "$python" distill.py --command "$work/edge-infer translate --threads $threads --batch 16 -m $work/teacher.ei8 --tokens" ${DISTIL:-}
fi
train third --steps "${STEPS3:-13912}" --init "$work/second/last.pt" --plain --lr 4e-4 --distilled "$work/distilled.tsv"
"$python" export.py --weights "$work/third/last.pt" --out "$work/export"
"$python" curve.py "$work/first/log.csv" "$work/second/log.csv" "$work/third/log.csv" > "$work/curve.svg"

translate="$work/edge-infer translate --threads 1 --batch 16 -m $work/zh-en.ei8"
convert() {
    # CC-CEDICT is share-alike, so the weights are.
    "$work/edge-infer" convert "$work/export" -o "$work/zh-en.ei8" --force --name zh-en --from zh --to en --licence CC-BY-SA-4.0 \
        --source "trained from scratch by convert/recipe/zh-en" \
        --attribution "Tatoeba, tatoeba.org, CC-BY 2.0 FR" \
        --attribution "CC-CEDICT, cc-cedict.org, CC-BY-SA 3.0" \
        --attribution "3AM image captions, MIT" \
        --attribution "ConvLab-2 MultiWOZ-zh and CrossWOZ-en, Apache-2.0" \
        --attribution "MLQE-PE English-Chinese post-edits of Wikipedia, CC0" \
        --attribution "Python documentation: zh_CN translation CC0, English text PSF licence" \
        --attribution "PHP manual, The PHP Documentation Group, CC-BY 3.0" \
        --attribution "OpenCC, table of traditional characters, Apache-2.0" \
        --attribution "pypinyin, readings of characters, MIT"
}
convert
"$python" choose.py --model "$work/export" --command "$translate --tokens" --out "$work/choice.csv"
convert # once more: with the search that was chosen

score() {
    "$python" score.py --model "$work/export" --out "$work/scores" --pieces "int8=$translate --tokens --beam 1" "$@"
}
full() {
    score --pieces "reference=$work/float32 $work/export" --pieces "beam=$translate --tokens" --text "translate=$translate" --sets "$@"
}
# The news take as long as all the others: a core each.
full dev.ntrex128 &
news=$!
full ${ZHEN_SETS-test.tatoeba test.3am} dev.tatoeba dev.3am
score --no-pytorch --sets dev.tatoeba/traditional dev.3am/traditional dev.tatoeba/full-width dev.3am/full-width
wait $news
