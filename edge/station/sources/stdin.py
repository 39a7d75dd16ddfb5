"""Pictures on standard input, one behind the other.

`rpicam-vid --codec mjpeg -t 0 -o - | python -m edge run ...`, `ffmpeg ... -f image2pipe -`, or
`cat *.png`: whatever writes PNG, JPEG, BMP or binary PPM and PGM. PPM is the format for a program
of one's own that has raw pixels: a line of text with the size, then the bytes.
"""

from __future__ import annotations

import os
from typing import Iterator

from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.decode import decode
from edge.station.sources.stream import PictureStream, Skipped
from edge.station.sources.waiting import Wake, wait_for
from edge.station.types import Arrival, Trouble

NAME = "stdin"


class StdinSource(Source):
    """A stream of pictures. The program that writes it waits while one is judged.

    fd: the file descriptor to read.
    """

    def __init__(self, options: SourceOptions, fd: int = 0) -> None:
        self._options = options
        self._fd = fd
        self._closing = Wake()

    def frames(self) -> Iterator[Arrival]:
        try:
            yield from self._pictures()
        except OSError as error:  # a device that went, a folder
            yield Trouble(NAME, f"cannot be read any more: {error.strerror}")

    def _pictures(self) -> Iterator[Arrival]:
        options = self._options
        for item in PictureStream(self._read, options.max_bytes, options.max_pixels):
            if self._closing.is_set:
                return
            if isinstance(item, Skipped):
                yield Trouble(NAME, f"skipped {item.size} bytes of the stream: {item.reason}")
            else:
                yield decode(NAME, item, options)

    def close(self) -> None:
        self._closing.set()

    def _read(self, size: int) -> bytes:
        wait_for([self._closing.fd, self._fd], None)
        return b"" if self._closing.is_set else os.read(self._fd, size)
