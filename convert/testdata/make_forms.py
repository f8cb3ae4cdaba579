"""Makes the folders ct2-forms-* and marian-shards beside it: further forms of small models, and what CTranslate2 and transformers say they
give.

    python make_forms.py OUTPUT_FOLDER

Versions used are written into each golden.json. The SentencePiece models are those that make_golden.py left in OUTPUT_FOLDER.

  ct2-forms-QUANTIZATION  one model (d 16, 2 heads, 1 + 1 layers, ffn 32) as CTranslate2's converter stores it in each quantization (int8_float32 gives the file of int8)
  ct2-forms-pre           pre-norm, norms of embeddings, learned positions, two vocabularies as text, 2 + 1 layers, an output matrix of its own
                          without a bias, gelu (erf), embeddings not scaled, <s> and </s> around the source, <s> as the start
  ct2-forms-post          post-norm, norms of embeddings, no stored positions, one vocabulary as JSON but two tables, sigmoid gelu, another
                          epsilon, the unknown token last
  marian-shards           two vocabularies of different sizes, bfloat16 in two shards, pre-norm without position tables, gelu_new
"""
import json
import os
import shutil
import subprocess
import sys

import make_golden as g
import ctranslate2
import numpy as np
import torch
from ctranslate2.specs import TransformerSpec, common_spec
from transformers import MarianConfig, MarianMTModel

g.D, g.HEADS, g.FFN, g.LAYERS = 16, 2, 32, 1
g.VERSIONS["script"] = "convert/testdata/make_forms.py"
g.SETTINGS = [dict(beam_size=b, length_penalty=1, min_decoding_length=lo, max_decoding_length=hi) for b, lo, hi in [(1, 0, 16), (4, 0, 16), (2, 5, 5)]]
V = g.V
QUANTIZATIONS = ["float32", "int8", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16"]


def every_quantization(out):
    source = os.path.join(out, "hf")
    os.makedirs(source)
    shutil.copy(os.path.join(out, "marian-safetensors", "vocab.json"), source)
    vocab = json.load(open(os.path.join(source, "vocab.json"), encoding="utf-8"))
    config, model, drawn = g.marian(source)
    config.save_pretrained(source)
    g.write_tokenizer(source, os.path.join(out, "marian-safetensors"), vocab)
    g.save_file({n: t.contiguous() for n, t in drawn.items()}, os.path.join(source, "model.safetensors"), metadata={"format": "pt"})
    items = g.sources(4, V, 21)
    for q in QUANTIZATIONS:
        folder = os.path.join(out, "ct2-forms-" + q.replace("_", "-"))
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([os.path.join(os.path.dirname(sys.executable), "ct2-transformers-converter"), "--model", source, "--output_dir", folder,
                        "--quantization", q, "--copy_files", "source.spm", "target.spm"], check=True)
        g.write_json(os.path.join(folder, "golden.json"), {"versions": g.VERSIONS, "items": g.translate(folder, vocab, items)})
    shutil.rmtree(source)


def fill(spec, dim, ffn, sizes, random):
    def matrix(rows, cols, scale=1.5):
        return (random.standard_normal((rows, cols)) * scale / np.sqrt(cols)).astype(np.float32)

    def linear(layer, rows, cols, bias=True):
        layer.weight = matrix(rows, cols)
        if bias:
            layer.bias = (random.standard_normal(rows) * 0.2).astype(np.float32)

    def norm(layer):
        layer.gamma = (1 + 0.2 * random.standard_normal(dim)).astype(np.float32)
        layer.beta = (0.2 * random.standard_normal(dim)).astype(np.float32)

    for coder, size in ((spec.encoder, sizes[0]), (spec.decoder, sizes[1])):
        embeddings = coder.embeddings[0] if isinstance(coder.embeddings, list) else coder.embeddings
        embeddings.weight = matrix(size, dim)
        for attribute in ("layer_norm", "layernorm_embedding"):
            if hasattr(coder, attribute):
                norm(getattr(coder, attribute))
        for layer in coder.layer:
            norm(layer.self_attention.layer_norm)
            linear(layer.self_attention.linear[0], 3 * dim, dim)
            linear(layer.self_attention.linear[1], dim, dim)
            if coder is spec.decoder:
                norm(layer.attention.layer_norm)
                linear(layer.attention.linear[0], dim, dim)
                linear(layer.attention.linear[1], 2 * dim, dim)
                linear(layer.attention.linear[2], dim, dim)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, ffn, dim)
            linear(layer.ffn.linear_1, dim, ffn)
    linear(spec.decoder.projection, sizes[1], dim, bias=False)
    spec.decoder.projection.weight *= 3   # clear margins


