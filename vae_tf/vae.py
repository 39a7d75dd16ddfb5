"""The variational autoencoder of Kingma & Welling (2014) as a `keras.Model`.

A `VAE` is an encoder, a decoder and a likelihood. Its loss is the negative ELBO in nats, summed
over the pixels of a picture and averaged over the pictures of a batch.

The family (`vae_tf.family`) builds on four steps: `infer` turns x into a posterior, `draw` draws a
code from it and gives the terms of the ELBO, `params` runs the decoder, `_kl_penalty` weighs the
KL.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf
from keras import ops

from vae_tf import networks
from vae_tf.callbacks import ActiveUnits
from vae_tf.fitting import latents_of, other, short, written
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
            callback may `assign` to it during training, see `vae_tf.schedules`.
        free_bits: nats of KL that each latent, on average over a batch, has for nothing (Kingma et
            al., "Improved Variational Inference with Inverse Autoregressive Flow", 2016).
        capacity: nats that the KL is drawn to, in place of 0 (Burgess et al., "Understanding
            disentangling in beta-VAE", 2018). Kept as the variable `capacity`; None for none.
        seed: int for the noise in training; None follows `keras.utils.set_random_seed`.

    Raises:
        ValueError: the parts do not fit each other.
    """

    #: Number of classes that the model is told of; None: it knows of none.
    labels: int | None = None

    def __init__(
        self,
        encoder,
        decoder,
        likelihood="gaussian",
        beta=1.0,
        seed=None,
        free_bits=0.0,
        capacity=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in {"beta": beta, "free_bits": free_bits, "capacity": capacity}.items():
            if value is not None and not 0.0 <= value < math.inf:
                raise ValueError(f"`{name}` must be 0 or more. Received: {name}={value}")
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = resolve_likelihood(likelihood)
        #: Number of latents.
        self.latent_dim = self._checked_latent_dim()
        self.seed = seed
        self.sampling = Sampling(seed, name="sampling", dtype="float32")
        self.initial_beta = float(beta)
        self.beta = self._knob("beta", beta)
        self.free_bits = float(free_bits)
        self.initial_capacity = None if capacity is None else float(capacity)
        self.capacity = None if capacity is None else self._knob("capacity", capacity)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self.active_units = ActiveUnits(self.latent_dim)
        self.built = True

    @classmethod
    def for_pictures(
        cls,
        shape,
        latent_dim=64,
        likelihood="gaussian",
        widths=None,
        seed=None,
        neck=None,
        **kwargs,
    ):
        """A convolutional VAE for (H, W, C) pictures; arguments as for `networks.conv_encoder`."""
        likelihood = resolve_likelihood(likelihood)
        encoder = networks.conv_encoder(shape, latent_dim, widths, seed, neck)
        decoder = networks.conv_decoder(
            shape, latent_dim, widths, likelihood.parameters, other(seed), neck
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
            size, latent_dim, hidden, likelihood.parameters, seed=other(seed)
        )
        return cls(encoder, decoder, likelihood=likelihood, seed=seed, **kwargs)

    @property
    def data_shape(self):
        """Shape of one example, without the batch axis."""
        return tuple(self.encoder.input_shape[1:])

    def encode(self, x, label=None, training=False):
        """The posterior q(z | x): `(z_mean, z_log_var)`, each (B, latent) float32.

        label: of each x, a class from 0, int or (B,) int, where the model has `labels`; as in
            every method that takes one.
        """
        x = self.to_units(x)
        return self.codes(self.infer(x, self._given(label, x), training))

    def decode(self, z, label=None):
        """The likelihood's mean for codes z, (B, latent): (B, ...) float32 in its units."""
        z = ops.convert_to_tensor(z, dtype="float32")
        return self._mean(self.params(z, self._given(label, z)))

    def reconstruct(self, x, label=None):
        """`decode` of z_mean: deterministic, shaped like x, in the likelihood's units."""
        return self._reconstruct(x, label, training=False)

    def call(self, x, training=False):
        return self._reconstruct(x, None, training)

    def _reconstruct(self, x, label, training):
        x = self.to_units(x)
        given = self._given(label, x)
        z_mean, _ = self.codes(self.infer(x, given, training))
        return self._mean(self.params(z_mean, given, training))

    def sample(self, n, seed=None, label=None, temperature=1.0):
        """Means of n draws from the prior, (n, ...) float32 in the likelihood's units.

        temperature: of the draws' deviation; below 1 they are more typical and less various.
        """
        z = keras.random.normal((n, self.latent_dim), stddev=temperature, seed=seed)
        return self.decode(z, label)

    def elbo(self, x, samples=1, seed=None, label=None):
        """Evidence lower bound of each example, in nats; beta and free bits play no part.

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
        given = self._given(label, x)
        posterior = self.infer(x, given)
        elbo = 0.0
        for i in range(samples):
            terms = self.draw(x, posterior, given, seed=None if seed is None else seed + i)
            elbo -= (terms["reconstruction"] + ops.sum(terms["kl"], axis=-1)) / samples
        return elbo

    def compute_terms(self, x, target=None, training=False, label=None):
        """The parts of the loss, one row an example.

        Args:
            x: (B, ...) input of the encoder.
            target: (B, ...) what is to be reconstructed; None for x itself.
            training: whether batch norm uses, and learns from, the statistics of this batch.

        Returns:
            As `draw`.
        """
        x = self.to_units(x)
        target = x if target is None else self.to_units(target, "target")
        given = self._given(label, x)
        return self.draw(target, self.infer(x, given, training), given, training)

    def infer(self, x, given=None, training=False):
        """What `draw` draws from. x: in units. given: what `_given` made of the label."""
        posterior = self.encoder(x, training=training)
        return tuple(ops.cast(posterior[name], "float32") for name in ("z_mean", "z_log_var"))

    def codes(self, posterior):
        """`(z_mean, z_log_var)`, each (B, latent), of what `infer` gave."""
        return posterior

    def params(self, z, given=None, training=False):
        """The decoder's output for codes z, (B, latent): the likelihood's parameters."""
        return self.decoder(z, training=training)

    def draw(self, target, posterior, given=None, training=False, seed=None):
        """Draws one code for each example and says what it is worth.

        Args:
            target: (B, ...) in units. posterior: of `infer`. given, training: as there.
            seed: as for `layers.Sampling`.

        Returns:
            dict of `reconstruction`, (B,), -log p(x | z) in nats; `kl`, (B, latent) nats; `z_mean`,
            `z_log_var` and `z`, each (B, latent); `params`, the decoder's output.
        """
        z = self.sampling(posterior, seed=seed)
        return self._terms(target, z, posterior, self.params(z, given, training))

    def _terms(self, target, z, codes, params):
        z_mean, z_log_var = codes
        return {
            "reconstruction": -self._log_prob(target, params),
            "kl": kl_divergence(z_mean, z_log_var),
            "z_mean": z_mean,
            "z_log_var": z_log_var,
            "z": z,
            "params": params,
        }

    def _log_prob(self, target, params):
        return self.likelihood.log_prob(target, params)

    def _mean(self, params):
        return self.likelihood.mean(params)

    def _given(self, label, like):
        """What encoder and decoder are told besides x or z, for a batch like `like`; here nothing.

        Raises: ValueError where a label is given to a model that knows of none, or a wrong one.
        """
        if label is not None:
            raise ValueError(
                "`label` must be left out: this model was trained without labels (a "
                f"ConditionalVAE takes them). Received: label={short(label)}"
            )
        return None

    def to_units(self, x, name="x"):
        """x as float32 in the likelihood's units: uint8 is divided by 255, floating point is kept.

        Raises:
            ValueError: another type, or a shape that the model was not made for.
        """
        x = ops.convert_to_tensor(x)
        expected = (None, *self.data_shape)
        if not x.shape.is_compatible_with(expected):
            raise ValueError(
                f"`{name}` must have shape {written(expected)}, B examples at a time. "
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
        x, target, label = self._unpacked(data)
        losses, _ = self._example_losses(x, target, training, label)
        return ops.mean(losses)

    def _unpacked(self, data):
        """(x, target, label) of what `fit` hands over; None in place of what there is not."""
        x, target, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("VAE does not support `sample_weight` or `class_weight`.")
        if self._compile_loss is not None or self._compile_metrics is not None:
            raise ValueError(
                "VAE has its own loss and metrics: call `compile` without `loss` and `metrics`."
            )
        return x, target, None

    def _example_losses(self, x, target, training, label=None):
        """The loss of each example, (B,) nats, and its terms; updates the metrics."""
        terms = self.compute_terms(x, target, training, label)
        losses = terms["reconstruction"] + self._kl_penalty(terms["kl"])
        self._track(losses, terms)
        return losses, terms

    def _kl_penalty(self, kl):
        """What the KL, (B, latent) nats, costs: (B,), or () where the batch shares it."""
        if self.free_bits:
            kl = ops.maximum(ops.mean(kl, axis=0), self.free_bits)
        total = ops.sum(kl, axis=-1)
        if self.capacity is not None:
            total = ops.abs(ops.mean(total) - ops.convert_to_tensor(self.capacity))
        return ops.convert_to_tensor(self.beta) * total

    def _track(self, losses, terms):
        self.loss_tracker.update_state(losses)
        self.reconstruction_tracker.update_state(terms["reconstruction"])
        self.kl_tracker.update_state(ops.sum(terms["kl"], axis=-1))
        self.active_units.update_state(terms["z_mean"])

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
            "free_bits": self.free_bits,
            "capacity": self.initial_capacity,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder", "likelihood")
        }
        return cls(**{**config, **parts})

    def _knob(self, name, value):
        """A scalar variable that training does not touch, but callbacks may."""
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            dtype="float32",
        )

    def _checked_latent_dim(self):
        return latents_of(self, self.encoder.input_shape, self.decoder.input_shape)


def kl_divergence(z_mean, z_log_var):
    """KL(N(z_mean, exp(z_log_var)) || N(0, 1)) of each latent, in nats; shaped like z_mean."""
    return 0.5 * (ops.square(z_mean) + ops.exp(z_log_var) - 1.0 - z_log_var)
