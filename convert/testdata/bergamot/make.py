"""Trains two very small models of Firefox's (Bergamot's) architecture and writes them in its files:

    shared/    model.enes.intgemm.alphas.bin  vocab.enes.spm                       lex.50.50.enes.s2t.bin
    separate/  model.zhen.intgemm.alphas.bin  srcvocab.zhen.spm trgvocab.zhen.spm  lex.50.50.zhen.s2t.bin

The text is made here: sentences of a toy grammar in three languages. golden.py and golden.mjs, beside this script, let Marian
and Bergamot translate with them.

Written with Python 3.11, torch 2.x, sentencepiece 0.2.x, numpy; about two minutes on one core:

    python make.py OUT

Layouts, each found the same in two places:
  container   marian-nmt/marian-dev src/common/binary.cpp; jerinphilip/slimt slimt/Io.cc
  intgemm8    browsermt/marian-dev src/tensors/cpu/expression_graph_packable.h (what writes it) and integer_common.h; slimt/Io.cc
  SSRU        marian-nmt/marian-dev src/rnn/cells.h, src/models/transformer.h; slimt/Modules.cc
  shortlist   browsermt/marian-dev src/data/shortlist.{h,cpp}; slimt/Shortlist.{hh,cc}
"""
import io, json, math, random, struct, sys
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from torch import nn
from torch.nn import functional as F

import container

# English, Spanish, Chinese
NOUNS = [l.split() for l in ["cat gato 猫", "dog perro 狗", "bird pájaro 鸟", "horse caballo 马", "fish pez 鱼", "girl chica 女孩", "boy chico 男孩",
                             "king rey 国王", "doctor médico 医生", "friend amigo 朋友"]]
ADJECTIVES = [l.split() for l in ["big grande 大", "small pequeño 小", "red rojo 红", "old viejo 老", "young joven 年轻", "happy feliz 快乐"]]
VERBS = [l.split() for l in ["sees ve 看见", "likes quiere 喜欢", "hears oye 听见", "follows sigue 跟着", "helps ayuda 帮助"]]
PLACES = [("in the house", "en la casa", "在家里"), ("at the river", "en el río", "在河边"), ("in the garden", "en el jardín", "在花园里")]


def phrase(r):
    noun = r.choice(NOUNS)
    if r.random() < 0.3:
        n = str(r.randint(2, 99))
        return f"{n} {noun[0]}s", f"{n} {noun[1]}s", f"{n}个{noun[2]}"
    if r.random() < 0.5:
        adjective = r.choice(ADJECTIVES)
        return f"the {adjective[0]} {noun[0]}", f"el {noun[1]} {adjective[1]}", f"{adjective[2]}{noun[2]}"
    return f"a {noun[0]}", f"un {noun[1]}", f"一只{noun[2]}"


def sentence(r):
    subject, verb, thing = phrase(r), r.choice(VERBS), phrase(r)
    en, es, zh = f"{subject[0]} {verb[0]} {thing[0]}", f"{subject[1]} {verb[1]} a {thing[1]}", f"{subject[2]}{verb[2]}{thing[2]}"
    if r.random() < 0.4:
        place = r.choice(PLACES)
        en, es, zh = f"{en} {place[0]}", f"{es} {place[1]}", f"{place[2]}{zh}"
    end = r.choice(".?!")
    return en + end, es + end, zh + {".": "。", "?": "吗？", "!": "！"}[end]


