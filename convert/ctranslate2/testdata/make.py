"""Makes the folders of this folder with CTranslate2's own writer, and has CTranslate2 load each. Run with ctranslate2 4.8.5, numpy 2.4.6,
torch 2.15.0 (which the writer needs for bfloat16).

Each values.json holds shapes and values as float32, computed as CTranslate2 does: stored * (1 / scale).
"""
import json
import os
import shutil

import ctranslate2
import numpy as np
import torch
from ctranslate2.specs import TransformerSpec, common_spec


def values(*shape, step=37):
    n = int(np.prod(shape))
    return (((np.arange(n) * step) % 101 - 50).reshape(shape) / 64).astype(np.float32)


def make(folder, quantization, shared, **config):
    dim, ffn, tokens = 8, 12, ["<unk>", "<s>", "</s>", "a", "b", "c\r", "名"]
    target = tokens if shared else tokens[::-1] + ["d"]
    spec = TransformerSpec.from_config(num_layers=1, num_heads=2, activation=common_spec.Activation.SWISH)
    step = [3]

    def linear(layer, rows, cols):
        step[0] += 2
        layer.weight, layer.bias = values(rows, cols, step=step[0]), values(rows, step=step[0])

    def norm(layer):
        step[0] += 2
        layer.gamma, layer.beta = values(dim, step=step[0]) + 1, values(dim, step=step[0])

    for coder, vocabulary in ((spec.encoder, tokens), (spec.decoder, target)):
        norm(coder.layer_norm)
        embeddings = coder.embeddings[0] if isinstance(coder.embeddings, list) else coder.embeddings
        embeddings.weight = values(len(vocabulary), dim, step=5)
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
    linear(spec.decoder.projection, len(target), dim)
    if shared:
        spec.decoder.projection.weight = spec.decoder.embeddings.weight.copy()
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(target)
    for key, value in config.items():
        setattr(spec.config, key, value)
    if quantization == "bfloat16":  # NumPy has no such type: give the writer tensors of torch
        spec._visit(lambda layer, name, value: isinstance(value, np.ndarray) and value.ndim
                    and setattr(layer, name.split("/")[-1], torch.from_numpy(value)))
    spec.validate()
    spec.optimize(quantization=quantization)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    spec.save(folder)

    out = {}
    variables = spec.variables()
    for name, value in list(variables.items()):
        if isinstance(value, str):  # an alias, also of the scale
            out[name], scale = value, variables.get(value + "_scale")
            if scale is not None:
                out[name + "_scale"] = value + "_scale"
            continue
        a = (value.to("float32") if value.dtype in ("float16", "bfloat16") else value).numpy().astype(np.float32)
        scale = variables.get(name + "_scale")
        if scale is not None:
            s = np.float32(1) / scale.numpy()
            a = a * (s[:, None] if s.ndim else s)
        out[name] = {"shape": list(value.shape), "values": a.astype(np.float32).flatten().tolist()}
    for name, value in out.items():
        while isinstance(value, str):
            value = out[value]
        out[name] = value
    json.dump(out, open(os.path.join(folder, "values.json"), "w"))
    translator = ctranslate2.Translator(folder, compute_type="float32")
    print(folder, translator.translate_batch([["a", "b"]], [["</s>"]] if config.get("decoder_start_token", "") is None else None, max_decoding_length=4)[0].hypotheses)


make("float32", "float32", False, add_source_eos=True, decoder_start_token="</s>")
make("int8", "int8", True, layer_norm_epsilon=1e-6)
make("int16", "int16", False)
make("float16", "float16", True, decoder_start_token=None)
make("bfloat16", "bfloat16", False)
