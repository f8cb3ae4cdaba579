"""Writes the files of this folder: models of nearest neighbours as real scikit-learn versions save them.

    python3.8  -m venv s024 && s024/bin/pip install scikit-learn==0.24.2 joblib==1.0.1 lz4   # joblib without padding bytes
    python3.9  -m venv s10  && s10/bin/pip  install scikit-learn==1.0.2 joblib==1.1.1 'numpy<1.24' lz4
    python3.11 -m venv s13  && s13/bin/pip  install scikit-learn==1.3.2 'numpy<2' lz4
    python3.12 -m venv s15  && s15/bin/pip  install scikit-learn==1.5.2 lz4
    python3.11 -m venv s19  && s19/bin/pip  install scikit-learn==1.9.1 lz4
    for v in s024 s10 s13 s15 s19; do $v/bin/python make.py; done

One JSON file a version says what each model answers. The data: every third row of Fisher's iris data, which
scikit-learn carries (public domain).
"""
import bz2, json, lzma, os, pickle, sys
import joblib, numpy, sklearn
import numpy as np
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, RobustScaler, StandardScaler

here = os.path.dirname(os.path.abspath(__file__))
version = ".".join(sklearn.__version__.split(".")[:2])
iris = load_iris()
X, y = iris.data[::3], iris.target[::3]
names = iris.target_names[y]
Q = iris.data[1::31] + 0.01
expected = {"scikit-learn": sklearn.__version__, "numpy": numpy.__version__, "joblib": joblib.__version__,
            "python": sys.version.split()[0], "queries": Q.tolist(), "rows": X.tolist(), "files": {}}


def describe(model):
    """What the model holds and answers."""
    steps = [s for _, s in model.steps if s != "passthrough"] if isinstance(model, Pipeline) else [model]
    knn, T = steps[-1], Q
    for s in steps[:-1]:
        T = s.transform(T)
    d, i = knn.kneighbors(T)
    rows = np.asarray(knn._fit_X, dtype=float)
    e = {"rows": [] if np.array_equal(rows, X) else rows.tolist(), "metric": knn.effective_metric_,
         "p": knn.effective_metric_params_.get("p", 0), "k": int(knn.n_neighbors),
         "weights": getattr(knn, "weights", None), "transformed": [] if T is Q else T.tolist(), "distances": d.tolist(), "neighbors": i.tolist()}
    if hasattr(knn, "predict"):
        e["predict"] = model.predict(Q).tolist()
        e["y"] = np.asarray(knn._y).tolist()
    if hasattr(knn, "classes_"):
        e["classes"] = [np.asarray(c).tolist() for c in (knn.classes_ if knn.outputs_2d_ else [knn.classes_])]
        p = model.predict_proba(Q)
        e["proba"] = [q.tolist() for q in (p if knn.outputs_2d_ else [p])]
    return e


def save(name, model, write):
    name = "%s-%s" % (version, name)
    write(model, os.path.join(here, name))
    expected["files"][name] = describe(model)


def dump(protocol):
    def write(model, path):
        with open(path, "wb") as f:
            pickle.dump(model, f, protocol=protocol)
    return write


def jl(compress=0, protocol=None):
    return lambda model, path: joblib.dump(model, path, compress=compress, protocol=protocol)


C, R, N = KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
save("kd.pkl", C(3, algorithm="kd_tree").fit(X, names), dump(4))
save("ball.joblib", C(4, algorithm="ball_tree", weights="distance").fit(X, y), jl())
save("brute.joblib", C(5, algorithm="brute", p=1).fit(X.astype("f4"), names.astype(object)), jl())
save("pipeline.joblib", make_pipeline(StandardScaler(), C(3).fit(X, y)).fit(X, y), jl())
save("regress.pkl", make_pipeline(MinMaxScaler(), R(3, weights="distance", p=3)).fit(X, X[:, 2:]), dump(2))
save("neighbors.pkl", make_pipeline(RobustScaler(), N(n_neighbors=2, metric="chebyshev")).fit(X), dump(4))
save("cosine.pkl", make_pipeline(Normalizer(), R(2, algorithm="brute", metric="cosine")).fit(X, y), dump(3))
save("outputs.joblib", C(3).fit(np.asfortranarray(X), np.stack([names, names[::-1]], 1)), jl(3))
if version in ("0.24", "1.9"):
    small = C(1, algorithm="brute").fit(X[::5], y[::5] > 0)
    for p in range(2, 6):
        save("protocol%d.pkl" % p, small, dump(p))
        save("protocol%d.joblib" % p, small, jl(protocol=p))
    for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        save("method.%s" % method, C(3).fit(X, names), jl((method, 3)))
    big = C(2, algorithm="brute").fit(X.astype(">f8"), y)
    big._fit_X = X.astype(">f8")  # scikit-learn makes arrays native; other programs do not
    save("big-endian.joblib", big, jl())
    fortran = C(2, algorithm="brute").fit(X, y)
    fortran._fit_X = np.asfortranarray(X)
    save("fortran.joblib", fortran, jl())
    save("fortran.pkl", fortran, dump(5))
    save("integers.pkl", R(2, algorithm="brute").fit((X * 10).astype(int), y.astype("i2")), dump(4))
    save("scalers.pkl", Pipeline([("none", "passthrough"), ("a", StandardScaler(with_mean=False)), ("b", StandardScaler(with_std=False)),
         ("c", RobustScaler(with_centering=False)), ("d", RobustScaler(with_scaling=False)), ("e", MinMaxScaler((-1, 2), clip=True)),
         ("f", Normalizer("l1")), ("g", Normalizer("max")), ("knn", N(n_neighbors=np.int64(3)))]).fit(X), dump(4))



