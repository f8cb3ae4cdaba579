"""Writes testdata/rnn/exported: recurrent networks as PyTorch's two exporters write them to ONNX, and what PyTorch computes.

    python make_rnn_onnx.py rnn/exported     # torch 2.15, onnx 1.23, onnxscript 0.7 (for the newer exporter)
"""
import json
import os
import sys

import onnx
import torch
from torch import nn

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
IN, UNITS = 5, 8


class Model(nn.Module):
    def __init__(self, rnn, then, head=None):
        super().__init__()
        self.rnn, self.then, self.head = rnn, then, head

    def forward(self, x):
        return self.then(self, *self.rnn(x))


def forget_paths(path):
    """The newer exporter notes for every node which line of which file made it, with the paths of this machine."""
    m = onnx.load(path, load_external_data=False)
    for node in m.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*m.graph.input, *m.graph.output, *m.graph.value_info]:
        del value.metadata_props[:]
    onnx.save(m, path)


def both_ends(m, y, _):
    """The last output of the forward half beside the first of the backward half."""
    return m.head(torch.cat([y[:, -1, :UNITS], y[:, 0, UNITS:]], 1))


# name: model, is the batch first, with the newer exporter ("apart": numbers in a file beside it, which is its default)
CASES = {
    "steps-and-states": (Model(nn.LSTM(IN, UNITS, 2, batch_first=True), lambda m, y, s: (y, *s)), True, True),
    "steps-and-states-old": (Model(nn.LSTM(IN, UNITS, 3, batch_first=True), lambda m, y, s: (y, *s)), True, False),
    "time-first": (Model(nn.GRU(IN, UNITS, 2), lambda m, y, s: (y, s)), False, False),
    "states-side-by-side": (Model(nn.LSTM(IN, UNITS, 2, batch_first=True, bidirectional=True),
                                  lambda m, y, s: m.head(torch.cat([s[0][-2], s[0][-1]], 1)), nn.Linear(2 * UNITS, 3)), True, False),
    "last-of-states": (Model(nn.GRU(IN, UNITS, 2, batch_first=True), lambda m, y, s: m.head(s[-1]), nn.Linear(UNITS, 3)), True, True),
    "last-step-kept": (Model(nn.RNN(IN, UNITS, 1, batch_first=True), lambda m, y, s: m.head(y[:, -1:]), nn.Linear(UNITS, 3)), True, False),
    "both-ends": (Model(nn.GRU(IN, UNITS, 1, batch_first=True, bidirectional=True), both_ends, nn.Linear(2 * UNITS, 3)), True, False),
    "numbers-apart": (Model(nn.LSTM(IN, UNITS, 2, batch_first=True), lambda m, y, s: m.head(y), nn.Linear(UNITS, 3)), True, "apart"),
}
for i, (name, (model, first, newer)) in enumerate(CASES.items()):
    torch.manual_seed(i)
    for p in model.parameters():
        nn.init.normal_(p, std=0.4)
    model.eval()
    x = torch.randn(1, 7, IN) if first else torch.randn(7, 1, IN)
    path = os.path.join(out, name + ".onnx")
    if newer:
        torch.onnx.export(model, (x,), path, dynamo=True, verbose=False, external_data=newer == "apart")
        forget_paths(path)
    else:
        torch.onnx.export(model, (x,), path, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {int(first): "steps"}})
    with torch.no_grad():
        y = model(x)
    y = y[0] if isinstance(y, tuple) else y
    width = y.shape[-1]
    with open(os.path.join(out, name + ".golden.json"), "w") as f:
        json.dump({"input": [x.reshape(7, IN).tolist()], "output": [y.reshape(-1, width).tolist()]}, f)
