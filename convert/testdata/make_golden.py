"""Makes the folders marian-* and ct2-* beside it: small models, and what PyTorch and CTranslate2 say they give.

    python make_golden.py OUTPUT_FOLDER TATOEBA_TSV

Versions used are written into each golden.json.
TATOEBA_TSV is shared/data/zh-en/dev.tatoeba.tsv (Tatoeba, CC-BY 2.0 FR): a SentencePiece model of 70 pieces is trained on its
English column.

Models (d 32, 4 heads, 2 + 2 layers, ffn 80, which is no multiple of 16 x 2 on purpose):
  marian-safetensors  Hugging Face Marian: post-norm, swish, tied, zero start; float32 in model.safetensors
  marian-bin          the same weights in pytorch_model.bin (zip), with the position tables, as old exports have them
  marian-half         the same weights rounded to float16
  marian-separate     two vocabularies, pre-norm, relu, tied target side: the form that recipe/zh-en exports
  ct2-float32, ct2-int8   CTranslate2's conversion of marian-safetensors
and aren-ctranslate2.json, aren-i8-ctranslate2.json: CTranslate2's answers for the real models in aren-transliteration*
"""
import importlib.util
import json
import os
import shutil
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
import ctranslate2
import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianMTModel

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__, "ctranslate2": ctranslate2.__version__,
            "sentencepiece": sentencepiece.__version__, "script": "convert/testdata/make_golden.py"}
V = 60            # with </s>, <unk> and <pad>
D, HEADS, FFN, LAYERS, MAX_POS = 32, 4, 80, 2, 64
SETTINGS = [dict(beam_size=b, length_penalty=p, min_decoding_length=lo, max_decoding_length=hi)
            for b, p, lo, hi in [(1, 1, 0, 24), (1, 1, 5, 5), (2, 1, 0, 24), (4, 0, 0, 24), (4, 0.6, 0, 24), (4, 1, 0, 24), (4, 1, 6, 12),
                                 (4, 2, 3, 24), (4, 0, 8, 8), (4, 1, 0, 4), (5, 1.2, 1, 20), (40, 1, 0, 10), (2, 0, 0, 24), (3, 0, 0, 24)]]


def spm(folder, tsv, name, vocab, seed):
    """A tiny SentencePiece model, and vocab.json in another order: ids come from vocab.json, never from the model."""
    rows = [line.split("\t")[-1].strip().lower() for line in open(tsv, encoding="utf-8")]
    rows = [r for r in rows if r.isascii() and set(r) <= set("abcdefghijklmnopqrstuvwxyz .,?'")][:400]
    text = os.path.join(folder, "text")
    open(text, "w").write("\n".join(rows))
    sentencepiece.SentencePieceTrainer.train(
        input=text, model_prefix=os.path.join(folder, name), vocab_size=vocab, model_type="unigram",
        normalization_rule_name="identity", hard_vocab_limit=True, minloglevel=2)
    os.remove(text)
    os.remove(os.path.join(folder, name + ".vocab"))
    # The trainer records its paths in the model; they mean nothing to anybody else.
    path, model = os.path.join(folder, name + ".model"), sentencepiece_model_pb2.ModelProto()
    with open(path, "rb") as f:
        model.ParseFromString(f.read())
    del model.trainer_spec.input[:]
    model.trainer_spec.model_prefix = ""
    with open(path, "wb") as f:
        f.write(model.SerializeToString())
    path = os.path.join(folder, name + ".spm")
    os.rename(os.path.join(folder, name + ".model"), path)
    sp = sentencepiece.SentencePieceProcessor(model_file=path)
    pieces = [sp.id_to_piece(i) for i in range(3, sp.get_piece_size())]
    np.random.RandomState(seed).shuffle(pieces)
    return pieces


def vocabulary(pieces):
    return {p: i for i, p in enumerate(["</s>", "<unk>"] + pieces + ["<pad>"])}


def sources(count, vocab, seed):
    r = np.random.RandomState(seed)
    return [[int(x) for x in r.randint(2, vocab - 1, r.randint(2, 11))] + [0] for _ in range(count)]


