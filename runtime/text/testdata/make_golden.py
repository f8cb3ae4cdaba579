"""Writes what the C++ library SentencePiece says of many texts, for golden_test.go and TestBigModels.

    python make_golden.py DATA MODEL.model...            beside each model a MODEL.golden: all of dev, 20,000 pairs of
                                                         train, 20,000 hostile texts, 20,000 lists of ids
    python make_golden.py --small DATA MODEL.model...    the few hundred lines kept in the repository
    python make_golden.py --train DATA FOLDER            trains the models kept in the repository
    python make_golden.py --odd FOLDER FIRST LAST [KIND] small random models of seeds FIRST to LAST-1, and their .golden:
                                                         ties, nested user-defined symbols, unused pieces, odd flags
    python make_golden.py --kinds DATA FOLDER            trains BPE, word and char models with every normalizer and option,
                                                         of mixed Chinese and English; --kinds-small: those of the repository

DATA is a folder with dev.tatoeba.tsv, dev.3am.tsv, dev.ntrex128.tsv (zh, en) and train.permissive.tsv.gz (tag, zh, en).
Written with Python 3.11, sentencepiece 0.2.3. Another version may differ: user-defined pieces score otherwise in 0.2.0.
"""

import gzip
import json
import random
import struct
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


def write_rules(folder):
    # A handful of rules instead of nmt_nfkc's 240 KB: full width, a ligature, a composition, signs and a deletion.
    rules = [([c], [c - 0xFEE0]) for c in range(0xFF01, 0xFF5F)] + [
        ([0x3000], [0x20]), ([9], [0x20]), ([10], [0x20]), ([0xFB01], [0x66, 0x69]), ([0x65, 0x301], [0xE9]),
        ([0x65, 0x301, 0x301], [0xE9, 0x301]), ([0x2460], [0x31]), ([0xFDFA], [0x20, 0x635, 0x20]), ([0x200B], []), ([0xFEFF], []),
    ]  # fmt: skip
    with open(f"{folder}/rules.tsv", "w") as f:
        for a, b in sorted(rules):
            f.write(f"{' '.join(f'{c:X}' for c in a)}\t{' '.join(f'{c:X}' for c in b)}\n")


def train_small(data, folder):
    pairs = dev(data, "tatoeba") + [p[1:] for p in train(data) if p[0] == "tatoeba"]
    write_rules(folder)
    for name, side, options in [
        ("zh-byte", 0, {"vocab_size": 2000, "byte_fallback": True, "user_defined_symbols": "<sep>,▲", "normalization_rule_tsv": f"{folder}/rules.tsv"}),
        ("en", 1, {"vocab_size": 600, "user_defined_symbols": "<sep>,▲,▲▲b"}),
    ]:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([p[side] for p in pairs]), model_prefix=f"{folder}/{name}",
            character_coverage=0.98, num_threads=1, minloglevel=2, **options)  # fmt: skip


def train_kinds(data, folder, small):
    pairs = dev(data, "tatoeba") + ([] if small else [p[1:] for i, p in enumerate(train(data)) if i % 40 == 0])
    write_rules(folder)
    with open(f"{folder}/unrules.tsv", "w") as f:  # for decoded text: A to a, two full stops to an ellipsis, U+2047 to ?
        f.write("41\t61\n2E 2E\t2026\n2047\t3F\n")
    keep = {"remove_extra_whitespaces": False}
    bare = {"add_dummy_prefix": False, **keep}
    suffix = {"treat_whitespace_as_suffix": True}
    rules = {"normalization_rule_tsv": f"{folder}/rules.tsv"}
    user = {"user_defined_symbols": "<sep>,▲,▲▲b,▁▁,的"}
    named = lambda name: {"normalization_rule_name": name}
    if small:
        kinds = [
            ("bpe-mixed", "bpe", 1700, {"byte_fallback": True, "denormalization_rule_tsv": f"{folder}/unrules.tsv", **rules, **user}),
            ("bpe-keep", "bpe", 1400, {**suffix, **bare, **named("identity"), **user}),
            ("word-mixed", "word", 400, {**rules, **user}),
            ("char-mixed", "char", 1000, {**keep, **rules, **user}),
        ]  # fmt: skip
    else:
        kinds = [
            (f"{kind}-{rule}-{name}", kind, {"bpe": 8000, "word": 8000, "char": 4000, "unigram": 8000}[kind], {**options, **named(rule)})
            for kind in ("bpe", "word", "char", "unigram")
            for name, rule, options in [
                ("plain", "nmt_nfkc", {}), ("user", "nfkc", user), ("keep", "nmt_nfkc_cf", {**keep, **user}), ("bare", "nfkc_cf", bare),
                ("suffix", "identity", suffix), ("byte", "nmt_nfkc", {"byte_fallback": True, **user} if kind != "word" else suffix),
            ]
        ]  # fmt: skip
    for name, kind, size, options in kinds:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([s for p in pairs for s in p]), model_prefix=f"{folder}/{name}", model_type=kind, vocab_size=size,
            character_coverage=0.98, num_threads=1, minloglevel=2, hard_vocab_limit=kind in ("bpe", "unigram"),
            **options)  # fmt: skip


