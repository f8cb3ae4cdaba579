"""Trains the model. Kill it at any point and start it again: it goes on from the last checkpoint, with the same batches. last.pt is the end.

Everything random is a function of (seed, epoch) or (seed, step), so the step number is the whole random state.
"""
import argparse
import contextlib
import csv
import glob
import math
import os
import pickle
import random
import re
import time

import sacrebleu
import sentencepiece as spm
import torch

from augment import Augment
from model import PAD, MaskPool, SmoothedLoss, Translator, pad_batch
from prepare import MANUALS, read_tsv

SEED = 1
# Pairs of an epoch: all of a tag so many times, or a fresh random draw of so many.
REPEAT = {"phrases": 6, "tatoeba": 2, "3am": 1, "dialog-human": 1, "mlqe-pe": 2}
DRAW = {"dialog-mt": 10000, "manuals": 16000, "lexicon": 30000}
MAX_PIECES = 80
BARE_END = 0.15       # so often a source loses its final full stop, which people do not type
ALPHA = 0.2           # subword regularization
DISTILLED = 0.5       # so often a pair that has a distilled target is learnt with that
JOIN = 0.04           # so many pairs are two short ones, one after the other
SMOOTHING = 0.1
EMA = 0.999
WARMUP = 800


def epoch_batches(run, work, epoch, *how):
    """The batches of an epoch, kept on disk: SentencePiece's sampling is not the same from one process to the next."""
    path = os.path.join(run, f"epoch{epoch}.pkl")
    if os.path.exists(path):
        with open(path, "rb") as f:
            key, batches = pickle.load(f)
        if key == how:
            return batches
    batches = make_batches(work, epoch, *how)
    with open(path + ".tmp", "wb") as f:
        pickle.dump((how, batches), f)
    os.replace(path + ".tmp", path)
    # The last checkpoint may lie in the epoch before this one; older ones are not needed again.
    for old in glob.glob(os.path.join(run, "epoch*.pkl")):
        if old not in (path, os.path.join(run, f"epoch{epoch - 1}.pkl")):
            os.remove(old)
    return batches


def resume_log(path, step):
    """Drops what a killed run logged after the checkpoint from which it goes on, a line cut in the middle included."""
    if os.path.exists(path):
        with open(path, newline="") as f:
            head, *rows = f.read().splitlines(keepends=True) or [""]
        with open(path + ".tmp", "w", newline="") as f:
            f.writelines([head] + [r for r in rows if r.endswith("\n") and int(r.split(",")[0]) <= step] if head.endswith("\n") else [])
        os.replace(path + ".tmp", path)


def make_batches(work, epoch, batch_tokens, plain, distilled):
    rng = random.Random(SEED * 1000003 + epoch)
    by_tag = {}
    for tag, zh, en in read_tsv(os.path.join(work, "train.tsv")):
        by_tag.setdefault("manuals" if tag in MANUALS else tag, []).append((zh, en))
    pairs = []
    for tag, n in REPEAT.items():
        pairs += by_tag[tag] * n
    for tag, n in DRAW.items():
        pairs += rng.sample(by_tag[tag], min(n, len(by_tag[tag])))
    names = sorted({w for _, e in pairs for w in re.findall(r"(?<=[a-z] )[A-Z][a-z]{2,11}\b", e)})
    if distilled:
        said = {(z, e): h for z, e, h in read_tsv(distilled)}
        pairs = [(z, said.get((z, e), e) if rng.random() < DISTILLED else e) for z, e in pairs]
    pairs = Augment(names, rng).all(pairs)
    short = [p for p in by_tag["tatoeba"] if p[0][-1] in "。！？!?" and p[1][-1] in ".!?"]
    pairs += [(a[0] + b[0], a[1] + " " + b[1]) for a, b in zip(*(rng.choices(short, k=int(JOIN * len(pairs))) for _ in range(2)))]
    zh = [z[:-1] if z[-1] in "。." and len(z) > 1 and rng.random() < BARE_END else z for z, _ in pairs]
    sampled = dict(enable_sampling=True, alpha=ALPHA, nbest_size=-1, add_eos=True)
    spm.set_random_generator_seed(SEED * 1000003 + epoch)
    src = spm.SentencePieceProcessor(model_file=os.path.join(work, "source.spm")).encode(zh, **sampled)
    tgt = spm.SentencePieceProcessor(model_file=os.path.join(work, "target.spm")).encode(
        [e for _, e in pairs], **(dict(add_eos=True) if plain else sampled))
    rows = [(s, t) for s, t in zip(src, tgt) if len(s) <= MAX_PIECES and len(t) <= MAX_PIECES]
    rng.shuffle(rows)
    even = lambda n: n + n % 2
    rows.sort(key=lambda r: (even(len(r[1])), len(r[0])))  # stable, so the order among equals is the shuffle's
    batches, lo = [], 0
    while lo < len(rows):
        # Few distinct shapes (lengths even, rows a multiple of 8): kernels are generated once for a shape.
        size, t = 8, even(len(rows[lo][1]))
        while lo + size < len(rows) and even(len(rows[lo + size][1])) == t and \
                (even(len(rows[lo + size][0])) + t) * (size + 8) <= batch_tokens:
            size += 8
        batches.append(rows[lo:lo + size])
        lo += size
    rng.shuffle(batches)
    return batches


