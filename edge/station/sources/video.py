"""A video file, picture by picture, each waited for.

It is decoded in a process of its own: a damaged file can crash or hang a decoder, and the station
stays as small as it is without OpenCV.
"""

from __future__ import annotations

from typing import Callable, Iterator

from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.child import Child, ClosedError, SilentError
from edge.station.sources.decode import decode
from edge.station.sources.stream import PictureStream, Skipped
from edge.station.sources.waiting import Wake
from edge.station.types import Arrival, Trouble


class VideoSource(Source):
    """The pictures of a file, named FILE#1, FILE#2 and so on.

    path: for names and messages. start: starts the child that decodes it.
    """

    recorded = True

    def __init__(self, path: str, start: Callable[[Wake], Child], options: SourceOptions) -> None:
        self._path = path
        self._start = start
        self._options = options
        self._closing = Wake()

    def frames(self) -> Iterator[Arrival]:
        try:
            child = self._start(self._closing)
        except OSError as error:
            yield Trouble(self._path, f"cannot start its process: {error.strerror or error}")
            return
        try:
            yield from self._pictures(child)
        except ClosedError:
            return
        except SilentError:
            yield Trouble(self._path, child.with_said("given up: no picture came any more"))
        finally:
            child.kill()

    def close(self) -> None:
        self._closing.set()

    def _pictures(self, child: Child) -> Iterator[Arrival]:
        options = self._options
        stream = PictureStream(child.read, 4 * options.max_pixels, options.max_pixels)
        child.allow(options.patience)
        for number, item in enumerate(stream, 1):
            if self._closing.is_set:
                return
            if isinstance(item, Skipped):
                # One that crashes in the middle of a picture leaves it cut short.
                why = child.ending() if child.failed() else f"given up: {item.reason}"
                yield Trouble(self._path, why)
                return
            yield decode(f"{self._path}#{number}", item, options)
            child.allow(options.timeout)
        if not child.ended_well():
            yield Trouble(self._path, child.ending())
