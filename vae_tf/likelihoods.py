"""p(x | z): what the decoder's numbers say about the data.

A likelihood turns the decoder's maps ("params", along the last axis, all maps of the first kind
before all of the second) into a distribution. Losses are sums over pixels, never means, so that
beta = 1 is the ELBO.
"""

from __future__ import annotations

import math

import keras
from keras import ops

_LOG_2PI = math.log(2.0 * math.pi)


class Likelihood(keras.layers.Layer):
    """What `VAE` asks of a likelihood. Called as a layer, it gives the mean.

    Attributes:
        parameters: decoder maps needed for each channel of the data.
    """

    parameters = 1

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Variables are made in constructors, so that a model is complete before it sees data.
        self.built = True

    def log_prob(self, x, params):
        """log p(x | z) in nats, summed over every axis but the batch.

        Args:
            x: (B, ..., C), in the likelihood's units.
            params: (B, ..., C * parameters), the decoder's output.

        Returns:
            (B,) float32.
        """
        raise NotImplementedError

    def mean(self, params):
        """E[x | z], (B, ..., C), from `params`, (B, ..., C * parameters)."""
        raise NotImplementedError

    def sample(self, params, seed=None):
        """One draw of x, (B, ..., C), from `params`, (B, ..., C * parameters).

        `seed` is None, an int or a `keras.random.SeedGenerator`.
        """
        raise NotImplementedError

    def call(self, params):
        return self.mean(params)


@keras.saving.register_keras_serializable(package="vae_tf")
class Bernoulli(Likelihood):
    """Black or white pixels, from logits. Data between 0 and 1 is read as probabilities."""

    def log_prob(self, x, params):
        logits = ops.cast(params, "float32")
        # x log p + (1 - x) log(1 - p), in the form that cannot overflow.
        return _sum_all_but_batch(ops.cast(x, "float32") * logits - ops.softplus(logits))

    def mean(self, params):
        return ops.sigmoid(ops.cast(params, "float32"))

    def sample(self, params, seed=None):
        p = self.mean(params)
        return ops.cast(keras.random.uniform(ops.shape(p), seed=seed) < p, "float32")


@keras.saving.register_keras_serializable(package="vae_tf")
class Gaussian(Likelihood):
    """Normal pixels with one learned standard deviation for all; the decoder gives the mean.

    Learning sigma balances reconstruction and KL by itself, so no beta is left to tune (sigma-VAE:
    Rybkin et al., "Simple and Effective VAE Training with Calibrated Decoders", ICML 2021). log
    sigma is bounded softly below at `min_log_sigma`, since a perfect fit would send it to minus
    infinity.

    Args:
        sigma: where training starts, in the data's units.
        min_log_sigma: the soft lower bound; -6 is 0.6 of a grey level of 255.
    """

    # One scalar among thousands of weights: at Adam's fixed pace it would need thousands of steps.
    _PACE = 10.0

    def __init__(self, sigma=0.3, min_log_sigma=-6.0, **kwargs):
        super().__init__(**kwargs)
        if not sigma > math.exp(min_log_sigma):
            raise ValueError(
                "`sigma` must be greater than exp(min_log_sigma). "
                f"Received: sigma={sigma}, min_log_sigma={min_log_sigma}"
            )
        self.initial_sigma = float(sigma)
        self.min_log_sigma = float(min_log_sigma)
        above = math.log(self.initial_sigma) - self.min_log_sigma
        start = self.min_log_sigma + above + math.log(-math.expm1(-above))
        self.raw_log_sigma = self.add_weight(
            name="raw_log_sigma",
            shape=(),
            initializer=keras.initializers.Constant(start / self._PACE),
            dtype="float32",
        )

    @property
    def log_sigma(self):
        """Scalar float32 tensor: log of the standard deviation in the data's units."""
        raw = ops.convert_to_tensor(self.raw_log_sigma) * self._PACE
        return self.min_log_sigma + ops.softplus(ops.cast(raw, "float32") - self.min_log_sigma)

    def log_prob(self, x, params):
        log_sigma = self.log_sigma
        standardised = (ops.cast(x, "float32") - self.mean(params)) * ops.exp(-log_sigma)
        return _sum_all_but_batch(-0.5 * (ops.square(standardised) + _LOG_2PI) - log_sigma)

    def mean(self, params):
        return ops.cast(params, "float32")

    def sample(self, params, seed=None):
        mean = self.mean(params)
        return mean + ops.exp(self.log_sigma) * keras.random.normal(ops.shape(mean), seed=seed)

    def get_config(self):
        return {
            **super().get_config(),
            "sigma": self.initial_sigma,
            "min_log_sigma": self.min_log_sigma,
        }


def resolve_likelihood(likelihood):
    """A `Likelihood` as it is; "gaussian" or "bernoulli" as a new one with its defaults."""
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood == "gaussian":
        return Gaussian()
    if likelihood == "bernoulli":
        return Bernoulli()
    raise ValueError(
        '`likelihood` must be "gaussian", "bernoulli" or a Likelihood. '
        f"Received: likelihood={likelihood!r}"
    )


def _sum_all_but_batch(values):
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
