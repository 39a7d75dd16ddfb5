"""Waiting that `close()` can end at once, from another thread or a signal handler.

Locks and `threading.Event` can deadlock in a signal handler; a byte in a pipe cannot.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import Generic, List, Optional, TypeVar

T = TypeVar("T")


class Wake:
    """A flag that `poll` can wait for."""

    def __init__(self) -> None:
        self.is_set = False
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)

    def __del__(self) -> None:
        # Not in `close()`: another thread may be waiting on them then.
        for fd in (getattr(self, "fd", None), getattr(self, "_write", None)):
            if fd is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)

    def set(self) -> None:
        self.is_set = True
        with contextlib.suppress(BlockingIOError):  # full: it wakes all the same
            os.write(self._write, b"!")

    def clear(self) -> None:
        self.is_set = False
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 65536)

    def wait(self, seconds: float) -> bool:
        """Returns whether the flag was set before the time was up."""
        wait_for([self.fd], time.monotonic() + seconds)
        return self.is_set


def wait_for(fds: List[int], deadline: Optional[float]) -> List[int]:
    """The file descriptors that can be read, have ended or failed; none at the deadline.

    deadline: of `time.monotonic`; None waits for ever.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1e3
    return [fd for fd, _ in poll.poll(left)]


class Inbox(Generic[T]):
    """Hands items from other threads to the one that judges.

    closing: ends the waiting for items.
    """

    def __init__(self, closing: Wake) -> None:
        self._closing = closing
        self._ready = Wake()
        self._lock = threading.Lock()
        self._items: List[T] = []

    def put(self, item: T) -> None:
        """Adds an item behind the others."""
        with self._lock:
            self._items.append(item)
            self._ready.set()

    def put_newest(self, item: T) -> int:
        """Adds an item, and drops what waits of the same type. Returns how many were dropped."""
        with self._lock:
            kept = [waiting for waiting in self._items if type(waiting) is not type(item)]
            dropped = len(self._items) - len(kept)
            self._items = [*kept, item]
            self._ready.set()
        return dropped

    def remove(self, item: T) -> bool:
        """Takes back an item. Returns whether it still waited."""
        with self._lock:
            kept = [waiting for waiting in self._items if waiting is not item]
            was_there = len(kept) < len(self._items)
            self._items = kept
        return was_there

    def take(self) -> Optional[T]:
        """Waits for the oldest item. Returns None once closed."""
        while not self._closing.is_set:
            with self._lock:
                if self._items:
                    return self._items.pop(0)
                self._ready.clear()
            wait_for([self._closing.fd, self._ready.fd], None)
        return None
