"""What every source offers, and what can be asked of one."""

from __future__ import annotations

import math
from typing import Iterator, NamedTuple, Optional, Tuple

from edge.errors import UserError
from edge.station.types import Arrival, Record


class SourceOptions(NamedTuple):
    """What can be asked of a source; each one heeds what concerns it.

    every: seconds between the frames taken from a camera or video; 0 takes all.
    size: (width, height) asked of a camera; it may give another.
    timeout: seconds of silence after which a camera is given up and opened again, and after which
        an upload without a verdict is answered all the same.
    patience: seconds that a camera may take to give its first picture, and an upload to arrive.
    retry: seconds before a lost camera is opened again; doubled each time, up to 60 times it.
    done: what becomes of a file of a watched folder once it is judged: "keep", "delete" or
        "move to SUBFOLDER".
    existing: take what is in a watched folder at the start; None: where `done` is not "keep",
        so that a restart takes what is left and nothing twice.
    poll: seconds between two looks at a watched folder.
    token: what an upload has to bring; without one, only this machine itself may upload.
    max_bytes: of one picture in a stream or upload. max_pixels: of any one picture.
    """

    every: float = 0.0
    size: Optional[Tuple[int, int]] = None
    timeout: float = 10.0
    patience: float = 30.0
    retry: float = 1.0
    done: str = "keep"
    existing: Optional[bool] = None
    poll: float = 0.5
    token: Optional[str] = None
    max_bytes: int = 64 * 2**20
    max_pixels: int = 50_000_000


class Source:
    """Gives frames. Closed from any thread or signal handler, it ends within two seconds.

    live: frames come as the world goes; old ones are dropped where judging is slower. Otherwise
        the source waits until the next frame is asked for.
    recorded: the frames were taken before, and how quickly they come says nothing.
    answers: `answer` is to be called. prompt: somebody waits for it, so that a record is made safe
        at once and not with others.
    dropped: how many frames came and were not given.
    """

    live = False
    recorded = False
    answers = False
    prompt = False
    dropped = 0

    def frames(self) -> Iterator[Arrival]:
        """Yields what comes, until the source is at its end or closed. To be called once."""
        raise NotImplementedError

    def answer(self, arrival: Arrival, record: Optional[Record]) -> None:
        """Says that the very arrival was judged and its record is safe on disk.

        Only now a watched folder's file is moved or deleted, and only now an upload is answered.
        A frame never answered is at worst judged again after a restart.
        """

    def close(self) -> None:
        """Ends `frames()` and everything that was started for it. May be called twice."""


def check_options(options: SourceOptions) -> None:
    """Raises: UserError naming the first value that is out of range."""
    for name, least in (("every", 0), ("timeout", 0.1), ("patience", 0.1), ("retry", 0.01)):
        _check_seconds(name, getattr(options, name), least)
    _check_seconds("poll", options.poll, 0.01)
    for name in ("max_bytes", "max_pixels"):
        if not getattr(options, name) >= 64:
            raise UserError(f"{name}: expected at least 64, got {getattr(options, name)}")
    if options.size is not None and not (len(options.size) == 2 and min(options.size) >= 8):
        raise UserError(f"size: expected WIDTH x HEIGHT from 8 x 8 pixels, got {options.size}")


def _check_seconds(name: str, value: float, least: float) -> None:
    if not (least <= value <= 86400 and math.isfinite(value)):
        raise UserError(f"{name}: expected {least:g} to 86400 seconds, got {value}")
