"""Anomaly maps and scores from a trained VAE. Higher means more anomalous, everywhere.

The map says, for each pixel, how far the picture lies from its reconstruction, in units of what
good pictures show at that place: an edge that is never reconstructed sharply raises no alarm. How
a map becomes a score, a p-value and a verdict is written once, in `edge.score` and
`edge.calibration`, which the device runs as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from edge.calibration import DEFAULT_RATE, Calibration, calibrate
from edge.errors import UserError
from edge.score import ScoreSpec, score_map, smooth
from vae_tf.data import Pictures

BATCH = 32
_PRIOR_PICTURES = 30  # how many pictures' worth the picture-wide error weighs at each place


@dataclasses.dataclass(frozen=True)
class Scored:
    """What the detector says of a set of pictures.

    scores: float (n,). heatmaps: float32 (n, h, w), in the units of the scores.
    """

    scores: np.ndarray
    heatmaps: np.ndarray


def default_score(height: int, width: int) -> ScoreSpec:
    """Windows and the share of pixels in proportion to the picture."""
    window = max(1, round(min(height, width) / 16))
    return ScoreSpec(window=window + 1 - window % 2, top=0.02)


class Detector:
    """A VAE with what good pictures show at each place, and a threshold.

    vae: a trained `vae_tf.VAE` over pictures.
    scale: float32 (h, w), the typical error of a good picture at each place; ones before `fit`.
    score: how a map becomes a score. calibration: set by `calibrate`.
    """

    def __init__(self, vae, scale=None, score: ScoreSpec | None = None, calibration=None):
        height, width, _ = vae.encoder.input_shape[1:]
        self.vae = vae
        self.scale = np.ones((height, width), np.float32) if scale is None else scale
        self.score = score or default_score(height, width)
        self.calibration: Calibration | None = calibration
        self._outputs: Callable | None = None

    def outputs(self, image: tf.Tensor) -> dict:
        """The detector graph, in TensorFlow operations; exported as it stands.

        image: uint8 (B, h, w, c). Returns: "reconstruction" (B, h, w, c) in [0, 1] but for rounding
        of the model, and "anomaly_map" (B, h, w), non-negative, in typical errors.
        """
        reconstruction = self.vae.reconstruct(image)
        error = tf.abs(tf.cast(image, tf.float32) / 255.0 - reconstruction)
        # The scale's inverse as a constant: a product quantises better than a quotient.
        anomaly_map = tf.reduce_mean(error, axis=-1) * tf.constant(1 / self.scale[None])
        return {"reconstruction": reconstruction, "anomaly_map": anomaly_map}

    def fit(self, good: Pictures) -> Detector:
        """Learns the typical error at each place. good: the pictures the VAE was trained on."""
        self.scale, self._outputs = np.ones_like(self.scale), None
        total = np.zeros(self.scale.shape)
        for _, maps in self._batches(good):
            total += np.square(maps, dtype=np.float64).sum(axis=0)
        local = np.square(smooth(np.sqrt(total / len(good)), self.score.window), dtype=np.float64)
        # A few pictures do not tell one place from another; the whole picture then counts for more.
        overall = local.mean()
        rms = np.sqrt(
            (len(good) * local + _PRIOR_PICTURES * overall) / (len(good) + _PRIOR_PICTURES)
        )
        # Where good pictures never differ (a white background), the error is next to nothing; the
        # floor keeps a grey level of noise there from counting as a defect.
        self.scale = np.maximum(rms, max(0.2 * np.sqrt(overall), 0.5 / 255)).astype(np.float32)
        self._outputs = None
        return self

    def score_samples(self, pictures: Pictures) -> np.ndarray:
        """Raw scores, float (n,): higher means more anomalous."""
        return self.examine(pictures).scores

    def examine(self, pictures: Pictures) -> Scored:
        """Scores and heat maps of every picture, in order."""
        results = [score_map(m, self.score) for _, maps in self._batches(pictures) for m in maps]
        if not results:
            return Scored(np.zeros(0), np.zeros((0, *self.scale.shape), np.float32))
        return Scored(np.array([s for _, s in results]), np.stack([h for h, _ in results]))

    def calibrate(self, good: Pictures, rate: float = DEFAULT_RATE) -> Detector:
        """Sets the threshold. good: held-out pictures, not those that `fit` or training saw."""
        self.calibration = calibrate(self.score_samples(good), rate)
        return self

    @property
    def calibrated(self) -> Calibration:
        """The calibration. Raises: UserError before `calibrate`."""
        if self.calibration is None:
            raise UserError("the detector has no threshold yet; call `calibrate` first")
        return self.calibration

    def predict(self, pictures: Pictures) -> list[str]:
        """Verdicts: "pass", "warn" or "fail". Raises: UserError before `calibrate`."""
        return [self.calibrated.label(s) for s in self.score_samples(pictures)]

    def reconstruct(self, pictures: Pictures) -> np.ndarray:
        """uint8 (n, h, w, c): what the model takes each picture to look like when good."""
        parts = [r for r, _ in self._batches(pictures)]
        return np.rint(np.clip(np.concatenate(parts), 0, 1) * 255).astype(np.uint8)

    def _batches(self, pictures: Pictures):
        if self._outputs is None:
            self._outputs = tf.function(self.outputs)
        compute = self._outputs
        for batch in pictures.batches(BATCH):
            # One shape for all batches: a last, shorter one would trace the graph again.
            padded = np.concatenate(
                [batch, np.zeros((BATCH - len(batch), *batch.shape[1:]), np.uint8)]
            )
            outputs = compute(padded)
            n = len(batch)
            yield outputs["reconstruction"].numpy()[:n], outputs["anomaly_map"].numpy()[:n]
