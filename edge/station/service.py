"""A station under systemd: says that it is ready and alive, and stops when told to.

The protocol is a datagram to the socket that NOTIFY_SOCKET names, see sd_notify(3); without one,
every message goes nowhere. The unit that fits is written by `edge.station.unit`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import Callable, Dict, Mapping, Optional


class Notifier:
    """Sends messages to the service manager. Never raises and never waits.

    environment: of the process, by default its own.
    """

    def __init__(self, environment: Optional[Mapping[str, str]] = None) -> None:
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract socket. Others than Unix sockets are for
        # virtual machines.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: Optional[socket.socket] = None
        self._status = ""
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.watchdog_seconds = _watchdog_seconds(environment)

    def send(self, **values: str) -> None:
        """Sends `NAME=value` lines."""
        if self._socket is None:
            return
        lines = "\n".join(f"{name}={' '.join(value.split())}" for name, value in values.items())
        # A manager that is restarting or busy misses a message; the next one will come.
        with contextlib.suppress(OSError):
            self._socket.sendto(lines.encode("utf-8", "replace"), self._address)

    def ready(self) -> None:
        """To be called once frames can be judged: the manager waits for it."""
        self.send(READY="1")

    def status(self, text: str) -> None:
        """A line for `systemctl status`; sent where it changed."""
        if text != self._status:
            self._status = text
            self.send(STATUS=text)

    def stopping(self) -> None:
        self.send(STOPPING="1")

    def ping(self) -> None:
        self.send(WATCHDOG="1")


def _watchdog_seconds(environment: Mapping[str, str]) -> Optional[float]:
    """How long the manager waits for a ping; None where it does not."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isdecimal() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6


class Watchdog:
    """Pings the service manager while frames are scored, and for two reasons besides.

    A loop that merely turns proves nothing: a camera may give garbage, a graph may fail on every
    frame, a disk may hang. So only a frame that was scored pings, and the manager starts the
    station anew where none was for too long. Two states are no fault of the station, though, and a
    restart would mend nothing: a source that gives frames only when somebody has some (a watched
    folder, an upload, standard input) is waiting; and a camera is lost, and is being reopened. The
    second excuses for `patience` seconds since the last frame only: a driver that does not come
    back in that time may need a new process. Frames that come and cannot be scored excuse nothing.

    patience: seconds. monotonic: a clock, in seconds.
    """

    def __init__(
        self,
        notifier: Notifier,
        patience: float = 600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier, self._patience, self._monotonic = notifier, patience, monotonic
        # Four pings in the time allowed; one a frame would be a system call a frame.
        self._interval = (notifier.watchdog_seconds or 0.0) / 4
        self._pinged = -float("inf")
        self._scored = monotonic()

    def scored(self) -> None:
        """A frame was scored."""
        self._scored = self._monotonic()
        self._ping(self._scored)

    def waiting(self) -> None:
        """Nothing came, and nothing had to. To be called every second or so meanwhile."""
        self._scored = self._monotonic()
        self._ping(self._scored)

    def lost(self) -> None:
        """The camera is lost and is being reopened. To be called every second or so meanwhile."""
        now = self._monotonic()
        if now - self._scored <= self._patience:
            self._ping(now)

    def _ping(self, now: float) -> None:
        if self._notifier.watchdog_seconds is not None and now - self._pinged >= self._interval:
            self._pinged = now
            self._notifier.ping()


class Stopping:
    """Whether the station was told to stop, by SIGTERM or SIGINT; a context manager.

    The second signal of the kind ends the process at once, as it would have without this. Begin it
    in the main thread; `wait` may be called from any.
    """

    def __init__(self) -> None:
        self.reason: Optional[str] = None
        # `threading.Event` may deadlock when it is set within a signal handler; a pipe cannot.
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before: Dict[int, object] = {}

    def __bool__(self) -> bool:
        return self.reason is not None

    def __enter__(self) -> Stopping:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._told)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # set by another language than Python
                signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()
        os.close(self._write)
        os.close(self._read)

    def stop(self, reason: str) -> None:
        """Stops it from within."""
        if self.reason is None:
            self.reason = reason
            with contextlib.suppress(OSError):  # it is over already
                os.write(self._write, b".")

    def wait(self, seconds: float) -> bool:
        """Sleeps, no longer than until told to stop. Returns: whether it was."""
        if self.reason is None:
            select.select([self._read], [], [], max(0.0, seconds))
        return self.reason is not None

    def fileno(self) -> int:
        """Readable from when it was told to stop; for `select`."""
        return self._read

    def _told(self, number: int, frame) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.stop(signal.Signals(number).name)
