"""Where a station looks: a region of interest, and what to ignore in it.

The picture is cropped to the region of interest before the model sees it, so a model is trained and
calibrated on such crops. Ignored places must not matter: not to the heat map, not to the score,
see `Runner.check`. Both are given in the coordinates of the picture as the camera takes it.

The model fills an ignored place as well as it can. Where it cannot quite, good pictures score
higher than without masks: calibrate with the masks in place.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, Optional, Sequence

import numpy as np
from PIL import Image

from edge.errors import PictureError, UserError
from edge.preprocess import MIN_SIDE, InputSpec, read_picture

_WHITE = 128  # a mask's grey value from which a pixel is ignored


class Region(NamedTuple):
    """A rectangle, from (left, top) to just before (right, bottom).

    Shares of the picture's sides where no number is above 1, else pixels.
    """

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Region:
        """Raises: ValueError where the numbers make no rectangle."""
        values = list(values)
        if len(values) != 4 or not all(0 <= v < math.inf for v in values):
            raise ValueError(f"four numbers from 0, [left, top, right, bottom], got {values}")
        region = cls(*values)
        if not (region.left < region.right and region.top < region.bottom):
            raise ValueError(f"left below right and top below bottom, got {values}")
        if not region.in_shares and any(v != int(v) for v in values):
            raise ValueError(f"shares up to 1, or whole pixels, got {values}")
        return region

    @property
    def in_shares(self) -> bool:
        return max(self) <= 1

    def slices(self, height: int, width: int) -> tuple:
        """(rows, columns) of a picture that it touches. Raises: PictureError outside of it."""
        x, y = (width, height) if self.in_shares else (1, 1)
        # A share's product may miss a whole pixel by a rounding.
        left, top = math.floor(self.left * x + 1e-6), math.floor(self.top * y + 1e-6)
        right, bottom = math.ceil(self.right * x - 1e-6), math.ceil(self.bottom * y - 1e-6)
        if right > width or bottom > height:
            raise PictureError(
                f"the region {[int(v) for v in self]} reaches beyond the picture of {width} x "
                f"{height} pixels; give it in shares of the picture, or for this camera"
            )
        return slice(top, bottom), slice(left, right)


class View(NamedTuple):
    """What of a frame is looked at.

    picture: uint8 (h, w) or (h, w, 3), the region of interest. ignored: bool (h, w), None where
        nothing is. ignore: the same for the model's map, as `Runner.check` takes it.
    """

    picture: np.ndarray
    ignored: Optional[np.ndarray]
    ignore: Optional[np.ndarray]


class Masks:
    """The region of interest and the ignored places of one station.

    roi: None for the whole picture. ignore: rectangles. picture: a file whose white is ignored, of
        the frames' proportions.
    Raises: UserError where the file is no picture.
    """

    def __init__(
        self, roi: Optional[Region] = None, ignore: Sequence[Region] = (), picture=None
    ) -> None:
        self._roi = roi
        self._rectangles = tuple(ignore)
        self._painted = None if picture is None else _read_mask(picture)
        self._name = str(picture)
        self._for: Optional[tuple] = None
        self._made: tuple = ()

    def view(self, picture: np.ndarray, spec: InputSpec) -> View:
        """Crops one picture and says what of it to ignore.

        picture: uint8 (H, W) or (H, W, 3). spec: of the model's input.
        Raises: PictureError where a mask does not fit the picture, or leaves nothing.
        """
        wanted = (*picture.shape[:2], spec)
        if wanted != self._for:  # the camera's size hardly ever changes
            self._made = self._make(*wanted)
            self._for = wanted
        place, ignored, ignore = self._made
        return View(picture[place], ignored, ignore)

    def _make(self, height: int, width: int, spec: InputSpec) -> tuple:
        place = (slice(None), slice(None))
        if self._roi is not None:
            place = self._roi.slices(height, width)
            sides = [s.stop - s.start for s in place]
            if min(sides) < MIN_SIDE:
                raise PictureError(
                    f"expected a region of interest of at least {MIN_SIDE} pixels a side, got "
                    f"{sides[1]} x {sides[0]}"
                )
        if not self._rectangles and self._painted is None:
            return place, None, None
        whole = self._whole(height, width)
        ignored = np.ascontiguousarray(whole[place])
        if not ignored.any():
            return place, None, None
        ignore = _touched(ignored, spec)
        if ignore.all():
            raise PictureError("the masks leave nothing of the picture to inspect; make them small")
        return place, ignored, ignore

    def _whole(self, height: int, width: int) -> np.ndarray:
        whole = np.zeros((height, width), bool)
        if self._painted is not None:
            rows, columns = self._painted.shape
            # One pixel of rounding in either side is no other shape.
            if abs(columns * height - width * rows) > max(rows, columns, height, width):
                raise PictureError(
                    f"the mask {self._name} has {columns} x {rows} pixels, the picture {width} x "
                    f"{height}: expected the same proportions; paint it over a frame of the camera"
                )
            scaled = Image.fromarray(self._painted).resize(
                (width, height), Image.Resampling.NEAREST
            )
            whole |= np.asarray(scaled) >= _WHITE
        for region in self._rectangles:
            whole[region.slices(height, width)] = True
        return whole


def _touched(ignored: np.ndarray, spec: InputSpec) -> np.ndarray:
    """The model's pixels that any ignored pixel flows into; by the filter that `preprocess` has."""
    share = Image.fromarray(ignored.astype(np.float32))
    if share.size != (spec.width, spec.height):
        share = share.resize((spec.width, spec.height), Image.Resampling.BILINEAR)
    return np.asarray(share) > 0


def _read_mask(path) -> np.ndarray:
    """uint8 (H, W)."""
    try:
        picture = read_picture(Path(path))
    except PictureError as error:
        raise UserError(f"mask {error}") from None
    return picture if picture.ndim == 2 else picture.max(axis=2)
