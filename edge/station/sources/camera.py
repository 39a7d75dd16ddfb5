"""A camera, or any program that writes pictures: watched, cut off when it hangs, opened again.

One thread starts the child, reads it and restarts it for ever. The loop that judges finds only the
newest picture; the ones before are dropped and counted. Memory holds at most three pictures: one
that arrives, one that waits, one that is judged. What a driver drops by itself nobody can count.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Iterator, NamedTuple, Optional, Union

from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.child import Child, ClosedError, SilentError
from edge.station.sources.decode import decode
from edge.station.sources.stream import PictureStream, Skipped
from edge.station.sources.waiting import Inbox, Wake
from edge.station.types import Arrival, Trouble

LONGEST_WAIT = 60  # times `retry`
_GARBAGE = 2**16  # bytes that are no picture, after which a child is beyond hope
_CLOSE = 1.8  # seconds that closing may take


class _Taken(NamedTuple):
    picture: bytearray
    utc: float
    monotonic: float


class CameraSource(Source):
    """The newest pictures of a child process that is started again whenever it fails.

    name: for frames and messages, without passwords. start: starts the child; what it sends is
        what `PictureStream` takes. every: seconds between the pictures taken of those that come;
        0 where the child sees to it.
    """

    live = True

    def __init__(
        self,
        name: str,
        start: Callable[[Wake], Child],
        options: SourceOptions,
        every: float = 0.0,
    ) -> None:
        self._name = name
        self._start = start
        self._options = options
        self._every = every
        self._due = 0.0
        self._lost = False
        self._closing = Wake()
        self._inbox: Inbox[Union[_Taken, Trouble]] = Inbox(self._closing)
        self._thread: Optional[threading.Thread] = None

    def frames(self) -> Iterator[Arrival]:
        # The kernel ends a child with the thread that started it: so one that stays starts all.
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        while True:
            item = self._inbox.take()
            if item is None:
                return
            if isinstance(item, Trouble):
                yield item
            else:
                yield decode(self._name, item.picture, self._options, (item.utc, item.monotonic))

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE)

    def _run(self) -> None:
        retry = wait = self._options.retry
        while not self._closing.is_set:
            began = time.monotonic()
            reason = self._failure()
            if self._closing.is_set:
                return
            if not self._lost and time.monotonic() - began > LONGEST_WAIT * retry:
                wait = retry
            if not self._lost:
                self._lost = True
                problem = f"lost: {reason}; opening it again"
                self._inbox.put_newest(Trouble(self._name, problem, lost=True))
            self._closing.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT * retry)

    def _failure(self) -> str:
        """Starts a child and passes on its pictures until it fails. Returns how it did."""
        try:
            child = self._start(self._closing)
        except OSError as error:
            return f"cannot start its process: {error.strerror or error}"
        try:
            return self._pass_on(child)
        except ClosedError:
            return "closed"
        except Exception as error:  # whatever it is, a thread that ends without a word is worse
            return f"{type(error).__name__}: {error}"
        finally:
            child.kill()

    def _pass_on(self, child: Child) -> str:
        options = self._options
        longest = max(options.max_bytes, 4 * options.max_pixels)
        patience = options.patience  # with the time that loading a driver takes
        child.allow(patience)
        try:
            for item in PictureStream(child.read, longest, options.max_pixels, _GARBAGE):
                if isinstance(item, Skipped):
                    return f"sent {item.size} bytes that are no picture ({item.reason})"
                self._lost = False
                self._pass_one(_Taken(item, time.time(), time.monotonic()))
                patience = options.timeout + options.every
                child.allow(patience)
        except SilentError:
            return child.with_said(f"no picture for {patience:g} s")
        return child.ending()

    def _pass_one(self, taken: _Taken) -> None:
        if taken.monotonic >= self._due:
            self._due = taken.monotonic + self._every
            self.dropped += self._inbox.put_newest(taken)
