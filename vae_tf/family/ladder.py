"""The ladder VAE: latents on several levels, inferred from the top down (Sønderby et al., "Ladder
Variational Autoencoders", 2016; Kingma et al., 2016).

The top is a vector that says what the picture is of; the levels below it are small maps that say
where and how, at ever finer resolution. A level's prior depends on all above it. It is written here
in its own units, u = (z - its mean) / its deviation, which the networks take in and give back: so
every u is N(0, 1) before data are seen, all levels side by side are one code as that of any `VAE`,
and the KL is the same number. The posterior of a level is inferred from the picture's features at
that resolution and from the state that the levels above have made.
"""

from __future__ import annotations

import keras
from keras import ops

from vae_tf.family import ladder_networks
from vae_tf.fitting import other
from vae_tf.likelihoods import resolve_likelihood
from vae_tf.vae import VAE


class _Parts(keras.Model):
    """A model of two parts, one of them a list, that is saved as those parts."""

    def __init__(self, single, several, **kwargs):
        super().__init__(**kwargs)
        self.single = single
        self.several = list(several)
        self.built = True

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "single": serialize(self.single),
            "several": [serialize(part) for part in self.several],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        def made(part):
            return keras.saving.deserialize_keras_object(part, custom_objects=custom_objects)

        several = [made(part) for part in config["several"]]
        return cls(**{**config, "single": made(config["single"]), "several": several})


@keras.saving.register_keras_serializable(package="vae_tf")
class BottomUp(_Parts):
    """The inference network: features of x at each level, and a head a level.

    Args:
        single: `keras.Model` from x to a list of features, (B, h, w, c), the top's first.
        several: a `keras.Model` for each level, the top's first: from features, and, but for the
            top, [state, features], to a dict of `z_mean` and `z_log_var`, (B, size).
    """

    def call(self, x, training=False):
        return self.single(x, training=training)

    def posterior(self, level, features, state, training=False):
        """`(z_mean, z_log_var)` of a level, (B, size) float32 each. state: None for the top."""
        seen = features[level] if state is None else [state, features[level]]
        found = self.several[level](seen, training=training)
        return tuple(ops.cast(found[name], "float32") for name in ("z_mean", "z_log_var"))

    @property
    def input_shape(self):
        """Of x, batch included."""
        return self.single.input_shape


@keras.saving.register_keras_serializable(package="vae_tf")
class TopDown(_Parts):
    """The generative network: a rung a level, and the way from the last state to x.

    Args:
        single: `keras.Model` from the last state to the likelihood's parameters.
        several: a `keras.Model` for each level, the top's first, that gives the next state: from u,
            (B, size), and, but for the top, from [state, u].
    """

    def call(self, z, training=False):
        """The likelihood's parameters for codes z, (B, latent), the top's first."""
        state, start = None, 0
        for level, size in enumerate(self.sizes):
            u = z[:, start : start + size]
            state = self.climb(level, state, u, training)
            start += size
        return self.single(state, training=training)

    def climb(self, level, state, u, training=False):
        """The state after a level. state: the one before, None for the top. u: (B, size)."""
        return self.several[level](u if state is None else [state, u], training=training)

    @property
    def sizes(self):
        """Latents of each level, the top's first."""
        return [
            (rung.input_shape if level == 0 else rung.input_shape[1])[-1]
            for level, rung in enumerate(self.several)
        ]

    @property
    def input_shape(self):
        """Of z, batch included."""
        return (None, sum(self.sizes))

    @property
    def output_shape(self):
        """Of the likelihood's parameters, batch included."""
        return self.single.output_shape


@keras.saving.register_keras_serializable(package="vae_tf")
class LadderVAE(VAE):
    """A `VAE` with latents on several levels. `vae.decoder.sizes` says how many each has.

    `encode` gives the codes of all levels side by side, the top's first; below the top they are
    what the picture's features say where each level above is at its mean. Upper levels are the
    first to collapse: train with `schedules.WarmUp` or `free_bits`.

    Args:
        encoder: a `BottomUp`. decoder: a `TopDown`. The rest: as for `VAE`.
    """

    @classmethod
    def for_pictures(
        cls,
        shape,
        latent_dim=32,
        likelihood="gaussian",
        widths=None,
        seed=None,
        neck=None,
        levels=3,
        channels=1,
        **kwargs,
    ):
        """A convolutional one for (H, W, C) pictures.

        Args:
            latent_dim: latents of the top; a map of `channels` latents a place follows for each of
                the `levels` - 1 coarsest resolutions.
            widths, neck: as for `networks.conv_encoder`; at least `levels` - 1 widths.
        """
        likelihood = resolve_likelihood(likelihood)
        plan = ladder_networks.plan(shape, latent_dim, widths, levels, channels, neck)
        trunk, heads = ladder_networks.encoder(plan, seed)
        rungs, finish = ladder_networks.decoder(plan, likelihood.parameters, other(seed))
        return cls(BottomUp(trunk, heads), TopDown(finish, rungs), likelihood, seed=seed, **kwargs)

    def codes(self, posterior):
        return self._climbed(posterior, lambda level, z_mean, z_log_var: z_mean)[1]

    def infer(self, x, given=None, training=False):
        return self.encoder(x, training=training), training

    def draw(self, target, posterior, given=None, training=False, seed=None):
        def drawn(level, z_mean, z_log_var):
            return self.sampling((z_mean, z_log_var), seed=_level_seed(seed, level))

        z, codes, state = self._climbed(posterior, drawn)
        return self._terms(target, z, codes, self.decoder.single(state, training=training))

    def _climbed(self, posterior, choose):
        """Goes down the levels: (z, (z_mean, z_log_var), last state). choose: u of each level."""
        features, training = posterior
        state, chosen, means, log_vars = None, [], [], []
        for level in range(len(self.decoder.several)):
            z_mean, z_log_var = self.encoder.posterior(level, features, state, training)
            chosen.append(choose(level, z_mean, z_log_var))
            means.append(z_mean)
            log_vars.append(z_log_var)
            state = self.decoder.climb(level, state, chosen[-1], training)
        z, z_mean, z_log_var = (ops.concatenate(u, axis=-1) for u in (chosen, means, log_vars))
        return z, (z_mean, z_log_var), state

    def _checked_latent_dim(self):
        if not isinstance(self.encoder, BottomUp) or not isinstance(self.decoder, TopDown):
            raise ValueError(
                "`encoder` must be a BottomUp and `decoder` a TopDown. Received: a "
                f"{type(self.encoder).__name__} and a {type(self.decoder).__name__}"
            )
        heads = [
            head.compute_output_shape(head.input_shape)["z_mean"][-1]
            for head in self.encoder.several
        ]
        if heads != self.decoder.sizes:
            raise ValueError(
                "`encoder` must have a head for each level of the decoder, of its size. "
                f"Received: heads of {heads}, levels of {self.decoder.sizes} latents"
            )
        return sum(heads)


def _level_seed(seed, level):
    """Other draws for every level, from the seed of the whole."""
    if seed is None or isinstance(seed, int):
        return None if seed is None else (seed + 7_368_787 * level) % 2**31
    return seed + ops.convert_to_tensor([7_368_787 * level, 0], dtype="int32")
