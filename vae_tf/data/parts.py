"""What every source offers: parts, each a stream of entries that are decoded in threads.

A part is what becomes one array: the good training pictures of a source, or its test pictures.
Decoding, colour and size go through `edge.preprocess` alone, as on the device.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge.errors import PictureError
from edge.preprocess import InputSpec, preprocess

SAMPLE = 50  # pictures that tell size and colour of a source

_TASK = 16  # entries a thread takes at once: tiny pictures cost less than the hand-over of one
_WINDOW = 64  # tasks in flight, so that decoded pictures never pile up in memory


class Entry(NamedTuple):
    """A picture not yet decoded.

    picture: returns uint8 (H, W) or (H, W, 3), or raises PictureError.
    mask: returns bool (H, W), True where defective, or raises PictureError; None without a mask.
    """

    name: str
    kind: str
    picture: Callable[[], np.ndarray]
    mask: Callable[[], np.ndarray] | None = None


class Item(NamedTuple):
    """A decoded entry. picture: uint8 (H, W, C) or None where unreadable; mask: bool (H, W).

    faults: (name, reason) of what could not be read.
    """

    name: str
    kind: str
    picture: np.ndarray | None
    mask: np.ndarray | None
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Part:
    """One stream of entries, with what the cache needs to know it again.

    identity: says which part of which source this is. fingerprint: changes when its files do.
    count: entries at most. masked: whether any entry may have a mask.
    refused: (name, reason) of files that look like pictures but are of no format read here.
    """

    identity: str
    fingerprint: str
    count: int
    entries: Callable[[], Iterable[Entry]]
    sample: Callable[[int], Iterable[Entry]]
    masked: bool = False
    refused: tuple[tuple[str, str], ...] = field(default=())


def decode(entries: Iterable[Entry], spec: InputSpec) -> Iterator[Item]:
    """Decodes in threads and yields in order."""
    workers = min(8, (os.cpu_count() or 1) + 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        tasks = _groups(entries, _TASK)
        for window in _groups(tasks, _WINDOW):
            for items in pool.map(lambda task: [_decode_one(e, spec) for e in task], window):
                yield from items


def _groups(values: Iterable, size: int) -> Iterator[list]:
    iterator = iter(values)
    while group := list(itertools.islice(iterator, size)):
        yield group


def _decode_one(entry: Entry, spec: InputSpec) -> Item:
    try:
        picture = preprocess(entry.picture(), spec)
    except PictureError as error:
        return Item(entry.name, entry.kind, None, None, ((entry.name, reason(error)),))
    if entry.mask is None:
        return Item(entry.name, entry.kind, picture, None, ())
    try:
        mask = resize_mask(entry.mask(), spec.height, spec.width)
    except PictureError as error:
        fault = (f"mask of {entry.name}", f"{reason(error)}; the picture is kept without it")
        return Item(entry.name, entry.kind, picture, None, (fault,))
    return Item(entry.name, entry.kind, picture, mask, ())


def reason(error: PictureError) -> str:
    """The message without the file's path, which the lists carry as the name beside it."""
    return str(error).split(": ", 1)[-1]


def named_bytes(data: bytes, name: str) -> io.BytesIO:
    """Bytes as a file whose name appears in error messages."""
    stream = io.BytesIO(data)
    stream.name = name
    return stream


def read_mask(source) -> np.ndarray:
    """Reads a mask file or stream.

    Returns: bool (H, W). Grey masks count from 128 up, so that soft or JPEG-made borders do no
        harm; a mask that stays below 128 throughout is one of class numbers, and all but 0 counts.
    Raises: PictureError where it cannot be decoded.
    """
    name = str(getattr(source, "name", source))
    try:
        with Image.open(source) as opened:
            picture: Image.Image = opened
            if picture.mode not in ("1", "L", "P") and not picture.mode.startswith("I"):
                picture = picture.convert("L")
            values = np.asarray(picture)
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise PictureError(f"{name}: the mask cannot be read ({error})") from None
    return values >= 128 if values.dtype != bool and values.max() >= 128 else values > 0


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A cell of the result counts as defective when at least a quarter of it is.

    mask: bool (H, W), any size. Returns: bool (height, width).
    """
    if mask.shape == (height, width):
        return np.asarray(mask, bool)
    image = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image) >= 64  # a quarter of 255, as Pillow rounds it