def field(number, value):
    """One protobuf field: bytes, float or integer."""
    varint = lambda n: bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def odd(folder, seed, kind="unigram"):
    number = ["", "unigram", "bpe", "word", "char"].index(kind)
    rnd = random.Random(seed)
    alphabet = ["a", " ", "▁", "b", " ", "é", "的", "😀", "c"][: rnd.randrange(4, 10)]
    word = lambda n: "".join(rnd.choice(alphabet) for _ in range(rnd.randrange(1, n)))
    grid = rnd.choice([1, 0.5, 0.1, 0.001, 300.7, 4123.4567])  # coarse scores tie, large ones reset the sums
    score = lambda: -float(rnd.randrange(1, 9)) * grid
    fallback = rnd.random() < 0.4
    pieces = [("<unk>", 2, 0.0), ("<s>", 3, 0.0), ("</s>", 3, 0.0), (word(3) + "c", 3, 0.0)]
    if fallback:
        pieces += [(f"<0x{c:02X}>", 6, 0.0) for c in range(256)]
    seen = {p[0] for p in pieces} if rnd.random() < 0.5 else set()
    for _ in range(rnd.randrange(3, 60)):
        w = word(6)
        if w not in seen:
            seen.add(w)
            pieces.append((w, rnd.choice([1, 1, 1, 1, 1, 4, 5]), score()))
    flag = lambda number, p: field(number, int(rnd.random() < p))
    trainer = field(3, number) + flag(24, 0.3) + field(35, int(fallback)) + field(44, b"[?]" if rnd.random() < 0.5 else b" \xe2\x81\x87 ")
    model = b"".join(field(1, field(1, p.encode()) + field(2, s) + field(3, t)) for p, t, s in pieces)
    model += field(2, trainer) + field(3, flag(3, 0.7) + flag(4, 0.5) + flag(5, 0.7))
    name = f"odd{seed}" if kind == "unigram" else f"odd-{kind}{seed}"
    with open(f"{folder}/{name}.model", "wb") as f:
        f.write(model)
    texts = [word(rnd.choice([3, 10, 40])).encode() for _ in range(40)]
    texts += [word(9).encode() + rnd.randbytes(rnd.randrange(3)) + word(9).encode() for _ in range(20)] + [word(1500).encode()] * (grid > 1)
    write(f"{folder}/{name}.model", texts, 40)


def main():
    args = sys.argv[1:]
    if args[0] == "--odd":
        for seed in range(int(args[2]), int(args[3])):
            odd(args[1], seed, *args[4:])
        return
    if args[0] == "--train":
        return train_small(*args[1:])
    if args[0].startswith("--kinds"):
        return train_kinds(*args[1:], args[0] == "--kinds-small")
    small = args[0] == "--small"
    data, *models = args[small:]
    rnd = random.Random(7)
    if small:
        sentences = [s for p in dev(data, "tatoeba")[:50] for s in p]
        inputs = [s.encode() for s in sentences] + FIXED + list(hostile(sentences, rnd, 60))
    else:
        sentences = [s for n in ("tatoeba", "3am", "ntrex128") for p in dev(data, n) for s in p]
        sentences += [s for i, p in enumerate(train(data)) if i % 11 == 0 and i < 330000 for s in p[1:]]
        inputs = [s.encode() for s in sentences] + FIXED + LONG + list(hostile(sentences, rnd, 20000))
    for model in models:
        write(model, inputs, 40 if small else 20000)
        print(f"{model}: {len(inputs)} texts, sentencepiece {sentencepiece.__version__}")


main()
