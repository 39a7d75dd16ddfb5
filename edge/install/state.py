"""Which version is active and whether it has proved itself: `state.json`, and how it changes.

A new version is on trial. It is confirmed by frames that it scored. At an error, or when three
starts led to no confirmation, it gives way to the version before it.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, Optional

FORMAT = 1
NEEDED = 100  # good frames
MAX_STARTS = 3  # that a version on trial gets
_VERSION = re.compile(r"[0-9a-f]{12}")
_STATES = ("trial", "confirmed")


class State(NamedTuple):
    """The content of `state.json`; `active` and `previous` name folders in `versions`.

    starts, good_frames: of the active version while on trial. needed: good frames to confirm it.
    rejected: the version that was last rolled back by itself, and why.
    """

    active: str
    previous: Optional[str] = None
    state: str = "trial"
    starts: int = 0
    good_frames: int = 0
    needed: int = NEEDED
    rejected: Optional[dict] = None

    @property
    def confirmed(self) -> bool:
        return self.state == "confirmed"

    def installed(self, version: str, needed: int) -> State:
        """With a new version. One that never proved itself is not worth going back to."""
        unproved = not self.confirmed and self.previous is not None
        previous = self.previous if unproved else self.active
        return first(version, needed)._replace(previous=None if previous == version else previous)

    def started(self) -> State:
        """Counts a start of a version on trial."""
        return self if self.confirmed else self._replace(starts=self.starts + 1)

    @property
    def used_up(self) -> bool:
        """Whether the active version had its starts and was not confirmed."""
        return not self.confirmed and self.starts > MAX_STARTS

    def scored(self, good_frames: int) -> State:
        """With this many good frames in all, which may confirm the active version."""
        state = "confirmed" if good_frames >= self.needed else self.state
        return self._replace(good_frames=good_frames, state=state)

    def rolled_back(self, reason: str) -> State:
        """The previous version instead, for good: there is then nothing further to go back to."""
        assert self.previous is not None
        rejected = {"version": self.active, "reason": reason[:400]}
        return State(self.previous, None, "confirmed", needed=self.needed, rejected=rejected)

    def swapped(self) -> State:
        """Previous and active in each other's place, by hand."""
        assert self.previous is not None
        return State(self.previous, self.active, "confirmed", needed=self.needed)

    def to_bytes(self) -> bytes:
        return json.dumps({"format": FORMAT, **self._asdict()}, indent=1).encode()


def first(version: str, needed: int = NEEDED) -> State:
    """The state with a version on trial and none before it."""
    return State(version, None, "trial" if needed > 0 else "confirmed", needed=needed)


def parse(content: bytes) -> Optional[State]:
    """The state from the bytes of its file; None where they are damaged."""
    try:
        record = json.loads(content.decode("utf-8"))
        if record.pop("format") != FORMAT:
            return None
        state = State(**record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    versions = [state.active] if state.previous is None else [state.active, state.previous]
    counts = (state.starts, state.good_frames, state.needed)
    sound = (
        all(isinstance(v, str) and _VERSION.fullmatch(v) for v in versions)
        and all(isinstance(n, int) and n >= 0 for n in counts)
        and state.state in _STATES
        and isinstance(state.rejected, (dict, type(None)))
    )
    return state if sound else None
