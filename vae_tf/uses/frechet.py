"""Frechet distance between pictures in the features of a classifier trained here.

As the FID of Heusel et al. (2017), but Inception's features, made for photographs of 299 pixels and
downloaded, are replaced by those of a small classifier of the same data. So a figure compares only
with others from the same classifier.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from vae_tf.errors import ArgumentError

FEATURES = 64


def classifier(shape, classes: int, seed: int = 0) -> keras.Model:
    """A small convolutional classifier of (H, W, C) pictures in 0..1, compiled.

    Returns: a `keras.Model` from (B, H, W, C) to logits (B, classes); its layer "features" gives
        (B, 64).
    """
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input(shape, name="image")
    for width in (32, 64):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.Conv2D(FEATURES, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x) if min(shape[:2]) > 64 else layers.Flatten()(x)
    x = layers.Dropout(0.3, seed=seed)(x)
    x = layers.Dense(FEATURES, activation="relu", name="features")(x)
    model = keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="classifier")
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def features(model: keras.Model, x, batch: int = 500) -> np.ndarray:
    """What the classifier sees, float64 (n, 64). x: uint8 or float in 0..1, (n, H, W, C)."""
    inside = keras.Model(model.input, model.get_layer("features").output)
    parts = [_units(x[i : i + batch]) for i in range(0, len(x), batch)]
    return np.concatenate([np.asarray(inside(p, training=False)) for p in parts]).astype(np.float64)


def predicted(model: keras.Model, x, batch: int = 500) -> np.ndarray:
    """The class of each picture, (n,). x: uint8 or float in 0..1, (n, H, W, C)."""
    parts = [_units(x[i : i + batch]) for i in range(0, len(x), batch)]
    return np.concatenate([np.asarray(model(p, training=False)).argmax(axis=1) for p in parts])


def frechet_distance(a, b) -> float:
    """Distance between two sets of features, each taken for a Gaussian; 0 for equal ones.

    a, b: float (n, F) and (m, F). With fewer examples than some times F it is too large, so only
    compare figures taken with equal n and m.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ArgumentError(
            "`a` and `b` must be features, (n, F) and (m, F), n and m at least 2. "
            f"Received: {a.shape} and {b.shape}"
        )
    mean = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the root of a product, through a symmetric matrix of the same eigenvalues.
    root_a = _root(np.atleast_2d(cov_a))
    cross = np.linalg.eigvalsh(root_a @ np.atleast_2d(cov_b) @ root_a)
    traces = np.trace(np.atleast_2d(cov_a)) + np.trace(np.atleast_2d(cov_b))
    return float(max(0.0, mean + traces - 2 * np.sqrt(np.clip(cross, 0, None)).sum()))


def _root(matrix: np.ndarray) -> np.ndarray:
    """Square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def _units(x) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.float32) / 255 if x.dtype == np.uint8 else np.clip(x, 0, 1)
