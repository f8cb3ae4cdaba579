"""Trains small tokenizers with Hugging Face's tokenizers, and writes what they say of many texts, for json_test.go.

    python make_json_golden.py DATA FOLDER

DATA is a folder with dev.tatoeba.tsv (zh, en). Beside each FOLDER/NAME.tokenizer.json a NAME.jsonl: arrays of text, ids without what
the template adds, and the decoded ids. Written with Python 3.11, tokenizers 0.22, transformers 5.23.
"""

import json
import random
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from sentencepiece import sentencepiece_model_pb2

SPECIAL = ["</s>", "<unk>", "<pad>"]
ODD = [
    "", " ", "a", "Hello, world!", "It's Tom's; don't, we'll, I'd've", "3.14 and 2,718", "你好，世界！", "我用Python 3.11写的。你呢？", "龘龘x龘", "👩‍👩‍👧 family",
    "naïve café", "e\u0301", "Привет", "a  b   c", "tab\there", "全角　ＡＢＣ１２", "(a) [b] {c}", "x" * 300, "的" * 100, "ab1cd2 e3", "--- ...!?", "ﬁne ①",
    "no\u00a0break", "line\nend", "'s 'S ' s", "  lead", "trail  ", "1 000 000", "a1b2c3", "_under_score_", "¿Qué? «oui»", "ｶﾞ",
]  # fmt: skip


def main():
    data, out = sys.argv[1], Path(sys.argv[2])
    pairs = [line.rstrip("\n").split("\t") for line in open(f"{data}/dev.tatoeba.tsv", encoding="utf8", newline="\n")]
    lines = [text for pair in pairs for text in pair]
    corpus = [en for _, en in pairs[:2000]] + [zh for zh, _ in pairs[:100]]
    proto = sentencepiece_model_pb2.ModelProto.FromString((out.parent / "zh-byte.model").read_bytes())
    meta = lambda **o: pre_tokenizers.Metaspace(**o)
    words = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), meta()])

    def make(name, model, trainer, normalizer, pre, decoder, template=True):
        t = Tokenizer(model)
        if normalizer:
            t.normalizer = normalizer
        if pre:
            t.pre_tokenizer = pre
        t.decoder = decoder
        t.train_from_iterator(corpus, trainer)
        if template:
            t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", t.token_to_id("</s>"))])
        file = json.loads(t.to_str())
        # Bytes are tokens like others: the trainer knows no other way to have them than as special ones.
        file["added_tokens"] = [a for a in file["added_tokens"] if not a["content"].startswith("<0x")]
        (out / f"{name}.tokenizer.json").write_text(json.dumps(file, ensure_ascii=False), encoding="utf8")
        golden(Tokenizer.from_str(json.dumps(file)), name)

    def golden(t, name):
        rnd = random.Random(1)
        with open(out / f"{name}.jsonl", "w", encoding="utf8") as f:
            for text in ODD + rnd.sample(lines, 120):
                ids = t.encode(text, add_special_tokens=False).ids
                f.write(json.dumps([text, ids, t.decode(ids)], ensure_ascii=False).replace("\x7f", "\\u007f") + "\n")

    bpe = lambda n, **o: trainers.BpeTrainer(vocab_size=n, special_tokens=SPECIAL, show_progress=False, **o)
    make("unigram-words", models.Unigram(), trainers.UnigramTrainer(vocab_size=800, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
         normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), words, decoders.Metaspace())  # fmt: skip
    make("bpe-words", models.BPE(unk_token="<unk>"), bpe(700, limit_alphabet=400), None, words, decoders.Metaspace())
    make("bpe-bytelevel", models.BPE(), bpe(700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), None,
         pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel())  # fmt: skip
    make("bpe-bytelevel-prefix", models.BPE(unk_token="<unk>"), bpe(400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), None,
         pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel(), template=False)  # fmt: skip
    # As Llama's: no words, bytes for what is unknown.
    make("bpe-fallback", models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
         trainers.BpeTrainer(vocab_size=900, special_tokens=SPECIAL + [f"<0x{b:02X}>" for b in range(256)], limit_alphabet=200, show_progress=False, max_token_length=12),
         normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
         decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))  # fmt: skip
    # XLM-R's: runs of spaces are one, pieces stay within words.
    make("unigram-runs", models.Unigram(), trainers.UnigramTrainer(vocab_size=600, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
         normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")]),
         meta(prepend_scheme="first"), decoders.Metaspace(prepend_scheme="first"))  # fmt: skip


main()
