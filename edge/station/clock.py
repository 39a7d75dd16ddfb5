"""Which time to believe: UTC for people, a clock that never jumps for durations.

A board without a battery starts in the past and is set right minutes later, and a clock may be set
by a day while the station runs. So every frame carries both times, durations come from the
monotonic one alone, and a jump becomes an event instead of a riddle in the log.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, NamedTuple, Optional

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_JUMP = 2.0  # seconds; less is not worth a line
_SLEW = 1e-3  # seconds a second that a clock may be steered by without a jump; the kernel's is half


class Moment(NamedTuple):
    """taken: UTC seconds since 1970, as the clock says. monotonic: seconds, never jumps."""

    taken: float
    monotonic: float


class Clock:
    """Tells the time, and notices when UTC jumps.

    wall, monotonic: functions that give seconds.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._before = self.now()

    def now(self) -> Moment:
        """Both times of this moment."""
        return Moment(self._wall(), self._monotonic())

    def jump(self) -> Optional[str]:
        """One line where UTC jumped since the last call, else None. Call it every second or so."""
        before, now = self._before, self.now()
        self._before = now
        elapsed = now.monotonic - before.monotonic
        moved = now.taken - before.taken - elapsed
        if abs(moved) <= _JUMP + _SLEW * elapsed:
            return None
        # While a machine sleeps, its monotonic clock stands still: that looks the same.
        way = "forward (or the machine slept)" if moved > 0 else "back"
        return f"the clock went {way} by {_duration(abs(moved))}; it now says {_utc(now.taken)}"


def boot_id(path: str = _BOOT_ID) -> str:
    """Names this start of the machine: monotonic times of one boot can be compared.

    Where the kernel tells none, a new one for each call, so that nothing is compared wrongly.
    """
    try:
        return str(uuid.UUID(Path(path).read_text(encoding="ascii").strip()))
    except (OSError, ValueError):
        return str(uuid.uuid4())


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s since 1970"
