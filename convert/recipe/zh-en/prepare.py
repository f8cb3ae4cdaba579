"""Raw pairs -> the two SentencePiece models and a filtered, tokenizable training set.

Reads train.permissive.tsv.gz (source tag, zh, en), lexicon.cedict.tsv.gz (zh, en) and the dev/test files; no pair with a side that
equals a line of those, or of the sentences that the card shows, is kept, nor one with a name of carry.tsv. Writes into --work:
source.spm, target.spm, train.tsv (tag, zh, en), prepare.json (counts). Deterministic; does nothing if already done.
"""
import argparse
import gzip
import io
import json
import os
import random
import re
import unicodedata

import sentencepiece as spm

from normalizer import fold_traditional

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 1
VOCAB = 8000
HELD_OUT = ["dev.tatoeba", "dev.3am", "dev.ntrex128", "test.tatoeba", "test.3am"]
SHOWN = ["everyday.txt", "weak.tsv", "carry.tsv", "forms.tsv"]  # beside this file: what the model says to them stands in the card
MANUALS = ("python-docs", "php-docs")
KEEP = ("phrases", "tatoeba", "3am", "dialog-human", "dialog-mt", "mlqe-pe", "lexicon") + MANUALS
SPM_MANUAL_LINES = 15000  # manuals are half of the pairs; the vocabulary should not be theirs

# Glosses of the dictionary that speak about the entry instead of translating it; what is left are words and names.
ABOUT_THE_ENTRY = re.compile(r"surname|variant|abbr|see also|\bsee\b|idiom|classifier|particle|\bused\b|dialect|prefix|suffix|radical|[\[(|;]|\bsb\b|\bsth\b")


def fold(text):
    """Case, width, spaces and punctuation folded away: what 'the same line' means for the leak check."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in text if unicodedata.category(c)[0] in "LN")


def read_tsv(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as f:
        return [line.rstrip("\n").split("\t") for line in f]


def wanted(tag, zh, en):
    if tag not in KEEP or not zh or not en or len(zh) > 120 or len(en) > 350:
        return False
    if tag == "lexicon":
        return 2 <= len(zh) <= 12 and len(en) <= 40 and not ABOUT_THE_ENTRY.search(en)
    if tag.startswith("dialog"):
        # Much of the dialogue English is typed without capitals or apostrophes ("hi i m looking"): not to be learnt.
        return not (en[0].islower() or re.search(r"\b(i|i m|don t|i d|it s)\b", en))
    return True


def held_out_keys(data):
    keys = set()
    for name in HELD_OUT:
        for zh, en in read_tsv(os.path.join(data, name + ".tsv")):
            keys.update((("zh", fold(zh)), ("en", fold(en))))
    for name in SHOWN:
        keys.update(("zh", fold(row[0])) for row in read_tsv(os.path.join(HERE, name)))
    return keys - {("zh", ""), ("en", "")}


def held_out_words():
    """Names and numbers of carry.tsv, which no training pair may have on its English side. Surnames are not among them: they are few."""
    words = {w for _, want in read_tsv(os.path.join(HERE, "carry.tsv")) for w in want.split()}
    surnames = {r.capitalize() for kind, _, r in read_tsv(os.path.join(HERE, "readings.tsv")) if kind == "surname"}
    return {w for w in words if not w.isdigit()} - surnames


def train_spm(sentences, prefix, coverage):
    image = io.BytesIO()  # written by us, not by the trainer, which would put the path into the file
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=image, model_type="unigram", vocab_size=VOCAB,
        byte_fallback=True, character_coverage=coverage, normalization_rule_name="nmt_nfkc",
        eos_id=0, unk_id=1, bos_id=-1, pad_id=-1, max_sentence_length=4096, num_threads=1, minloglevel=1)
    with open(prefix + ".spm.tmp", "wb") as f:
        f.write(fold_traditional(image.getvalue()) if prefix.endswith("source") else image.getvalue())
    os.replace(prefix + ".spm.tmp", prefix + ".spm")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"), help="folder of the .tsv files (or $ZHEN_DATA)")
    ap.add_argument("--work", default=os.environ.get("ZHEN_WORK"), help="folder for results (or $ZHEN_WORK)")
    a = ap.parse_args()
    done = os.path.join(a.work, "prepare.json")
    if os.path.exists(done):
        return
    os.makedirs(a.work, exist_ok=True)

    phrases = [["phrases"] + r for r in read_tsv(os.path.join(HERE, "phrases.tsv"))]
    lexicon = [["lexicon"] + r[-2:] for r in read_tsv(os.path.join(a.data, "lexicon.cedict.tsv.gz"))]
    pairs = read_tsv(os.path.join(a.data, "train.permissive.tsv.gz"))
    rows = phrases + [r for r in pairs + lexicon if len(r) == 3 and wanted(*r)]
    keys = held_out_keys(a.data)
    clean = [r for r in rows if ("zh", fold(r[1])) not in keys and ("en", fold(r[2])) not in keys]
    unseen = held_out_words()
    training = [r for r in clean if unseen.isdisjoint(re.findall(r"\w+", r[2]))]
    counts = {"leaks_dropped": len(rows) - len(clean), "names_held_out": len(clean) - len(training)}
    for tag in KEEP:
        counts[tag] = sum(r[0] == tag for r in training)
    print(counts, flush=True)

    rng = random.Random(SEED)
    manual = [r for r in clean if r[0] in MANUALS]
    for_spm = [r for r in clean if r[0] not in MANUALS + ("phrases", "lexicon")] + rng.sample(manual, SPM_MANUAL_LINES)
    train_spm([r[1] for r in for_spm], os.path.join(a.work, "source"), 0.9998)
    train_spm([r[2] for r in for_spm], os.path.join(a.work, "target"), 0.9999)

    tmp = os.path.join(a.work, "train.tsv.tmp")
    with open(tmp, "w", encoding="utf-8", newline="\n") as f:
        f.writelines("\t".join(r) + "\n" for r in training)
    os.replace(tmp, os.path.join(a.work, "train.tsv"))
    with open(done + ".tmp", "w") as f:
        json.dump(counts, f, indent=1)
    os.replace(done + ".tmp", done)


if __name__ == "__main__":
    main()
