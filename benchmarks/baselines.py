"""What a user would try first, on the same pictures, splits and size: baselines for the table."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from vae_tf.data import Pictures, Splits
from vae_tf.detector import BATCH, Detector

_FITTED = 2000  # pictures that PCA is fitted to; more change nothing and cost memory
_COMPONENTS = 64


def pca_auroc(splits: Splits, seed: int = 0) -> float:
    """Image AUROC of the squared error of a PCA reconstruction, fitted to the training pictures."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(splits.train))[:_FITTED])
    train = _flat(splits.train.batch(rows))
    components = min(_COMPONENTS, len(train) - 1)
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(train)
    errors = [_pca_errors(pca, batch) for batch in splits.test.batches(256)]
    return float(roc_auc_score(splits.test.labels, np.concatenate(errors)))


def squared_error_auroc(detector: Detector, test: Pictures) -> float:
    """Image AUROC of the same VAE's plain squared error, the mean over all pixels."""
    errors = []
    for batch in test.batches(BATCH):
        reconstruction = np.asarray(detector.vae.reconstruct(batch))
        errors.append(np.mean(np.square(batch / 255.0 - reconstruction), axis=(1, 2, 3)))
    return float(roc_auc_score(test.labels, np.concatenate(errors)))


def _pca_errors(pca: PCA, batch: np.ndarray) -> np.ndarray:
    flat = _flat(batch)
    return np.mean(np.square(flat - pca.inverse_transform(pca.transform(flat))), axis=1)


def _flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255
