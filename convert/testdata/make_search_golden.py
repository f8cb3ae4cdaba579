"""Makes search-ctranslate2.json beside it: CTranslate2's answers for every way to search.

    OMP_NUM_THREADS=1 python make_search_golden.py

Models: the folders ct2-float32 and ct2-int8 (a toy language, made by make_golden.py), aren-transliteration and
aren-transliteration-i8 (real). The int8 folders are run in int8 arithmetic, the others in float32. Versions are in the file.
A prefix is taken out of a sentence that the model would not give, so that it leads away from the best path.

Alternatives after a prefix of two tokens or more are asked of aren-transliteration* alone: in a model that starts from a zero
embedding, CTranslate2 4.8.5 makes zeros of the embeddings of the whole prefix then (zero_first_timestep in src/layers/decoder.cc
is given all of its steps at once), and its answers are those of no prefix.
"""
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import ctranslate2
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = {"ct2-float32": "float32", "ct2-int8": "int8", "aren-transliteration": "float32", "aren-transliteration-i8": "int8"}
ITEMS = 8

# prefix: how many tokens of the item's other sentence; suppress: two tokens in a row of its best one, at that place.
SETTINGS = [
    dict(beam_size=4, num_hypotheses=4, length_penalty=0), dict(beam_size=4, num_hypotheses=4, length_penalty=1),
    dict(beam_size=5, num_hypotheses=3, length_penalty=0), dict(beam_size=6, num_hypotheses=2, length_penalty=0.6),
    dict(beam_size=3, num_hypotheses=3, length_penalty=-0.5, max_decoding_length=5),
    dict(length_penalty=1), dict(length_penalty=0.3, min_decoding_length=12),
    dict(beam_size=4, min_decoding_length=9, length_penalty=0), dict(beam_size=3, min_decoding_length=7, length_penalty=1, num_hypotheses=2),
    dict(no_repeat_ngram_size=1, min_decoding_length=12), dict(no_repeat_ngram_size=2, min_decoding_length=14),
    dict(no_repeat_ngram_size=3, min_decoding_length=16), dict(beam_size=4, no_repeat_ngram_size=2, min_decoding_length=10, length_penalty=1),
    dict(beam_size=3, no_repeat_ngram_size=1, min_decoding_length=8, length_penalty=0, num_hypotheses=3),
    dict(repetition_penalty=1.3, min_decoding_length=12), dict(repetition_penalty=4, min_decoding_length=12),
    dict(repetition_penalty=0.7, max_decoding_length=12), dict(beam_size=4, repetition_penalty=1.5, min_decoding_length=8, length_penalty=1, num_hypotheses=2),
    dict(prefix=1), dict(prefix=3), dict(prefix=4, length_penalty=1), dict(prefix=2, max_decoding_length=3), dict(prefix=2, min_decoding_length=8),
    dict(prefix=1, beam_size=4, length_penalty=0), dict(prefix=2, beam_size=4, length_penalty=1, num_hypotheses=4),
    dict(prefix=4, beam_size=3, length_penalty=0, num_hypotheses=3), dict(prefix=3, beam_size=5, length_penalty=0.6, no_repeat_ngram_size=2),
    dict(prefix=2, beam_size=2, length_penalty=0, max_decoding_length=4, num_hypotheses=2),
    dict(alternatives=3), dict(alternatives=5, prefix=1), dict(alternatives=4, prefix=3, beam_size=3, length_penalty=1),
    dict(alternatives=3, beam_size=2, length_penalty=0, min_decoding_length=6), dict(alternatives=6, at_least=0.02),
    dict(alternatives=6, at_least=0.002, prefix=2, beam_size=2, length_penalty=0.5), dict(alternatives=2, max_decoding_length=1),
    dict(alternatives=3, no_repeat_ngram_size=1, min_decoding_length=10, prefix=2),
    dict(alternatives=3, repetition_penalty=2, min_decoding_length=10, beam_size=3, length_penalty=1),
    dict(suppress=0), dict(suppress=1, beam_size=4, length_penalty=1, num_hypotheses=3), dict(suppress=0, prefix=1, beam_size=3, length_penalty=0),
    dict(prefix=2, beam_size=4, length_penalty=0.8, min_decoding_length=9, no_repeat_ngram_size=2, repetition_penalty=1.2, num_hypotheses=3),
]


def vocabularies(folder):
    shared = os.path.join(folder, "shared_vocabulary.json")
    if os.path.exists(shared):
        both = json.load(open(shared, encoding="utf-8"))
        return both, both
    return tuple(open(os.path.join(folder, side + "_vocabulary.txt"), encoding="utf-8").read().split("\n")[:-1] + ["<unk>"]
                 for side in ("source", "target"))


def sources(name):
    """The items that other goldens have too: ids, with </s> for the toy language."""
    file = "aren-ctranslate2.json" if name.startswith("aren") else "ct2-float32/golden.json"
    return [item["source"] for item in json.load(open(os.path.join(HERE, file), encoding="utf-8"))["items"]][:ITEMS]


def answers(name, compute_type):
    folder = os.path.join(HERE, name)
    source, target = vocabularies(folder)
    number = {token: i for i, token in enumerate(target)}
    t = ctranslate2.Translator(folder, device="cpu", compute_type=compute_type, intra_threads=1)

    def translate(ids, settings, prefix=None, suppress=None):
        s = dict(beam_size=1, min_decoding_length=0, max_decoding_length=24)
        s.update(settings)
        if "alternatives" in s:
            s.update(return_alternatives=True, num_hypotheses=s.pop("alternatives"), min_alternative_expansion_prob=s.pop("at_least", 0))
        r = t.translate_batch([[source[i] for i in ids]], target_prefix=[[target[i] for i in prefix]] if prefix else None,
                              suppress_sequences=[[target[i] for i in suppress]] if suppress else None,
                              return_scores=True, return_end_token=True, **s)[0]
        return [[number[token] for token in h] for h in r.hypotheses], [round(x, 6) for x in r.scores]

    items, every = [], sources(name)
    best = [translate(ids, {})[0][0][:-1] for ids in every]
    for n, ids in enumerate(every):
        other = [i for i in best[(n + 1) % len(best)] + best[n]]
        runs = []
        for s in SETTINGS:
            settings = {k: v for k, v in s.items() if k not in ("prefix", "suppress")}
            prefix = other[:s["prefix"]] if "prefix" in s else None
            if s.get("alternatives") and s.get("prefix", 0) > 1 and name.startswith("ct2"):
                continue
            suppress = best[n][s["suppress"]:][:2] if "suppress" in s else None
            if suppress and len(suppress) < 2:
                continue
            hypotheses, scores = translate(ids, settings, prefix, suppress)
            runs.append(dict(settings, **({"prefix": prefix} if prefix else {}), **({"suppress": suppress} if suppress else {}),
                             hypotheses=hypotheses, scores=scores))
        items.append({"source": ids, "runs": runs})
    return items


def main():
    text = json.dumps({"versions": {"ctranslate2": ctranslate2.__version__, "numpy": np.__version__, "script": "convert/testdata/make_search_golden.py"},
                       "models": {name: answers(name, kind) for name, kind in MODELS.items()}})
    for start in ('{"source"', '{"beam_size"', '{"length_penalty"', '{"no_repeat', '{"repetition', '{"prefix"', '{"alternatives"', '{"max_dec', '{"min_dec'):
        text = text.replace(start, "\n" + start)
    with open(os.path.join(HERE, "search-ctranslate2.json"), "w", encoding="utf-8") as f:
        f.write(text + "\n")


if __name__ == "__main__":
    main()
