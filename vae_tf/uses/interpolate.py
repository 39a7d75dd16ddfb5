"""From one example to another along a path of codes."""

from __future__ import annotations

import numpy as np

from vae_tf.errors import ArgumentError
from vae_tf.uses.codes import decode

WAYS = ("linear", "spherical")


def code_path(a, b, steps: int, how: str = "linear") -> np.ndarray:
    """Codes from a to b, both of them included.

    a, b: (latent,). steps: 2 or more. how: "linear", or "spherical", which also keeps the typical
        distance from the origin on the way (White, "Sampling Generative Networks", 2016).
    Returns: float32 (steps, latent).
    Raises: ArgumentError.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ArgumentError(
            f"`a` and `b` must be codes of shape (latent,). Received: {a.shape} and {b.shape}"
        )
    if steps < 2:
        raise ArgumentError(f"`steps` must be 2 or more. Received: steps={steps}")
    if how not in WAYS:
        raise ArgumentError(f"`how` must be one of {', '.join(WAYS)}. Received: how={how!r}")
    t = np.linspace(0.0, 1.0, steps)[:, None]
    length = np.linalg.norm(a) * np.linalg.norm(b)
    if how == "linear" or length == 0.0:
        return ((1 - t) * a + t * b).astype(np.float32)
    angle = np.arccos(np.clip(a @ b / length, -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # alike, or opposite: no plane to turn in
        return ((1 - t) * a + t * b).astype(np.float32)
    path = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return path.astype(np.float32)


def interpolate(vae, a, b, steps: int = 9, how: str = "linear", label=None) -> np.ndarray:
    """What lies between two codes, float32 (steps, ...); arguments as for `code_path`."""
    return decode(vae, code_path(a, b, steps, how), label)
