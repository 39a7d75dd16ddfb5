"""From an anomaly map to one number. Higher means more anomalous.

The detector graph gives, for each pixel, how far it lies from its reconstruction in units of what
good pictures show at that place. A defect is a patch of such pixels, so the map is first averaged
over small windows, and the score is the mean over the most anomalous share of them: one pixel of
noise does not carry it, and a large clean surface does not drown it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ScoreSpec(NamedTuple):
    """How a map becomes a score.

    window: side of the averaging window in pixels of the map, odd; 1 leaves the map as it is.
    top: share of the smoothed pixels, the highest ones, whose mean is the score; 1 takes all.
    """

    window: int
    top: float


def smooth(anomaly_map: np.ndarray, window: int) -> np.ndarray:
    """Root mean square over a window around each pixel; at the border over what lies inside.

    anomaly_map: (H, W), non-negative. Returns: float32 (H, W), in the units of the map.
    """
    values = np.square(anomaly_map, dtype=np.float32)
    if window > 1:
        height, width = values.shape
        values = _window_sums(values, window, 0) * _inverse_counts(height, window)[:, None]
        values = _window_sums(values, window, 1) * _inverse_counts(width, window)
    return np.sqrt(values, out=values)


def _window_sums(values: np.ndarray, window: int, axis: int) -> np.ndarray:
    # Sums of shifted views: for windows of a few pixels quicker than running sums, and exact.
    reach = window // 2
    n = values.shape[axis]
    sums = values.copy()
    for shift in range(1, min(reach, n - 1) + 1):
        if axis == 0:
            sums[: n - shift] += values[shift:]
            sums[shift:] += values[: n - shift]
        else:
            sums[:, : n - shift] += values[:, shift:]
            sums[:, shift:] += values[:, : n - shift]
    return sums


def _inverse_counts(n: int, window: int) -> np.ndarray:
    at, reach = np.arange(n), window // 2
    return 1 / (np.minimum(at + reach, n - 1) - np.maximum(at - reach, 0) + 1).astype(np.float32)


def score_map(anomaly_map: np.ndarray, spec: ScoreSpec) -> tuple:
    """Smooths the map and scores the picture.

    anomaly_map: float (H, W), non-negative.
    Returns: (heatmap, score): float32 (H, W) in the units of the score, and a float.
    """
    heatmap = smooth(anomaly_map, spec.window)
    count = max(1, round(spec.top * heatmap.size))
    highest = np.partition(heatmap, heatmap.size - count, axis=None)[heatmap.size - count :]
    return heatmap, float(highest.mean(dtype=np.float64))
