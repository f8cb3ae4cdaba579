"""Scores an exported folder, greedy: BLEU and chrF with their sacrebleu signatures, lines that loop or are empty, and ten sentences.

PyTorch runs the folder in float32. --system NAME=COMMAND adds others on the same sentences: a command that reads a line of source
pieces, separated by spaces, and writes a line of target pieces (edge-infer translate --tokens -m FILE; float32/ for the reference).
"""
import argparse
import collections
import json
import os
import shlex
import subprocess

import sacrebleu
import sentencepiece as spm
import torch

from export import load_export
from prepare import read_tsv

SETS = ["test.tatoeba", "test.3am", "dev.tatoeba", "dev.3am", "dev.ntrex128"]
LOOP = 6  # a line with a word more often than this loops
TEN = ["我正在吃饭", "你好吗？", "火车站在哪里？", "今天天气很好。", "他每天早上喝咖啡。", "我不知道他什么时候来。",
       "一只狗在草地上奔跑。", "请给我一杯水。", "你能帮我一下吗？", "她昨天买了一本新书。"]


def broken(line):
    words = collections.Counter(line.lower().split())
    return not words or max(words.values()) > LOOP


def piped(command, tgt):
    """A translator of pieces by a command."""
    def run(rows):
        out = subprocess.run(shlex.split(command), input="".join(" ".join(r) + "\n" for r in rows),
                             stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
        lines = out.split("\n")[:-1]
        assert len(lines) == len(rows), f"{command}: {len(lines)} lines for {len(rows)}"
        return [tgt.decode(line.split()) for line in lines]
    return run


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"))
    ap.add_argument("--model", required=True, help="the exported folder")
    ap.add_argument("--out", help="write scores.json and the hypotheses here")
    ap.add_argument("--sets", nargs="*", default=SETS)
    ap.add_argument("--system", action="append", default=[], metavar="NAME=COMMAND")
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    m = load_export(a.model)
    src = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "source.spm"))
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "target.spm"))
    encode = lambda text: src.encode(text, out_type=str)[-500:]
    systems = {"pytorch": lambda rows: tgt.decode(m.greedy([src.piece_to_id(r) + [src.eos_id()] for r in rows]))}
    for s in a.system:
        name, command = s.split("=", 1)
        systems[name] = piped(command, tgt)
    result = {"sets": {}}
    if a.out:
        os.makedirs(a.out, exist_ok=True)
    for name in a.sets:
        rows = read_tsv(os.path.join(a.data, name + ".tsv"))
        refs = [[en for _, en in rows]]
        for system, translate in systems.items():
            hyp = [h.replace("\n", " ") for h in translate([encode(zh) for zh, _ in rows])]
            bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF()
            b, c = bleu.corpus_score(hyp, refs).score, chrf.corpus_score(hyp, refs).score
            bad = sum(map(broken, hyp))
            result["sets"].setdefault(name, {})[system] = {"lines": len(rows), "bleu": round(b, 2), "chrf": round(c, 2), "broken": bad}
            result["signatures"] = [str(bleu.get_signature()), str(chrf.get_signature())]
            print(f"{name:14} {system:8} {len(rows):5} lines  BLEU {b:5.2f}  chrF {c:5.2f}  looping or empty {bad}", flush=True)
            if a.out:
                with open(os.path.join(a.out, f"{name}.{system}.hyp"), "w", encoding="utf-8", newline="\n") as f:
                    f.writelines(h + "\n" for h in hyp)
    print(*result["signatures"], sep="\n")
    result["ten"] = [[zh, en] for zh, en in zip(TEN, systems["pytorch"]([encode(zh) for zh in TEN]))]
    for zh, en in result["ten"]:
        print(zh, "->", en)
    if a.out:
        with open(os.path.join(a.out, "scores.json"), "w", encoding="utf-8", newline="\n") as f:
            json.dump(result, f, ensure_ascii=False, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
