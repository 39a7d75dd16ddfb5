"""The variational autoencoder of Kingma & Welling (2014) as a `keras.Model`.

A `VAE` is an encoder, a decoder and a likelihood. Its loss is the negative ELBO in nats, summed
over the pixels of a picture and averaged over the pictures of a batch.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from vae_tf import networks
from vae_tf.callbacks import ActiveUnits
from vae_tf.layers import Sampling
from vae_tf.likelihoods import resolve_likelihood


@keras.saving.register_keras_serializable(package="vae_tf")
class VAE(keras.Model):
    """A VAE that is compiled, fitted, saved and loaded like any Keras model.

    Data, everywhere: either uint8, 0 to 255, which is scaled to 0..1 inside, or floating point that
    is already in the likelihood's units. The type alone decides, never the values. `fit` and
    `evaluate` take x, or pairs (x, target) to learn to restore: x is then the damaged picture and
    target the clean one.

    Logged: `loss` (nats, with beta), `reconstruction` (-log p(x|z)), `kl` (nats, without beta) and
        `active_units`.

    Args:
        encoder: `keras.Model` from x to a dict of `z_mean` and `z_log_var`, each (B, latent).
        decoder: `keras.Model` from z, (B, latent), to the likelihood's parameters.
        likelihood: a `Likelihood`, "gaussian" or "bernoulli".
        beta: weight of the KL (beta-VAE: Higgins et al. 2017). Kept as the variable `beta`, so a
            callback may `assign` to it during training.
        seed: int for the noise in training; None follows `keras.utils.set_random_seed`.

    Raises:
        ValueError: the parts do not fit each other.
    """

    def __init__(self, encoder, decoder, likelihood="gaussian", beta=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not beta >= 0.0:
            raise ValueError(f"`beta` must be 0 or more. Received: beta={beta}")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = resolve_likelihood(likelihood)
        #: Number of latents.
        self.latent_dim = self._checked_latent_dim()
        self.seed = seed
        self.sampling = Sampling(seed, name="sampling", dtype="float32")
        self.initial_beta = float(beta)
        self.beta = self.add_weight(
            name="beta",
            shape=(),
            initializer=keras.initializers.Constant(beta),
            trainable=False,
            dtype="float32",
        )
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self.active_units = ActiveUnits(self.latent_dim)
        self.built = True

    @classmethod
    def for_pictures(
        cls, shape, latent_dim=64, likelihood="gaussian", widths=None, seed=None, **kwargs
    ):
        """A convolutional VAE for (H, W, C) pictures; arguments as for `networks.conv_encoder`."""
        likelihood = resolve_likelihood(likelihood)
        encoder = networks.conv_encoder(shape, latent_dim, widths, seed=seed)
        decoder = networks.conv_decoder(
            shape, latent_dim, widths, likelihood.parameters, seed=_other(seed)
        )
        return cls(encoder, decoder, likelihood=likelihood, seed=seed, **kwargs)

    @classmethod
    def for_vectors(
        cls, size, latent_dim=8, likelihood="gaussian", hidden=(400,), seed=None, **kwargs
    ):
        """A dense VAE for vectors of length `size`; arguments as for `networks.dense_encoder`."""
        likelihood = resolve_likelihood(likelihood)
        encoder = networks.dense_encoder(size, latent_dim, hidden, seed=seed)
        decoder = networks.dense_decoder(
            size, latent_dim, hidden, likelihood.parameters, seed=_other(seed)
        )
        return cls(encoder, decoder, likelihood=likelihood, seed=seed, **kwargs)

    @property
    def data_shape(self):
        """Shape of one example, without the batch axis."""
        return tuple(self.encoder.input_shape[1:])

    def encode(self, x, training=False):
        """The posterior q(z | x): `(z_mean, z_log_var)`, each (B, latent) float32."""
        posterior = self.encoder(self.to_units(x), training=training)
        return tuple(ops.cast(posterior[name], "float32") for name in ("z_mean", "z_log_var"))

    def decode(self, z):
        """The likelihood's mean for codes z, (B, latent): (B, ...) float32 in its units."""
        return self.likelihood.mean(self.decoder(z, training=False))

    def reconstruct(self, x):
        """`decode` of z_mean: deterministic, shaped like x, in the likelihood's units."""
        return self(x, training=False)

    def call(self, x, training=False):
        z_mean, _ = self.encode(x, training=training)
        return self.likelihood.mean(self.decoder(z_mean, training=training))

    def sample(self, n, seed=None):
        """Means of n draws from the prior, (n, ...) float32 in the likelihood's units."""
        return self.decode(keras.random.normal((n, self.latent_dim), seed=seed))

    def elbo(self, x, samples=1, seed=None):
        """Evidence lower bound of each example, in nats; beta plays no part.

        Args:
            x: (B, ...), uint8 or in the likelihood's units.
            samples: draws of z to average over.
            seed: int for the same draws each time; None goes on in the stream that training uses.

        Returns:
            (B,) float32.
        """
        if samples < 1:
            raise ValueError(f"`samples` must be 1 or more. Received: samples={samples}")
        x = self.to_units(x)
        z_mean, z_log_var = self.encode(x)
        log_prob = 0.0
        for i in range(samples):
            z = self.sampling((z_mean, z_log_var), seed=None if seed is None else seed + i)
            params = self.decoder(z, training=False)
            log_prob += self.likelihood.log_prob(x, params) / samples
        return log_prob - ops.sum(kl_divergence(z_mean, z_log_var), axis=-1)

    def compute_terms(self, x, target=None, training=False):
        """The parts of the loss, one row an example.

        Args:
            x: (B, ...) input of the encoder.
            target: (B, ...) what is to be reconstructed; None for x itself.
            training: whether batch norm uses, and learns from, the statistics of this batch.

        Returns:
            dict of `reconstruction`, (B,) nats; `kl`, (B, latent) nats; `z_mean`, `z_log_var` and
            `z`, each (B, latent); `params`, the decoder's output.
        """
        x = self.to_units(x)
        target = x if target is None else self.to_units(target, "target")
        z_mean, z_log_var = self.encode(x, training=training)
        z = self.sampling((z_mean, z_log_var))
        params = self.decoder(z, training=training)
        return {
            "reconstruction": -self.likelihood.log_prob(target, params),
            "kl": kl_divergence(z_mean, z_log_var),
            "z_mean": z_mean,
            "z_log_var": z_log_var,
            "z": z,
            "params": params,
        }

    def to_units(self, x, name="x"):
        """x as float32 in the likelihood's units: uint8 is divided by 255, floating point is kept.

        Raises:
            ValueError: another type, or a shape that the model was not made for.
        """
        x = ops.convert_to_tensor(x)
        expected = (None, *self.data_shape)
        if not x.shape.is_compatible_with(expected):
            raise ValueError(
                f"`{name}` must have shape {_written(expected)}, B examples at a time. "
                f"Received: {name} of shape {tuple(x.shape)}"
            )
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype == "uint8":
            return ops.cast(x, "float32") / 255.0
        if "float" not in dtype:
            raise ValueError(
                f"`{name}` must be uint8 (0 to 255) or floating point (in the likelihood's units). "
                f"Received: {name} of type {dtype}"
            )
        return ops.cast(x, "float32")

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self._loss_and_metrics(data, training=True)
            # Replicas sum their gradients.
            loss = loss / tf.distribute.get_strategy().num_replicas_in_sync
            loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.get_metrics_result()

    def test_step(self, data):
        self._loss_and_metrics(data, training=False)
        return self.get_metrics_result()

    def _loss_and_metrics(self, data, training):
        x, target = self._unpacked(data)
        losses, _ = self._example_losses(x, target, training)
        return ops.mean(losses)

    def _unpacked(self, data):
        """(x, target) of what `fit` hands over; target None where there is none."""
        x, target, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("VAE does not support `sample_weight` or `class_weight`.")
        if self._compile_loss is not None or self._compile_metrics is not None:
            raise ValueError(
                "VAE has its own loss and metrics: call `compile` without `loss` and `metrics`."
            )
        return x, target

    def _example_losses(self, x, target, training):
        """The loss of each example, (B,) nats, and its terms; updates the metrics."""
        terms = self.compute_terms(x, target, training)
        kl = ops.sum(terms["kl"], axis=-1)
        losses = terms["reconstruction"] + ops.convert_to_tensor(self.beta) * kl
        self.loss_tracker.update_state(losses)
        self.reconstruction_tracker.update_state(terms["reconstruction"])
        self.kl_tracker.update_state(kl)
        self.active_units.update_state(terms["z_mean"])
        return losses, terms

    @property
    def metrics(self):
        return [
            self.loss_tracker,
            self.reconstruction_tracker,
            self.kl_tracker,
            self.active_units,
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "beta": self.initial_beta,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder", "likelihood")
        }
        return cls(**{**config, **parts})

    def _checked_latent_dim(self):
        # `output_shape` forgets the names.
        codes = self.encoder.compute_output_shape(self.encoder.input_shape)
        if not isinstance(codes, dict) or not {"z_mean", "z_log_var"} <= codes.keys():
            raise ValueError(
                "`encoder` must return a dict of `z_mean` and `z_log_var`. "
                f"Received: an encoder with output shape {codes}"
            )
        latent_dim = codes["z_mean"][-1]
        if self.decoder.input_shape[1:] != (latent_dim,):
            raise ValueError(
                f"`decoder` must take z of shape (B, {latent_dim}), the encoder's. "
                f"Received: a decoder with input shape {_written(self.decoder.input_shape)}"
            )
        *outer, channels = self.encoder.input_shape
        expected = (*outer, channels * self.likelihood.parameters)
        if self.decoder.output_shape != expected:
            raise ValueError(
                f"`decoder` must return shape {_written(expected)} for these other parts. "
                f"Received: a decoder with output shape {_written(self.decoder.output_shape)}"
            )
        return latent_dim


def kl_divergence(z_mean, z_log_var):
    """KL(N(z_mean, exp(z_log_var)) || N(0, 1)) of each latent, in nats; shaped like z_mean."""
    return 0.5 * (ops.square(z_mean) + ops.exp(z_log_var) - 1.0 - z_log_var)


def _other(seed):
    """Another seed, so that encoder and decoder do not start from the same numbers."""
    return None if seed is None else seed + 1


def _written(shape):
    """A shape as the docstrings write it: (B, 28, 28, 1)."""
    return "(" + ", ".join("B" if side is None else str(side) for side in shape) + ")"
