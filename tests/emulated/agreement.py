"""Do two machines say the same of the same pictures?

The same verdicts; float32 scores to 1e-4, int8 scores to one quantisation step of the anomaly map.
For int8 that is asked between kernels of one family. XNNPACK's round otherwise than the plain ones,
which tflite-runtime uses, and the layers add that up: across families the difference is only told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

PRECISIONS = ("float32", "int8")
FLOAT32_LIMIT = 1e-4


class Agreement(NamedTuple):
    """How far the scores of two machines lie apart.

    against: the other machine. largest, median: of the absolute differences of the scores.
    limit: what `largest` may be. other_verdicts: how many pictures are judged otherwise.
    judged: whether this is asked of the pair, or only told.
    """

    precision: str
    against: str
    pictures: int
    largest: float
    median: float
    limit: float
    other_verdicts: int
    judged: bool

    @property
    def holds(self) -> bool:
        """A score that is no number never holds."""
        return self.largest <= self.limit and not self.other_verdicts

    def line(self) -> str:
        """For a person."""
        state = ("ok  " if self.holds else "FAIL") if self.judged else "    "
        return (
            f"{state} {self.precision} against {self.against}, {self.pictures} pictures: "
            f"scores differ by at most {self.largest:.3g}, median {self.median:.2g} "
            f"({'allowed' if self.judged else 'a step'}: {self.limit:.3g}); "
            f"{self.other_verdicts} other verdicts"
        )


def limit(bundle, precision: str) -> float:
    """How far scores may lie apart: 1e-4, or one quantisation step of the detector's map."""
    if precision == "float32":
        return FLOAT32_LIMIT
    manifest = json.loads((Path(bundle) / "manifest.json").read_text())
    return float(manifest["graphs"]["detector"][precision]["outputs"]["anomaly_map"]["step"])


def agreement(
    here: dict, there: dict, allowed: float, precision: str, against: str, judged: bool
) -> Agreement:
    """Compares what `edge check` printed: source -> record, on two machines.

    Raises: ValueError where they did not judge the same pictures.
    """
    if here.keys() != there.keys() or not here:
        raise ValueError(
            f"expected verdicts of the same pictures, got {len(here)} and {len(there)}, "
            f"{len(here.keys() & there.keys())} of them in both"
        )
    pairs = [(here[source], there[source]) for source in here]
    apart = np.abs([a["score"] - b["score"] for a, b in pairs])
    other = sum(a["verdict"] != b["verdict"] for a, b in pairs)
    largest, median = float(apart.max()), float(np.median(apart))
    return Agreement(precision, against, len(pairs), largest, median, allowed, other, judged)
