"""Fills the blocks <!-- NAME --> ... <!-- /NAME --> of documents with what was measured, and with what the model says, unedited.

card.py --work WORK DOCUMENT...: reads WORK/scores, choice.csv and train.tsv, and runs WORK/edge-infer with WORK/zh-en.ei8.
"""
import argparse
import csv
import difflib
import glob
import json
import os
import re

from prepare import HERE, fold, read_tsv
from score import pipe

SYSTEMS = {"pytorch": "PyTorch, float32", "reference": "Go reference, float32", "int8": "int8", "beam": "int8, beam", "translate": "int8, `translate`"}
SETS = ["test.tatoeba", "test.3am", "dev.tatoeba", "dev.3am", "dev.ntrex128"]
FORMS = ["dev.tatoeba/traditional", "dev.3am/traditional", "dev.tatoeba/full-width", "dev.3am/full-width"]


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, r)) + " |" for r in [head, ["---"] * len(head), *rows])


def likeness(line, training):
    """How like the likest training line is, 0 to 1: difflib's ratio, sought among the eight that share most pairs of characters."""
    key = fold(line)
    pairs = set(zip(key, key[1:]))
    near = sorted(training, key=lambda t: -2 * len(pairs & t[1]) / (len(pairs) + len(t[1]) + 1e-9))[:8]
    return max(difflib.SequenceMatcher(None, key, t).ratio() for t, _ in near)


class Card:
    def __init__(self, work):
        self.work = work
        self.command = f"{work}/edge-infer translate -m {work}/zh-en.ei8"
        self.results = {}
        for path in glob.glob(os.path.join(work, "scores", "*.json")):
            with open(path, encoding="utf-8") as f:
                r = json.load(f)
            self.results[r["set"]] = r

    def lines(self, name):
        return [row[0] for row in read_tsv(os.path.join(HERE, name))]

    def says(self, lines):
        return pipe(self.command, lines)

    def scores(self):
        rows = []
        for name in filter(self.results.get, SETS):
            r = self.results[name]
            for system in filter(r["systems"].get, SYSTEMS):
                s = r["systems"][system]
                differ = "" if system in ("pytorch", "translate", "beam") else s.get("differ", "")
                rows.append([name, r["lines"], SYSTEMS[system], f"{s['bleu']:.2f}", f"{s['chrf']:.2f}", s["broken"], differ])
        signatures = next(iter(self.results.values()))["signatures"]
        return table(["set", "lines", "run", "BLEU", "chrF", "looping or empty", "lines unlike PyTorch's"], rows) + \
            "\n\n" + ",\n".join(f"`{s}`" for s in signatures)

    def choice(self):
        with open(os.path.join(self.work, "choice.csv"), newline="") as f:
            rows = list(csv.reader(f))
        head = [h.replace("_", " ").replace("mean", "mean BLEU").replace("broken", "looping or empty") for h in rows[0]]
        return table(head, rows[1:])

    def said(self, name):
        lines = self.lines(name)
        return table(["Chinese", "English"], zip(lines, self.says(lines)))

    def ten(self):
        return self.said("ten.txt")

    def everyday(self):
        keys = {fold(zh) for tag, zh, _ in read_tsv(os.path.join(self.work, "train.tsv"))}
        training = [(k, set(zip(k, k[1:]))) for k in keys]
        like = [likeness(z, training) for z in self.lines("everyday.txt")]
        assert max(like) < 1, "a sentence of everyday.txt is in the training set"
        return self.said("everyday.txt") + (
            f"\n\nNone of them is a training line. The training line that is most like one of them shares {max(like):.2f} of it "
            f"(difflib's ratio over characters, punctuation left out; {sum(x > 0.6 for x in like)} of {len(like)} are above 0.6).")

    def weak(self):
        rows = read_tsv(os.path.join(HERE, "weak.tsv"))
        said = self.says([zh for zh, _, _ in rows])
        return table(["what", "Chinese", "it says", "it means"], [[kind, zh, s, en] for (zh, kind, en), s in zip(rows, said)])

    def carried(self):
        rows = read_tsv(os.path.join(HERE, "carry.tsv"))
        found, lost = {}, []
        for (zh, want), said in zip(rows, self.says([r[0] for r in rows])):
            kind = "numbers" if want[0].isdigit() or want == "K8391" else "Latin names" if re.search("[A-Za-z]", zh) else "Chinese names"
            there = all(re.search(r"(?<![0-9A-Za-z])" + re.escape(w) + r"(?![0-9A-Za-z])", said) for w in want.split())
            found.setdefault(kind, []).append(there)
            if not there:
                lost.append([zh, want, said])
        text = ", ".join(f"{k} {sum(v)} of {len(v)}" for k, v in found.items())
        return f"Carried over as they should be: {text}." + ("\n\n" + table(["not so", "should have", "it says"], lost) if lost else "")

    def forms(self):
        rows = read_tsv(os.path.join(HERE, "forms.tsv"))
        pairs = list(zip(self.says([r[0] for r in rows]), self.says([r[1] for r in rows])))
        unlike = [[plain, form, a, b] for (plain, form), (a, b) in zip(rows, pairs) if a != b]
        out = f"{len(rows) - len(unlike)} of {len(rows)} sentences in traditional characters or full-width forms (`forms.tsv`) give the same as in simplified, half-width ones."
        if unlike:
            out += "\n\n" + table(["simplified", "other form", "gives", "other gives"], unlike)
        scored = []
        for name in filter(self.results.get, FORMS):
            base = name.split("/")[0]
            if base in self.results:
                a, b = self.results[base]["systems"]["int8"], self.results[name]["systems"]["int8"]
                scored.append([name, f"{b['bleu']:.2f} / {b['chrf']:.2f}", f"{a['bleu']:.2f} / {a['chrf']:.2f}"])
        return out + "\n\n" + table(["Chinese side rewritten (OpenCC s2tw; ASCII to full width)", "BLEU / chrF, int8", "as it was"], scored)

    def fill(self, path):
        with open(path, encoding="utf-8", newline="\n") as f:
            text = f.read()
        text = re.sub(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", lambda m: m[1] + getattr(self, m[2])() + "\n" + m[3], text, flags=re.S)
        with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as f:
            f.write(text)
        os.replace(path + ".tmp", path)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--work", default=os.environ.get("ZHEN_WORK"))
    ap.add_argument("documents", nargs="+")
    a = ap.parse_args()
    card = Card(os.path.abspath(a.work))
    with open(os.path.join(a.work, "scores.csv"), "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["set", "lines", "system", "bleu", "chrf", "looping_or_empty", "unlike_pytorch"])
        for name, r in sorted(card.results.items()):
            for system, s in r["systems"].items():
                w.writerow([name, r["lines"], system, f"{s['bleu']:.2f}", f"{s['chrf']:.2f}", s["broken"], s.get("differ", "")])
    for path in a.documents:
        card.fill(path)


if __name__ == "__main__":
    main()
