"""A picture's ignored places filled with what is usual there, before the model looks.

Zeros in the anomaly map do not suffice: the vectors of the score speak for all that the graph saw,
and a defect's halo reaches beyond it. So what is ignored is first painted over smoothly from its
surroundings (a pull-push pyramid, Gortler et al. 1996), and then, twice, with the model's own
reconstruction of that. The first knows nothing of the part, and its flat patches would alarm; the
second is what a good part looks like there, as far as the model can tell.

Nothing of the ignored pixels enters, so a verdict is the same, bit by bit, whatever they hold.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

from edge.errors import PictureError

# On textured surfaces, warnings of good pictures went from 4 % without a mask to 60 to 70 % with
# one reconstruction at masks of a quarter of the picture, and to 8 to 12 % with two; a third
# changed little. See tests/test_station_masks.py.
RECONSTRUCTIONS = 2


def filled(
    prepared: np.ndarray, ignore: np.ndarray, reconstruct: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The picture with something usual in place of what is ignored.

    prepared: uint8 (H, W, C). ignore: bool (H, W), not all True. reconstruct: what the model makes
        of such a picture, uint8 (H, W, C).
    Returns: uint8 (H, W, C), a new array. Raises: PictureError on a mask that does not fit.
    """
    _check_mask(ignore, prepared.shape[:2])
    picture = prepared.copy()
    if not ignore.any():
        return picture
    picture[ignore] = paint_over(prepared, ignore)[ignore]
    for _ in range(RECONSTRUCTIONS):
        picture[ignore] = reconstruct(picture)[ignore]
    return picture


def _check_mask(ignore: np.ndarray, shape: tuple) -> None:
    if ignore.dtype != bool or ignore.shape != shape:
        raise PictureError(
            f"expected a mask of dtype bool and shape {shape}, got {ignore.dtype}, {ignore.shape}"
        )
    if ignore.all():
        raise PictureError("the masks leave nothing of the picture to inspect; make them smaller")


def paint_over(picture: np.ndarray, ignore: np.ndarray) -> np.ndarray:
    """Smoothly continues a picture into the holes that `ignore` makes; outside it is as it was.

    picture: uint8 (H, W, C). ignore: bool (H, W), not all True. Returns: uint8 (H, W, C).
    """
    known = ~ignore[..., None]
    return np.rint(_pull_push(picture * known.astype(np.float32), known)).astype(np.uint8)


def _pull_push(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fills what is not known from the same picture at half the size, filled the same way.

    values: float32 (H, W, C), 0 where not known. known: bool (H, W, 1), somewhere True.
    """
    if known.all():
        return values
    height, width = known.shape[:2]
    count = _quarter(known.astype(np.float32))
    half = _pull_push(_quarter(values) / np.maximum(count, 1), count > 0)
    return np.where(known, values, _double(half)[:height, :width])


def _quarter(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 pixels; beyond an odd border there are zeros."""
    odd_rows, odd_columns = values.shape[0] % 2, values.shape[1] % 2
    values = np.pad(values, ((0, odd_rows), (0, odd_columns), (0, 0)))
    return values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]


def _double(values: np.ndarray) -> np.ndarray:
    """Twice the size, linear between the centres of pixels."""
    for axis in (0, 1):
        before = np.concatenate([values.take([0], axis), values], axis)
        after = np.concatenate([values, values.take([-1], axis)], axis)
        near = 0.25 * before + 0.75 * after  # between neighbours, on the later one's side
        far = 0.75 * before + 0.25 * after
        n = values.shape[axis]
        inner = np.stack([near.take(range(n), axis), far.take(range(1, n + 1), axis)], axis + 1)
        shape = list(values.shape)
        shape[axis] *= 2
        values = inner.reshape(shape)
    return values
