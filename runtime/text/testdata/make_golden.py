"""Writes what the C++ library SentencePiece says of many texts, for golden_test.go and TestBigModels.

    python make_golden.py DATA MODEL.model...            beside each model a MODEL.golden: all of dev, 20,000 pairs of
                                                         train, 20,000 hostile texts, 20,000 lists of ids
    python make_golden.py --small DATA MODEL.model...    the few hundred lines kept in the repository
    python make_golden.py --train DATA FOLDER            trains the models kept in the repository

DATA is a folder with dev.tatoeba.tsv, dev.3am.tsv, dev.ntrex128.tsv (zh, en) and train.permissive.tsv.gz (tag, zh, en).
Written with Python 3.11, sentencepiece 0.2.3. Another version may differ: user-defined pieces score otherwise in 0.2.0.
"""

import gzip
import json
import random
import sys

import sentencepiece

FIXED = [
    b"", b" ", b"   ", b"\t\n", "\u3000\u3000".encode(), b"\x00", b"a\x00b", "▁".encode(), " ▁ ▁▁".encode(),
    "▁▁ a ▁".encode(), b"<s>", b"</s>", b"<unk>", b"<sep>", "▲▲▲b▲".encode(), "<sep> x<sep>y ▲".encode(), b"<2ja> hi",
    b">>fra<< hello", "\ufeffbom".encode(), "👩‍👩‍👧‍👦 family 🇨🇳🏳️‍🌈".encode(),
    "e\u0301\u0301 ñ Å ﬁ ㍿ ﷺ ½ ① ｶﾞ".encode(), "Z̸̢̛a̶l̷g̸o̵".encode(), b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xe4\xb8", b"abc\xe4\xb8", b"\xe4\xb8abc", b"\xf0\x9f\x98", b"\x80\x81", "\ufffd".encode(),
    "\U0010ffff\ue000".encode(), "\u200b\u200d\u00ad\u2028".encode(), b"\r\n", b"x\r\ny",
    "　全角　ＡＢＣ１２３！？".encode(), "龘龘龘x龘".encode(), b" lead and trail ", b"two  spaces   three", b"<0x41><0xE4>",
]  # fmt: skip
LONG = [
    b"a" * 5000, "的".encode() * 5000, "龘".encode() * 3000, b" " * 3000, b"a " * 3000, b"\xff" * 2000,
    b"0123456789" * 300, "长文本没有空格".encode() * 5000, b"Supercalifragilistic" * 3000, b"@#~^" * 20000,
]  # fmt: skip
PLANES = [
    (0, 0x80), (0x80, 0x800), (0x2000, 0x3100), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0x10000),
    (0x10000, 0x110000), (0x1F300, 0x1FA00), (0x300, 0x370), (0xFF00, 0xFFF0),
]  # fmt: skip
SPLICES = ["▁", "<sep>", "▲", "  ", "\u3000", "😀", "é", "e\u0301", "\0", "<unk>", "</s>", "ﬃ", "\ufeff"]


def hostile(lines, rnd, n):
    """Random bytes, random characters, and sentences cut, spliced and broken."""
    for _ in range(n):
        kind = rnd.random()
        if kind < 0.25:
            yield bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 60)))
            continue
        if kind < 0.55:
            chars = (rnd.choice([rnd.randrange(*rnd.choice(PLANES)), rnd.choice(b" a.e\n")]) for _ in range(rnd.randrange(1, 60)))
            yield "".join(map(chr, chars)).encode("utf8", "surrogatepass")
            continue
        b = bytearray(rnd.choice(lines).encode())
        for _ in range(rnd.randrange(1, 6)):
            at, what = rnd.randrange(len(b) + 1), rnd.random()
            if what < 0.3:
                del b[at : at + 1]
            elif what < 0.5:
                b[at:at] = rnd.choice(SPLICES).encode()
            elif what < 0.8:
                b.insert(at, rnd.randrange(256))
            else:
                other = rnd.randrange(len(b) + 1)
                b[at:at] = b[other : other + 20]
        yield bytes(b)


def dev(data, name):
    with open(f"{data}/dev.{name}.tsv", encoding="utf8", newline="\n") as f:
        return [line.rstrip("\n").split("\t") for line in f]


def train(data):
    with gzip.open(f"{data}/train.permissive.tsv.gz", "rt", encoding="utf8", newline="\n") as f:
        for line in f:
            yield line.rstrip("\n").split("\t")


def column(b):
    try:
        return json.dumps(b.decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
    except UnicodeDecodeError:
        return "x" + b.hex()


def write(model, inputs, lists):
    sp = sentencepiece.SentencePieceProcessor(model_file=model)
    size, rnd = sp.get_piece_size(), random.Random(3)
    dump = lambda x: json.dumps(x, ensure_ascii=False)
    with open(model.removesuffix(".model") + ".golden", "w", encoding="utf8", newline="\n") as out:
        for b in inputs:
            ids, pieces = sp.encode(b, out_type=int), sp.encode(b, out_type=str)
            out.write(f"{column(b)}\t{' '.join(map(str, ids))}\t{dump(pieces)}\t{dump(sp.decode(ids))}\n")
        for _ in range(lists):
            ids = [rnd.choice([rnd.randrange(size), rnd.randrange(min(size, 300)), rnd.randrange(5)]) for _ in range(rnd.randrange(12))]
            out.write(f"-\t{' '.join(map(str, ids))}\t[]\t{dump(sp.decode(ids))}\n")


def train_small(data, folder):
    pairs = dev(data, "tatoeba") + [p[1:] for p in train(data) if p[0] == "tatoeba"]
    for name, side, options in [
        ("zh-byte", 0, {"vocab_size": 900, "byte_fallback": True, "user_defined_symbols": "<sep>,▲"}),
        ("en", 1, {"vocab_size": 600, "user_defined_symbols": "<sep>,▲,▲▲b"}),
    ]:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([p[side] for p in pairs]), model_prefix=f"{folder}/{name}",
            character_coverage=0.98, num_threads=1, minloglevel=2, **options)  # fmt: skip


def main():
    args = sys.argv[1:]
    if args[0] == "--train":
        return train_small(*args[1:])
    small = args[0] == "--small"
    data, *models = args[small:]
    rnd = random.Random(7)
    if small:
        sentences = [s for p in dev(data, "tatoeba")[:60] for s in p]
        inputs = [s.encode() for s in sentences] + FIXED + list(hostile(sentences, rnd, 150))
    else:
        sentences = [s for n in ("tatoeba", "3am", "ntrex128") for p in dev(data, n) for s in p]
        sentences += [s for i, p in enumerate(train(data)) if i % 11 == 0 and i < 220000 for s in p[1:]]
        inputs = [s.encode() for s in sentences] + FIXED + LONG + list(hostile(sentences, rnd, 20000))
    for model in models:
        write(model, inputs, 60 if small else 20000)
        print(f"{model}: {len(inputs)} texts, sentencepiece {sentencepiece.__version__}")


main()