def save(spec, folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    spec.validate()
    spec.optimize(quantization="float32")
    spec.save(folder)


def variants(out):
    random = np.random.default_rng(7)
    source = ["<s>", "</s>", "<unk>"] + [chr(97 + i) for i in range(26)]
    target = ["<unk>", "<s>", "</s>"] + [chr(65 + i) for i in range(20)]
    spec = TransformerSpec.from_config((2, 1), 2, pre_norm=True, activation=common_spec.Activation.GELU, layernorm_embedding=True)
    fill(spec, 16, 24, (len(source), len(target)), random)
    for coder in (spec.encoder, spec.decoder):
        coder.scale_embeddings = False
        coder.position_encodings.encodings = (0.3 * random.standard_normal((40, 16))).astype(np.float32)
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.add_source_bos = spec.config.add_source_eos = True
    spec.config.decoder_start_token = "<s>"
    pre = os.path.join(out, "ct2-forms-pre")
    save(spec, pre)
    for name, tokens in (("source", source), ("target", target)):   # the form of converters before 3.6
        os.remove(os.path.join(pre, name + "_vocabulary.json"))
        open(os.path.join(pre, name + "_vocabulary.txt"), "w", encoding="utf-8").write("".join(t + "\n" for t in tokens))
    items = [[int(x) for x in random.integers(3, len(source), random.integers(2, 9))] for _ in range(4)]
    # The ids of the source in the golden are those that the model gets: with <s> and </s>, which CTranslate2 adds itself.
    golden = g.translate(pre, {t: i for i, t in enumerate(source)}, items, target={t: i for i, t in enumerate(target)})
    for item in golden:
        item["source"] = [0] + item["source"] + [1]
    g.write_json(os.path.join(pre, "golden.json"), {"versions": g.VERSIONS, "items": golden})

    tokens = ["</s>", "<s>"] + [chr(97 + i) for i in range(26)]   # <unk> is added by CTranslate2, at the end
    spec = TransformerSpec.from_config((1, 2), 4, pre_norm=False, activation=common_spec.Activation.GELUSigmoid, layernorm_embedding=True)
    fill(spec, 16, 24, (len(tokens) + 1, len(tokens) + 1), random)
    spec.register_source_vocabulary(tokens + ["<unk>"])
    spec.register_target_vocabulary(tokens + ["<unk>"])
    spec.config.layer_norm_epsilon = 1e-3
    spec.config.decoder_start_token = "</s>"
    post = os.path.join(out, "ct2-forms-post")
    save(spec, post)
    assert os.path.exists(os.path.join(post, "shared_vocabulary.json"))
    json.dump(tokens, open(os.path.join(post, "shared_vocabulary.json"), "w"))
    items = [[int(x) for x in random.integers(2, len(tokens), random.integers(2, 9))] for _ in range(4)]
    index = {t: i for i, t in enumerate(tokens + ["<unk>"])}
    g.write_json(os.path.join(post, "golden.json"), {"versions": g.VERSIONS, "items": g.translate(post, index, items)})


def shards(out):
    folder = os.path.join(out, "marian-shards")
    shutil.rmtree(folder, ignore_errors=True)
    first = os.path.join(out, "marian-separate")
    vocab = json.load(open(os.path.join(first, "vocab.json"), encoding="utf-8"))
    target = json.load(open(os.path.join(first, "target_vocab.json"), encoding="utf-8"))
    target = {t: i for t, i in target.items() if i < V - 11}   # the ten last pieces fall out, and become <unk>
    target["<pad>"] = V - 11
    config = MarianConfig(
        vocab_size=V, decoder_vocab_size=V - 10, d_model=16, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, activation_function="gelu_new", max_position_embeddings=48,
        scale_embedding=False, share_encoder_decoder_embeddings=False, tie_word_embeddings=True, pad_token_id=V - 11,
        decoder_start_token_id=V - 11, eos_token_id=0, forced_eos_token_id=0, num_beams=4, architectures=["MarianMTModel"])
    model = MarianMTModel(config).eval()
    random = torch.Generator().manual_seed(31)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "embed_positions" in name:
                continue
            x = torch.randn(p.shape, generator=random)
            if "layer_norm" in name:
                x = 1 + 0.2 * x if name.endswith("weight") else 0.2 * x
            elif name.endswith("bias"):
                x *= 0.2
            else:
                x *= 2 * p.shape[1] ** -0.5
            if name == "model.decoder.embed_tokens.weight":
                x[V - 11] = 0
            p.copy_(x.to(torch.bfloat16).float())
        model.final_logits_bias[0] = (0.3 * torch.randn(V - 10, generator=random)).to(torch.bfloat16).float()
        model.final_logits_bias[0, V - 11] = -100
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="12KB")
    g.write_tokenizer(folder, first, vocab, target)
    os.remove(os.path.join(folder, "generation_config.json"))
    model = MarianMTModel.from_pretrained(folder, dtype=torch.float32).eval()
    g.write_json(os.path.join(folder, "golden.json"), {"versions": g.VERSIONS, "items": [g.hugging_face(model, ids, V - 11) for ids in g.sources(6, V, 22)]})


def main(out):
    every_quantization(out)
    variants(out)
    shards(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
