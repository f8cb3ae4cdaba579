"""Trains one of the two models. Both see the same stories in the same order, the same number of steps and the same tuning."""
import argparse
import json
import math
import os
import random
import time

import torch

import data
from model import NextWord

SEED, BATCH, LEAST = 1, 48, 3
PLAIN = 0.25     # share of sequences that are colours and everyday sentences only
POSITIONS = 0.3  # share of the other positions whose words are scored in a step; the answer always is
QUANTIZED = 250  # the last steps see the weights as int8 stands for them, and leave them so


def sequences(rng, sentences, everyday, longest):
    """One batch: token lists, and where each answer lies (-1: none). Distances of a batch lie close together, and short ones
    come more often: without them a plain RNN never finds out that there is something to remember."""
    middle = int((longest + 1) * rng.random() ** 2)
    batch, answers = [], []
    for _ in range(BATCH):
        distance = min(max(middle + rng.randint(-4, 4), 0), data.MAX_DISTANCE)
        if rng.random() < PLAIN:
            lead = [data.color(rng.choice(sorted(data.COLORS)), rng.randrange(3)) for _ in range(2)]
            text = " ".join(lead + [rng.choice(everyday) for _ in range(distance // 8)])
            batch.append(data.tokens(text))
            answers.append(-1)
            continue
        name = rng.choice(data.NAMES)
        while data.held_out(name, distance):
            name = rng.choice(data.NAMES)
        text, food = data.story(rng, sentences, distance, name)
        t = data.tokens(text)
        answers.append(len(t))
        batch.append(t + [food, "."])
    return batch, answers


def tensors(batch, answers, index):
    longest = max(map(len, batch)) + 1
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    known = torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, t in enumerate(batch):
        ids[i, 1:len(t) + 1] = torch.tensor([index.get(w, 1) for w in t])
        known[i, :len(t)] = True
    at = torch.tensor(answers)
    return ids, known, at


def accuracy(model, index, stories, foods=None):
    """Share of stories whose most likely next word is the food, by distance."""
    model.eval()
    right, total = {}, {}
    stories = sorted(stories, key=lambda s: s[0])
    with torch.no_grad():
        for i in range(0, len(stories), 64):
            part = stories[i:i + 64]
            t = [data.tokens(s[1]) for s in part]
            ids, _, _ = tensors(t, [0] * len(t), index)
            h = model.hidden(ids)[torch.arange(len(t)), torch.tensor([len(x) for x in t])]
            top = model.out(h).argmax(1).tolist()
            for (distance, _, food), best in zip(part, top):
                total[distance] = total.get(distance, 0) + 1
                right[distance] = right.get(distance, 0) + (best == index[food])
    model.train()
    return {d: right[d] / total[d] for d in total}


def to_int8(model):
    """Puts every matrix on the grid on which the converter will find it: int8 with a scale a row. Gives the weights before."""
    before = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2:
                before[name] = p.clone()
                scale = p.abs().amax(1, keepdim=True).clamp_min(1e-20) / 127
                p.copy_((p / scale).round() * scale)
    return before


def from_int8(model, before):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in before:
                p.copy_(before[name])


def main():
    a = argparse.ArgumentParser()
    a.add_argument("kind", choices=["lstm", "rnn"])
    a.add_argument("--data", required=True, help="train.permissive.tsv.gz")
    a.add_argument("--out", required=True)
    a.add_argument("--steps", type=int, default=1500)
    a.add_argument("--lr", type=float, default=1e-3)
    a.add_argument("--resume", action="store_true")
    o = a.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    os.makedirs(o.out, exist_ok=True)
    everyday, kept = data.read_everyday(o.data)
    words = data.vocabulary(everyday, LEAST)
    with open(os.path.join(o.out, "vocab.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(words) + "\n")
    index = {w: i for i, w in enumerate(words)}
    sentences = data.Sentences(everyday)
    checks = list(data.held_out_stories(kept, 16, step=10))
    model = NextWord(o.kind, len(words))
    print(o.kind, "words", len(words), "parameters", sum(p.numel() for p in model.parameters()), flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=o.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    path = os.path.join(o.out, o.kind + ".train.pt")
    first, used = 0, 0.0
    if o.resume and os.path.exists(path):
        c = torch.load(path)
        model.load_state_dict(c["model"])
        optimizer.load_state_dict(c["optimizer"])
        first, used = c["step"], c["seconds"]
    begun, sums = time.time() - used, [0.0, 0.0, 0]
    for step in range(first, o.steps):
        rng = random.Random(SEED * 1_000_003 + step)
        grown = min(1.0, step / (0.5 * o.steps))  # distances grow to 60 over the first half of the steps
        ids, known, at = tensors(*sequences(rng, sentences, everyday, int(data.MAX_DISTANCE * grown)), index)
        rate = o.lr * min(1, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / o.steps)))
        for g in optimizer.param_groups:
            g["lr"] = rate
        # A straight-through estimate: the gradient at the rounded weights moves those that were rounded.
        before = to_int8(model) if step >= o.steps - QUANTIZED else {}
        h = model.hidden(ids)
        rows = torch.nonzero(at >= 0)[:, 0]
        generator = torch.Generator().manual_seed(SEED * 7 + step)
        pick = known & (torch.rand(known.shape, generator=generator) < POSITIONS)
        pick[:, -1] = False
        target = torch.roll(ids, -1, 1)
        language = torch.nn.functional.cross_entropy(model.out(h[pick]), target[pick])
        memory = torch.nn.functional.cross_entropy(model.out(h[rows, at[rows]]), target[rows, at[rows]])
        optimizer.zero_grad(set_to_none=True)
        (language + memory).backward()
        from_int8(model, before)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sums = [sums[0] + language.item(), sums[1] + memory.item(), sums[2] + 1]
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} language {sums[0] / sums[2]:.3f} memory {sums[1] / sums[2]:.3f} "
                  f"seconds {time.time() - begun:.0f}", flush=True)
            sums = [0.0, 0.0, 0]
        if (step + 1) % 250 == 0 or step + 1 == o.steps:
            print("held out", json.dumps(accuracy(model, index, checks)), flush=True)
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1,
                        "seconds": time.time() - begun}, path + ".tmp")
            os.replace(path + ".tmp", path)
    to_int8(model)
    torch.save(model.state_dict(), os.path.join(o.out, o.kind + ".pt"))
    full = accuracy(model, index, list(data.held_out_stories(kept, 32)))
    with open(os.path.join(o.out, o.kind + ".scores.json"), "w") as f:
        json.dump(full, f)
    print("all held out", sum(full.values()) / len(full), json.dumps(full), flush=True)


if __name__ == "__main__":
    main()
