"""Which pictures of a test set are worth a look: the worst misses, the worst false alarms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.calibration import Calibration
from vae_tf.data.pictures import GOOD


def best_finds(scores, kinds: Sequence[str], calibration: Calibration, count: int) -> np.ndarray:
    """Indices of defective pictures that fail: the highest score of each kind, then the next.

    Returns: int (at most count,), each once.
    """
    scores = np.asarray(scores, float)
    failed = is_bad(kinds) & (labels_of(scores, calibration) == "fail")
    order = [int(i) for i in _descending(scores) if failed[i]]
    seen: dict[str, int] = {}
    ranks = {}
    for i in order:
        ranks[i] = seen[kinds[i]] = seen.get(kinds[i], 0) + 1
    return np.array(sorted(order, key=lambda i: ranks[i])[:count], int)


def worst_misses(scores, kinds: Sequence[str], calibration: Calibration, count: int) -> np.ndarray:
    """Indices of defective pictures that do not fail, the lowest score first."""
    scores = np.asarray(scores, float)
    missed = is_bad(kinds) & (labels_of(scores, calibration) != "fail")
    order = np.argsort(scores, kind="stable")
    return order[missed[order]][:count]


def worst_false_alarms(
    scores, kinds: Sequence[str], calibration: Calibration, count: int
) -> np.ndarray:
    """Indices of good pictures that fail, the highest score first."""
    scores = np.asarray(scores, float)
    stopped = ~is_bad(kinds) & (labels_of(scores, calibration) == "fail")
    order = _descending(scores)
    return order[stopped[order]][:count]


def typical_good(scores, kinds: Sequence[str], count: int) -> np.ndarray:
    """Indices of the good pictures whose scores lie nearest the median of the good ones."""
    scores = np.asarray(scores, float)
    good = np.flatnonzero(~is_bad(kinds) & np.isfinite(scores))
    if not good.size:
        return good
    distance = np.abs(scores[good] - np.median(scores[good]))
    return good[np.argsort(distance, kind="stable")][:count]


def is_bad(kinds: Sequence[str]) -> np.ndarray:
    """bool (n,): which pictures are defective."""
    return np.asarray(kinds, object) != GOOD


def labels_of(scores: np.ndarray, calibration: Calibration) -> np.ndarray:
    """ "pass", "warn" or "fail" for each score."""
    return np.array([calibration.label(s) for s in scores], object)


def _descending(scores: np.ndarray) -> np.ndarray:
    """Indices, the highest score first; what is no number fails as the highest does."""
    return np.argsort(-np.where(np.isnan(scores), np.inf, scores), kind="stable")