def vocabulary(lines, size):
    """A SentencePiece model as Marian trains it: </s> is 0, <unk> 1, no others. Without rules, which would take 240 KB."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, vocab_size=size, model_type="unigram", bos_id=-1, eos_id=0, unk_id=1, pad_id=-1,
        character_coverage=1.0, normalization_rule_name="identity", split_digits=True, num_threads=1, minloglevel=2)
    return out.getvalue()


def sinusoids(rows, dim):
    """All sines, then all cosines, of p / 10000^(i / (dim/2 - 1)), p from 0: marian src/graph/node_initializers.cpp."""
    p, i = np.arange(rows)[:, None], np.arange(dim // 2)[None, :]
    v = p * np.exp(i * -(math.log(10000) / (dim / 2 - 1)))
    return torch.tensor(np.concatenate([np.sin(v), np.cos(v)], 1), dtype=torch.float32)


class Model(nn.Module):
    """Parameters by Marian's names; matrices are [in, out], embeddings [vocab, dim]."""

    def __init__(self, config, vocabs):
        super().__init__()
        c = self.config = config
        d, f = c["dim-emb"], c["transformer-dim-ffn"]
        self.p = nn.ParameterDict()

        def matrix(name, rows, cols):
            self.p[name] = nn.Parameter(torch.empty(rows, cols).uniform_(-1, 1) * math.sqrt(6 / (rows + cols)))

        def vector(name, n, fill=0.0):
            self.p[name] = nn.Parameter(torch.full((1, n), fill))

        def norm(name):
            vector(name + "_ln_scale", d, 1.0)
            vector(name + "_ln_bias", d)

        self.source, self.target = ("Wemb", "Wemb") if c["tied-embeddings-all"] else ("encoder_Wemb", "decoder_Wemb")
        matrix(self.source, vocabs[0], d)
        if self.target != self.source:
            matrix(self.target, vocabs[1], d)
        for stack, depth in (("encoder", c["enc-depth"]), ("decoder", c["dec-depth"])):
            for n in range(1, depth + 1):
                layer = f"{stack}_l{n}"
                if stack == "decoder":
                    matrix(layer + "_rnn_W", d, d)
                    matrix(layer + "_rnn_Wf", d, d)
                    vector(layer + "_rnn_bf", d)
                    norm(layer + "_rnn_ffn")
                block = layer + ("_self" if stack == "encoder" else "_context")
                for x in "qkvo":
                    matrix(f"{block}_W{x}", d, d)
                    vector(f"{block}_b{x}", d)
                norm(block + "_Wo")
                matrix(layer + "_ffn_W1", d, f)
                vector(layer + "_ffn_b1", f)
                matrix(layer + "_ffn_W2", f, d)
                vector(layer + "_ffn_b2", d)
                norm(layer + "_ffn_ffn")
        vector("decoder_ff_logit_out_b", vocabs[1])
        self.largest = None  # name of a matrix -> the largest input seen, while calibrating

    def times(self, x, name):
        if self.largest is not None:
            self.largest[name] = max(self.largest.get(name, 0.0), x.abs().max().item())
        return x @ self.p[name]

    def affine(self, x, w, b):
        return self.times(x, w) + self.p[b]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdim=True)
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.p[name + "_ln_scale"] + self.p[name + "_ln_bias"]

    def attention(self, x, memory, mask, name):
        heads = self.config["transformer-heads"]
        q, k, v = (self.affine(y, f"{name}_W{s}", f"{name}_b{s}").unflatten(-1, (heads, -1)).transpose(1, 2)
                   for s, y in (("q", x), ("k", memory), ("v", memory)))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask).softmax(-1)
        return self.norm(self.affine((weights @ v).transpose(1, 2).flatten(2), f"{name}_Wo", f"{name}_bo") + x, name + "_Wo")

    def feed_forward(self, x, layer):
        y = self.affine(F.relu(self.affine(x, layer + "_ffn_W1", layer + "_ffn_b1")), layer + "_ffn_W2", layer + "_ffn_b2")
        return self.norm(y + x, layer + "_ffn_ffn")

    def ssru(self, x, layer):
        y, f = self.times(x, layer + "_rnn_W"), torch.sigmoid(self.affine(x, layer + "_rnn_Wf", layer + "_rnn_bf"))
        c, out = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            c = f[:, t] * c + (1 - f[:, t]) * y[:, t]
            out.append(F.relu(c))
        return self.norm(torch.stack(out, 1) + x, layer + "_rnn_ffn")

    def embed(self, ids, table, start):
        """ids [batch, length]; start: a zero embedding comes first, as the decoder has it."""
        d = self.config["dim-emb"]
        x = self.p[table][ids] * math.sqrt(d)
        if start:
            x = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
        return x + sinusoids(x.shape[1], d)

    def forward(self, source, mask, target):
        """source [batch, n], mask 0 or -1e9, target [batch, m]; logits [batch, m, vocab] of each target given those before it."""
        mask = mask[:, None, None, :]
        x = self.embed(source, self.source, False)
        for n in range(1, self.config["enc-depth"] + 1):
            x = self.feed_forward(self.attention(x, x, mask, f"encoder_l{n}_self"), f"encoder_l{n}")
        memory, x = x, self.embed(target, self.target, True)
        for n in range(1, self.config["dec-depth"] + 1):
            layer = f"decoder_l{n}"
            x = self.feed_forward(self.attention(self.ssru(x, layer), memory, mask, layer + "_context"), layer)
        if self.largest is not None:
            self.largest["none"] = max(self.largest.get("none", 0.0), x.abs().max().item())
        return x @ self.p[self.target].T + self.p["decoder_ff_logit_out_b"]


