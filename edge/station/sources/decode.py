"""From a picture's bytes or file to a frame, or to the trouble with it.

What comes over a wire is bounded before it is decoded: its pixels, and the kinds of file that
Pillow may take it for (some of its readers start other programs).
"""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from edge.errors import PictureError
from edge.preprocess import check_picture, read_picture
from edge.station.sources.base import SourceOptions
from edge.station.sources.netpbm import netpbm_header
from edge.station.types import Arrival, Frame, Trouble

FORMATS = ("PNG", "JPEG", "PPM", "BMP", "TIFF", "WEBP")  # a phone's MPO is a JPEG first

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_START = 24  # bytes, with width and height

Content = Union[bytes, bytearray, Path]


def decode(
    source: str, content: Content, options: SourceOptions, taken: Optional[tuple] = None
) -> Arrival:
    """Reads a picture.

    content: the bytes of a picture file, or its path. taken: (UTC, monotonic) seconds; now, where
        not given.
    """
    taken = taken or (time.time(), time.monotonic())
    try:
        return Frame(source, _picture(source, content, options), *taken)
    except PictureError as error:
        return Trouble(source, one_line(error, source))


def one_line(error: object, source: str = "") -> str:
    """What an error says, without the name of its source before it, and never over two lines."""
    text = str(error)
    if source and text.startswith(f"{source}: "):
        text = text[len(source) + 2 :]
    return " ".join(text.split())


def _picture(source: str, content: Content, options: SourceOptions) -> np.ndarray:
    if not isinstance(content, Path):
        raw = _raw_picture(content, options)
        if raw is not None:
            return raw
    _refuse_other_kinds(content, options)
    return read_picture(content if isinstance(content, Path) else _Named(content, source))


def _raw_picture(content: Union[bytes, bytearray], options: SourceOptions) -> Optional[np.ndarray]:
    """The pixels of a binary PGM or PPM, without a copy. None for any other picture."""
    header = netpbm_header(content)
    if header is None or header.white != 255:
        return None
    _check_pixels(header.width, header.height, options)
    if len(content) < header.size:
        raise PictureError("the picture is cut short")
    flat = np.frombuffer(content, np.uint8, header.size - header.start, header.start)
    shape = (header.height, header.width) + ((3,) if header.channels == 3 else ())
    return check_picture(flat.reshape(shape))


def _refuse_other_kinds(content: Content, options: SourceOptions) -> None:
    try:
        width, height = _size(content)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        width = height = 2**16  # beyond Pillow's own bound, and it does not say how far
    except Exception as error:  # Pillow's readers raise nearly anything
        if getattr(error, "errno", None):
            return  # no such file, no permission: `read_picture` says so
        raise PictureError(
            "expected a picture (PNG, JPEG, ...), got none or a damaged one"
        ) from None
    _check_pixels(width, height, options)


def _size(content: Content) -> tuple:
    """(width, height) as the header says."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            start = file.read(_PNG_START)
    else:
        start = bytes(content[:_PNG_START])
    if start.startswith(_PNG):  # without Pillow, whose look at it takes half as long as decoding
        return struct.unpack(">II", start[16:])
    file_or_path = content if isinstance(content, Path) else io.BytesIO(content)
    with Image.open(file_or_path, formats=FORMATS) as picture:
        return picture.size


def _check_pixels(width: int, height: int, options: SourceOptions) -> None:
    if width * height > options.max_pixels:
        raise PictureError(f"too many pixels; expected at most {options.max_pixels} (max_pixels)")


class _Named(io.BytesIO):
    """Bytes that `read_picture` can name in its errors."""

    def __init__(self, content: Union[bytes, bytearray], name: str) -> None:
        super().__init__(content)
        self.name = name
