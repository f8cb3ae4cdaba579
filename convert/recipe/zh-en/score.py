"""Scores an exported folder: greedy, float32, BLEU and chrF with their sacrebleu signatures, and ten sentences as they come."""
import argparse
import json
import os

import sacrebleu
import sentencepiece as spm
import torch

from export import load_export
from prepare import read_tsv

SETS = ["test.tatoeba", "test.3am", "dev.tatoeba", "dev.3am", "dev.ntrex128"]
TEN = ["我正在吃饭", "你好吗？", "火车站在哪里？", "今天天气很好。", "他每天早上喝咖啡。", "我不知道他什么时候来。",
       "一只狗在草地上奔跑。", "请给我一杯水。", "你能帮我一下吗？", "她昨天买了一本新书。"]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"))
    ap.add_argument("--model", required=True, help="the exported folder")
    ap.add_argument("--out", help="write scores.json and the hypotheses here")
    ap.add_argument("--sets", nargs="*", default=SETS)
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    m = load_export(a.model)
    src = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "source.spm"))
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(a.model, "target.spm"))
    translate = lambda lines: tgt.decode(m.greedy([src.encode(x, add_eos=True)[-500:] for x in lines]))
    result = {"sets": {}}
    if a.out:
        os.makedirs(a.out, exist_ok=True)
    for name in a.sets:
        rows = read_tsv(os.path.join(a.data, name + ".tsv"))
        hyp, refs = translate([zh for zh, _ in rows]), [[en for _, en in rows]]
        bleu, chrf = sacrebleu.metrics.BLEU(), sacrebleu.metrics.CHRF()
        b, c = bleu.corpus_score(hyp, refs), chrf.corpus_score(hyp, refs)
        result["sets"][name] = {"lines": len(rows), "bleu": round(b.score, 2), "chrf": round(c.score, 2)}
        result["signatures"] = [str(bleu.get_signature()), str(chrf.get_signature())]
        print(f"{name:14} {len(rows):5} lines  BLEU {b.score:5.2f}  chrF {c.score:5.2f}", flush=True)
        if a.out:
            with open(os.path.join(a.out, name + ".hyp"), "w", encoding="utf-8", newline="\n") as f:
                f.writelines(h.replace("\n", " ") + "\n" for h in hyp)
    print(*result["signatures"], sep="\n")
    result["ten"] = [[zh, en] for zh, en in zip(TEN, translate(TEN))]
    for zh, en in result["ten"]:
        print(zh, "->", en)
    if a.out:
        with open(os.path.join(a.out, "scores.json"), "w", encoding="utf-8", newline="\n") as f:
            json.dump(result, f, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
