"""A child process that writes pictures to its standard output, and can be given up at any moment.

A camera's driver may hang where nothing but the end of the process helps. So it runs in a process
of its own, and nothing here waits for it without an end.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

from edge.station.sources.waiting import Wake, wait_for

GAVE_UP = 3  # the status of a child that says itself, on standard error, why it ends

_KEPT = 4096  # bytes of what it says on standard error
_LONGEST_LINE = 300
_ENDING = 0.5  # seconds between the end of its output and its own
_PIPE = 2**20  # bytes, the most that the kernel gives everyone
_F_SETPIPE_SZ = 1031  # `fcntl` names it from Python 3.10 on
_GUARD = Path(__file__).parents[1] / "guard.py"


class SilentError(Exception):
    """Nothing came in the time allowed."""


class ClosedError(Exception):
    """The source was closed meanwhile."""


class Child:
    """A running process, in a session of its own, with its output.

    argv: the program and its arguments. closing: ends the waiting for output. given: bytes that it
        finds on standard input. env: its environment; ours, where None.
    Raises: OSError where it cannot be started.
    """

    def __init__(
        self,
        argv: List[str],
        closing: Wake,
        given: bytes = b"",
        env: Optional[Dict[str, str]] = None,
    ) -> None:
        self._deadline: Optional[float] = None
        self._closing = closing
        self._said = b""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=env, start_new_session=True
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._out = self._process.stdout.fileno()
        self._err = self._process.stderr.fileno()
        self._open = [self._out, self._err]
        _widen(self._out)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(given)
        self._process.stdin.close()

    def allow(self, seconds: float) -> None:
        """Gives it so long from now on, however much comes meanwhile."""
        self._deadline = time.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """At most `size` bytes of its output; b"" at the end.

        Raises: SilentError when the time allowed is over; ClosedError.
        """
        while True:
            # What is there is read even when the time is over: it may be us who stood still.
            ready = wait_for([self._closing.fd, *self._open], self._deadline)
            if self._closing.is_set:
                raise ClosedError
            if not ready:
                raise SilentError
            if self._err in ready:
                self._listen()
            if self._out in ready:
                return os.read(self._out, size)

    def _listen(self) -> None:
        got = os.read(self._err, _KEPT)
        self._said = (self._said + got)[-_KEPT:]
        if not got:
            self._open.remove(self._err)

    def ending(self) -> str:
        """How it ended, once its output did: one line."""
        status, said = self._status(), self._last_line()
        if status == GAVE_UP and said:
            return said
        if status is None:
            return self.with_said("closed its output")
        if status < 0:
            return self.with_said(f"ended by signal {-status}")
        return self.with_said(f"ended with status {status}")

    def ended_well(self) -> bool:
        """Whether it ended by itself, with status 0."""
        return self._status() == 0

    def failed(self) -> bool:
        """Whether it ended otherwise: it crashed, or said that it gave up."""
        return self._status() not in (None, 0)

    def with_said(self, text: str) -> str:
        """The text, and after it the last line that the child wrote on standard error."""
        said = self._last_line()
        return f"{text} ({said})" if said else text

    def _status(self) -> Optional[int]:
        """0 or more, or minus the signal that ended it; None where it goes on."""
        # It is not reaped here: as long as it is not, its number cannot become another group's.
        until = time.monotonic() + _ENDING
        while not self._closing.is_set and time.monotonic() < until:
            ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            self._closing.wait(0.02)
        return None

    def _last_line(self) -> str:
        while self._err in self._open and wait_for([self._err], time.monotonic()):
            self._listen()
        lines = self._said.decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        return without_password(" ".join(last.split())[:_LONGEST_LINE])

    def kill(self) -> None:
        """Ends it and all that it started. Returns within a second, whatever it does."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        # In an uninterruptible call of a driver even SIGKILL waits. `subprocess` then reaps it
        # when it starts another process.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)


def guarded(command: List[str]) -> List[str]:
    """The command in a way that it ends with this process."""
    return [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), *command]


def environment() -> Dict[str, str]:
    """Ours, in which a child finds `edge` wherever it was imported from."""
    root = str(Path(__file__).parents[3])
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, others] if others else [root])}


def without_password(text: str) -> str:
    """The text without what opens a camera: USER:PASSWORD@ and the like of password=... in it."""
    text = re.sub(r"(?<=://)[^/\s]*@", "", text)
    return re.sub(r"(?i)(pass\w*|pwd|token|key)=[^&\s]*", r"\1=...", text)


def _widen(fd: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE)
