#!/bin/sh
# From the pairs of sentences to the two embedded models.
#
#   PAIRS=<train.permissive.tsv.gz> WORK=<folder for work> ./run.sh
set -eu
: "${PAIRS:?set PAIRS to train.permissive.tsv.gz}" "${WORK:?set WORK to a scratch folder}"
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../../runtime/models
python=${PYTHON:-python3}
for kind in rnn lstm; do
    "$python" "$here/train.py" $kind --data "$PAIRS" --out "$WORK" --steps 1500 --resume
    cp "$here/$kind.json" "$WORK"
    (cd "$here/../../.." && go run -tags noembed ./cmd/edge-infer convert "$WORK/$kind.pt" -o "$models/$kind.ei8" --force --from en --licence CC-BY-2.0 \
        --source "convert/recipe/next-word" --attribution "Sentences of Tatoeba (https://tatoeba.org), CC-BY 2.0 FR")
done
"$python" "$here/stories.py" "$PAIRS" "$models/recall.tsv.gz"
"$python" "$here/contexts.py" "$WORK" "$models/recall.tsv.gz" "$models/testdata/next-words.tsv.gz"
