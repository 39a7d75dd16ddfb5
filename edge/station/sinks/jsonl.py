"""Verdicts as lines of JSON, in a file or on standard output."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import List

from edge.errors import UserError
from edge.files import write_error
from edge.station.lines import to_json
from edge.station.sinks import SinkError
from edge.station.types import Record


class StandardOutput:
    """A line a record, flushed. A reader that hangs up ends the program, as in any pipe.

    Raises: UserError where it is closed.
    """

    name, at_once = "-", False

    def __init__(self) -> None:
        if sys.stdout is None:
            raise UserError("expected a standard output for the sink -, and it is closed")

    def write(self, records: List[Record]) -> None:
        """Raises: BrokenPipeError; SinkError for any other failure."""
        try:
            _write_all(sys.stdout.buffer, "".join(f"{to_json(r)}\n" for r in records).encode())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SinkError(str(write_error("standard output", error))) from None

    def close(self) -> None:
        """Standard output stays open."""


def _write_all(out, data: bytes) -> None:
    # With PYTHONUNBUFFERED the buffer is none: a signal cuts a write short, and `print` or
    # `sys.stdout.write` then lose the rest.
    left = memoryview(data)
    while left:
        written = out.write(left)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, "it is set not to wait, and its reader is slow")
        left = left[written:]
    out.flush()


class JsonLines:
    """Appends to a file and hands every line to the system at once.

    A file that would pass the cap becomes FILE.1, in place of an older one, and a new one begins.
    Lines are whole: one that the disk took only half of is taken back, and a half one left by a
    power cut is ended before the next. The store, not this file, is what survives everything.

    path: made where absent. cap_mb: megabytes.
    Raises: UserError where it cannot be written or is no file.
    """

    at_once = False

    def __init__(self, path, cap_mb: float = 50.0):
        if not cap_mb > 0:
            raise UserError(f"expected a cap of more than 0 megabytes for {path}, got {cap_mb:g}")
        self.name = f"jsonl:{path}"
        self._path, self._cap = Path(path), int(cap_mb * 1e6)
        self._file = -1
        self._reopen()

    def write(self, records: List[Record]) -> None:
        """Raises: SinkError where the disk does not take them; those lines are missing then."""
        lines = [f"{to_json(record)}\n".encode() for record in records]
        try:
            if self._moved():  # by logrotate, or deleted
                self._reopen()
            while lines:
                if self._fitting(lines) == 0 and os.fstat(self._file).st_size:
                    self._rotate()
                n = max(1, self._fitting(lines))
                self._append(b"".join(lines[:n]))
                lines = lines[n:]
        except OSError as error:
            raise SinkError(str(write_error(self._path, error))) from None

    def close(self) -> None:
        """Ends it; nothing is raised."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _fitting(self, lines: List[bytes]) -> int:
        size, n = os.fstat(self._file).st_size, 0
        while n < len(lines) and size + len(lines[n]) <= self._cap:
            size += len(lines[n])
            n += 1
        return n

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise

    def _rotate(self) -> None:
        self._path.replace(f"{self._path}.1")
        self._reopen()

    def _reopen(self) -> None:
        self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._file = os.open(self._path, flags, 0o644)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                self.close()
                raise UserError(f"expected a file for {self.name}, and {self._path} is none")
            self._end_last_line()
        except OSError as error:
            self.close()
            raise SinkError(str(write_error(self._path, error))) from None

    def _end_last_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self._append(b"\n")

    def _moved(self) -> bool:
        if self._file < 0:
            return True
        try:
            there, here = self._path.stat(), os.fstat(self._file)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
