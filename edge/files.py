"""Files that are either whole or not there: write beside, flush, rename."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from edge.errors import UserError


def write_atomically(path, content: bytes) -> None:
    """Writes `content` so that `path` holds the old bytes or the new ones at any moment.

    Raises: UserError where the disk is full or the folder cannot be written; `path` is then as
        it was.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise write_error(path, error) from error


def write_error(path, error: OSError) -> UserError:
    """The one-line error for a write that failed."""
    reason = {
        errno.ENOSPC: "the disk is full; free some space and run again",
        errno.EDQUOT: "the disk quota is used up; free some space and run again",
        errno.EFBIG: "the file would pass the size limit set for this process",
        errno.EROFS: "the disk is read-only; choose another place",
        errno.EACCES: "no permission to write there; choose another place",
        errno.EPERM: "no permission to write there; choose another place",
        errno.EEXIST: "expected a folder, and there is a file of that name; choose another place",
        errno.ENOTDIR: "a part of its path is a file, no folder; choose another place",
    }.get(error.errno or 0, error.strerror or str(error))
    return UserError(f"cannot write {path}: {reason}")


def _flush_folder(folder: Path) -> None:
    # A rename survives a power cut only once the folder itself is on disk. Windows cannot open one.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
