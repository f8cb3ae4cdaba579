"""Translates lines.txt of both models with Marian in float32, from the numbers that the int8 weights stand for, so that nothing but the
mathematics of the model is compared. Writes marian.json beside each model: for every line the tokens, and the score (sum of
log-probabilities, the end token counted), greedy and with four beams.

    pip install pymarian==1.12.42 sentencepiece pyyaml portalocker tqdm requests huggingface_hub    (Python 3.11)
    python golden.py OUT              (what make.py wrote to)
"""
import json, sys, tempfile
from pathlib import Path

import numpy as np
import pymarian
import sentencepiece

import container

for folder, name, vocabs in (("shared", "enes", ("vocab", "vocab")), ("separate", "zhen", ("srcvocab", "trgvocab"))):
    folder = Path(sys.argv[1]) / folder
    plain = dict(np.load(folder / "plain.npz"))
    config = json.loads(str(plain.pop("config")))
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary) / "model.bin"
        container.write(model, {k: container.float32(v) for k, v in plain.items()}, config)
        paths = [str(folder / f"{v}.{name}.spm") for v in vocabs]
        target = sentencepiece.SentencePieceProcessor(model_file=paths[1])
        lines = (folder / "lines.txt").read_text().splitlines()
        golden = [{"source": line} for line in lines]
        for beam in (1, 4):
            translator = pymarian.Translator(
                f"--models {model} --vocabs {' '.join(paths)} --cpu-threads 1 --beam-size {beam} --normalize 0 --n-best --max-length 100"
                " --mini-batch 1 --maxi-batch 1 --quiet --quiet-translation --no-spm-decode --word-scores")
            n = 0
            for entry in translator.translate("\n".join(lines)).splitlines():
                number, text, rest = [f.strip() for f in entry.split("|||", 2)]
                item = golden[int(number)]
                if f"beam{beam}" in item:
                    continue  # the first is the best
                item[f"beam{beam}"] = {"tokens": text.split(), "score": float(rest.split("|||")[-1])}
                n += 1
            assert n == len(lines), n
    (folder / "marian.json").write_text("[\n" + ",\n".join(json.dumps(g, ensure_ascii=False) for g in golden) + "\n]\n")
