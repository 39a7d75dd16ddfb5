"""Synthetic defects on good pictures: what int8 graphs are calibrated and checked with.

A patch of another good picture, as in CutPaste (Li et al. 2021), or a stroke of another brightness,
blended in with a strength from faint to plain; sizes in proportion to the picture.
"""

from __future__ import annotations

import numpy as np


def with_defects(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy in which every picture carries one defect.

    images: uint8 (n, h, w, c), n at least 1. Returns: uint8 (n, h, w, c).
    """
    damaged = []
    for i, image in enumerate(images):
        if rng.random() < 0.5:
            mask, filling = _patch(image.shape, rng), images[rng.integers(len(images))]
            filling = np.roll(filling, rng.integers(1, min(image.shape[:2]), 2), axis=(0, 1))
        else:
            mask = _stroke(image.shape, rng)
            shift = rng.choice([-1, 1]) * rng.uniform(40, 160)
            filling = np.clip(images[i] + shift, 0, 255)
        alpha = (mask * rng.uniform(0.4, 1.0))[..., None]
        damaged.append(np.rint(image * (1 - alpha) + filling * alpha).astype(np.uint8))
    return np.stack(damaged)


def _patch(shape, rng) -> np.ndarray:
    height, width = shape[:2]
    h = max(2, round(height * rng.uniform(0.05, 0.25)))
    w = max(2, round(width * rng.uniform(0.05, 0.25)))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    mask = np.zeros((height, width))
    mask[top : top + h, left : left + w] = 1.0
    return mask


def _stroke(shape, rng) -> np.ndarray:
    height, width = shape[:2]
    side = min(height, width)
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    angle, length = rng.uniform(0, np.pi), side * rng.uniform(0.15, 0.6)
    rows, columns = np.mgrid[:height, :width]
    along = (rows - y) * np.sin(angle) + (columns - x) * np.cos(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    thickness = max(0.7, side * rng.uniform(0.004, 0.02))
    return ((np.abs(along) < length / 2) & (np.abs(across) <= thickness)).astype(float)
