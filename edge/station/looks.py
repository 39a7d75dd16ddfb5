"""How a picture looks, in three figures that light and lens change and single defects hardly do."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

_ROWS = 96  # that are read of a picture, in pairs: enough for figures, and quick on large pictures


class Looks(NamedTuple):
    """Figures of one picture.

    brightness: mean grey value, 0 to 255. contrast: standard deviation of the grey values over
        their mean, which a longer exposure leaves as it is. sharpness: energy of the differences
        between neighbouring pixels over the variance, which light and contrast leave as it is.
    """

    brightness: float
    contrast: float
    sharpness: float


def looks(picture: np.ndarray, ignored: Optional[np.ndarray] = None) -> Looks:
    """picture: uint8 (H, W), (H, W, 1) or (H, W, 3), H from 2. ignored: bool (H, W), what to leave
    out, though not everything; see `edge.station.masks.View`."""
    step = max(2, picture.shape[0] // (_ROWS // 2))
    upper, lower = _grey(picture[:-1:step]), _grey(picture[1::step])
    if ignored is None:
        values = upper
        across, down = np.diff(upper, axis=1), lower - upper
    else:
        seen, beside = ~ignored[:-1:step], ~ignored[1::step]
        if not seen.any():
            seen = np.ones_like(seen)  # all that is seen lies between the rows
        values = upper[seen]
        across = np.diff(upper, axis=1)[seen[:, 1:] & seen[:, :-1]]
        down = (lower - upper)[seen & beside]
    mean = float(values.mean())
    variance = max(0.0, _energy(values) - mean * mean)
    edges = _energy(across) + _energy(down)
    # Half a grey value of contrast is none: all that is there is noise of the last digit.
    return Looks(mean, variance**0.5 / max(mean, 1.0), edges / max(variance, 0.25))


def _grey(rows: np.ndarray) -> np.ndarray:
    """float32; green stands for the colours: next to luma, and needs no arithmetic."""
    return (rows if rows.ndim == 2 else rows[:, :, rows.shape[2] // 2]).astype(np.float32)


def _energy(values: np.ndarray) -> float:
    flat = values.ravel()
    return float(np.dot(flat, flat)) / max(1, flat.size)
