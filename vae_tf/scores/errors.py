"""Scores by the error of the reconstruction, pixel by pixel."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from edge.score import ScoreSpec, smooth
from vae_tf.data import Pictures
from vae_tf.scores.base import Score, batched

_PRIOR_PICTURES = 30  # how many pictures' worth the picture-wide error weighs at each place


class _ByPlace(Score):
    """Errors in units of what good pictures show at each place.

    arrays: "scale", float32 (H, W), the typical error; ones before `fit`.
    """

    @property
    def scale(self) -> np.ndarray:
        return self.arrays.get("scale", np.ones(self.size, np.float32))

    def fit(self, good: Pictures, held_out: Pictures | None = None) -> Score:
        good = self._good(good)
        total = np.zeros(self.size)
        for outputs in batched(lambda image: {"error": self._errors(image)[1]}, good):
            total += np.square(outputs["error"], dtype=np.float64).sum(axis=0)
        mean = np.sqrt(total / len(good))
        local = np.square(smooth(mean, self._window), dtype=np.float64)
        # A few pictures do not tell one place from another; the whole picture then counts for more.
        overall = local.mean()
        rms = np.sqrt(
            (len(good) * local + _PRIOR_PICTURES * overall) / (len(good) + _PRIOR_PICTURES)
        )
        # Where good pictures never differ (a white background), the error is next to nothing; the
        # floor keeps a grey level of noise there from counting as a defect.
        floor = max(0.2 * np.sqrt(overall), 0.5 / 255)
        self.arrays["scale"] = np.maximum(rms, floor).astype(np.float32)
        return self

    def _errors(self, image) -> tuple[tf.Tensor, tf.Tensor]:
        """The reconstruction, and how far each pixel is from it on average over the channels."""
        reconstruction = self.vae.reconstruct(image)
        error = tf.abs(tf.cast(image, tf.float32) / 255.0 - reconstruction)
        return reconstruction, tf.reduce_mean(error, axis=-1)

    def _inverse(self) -> tf.Tensor:
        # As a constant: a product quantises better than a quotient.
        return tf.constant(1 / self.scale[None])


class NormalisedError(_ByPlace):
    name = "normalised-error"

    def outputs(self, image):
        reconstruction, error = self._errors(image)
        return {"reconstruction": reconstruction, "anomaly_map": error * self._inverse()}


class SquaredError(Score):
    name = "squared-error"
    spec = ScoreSpec(window=1, top=1.0)

    def outputs(self, image):
        reconstruction = self.vae.reconstruct(image)
        error = tf.square(tf.cast(image, tf.float32) / 255.0 - reconstruction)
        return {
            "reconstruction": reconstruction,
            "anomaly_map": tf.reduce_mean(error, axis=-1),
        }


class Ssim(Score):
    name = "ssim"

    def outputs(self, image):
        reconstruction = self.vae.reconstruct(image)
        x = tf.cast(image, tf.float32) / 255.0
        mean_x, mean_y = _box(x), _box(reconstruction)
        var_x = _box(x * x) - mean_x * mean_x
        var_y = _box(reconstruction * reconstruction) - mean_y * mean_y
        both = _box(x * reconstruction) - mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2  # as in the paper, for pictures in 0..1
        alike = (2 * mean_x * mean_y + c1) * (2 * both + c2)
        alike /= (mean_x * mean_x + mean_y * mean_y + c1) * (var_x + var_y + c2)
        unlike = tf.nn.relu(1 - tf.reduce_mean(alike, axis=-1))
        return {"reconstruction": reconstruction, "anomaly_map": unlike}


class Gradient(Score):
    name = "gradient"

    def outputs(self, image):
        reconstruction = self.vae.reconstruct(image)
        a, b = _edges(tf.cast(image, tf.float32) / 255.0), _edges(reconstruction)
        c = 0.0026  # of RIAD and of Xue et al. 2014, for pictures in 0..1
        alike = (2 * a * b + c) / (a * a + b * b + c)
        return {
            "reconstruction": reconstruction,
            "anomaly_map": tf.nn.relu(1 - tf.reduce_mean(alike, axis=-1)),
        }


class ReconstructionProbability(_ByPlace):
    """Averaged over draws of z that are the same for every picture, so that scores repeat.

    sigma of each pixel is the one most likely for the errors of good pictures there.
    """

    name = "reconstruction-probability"
    spec = ScoreSpec(window=1, top=1.0)
    draws = 8

    def outputs(self, image):
        vae = self.vae
        z_mean, z_log_var = vae.encode(image)
        rng = np.random.default_rng(0)
        x = tf.cast(image, tf.float32) / 255.0
        surprise = 0.0
        for eps in rng.normal(size=(self.draws, vae.latent_dim)).astype(np.float32):
            decoded = vae.decode(z_mean + tf.exp(0.5 * z_log_var) * eps)
            error = tf.reduce_mean(tf.square(x - decoded), axis=-1)
            surprise += 0.5 * error * tf.square(self._inverse()) / self.draws
        return {"reconstruction": vae.decode(z_mean), "anomaly_map": surprise}


def _box(x: tf.Tensor, window: int = 7) -> tf.Tensor:
    """Mean over a window, at the border over what lies inside."""
    return tf.nn.avg_pool2d(x, window, 1, "SAME")


def _edges(x: tf.Tensor) -> tf.Tensor:
    """Gradient magnitude by Prewitt's kernels, as the papers have it."""
    channels = x.shape[-1]
    kernel = np.repeat([[1.0, 0.0, -1.0]], 3, axis=0) / 3
    kernels = np.stack([kernel, kernel.T], axis=-1)[:, :, None, :].astype(np.float32)
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    both = tf.nn.depthwise_conv2d(padded, np.repeat(kernels, channels, 2), [1, 1, 1, 1], "VALID")
    across, down = tf.unstack(tf.reshape(both, (-1, *x.shape[1:], 2)), axis=-1)
    return tf.sqrt(across * across + down * down + 1e-12)
