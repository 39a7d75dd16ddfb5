"""What the running station writes in memory: how it does, and the frame that it sees.

Nothing here is believed for longer than it may be: a file that stays as it is belongs to a station
that hangs or was killed. Clocks jump, so its age is also measured from when it was first seen here.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

from edge.errors import UserError

HEALTH, LIVE, WATCHED = "health.json", "live.json", "watched"
_MOST = 16 * 2**20  # bytes of one file
_USER = "run `edge serve` as the user that the station runs as"
_FRESH = 30.0  # seconds that health is believed where it does not say


class Seen(NamedTuple):
    """A file's content. version: changes whenever it is replaced. age: seconds, at least."""

    content: dict
    version: str
    age: float


class MemoryFile:
    """One of these files, read again only when it was replaced. For any number of threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._path: Optional[Path] = None
        self._version = ""
        self._content: dict = {}
        self._since = 0.0

    def read(self, folder: Path) -> Optional[Seen]:
        """What it holds; None where there is none, or nothing that can be understood."""
        path = folder / self._name
        try:
            with _opened(path) as (fd, status), self._lock:
                version = f"{status.st_ino:x}-{status.st_mtime_ns:x}"
                if (path, version) != (self._path, self._version):
                    self._content = _parsed(fd)
                    self._path, self._version, self._since = path, version, time.monotonic()
                age = max(time.time() - status.st_mtime, time.monotonic() - self._since)
                return Seen(self._content, version, age)
        except (OSError, ValueError, RecursionError):
            return None


def fresh(health: Seen) -> bool:
    """Whether it may still be believed."""
    limit = health.content.get("fresh_s")
    return health.age <= (limit if isinstance(limit, (int, float)) else _FRESH)


def check_folder(folder: Path, station: Path) -> None:
    """Raises: UserError where it is somebody else's, who may say there what they like, and where
    this user cannot look into it."""
    try:
        owner = folder.stat().st_uid
        trusted = {0, os.getuid(), station.stat().st_uid}
    except PermissionError:
        raise UserError(f"this page cannot look into {folder}; {_USER}") from None
    except OSError:
        return  # nothing will be found there either
    if owner not in trusted:
        raise UserError(f"{folder} belongs to another user than the station: not believed")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"this page cannot look into {folder}; {_USER}")


def ask_for_live(folder: Path) -> Optional[str]:
    """Lets the station know that somebody looks. Returns: why that cannot be."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(folder / WATCHED, flags, 0o644)
        try:
            os.utime(fd)
        finally:
            os.close(fd)
    except OSError as error:
        return f"no live picture: this page cannot write to {folder} ({error.strerror}); {_USER}"
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Tuple[int, os.stat_result]]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield fd, os.fstat(fd)
    finally:
        os.close(fd)


def _parsed(fd: int) -> Dict:
    with os.fdopen(os.dup(fd), "rb") as file:
        raw = file.read(_MOST + 1)
    content = json.loads(raw) if len(raw) <= _MOST else None
    if not isinstance(content, dict):
        raise ValueError("expected an object")
    return content
