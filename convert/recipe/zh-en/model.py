"""The Transformer: pre-norm encoder-decoder whose parameter names are those of a Hugging Face Marian checkpoint.

The decoder starts from <pad>, whose embedding is zero. Pad is the last id and is never a target: logits have VOCAB columns.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB = 8000          # pieces of each SentencePiece model; ids are SentencePiece's own
PAD = VOCAB           # one more row, all zeros
EOS = 0
D, HEADS, FFN, ENC, DEC = 256, 4, 1024, 4, 2
MAX_POS = 512
LN_EPS = 1e-5


class MaskPool:
    """Dropout from one pool of random masks read at random offsets: drawing fresh bits is slow on a CPU."""

    def __init__(self, p, seed, size=1 << 24):
        g = torch.Generator().manual_seed(seed)
        self.size, self.p = size, p
        self.pool = ((torch.rand(size, generator=g) >= p).float() / (1 - p)).to(torch.bfloat16)
        self.rng = torch.Generator()

    def start_step(self, seed):
        self.rng.manual_seed(seed)

    def __call__(self, shape):
        n = math.prod(shape)
        at = int(torch.randint(self.size - n, (1,), generator=self.rng))
        return self.pool[at:at + n].view(shape)


def positions(n, d):
    """Hugging Face Marian's table: sines in the first half, cosines in the second."""
    angle = torch.arange(n, dtype=torch.float64)[:, None] / 10000 ** (torch.arange(0, d, 2, dtype=torch.float64) / d)
    return torch.cat([angle.sin(), angle.cos()], 1).float()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(D, D) for _ in range(4))

    def keys_values(self, x):
        b, t, _ = x.shape
        split = lambda y: y.view(b, t, HEADS, D // HEADS).transpose(1, 2)
        return split(self.k_proj(x)), split(self.v_proj(x))

    def forward(self, x, k, v, mask=None):
        b, t, _ = x.shape
        q = self.q_proj(x).view(b, t, HEADS, D // HEADS).transpose(1, 2)
        # Written out: for short sentences on a CPU several times faster than the fused kernel and its backward pass.
        w = (q * (D // HEADS) ** -0.5) @ k.transpose(2, 3)
        if mask is not None:
            w = w + mask
        y = F.softmax(w, -1, dtype=v.dtype) @ v
        return self.out_proj(y.transpose(1, 2).reshape(b, t, D))


class Layer(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        norm = lambda: nn.LayerNorm(D, eps=LN_EPS)
        self.self_attn, self.self_attn_layer_norm = Attention(), norm()
        if decoder:
            self.encoder_attn, self.encoder_attn_layer_norm = Attention(), norm()
        self.fc1, self.fc2, self.final_layer_norm = nn.Linear(D, FFN), nn.Linear(FFN, D), norm()

    def forward(self, x, drops, mask=None, memory=None, memory_mask=None, past=None):
        """drops: three dropout masks, or None; past: None, or [k, v, cross k, cross v] of the steps before (grown in place)."""
        drop = (lambda y, i: y) if drops is None else (lambda y, i: y * drops[i])
        h = narrow(self.self_attn_layer_norm(x))
        k, v = self.self_attn.keys_values(h)
        if past is not None:
            if past[0] is not None:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            past[0], past[1] = k, v
        x = x + drop(self.self_attn(h, k, v, mask), 0)
        if memory is not None:
            h = narrow(self.encoder_attn_layer_norm(x))
            if past is None:
                ck, cv = self.encoder_attn.keys_values(memory)
            else:
                if past[2] is None:
                    past[2], past[3] = self.encoder_attn.keys_values(memory)
                ck, cv = past[2], past[3]
            x = x + drop(self.encoder_attn(h, ck, cv, memory_mask), 1)
        h = narrow(self.final_layer_norm(x))
        return x + drop(self.fc2(F.relu(self.fc1(h))), 2)


def narrow(x):
    """Round once where several matrix products read the same activation under autocast."""
    return x.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else x


class Stack(nn.Module):
    def __init__(self, layers, decoder):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB + 1, D, padding_idx=PAD)
        self.layers = nn.ModuleList(Layer(decoder) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(D, eps=LN_EPS)


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Stack(ENC, False), Stack(DEC, True)


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()
        self.final_logits_bias = nn.Parameter(torch.zeros(1, VOCAB + 1))
        self.register_buffer("pos", positions(MAX_POS, D), persistent=False)
        self.drop = None  # or a MaskPool
        for name, p in self.named_parameters():
            if "embed_tokens" in name:
                nn.init.normal_(p, std=D ** -0.5)
                with torch.no_grad():
                    p[PAD].zero_()
            elif p.dim() == 2 and "bias" not in name:
                nn.init.xavier_uniform_(p)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def embed(self, stack, ids, at=0):
        x = stack.embed_tokens(ids) * math.sqrt(D) + self.pos[at:at + ids.shape[1]]
        return x if self.drop is None else x * self.drop(x.shape)

    def drops(self, x):
        return None if self.drop is None else tuple(self.drop(x.shape) for _ in range(3))

    def encode(self, src):
        """src: [B, S] padded with PAD. Returns the memory and the mask that hides padding (None if there is none)."""
        e = self.model.encoder
        pad = src == PAD
        mask = None
        if pad.any():
            mask = torch.zeros(src.shape[0], 1, 1, src.shape[1], dtype=narrow(self.pos).dtype)
            mask.masked_fill_(pad[:, None, None], -1e9)
        x = self.embed(e, src)
        for layer in e.layers:
            x = layer(x, self.drops(x), mask)
        return narrow(e.layer_norm(x)), mask

    def decode(self, memory, mask, tgt):
        """All positions at once: tgt begins with PAD. Returns hidden states [B, T, D]."""
        d = self.model.decoder
        x = self.embed(d, tgt)
        causal = torch.full((tgt.shape[1],) * 2, -1e9, dtype=memory.dtype).triu(1)
        for layer in d.layers:
            x = layer(x, self.drops(x), causal, memory, mask)
        return narrow(d.layer_norm(x))

    def logits(self, h):
        return h @ self.model.decoder.embed_tokens.weight[:VOCAB].T + self.final_logits_bias[0, :VOCAB]

    @torch.no_grad()
    def greedy(self, sources, batch=50):
        """Lists of source ids (with EOS) -> lists of target ids (without EOS)."""
        out = [None] * len(sources)
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        d = self.model.decoder
        for lo in range(0, len(order), batch):
            rows = order[lo:lo + batch]
            memory, mask = self.encode(pad_batch([sources[i] for i in rows]))
            limit = min(2 * memory.shape[1] + 20, MAX_POS - 1)
            past = [[None] * 4 for _ in d.layers]
            last = torch.full((len(rows), 1), PAD)
            done = torch.zeros(len(rows), dtype=torch.bool)
            got = []
            for t in range(limit):
                x = self.embed(d, last, t)
                for layer, p in zip(d.layers, past):
                    x = layer(x, None, memory=memory, memory_mask=mask, past=p)
                last = self.logits(d.layer_norm(x[:, -1])).argmax(-1, keepdim=True)
                got.append(last)
                done |= last[:, 0] == EOS
                if done.all():
                    break
            for i, ids in zip(rows, torch.cat(got, 1).tolist()):
                out[i] = ids[:ids.index(EOS)] if EOS in ids else ids
        return out


def pad_batch(rows, multiple=1):
    n = -(-max(map(len, rows)) // multiple) * multiple
    return torch.tensor([r + [PAD] * (n - len(r)) for r in rows])


class SmoothedLoss(torch.autograd.Function):
    """Label-smoothed cross entropy: its gradient, made together with the forward pass, in few passes over the logits.

    Returns the plain negative log likelihood, summed; backward gives the gradient of the smoothed loss, summed.
    """

    buffers = {}  # fresh memory of this size costs more (page faults) than the arithmetic on it

    @classmethod
    def buffer(cls, name, rows, cols, dtype):
        b = cls.buffers.get((name, dtype))
        if b is None or b.shape[0] < rows:
            b = cls.buffers[name, dtype] = torch.empty(rows, cols, dtype=dtype)
        return b[:rows]

    @staticmethod
    def forward(ctx, h, weight, bias, target, eps, chunk=2560, block=256):
        n, v = len(h), weight.shape[0]
        h = F.pad(h, (0, 0, 0, -n % block))  # few distinct shapes: a kernel is generated for each
        w, b = weight.to(h.dtype), bias.to(h.dtype)
        gh, gw, gb, nll = torch.empty_like(h), 0, 0, 0.0
        for lo in range(0, len(h), chunk):
            hc, y = h[lo:lo + chunk], target[lo:lo + chunk]
            z = torch.addmm(b, hc, w.T, out=SmoothedLoss.buffer("z", len(hc), v, h.dtype))
            p = torch.softmax(z, 1, out=SmoothedLoss.buffer("p", len(hc), v, h.dtype))
            p[len(y):].zero_()
            at = torch.arange(len(y)) * v + y
            picked = p.view(-1)[at]
            nll -= float(picked.float().clamp_min(1e-9).log().sum())
            p.view(-1)[at] = picked - (1 - eps)
            torch.mm(p, w, out=gh[lo:lo + chunk])
            gw = gw + (hc.T @ p).float()
            gb = gb + p.sum(0).float()
        # The smoothing's even share, eps / v of every column, is taken off here rather than in one more pass over p.
        gh -= (eps / v) * weight.sum(0)
        gw -= (eps / v) * h.float().sum(0)[:, None]
        gb -= eps / v * n
        ctx.save_for_backward(gh[:n], gw.T, gb)
        return torch.tensor(nll)

    @staticmethod
    def backward(ctx, g):
        gh, gw, gb = ctx.saved_tensors
        return gh * g, gw * g, gb * g, None, None, None
