"""Codes as features, and how much of the classes they hold."""

from __future__ import annotations

import numpy as np

from vae_tf.errors import ArgumentError
from vae_tf.uses.codes import encode

NEIGHBOURS = 10


def embed(vae, x, label=None) -> np.ndarray:
    """z_mean of each example, float32 (n, latent)."""
    return encode(vae, x, label)[0]


def probe(train, train_labels, test, test_labels, seed: int = 0) -> dict[str, float]:
    """How well labels can be read from codes: accuracies on the test codes.

    train, test: (n, latent) and (m, latent). train_labels, test_labels: (n,) and (m,), of any type.
    Returns: `linear_probe`, of a logistic regression, and `knn`, of the 10 nearest neighbours.
    Raises: ArgumentError.
    """
    # scikit-learn takes a second to import.
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for name, (codes, labels) in {
        "train": (train, train_labels),
        "test": (test, test_labels),
    }.items():
        if len(codes) != len(labels) or not len(codes):
            raise ArgumentError(
                f"`{name}_labels` must be one for each of {len(codes)} codes. "
                f"Received: {len(labels)}"
            )
    if len(set(np.asarray(train_labels).tolist())) < 2:
        raise ArgumentError("`train_labels` must hold two classes or more. Received: one")
    linear = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=300, tol=1e-3, random_state=seed)
    )
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(train)))
    return {
        "linear_probe": float(linear.fit(train, train_labels).score(test, test_labels)),
        "knn": float(neighbours.fit(train, train_labels).score(test, test_labels)),
    }
