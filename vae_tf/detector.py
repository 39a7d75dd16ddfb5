"""Scores, a threshold and verdicts from a trained model. Higher means more anomalous, everywhere.

What the map and the score measure is one of `vae_tf.scores`. How a map becomes a score, a p-value
and a verdict is written once, in `edge.score` and `edge.calibration`, which the device runs too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from edge.calibration import DEFAULT_RATE, Calibration, calibrate
from edge.errors import UserError
from edge.score import ScoreSpec
from edge.tiles import Tiling, joined, judge_tiles, tiling
from vae_tf.data import Pictures
from vae_tf.scores import Score, batched, make_score


@dataclasses.dataclass(frozen=True)
class Scored:
    """What the detector says of a set of pictures.

    scores: float (n,). heatmaps: float32 (n, h, w), in the units of the scores.
    """

    scores: np.ndarray
    heatmaps: np.ndarray


class Detector:
    """A trained model with a way of scoring, which `fit` prepares, and a threshold.

    vae: a trained `vae_tf.VAE` over pictures. by: a `Score` over it, or the name of one; None for
    the best that the model can give. calibration: set by `calibrate`.
    """

    def __init__(self, vae, by: Score | str | None = None, calibration=None):
        self.vae = vae
        self.by = by if isinstance(by, Score) else make_score(vae, by)
        self.calibration: Calibration | None = calibration
        self._graph = tf.function(self._scoring)

    @property
    def score(self) -> ScoreSpec:
        """How a map becomes a number."""
        return self.by.spec

    def outputs(self, image: tf.Tensor) -> dict:
        """The detector graph, in TensorFlow operations: see `scores.Score.outputs`."""
        return self.by.outputs(image)

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Detector:
        """Learns what good pictures show.

        good: the pictures the model was trained on. held_out: others, where there are some, but not
            those that will set the threshold.
        """
        held_out = held_out and held_out.tiles(self.by.size)
        self.by.fit(good.tiles(self.by.size), held_out)
        self._graph = tf.function(self._scoring)  # what was learnt before is a constant in the old
        return self

    def score_samples(self, pictures: Pictures) -> np.ndarray:
        """Raw scores, float (n,): higher means more anomalous."""
        return self.examine(pictures).scores

    def examine(self, pictures: Pictures) -> Scored:
        """Scores and heat maps of every picture, in order. Raises: UserError before `fit`."""
        if not self.by.ready:
            raise UserError("the detector has seen no good pictures yet; call `fit` first")
        scored = [
            judge_tiles(outputs, self.score, how)
            for how, outputs in self._looked_at(self._graph, pictures)
        ]
        if not scored:
            return Scored(np.zeros(0), np.zeros((0, *pictures.images.shape[1:3]), np.float32))
        return Scored(np.array([s for _, s in scored]), np.stack([h for h, _ in scored]))

    def calibrate(
        self,
        good: Pictures,
        rate: float = DEFAULT_RATE,
        groups: Sequence[str] | None = None,
    ) -> Detector:
        """Sets the threshold.

        good: held-out pictures, not those that `fit` or training saw. groups: of each picture what
            tells its group, such as the part that several of them show.
        """
        self.calibration = calibrate(self.score_samples(good), rate, groups)
        return self

    @property
    def calibrated(self) -> Calibration:
        """The calibration. Raises: UserError before `calibrate`."""
        if self.calibration is None:
            raise UserError("the detector has no threshold yet; call `calibrate` first")
        return self.calibration

    def predict(self, pictures: Pictures) -> list[str]:
        """Verdicts: "pass", "warn" or "fail". Raises: UserError before `calibrate`."""
        calibration = self.calibrated  # before the work
        return [calibration.label(s) for s in self.score_samples(pictures)]

    def reconstruct(self, pictures: Pictures) -> np.ndarray:
        """uint8 (n, h, w, c): what the model takes each picture to look like when good."""

        def compute(image):
            return {"reconstruction": self.vae.reconstruct(image)}

        whole = [
            joined(outputs, "reconstruction", how)
            for how, outputs in self._looked_at(compute, pictures)
        ]
        return np.rint(np.clip(np.stack(whole), 0, 1) * 255).astype(np.uint8)

    def _looked_at(self, compute, pictures: Pictures) -> Iterator[tuple[Tiling, list[dict]]]:
        """How each picture is cut, and what `compute` gives for each of its tiles."""
        how = tiling(pictures.images.shape[1:], self.by.size)
        tiles = len(how.corners)
        seen: list[dict] = []
        for outputs in batched(compute, pictures.tiles(self.by.size)):
            count = len(next(iter(outputs.values())))
            seen += [{name: v[i] for name, v in outputs.items()} for i in range(count)]
            while len(seen) >= tiles:
                yield how, seen[:tiles]
                del seen[:tiles]

    def _scoring(self, image: tf.Tensor) -> dict:
        outputs = self.outputs(image)
        return {name: outputs[name] for name in outputs if name != "reconstruction"}
