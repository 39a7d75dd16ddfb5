"""Lines for the journal that do not flood it: what repeats is counted, not written.

A camera that fails ten times a second would write a gigabyte a week. The same line comes at most
once a minute, with how often it came meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import OrderedDict
from typing import Callable, Optional

_PRIORITY = {"error": 3, "warning": 4, "info": 6}  # syslog's
_KINDS = 200  # of lines that are told apart; beyond it, the one unheard of for longest is forgotten


class _Said:
    """When a kind of line was last written, how often it was held back since, and the latest."""

    __slots__ = ("at", "held", "level", "text")

    def __init__(self, at: float):
        self.at, self.held, self.level, self.text = at, 0, "info", ""


class Log:
    """Writes lines to standard error. Used from any thread; never raises.

    every: seconds for which the same kind of line is held back. journal: put syslog's priority in
        front, as systemd's journal reads it; by default where it listens.
    """

    def __init__(
        self,
        stream=None,
        every: float = 60.0,
        journal: Optional[bool] = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._every, self._monotonic = every, monotonic
        self._journal = "JOURNAL_STREAM" in os.environ if journal is None else journal
        self._said: OrderedDict[str, _Said] = OrderedDict()
        self._lock = threading.Lock()

    def error(self, text: str, kind: Optional[str] = None) -> None:
        """What keeps frames from being judged or verdicts from being kept.

        kind: what makes lines the same where their text differs, in a number or a name; by default
            the text.
        """
        self._say("error", text, kind)

    def warning(self, text: str, kind: Optional[str] = None) -> None:
        """What somebody should look at."""
        self._say("warning", text, kind)

    def info(self, text: str, kind: Optional[str] = None) -> None:
        """What is good to know later."""
        self._say("info", text, kind)

    def flush(self, all: bool = False) -> None:
        """Writes what was held back for long enough, or all of it at the end. Call it now and
        then: the last of a row of lines would otherwise wait for the next of its kind."""
        with self._lock:
            now = self._monotonic()
            for said in self._said.values():
                if said.held and (all or now - said.at >= self._every):
                    self._write(said, now)

    def _say(self, level: str, text: str, kind: Optional[str]) -> None:
        text = " ".join(str(text).split())  # one line, whatever a library says
        with self._lock:
            now = self._monotonic()
            said = self._said.get(kind or text)
            if said is None:
                said = self._said[kind or text] = _Said(-float("inf"))
                if len(self._said) > _KINDS:
                    _, forgotten = self._said.popitem(last=False)
                    if forgotten.held:
                        self._write(forgotten, now)
            self._said.move_to_end(kind or text)
            said.held, said.level, said.text = said.held + 1, level, text
            if now - said.at >= self._every:
                self._write(said, now)

    def _write(self, said: _Said, now: float) -> None:
        times = f" ({said.held} times in {now - said.at:.0f} s)" if said.held > 1 else ""
        said.held, said.at = 0, now
        stream = sys.stderr if self._stream is None else self._stream
        mark = f"<{_PRIORITY[said.level]}>" if self._journal else ""
        # A terminal that was closed, a full disk behind `2> file`: no reason to stop inspecting.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.write(f"{mark}edge: {said.text}{times}\n")
            stream.flush()