def batch(pairs):
    n, m = max(len(s) for s, _ in pairs), max(len(t) for _, t in pairs)
    source, mask = torch.zeros(len(pairs), n, dtype=torch.long), torch.full((len(pairs), n), -1e9)
    target, known = torch.zeros(len(pairs), m, dtype=torch.long), torch.zeros(len(pairs), m)
    for i, (s, t) in enumerate(pairs):
        source[i, :len(s)], mask[i, :len(s)] = torch.tensor(s), 0
        target[i, :len(t)], known[i, :len(t)] = torch.tensor(t), 1
    return source, mask, target, known


def train(model, pairs, steps, r):
    optimizer = torch.optim.Adam(model.parameters(), lr=0, betas=(0.9, 0.98), eps=1e-9)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, step / 200) * min(1, 4 * (1 - step / steps))
        source, mask, target, known = batch(r.sample(pairs, 48))
        loss = F.cross_entropy(model(source, mask, target).transpose(1, 2), target, reduction="none", label_smoothing=0.02)
        loss = (loss * known).sum() / known.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 300 == 0 or step == steps - 1:
            print(step, round(loss.item(), 4), flush=True)


def write_models(folder, name, model):
    """The int8 model, and into plain.npz what its weights stand for, for golden.py."""
    items, plain = {}, {}
    for key, value in model.p.items():
        w = value.detach().numpy()
        embedding = key.endswith("Wemb")
        if not embedding and "_W" not in key or "_ln_" in key:
            items[key], plain[key] = container.float32(w), w
            continue
        multiplier = np.float32(127) / np.abs(w).max()
        q = np.clip(np.rint(w * multiplier), -127, 127).astype(np.int8)
        plain[key] = q.astype(np.float32) * (np.float32(1) / multiplier)
        # A matrix lies transposed, though its shape is not; embeddings lie as they are. The multiplier follows.
        items[key] = (0x4101, list(w.shape), (q if embedding else np.ascontiguousarray(q.T)).tobytes() + struct.pack("<f", multiplier))
        if not embedding:
            items[key + "_QuantMultA"] = container.float32([[127 / model.largest[key]]])
    items["none_QuantMultA"] = container.float32([[127 / model.largest["none"]]])
    for key in {model.source, model.target}:
        items[key + "_QuantMultA"] = (0x4101, [1, 1], struct.pack("<bf", 127, 1.0))  # published files carry one, of no use
    container.write(folder / f"model.{name}.intgemm.alphas.bin", items, model.config)
    np.savez(folder / "plain.npz", config=np.array(json.dumps(model.config)), **plain)