def draw(shapes, seed):
    """A start for training that leaves nothing at zero or one: a mistake in any bias or norm shows."""
    g = torch.Generator().manual_seed(seed)
    out = {}
    for name, shape in shapes.items():
        if "embed_positions" in name:
            continue
        x = torch.randn(shape, generator=g)
        if name.endswith("final_logits_bias"):
            x *= 0.3
            x[0, -1] = -100.0       # <pad> is never produced, and does not enter the softmax: CTranslate2 has no such row
        elif "layer_norm" in name:
            x = 1 + 0.2 * x if name.endswith("weight") else 0.2 * x
        elif name.endswith("bias"):
            x *= 0.1
        else:
            x *= shape[1] ** -0.5
            if "embed_tokens" in name or "shared" in name:
                x[-1] = 0
        out[name] = x
    return out


def train(model, loss, embeddings, seed, steps=700):
    """Teaches a toy language for some seconds: the target is the source backwards, every id replaced by a fixed other one.

    One target token in ten is random, so that beams have something to decide. loss takes sources [B, S] and targets [B, S]
    with </s>. Trained weights give sentences that differ, end, and are decided by clear margins; random ones repeat one token.
    """
    g = torch.Generator().manual_seed(seed)
    mapping = torch.cat([torch.tensor([0, 1]), 2 + torch.randperm(V - 3, generator=g)])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 100) * (1 - step / steps)
        n = int(torch.randint(1, 9, (1,), generator=g))
        source = torch.randint(2, V - 1, (48, n), generator=g)
        target = mapping[source.flip(1)]
        noise = torch.rand(target.shape, generator=g) < 0.1
        target[noise] = torch.randint(1, V - 1, (int(noise.sum()),), generator=g)
        end = torch.zeros(48, 1, dtype=torch.long)
        optimizer.zero_grad()
        value = loss(torch.cat([source, end], 1), torch.cat([target, end], 1))
        value.backward()
        optimizer.step()
        with torch.no_grad():
            for e in embeddings:
                e[-1] = 0           # <pad> stays the zero embedding from which the decoder starts
    print("loss", float(value))


def marian(folder):
    config = MarianConfig(
        vocab_size=V, d_model=D, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS, encoder_ffn_dim=FFN, decoder_ffn_dim=FFN, activation_function="swish",
        max_position_embeddings=MAX_POS, scale_embedding=True, static_position_embeddings=True, normalize_before=False,
        normalize_embedding=False, add_final_layer_norm=False, pad_token_id=V - 1, decoder_start_token_id=V - 1, eos_token_id=0,
        forced_eos_token_id=0, bad_words_ids=[[V - 1]], num_beams=6, architectures=["MarianMTModel"])
    model = MarianMTModel(config).eval()
    state = model.state_dict()
    shapes = {n: tuple(t.shape) for n, t in state.items()
              if n not in ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")}
    drawn = draw(shapes, 11)
    missing, unexpected = model.load_state_dict(drawn, strict=False)
    assert not unexpected
    model.tie_weights()
    train(model, lambda x, y: model(input_ids=x, labels=y).loss, [model.model.shared.weight], 12)
    model.eval()
    state = model.state_dict()
    return config, model, {n: state[n].clone() for n in drawn}


def first_logits(model, ids, pad):
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[pad]]))
    return out.logits[0, -1].tolist()


def generate(model, ids, pad, **options):
    out = model.generate(torch.tensor([ids]), do_sample=False, forced_eos_token_id=None, bad_words_ids=[[pad]],
                         early_stopping=True, **options)
    return out[0, 1:].tolist()


def hugging_face(model, ids, pad):
    """Greedy until </s> or 24 tokens, and four beams of exactly 7 tokens without a length penalty."""
    return {"source": ids, "first_logits": [round(x, 6) for x in first_logits(model, ids, pad)],
            "greedy": generate(model, ids, pad, num_beams=1, max_new_tokens=24),
            "beam4_of_7": generate(model, ids, pad, num_beams=4, min_new_tokens=7, max_new_tokens=7, length_penalty=0.0,
                                   renormalize_logits=True)}   # the forbidden </s> takes no probability, as in CTranslate2


def write_json(path, value):
    text = json.dumps(value, ensure_ascii=False)
    # One item a line: readable, and a change shows where it is.
    text = text.replace('{"source"', '\n{"source"').replace('{"beam_size"', '\n  {"beam_size"')
    open(path, "w", encoding="utf-8").write(text + "\n")


