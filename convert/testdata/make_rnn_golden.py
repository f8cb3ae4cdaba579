"""Writes testdata/rnn/golden and rnn/legacy: small recurrent networks with random, lopsided weights, and what PyTorch computes with them.

    python make_rnn_golden.py rnn      # torch 2.15, safetensors 0.8
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from torch import nn

out = os.path.join(sys.argv[1], "golden")
os.makedirs(out, exist_ok=True)
torch.manual_seed(7)


def scramble(module):
    """Every tensor gets a mean and a spread of its own, so that no two gates may be exchanged unnoticed."""
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            rows = torch.linspace(-0.3, 0.5, p.shape[0]).reshape([-1] + [1] * (p.dim() - 1))
            p.copy_(torch.randn_like(p) * (0.15 + 0.02 * i % 0.1) + rows * 0.5)


def save(name, module, x, extra=None, suffix="pt", lengths=None, initial=None):
    scramble(module)
    state = {k: v.clone() for k, v in module.state_dict().items()}
    path = os.path.join(out, name + "." + suffix)
    if suffix == "pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    rnn = module
    if lengths is not None:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, last = rnn(packed, initial)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    else:
        y, last = rnn(x, initial)
    h, c = last if isinstance(last, tuple) else (last, None)
    case = {"input": x.tolist(), "output": y.tolist(), "h": h.tolist(), "lengths": lengths}
    if c is not None:
        case["c"] = c.tolist()
    if initial is not None:
        case["h0"] = (initial[0] if c is not None else initial).tolist()
        if c is not None:
            case["c0"] = initial[1].tolist()
    case.update(extra or {})
    with open(os.path.join(out, name + ".golden.json"), "w") as f:
        json.dump(case, f)


x = torch.randn(3, 6, 7)
o = dict(batch_first=True)
save("lstm-3-layer", nn.LSTM(7, 18, 3, **o), x)
save("lstm-bidirectional", nn.LSTM(7, 9, 2, bidirectional=True, **o), x, suffix="safetensors", lengths=[6, 2, 4])
save("lstm-projected", nn.LSTM(7, 20, 2, proj_size=5, **o), x, lengths=[3, 6, 5])
save("lstm-projected-bidirectional", nn.LSTM(7, 12, 1, proj_size=4, bidirectional=True, **o), x)
save("lstm-no-bias", nn.LSTM(7, 17, 1, bias=False, **o), x, initial=(torch.randn(1, 3, 17) * 0.5, torch.randn(1, 3, 17)))
save("gru-3-layer", nn.GRU(7, 18, 3, **o), x, lengths=[6, 1, 5])
save("gru-bidirectional", nn.GRU(7, 16, 2, bidirectional=True, **o), x, suffix="safetensors")
save("rnn-tanh", nn.RNN(7, 33, 2, **o), x, initial=torch.randn(2, 3, 33) * 0.5)
save("rnn-relu", nn.RNN(7, 12, 1, nonlinearity="relu", **o), x * 0.3, {"settings": {"activation": "relu"}})


class Words(nn.Module):
    """An embedding, a recurrent layer and linear layers around it, one of them tied to the embedding."""

    def __init__(self, tied):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.lstm = nn.LSTM(8, 20, batch_first=True)
        self.project = nn.Linear(20, 8)
        self.out = nn.Linear(8, 11)
        self.tied = tied

    def forward(self, ids):
        return torch.softmax(self.out(torch.tanh(self.project(self.lstm(self.embed(ids))[0]))), -1)


for tied, suffix in ((True, "pt"), (True, "safetensors"), (False, "pt")):
    m = Words(tied)
    scramble(m)
    if tied:
        m.out.weight = m.embed.weight
    name = "words-" + ("tied-" if tied else "") + suffix
    state = m.state_dict()
    if suffix == "pt":
        torch.save(state, os.path.join(out, name + ".pt"))
    else:
        state = {k: v.clone() for k, v in state.items() if k != "out.weight"}  # as safetensors' own save_model leaves it
        save_file(state, os.path.join(out, name + ".safetensors"))
    ids = torch.tensor([[1, 5, 10, 0, 3], [7, 7, 2, 9, 4]])
    with open(os.path.join(out, name + ".golden.json"), "w") as f:
        json.dump({"ids": ids.tolist(), "output": m(ids).tolist(),
                   "settings": {"softmax": True, "head_activations": ["tanh", ""]}}, f)

# Two of them in the form of PyTorch before 1.6, one with tied weights.
old = os.path.join(out, "..", "legacy")
os.makedirs(old, exist_ok=True)
for name in ("lstm-projected-bidirectional.pt", "words-tied-pt.pt"):
    torch.save(torch.load(os.path.join(out, name)), os.path.join(old, name), _use_new_zipfile_serialization=False)
