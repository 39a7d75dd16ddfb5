"""Which picture files a command line names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, Iterator

from edge.errors import PictureError
from edge.preprocess import PICTURE_SUFFIXES


def picture_files(path) -> list:
    """The picture files below a folder, sorted; a file stands for itself, whatever its name.

    Raises: PictureError where there is nothing at `path`, or no picture below it.
    """
    path = Path(path)
    try:
        if not path.is_dir():
            if not path.exists():
                raise PictureError(f"{path}: no such file or folder")
            return [path]
        found = sorted(
            Path(folder) / name
            for folder, _, names in os.walk(path, onerror=_raise)
            for name in names
            if name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")
        )
    except OSError as error:  # no permission, a name that is too long
        where = error.filename or path
        raise PictureError(f"{where}: cannot look for pictures there: {error.strerror}") from None
    if not found:
        raise PictureError(
            f"{path}: no pictures below this folder; expected {', '.join(PICTURE_SUFFIXES)}"
        )
    return found


def _raise(error: OSError) -> None:
    raise error  # `os.walk` would pass over the folder without a word


def expand(paths: Iterable) -> Iterator:
    """Yields (path, None) for each picture file, or (path, PictureError) for what is none."""
    for path in paths:
        try:
            for file in picture_files(path):
                yield file, None
        except PictureError as error:
            yield Path(path), error
