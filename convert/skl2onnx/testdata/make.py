"""Writes the files of this folder: models of nearest neighbours by way of skl2onnx, and what scikit-learn answers.

    python3.12 -m venv onnx && onnx/bin/pip install scikit-learn==1.6.1 skl2onnx==1.20.0 onnx==1.23.2
    onnx/bin/python make.py

The data: every fifth row of Fisher's iris data, which scikit-learn carries (public domain).
"""
import json, os
import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, RobustScaler, StandardScaler

here = os.path.dirname(os.path.abspath(__file__))
iris = load_iris()
X, y = iris.data[::5].astype("f4"), iris.target[::5]
Q = iris.data[1::31].astype("f4") + np.float32(0.01)
C, R, N = KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
expected = {"queries": Q.tolist(), "files": {}}


def save(name, model, opset=None, **options):
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    g = to_onnx(model, X[:1], options={id(last): options} if options else None, target_opset=opset)
    with open(os.path.join(here, name + ".onnx"), "wb") as f:
        f.write(g.SerializeToString())
    T = Q
    for _, s in model.steps[:-1] if hasattr(model, "steps") else []:
        T = s.transform(T)
    if not hasattr(last, "kneighbors"):
        return
    d, i = last.kneighbors(T)
    e = {"rows": last._fit_X.tolist(), "k": last.n_neighbors, "distances": d.tolist(), "neighbors": i.tolist()}
    if hasattr(last, "predict"):
        e["predict"] = model.predict(Q).tolist()
    expected["files"][name] = e


save("classify", C(3).fit(X, y))
save("old", C(3).fit(X, y), {"": 9, "ai.onnx.ml": 1})
save("manhattan", C(3, weights="distance", metric="manhattan").fit(X, iris.target_names[y]), zipmap=False)
save("cdist", make_pipeline(RobustScaler(), C(2).fit(X, y)).fit(X, y), zipmap=False, optim="cdist")
save("cosine", C(3, metric="cosine").fit(X, y))
save("regress", make_pipeline(StandardScaler(), R(2, p=3)).fit(X, X[:, 2:]))
save("normalized", make_pipeline(Normalizer(), R(2, weights="distance")).fit(X, y))
save("neighbors", make_pipeline(MinMaxScaler(clip=True), N(n_neighbors=2, radius=None)).fit(X))
del expected["files"]["normalized"]["predict"]  # see the warning: compared through "manhattan"
save("refused-outputs", C(3).fit(X, np.stack([y, y[::-1]], 1)), zipmap=False)
save("refused-pca", make_pipeline(PCA(2), C(3)).fit(X, y))
save("refused-logistic", LogisticRegression().fit(X, y))
for name in [n for n in expected["files"] if n.startswith("refused")]:
    del expected["files"][name]
with open(os.path.join(here, "expected.json"), "w") as f:
    json.dump(expected, f)
