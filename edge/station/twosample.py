"""Two samples, one distribution? Exact tests whose error is known for any number of pictures.

The two-sample statistic of Smirnov (1939), with its exact null distribution by counting lattice
paths (Hodges 1958, in the stable form of Viehmann 2021); and bounds on a binomial share after
Clopper and Pearson (1934). Written out, as SciPy is too heavy for a device.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Gap(NamedTuple):
    """Where two empirical distribution functions lie furthest apart.

    size: in [0, 1]. at: the value. above_first, above_second: the share of each sample above it.
    """

    size: float
    at: float
    above_first: float
    above_second: float


def widest_gap(first: np.ndarray, second: np.ndarray) -> Gap:
    """Smirnov's statistic, two-sided, and where it is reached.

    first, second: (n,) and (m,), sorted ascending.
    """
    values = np.concatenate([first, second])
    below_first = np.searchsorted(first, values, "right") / first.size
    below_second = np.searchsorted(second, values, "right") / second.size
    at = int(np.argmax(np.abs(below_first - below_second)))
    one, other = float(below_first[at]), float(below_second[at])
    return Gap(abs(one - other), float(values[at]), 1 - one, 1 - other)


@lru_cache(maxsize=16)
def gap_limit(n: int, m: int, rate: float) -> float:
    """The gap that samples of one distribution reach with a probability of at most `rate`.

    Ties only make it rarer. Within 1 % of the exact one, on the safe side; above 1, which no gap
    reaches, where n and m are too few for the rate.
    """
    if gap_probability(n, m, 1.0) > rate:
        return 2.0
    low, high = 0.0, 1.0
    while high - low > 0.01 * high:
        middle = 0.5 * (low + high)
        if gap_probability(n, m, middle) <= rate:
            high = middle
        else:
            low = middle
    return high


def gap_probability(n: int, m: int, size: float) -> float:
    """How probable a gap of at least `size` is between samples of n and m without ties.

    A path from (0, 0) to (n, m) takes the merged samples in order; all paths are equally probable.
    By diagonals, the probability that a path through a point has already left the corridor.
    """
    n, m = min(n, m), max(n, m)
    i = np.arange(n + 1)
    outside = np.zeros(n + 1)
    bound = size * n * m - 1e-9 * n * m
    for step in range(1, n + m + 1):
        j = step - i
        before = np.concatenate([[0.0], outside[:-1]])
        outside = (i * before + j * outside) / step
        outside[(np.abs(i * m - j * n) >= bound) & (j >= 0) & (j <= m)] = 1.0
        outside[j < 0] = 0.0
    return float(outside[n])


@lru_cache(maxsize=16)
def count_limit(n: int, share: float, rate: float) -> int:
    """The least count of n that is reached with a probability of at most `rate`; n + 1 if none is.

    share: of which each of the n is independently one, in [0, 1].
    """
    tail, count = 0.0, n + 1
    while count > 0:
        tail += _binomial(n, count - 1, share)
        if tail > rate:
            break
        count -= 1
    return count


@lru_cache(maxsize=16)
def share_bound(n: int, count: int, rate: float) -> float:
    """The share above which a count this low of n has a probability of at most `rate`."""
    low, high = count / n, 1.0
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        if math.fsum(_binomial(n, k, middle) for k in range(count + 1)) <= rate:
            high = middle
        else:
            low = middle
    return high


def _binomial(n: int, k: int, share: float) -> float:
    if share <= 0 or share >= 1:
        return float(k == (n if share >= 1 else 0))
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
