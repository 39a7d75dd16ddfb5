"""What the page shows of the frame just judged: one file in memory, written while somebody looks.

The page touches `watched` whenever it is asked; a station that nobody looks at encodes nothing.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image

from edge.heatmap import overlay
from edge.runner import Verdict
from edge.station.types import Record

WATCHED = "watched"
LIVE = "live.json"
_SIDE = 360  # pixels of the longer side: enough for a phone, and quick to draw on
_EVERY = 0.5  # seconds
_LOOKING = 5.0  # seconds since somebody asked


class Live:
    """folder: the station's in memory, see `edge.station.health.memory_folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next = 0.0

    def due(self) -> bool:
        """Whether somebody looks, and has waited long enough for another picture."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _EVERY
        try:
            looked = (self._folder / WATCHED).stat().st_mtime
        except OSError:
            return False
        return abs(time.time() - looked) < _LOOKING

    def show(self, record: Record, picture: np.ndarray, verdict: Verdict) -> None:
        """Writes `live.json`; where that cannot be, the page says how old its picture is.

        picture: uint8 (H, W) or (H, W, 3), what the model saw of the frame.
        """
        small = Image.fromarray(picture.squeeze(2) if picture.shape[2:] == (1,) else picture)
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        seen = np.asarray(small)
        content = {
            "record": _finite(record._asdict()),
            "picture": _jpeg(seen),
            "map": _jpeg(overlay(seen, verdict.heatmap, verdict.limit)),
            "reconstruction": _jpeg(_sized(verdict.reconstruction, small.size)),
            "width": small.width,
            "height": small.height,
        }
        beside = self._folder / f".{LIVE}.part"
        with contextlib.suppress(OSError):
            # Not flushed: it lies in memory.
            beside.write_text(json.dumps(content), encoding="utf-8")
            beside.replace(self._folder / LIVE)

    def remove(self) -> None:
        """At the end of the station."""
        for name in (LIVE, WATCHED):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


def _jpeg(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _sized(picture: np.ndarray, size: tuple) -> np.ndarray:
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2:] == (1,) else picture)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _finite(row: dict) -> dict:
    infinite = (float("inf"), float("-inf"))
    return {k: None if v != v or v in infinite else v for k, v in row.items()}
