"""Writes what both float32 models say next in 1,000 contexts, for the test that int8 says the same: number of the story that
recall.tsv.gz has, how many of its words are read (as spaces part them), the word of the RNN, the word of the LSTM.

    python contexts.py WORK ../../../runtime/models/recall.tsv.gz ../../../runtime/models/testdata/next-words.tsv.gz
"""
import gzip
import os
import sys

import torch

import data
from model import NextWord

CONTEXTS = 1000

work, stories, out = sys.argv[1:]
torch.set_num_threads(1)
with open(os.path.join(work, "vocab.txt"), encoding="utf-8") as f:
    words = f.read().splitlines()
index = {w: i for i, w in enumerate(words)}
with gzip.open(stories, "rt", encoding="utf-8") as f:
    texts = [line.split("\t")[1].split(" ") for line in f]
models = []
for kind in ("rnn", "lstm"):
    model = NextWord(kind, len(words))
    model.load_state_dict(torch.load(os.path.join(work, kind + ".pt")))
    models.append(model.eval())
rows = ""
with torch.no_grad():
    for i in range(CONTEXTS):  # every other story up to its question, the others cut anywhere
        text = texts[i % len(texts)]
        read = 1 + i * 7 % len(text) if i % 2 else len(text)
        ids = torch.tensor([[0] + [index.get(t, 1) for t in data.tokens(" ".join(text[:read]))]])
        # The runtime never says <s> or <unk>, the first two.
        said = [words[2 + int(m(ids)[0, -1, 2:].argmax())] for m in models]
        rows += "\t".join([str(i % len(texts)), str(read)] + said) + "\n"
os.makedirs(os.path.dirname(out), exist_ok=True)
with open(out, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", compresslevel=9, mtime=0, filename="") as z:
    z.write(rows.encode())
