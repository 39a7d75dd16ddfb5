"""From the verdicts of single frames to decisions: a vote, hysteresis, and where a part ends.

A single frame errs at the false-alarm rate that was asked for; thousands of them a day err daily.
So a decision may want several frames to agree, and to stand until several agree that it is over.
"""

from __future__ import annotations

from collections import deque
from typing import Deque, Optional

PASS, WARN, FAIL, ERROR = "PASS", "WARN", "FAIL", "ERROR"
_VERDICTS = ("pass", "warn", "fail", "error")


class Judgement:
    """Decides from frames in the order that they were taken.

    votes, of: FAIL where at least `votes` of the last `of` judged frames failed; WARN where at
        least as many failed or were warned of. 1 of 1 takes each frame as it is.
    release: a FAIL stands until so many frames in a row pass; what was before them is then
        forgotten. 0 lets the vote alone decide.
    gap: frames more than so many seconds apart belong to different parts, of which none knows of
        the other; None where all frames are of one part.

    A frame that could not be judged has no vote: it does not pass, and it ends a row of passes.
    """

    def __init__(
        self, votes: int = 1, of: int = 1, release: int = 0, gap: Optional[float] = None
    ) -> None:
        if not 1 <= votes <= of:
            raise ValueError(f"expected 1 <= votes <= of, got votes={votes}, of={of}")
        if release < 0:
            raise ValueError(f"expected release from 0, got {release}")
        self._votes = votes
        self._release = release
        self._gap = gap
        self._last: Deque[str] = deque(maxlen=of)
        self._before: Optional[float] = None
        self._failed = False
        self._passes = 0
        self.part = 0  # counts up

    def decide(self, verdict: str, monotonic: float) -> str:
        """The decision as of this frame.

        verdict: "pass", "warn", "fail" or "error". monotonic: seconds, of the frame.
        Returns: "PASS", "WARN" or "FAIL"; "ERROR" for a frame without a verdict while no FAIL
            stands.
        """
        if verdict not in _VERDICTS:
            raise ValueError(f"expected one of {', '.join(_VERDICTS)}, got {verdict!r}")
        self._begin_part(monotonic)
        if verdict == "error":
            self._passes = 0
            return FAIL if self._failed and self._release else ERROR
        self._last.append(verdict)
        self._passes = self._passes + 1 if verdict == "pass" else 0
        if self._failed and 0 < self._release <= self._passes:
            self._failed = False
            self._last.clear()
            self._last.append(verdict)
        vote = self._vote()
        self._failed = vote == FAIL or (self._failed and self._release > 0)
        return FAIL if self._failed else vote

    def _begin_part(self, monotonic: float) -> None:
        before, self._before = self._before, monotonic
        if before is None:
            self.part = 1
        elif self._gap is not None and monotonic - before > self._gap:
            self.part += 1
            self._last.clear()
            self._failed = False
            self._passes = 0

    def _vote(self) -> str:
        fails = sum(v == "fail" for v in self._last)
        if fails >= self._votes:
            return FAIL
        warns = sum(v == "warn" for v in self._last)
        return WARN if fails + warns >= self._votes else PASS
