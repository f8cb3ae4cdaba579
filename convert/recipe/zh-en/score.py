"""Scores a model, greedy unless a command says otherwise: BLEU and chrF, lines that loop or come out empty, lines that differ from PyTorch's.

PyTorch runs the exported folder in float32. Others run on the same sentences:
--pieces NAME=COMMAND reads a line of source pieces, separated by spaces, and writes a line of target pieces (edge-infer translate --tokens;
float32/ for the reference); --text NAME=COMMAND reads and writes plain lines. SET/traditional and SET/full-width are a set's Chinese
lines in other forms. Writes OUT/SET.json and the hypotheses, so that several processes can share the sets.
"""
import argparse
import collections
import os
import shlex
import subprocess

import sacrebleu
import sentencepiece as spm
import torch

from export import load_export, write_json
from prepare import read_tsv

LOOP = 6  # a line with a word more often than this loops


def broken(line):
    words = collections.Counter(line.lower().split())
    return not words or max(words.values()) > LOOP


def other_form(form, lines):
    if form == "full-width":
        return [z.translate({c: c + 0xFEE0 for c in range(0x21, 0x7F)}) for z in lines]
    assert form == "traditional", form
    import opencc  # needed by this form alone
    return list(map(opencc.OpenCC("s2tw").convert, lines))


def read_set(data, name):
    """(Chinese lines, English lines) of SET or SET/FORM."""
    base, _, form = name.partition("/")
    zh, en = map(list, zip(*read_tsv(os.path.join(data, base + ".tsv"))))
    return other_form(form, zh) if form else zh, en


def pipe(command, lines, times=1):
    """The lines that a command writes, so many for each that it reads."""
    out = subprocess.run(shlex.split(command), input="".join(x + "\n" for x in lines), stdout=subprocess.PIPE, encoding="utf-8").stdout
    out = out.split("\n")[:-1]
    assert len(out) == times * len(lines), f"{command}: {len(out)} lines for {len(lines)}"
    return out


def measure(hyp, refs):
    bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF()
    scores = {"bleu": bleu.corpus_score(hyp, [refs]).score, "chrf": chrf.corpus_score(hyp, [refs]).score, "broken": sum(map(broken, hyp))}
    return scores, [str(bleu.get_signature()), str(chrf.get_signature())]


def named(values):
    return dict(v.split("=", 1) for v in values)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"))
    ap.add_argument("--model", required=True, help="the exported folder")
    ap.add_argument("--out", required=True)
    ap.add_argument("--sets", nargs="+", required=True)
    ap.add_argument("--pieces", action="append", default=[], metavar="NAME=COMMAND")
    ap.add_argument("--text", action="append", default=[], metavar="NAME=COMMAND")
    ap.add_argument("--no-pytorch", action="store_true")
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    m = load_export(a.model)
    src = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "source.spm"))
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "target.spm"))
    encode = lambda text: src.encode(text, out_type=str)[-500:]
    systems = {}
    if not a.no_pytorch:
        systems["pytorch"] = lambda lines: tgt.decode(m.greedy([src.piece_to_id(encode(z)) + [src.eos_id()] for z in lines]))
    for name, command in named(a.pieces).items():
        systems[name] = lambda lines, command=command: [tgt.decode(h.split()) for h in pipe(command, [" ".join(encode(z)) for z in lines])]
    for name, command in named(a.text).items():
        systems[name] = lambda lines, command=command: pipe(command, lines)
    os.makedirs(a.out, exist_ok=True)
    for name in a.sets:
        zh, en = read_set(a.data, name)
        file = os.path.join(a.out, name.replace("/", "+"))
        result = {"set": name, "lines": len(zh), "systems": {}}
        hyps = {}
        for system, translate in systems.items():
            hyps[system] = hyp = [h.replace("\n", " ") for h in translate(zh)]
            scores, result["signatures"] = measure(hyp, en)
            if "pytorch" in hyps:
                scores["differ"] = sum(x != y for x, y in zip(hyp, hyps["pytorch"]))
            result["systems"][system] = scores
            print(f"{name:24} {system:12} {len(zh):5} lines  BLEU {scores['bleu']:5.2f}  chrF {scores['chrf']:5.2f}  looping or empty {scores['broken']}", flush=True)
            with open(f"{file}.{system}.hyp", "w", encoding="utf-8", newline="\n") as f:
                f.writelines(h + "\n" for h in hyp)
        write_json(file + ".json", result)


if __name__ == "__main__":
    main()
