"""Pictures of what failed, each with its heat map: capped in space, the oldest go first.

Files are numbered, and the numbers order them: clocks jump. Other files in the folder are neither
counted nor touched. Room is made before a picture is written, and some of the disk always stays
free, since the verdicts need it more.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections import deque
from pathlib import Path
from typing import Deque, List, NamedTuple

import numpy as np
from PIL import Image

from edge.errors import UserError
from edge.files import write_atomically, write_error
from edge.heatmap import overlay

FOLDER = "failures"
_OURS = re.compile(r"failure-(\d{8,})-[\w.-]*\.(png|jpg)", re.ASCII)
_UNFINISHED = re.compile(r"\.failure-\d{8,}-.*\.part", re.ASCII)
_MAP = ".map.jpg"
_MAP_SIDE = 640  # pixels; a heat map holds no more, and drawing it over a large picture is slow


class FailuresError(UserError):
    """A picture that cannot be kept just now."""


class _Kept(NamedTuple):
    """The files of one failure. size: bytes of all."""

    number: int
    files: List[Path]
    size: int


def map_of(picture: str) -> str:
    """The heat map's file beside a picture's, both as `Record.picture` names them."""
    return picture.rsplit(".", 1)[0] + _MAP


class Failures:
    """folder: the station; pictures go to `failures/` in it.

    cap_mb: megabytes for all of them. reserve_mb: megabytes of the disk that stay free; where less
        is free, the oldest pictures go to make up for it.
    form: "png", whose pixels can be judged again, or "jpeg", a fifth of the size.
    Raises: UserError for values out of range; FailuresError where the folder cannot be made.
    """

    def __init__(self, folder, cap_mb: float = 200, reserve_mb: float = 100, form: str = "png"):
        if not (cap_mb > 0 and reserve_mb >= 0):
            raise UserError(f"expected a cap above 0 MB and a reserve, got {cap_mb}, {reserve_mb}")
        if form not in ("png", "jpeg"):
            raise UserError(f"expected pictures as png or jpeg, got {form!r}")
        self._folder, self._form = Path(folder) / FOLDER, form
        self._cap, self._reserve = int(cap_mb * 1e6), int(reserve_mb * 1e6)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._kept = _scan(self._folder)
        except OSError as error:
            raise FailuresError(str(write_error(self._folder, error))) from None
        self._size = sum(kept.size for kept in self._kept)
        self._next = self._kept[-1].number + 1 if self._kept else 1

    def save(self, name: str, picture: np.ndarray, verdict) -> str:
        """Keeps a picture and its heat map.

        name: of the picture's source; what no file's name should hold is replaced.
        picture: uint8 (H, W), (H, W, 1) or (H, W, 3). verdict: `edge.runner.Verdict`.
        Returns: the picture's path relative to the station.
        Raises: FailuresError where there is no room or the disk refuses; nothing is written then.
        """
        stem = f"failure-{self._next:08d}-{_plain(name)}"
        suffix = ".png" if self._form == "png" else ".jpg"
        contents = {
            self._folder / (stem + suffix): _encoded(picture, self._form),
            self._folder / (stem + _MAP): _encoded(_map(picture, verdict), "jpeg"),
        }
        kept = _Kept(self._next, list(contents), sum(map(len, contents.values())))
        self._next += 1
        try:
            self._make_room(kept.size)
            for path, content in contents.items():
                write_atomically(path, content)
        except (OSError, UserError) as error:
            with contextlib.suppress(OSError):
                _remove(kept.files)
            raise _named(error, self._folder) from error
        self._kept.append(kept)
        self._size += kept.size
        return f"{FOLDER}/{stem}{suffix}"

    def _make_room(self, size: int) -> None:
        free = shutil.disk_usage(self._folder).free
        room = min(self._cap - self._size, free - self._reserve)
        if room + self._size < size:
            raise FailuresError(
                f"no room for {size / 1e6:.1f} MB in {self._folder}: the cap is "
                f"{self._cap / 1e6:g} MB, and {self._reserve / 1e6:g} MB of the disk stay free "
                f"({free / 1e6:.0f} MB are)"
            )
        while room < size:
            oldest = self._kept[0]
            _remove(oldest.files)
            self._kept.popleft()
            self._size -= oldest.size
            room += oldest.size


def _scan(folder: Path) -> Deque[_Kept]:
    """What earlier runs kept, oldest first. Removes what a kill left half written."""
    found: dict = {}
    for path in folder.iterdir():
        ours = _OURS.fullmatch(path.name)
        if ours and path.is_file() and not path.is_symlink():
            found.setdefault(int(ours[1]), []).append(path)
        elif _UNFINISHED.fullmatch(path.name):
            _remove([path])
    return deque(
        _Kept(number, files, sum(path.stat().st_size for path in files))
        for number, files in sorted(found.items())
    )


def _remove(files: List[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _named(error: Exception, folder: Path) -> FailuresError:
    if isinstance(error, FailuresError):
        return error
    return FailuresError(str(write_error(folder, error) if isinstance(error, OSError) else error))


def _map(picture: np.ndarray, verdict) -> np.ndarray:
    """uint8 (h, w, 3): the heat map over the picture, at most 640 pixels a side."""
    small = Image.fromarray(picture.squeeze(2) if picture.shape[2:] == (1,) else picture)
    small.thumbnail((_MAP_SIDE, _MAP_SIDE), Image.Resampling.BILINEAR)
    return overlay(np.asarray(small), verdict.heatmap, verdict.limit)


def _encoded(picture: np.ndarray, form: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2:] == (1,) else picture)
    if form == "png":
        image.save(buffer, "PNG", compress_level=1)  # half the time, a tenth larger
    else:
        image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-60:].strip("._-") or "frame"
