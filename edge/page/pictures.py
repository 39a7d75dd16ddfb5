"""The stored pictures of what failed, by record alone: no request names a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple, Optional

from edge.station.sinks.failures import FOLDER, map_of
from edge.station.types import Record

KINDS = ("picture", "map")
_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


class Stored(NamedTuple):
    """An open file. size: bytes."""

    file: BinaryIO
    size: int
    type: str


def open_picture(station: Path, record: Record, kind: str) -> Optional[Stored]:
    """A record's picture or heat map, from below the station's `failures/`.

    kind: "picture" or "map". Returns: None where none was kept, where it has made room for others,
        and where the record points to anything else.
    """
    if not record.picture:
        return None
    name = record.picture if kind == "picture" else map_of(record.picture)
    try:
        folder = (station / FOLDER).resolve(strict=True)
        path = (station / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # gone; a zero byte; links in a circle
        return None
    if folder not in path.parents or path.suffix not in _TYPES:
        return None
    return open_file(path, _TYPES[path.suffix])


def open_file(path: Path, type_: str) -> Optional[Stored]:
    """None where that is no file, or an empty one."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        os.close(fd)
        return None
    return Stored(os.fdopen(fd, "rb"), status.st_size, type_)
