"""Thresholds from the scores of good pictures alone.

The p-value is the split-conformal one (Vovk et al. 2005; Bates et al. 2023): the share of held-out
good pictures that score at least as high, counting the picture itself. Good pictures drawn like
the calibration ones then fail at no more than the rate asked for. With n scores no p-value lies
below 1 / (n + 1); where that is above the rate, the upper scores are continued by a fitted tail,
and the result says so.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Sequence, Union

import numpy as np

from edge.errors import CalibrationError

MIN_SCORES = 8
WARN_FACTOR = 5  # a picture is warned of up to this many times the false-alarm rate
DEFAULT_RATE = 0.01
_LARGEST = 500.0  # of which the exponential is no infinity yet

CONFORMAL = "conformal"
TAIL = "Pareto tail"


class Calibration(NamedTuple):
    """What turns a score into a p-value and a verdict.

    scores: of good pictures, ascending. rate: the false-alarm rate asked for.
    threshold: fail above it. warn_threshold: warn above it.
    method: "conformal", or "Pareto tail" where there are too few scores for the rate.
    """

    scores: tuple
    rate: float
    threshold: float
    warn_threshold: float
    method: str

    def p_value(self, score: float) -> float:
        """How rare a score as high as this is among good pictures, in (0, 1]."""
        scores = np.asarray(self.scores)
        score = math.inf if math.isnan(score) else score
        if self.method == TAIL:
            tail = _Tail.fit(scores)
            if score > tail.start:
                return tail.p_value(score)
        return _conformal_p_value(scores, score)

    def label(self, score: float) -> str:
        """ "pass", "warn" or "fail"; a score that is no number fails."""
        if score <= self.warn_threshold:
            return "pass"
        return "warn" if score <= self.threshold else "fail"

    @property
    def note(self) -> str:
        """One line for a person: how the threshold came about."""
        n = len(self.scores)
        if self.method == CONFORMAL:
            return f"conformal, {n} good pictures"
        needed = math.ceil(1 / self.rate) - 1
        return (
            f"{n} good pictures are too few for a false-alarm rate of {self.rate:g} "
            f"({needed} needed): the threshold comes from a Pareto tail fitted to the "
            "scores, and lets more defects pass; take more good pictures, or a higher rate"
        )


def calibrate(
    scores: Union[Sequence[float], np.ndarray], rate: float = DEFAULT_RATE
) -> Calibration:
    """Sets the threshold for a false-alarm rate.

    scores: of at least 8 good pictures that the model was not trained on, in any order.
    rate: the share of good pictures that may fail, in (0, 0.5].
    Raises: CalibrationError on too few scores, scores that are no numbers, a rate out of range.
    """
    check_rate(rate)
    ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if ordered.size < MIN_SCORES:
        raise CalibrationError(
            f"expected at least {MIN_SCORES} good pictures to set a threshold, got {ordered.size}"
        )
    if not np.isfinite(ordered).all():
        raise CalibrationError("expected finite scores, got NaN or infinity; train again")
    method = CONFORMAL if _allowed(ordered.size, rate) >= 0 else TAIL
    threshold = _threshold(ordered, rate, method)
    # Above 1/2 a "warning" would be the rule; the median is as far down as it makes sense.
    warn_threshold = min(_threshold(ordered, min(0.5, WARN_FACTOR * rate), method), threshold)
    return Calibration(tuple(ordered.tolist()), float(rate), threshold, warn_threshold, method)


def check_rate(rate: float) -> None:
    """Raises: CalibrationError on a false-alarm rate outside (0, 0.5]."""
    if not 0 < rate <= 0.5:
        raise CalibrationError(f"expected a false-alarm rate in (0, 0.5], got {rate}")


def _conformal_p_value(scores: np.ndarray, score: float) -> float:
    at_least = scores.size - int(np.searchsorted(scores, score, side="left"))
    return (1 + at_least) / (scores.size + 1)


def _allowed(n: int, rate: float) -> int:
    """How many calibration scores may reach a score that still fails; below 0: none can fail."""
    return math.floor(rate * (n + 1) + 1e-9) - 1


def _threshold(scores: np.ndarray, rate: float, method: str) -> float:
    """The score with a p-value of `rate`, by the same method as `Calibration.p_value`."""
    if method == TAIL:
        tail = _Tail.fit(scores)
        if rate < tail.mass:
            return tail.score_at(rate)
    return float(scores[scores.size - 1 - _allowed(scores.size, rate)])


class _Tail(NamedTuple):
    """Pareto tail over the upper third of the scores, with the shape's own uncertainty.

    What a part has beyond its knees adds up to a score, so a few good parts score several times
    what most do, and a tail that falls exponentially is passed far more often than it says. Here
    log(1 + excess / unit) does, whose k values with sum S, taken as exponential with unknown scale
    (flat prior on its logarithm), predict P(value > v) = (1 + v / S) ** -k: a heavier tail the
    fewer they are. Beyond a high threshold tails look like that (Pickands 1975).

    unit: mean excess over `start`. mass: share of scores above it.
    """

    start: float
    unit: float
    log_sum: float
    k: int
    mass: float

    @classmethod
    def fit(cls, scores: np.ndarray) -> _Tail:
        n = scores.size
        k = max(4, math.ceil(n / 3))
        start = float(scores[n - k - 1])
        excess = scores[n - k :] - start
        # Equal scores leave no scale: anything above them is then as rare as can be said.
        unit = max(float(np.mean(excess)), 1e-9 * max(1.0, abs(start)))
        log_sum = max(float(np.sum(np.log1p(excess / unit))), 1e-9)
        return cls(start, unit, log_sum, k, (k + 1) / (n + 1))

    def p_value(self, score: float) -> float:
        if not score < math.inf:
            return 0.0
        value = math.log1p((score - self.start) / self.unit)
        return self.mass * (1 + value / self.log_sum) ** -self.k

    def score_at(self, rate: float) -> float:
        value = self.log_sum * ((self.mass / rate) ** (1 / self.k) - 1)
        return self.start + self.unit * math.expm1(min(value, _LARGEST))