def refused(name, model, write=dump(4)):
    """What must not be read, and named instead."""
    write(model, os.path.join(here, "refused-" + name))


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


if version == "1.9":
    import scipy.sparse
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import RadiusNeighborsClassifier

    few, few_y = X[::5], y[::5]
    named = C(1, algorithm="brute").fit(few, few_y)
    named.feature_names_in_ = np.array(iris.feature_names, dtype=object)  # as from a pandas table
    save("names.joblib", named, jl())
    save("grid.pkl", make_pipeline(StandardScaler(), C(2, algorithm="brute")).fit(few, few_y), dump(4))
    dump(4)(GridSearchCV(make_pipeline(StandardScaler(), C(2, algorithm="brute")), {"kneighborsclassifier__n_neighbors": [2]}, cv=2)
            .fit(few, few_y), os.path.join(here, version + "-grid.pkl"))
    refused("metric.pkl", C(1, algorithm="ball_tree", metric=np.vdot).fit(few, few_y))
    refused("weights.pkl", C(1, weights=np.ones_like).fit(few, few_y))
    refused("sparse.pkl", C(1).fit(scipy.sparse.csr_matrix(few), few_y))
    refused("precomputed.pkl", C(1, metric="precomputed").fit(np.zeros((10, 10)), few_y))
    refused("haversine.pkl", C(1, metric="haversine", algorithm="ball_tree").fit(few[:, :2], few_y))
    refused("weighted.pkl", C(1, metric_params={"w": np.ones(4)}).fit(few, few_y))
    refused("radius.pkl", RadiusNeighborsClassifier().fit(few, few_y))
    refused("pca.pkl", make_pipeline(PCA(2), C(1)).fit(few, few_y))
    refused("logistic.pkl", LogisticRegression().fit(few, few_y > 0))
    refused("unfitted.pkl", C(1))
    refused("list.pkl", [1, 2, 3])
    refused("system.pkl", Evil())
    evil = C(1, algorithm="brute").fit(few, few_y)
    evil.extra = Evil()
    refused("hidden.joblib", evil, jl(("gzip", 3)))
    refused("hidden-labels.joblib", C(1, algorithm="brute").fit(few, names[::5].astype(object)), jl())
    path = os.path.join(here, "refused-hidden-labels.joblib")
    data = open(path, "rb").read()
    # Where the inner pickle of the labels starts, put another one that asks for os.system.
    at = data.index(b"\x80\x05\x95", data.index(b"alignment"))
    open(path, "wb").write(data[:at] + b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R." + data[at:])
    def hostile(name, kind, scaler=None, **attributes):
        """A few hundred bytes that unfold to nearly as many as may be."""
        m = kind()
        m.__dict__.update(dict(_fit_X=np.zeros((1, 1)), n_samples_fit_=None, effective_metric_="euclidean", effective_metric_params_={}), **attributes)
        if scaler is not None:
            step = StandardScaler()
            step.__dict__.update(scaler)
            m = make_pipeline(step, m)
        joblib.dump(m, os.path.join(here, f"hostile-{name}.bz2"), compress=("bz2", 6))

    n, one = 60 << 20, dict(classes_=np.array(["a"]))
    hostile("outputs", C, _y=np.zeros((1, n), np.int8), **one)
    hostile("rows", KNeighborsRegressor, _fit_X=np.zeros((n // 2, 1), np.int8), _y=np.zeros(n // 2, np.int8))
    hostile("labels", C, _fit_X=np.zeros((n // 2, 1), np.int8), _y=np.zeros(n // 2, np.int8), **one)
    hostile("classes", C, _y=np.zeros(1), classes_=np.zeros(n, np.int8))
    hostile("columns", NearestNeighbors, _fit_X=np.zeros((1, n), np.int8))
    hostile("features", NearestNeighbors, _fit_X=np.zeros((1, n // 5), np.int8), feature_names_in_=np.full(n // 5, "a", dtype="U1"))
    hostile("scaler", NearestNeighbors, scaler=dict(with_mean=True, with_std=False, mean_=np.zeros(n, np.int8)))
    for method, n, make in (("bz2", 30, bz2.compress), ("xz", 27, lzma.compress), ("lzma", 27, lambda d: lzma.compress(d, format=lzma.FORMAT_ALONE))):
        with open(os.path.join(here, "bomb." + method), "wb") as f:
            f.write(make(b"\x80\x04" + bytes(1 << n)))

with open(os.path.join(here, version + ".json"), "w") as f:
    json.dump(expected, f)
