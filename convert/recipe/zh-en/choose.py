"""Beam and length penalty, chosen on the dev sets: of those within NOISE of the highest BLEU, the mean over the sets, the one with the
fewest lines that loop or come out empty.

choose.py --model FOLDER --command "edge-infer translate --tokens -m FILE" --out CSV. The choice goes into the folder's
generation_config.json: what convert makes of the folder then searches so unless told otherwise.
"""
import argparse
import concurrent.futures
import csv
import json
import os
import sys

import sentencepiece as spm

from export import write_json
from score import measure, pipe, read_set

SETS = ["dev.tatoeba", "dev.3am", "dev.ntrex128"]
TRIED = [(1, 0), (2, 0), (2, 1), (4, 0), (4, 0.6), (4, 1), (4, 1.4)]  # beams, penalties
NOISE = 0.1


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"))
    ap.add_argument("--model", required=True, help="the exported folder")
    ap.add_argument("--command", required=True, help="reads and writes lines of pieces; --beam and --length-penalty are added")
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    src = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "source.spm"))
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "target.spm"))
    sets = [(name, *read_set(a.data, name)) for name in SETS]

    def tried(beam, penalty):
        row = {"beam": beam, "length_penalty": penalty, "mean": 0.0, "broken": 0}
        for name, zh, en in sets:
            out = pipe(f"{a.command} --beam {beam} --length-penalty {penalty}", [" ".join(src.encode(z, out_type=str)[-500:]) for z in zh])
            scores, _ = measure([tgt.decode(h.split()) for h in out], en)
            row |= {f"{name} BLEU": f"{scores['bleu']:.2f}", f"{name} chrF": f"{scores['chrf']:.2f}"}
            row["broken"] += scores["broken"]
            row["mean"] += scores["bleu"] / len(sets)
        print(row, file=sys.stderr, flush=True)
        return row

    with concurrent.futures.ThreadPoolExecutor(2) as two:  # the work is in the commands
        rows = list(two.map(tried, *zip(*TRIED)))
    top = max(r["mean"] for r in rows)
    best = min((r for r in rows if r["mean"] > top - NOISE), key=lambda r: (r["broken"], r["beam"]))
    for row in rows:
        row["mean"] = f"{row['mean']:.2f}"
    with open(a.out + ".tmp", "w", newline="") as f:
        w = csv.DictWriter(f, list(rows[0]))
        w.writeheader()
        w.writerows(rows)
    os.replace(a.out + ".tmp", a.out)
    path = os.path.join(a.model, "generation_config.json")
    with open(path, encoding="utf-8") as f:
        generation = json.load(f)
    write_json(path, generation | {"num_beams": best["beam"], "length_penalty": best["length_penalty"]})


if __name__ == "__main__":
    main()
