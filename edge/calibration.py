"""Thresholds from the scores of good pictures alone.

The p-value is the split-conformal one (Vovk et al. 2005; Bates et al. 2023): the share of held-out
good pictures that score at least as high, counting the picture itself. Good pictures drawn like
the calibration ones then fail at no more than the rate asked for. Several pictures of one part
tell little more than one of it, so a group of them counts as one picture, of which each has its
share (Lee, Barber & Willett 2023). With n scores no p-value lies below 1 / (n + 1); where that is
above the rate, the upper scores are continued by a fitted tail, and the result says so.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import Hashable, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from edge.errors import CalibrationError

MIN_SCORES = 8
WARN_FACTOR = 5  # a picture is warned of up to this many times the false-alarm rate
DEFAULT_RATE = 0.01
_MIN_TAIL = 4  # scores that a tail is fitted to
_EXACT = 1e-9  # more than rounding
_LARGEST = 500.0  # of which the exponential is no infinity yet

CONFORMAL = "conformal"
TAIL = "Pareto tail"


class Calibration(NamedTuple):
    """What turns a score into a p-value and a verdict.

    scores: of good pictures, ascending. rate: the false-alarm rate asked for.
    threshold: fail above it. warn_threshold: warn above it.
    method: "conformal", or "Pareto tail" where there are too few scores for the rate.
    groups: of each score the number of its group, from 0; empty where no two pictures belong
        together.
    """

    scores: tuple
    rate: float
    threshold: float
    warn_threshold: float
    method: str
    groups: tuple = ()

    @classmethod
    def from_record(cls, record: Mapping) -> Calibration:
        """From what `_asdict` gave, by way of JSON. Raises: TypeError, ValueError, KeyError."""
        groups = tuple(map(int, record.get("groups", ())))
        return cls(**{**record, "scores": tuple(map(float, record["scores"])), "groups": groups})

    def extended(self, scores: Sequence[float], rate: float) -> Calibration:
        """Set anew with more scores, each of a part of its own."""
        groups: tuple = ()
        if self.groups:
            first = max(self.groups) + 1
            groups = (*self.groups, *range(first, first + len(scores)))
        return calibrate([*self.scores, *scores], rate, groups)

    def p_value(self, score: float) -> float:
        """How rare a score as high as this is among good pictures, in (0, 1]."""
        good, tail = _fitted(self.scores, self.groups)
        score = math.inf if math.isnan(score) else score
        if self.method == TAIL and score > tail.start:
            return tail.p_value(score)
        return good.p_value(score)

    def label(self, score: float) -> str:
        """ "pass", "warn" or "fail"; a score that is no number fails."""
        if score <= self.warn_threshold:
            return "pass"
        return "warn" if score <= self.threshold else "fail"

    @property
    def parts(self) -> int:
        """Good pictures that the threshold rests on, or groups of them."""
        return len(set(self.groups)) or len(self.scores)

    @property
    def note(self) -> str:
        """One line for a person: how the threshold came about."""
        n, what = self.parts, "good pictures"
        if self.groups:
            what = f"groups of good pictures ({len(self.scores)} pictures)"
        if self.method == CONFORMAL:
            return f"conformal, {n} {what}"
        needed = math.ceil(1 / self.rate) - 1
        return (
            f"{n} {what} are too few for a false-alarm rate of {self.rate:g} "
            f"({needed} needed): the threshold comes from a Pareto tail fitted to the "
            "scores, and lets more defects pass; take more good pictures"
            f"{' of other parts' if self.groups else ''}, or a higher rate"
        )


def calibrate(
    scores: Union[Sequence[float], np.ndarray],
    rate: float = DEFAULT_RATE,
    groups: Optional[Sequence[Hashable]] = None,
) -> Calibration:
    """Sets the threshold for a false-alarm rate.

    scores: of at least 8 good pictures that the model was not trained on, in any order.
    rate: the share of good pictures that may fail, in (0, 0.5].
    groups: of each score what tells its group, such as the part that several pictures show; None
        or empty where no two pictures belong together.
    Raises: CalibrationError on too few scores, scores that are no numbers, a rate out of range.
    """
    check_rate(rate)
    values = np.asarray(scores, dtype=np.float64).ravel()
    if values.size < MIN_SCORES:
        raise CalibrationError(
            f"expected at least {MIN_SCORES} good pictures to set a threshold, got {values.size}"
        )
    if not np.isfinite(values).all():
        raise CalibrationError("expected finite scores, got NaN or infinity; train again")
    numbers = _numbered(values, groups)
    ordered = tuple(np.sort(values).tolist())
    good, _ = _fitted(ordered, numbers)
    method = CONFORMAL if good.least <= rate + _EXACT else TAIL
    threshold = _threshold(good, rate, method)
    # Above 1/2 a "warning" would be the rule; the median is as far down as it makes sense.
    warn_threshold = min(_threshold(good, min(0.5, WARN_FACTOR * rate), method), threshold)
    return Calibration(ordered, float(rate), threshold, warn_threshold, method, numbers)


def check_rate(rate: float) -> None:
    """Raises: CalibrationError on a false-alarm rate outside (0, 0.5]."""
    if not 0 < rate <= 0.5:
        raise CalibrationError(f"expected a false-alarm rate in (0, 0.5], got {rate}")


def _numbered(values: np.ndarray, groups: Optional[Sequence[Hashable]]) -> tuple:
    """Numbers of the groups in the order of the scores; empty where each picture is its own."""
    if groups is None or len(set(groups)) == len(groups):
        return ()
    if len(groups) != values.size:
        raise ValueError(f"expected a group for each of {values.size} scores, got {len(groups)}")
    sizes = Counter(groups)
    # Equal scores by the size of their group, so that the order they came in does not matter.
    order = np.lexsort((np.array([sizes[group] for group in groups]), values))
    keys: dict = {}
    return tuple(keys.setdefault(groups[i], len(keys)) for i in order)


@functools.lru_cache(maxsize=8)
def _fitted(scores: tuple, groups: tuple) -> Tuple[_Good, _Tail]:
    """Kept, as every frame asks for the same."""
    good = _Good.of(scores, groups)
    return good, _Tail.fit(good)


def _threshold(good: _Good, rate: float, method: str) -> float:
    """The score with a p-value of `rate`, by the same method as `Calibration.p_value`."""
    if method == TAIL:
        tail = _Tail.fit(good)
        if rate < tail.mass:
            return tail.score_at(rate)
    return good.score_at(rate)


class _Good(NamedTuple):
    """Scores of good pictures, ascending, and of each what it and all above it weigh.

    total: what all weigh together: as many pictures as there are, or groups, but at least 8.
    """

    scores: np.ndarray
    above: np.ndarray
    total: float

    @classmethod
    def of(cls, scores: Sequence[float], groups: Sequence[int]) -> _Good:
        weights = np.ones(len(scores))
        if groups:
            _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
            if len(sizes) < MIN_SCORES:  # no tail can be fitted to so few
                weights *= MIN_SCORES / len(scores)
            else:
                weights = 1 / sizes[which.ravel()]
        return cls(np.asarray(scores), np.cumsum(weights[::-1])[::-1], float(weights.sum()))

    @property
    def least(self) -> float:
        """The least p-value that a score can have."""
        return 1 / (self.total + 1)

    def p_value(self, score: float) -> float:
        first = int(np.searchsorted(self.scores, score, side="left"))
        above = float(self.above[first]) if first < self.scores.size else 0.0
        return min(1.0, (1 + above) * self.least)  # rounding may add to more than all

    def score_at(self, rate: float) -> float:
        """The highest score whose p-value lies above `rate`."""
        common = np.flatnonzero((1 + self.above) * self.least > rate + _EXACT)
        return float(self.scores[common[-1]])


class _Tail(NamedTuple):
    """Pareto tail over the highest scores, with its own uncertainty.

    What a part has beyond its knees adds up to a score, so a few good parts score several times
    what most do, and a tail that falls exponentially is passed far more often than it says. Here
    log(1 + excess / unit) does; beyond a high threshold tails look like that (Pickands 1975). The
    k values with sum S, taken as exponential with unknown scale (flat prior on its logarithm),
    predict P(value > v) = (1 + v / S) ** -k, and the scale lies below S / `sure` with 95 %
    confidence. A p-value is the larger of two: what is predicted, and half of what such scores'
    share may be with that confidence. So also where the few scores that set a threshold happen to
    be low, hardly more than twice as many good parts fail as were asked for.

    start: the highest score that is not in the tail. unit: twice the mean excess over it.
    k: scores in the tail. mass: the p-value at `start`.
    """

    start: float
    unit: float
    log_sum: float
    k: float
    mass: float

    @classmethod
    def fit(cls, good: _Good) -> _Tail:
        most = max(_MIN_TAIL, math.ceil(math.sqrt(good.total)))
        first = int(np.flatnonzero(good.above > most + _EXACT)[-1]) + 1
        start, k = float(good.scores[first - 1]), float(good.above[first])
        weights = good.above[first:] - np.append(good.above[first + 1 :], 0.0)
        excess = good.scores[first:] - start
        # Equal scores leave no scale: anything above them is then as rare as can be said.
        unit = max(float(np.sum(weights * excess)) * 2 / k, 1e-9 * max(1.0, abs(start)))
        log_sum = max(float(np.sum(weights * np.log1p(excess / unit))), 1e-9)
        return cls(start, unit, log_sum, k, (1 + k) * good.least)

    @property
    def sure(self) -> float:
        """The 5 % quantile of the gamma distribution of shape k (Wilson & Hilferty 1931)."""
        return self.k * (1 - 1 / (9 * self.k) - 1.645 / (3 * math.sqrt(self.k))) ** 3

    def p_value(self, score: float) -> float:
        if not score < math.inf:
            return 0.0
        value = math.log1p((score - self.start) / self.unit) / self.log_sum
        return self.mass * max((1 + value) ** -self.k, math.exp(-value * self.sure) / 2)

    def score_at(self, rate: float) -> float:
        predicted = (self.mass / rate) ** (1 / self.k) - 1
        surely = math.log(self.mass / (2 * rate)) / self.sure
        value = self.log_sum * max(predicted, surely)
        return self.start + self.unit * math.expm1(min(value, _LARGEST))
