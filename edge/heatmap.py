"""The anomaly map drawn over the picture: clear below half the limit, red from there up."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

# Yellow through red to dark red: read as heat on grey and on coloured parts, in print as well.
_COLOURS = np.array([[255, 237, 110], [254, 168, 50], [240, 70, 35], [165, 0, 38]], np.float64)
_OPAQUE = 0.75


def overlay(picture: np.ndarray, heatmap: np.ndarray, limit: float) -> np.ndarray:
    """Draws the map over its picture, on a scale that the limit fixes.

    picture: uint8 (H, W), (H, W, 1) or (H, W, 3). heatmap: float (h, w). limit: in its
        units; colour begins at half of it and is full at one and a half. See `ScoreSpec.limit`.
    Returns: uint8 (H, W, 3).
    """
    if picture.ndim == 2 or picture.shape[2] == 1:
        picture = np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
    height, width = picture.shape[:2]
    map_picture = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    enlarged = map_picture.resize((width, height), Image.Resampling.BILINEAR)
    heat = np.asarray(enlarged, np.float64)
    strength = np.clip(heat / max(limit, 1e-12) - 0.5, 0.0, 1.0)
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
