"""Folds traditional Chinese characters to simplified ones inside a SentencePiece model, so that every reader of the file does it.

SentencePiece keeps its rules (nmt_nfkc: width, compatibility forms, control characters) as a double array of UTF-8 strings, the longest
match first. They are read back, the characters of traditional.tsv and the rules below added, and the library compiles the whole again.
"""
import io
import itertools
import os
import struct
import tempfile

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb2

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "traditional.tsv")

# What one character cannot decide: 乾 is 干 (dry) in these words and itself in names, 著 is 着 (a particle) after these verbs and
# itself in 著名 or 顯著. SentencePiece has no rule that leaves a word alone, so the words that change are listed.
WORDS = ("乾净 乾燥 乾杯 乾脆 乾旱 乾枯 乾爽 乾洗 乾粮 乾了 乾的 饼乾 晒乾 擦乾 弄乾 吹乾 晾乾 烘乾 葡萄乾 口乾 "
         "看著 穿著 戴著 坐著 站著 走著 跑著 拿著 带著 抱著 背著 提著 举著 躺著 睡著 等著 想著 笑著 哭著 活著 开著 关著 跟著 随著 沿著 朝著 向著 "
         "试著 接著 靠著 听著 说著 唱著 牵著 骑著 推著 拉著 放著 挂著 写著 画著 飞著 飘著 下著 住著 留著 藏著 握著 望著 盯著 指著 围著 绕著 忙著 急著").split()
# Forms that only traditional text uses: pronouns, quotation marks, the point between parts of a foreign name.
OWN = {"甚麼": "什么", "甚么": "什么", "妳": "你", "牠": "它", "祂": "他", "「": "“", "」": "”", "『": "‘", "』": "’",
       "〈": "《", "〉": "》", "・": "·", "‧": "·", "•": "·"}


def rules(charsmap):
    """The (from, to) pairs of a compiled map. Layout: u32 bytes of the array, u32 units, then zero-ended replacements.

    Unit bits (darts-clone): 0-7 label, 8 a leaf follows, 9 scale of the offset, 10-30 offset, 31 this is a leaf.
    """
    size = struct.unpack_from("<I", charsmap)[0]
    units = struct.unpack_from(f"<{size // 4}I", charsmap, 4)
    texts = charsmap[4 + size:]
    offset = lambda u: (u >> 10) << ((u & 0x200) >> 6)
    found, stack = [], [(0, b"")]
    while stack:
        at, key = stack.pop()
        base = at ^ offset(units[at])
        if units[at] >> 8 & 1:
            start = units[base] & 0x7FFFFFFF
            found.append((key.decode(), texts[start:texts.index(b"\0", start)].decode()))
        for label in range(1, 256):
            child = base ^ label
            if child < len(units) and units[child] & 0x800000FF == label:
                stack.append((child, key + bytes([label])))
    return found


def compile_rules(pairs):
    """The same form again, made by the library: a throw-away model is trained with these rules."""
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    image = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as f:
        f.writelines(f"{code(a)}\t{code(b)}\n" for a, b in sorted(pairs))
        f.flush()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(["a b c"] * 10), model_writer=image, model_type="char", vocab_size=8, hard_vocab_limit=False,
            normalization_rule_tsv=f.name, minloglevel=1)
    return pb2.ModelProto.FromString(image.getvalue()).normalizer_spec.precompiled_charsmap


def fold_traditional(image):
    """The bytes of a .model whose text is folded; its pieces stay as they are."""
    with open(TABLE, encoding="utf-8") as f:
        simple = dict(line.rstrip("\n").split("\t") for line in f)
    traditional = {}
    for t, c in simple.items():
        traditional.setdefault(c, []).append(t)
    words = {"".join(w): word.replace("乾", "干").replace("著", "着")
             for word in WORDS for w in itertools.product(*([c] + traditional.get(c, []) for c in word))}
    model = pb2.ModelProto.FromString(image)
    old = rules(model.normalizer_spec.precompiled_charsmap)
    pairs = {a: "".join(simple.get(c, c) for c in b) for a, b in old}
    for t, s in (simple | OWN | words).items():
        pairs.setdefault(t, s)
    model.normalizer_spec.precompiled_charsmap = compile_rules(pairs.items())
    return model.SerializeToString()
