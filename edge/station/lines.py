"""A record as one line of JSON: what log files, brokers and web hooks get."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from typing import Optional

from edge.station.types import Record

_ORDER = (
    "source", "score", "p_value", "verdict", "decision", "threshold", "ms", "bundle", "picture",
    "error", "monotonic", "boot",
)  # fmt: skip


def to_json(record: Record, **more) -> str:
    """One line of JSON with `id`, `time` (ISO-8601, UTC, milliseconds) and the record's fields.

    A number that JSON cannot hold (an infinite score) becomes null; the verdict says what it was.
    more: further keys, put in front.
    """
    row: dict = {**more, "id": record.id, "time": iso_time(record.taken)}
    row.update((name, getattr(record, name)) for name in _ORDER)
    if row["ms"] is not None:
        row["ms"] = round(row["ms"], 3)
    return json.dumps({name: _finite(value) for name, value in row.items()}, allow_nan=False)


def iso_time(seconds: Optional[float]) -> Optional[str]:
    """UTC seconds since 1970 as "2025-03-01T12:30:45.123Z"; None for what is no time."""
    if seconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(round(seconds, 3), timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value
