"""Makes the files of this folder. Run with torch 2.15.0, safetensors 0.8.0, huggingface_hub (as transformers 5.23.0 installs it).

Each .json holds, for every tensor, its shape and its values as float32, as torch reads them back.
"""
import json
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file


def values(*shape, step=37):
    n = 1
    for d in shape:
        n *= d
    return ((torch.arange(n, dtype=torch.float64) * step) % 101 - 50).reshape(shape) / 8


def expected(tensors):
    return {k: {"shape": list(t.shape), "values": t.to(torch.float32).flatten().tolist()} for k, t in tensors.items()}


def main():
    all_types = {str(d).removeprefix("torch."): values(3, 5).to(d) for d in (
        torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
        torch.float8_e4m3fn, torch.float8_e5m2)}
    for d in (torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        all_types[str(d).removeprefix("torch.")] = values(3, 5).abs().to(d)
    all_types["large.int64"] = torch.tensor([2**53 + 1, -(2**40) - 1, 16777217])
    all_types["large.float64"] = torch.tensor([0.1, 1e-40, 16777217.0], dtype=torch.float64)
    all_types["scalar"] = torch.tensor(7.5)
    all_types["empty"] = torch.zeros(0, 4)
    all_types["cube"] = values(2, 3, 4)
    all_types["naïve 名"] = values(2, 1)
    save_file(all_types, "types.safetensors", metadata={"format": "pt", "licence": "none"})
    json.dump(expected(load_file("types.safetensors")), open("types.json", "w"))

    save_file({"w": values(2, 3).float(), "b": values(3).half()}, "tiny.safetensors", metadata={"format": "pt"})
    json.dump(expected(load_file("tiny.safetensors")), open("tiny.json", "w"))

    shards = {f"layer.{i}.weight": values(4, 3 + i).float() for i in range(5)}
    save_torch_state_dict(shards, ".", filename_pattern="shards{suffix}.safetensors", max_shard_size=150)
    json.dump(expected(shards), open("shards.json", "w"))


main()