def rate(step, progress, peak):
    """Linear warm-up, then a cosine over the progress (0 to 1) of the whole training."""
    return peak * min(1, (step + 1) / WARMUP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1, progress))))


def losses(model, batch, amp, smoothing):
    src = pad_batch([s for s, _ in batch], 2)
    tgt = pad_batch([t for _, t in batch], 2)
    inputs = torch.cat([torch.full((len(batch), 1), PAD), tgt[:, :-1]], 1)
    with torch.autocast("cpu", torch.bfloat16) if amp else contextlib.nullcontext():
        h = model.decode(*model.encode(src), inputs)
    real = (tgt != PAD).view(-1).nonzero()[:, 0]
    h = h.reshape(-1, h.shape[-1]).index_select(0, real)
    weight = model.model.decoder.embed_tokens.weight[:PAD]
    nll = SmoothedLoss.apply(h, weight, model.final_logits_bias[0, :PAD], tgt.view(-1)[real], smoothing)
    return nll / len(real), nll.item(), len(real), src.numel() + tgt.numel()


class Dev:
    """200 dev lines: half everyday sentences, a quarter captions, a quarter news."""

    def __init__(self, data, work):
        rows = []
        for name, n in (("dev.tatoeba", 100), ("dev.3am", 50), ("dev.ntrex128", 50)):
            rows += read_tsv(os.path.join(data, name + ".tsv"))[:n]
        self.refs = [en for _, en in rows]
        self.src_spm = spm.SentencePieceProcessor(model_file=os.path.join(work, "source.spm"))
        self.tgt_spm = spm.SentencePieceProcessor(model_file=os.path.join(work, "target.spm"))
        self.src = self.src_spm.encode([zh for zh, _ in rows], add_eos=True)
        self.tgt = self.tgt_spm.encode(self.refs, add_eos=True)

    @torch.no_grad()
    def score(self, model, amp):
        """(negative log likelihood a piece, BLEU of the everyday half, sample output) of greedy decoding."""
        drop, model.drop = model.drop, None
        nll = n = 0
        order = sorted(range(len(self.src)), key=lambda i: len(self.tgt[i]))
        for lo in range(0, len(order), 25):
            _, l, k, _ = losses(model, [(self.src[i], self.tgt[i]) for i in order[lo:lo + 25]], amp, 0.0)
            nll, n = nll + l, n + k
        with torch.autocast("cpu", torch.bfloat16) if amp else contextlib.nullcontext():
            hyp = self.tgt_spm.decode(model.greedy(self.src[:100] + [self.src_spm.encode("我正在吃饭", add_eos=True)]))
        model.drop = drop
        return nll / n, sacrebleu.corpus_bleu(hyp[:-1], [self.refs[:100]]).score, hyp[-1]


