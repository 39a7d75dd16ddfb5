"""Watching for posterior collapse in training: a metric and a callback."""

from __future__ import annotations

import math
import warnings

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="vae_tf")
class ActiveUnits(keras.metrics.Metric):
    """Number of latents that carry anything: those whose z_mean varies over the data.

    After Burda et al., "Importance Weighted Autoencoders" (2016). In training the encoder moves
    during the epoch, so the figure is exact only in validation.

    Args:
        latent_dim: number of latents.
        threshold: variance above which a latent counts.
    """

    def __init__(self, latent_dim, threshold=0.01, name="active_units", **kwargs):
        super().__init__(name=name, **kwargs)
        self.latent_dim = latent_dim
        self.threshold = threshold
        self.count = self.add_variable((), "zeros", name="count")
        self.total = self.add_variable((latent_dim,), "zeros", name="total")
        self.total_of_squares = self.add_variable((latent_dim,), "zeros", name="total_of_squares")

    def update_state(self, z_mean, sample_weight=None):
        """Takes in z_mean, (B, latent)."""
        z_mean = ops.cast(z_mean, self.dtype)
        self.count.assign_add(ops.cast(ops.shape(z_mean)[0], self.dtype))
        self.total.assign_add(ops.sum(z_mean, axis=0))
        self.total_of_squares.assign_add(ops.sum(ops.square(z_mean), axis=0))

    def result(self):
        """Scalar float: latents whose variance exceeds the threshold."""
        count = ops.maximum(self.count, 1.0)
        variance = self.total_of_squares / count - ops.square(self.total / count)
        return ops.sum(ops.cast(variance > self.threshold, self.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "threshold": self.threshold,
        }


class CollapseWarning(keras.callbacks.Callback):
    """Warns once when the posterior has collapsed: the decoder ignores nearly all latents.

    Collapsed means fewer active units than 5 % of the latents, and in any case none, in `patience`
    epochs running. Both training and validation must say so: alone, the one is inflated by an
    encoder that moves, the other deflated by a batch norm whose averages are still young.

    Args:
        patience: epochs that the state must last.
    """

    def __init__(self, patience=5):
        super().__init__()
        if patience < 1:
            raise ValueError(f"`patience` must be 1 or more. Received: patience={patience}")
        self.patience = patience

    def on_train_begin(self, logs=None):
        self._epochs_collapsed = 0
        self._warned = False

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        latent_dim = self.model.latent_dim
        figures = [logs[key] for key in ("active_units", "val_active_units") if key in logs]
        active = max(figures, default=math.inf)
        if active >= max(1, math.ceil(0.05 * latent_dim)):
            self._epochs_collapsed = 0
            return
        self._epochs_collapsed += 1
        if self._epochs_collapsed >= self.patience and not self._warned:
            self._warned = True
            warnings.warn(
                f"Posterior collapse: {int(active)} of {latent_dim} latents are active after "
                f"epoch {epoch + 1}. Remedies: a learned sigma (likelihood='gaussian'), a lower "
                "beta, a warm-up of beta, free bits.",
                stacklevel=2,
            )
