"""The anomaly map drawn over the picture: clear below half the limit, red from there up."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

# Yellow through red to dark red: read as heat on grey and on coloured parts, in print as well.
_COLOURS = np.array([[255, 237, 110], [254, 168, 50], [240, 70, 35], [165, 0, 38]], np.float64)
_OPAQUE = 0.75
_BAND = 64  # rows


def overlay(picture: np.ndarray, heatmap: np.ndarray, limit: float) -> np.ndarray:
    """Draws the map over its picture, on a scale that the limit fixes.

    picture: uint8 (H, W), (H, W, 1) or (H, W, 3). heatmap: float (h, w). limit: in its
        units; colour begins at half of it and is full at one and a half. See `ScoreSpec.limit`.
    Returns: uint8 (H, W, 3).
    """
    if picture.ndim == 2:
        picture = picture[:, :, None]
    height, width = picture.shape[:2]
    map_picture = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    heat = np.asarray(map_picture.resize((width, height), Image.Resampling.BILINEAR))
    drawn = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND):  # of a large picture, all at once would take 100 MB
        rows = slice(top, top + _BAND)
        drawn[rows] = _drawn(picture[rows], heat[rows].astype(np.float64) / max(limit, 1e-12))
    return drawn


def _drawn(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """picture: uint8 (H, W, 1 or 3). heat: (H, W), 1 at the limit."""
    strength = np.clip(heat - 0.5, 0.0, 1.0)
    steps = np.linspace(0.0, 1.0, len(_COLOURS))
    colour = np.stack([np.interp(strength, steps, _COLOURS[:, c]) for c in range(3)], axis=-1)
    alpha = _OPAQUE * np.minimum(strength * 3, 1.0)[..., None]
    return np.rint(picture * (1 - alpha) + colour * alpha).astype(np.uint8)


def png_bytes(picture: np.ndarray) -> bytes:
    """uint8 (H, W), (H, W, 1) or (H, W, 3) as the bytes of a PNG file."""
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
