#!/bin/sh
# From the raw pairs to the exported, scored folder. Safe to kill and run again: each step goes on where it stopped.
#
#   ZHEN_DATA=<folder of the .tsv files> ZHEN_WORK=<folder for work> ./run.sh
#
# Optional: PYTHON, STEPS, THREADS. With a libjemalloc.so.2 in JEMALLOC freed pages are kept for a while,
# which helped on the virtual machine where this was trained (page faults are dear there).
set -eu
: "${ZHEN_DATA:?set ZHEN_DATA to the folder with train.permissive.tsv.gz}" "${ZHEN_WORK:?set ZHEN_WORK to a scratch folder}"
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
export ZHEN_DATA ZHEN_WORK OMP_NUM_THREADS="${THREADS:-1}" ONEDNN_PRIMITIVE_CACHE_CAPACITY=2000 PYTHONDONTWRITEBYTECODE=1
if [ -n "${JEMALLOC:-}" ]; then
    export LD_PRELOAD="$JEMALLOC" MALLOC_CONF=dirty_decay_ms:20000,muzzy_decay_ms:20000,oversize_threshold:0,narenas:1
fi

"$python" "$here/prepare.py"
"$python" "$here/train.py" --steps "${STEPS:-16000}" --threads "${THREADS:-1}"
"$python" "$here/export.py" --weights last.pt --out "$ZHEN_WORK/export"
"$python" "$here/score.py" --model "$ZHEN_WORK/export" --out "$ZHEN_WORK/scores" --threads "${THREADS:-1}"
