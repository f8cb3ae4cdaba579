"""Writes the held-out stories that edge-infer recall asks: distance, text, food, a line each.

    python stories.py train.permissive.tsv.gz ../../../runtime/models/recall.tsv.gz
"""
import gzip
import sys

import data

_, kept = data.read_everyday(sys.argv[1])
rows = "".join(f"{distance}\t{text}\t{food}\n" for distance, text, food in data.held_out_stories(kept, 16))
with open(sys.argv[2], "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", compresslevel=9, mtime=0, filename="") as z:
    z.write(rows.encode())
