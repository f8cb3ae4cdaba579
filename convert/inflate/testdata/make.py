"""Writes one text compressed with settings that joblib does not use: python3.12 -m pip install lz4; python make.py (zstd: the program, 1.5.4)"""
import bz2, lzma, os, random, subprocess, zlib
import lz4.frame
os.chdir(os.path.dirname(os.path.abspath(__file__)))
random.seed(8)
words = [bytes(random.choices(range(97, 123), k=random.randint(1, 9))) for _ in range(40)]
raw = b" ".join(random.choice(words) for _ in range(600)) + random.randbytes(200) + bytes(70000) + b"".join(random.choice(words) for _ in range(200))


def write(name, data):
    with open(name, "wb") as f:
        f.write(data)


def lz(kind, **options):
    return [dict({"id": kind, "preset": 6}, **options)]


print("CRC-32 of the content: %#x" % zlib.crc32(raw))
for i, (check, dictionary, lc, lp, pb) in enumerate([(0, 4096, 3, 0, 2), (1, 65536, 0, 2, 0), (4, 1 << 20, 1, 3, 4)]):
    options = dict(dict_size=dictionary, lc=lc, lp=lp, pb=pb)
    write("text%d.xz" % i, lzma.compress(raw[:3000], check=check, filters=lz(lzma.FILTER_LZMA2, **options)) + bytes(8)
          + lzma.compress(raw[3000:], check=check, filters=lz(lzma.FILTER_LZMA2, **options)))
    write("text%d.lzma" % i, lzma.compress(raw, format=lzma.FORMAT_ALONE, filters=lz(lzma.FILTER_LZMA1, **options)))
for i, o in enumerate([dict(block_linked=True, block_size=4, content_checksum=True), dict(block_linked=False, block_size=4, block_checksum=True),
                       dict(block_size=7, store_size=True, compression_level=12)]):
    write("text%d.lz4" % i, lz4.frame.compress(raw[:70000], **o) + lz4.frame.compress(raw[70000:], **o))
write("sha256.xz", lzma.compress(b"x", check=lzma.CHECK_SHA256))
write("filter.xz", lzma.compress(b"x", filters=[{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2}]))
write("dictionary.xz", lzma.compress(b"x", filters=lz(lzma.FILTER_LZMA2, dict_size=1 << 29)))
write("far.xz", lzma.compress(bytes(12 << 20), filters=lz(lzma.FILTER_LZMA2, dict_size=16 << 20)))
for method, make in (("bz2", bz2.compress), ("xz", lzma.compress), ("lzma", lambda d: lzma.compress(d, format=lzma.FORMAT_ALONE))):
    write("zeros." + method, make(bytes(60 << 20)))  # as much as may be, nearly


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


write("text.zst", zstd(raw[:3000], "-1", "--check") + zstd(raw[3000:], "-19", "--check"))
write("window.zst", zstd(b"x" * 200, "--ultra", "-22", "--long=27"))  # of unknown size, so that the window is what the level says: 128 MB
write("bomb.zst", zstd(bytes(70 << 20), "-19"))
