"""golden_pipelines.json: scalers, votes and means as scikit-learn computes them. python make_pipelines.py > golden_pipelines.json"""
import json
import numpy as np
import sklearn
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, RobustScaler, StandardScaler

rng = np.random.default_rng(8)
X = rng.standard_normal((60, 4)) * [1, 100, 0.01, 1] + [5, -300, 0, 0]
X[:, 3] = 7.1  # a constant column
X[17] = X[3]
Q = np.vstack([rng.standard_normal((12, 4)) * [1, 100, 0.01, 1] + [5, -300, 0, 7], X[[3, 40]]])
y = np.array(["b", "a", "c"])[rng.integers(0, 3, 60)]
t = np.round(rng.standard_normal(60), 3)
scalers = {"": None, "standard": StandardScaler(), "minmax": MinMaxScaler(), "robust": RobustScaler(), "l1": Normalizer("l1"), "l2": Normalizer("l2"), "max": Normalizer("max")}
cases = []
for name, scaler in scalers.items():
    for weights in ("uniform", "distance"):
        for metric in ("euclidean", "manhattan", "chebyshev", "cosine"):
            def fit(model, target):
                steps = [model] if scaler is None else [scaler, model]
                return make_pipeline(*steps).fit(X, target)
            args = dict(n_neighbors=4, weights=weights, metric=metric, algorithm="brute")
            c, r = fit(KNeighborsClassifier(**args), y), fit(KNeighborsRegressor(**args), t)
            d, i = c[-1].kneighbors(c[:-1].transform(Q) if len(c) > 1 else Q)
            cases.append(dict(scale=name, weights=weights, metric=metric, classes=c.predict(Q).tolist(), proba=c.predict_proba(Q).tolist(),
                              values=r.predict(Q).tolist(), distances=d.tolist()))
print(json.dumps(dict(version=sklearn.__version__, X=X.tolist(), Q=Q.tolist(), y=y.tolist(), t=t.tolist(), k=4, cases=cases)))
