"""Writes Marian's binary container, version 1. Sources: see make.py."""
import struct
from pathlib import Path

import numpy as np


def write(path, items, config):
    """items: name -> (type, shape, bytes). Sorted by name, as Marian's std::map is; the configuration is an item of its own."""
    text = yaml(config).encode() + b"\0"
    items = sorted(items.items()) + [("special:model.yml", (0x101, [len(text)], text))]
    out = struct.pack("<QQ", 1, len(items))
    for name, (kind, shape, data) in items:
        out += struct.pack("<4Q", len(name) + 1, kind, len(shape), -(-len(data) // 256) * 256)
    for name, _ in items:
        out += name.encode() + b"\0"
    for _, (_, shape, _) in items:
        out += struct.pack(f"<{len(shape)}i", *shape)
    pad = ((len(out) + 8) // 256 + 1) * 256 - len(out) - 8
    out += struct.pack("<Q", pad) + bytes(pad)
    for _, (_, _, data) in items:
        out += data + bytes(-len(data) % 256)
    Path(path).write_bytes(out)


def yaml(config):
    lines = []
    for key, value in sorted(config.items()):
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, list):
            value = "".join(f"\n  - {v}" for v in value) or "[]"
        elif value == "":
            value = '""'
        lines.append(f"{key}: {value}" if not str(value).startswith("\n") else f"{key}:{value}")
    return "\n".join(lines) + "\n"


def float32(a):
    a = np.ascontiguousarray(a, dtype="<f4")
    return 0x404, list(a.shape), a.tobytes()
