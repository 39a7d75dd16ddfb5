"""The pictures of a folder, or one file: once, in the order of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

from edge.sources import picture_files
from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.decode import decode
from edge.station.types import Arrival, Trouble


class FolderSource(Source):
    """Each picture file at or below a path.

    Raises: PictureError where there is none.
    """

    recorded = True

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self._files = picture_files(path)
        self._options = options
        self._closed = False

    def frames(self) -> Iterator[Arrival]:
        for file in self._files:
            if self._closed:
                return
            yield read_file(file, self._options)

    def close(self) -> None:
        self._closed = True


def read_file(path: Path, options: SourceOptions) -> Arrival:
    """The picture in a file. A pipe or a device of that name is not waited for."""
    try:
        if path.exists() and not path.is_file():
            return Trouble(str(path), "expected a picture file, got something else")
    except (OSError, ValueError) as error:
        return Trouble(str(path), str(error))
    return decode(str(path), path, options)