def write_shortlist(path, first, best, pairs, sources):
    """For each source id the up to best target ids that share most sentences with it, by the Dice coefficient."""
    seen, both, target_seen = {}, {}, {}
    for s, t in pairs:
        for a in set(s):
            seen[a] = seen.get(a, 0) + 1
            for b in set(t):
                both[a, b] = both.get((a, b), 0) + 1
        for b in set(t):
            target_seen[b] = target_seen.get(b, 0) + 1
    lists = [[] for _ in range(sources)]
    for (a, b), n in both.items():
        lists[a].append((2 * n / (seen[a] + target_seen[b]), b))
    offsets, ids = [0], []
    for l in lists:
        ids += sorted(b for _, b in sorted(l, reverse=True)[:best])
        offsets.append(len(ids))
    body = struct.pack("<4Q", first, best, len(offsets), len(ids)) + struct.pack(f"<{len(offsets)}Q", *offsets) + struct.pack(f"<{len(ids)}I", *ids)
    checksum = 0  # boost's hash_combine over whole 64-bit words; an odd id at the end is not counted
    for (word,) in struct.iter_unpack("<Q", body[:len(body) // 8 * 8]):
        checksum ^= (word + 0x9E3779B9 + (checksum << 6) + (checksum >> 2)) & (2**64 - 1)
        checksum &= 2**64 - 1
    Path(path).write_bytes(struct.pack("<QQ", 0xF11A48D5013417F5, checksum) + body)


def main():
    out = Path(sys.argv[1])
    torch.manual_seed(1)
    torch.set_num_threads(1)
    r = random.Random(1)
    text = list(dict.fromkeys(sentence(r) for _ in range(6000)))
    for folder, name, columns, sizes, layers, steps in (("shared", "enes", (0, 1), (120,), (2, 2), 2400), ("separate", "zhen", (2, 0), (64, 72), (1, 1), 2400)):
        folder = out / folder
        folder.mkdir(parents=True, exist_ok=True)
        if len(sizes) == 1:
            models = [vocabulary([s[c] for s in text for c in columns], sizes[0])] * 2
            (folder / f"vocab.{name}.spm").write_bytes(models[0])
        else:
            models = [vocabulary([s[c] for s in text], size) for c, size in zip(columns, sizes)]
            for kind, model in zip(("src", "trg"), models):
                (folder / f"{kind}vocab.{name}.spm").write_bytes(model)
        source, target = (sentencepiece.SentencePieceProcessor(model_proto=m) for m in models)
        pairs = [(source.encode(s[columns[0]]) + [0], target.encode(s[columns[1]]) + [0]) for s in text]
        config = {
            "type": "transformer", "version": "v1.12.14 2d067af 2024-02-16 11:44:13 -0500", "dim-vocabs": [source.get_piece_size(), target.get_piece_size()],
            "dim-emb": 64, "enc-depth": layers[0], "dec-depth": layers[1], "enc-cell": "gru", "dec-cell": "ssru", "layer-normalization": False,
            "tied-embeddings": len(sizes) == 2, "tied-embeddings-all": len(sizes) == 1, "tied-embeddings-src": False,
            "transformer-heads": 4, "transformer-dim-ffn": 128, "transformer-ffn-depth": 2, "transformer-ffn-activation": "relu",
            "transformer-decoder-autoreg": "rnn", "transformer-decoder-dim-ffn": 0, "transformer-decoder-ffn-depth": 0,
            "transformer-no-projection": False, "transformer-preprocess": "", "transformer-postprocess": "dan", "transformer-postprocess-emb": "d",
            "transformer-postprocess-top": "", "transformer-tied-layers": [], "transformer-train-position-embeddings": False,
            "input-types": [], "lemma-dim-emb": 0, "skip": False, "right-left": False, "ulr": False,
        }
        model = Model(config, config["dim-vocabs"])
        train(model, pairs, steps, r)
        model.largest = {}
        with torch.no_grad():
            for i in range(20):
                source_ids, mask, target_ids, _ = batch(r.sample(pairs, 32))
                model(source_ids, mask, target_ids)
        write_models(folder, name, model)
        write_shortlist(folder / f"lex.50.50.{name}.s2t.bin", 20, 12, pairs, source.get_piece_size())
    lines = [sentence(r) for _ in range(40)]
    (out / "shared" / "lines.txt").write_text("".join(l[0] + "\n" for l in lines))
    (out / "separate" / "lines.txt").write_text("".join(l[2] + "\n" for l in lines))


main()
