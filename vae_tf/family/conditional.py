"""The conditional VAE (Sohn et al., "Learning Structured Output Representation using Deep
Conditional Generative Models", 2015): encoder and decoder are told the class of x.

The code then need not say what the class says already, and the decoder draws any class on request.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from vae_tf import networks
from vae_tf.blocks import at_least_one, picture_shape
from vae_tf.family.told import told_decoder, told_encoder
from vae_tf.fitting import latents_of, other, short
from vae_tf.likelihoods import resolve_likelihood
from vae_tf.vae import VAE


@keras.saving.register_keras_serializable(package="vae_tf")
class ConditionalVAE(VAE):
    """p(x | z, label) and q(z | x, label). `fit` and `evaluate` take (x, label), `predict` too.

    A label is a whole number from 0 to `labels` - 1, for each x or one for all of them; every
    method but `fit`, `evaluate` and `predict` takes it as its argument `label`, which is required.

    Args:
        encoder: `keras.Model` from [x, one-hot label], (B, ...) and (B, labels), to a dict of
            `z_mean` and `z_log_var`.
        decoder: `keras.Model` from [z, one-hot label] to the likelihood's parameters.
        likelihood and the rest: as for `VAE`.
    """

    labels: int

    def __init__(self, encoder, decoder, likelihood="gaussian", **kwargs):
        super().__init__(encoder, decoder, likelihood, **kwargs)
        self.labels = self.encoder.input_shape[1][-1]

    @classmethod
    def for_pictures(  # type: ignore[override]  # it has to know the number of labels
        cls,
        shape,
        labels,
        latent_dim=64,
        likelihood="gaussian",
        widths=None,
        seed=None,
        neck=None,
        **kwargs,
    ):
        """A convolutional one for (H, W, C) pictures of `labels` classes."""
        likelihood = resolve_likelihood(likelihood)
        height, width, channels = picture_shape(shape)
        labels = at_least_one("labels", labels)
        inner = networks.conv_encoder((height, width, channels + 1), latent_dim, widths, seed, neck)
        decoder = networks.conv_decoder(
            shape, latent_dim + labels, widths, likelihood.parameters, other(seed), neck
        )
        return cls(
            told_encoder(inner, shape, labels, seed),
            told_decoder(decoder, latent_dim, labels),
            likelihood,
            seed=seed,
            **kwargs,
        )

    @property
    def data_shape(self):
        return tuple(self.encoder.input_shape[0][1:])

    def infer(self, x, given=None, training=False):
        return super().infer([x, given], training=training)

    def params(self, z, given=None, training=False):
        return self.decoder([z, given], training=training)

    def call(self, x, training=False):
        if not isinstance(x, (tuple, list)) or len(x) != 2:
            raise ValueError("`x` must be a pair (x, label), as the model takes labels.")
        x, label = x
        return self._reconstruct(x, label, training)

    def _unpacked(self, data):
        x, label, _ = super()._unpacked(data)
        if label is None:
            raise ValueError(
                f"ConditionalVAE needs labels: call `fit(x, label)`, with whole numbers from 0 to "
                f"{self.labels - 1}. Received: x alone"
            )
        return x, None, label

    def _given(self, label, like):
        if label is None:
            raise ValueError(
                f"`label` must be given, a whole number from 0 to {self.labels - 1}, for this "
                "model was trained with labels. Received: label=None"
            )
        if not tf.is_tensor(label):
            label = self._checked(label)
        label = ops.convert_to_tensor(label)
        dtype = keras.backend.standardize_dtype(label.dtype)
        if "int" not in dtype:
            raise ValueError(
                f"`label` must be whole numbers. Received: label={short(label)} of type {dtype}"
            )
        if isinstance(label, tf.__internal__.EagerTensor):
            self._checked(label.numpy())
        label = ops.cast(label, "int32")
        rows = ops.shape(like)[0]
        if len(label.shape) == 0:
            label = ops.broadcast_to(label, (rows,))
        if len(label.shape) == 2 and label.shape[1] == 1:  # Keras makes columns of some vectors
            label = label[:, 0]
        if not label.shape.is_compatible_with(like.shape[:1]):
            raise ValueError(
                f"`label` must have shape () or ({like.shape[0]},), one for each example. "
                f"Received: label of shape {tuple(label.shape)}"
            )
        # A row of a table, not `one_hot`, nor what the converter takes for it: its int8 form mixes
        # the scales of its zeros and ones up.
        return ops.take(ops.eye(self.labels, dtype="float32"), label, axis=0)

    def _checked(self, label):
        """label as an int32 array. Raises: ValueError where it is no class of this model."""
        values = np.asarray(label)
        whole = values.dtype.kind in "iu"
        if not whole or (values.size and not 0 <= values.min() <= values.max() < self.labels):
            raise ValueError(
                f"`label` must be whole numbers from 0 to {self.labels - 1}. "
                f"Received: label={short(label)}"
            )
        return values.astype("int32")

    def fit(self, x=None, y=None, **kwargs):
        if y is not None and not tf.is_tensor(y):
            y = self._checked(y)
        return super().fit(x, y, **kwargs)

    def _checked_latent_dim(self):
        shapes = self.encoder.input_shape, self.decoder.input_shape
        if not all(isinstance(shape, (tuple, list)) and len(shape) == 2 for shape in shapes):
            raise ValueError(
                "`encoder` and `decoder` must take [x, one-hot label] and [z, one-hot label]. "
                f"Received: an encoder and a decoder with input shapes {shapes}"
            )
        return latents_of(self, shapes[0][0], shapes[1][0])
