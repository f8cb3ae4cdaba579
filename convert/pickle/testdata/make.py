"""Makes the files of this folder. Run with Python 3.11.7, torch 2.15.0, numpy 2.4.6.

Each .json holds, for every tensor, its shape and its values as float32, as torch has them. None of the files that ask Python to run
something is loaded here.
"""
import argparse
import builtins
import collections
import json
import os
import pickle
import zipfile

import numpy
import torch


def values(*shape, step=37):
    n = 1
    for d in shape:
        n *= d
    return ((torch.arange(n, dtype=torch.float64) * step) % 101 - 50).reshape(shape) / 8


def save(name, tensors, saved=None):
    torch.save(tensors if saved is None else saved, name + ".pt")
    json.dump({k: {"shape": list(t.shape), "values": t.detach().to(torch.float32).flatten().tolist()} for k, t in tensors.items()},
              open(name + ".json", "w"))


def save_legacy(name, value):
    torch.save(value, name + "_legacy.pt", _use_new_zipfile_serialization=False)


class Call:
    def __init__(self, f, *args):
        self.f, self.args = f, args

    def __reduce__(self):
        return self.f, self.args


def main():
    types = {str(d).removeprefix("torch."): values(3, 5).to(d) for d in (
        torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
        torch.float8_e4m3fn, torch.float8_e5m2)}
    for d in (torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        types[str(d).removeprefix("torch.")] = values(3, 5).abs().to(d)
    types["scalar"] = torch.tensor(7.5)
    types["empty"] = torch.zeros(0, 4)
    save("types", types)
    save_legacy("types", types)

    base = values(4, 6).float()
    cube = values(2, 3, 4).float()
    views = collections.OrderedDict(
        base=base, tied=base, parameter=torch.nn.Parameter(base), transposed=base.t(), part=base[1:3, 2:5], column=base[:, 4], row=base[2],
        every_second=base[::2, ::3], cube=cube, permuted=cube.permute(2, 0, 1), swapped=cube.transpose(0, 1), last=cube[:, :, 3],
        spread=torch.tensor([[2.0], [3.0]]).expand(2, 5), half_view=base.half().t()[3:])
    save("views", views)
    save_legacy("views", views)

    tiny = {"w": values(2, 3).float()}
    save("tiny", tiny)

    state = collections.OrderedDict(weight=values(2, 3).float(), bias=values(2).float())
    optimizer = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": values(2, 3).float()}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    whole = {
        "epoch": 3, "args": argparse.Namespace(dim=8, names=["a", "b"]), "optimizer": optimizer, "best": numpy.float64(0.25),
        "rng": numpy.arange(3), "device": torch.device("cpu"), "size": torch.Size([2, 3]), "state_dict": state, "path": {1, 2}}
    save("nested", state, whole)
    save_legacy("nested", whole)

    module = torch.nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(values(2, 3))
        module.bias.copy_(values(2))
    torch.save(module, "module.pt")
    save("linear", module.state_dict())  # an OrderedDict with _metadata
    save_legacy("tiny", tiny)
    torch.save({"w": torch.quantize_per_tensor(values(2, 3).float(), 0.5, 0, torch.qint8)}, "quantized.pt")
    torch.save({"w": values(2, 3).to(torch.complex64)}, "complex.pt")
    torch.save({"w": values(2, 3).to_sparse()}, "sparse.pt")
    torch.save({"epoch": 3, "lr": 0.1}, "no_tensors.pt")
    with zipfile.ZipFile("tiny.pt") as z, zipfile.ZipFile("compressed.pt", "w", zipfile.ZIP_DEFLATED) as out:
        for name in z.namelist():
            out.writestr(name, z.read(name))

    # Pickles that ask Python to run something.
    torch.save({"w": values(2, 3).float(), "x": Call(os.system, "touch pwned")}, "evil.pt")
    for protocol in range(6):
        pickle.dump(Call(os.system, "touch pwned"), open(f"evil_system_{protocol}.pkl", "wb"), protocol)
    pickle.dump(Call(builtins.eval, "open('pwned', 'w')"), open("evil_eval.pkl", "wb"), 2)
    pickle.dump(Call(builtins.getattr, [], "append"), open("evil_getattr.pkl", "wb"), 4)
    pickle.dump({"a": 1, "b": [Call(numpy.save, "pwned", 1)]}, open("evil_numpy.pkl", "wb"), 4)

    # One value of every kind, in every protocol.
    thing = collections.OrderedDict([("a", 1), ("b", [2])])
    everything = {
        "ints": [0, 1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**40, -(2**40), 2**63 - 1, -(2**63), 2**63, -(2**100)],
        "floats": [0.0, -0.5, 1e300, float("inf")], "bools": (True, False), "none": None,
        "text": ["", "abc", "héllo 名\n\\u0041 \U0001f600", "x" * 300, "it's \"quoted\""],
        "bytes": [b"", b"\x00\xff", b"y" * 300], "bytearray": bytearray(b"ab"),
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], "set": {7}, "frozenset": frozenset([8]), "ordered": thing, "again": thing,
        "namespace": argparse.Namespace(x=1, y="z"), "nested": {"k": {"l": [{"m": 5}]}}, "complex": complex(1, 2), "numbers": {1: "one"},
    }
    for protocol in range(6):
        pickle.dump(everything, open(f"everything_{protocol}.pkl", "wb"), protocol)
    loop = []
    loop.append(loop)
    pickle.dump(loop, open("loop.pkl", "wb"), 4)


main()
