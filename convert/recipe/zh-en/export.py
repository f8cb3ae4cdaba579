"""Training result -> a Hugging Face Marian-style folder (safetensors, .spm, vocabularies, config) and golden.json.

--weights: best.pt or last.pt of a run (EMA weights); checkpoint.pt works too, for a preliminary export.
Run beside a running training: reads only.
"""
import argparse
import json
import os
import shutil

import sentencepiece as spm
import torch
from safetensors.torch import load_file, save_file

import model as M
from prepare import read_tsv

SENTENCES = ["我正在吃饭", "我正在吃饭。", "你好", "谢谢你。", "你叫什么名字？", "火车站在哪里？", "今天天气很好。",
             "一只猫坐在桌子上。", "他每天早上喝咖啡。", "我不知道他什么时候来。", "汤姆是我的朋友。", "這本書很有意思。",
             "Tom 说：“我 3 点钟到。”", "２０２４年", "😀", "", " 我  爱 你 ", "龘"]


def load_weights(path):
    """EMA weights of best.pt, last.pt or checkpoint.pt as {name: tensor}."""
    c = torch.load(path, map_location="cpu")
    ema = c["ema"]
    if isinstance(ema, list):
        ema = dict(zip((n for n, _ in M.Translator().named_parameters()), ema))
    return ema, c["step"]


def load_export(folder):
    """The model of an exported folder, ready to translate."""
    m = M.Translator()
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    m.load_state_dict(tensors, strict=True)
    return m.eval()


def write_json(path, obj):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        json.dump(obj, f, ensure_ascii=False, indent=1)
        f.write("\n")


def config():
    return {
        "architectures": ["MarianMTModel"], "model_type": "marian",
        "d_model": M.D, "encoder_layers": M.ENC, "decoder_layers": M.DEC,
        "encoder_attention_heads": M.HEADS, "decoder_attention_heads": M.HEADS,
        "encoder_ffn_dim": M.FFN, "decoder_ffn_dim": M.FFN, "activation_function": "relu",
        "vocab_size": M.VOCAB + 1, "decoder_vocab_size": M.VOCAB + 1,
        "separate_vocabs": True, "share_encoder_decoder_embeddings": False, "tie_word_embeddings": True,
        "scale_embedding": True, "static_position_embeddings": True, "max_position_embeddings": M.MAX_POS,
        "normalize_before": True, "add_final_layer_norm": True, "layer_norm_eps": M.LN_EPS,
        "add_bias_logits": False, "normalize_embedding": False, "is_encoder_decoder": True, "use_cache": True,
        "pad_token_id": M.PAD, "eos_token_id": M.EOS, "forced_eos_token_id": M.EOS, "bos_token_id": None,
        "decoder_start_token_id": M.PAD, "bad_words_ids": [[M.PAD]],
        "max_length": M.MAX_POS, "num_beams": 1, "torch_dtype": "float32",
    }


def vocabulary(sp):
    v = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    assert len(v) == M.VOCAB and v["</s>"] == M.EOS and "<pad>" not in v
    v["<pad>"] = M.PAD
    return v


def golden(m, src, tgt, data, weights_step):
    lines = list(SENTENCES)
    for name in ("dev.tatoeba", "dev.3am", "dev.ntrex128"):
        rows = read_tsv(os.path.join(data, name + ".tsv"))
        lines += [zh for zh, _ in rows[::len(rows) // 8][:8]]
    cases = []
    for i, text in enumerate(lines):
        ids = src.encode(text, add_eos=True)
        out = m.greedy([ids])[0]
        case = {"text": text, "pieces": [src.id_to_piece(j) for j in ids], "source_ids": ids,
                "output_ids": out, "output": tgt.decode(out)}
        if i < 5:
            with torch.no_grad():
                memory, mask = m.encode(torch.tensor([ids]))
                case["first_step_logits"] = m.logits(m.decode(memory, mask, torch.tensor([[M.PAD]])))[0, 0].tolist()
        cases.append(case)
    return {
        "what": "float32 PyTorch, greedy from <pad> (a zero embedding, plus position 0); source_ids end with </s>, "
                "output_ids leave it out; logits are of the %d pieces, <pad> left out" % M.VOCAB,
        "step": weights_step, "torch": torch.__version__, "sentencepiece": spm.__version__, "cases": cases,
    }


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"))
    ap.add_argument("--work", default=os.environ.get("ZHEN_WORK"))
    ap.add_argument("--weights", required=True, help="best.pt, last.pt or checkpoint.pt of a run")
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    torch.set_num_threads(1)
    ema, step = load_weights(a.weights)
    tmp = a.out.rstrip("/") + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)

    for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"):
        assert not ema[name][M.PAD].any()
    save_file({n: t.float().contiguous() for n, t in ema.items()}, os.path.join(tmp, "model.safetensors"),
              metadata={"format": "pt"})
    os.chmod(os.path.join(tmp, "model.safetensors"), 0o644)
    for side in ("source", "target"):
        shutil.copyfile(os.path.join(a.work, side + ".spm"), os.path.join(tmp, side + ".spm"))
    src = spm.SentencePieceProcessor(model_file=os.path.join(tmp, "source.spm"))
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(tmp, "target.spm"))
    write_json(os.path.join(tmp, "vocab.json"), vocabulary(src))
    write_json(os.path.join(tmp, "target_vocab.json"), vocabulary(tgt))
    write_json(os.path.join(tmp, "config.json"), config())
    write_json(os.path.join(tmp, "tokenizer_config.json"), {
        "tokenizer_class": "MarianTokenizer", "source_lang": "zh", "target_lang": "en", "separate_vocabs": True,
        "unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>", "model_max_length": M.MAX_POS})
    write_json(os.path.join(tmp, "generation_config.json"), {
        "bad_words_ids": [[M.PAD]], "decoder_start_token_id": M.PAD, "eos_token_id": M.EOS, "forced_eos_token_id": M.EOS,
        "pad_token_id": M.PAD, "max_length": M.MAX_POS, "num_beams": 1})
    write_json(os.path.join(tmp, "golden.json"), golden(load_export(tmp), src, tgt, a.data, step))  # from the files, not from memory
    old = a.out.rstrip("/") + ".old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.exists(a.out):
        os.rename(a.out, old)
    os.rename(tmp, a.out)
    shutil.rmtree(old, ignore_errors=True)
    print(f"exported step {step} to {a.out}")


if __name__ == "__main__":
    main()
