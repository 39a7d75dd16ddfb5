"""The adversarial autoencoder (Makhzani et al., 2015): a discriminator on the code in place of the
KL.

The discriminator learns to tell codes of data from draws of the prior; the encoder learns that it
cannot. What is matched is the aggregate posterior, the mixture of all q(z | x), so single codes may
be as sharp as they like. The discriminator's logit for a code estimates log q(z) - log p(z)
(Mescheder et al., "Adversarial Variational Bayes", 2017), so its mean is, in nats, the KL of the
aggregate posterior to the prior, and `beta` weighs that.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from vae_tf.blocks import at_least_one, initialisers, whole_numbers
from vae_tf.vae import VAE


@keras.saving.register_keras_serializable(package="vae_tf")
class AdversarialAutoencoder(VAE):
    """A `VAE` whose codes an adversary holds to the prior.

    Logged besides: `adversarial`, the KL of the aggregate posterior as the discriminator sees it,
    in nats, and `discriminator`, its loss (2 log 2 = 1.39 where it can tell nothing). `kl` is that
    of each q(z | x), as in a `VAE`, and no part of the loss; so `elbo` is a bound, but not what is
    trained.

    Args:
        discriminator: `keras.Model` from z, (B, latent), to a logit, (B, 1), high for codes of
            data; see `discriminator_for`. None for one of the default size.
        beta: weight of the adversary.
        the rest: as for `VAE`, without `free_bits` and `capacity`, which weigh the KL.
    """

    def __init__(
        self, encoder, decoder, likelihood="gaussian", discriminator=None, seed=None, **kwargs
    ):
        if kwargs.get("free_bits") or kwargs.get("capacity") is not None:
            raise ValueError(
                "`free_bits` and `capacity` must be left out: they weigh the KL, in whose place an "
                "adversarial autoencoder has a discriminator."
            )
        super().__init__(encoder, decoder, likelihood, seed=seed, **kwargs)
        if discriminator is None:
            discriminator = discriminator_for(
                self.latent_dim, seed=None if seed is None else seed + 2
            )
        self.discriminator = discriminator
        if self.discriminator.input_shape[1:] != (self.latent_dim,):
            raise ValueError(
                f"`discriminator` must take z of shape (B, {self.latent_dim}). "
                f"Received: one with input shape {self.discriminator.input_shape}"
            )
        self.prior_noise = keras.random.SeedGenerator(None if seed is None else seed + 3)
        self.adversarial_tracker = keras.metrics.Mean(name="adversarial")
        self.discriminator_tracker = keras.metrics.Mean(name="discriminator")

    def _example_losses(self, x, target, training, label=None):
        terms = self.compute_terms(x, target, training, label)
        z = terms["z"]
        # The encoder's side: the discriminator as it is, so no gradient reaches its weights.
        frozen = [ops.stop_gradient(v.value) for v in self.discriminator.trainable_variables]
        states = [v.value for v in self.discriminator.non_trainable_variables]
        logits, _ = self.discriminator.stateless_call(frozen, states, z, training=training)
        adversarial = ops.cast(logits, "float32")[:, 0]
        # The discriminator's side: the codes as they are, so no gradient reaches the encoder.
        drawn = keras.random.normal(ops.shape(z), seed=self.prior_noise)
        of_data = self.discriminator(ops.stop_gradient(z), training=training)
        of_prior = self.discriminator(drawn, training=training)
        told_apart = ops.softplus(-of_data) + ops.softplus(of_prior)
        told_apart = ops.cast(told_apart, "float32")[:, 0]
        losses = terms["reconstruction"] + ops.convert_to_tensor(self.beta) * adversarial
        self._track(losses, terms)
        self.adversarial_tracker.update_state(adversarial)
        self.discriminator_tracker.update_state(told_apart)
        # Neither part's gradient reaches the other, and Adam forgets the scale of each.
        return losses + told_apart, terms

    @property
    def metrics(self):
        return [*super().metrics, self.adversarial_tracker, self.discriminator_tracker]

    def get_config(self):
        config = super().get_config()
        del config["free_bits"], config["capacity"]
        discriminator = keras.saving.serialize_keras_object(self.discriminator)
        return {**config, "discriminator": discriminator}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        discriminator = keras.saving.deserialize_keras_object(
            config["discriminator"], custom_objects=custom_objects
        )
        return super().from_config({**config, "discriminator": discriminator}, custom_objects)


def discriminator_for(latent_dim, hidden=(128, 128), seed=None):
    """Tells codes of data from draws of the prior: (B, latent) to a logit, (B, 1).

    Args:
        hidden: units of each hidden layer.
        seed: int for the initial weights, or None to follow `keras.utils.set_random_seed`.

    Raises:
        ValueError: an argument is out of range.
    """
    latent_dim = at_least_one("latent_dim", latent_dim)
    init = initialisers(seed)
    x = inputs = keras.Input((latent_dim,), name="z")
    for units in whole_numbers("hidden", hidden):
        x = layers.Dense(units, kernel_initializer=init())(x)
        x = layers.LeakyReLU(0.2)(x)
    # Nothing to tell at first: the encoder is not pushed by what is not learnt yet.
    outputs = layers.Dense(1, kernel_initializer="zeros", name="logit")(x)
    return keras.Model(inputs, outputs, name="discriminator")
