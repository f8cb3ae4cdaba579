"""Writes what sacremoses and subword-nmt make of texts, put together as Argos Translate does it, for moses_test.go.

    python make_moses_golden.py DATA FOLDER

DATA is a folder with dev.tatoeba.tsv (zh, en). FOLDER gets bpe.model (codes) and golden.jsonl: arrays of language from, language to, text,
pieces, and the pieces put together. Written with Python 3.11, sacremoses 0.2.0, subword-nmt 0.3.8.
"""

import io
import json
import random
import sys
from pathlib import Path

from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

TEXTS = [
    "Hello, world!", "It's Tom's; don't, we'll, I'd've", "He said: \"Go away.\" (And left.)", "3,14 and 2,718 and 1.5, 7,", "Mr. Smith met Dr. J. Brown, e.g. in Fig. 5.",
    "No. 5 is p. 7, pp. 3 and vs. them.", "The U.S. Army. They left.", "Wait... what?.. well....", "a,b,c ,d, 5,000,000", "the Jones' house 'quoted' \"double\" ``x''",
    "C'est l'été d'abord, n'est-ce pas ?", "« Bonjour » dit-il ; oui : non !", "L'acqua dell'uomo, un po'", "Er sagte: „Nein, z. B. nicht.“ Und ging.", "100 % oder 5 000 km",
    "你好，世界！我用Python 3.11写的。", "Привет, мир! Это - тест.", "EU:ssa on 5 €, $7 and £3.", "a & b | c < d > e [f] \"g\" 'h'", "naïve café — déjà-vu – yes", "e\u0301te\u0301",
    "x@y.org http://a.b/c?d=e&f=g", "tab\tand\r\nline", "nº 5\u00a0%, 3\u00a0cm, 1\u00a0000", "'", "''", "...", ".", ",", ",,5", "a.", "A.B.", "O'Neill o'clock 'tis 90's",
    "日本語のテスト、です。", "한국어 시험, 입니다.", "हिन्दी परीक्षा।", "a-b - c--d", "¿Qué? ¡No!", "(a)(b) ( c ) , . ; :", "well?!", "end.'", "1.", "Jan. 5", "St. Petersburg",
]  # fmt: skip
PAIRS = [("en", "de"), ("en", "fr"), ("fr", "en"), ("it", "fi"), ("zh", "en"), ("ru", "it"), ("ja", "en"), ("ko", "cs"), ("pt", "zh"), ("nl", "ko")]


def main():
    data, out = sys.argv[1], Path(sys.argv[2])
    lines = [line.rstrip("\n").split("\t")[1] for line in open(f"{data}/dev.tatoeba.tsv", encoding="utf8", newline="\n")][:3000]
    words = "\n".join(" ".join(MosesTokenizer("en").tokenize(MosesPunctNormalizer("en").normalize(line))) for line in lines)
    codes = io.StringIO()
    learn_bpe(io.StringIO(words), codes, 600)
    (out / "bpe.model").write_text(codes.getvalue(), encoding="utf8")
    bpe = BPE(io.StringIO(codes.getvalue()))
    rnd = random.Random(1)
    with open(out / "golden.jsonl", "w", encoding="utf8") as f:
        for source, target in PAIRS:
            tokenizer, detokenizer, normalizer = MosesTokenizer(source), MosesDetokenizer(target), MosesPunctNormalizer(source)
            for text in TEXTS + rnd.sample(lines, 100 if source == "en" else 10):
                words = " ".join(tokenizer.tokenize(normalizer.normalize(text)))
                pieces = bpe.segment_tokens(words.strip("\r\n ").split(" "))
                again = detokenizer.detokenize(" ".join(pieces).replace("@@ ", "").split(" "))
                f.write(json.dumps([source, target, text, pieces, again], ensure_ascii=False) + "\n")


main()
