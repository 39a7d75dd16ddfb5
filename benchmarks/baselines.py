"""What a user would try first, on the same pictures and splits: baselines for the tables.

Each sees small grey or colour pictures as rows of numbers. PyOD's stand beside where it is
installed; heavier packages are left to those who have them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from vae_tf.data import Pictures, Splits

_FITTED = 2000  # pictures that are fitted to; more change little and cost memory
_SIDE = 32  # pixels, of the longer side
_COMPONENTS = 64
_NEIGHBOURS = 5


def baselines(splits: Splits, seed: int = 0) -> dict[str, float]:
    """Image AUROC of each baseline, by name."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(splits.train))[:_FITTED])
    train, test = _rows(splits.train.take(rows)), _rows(splits.test)
    methods: dict[str, Callable] = {"PCA": _pca, "nearest neighbours": _nearest, **_pyod(seed)}
    labels = splits.test.labels
    return {name: float(roc_auc_score(labels, of(train, test))) for name, of in methods.items()}


def _pca(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Squared error of the reconstruction."""
    pca = PCA(min(_COMPONENTS, len(train) - 1), random_state=0).fit(train)
    return np.square(test - pca.inverse_transform(pca.transform(test))).mean(axis=1)


def _nearest(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Mean distance to the nearest good pictures."""
    neighbours = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(train))).fit(train)
    return neighbours.kneighbors(test)[0].mean(axis=1)


def _pyod(seed: int) -> dict[str, Callable]:
    try:
        from pyod.models.ecod import ECOD
        from pyod.models.iforest import IForest
        from pyod.models.knn import KNN
        from pyod.models.lof import LOF
    except ImportError:
        return {}
    makers = {
        "PyOD IForest": lambda: IForest(random_state=seed),
        "PyOD KNN": KNN,
        "PyOD LOF": LOF,
        "PyOD ECOD": ECOD,
    }

    def fitted(make) -> Callable:
        return lambda train, test: make().fit(train).decision_function(test)

    return {name: fitted(make) for name, make in makers.items()}


def _rows(pictures: Pictures) -> np.ndarray:
    """float32 (n, values), 0..1: the pictures small, as rows."""
    height, width, channels = pictures.images.shape[1:]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    rows = []
    for batch in pictures.batches(256):
        for image in batch:
            small = Image.fromarray(image[..., 0] if channels == 1 else image)
            rows.append(np.asarray(small.resize(size, Image.Resampling.BOX)).ravel())
    return np.stack(rows).astype(np.float32) / 255
