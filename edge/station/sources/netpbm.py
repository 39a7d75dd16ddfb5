"""The header of binary PGM (P5) and PPM (P6): raw pixels that say their own size."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional, Union

LONGEST_HEADER = 512  # bytes, with its comments

_SPACE = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(
    rb"P([56])" + _SPACE + rb"(\d{1,7})" + _SPACE + rb"(\d{1,7})" + _SPACE + rb"(\d{1,5})\s"
)


class NetpbmHeader(NamedTuple):
    """channels: 1 or 3. white: the highest value. start, size: bytes of header and picture."""

    channels: int
    width: int
    height: int
    white: int
    start: int
    size: int


def netpbm_header(start: Union[bytes, bytearray]) -> Optional[NetpbmHeader]:
    """Parses what a picture starts with; None where that is no such header, or not all of one."""
    match = _HEADER.match(bytes(start[:LONGEST_HEADER]))
    if match is None:
        return None
    kind, width, height, white = (int(group) for group in match.groups())
    if not (width and height and 0 < white < 65536):
        return None
    channels = 3 if kind == 6 else 1
    pixels = width * height * channels * (1 if white < 256 else 2)
    return NetpbmHeader(channels, width, height, white, match.end(), match.end() + pixels)


def netpbm_bytes(width: int, height: int, channels: int) -> bytes:
    """The header to write before raw 8-bit pixels, grey or RGB."""
    return b"P%d\n%d %d\n255\n" % (6 if channels == 3 else 5, width, height)
