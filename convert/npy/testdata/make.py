"""Writes the files of this folder with NumPy itself: python3.12 with numpy 2.5.5, and python3.8 with numpy 1.24.4 for old.npy."""
import os, sys
import numpy as np
os.chdir(os.path.dirname(os.path.abspath(__file__)))
if np.__version__.startswith("1."):
    with open("old.npy", "wb") as f:
        np.lib.format.write_array(f, np.arange(6, dtype=">i2").reshape(3, 2), version=(2, 0))
    sys.exit()
a = np.arange(12).reshape(4, 3)
for t in ("f2", "f4", "f8", ">f4", ">f8", "i1", "i2", "i4", "i8", ">i8", "u1", "u2", "u4", ">u4", "u8"):
    np.save("%s.npy" % t.replace(">", "big-"), a.astype(t))
np.save("fortran.npy", np.asfortranarray(a.astype("f8")))
np.save("cube.npy", np.asfortranarray(np.arange(24, dtype="f4").reshape(2, 3, 4)))
np.save("object.npy", np.array([[1, "a"]], dtype=object), allow_pickle=True)
np.save("complex.npy", a.astype("c8"))
np.save("record.npy", np.zeros(2, dtype=[("x", "f4"), ("y", "i4")]))
np.save("empty.npy", np.zeros((0, 4)))
np.save("vector.npy", np.zeros(5))
names = np.array(["été", "b", "c", "b"])
np.savez("stored.npz", X=a.astype("f4"), y=names, feature_names=np.array(["p", "q", "r"]))
np.savez_compressed("packed.npz", data=a.astype("f8"), target=np.array([1, 0, 1, 2]), other=np.array([b"abc", b"d"]))
np.savez("outputs.npz", X=a, y=np.zeros((4, 2)))
np.savez("short.npz", X=a, y=np.zeros(3))
np.savez("unknown.npz", foo=a)
np.savez("objects.npz", X=a, y=np.array(["a", 1, "b", 2], dtype=object))
bad = a.astype("f8")
bad[2, 1] = np.nan
np.save("nan.npy", bad)
