"""Has what the camera sees changed since the threshold was set? A warning with its reason.

A threshold holds for pictures like those that set it. The watch compares, over a window of recent
frames: the scores of frames that pass with the calibration's and with those of the first frames
after it, either way, as a blurred lens lowers scores; the share of frames that do not pass;
brightness, contrast and sharpness with those of the first frames. It only warns. A threshold moves
by `edge calibrate` alone.

Each comparison is an exact test, and each may err so rarely that all of a year's together cry wolf
once in expectation (Bonferroni over every test made; the windows may overlap). This holds for
frames like the calibration's, in any order; frames that show the same part again must not count as
several, so at most one counts in `every` seconds. Conformal test martingales (Vovk et al. 2021,
"Retrain or not retrain") are the alternative. They grow their reference by what they watch, and in
ten million frames find also the change that does not matter; a window of some hundred sees only
what is large.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from typing import Deque, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from edge.calibration import Calibration
from edge.station.looks import Looks
from edge.station.twosample import count_limit, gap_limit, share_bound, widest_gap

_YEAR = 365 * 86400.0  # seconds
_TESTS = 6  # scores twice, share of passes, three figures of the picture
_FADED = 0.75  # of its limit: below it a warning is over; between the two it neither comes nor goes


class _Figure(NamedTuple):
    """A figure of `Looks`: the relative change that matters, and how to say that it happened."""

    tolerance: float
    less: str
    more: str


_FIGURES = {
    "brightness": _Figure(0.1, "darker", "brighter"),
    "contrast": _Figure(0.2, "lower in contrast", "higher in contrast"),
    "sharpness": _Figure(0.3, "less sharp", "sharper or noisier"),
}
_ADVICE = {
    "brightness": "look at the light and the exposure",
    "contrast": "look at the light and for dirt on the lens",
    "sharpness": "look at focus, dirt on the lens and motion",
}


class DriftEvent(NamedTuple):
    """A warning began or gained a reason; or, `over`, none stands any more. text: one line."""

    over: bool
    text: str


class DriftWatch:
    """Watches one station's frames.

    calibration: of the bundle and precision in use; with another one the watch begins anew.
    window: frames that are compared. every: seconds from one frame that counts to the next; 0
        takes all, and reckons with one a second.
    false_warnings: expected in a year of frames like those of the calibration.
    defects: the share of parts that may be defective before their number alone is a warning.

    `warning` is the text of the one that stands, or None.
    """

    def __init__(
        self,
        calibration: Calibration,
        window: int = 200,
        every: float = 1.0,
        false_warnings: float = 1.0,
        defects: float = 0.2,
    ) -> None:
        self.warning: Optional[str] = None
        self._window, self._every = window, every
        self._stride = max(1, window // 4)  # from test to test; each takes of what is allowed
        tests_a_year = _TESTS * _YEAR / (every or 1.0) / self._stride
        self._rate = min(0.5, false_warnings / tests_a_year)
        scores = np.asarray(calibration.scores)
        self._calibration = _fingerprint(scores, calibration.warn_threshold)
        # Frames that pass are compared with calibration scores that do: given the highest of
        # those, all below it are drawn alike, new ones and old.
        passing = scores[scores <= calibration.warn_threshold]
        self._cut = float(passing[-1])
        self._usual = passing[passing < self._cut]
        fewest = share_bound(scores.size, scores.size - passing.size, self._rate / 2)
        self._most = count_limit(window, defects + (1 - defects) * fewest, self._rate / 2)
        self._scores: Deque[float] = deque(maxlen=window)
        self._passed: Deque[bool] = deque(maxlen=window)
        self._looks: Deque[Tuple[float, ...]] = deque(maxlen=window)
        self._first: List[Tuple[float, ...]] = []
        self._first_scores: List[float] = []
        self._reasons: Dict[str, str] = {}
        self._until_test = self._stride
        self._counted = -math.inf

    def due(self, monotonic: float) -> bool:
        """Whether a frame of this moment counts; where not, its looks need not be computed."""
        return not 0 <= monotonic - self._counted < self._every

    def add(self, score: float, label: str, looks: Looks, monotonic: float) -> Optional[DriftEvent]:
        """Takes one judged frame. Returns what there is to tell, which is hardly ever anything.

        label: "pass", "warn" or "fail". monotonic: seconds, of the frame.
        """
        if not self.due(monotonic):
            return None
        self._counted = monotonic
        if label == "pass" and score < self._cut:
            early = len(self._first_scores) < self._window
            (self._first_scores if early else self._scores).append(float(score))
        self._passed.append(label == "pass")
        if len(self._first) < self._window:
            self._first.append(tuple(map(float, looks)))
        else:
            self._looks.append(tuple(map(float, looks)))
        self._until_test -= 1
        return self._test() if self._until_test <= 0 else None

    def state(self) -> dict:
        """What `restore` takes, fit for JSON."""
        return {
            "calibration": self._calibration,
            "window": self._window,
            "scores": list(self._scores),
            "first_scores": self._first_scores,
            "passed": [int(p) for p in self._passed],
            "first": [list(f) for f in self._first],
            "looks": [list(f) for f in self._looks],
            "reasons": self._reasons,
        }

    def restore(self, state) -> bool:
        """Goes on where `state` was taken. Returns: False, and begins anew, where it is damaged,
        or of another calibration or window."""
        try:
            if (state["calibration"], state["window"]) != (self._calibration, self._window):
                return False
            scores, first_scores = (
                [float(s) for s in state[n]] for n in ("scores", "first_scores")
            )
            passed = [bool(p) for p in state["passed"]]
            first, looks = ([_figures(f) for f in state[n]] for n in ("first", "looks"))
            reasons = {str(k): str(v) for k, v in state["reasons"].items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            return False
        self._scores.extend(scores)
        self._first_scores.extend(first_scores[: self._window])
        self._passed.extend(passed)
        self._first.extend(first[: self._window])
        self._looks.extend(looks)
        self._reasons = reasons
        self.warning = self._text() if reasons else None
        return True

    def _test(self) -> Optional[DriftEvent]:
        self._until_test = self._stride
        before = self._reasons
        self._reasons = dict([*self._by_looks(), *self._by_scores(), *self._by_count()])
        self.warning = self._text() if self._reasons else None
        # The figures in the text move all the time; only a further reason is news.
        if self.warning is not None and set(self._reasons) - set(before):
            return DriftEvent(False, self.warning)
        if before and self.warning is None:
            return DriftEvent(True, "pictures and scores are again as when calibrated")
        return None

    def _stands(self, name: str, size: float, limit: float) -> bool:
        return size >= limit * (_FADED if name in self._reasons else 1)

    def _by_scores(self):
        if len(self._scores) < self._window:
            return
        recent = np.sort(self._scores)
        for usual, name in (
            (self._usual, "the calibration pictures"),
            (np.sort(self._first_scores), "the first frames after calibration"),
        ):
            if not usual.size:
                continue
            gap = widest_gap(usual, recent)
            limit = gap_limit(usual.size, self._window, self._rate)
            if self._stands("scores", gap.size, limit):
                way = "higher" if gap.above_second > gap.above_first else "lower"
                yield (
                    "scores",
                    f"frames that pass score {way} than {name}: {gap.above_second:.0%} of the last "
                    f"{self._window} lie above {gap.at:.3g}, {gap.above_first:.0%} did",
                )
                return

    def _by_count(self):
        others = self._passed.count(False)
        if len(self._passed) == self._window and self._stands("count", others, self._most):
            yield (
                "count",
                f"{others} of the last {self._window} frames did not pass, which is more than bad "
                "parts explain",
            )

    def _by_looks(self):
        if len(self._looks) < self._window:
            return
        first, recent = np.array(self._first), np.array(self._looks)
        limit = gap_limit(self._window, self._window, self._rate)
        for i, (name, figure) in enumerate(_FIGURES.items()):
            before = np.sort(first[:, i])
            gap = widest_gap(before, np.sort(recent[:, i]))
            # How much it changed, the latest frames tell; the others may be from before.
            latest = np.sort(recent[-self._stride :, i])
            change = _middle(latest) / max(_middle(before), 1e-3) - 1
            if self._stands(name, gap.size, limit) and self._stands(
                name, abs(change), figure.tolerance
            ):
                word = figure.less if change < 0 else figure.more
                yield name, f"pictures are {abs(change):.0%} {word} than when calibrated"

    def _text(self) -> str:
        causes = [n for n in _FIGURES if n in self._reasons]
        advice = [_ADVICE[n] for n in causes]
        if not causes and len(self._looks) == self._window:
            advice = ["light and sharpness are as they were: look at the parts and their place"]
        return "; ".join([*self._reasons.values(), *advice])


def _fingerprint(scores: np.ndarray, warn_threshold: float) -> str:
    content = np.append(scores, warn_threshold).astype("<f8").tobytes()
    return hashlib.sha256(content).hexdigest()[:12]


def _middle(ordered: np.ndarray) -> float:
    return float(ordered[ordered.size // 2])


def _figures(values) -> Tuple[float, ...]:
    figures = tuple(map(float, values))
    if len(figures) != len(_FIGURES) or not all(map(math.isfinite, figures)):
        raise ValueError(f"expected {len(_FIGURES)} figures, got {values}")
    return figures
