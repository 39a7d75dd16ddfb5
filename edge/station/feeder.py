"""What a source gives, one at a time, without the loop being stuck in the source.

A source's iterator waits for as long as nothing comes. A thread of its own does that waiting, and
only when the loop has asked: what waits in the source stays there until it is wanted, so that a
camera's newest picture is the one that is judged.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Optional

from edge.station.sources.base import Source
from edge.station.sources.waiting import Wake, wait_for
from edge.station.types import Arrival

_JOIN = 2.5  # seconds; sources close within two


class Feeder:
    """Asks a source for arrivals. The methods belong to one thread.

    ended: the source has no more.
    """

    def __init__(self, source: Source):
        self.ended = False
        self._source = source
        # Held until the loop asks. A plain lock: a semaphore takes twice the time of a hand-over.
        self._asked = threading.Lock()
        self._asked.acquire()
        self._ready = Wake()
        self._outstanding = self._closed = False
        self._arrival: Optional[Arrival] = None
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._thread.start()

    def take(self, deadline: float, also: int) -> Optional[Arrival]:
        """The next arrival; None at the deadline, at the source's end, or when `also` can be read.

        deadline: of `time.monotonic`. also: a file descriptor.
        Raises: whatever the source raised.
        """
        if not self._outstanding:
            self._outstanding = True
            self._asked.release()
        # Not by the flag: it may be up a moment before its byte, which would then be left behind.
        if self._ready.fd not in wait_for([self._ready.fd, also], deadline):
            return None
        self._ready.clear()
        self._outstanding = False
        if self._error is not None:
            raise self._error
        arrival, self._arrival = self._arrival, None
        self.ended = arrival is None
        return arrival

    def close(self) -> Optional[Arrival]:
        """Closes the source. Returns what it had given and nobody has taken."""
        self._closed = True
        self._source.close()
        with contextlib.suppress(RuntimeError):  # asked already
            self._asked.release()
        self._thread.join(_JOIN)
        return self._arrival

    def _run(self) -> None:
        arrivals = self._source.frames()
        while not self.ended:
            self._asked.acquire()
            if self._closed:
                break
            arrival = None
            try:
                self._arrival = arrival = next(arrivals, None)
            except BaseException as error:  # to be raised in the loop, which ends by it
                self._error = error
            self._ready.set()  # from here on `self._arrival` is the loop's
            if arrival is None:
                break
        with contextlib.suppress(Exception):  # lets it end what it began
            arrivals.close()  # type: ignore[attr-defined]