def save(path, obj):
    torch.save(obj, path + ".tmp")
    os.replace(path + ".tmp", path)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", default=os.environ.get("ZHEN_DATA"))
    ap.add_argument("--work", default=os.environ.get("ZHEN_WORK"))
    ap.add_argument("--run", help="folder of this run's checkpoint, log and weights (default: the work folder)")
    ap.add_argument("--init", help="weights to begin with (a last.pt); the optimizer begins anew")
    ap.add_argument("--plain", action="store_true", help="the target in its best pieces: sampled ones teach to spell, and to invent words")
    ap.add_argument("--distilled", help="targets of distill.py, for half of the pairs that have one")
    ap.add_argument("--steps", type=int, default=16000)
    ap.add_argument("--deadline", type=float, help="end at this Unix time instead: the cosine is stretched to end there")
    ap.add_argument("--batch-tokens", type=int, default=2800, help="source and target positions of a batch, padding included")
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--dropout", type=float, default=0.1)
    ap.add_argument("--fp32", action="store_true", help="no bfloat16 matrix products")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--eval-every", type=int, default=600)
    ap.add_argument("--save-every", type=int, default=200)
    ap.add_argument("--bench", type=int, default=0, help="time so many steps and stop")
    a = ap.parse_args()
    run = a.run or a.work
    os.makedirs(run, exist_ok=True)
    if os.path.exists(os.path.join(run, "last.pt")) and not a.bench:
        return
    torch.set_num_threads(a.threads)
    torch.manual_seed(SEED)
    amp = not a.fp32

    model = Translator()
    model.drop = drop = MaskPool(a.dropout, SEED)
    params = list(model.parameters())
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and n.endswith("proj.weight") or ".fc" in n and p.dim() == 2]
    rest = [p for p in params if not any(p is m for m in matrices)]
    opt = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
                            lr=a.lr, betas=(0.9, 0.98), eps=1e-9, fused=True)
    ema = [p.detach().clone() for p in params]
    step, epoch, at, seconds = 0, 0, 0, 0.0
    checkpoint = os.path.join(run, "checkpoint.pt")
    if os.path.exists(checkpoint) and not a.bench:
        c = torch.load(checkpoint)
        model.load_state_dict(c["model"])
        opt.load_state_dict(c["opt"])
        ema = c["ema"]
        step, epoch, at, seconds, best = c["step"], c["epoch"], c["at"], c["seconds"], c["best"]
        progress = c["progress"]
        print(f"resumed at step {step}", flush=True)
    else:
        best, progress = -1.0, 0.0
        if a.init:
            model.load_state_dict(torch.load(a.init)["ema"], strict=False)
            ema = [p.detach().clone() for p in params]
    dev = Dev(a.data, a.work)
    batches = epoch_batches(run, a.work, epoch, a.batch_tokens, a.plain, a.distilled)
    print(f"{len(batches)} batches an epoch, {sum(map(len, batches))} pairs, "
          f"{sum(len(s) + len(t) for b in batches for s, t in b) / sum((max(len(s) for s, _ in b) + max(len(t) for _, t in b)) * len(b) for b in batches):.3f} not padding", flush=True)

    def as_dict(values):
        return {n: v.clone() for (n, _), v in zip(model.named_parameters(), values)}

    log_path = os.path.join(run, "log.csv")
    if not a.bench:
        resume_log(log_path, step)
    t0, window, done_tokens, sum_nll, sum_n = time.time(), time.time(), 0, 0.0, 0
    before, end = time.time(), progress >= 1
    while not end:
        if at >= len(batches):
            epoch, at = epoch + 1, 0
            batches = epoch_batches(run, a.work, epoch, a.batch_tokens, a.plain, a.distilled)
        drop.start_step(SEED * 1000003 + step)
        loss, nll, n, positions = losses(model, batches[at], amp, SMOOTHING)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
        lr = rate(step, progress, a.lr)
        for g in opt.param_groups:
            g["lr"] = lr
        opt.step()
        step, at = step + 1, at + 1
        now = time.time()
        if a.deadline:
            progress += (1 - progress) * min(1, (now - before) / max(a.deadline - before, 1e-3))
        else:
            progress = min(1.0, step / a.steps)
        before, end = now, progress >= 1 or bool(a.deadline) and now >= a.deadline
        if step % 10 == 0:
            keep = min(EMA ** 10, step / (step + 100))
            torch._foreach_lerp_(ema, [p.detach() for p in params], 1 - keep)
        sum_nll, sum_n, done_tokens = sum_nll + nll, sum_n + n, done_tokens + positions
        if a.bench:
            if step == a.bench // 2:
                window, done_tokens = time.time(), 0
            if step == a.bench:
                t = time.time() - window
                print(f"{t / (step - a.bench // 2) * 1000:.0f} ms a step, {done_tokens / t:.0f} positions/s")
                return
            continue
        if step % a.eval_every == 0 or end:
            t = time.time() - window
            raw = [p.detach().clone() for p in params]
            for p, e in zip(params, ema):
                p.data.copy_(e)
            dev_nll, bleu, sample = dev.score(model, amp)
            for p, r in zip(params, raw):
                p.data.copy_(r)
            fresh = not os.path.exists(log_path) or os.path.getsize(log_path) == 0
            with open(log_path, "a", newline="") as f:
                w = csv.writer(f)
                if fresh:
                    w.writerow("step epoch lr train_nll dev_nll dev_tatoeba100_bleu positions_per_s seconds sample".split())
                w.writerow([step, epoch, f"{lr:.2e}", f"{sum_nll / sum_n:.4f}", f"{dev_nll:.4f}", f"{bleu:.2f}",
                            f"{done_tokens / t:.0f}", f"{seconds + time.time() - t0:.0f}", sample])
            print(step, epoch, f"train {sum_nll / sum_n:.3f} dev {dev_nll:.3f} bleu {bleu:.2f} {done_tokens / t:.0f}/s", sample, flush=True)
            if bleu > best:
                best = bleu
                save(os.path.join(run, "best.pt"), {"step": step, "ema": as_dict(ema)})
            window, done_tokens, sum_nll, sum_n = time.time(), 0, 0.0, 0
        if step % a.save_every == 0 or end:
            save(checkpoint, {"model": model.state_dict(), "opt": opt.state_dict(), "ema": ema, "step": step, "epoch": epoch,
                              "at": at, "seconds": seconds + time.time() - t0, "best": best, "progress": progress})
    save(os.path.join(run, "last.pt"), {"step": step, "ema": as_dict(ema)})


if __name__ == "__main__":
    main()
