"""The device's one call: a picture in, a verdict out."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from edge.errors import BundleError
from edge.interpreter import Graph
from edge.manifest import PRECISIONS, read_entry, read_manifest
from edge.preprocess import preprocess
from edge.tiles import joined, judge_tiles, look, tiling


class Verdict(NamedTuple):
    """What is known of one picture.

    score: higher means more anomalous; raw, in typical deviations of a good picture.
    p_value: how rare such a score is among good pictures.
    label: "pass", "warn" or "fail".
    heatmap: float32 (h, w) of the input spec's size. limit: where it alone would make a fail.
    reconstruction: uint8 (h, w, c), what the model takes the part to look like when good.
    threshold: fail above it. method: how it was set, see `edge.calibration`.
    ms: milliseconds from the decoded picture to the verdict.
    """

    score: float
    p_value: float
    label: str
    heatmap: np.ndarray
    limit: float
    reconstruction: np.ndarray
    threshold: float
    method: str
    ms: float


class Runner:
    """A loaded bundle.

    bundle: the folder that `python -m export` wrote.
    precision: "int8" or "float32"; by default int8 where the bundle has it.
    threads: of the interpreter. Small graphs lose by more than one.
    Raises: BundleError where the bundle is damaged or lacks the precision; InterpreterError.

    `check` may be called from several threads; calls wait for one another.
    """

    def __init__(self, bundle, precision: Optional[str] = None, threads: int = 1):
        self.manifest = read_manifest(bundle)
        self.precision = precision or self._best_precision()
        entry = self.manifest.graph("detector", self.precision)
        if self.precision not in self.manifest.calibrations:
            raise BundleError(f"{Path(bundle)} holds no calibration for {self.precision}")
        self.calibration = self.manifest.calibrations[self.precision]
        self.score = self.manifest.score_of(self.precision)
        self._graph = Graph(read_entry(bundle, entry.entry), threads)
        self._tiling = tiling(self.manifest.input.shape, self._graph.inputs["image"][1][1:])
        self._lock = threading.Lock()

    def _best_precision(self) -> str:
        have = self.manifest.graphs.get("detector", {})
        return next((p for p in reversed(PRECISIONS) if p in have), "int8")

    def infer(self, prepared: np.ndarray) -> list:
        """Runs the graph alone.

        prepared: uint8 of the input spec's shape.
        Returns: for each tile (one, where the graph takes the picture whole) "reconstruction"
            (h, w, c) float in [0, 1], "anomaly_map" (h, w) float and the vectors that the bundle's
            score names.
        """
        with self._lock:
            return look(self._graph, prepared, self._tiling)

    def check(self, picture: np.ndarray, ignore: Optional[np.ndarray] = None) -> Verdict:
        """Judges one picture.

        picture: uint8, (H, W) or (H, W, 3), any size from 8 pixels a side.
        ignore: bool of the input spec's (height, width), True for what must not matter, though not
            everywhere; as `edge.station.masks` makes it. The verdict is then the same whatever
            lies there, and takes three times as long: see `edge.fill`.
        Raises: PictureError for anything else.
        """
        start = time.perf_counter()
        prepared = preprocess(picture, self.manifest.input)
        if ignore is not None:
            from edge.fill import filled  # `edge check` does without

            prepared = filled(prepared, ignore, self._reconstruction)
        outputs = self.infer(prepared)
        heatmap, score = judge_tiles(outputs, self.score, self._tiling, ignore)
        return Verdict(
            score=score,
            p_value=self.calibration.p_value(score),
            label=self.calibration.label(score),
            heatmap=heatmap,
            limit=self.score.limit(self.calibration.threshold),
            reconstruction=self._joined(outputs),
            threshold=self.calibration.threshold,
            method=self.calibration.method,
            ms=(time.perf_counter() - start) * 1e3,
        )

    def _reconstruction(self, prepared: np.ndarray) -> np.ndarray:
        return self._joined(self.infer(prepared))

    def _joined(self, outputs: list) -> np.ndarray:
        return _as_uint8(joined(outputs, "reconstruction", self._tiling))


def _as_uint8(picture: np.ndarray) -> np.ndarray:
    values = picture * np.float32(255.0)
    np.rint(values, out=values)
    # Not `np.clip`: on small pictures it takes longer than all the rest.
    np.minimum(np.maximum(values, 0.0, out=values), 255.0, out=values)
    return values.astype(np.uint8)