def write_tokenizer(folder, source_from, vocab, target_vocab=None):
    for name in ("source.spm", "target.spm"):
        if os.path.join(source_from, name) != os.path.join(folder, name):
            shutil.copy(os.path.join(source_from, name), folder)
    json.dump(vocab, open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8"), ensure_ascii=False)
    if target_vocab:
        json.dump(target_vocab, open(os.path.join(folder, "target_vocab.json"), "w", encoding="utf-8"), ensure_ascii=False)
    json.dump({"source_lang": "eng", "target_lang": "deu", "separate_vocabs": bool(target_vocab), "tokenizer_class": "MarianTokenizer",
               "unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>", "model_max_length": 64},
              open(os.path.join(folder, "tokenizer_config.json"), "w"))


def translate(folder, vocab, items, compute_type="float32", target=None):
    """CTranslate2's answers, under every setting. The end token is part of ids."""
    t = ctranslate2.Translator(folder, device="cpu", compute_type=compute_type, intra_threads=1)
    token = {i: p for p, i in vocab.items()}
    out = []
    for ids in items:
        tokens = [token[i] for i in ids]
        runs = []
        for s in SETTINGS:
            # All finished hypotheses, where that does not change when the search ends (it does without a length penalty).
            count = min(s["beam_size"], 5) if s["length_penalty"] else 1
            r = t.translate_batch([tokens], return_scores=True, return_end_token=True, num_hypotheses=count, **s)[0]
            found = [[(target or vocab)[p] for p in h] for h in r.hypotheses]
            runs.append(dict(s, ids=found[0], score=round(r.scores[0], 6)))
            if count > 1:
                runs[-1].update(further_ids=found[1:], further_scores=[round(x, 6) for x in r.scores[1:]])
        first = t.translate_batch([tokens], beam_size=1, max_decoding_length=1, min_decoding_length=0, return_logits_vocab=True)[0]
        out.append({"source": ids, "first_logits": [round(float(x), 6) for x in np.array(first.logits[0][0])], "runs": runs})
    return out


def separate(folder, tsv):
    """The form of recipe/zh-en: its own PyTorch model at another size."""
    spec = importlib.util.spec_from_file_location("recipe", os.path.join(HERE, "../recipe/zh-en/model.py"))
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    m.VOCAB = m.PAD = V - 1
    m.D, m.HEADS, m.FFN, m.ENC, m.DEC, m.MAX_POS = D, HEADS, FFN, LAYERS, LAYERS, MAX_POS
    vocab, target = vocabulary(spm(folder, tsv, "source", V, 3)), vocabulary(spm(folder, tsv, "target", V, 4))
    write_tokenizer(folder, folder, vocab, target)
    model = m.Translator().eval()
    model.load_state_dict(draw({n: tuple(t.shape) for n, t in model.state_dict().items()}, 5))

    def loss(x, y):
        shifted = torch.cat([torch.full((len(y), 1), V - 1), y[:, :-1]], 1)
        logits = model.logits(model.decode(*model.encode(x), shifted))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    train(model, loss, [model.model.encoder.embed_tokens.weight, model.model.decoder.embed_tokens.weight], 8)
    drawn = {n: t.clone() for n, t in model.state_dict().items()}
    save_file({n: t.contiguous() for n, t in drawn.items()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    json.dump({"model_type": "marian", "architectures": ["MarianMTModel"], "vocab_size": V, "decoder_vocab_size": V, "d_model": D,
               "encoder_layers": LAYERS, "decoder_layers": LAYERS, "encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS,
               "encoder_ffn_dim": FFN, "decoder_ffn_dim": FFN, "activation_function": "relu", "max_position_embeddings": MAX_POS,
               "scale_embedding": True, "static_position_embeddings": True, "normalize_before": True, "add_final_layer_norm": True,
               "share_encoder_decoder_embeddings": False, "tie_word_embeddings": True, "pad_token_id": V - 1,
               "decoder_start_token_id": V - 1, "eos_token_id": 0, "bad_words_ids": [[V - 1]]},
              open(os.path.join(folder, "config.json"), "w"))
    items = []
    for ids in sources(12, V, 6):
        with torch.no_grad():
            memory, mask = model.encode(torch.tensor([ids]))
            logits = model.logits(model.decode(memory, mask, torch.tensor([[V - 1]])))[0, -1]
            greedy, tokens = [], [V - 1]
            while len(greedy) < 24 and (not greedy or greedy[-1] != 0):
                greedy.append(int(model.logits(model.decode(memory, mask, torch.tensor([tokens])))[0, -1].argmax()))
                tokens.append(greedy[-1])
        items.append({"source": ids, "first_logits": [round(x, 6) for x in logits.tolist()], "greedy": greedy})
    write_json(os.path.join(folder, "golden.json"), {"versions": VERSIONS, "items": items})


def transliteration(out):
    """CTranslate2's answers for its own test model: the 20 names of golden.json, and azza. Its source has no </s>."""
    for name, golden in (("aren-transliteration", "aren-ctranslate2.json"), ("aren-transliteration-i8", "aren-i8-ctranslate2.json")):
        folder = os.path.join(HERE, name)
        source, target = ({t: i for i, t in enumerate(open(os.path.join(folder, side + "_vocabulary.txt"), encoding="utf-8").read()
                                                      .split("\n")[:-1] + ["<unk>"])} for side in ("source", "target"))
        names = [i["source"] for i in json.load(open(os.path.join(HERE, "aren-transliteration/golden.json"), encoding="utf-8"))["items"]]
        write_json(os.path.join(out, golden), {"versions": VERSIONS, "items": translate(
            folder, source, [[source[t] for t in n] for n in names + [list("آزا")]], target=target)})


def main(out, tsv):
    folders = {n: os.path.join(out, n) for n in ("marian-safetensors", "marian-bin", "marian-half", "marian-separate", "ct2-float32", "ct2-int8")}
    for f in folders.values():
        shutil.rmtree(f, ignore_errors=True)
        if "ct2" not in f:
            os.makedirs(f)
    first = folders["marian-safetensors"]
    vocab = vocabulary(spm(first, tsv, "source", V, 1))
    shutil.copy(os.path.join(first, "source.spm"), os.path.join(first, "target.spm"))
    assert len(vocab) == V

    config, model, drawn = marian(first)
    for name, dtype in (("marian-safetensors", torch.float32), ("marian-bin", torch.float32), ("marian-half", torch.float16)):
        folder = folders[name]
        config.torch_dtype = dtype
        config.save_pretrained(folder)
        write_tokenizer(folder, first, vocab)
        tensors = {n: t.to(dtype).contiguous() for n, t in drawn.items()}
        if name == "marian-bin":
            tensors = {n: t.clone() for n, t in model.state_dict().items()}
            torch.save(tensors, os.path.join(folder, "pytorch_model.bin"))
        else:
            save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})

    items = sources(12, V, 2)
    for name in ("marian-safetensors", "marian-bin", "marian-half"):
        m = MarianMTModel.from_pretrained(folders[name], dtype=torch.float32).eval()
        write_json(os.path.join(folders[name], "golden.json"),
                   {"versions": VERSIONS, "items": [hugging_face(m, ids, V - 1) for ids in items]})

    for name, quantization in (("ct2-float32", "float32"), ("ct2-int8", "int8")):
        # A missing file of weights would not stop the converter, so it reads what was just checked.
        subprocess.run([os.path.join(os.path.dirname(sys.executable), "ct2-transformers-converter"), "--model", first, "--output_dir",
                        folders[name], "--quantization", quantization, "--copy_files", "source.spm", "target.spm"], check=True)
        # Float arithmetic on the int8 weights: the reference must agree with it, and int8 arithmetic comes close.
        golden = {"versions": VERSIONS, "items": translate(folders[name], vocab, items)}
        if quantization == "int8":
            golden["int8_items"] = translate(folders[name], vocab, items, "int8")
        write_json(os.path.join(folders[name], "golden.json"), golden)

    separate(folders["marian-separate"], tsv)
    transliteration(out)
    open(os.path.join(out, "LICENCE-NOTE.md"), "w").write(
        "The weights in marian-* and ct2-* were trained on random numbers by make_golden.py, and are under this repository's licence.\n"
        "The .spm files were trained on English sentences of Tatoeba (https://tatoeba.org, CC-BY 2.0 FR).\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
