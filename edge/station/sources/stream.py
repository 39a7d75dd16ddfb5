"""Cuts a stream of PNG, JPEG, binary PPM or PGM, and BMP pictures, one behind the other.

Each picture is found by its signature and followed by its own structure to its end, so nothing has
to be written between two of them. What is no picture is skipped up to the next signature. No length
in a header is believed beyond what a picture of that size can need: a damaged one must not swallow
the pictures behind it.
"""

from __future__ import annotations

import re
import struct
from typing import Callable, Dict, Iterator, NamedTuple, Union

from edge.station.sources.netpbm import LONGEST_HEADER, netpbm_header

_CHUNK = 2**16
_MOST_AT_ONCE = 2**20
_SIGNATURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|P[56][\s#]|BM")
_LONGEST_SIGNATURE = 8
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a scan, all others are data
_NOT_BEFORE_SCANS = {0x00, 0xD8, 0xD9}
# The scan of a picture that is cut short goes on in the next picture; few markers may follow one.
_NOT_BETWEEN_SCANS = {*range(0xFF)} - {0xC4, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE}
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_SLACK = 2**20  # bytes of profiles and comments that a picture may have beyond its pixels
_PADDING = b"\0 \t\r\n"


class Skipped(NamedTuple):
    """A stretch of the stream that is no picture. size: bytes."""

    size: int
    reason: str


class _BrokenError(Exception):
    """The picture's structure ends at byte `at` of the buffer; the search goes on there."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class _EndError(Exception):
    """The stream is at its end."""


class PictureStream:
    """Iterates over pictures, a bytearray each, and `Skipped` between them.

    read: takes the most bytes wanted, waits for some, returns b"" at the end.
    report_after: bytes that are skipped before it is said, where no picture comes. Zeros and white
        space between two pictures are padding, and nothing is said of them.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        max_bytes: int,
        max_pixels: int,
        report_after: int = 2**26,
    ) -> None:
        self._read = read
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._report_after = report_after
        self._buffer = bytearray()
        self._skipped = 0
        self._reason = ""

    def __iter__(self) -> Iterator[Union[bytearray, Skipped]]:
        while True:
            try:
                kind = self._find_signature()
            except _EndError:
                break
            try:
                end = _ENDS[kind](self) if kind else 0
            except _BrokenError as broken:
                self._skip(max(1, broken.at), str(broken))
                end = 0
            if self._reason and (end or self._skipped >= self._report_after):
                yield self._report()
            if end:
                self._skipped = 0  # padding
                yield self._cut(end)
        self._skip(len(self._buffer), "")
        if self._reason:
            yield self._report()

    def _find_signature(self) -> bytes:
        """Skips to the next signature; returns its first two bytes, b"" where there is none yet."""
        if len(self._buffer) < _LONGEST_SIGNATURE:
            try:
                self._fill(_LONGEST_SIGNATURE)
            except _EndError:
                if not _SIGNATURE.match(self._buffer):
                    raise
        match = _SIGNATURE.search(self._buffer)
        if match is None:
            self._skip(len(self._buffer) - _LONGEST_SIGNATURE + 1, "")
            return b""
        self._skip(match.start(), "")
        return bytes(self._buffer[:2])

    def _skip(self, count: int, reason: str) -> None:
        if not reason and self._buffer[:count].strip(_PADDING):
            reason = "no picture"
        self._skipped += count
        if self._skipped >= self._report_after:
            reason = reason or "no picture"
        self._reason = self._reason or reason
        del self._buffer[:count]

    def _report(self) -> Skipped:
        skipped = Skipped(self._skipped, self._reason)
        self._skipped, self._reason = 0, ""
        return skipped

    def _cut(self, end: int) -> bytearray:
        if 2 * end < len(self._buffer):
            picture = self._buffer[:end]
            del self._buffer[:end]
            return picture
        rest = self._buffer[end:]
        picture, self._buffer = self._buffer, rest
        del picture[end:]
        return picture

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            missing = size - len(self._buffer)
            got = self._read(min(max(_CHUNK, missing), _MOST_AT_ONCE))
            if not got:
                raise _EndError
            self._buffer += got

    def _need(self, size: int, at: int) -> bytearray:
        """The buffer, with at least `size` bytes; the structure is known up to `at`."""
        if size > self._max_bytes:
            raise _BrokenError(at, f"a picture of more than {self._max_bytes} bytes")
        try:
            self._fill(size)
        except _EndError:
            raise _BrokenError(at, "a picture that is cut short") from None
        return self._buffer

    def _check_pixels(self, width: int, height: int, at: int) -> None:
        if not 0 < width * height <= self._max_pixels:
            raise _BrokenError(at, f"a picture of {width} x {height} pixels")

    def _png_end(self) -> int:
        buffer = self._need(33, 8)
        width, height, depth, colour = struct.unpack_from(">IIBB", buffer, 16)
        if buffer[8:16] != b"\0\0\0\rIHDR" or colour not in _PNG_CHANNELS or depth > 16:
            raise _BrokenError(8, "a damaged PNG")
        self._check_pixels(width, height, 8)
        raw = height * (1 + (width * _PNG_CHANNELS[colour] * depth + 7) // 8)
        longest = raw + raw // 50 + _SLACK
        last = at = 33
        while True:
            length, kind = struct.unpack_from(">I4s", self._need(at + 8, last), at)
            if not kind.isalpha() or at + length > longest:
                # The length of the last chunk may have led here, over other pictures.
                raise _BrokenError(last, "a damaged PNG")
            buffer = self._need(at + 12 + length, at)
            if kind == b"IEND":
                if buffer[at : at + 12] != _PNG_END:
                    raise _BrokenError(at, "a damaged PNG")
                return at + 12
            last, at = at, at + 12 + length

    def _jpeg_end(self) -> int:
        at = safe = 2  # safe: nothing before it is searched again when this is no picture
        not_here = _NOT_BEFORE_SCANS
        while True:
            buffer = self._need(at + 2, safe)
            marker = buffer[at + 1]
            if buffer[at] != 0xFF or marker in not_here:
                raise _BrokenError(safe, "a damaged JPEG")
            if marker == 0xD9:
                return at + 2
            if marker == 0xFF:  # a fill byte
                at += 1
            elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
                at += 2
            else:
                (length,) = struct.unpack_from(">H", self._need(at + 4, safe), at + 2)
                start, at = at, at + 2 + max(2, length)
                if 0xE0 <= marker <= 0xEF:
                    self._need(at, start)  # where the stream ends before, its length is wrong
                    safe = at  # a thumbnail may be in there
                elif marker == 0xDA:
                    safe, not_here = max(safe, start), _NOT_BETWEEN_SCANS
                    at = self._jpeg_scan_end(at, safe)

    def _jpeg_scan_end(self, at: int, safe: int) -> int:
        while True:
            match = _JPEG_MARKER.search(self._buffer, at)
            if match:
                return match.start()
            at = max(at, len(self._buffer) - 1)
            self._need(at + 2, safe)

    def _netpbm_end(self) -> int:
        header = netpbm_header(self._buffer)
        while header is None:
            size = len(self._buffer) + 1
            if size > LONGEST_HEADER:
                raise _BrokenError(2, "no picture")
            header = netpbm_header(self._need(size, 2))
        self._check_pixels(header.width, header.height, 2)
        self._need(header.size, 2)
        return header.size

    def _bmp_end(self) -> int:
        buffer = self._need(26, 2)
        size, reserved, start, header = struct.unpack_from("<IIII", buffer, 2)
        if reserved or header not in _BMP_HEADERS:
            raise _BrokenError(2, "no picture")
        width, height = struct.unpack_from("<HH" if header == 12 else "<ii", buffer, 18)
        self._check_pixels(width, abs(height), 2)
        if not 26 <= start < size <= start + 4 * (width + 1) * abs(height) + _SLACK:
            raise _BrokenError(2, "a damaged BMP")
        self._need(size, 2)
        return size


_ENDS: Dict[bytes, Callable[[PictureStream], int]] = {
    b"\x89P": PictureStream._png_end,
    b"\xff\xd8": PictureStream._jpeg_end,
    b"P5": PictureStream._netpbm_end,
    b"P6": PictureStream._netpbm_end,
    b"BM": PictureStream._bmp_end,
}
