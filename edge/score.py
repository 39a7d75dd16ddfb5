"""From what the detector graph gives to one number. Higher means more anomalous.

The graph gives, for each pixel, how anomalous it is in units of what good pictures show. A defect
is a patch of such pixels, so the map may first be averaged over small windows, and its part of the
score is the mean over the most anomalous share of them: one pixel of noise does not carry it, and a
large clean surface does not drown it. Vectors that speak for the picture as a whole, where the
graph gives them, count by their length. Several parts add up by what each has beyond its knee, the
height that good pictures commonly reach: what is usual in one part does not blur another.
"""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Optional

import numpy as np

MAP = "anomaly_map"
_SHARPNESS = 3.0  # of the knees


class ScoreSpec(NamedTuple):
    """How the graph's outputs become a score.

    window: side of the averaging window in pixels of the map, odd; 1 leaves the map as it is.
    top: share of the smoothed pixels, the highest ones, whose mean is the map's part; 1 takes all.
    knees: output name -> the height of its part beyond which it adds to the score; empty where the
        map is all there is, and its part the score.
    weights: output name -> how much its part counts; 1 for those that are not named.
    """

    window: int
    top: float
    knees: Dict[str, float] = {}  # noqa: RUF012, a NamedTuple's default; nobody changes it
    weights: Dict[str, float] = {}  # noqa: RUF012

    def limit(self, threshold: float) -> float:
        """The height of the map's part that alone would make a score of `threshold`."""
        if MAP not in self.knees:
            return threshold
        beyond = max(_SHARPNESS * threshold / self.weights.get(MAP, 1.0), 1e-6)
        # The inverse of `_excess`; for large values it is the value itself.
        beyond = beyond if beyond > 30 else math.log(math.expm1(beyond))
        return self.knees[MAP] + beyond / _SHARPNESS


def smooth(anomaly_map: np.ndarray, window: int, ignore: Optional[np.ndarray] = None) -> np.ndarray:
    """Root mean square over a window around each pixel; at the border over what lies inside.

    anomaly_map: (H, W), non-negative. ignore: bool (H, W), pixels that count for nothing: they are
        left out of the means, and 0 in the result.
    Returns: float32 (H, W), in the units of the map.
    """
    values = np.square(anomaly_map, dtype=np.float32)
    if ignore is not None:
        values[ignore] = 0
        if window > 1:
            counts = _box_sums((~ignore).astype(np.float32), window)
            values = _box_sums(values, window) / np.maximum(counts, 1)
            values[ignore] = 0
    elif window > 1:
        height, width = values.shape
        values = _window_sums(values, window, 0) * _inverse_counts(height, window)[:, None]
        values = _window_sums(values, window, 1) * _inverse_counts(width, window)
    return np.sqrt(values, out=values)


def _box_sums(values: np.ndarray, window: int) -> np.ndarray:
    return _window_sums(_window_sums(values, window, 0), window, 1)


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


def score_map(
    anomaly_map: np.ndarray, spec: ScoreSpec, ignore: Optional[np.ndarray] = None
) -> tuple:
    """Smooths the map and scores the picture.

    anomaly_map: float (H, W), non-negative. ignore: as for `smooth`. As many pixels count with it
        as without: the same defect elsewhere then makes the same height.
    Returns: (heatmap, score): float32 (H, W) in the units of the score, and a float.
    """
    heatmap = smooth(anomaly_map, spec.window, ignore)
    count = max(1, round(spec.top * heatmap.size))
    highest = np.partition(heatmap, heatmap.size - count, axis=None)[heatmap.size - count :]
    return heatmap, float(highest.mean(dtype=np.float64))


def heights(outputs: dict, spec: ScoreSpec, ignore: Optional[np.ndarray] = None) -> tuple:
    """The heat map, and how high each part of the score reaches.

    outputs: of the detector graph by name, "anomaly_map" (H, W) and the vectors that spec.knees
        names; further ones are left aside.
    ignore: as for `smooth`. The vectors speak for all that the graph saw: see `edge.fill`.
    Returns: (heatmap, heights): float32 (H, W), and name -> float.
    """
    heatmap, height = score_map(outputs[MAP], spec, ignore)
    vectors = {name: _length(outputs[name]) for name in spec.knees if name != MAP}
    return heatmap, {MAP: height, **vectors}


def total(parts: List[Dict[str, float]], spec: ScoreSpec) -> float:
    """The score of a picture from the heights of its tiles: of each part, the highest counts."""
    highest = {name: max(tile[name] for tile in parts) for name in parts[0]}
    if not spec.knees:
        return highest[MAP]
    return sum(
        spec.weights.get(name, 1.0) * _excess(highest[name] - knee)
        for name, knee in spec.knees.items()
    )


def judge(outputs: dict, spec: ScoreSpec) -> tuple:
    """The heat map and the score of a picture that the graph takes whole.

    outputs: as for `heights`. Returns: (heatmap, score): float32 (H, W), and a float.
    """
    heatmap, of = heights(outputs, spec)
    return heatmap, total([of], spec)


def _length(vector: np.ndarray) -> float:
    return math.sqrt(np.square(vector, dtype=np.float64).sum())


def _excess(beyond: float) -> float:
    """About 0 below the knee, about `beyond` above it, and smooth between, so that ranks remain."""
    return float(np.logaddexp(0.0, _SHARPNESS * beyond)) / _SHARPNESS
