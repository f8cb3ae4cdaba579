"""Distilled targets (sequence-level knowledge interpolation, Kim and Rush 2016): what the model so far says to the training sources.

Of the N hypotheses of a beam search the one nearest the reference (chrF of the sentence) is kept; none where all of them loop, have
an absurd length or are far from the reference. Writes WORK/distilled.tsv: zh, the reference, the hypothesis. The work is done in parts,
each written aside and renamed: kill it at any point and start it again.
"""
import argparse
import collections
import os
import random
import re

import sacrebleu
import sentencepiece as spm

from prepare import MANUALS, SEED, held_out_words, read_tsv
from score import broken, pipe

HYPOTHESES = 6
PART = 5000           # pairs of a part
MANUAL_LINES = 28000  # of the manuals a sample: they are long, and drawn from sparingly
NEAREST = 40          # a hypothesis with less chrF than this says something else
MAX_PIECES = 80


def facts(text):
    """The numbers and the capitalized words within a sentence: what a hypothesis may not invent."""
    return set(re.findall(r"\d+|(?<=[\w,;] )[A-Z]\w+", text))


def sound(hyp, ref, unseen):
    """Whether a hypothesis may be learnt from: the numbers and names of the reference, no loops that it has not, a length that could
    be right, no word held out."""
    def repeats(text):
        words = text.lower().split()
        pairs = collections.Counter(zip(words, words[1:], words[2:]))
        return sum(a == b for a, b in zip(words, words[1:])) + sum(n - 1 for n in pairs.values())
    return not broken(hyp) and 0.5 * len(ref) - 5 <= len(hyp) <= 1.6 * len(ref) + 10 and repeats(hyp) <= repeats(ref) \
        and facts(hyp) == facts(ref) and unseen.isdisjoint(re.findall(r"\w+", hyp))


def nearest(hyps, ref, chrf, unseen):
    """The sound hypothesis with the highest chrF, or None."""
    scored = [(chrf.sentence_score(h, [ref]).score, -i, h) for i, h in enumerate(hyps) if sound(h, ref, unseen)]
    best = max(scored, default=(0,))
    return best[2] if best[0] >= NEAREST else None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", default=os.environ.get("ZHEN_WORK"))
    ap.add_argument("--command", required=True, help="reads and writes lines of pieces; --beam and --n-best are added")
    ap.add_argument("--lines", type=int, help="no more than so many pairs (for trials)")
    a = ap.parse_args()
    done = os.path.join(a.work, "distilled.tsv")
    if os.path.exists(done):
        return
    parts = os.path.join(a.work, "distilled")
    os.makedirs(parts, exist_ok=True)
    src = spm.SentencePieceProcessor(model_file=os.path.join(a.work, "source.spm"))
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(a.work, "target.spm"))
    rows = [r for r in read_tsv(os.path.join(a.work, "train.tsv")) if r[0] not in ("phrases", "lexicon")]
    manuals = [r for r in rows if r[0] in MANUALS]
    rows = [r for r in rows if r[0] not in MANUALS] + random.Random(SEED).sample(manuals, min(MANUAL_LINES, len(manuals)))
    rows = rows[:a.lines]
    chrf, unseen = sacrebleu.metrics.CHRF(), held_out_words()
    command = f"{a.command} --beam {HYPOTHESES} --n-best {HYPOTHESES} --length-penalty 1"
    made = []
    for lo in range(0, len(rows), PART):
        path = os.path.join(parts, f"{lo}.tsv")
        made.append(path)
        if os.path.exists(path):
            continue
        part = [(zh, en, src.encode(zh, out_type=str)) for _, zh, en in rows[lo:lo + PART]]
        part = [p for p in part if len(p[2]) < MAX_PIECES]
        hyps = tgt.decode([h.split() for h in pipe(command, [" ".join(p) for _, _, p in part], HYPOTHESES)])
        kept = [(zh, en, nearest(hyps[i * HYPOTHESES:(i + 1) * HYPOTHESES], en, chrf, unseen)) for i, (zh, en, _) in enumerate(part)]
        with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as f:
            f.writelines("\t".join(k) + "\n" for k in kept if k[2])
        os.replace(path + ".tmp", path)
        print(f"{min(lo + PART, len(rows))} of {len(rows)} pairs, {sum(bool(k[2]) for k in kept)} of {len(kept)} kept", flush=True)
    with open(done + ".tmp", "w", encoding="utf-8", newline="\n") as out:
        for path in made:
            with open(path, encoding="utf-8", newline="\n") as f:
                out.write(f.read())
    os.replace(done + ".tmp", done)


if __name__ == "__main__":
    main()
