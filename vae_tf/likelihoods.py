"""p(x | z): what the decoder's numbers say about the data.

A likelihood turns the decoder's maps ("params", along the last axis, all maps of the first kind
before all of the second) into a distribution. Losses are sums over pixels, never means, so that
beta = 1 is the ELBO.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import keras
from keras import ops

_LOG_2PI = math.log(2.0 * math.pi)
_MIN_LOG_SIGMA = -6.0


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

    def log_prob(self, x, params, mask=None):
        """log p(x | z) in nats, summed over every axis but the batch.

        Args:
            x: (B, ..., C), in the likelihood's units.
            params: (B, ..., C * parameters), the decoder's output.
            mask: 1 where x counts, 0 where it is missing (and any finite number), of a shape that
                broadcasts to that of x. None: all of it counts.

        Returns:
            (B,) float32.
        """
        values = self.log_probs(ops.cast(x, "float32"), ops.cast(params, "float32"))
        if mask is not None:
            values = values * ops.cast(mask, "float32")
        return ops.sum(values, axis=tuple(range(1, len(values.shape))))

    def log_probs(self, x, params):
        """log p of every element, (B, ..., C) nats; x and params float32, as for `log_prob`."""
        raise NotImplementedError

    def bits_per_dimension(self, nats, size):
        """-log2 p an element, of log p(x) or a bound of it. size: elements of one example.

        Raises: ValueError where x is no whole grey levels to the likelihood, so that its density
            says nothing about bits.
        """
        raise ValueError(
            "bits per dimension need a likelihood of whole grey levels: train with "
            f"likelihood='discretised-logistic'. Received: {type(self).__name__}"
        )

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

    def log_probs(self, x, params):
        # x log p + (1 - x) log(1 - p), in the form that cannot overflow.
        return x * params - ops.softplus(params)

    def mean(self, params):
        return ops.sigmoid(ops.cast(params, "float32"))

    def sample(self, params, seed=None):
        p = self.mean(params)
        return ops.cast(keras.random.uniform(ops.shape(p), seed=seed) < p, "float32")


@keras.saving.register_keras_serializable(package="vae_tf")
class Gaussian(Likelihood):
    """Normal pixels with one standard deviation for all, learned or fixed; the decoder gives means.

    Learning sigma balances reconstruction and KL by itself, so no beta is left to tune (sigma-VAE:
    Rybkin et al., "Simple and Effective VAE Training with Calibrated Decoders", ICML 2021). log
    sigma is bounded softly below at `min_log_sigma`, since a perfect fit would send it to minus
    infinity.

    Args:
        sigma: where training starts, in the data's units, or, where it is not learned, what it is.
        min_log_sigma: the soft lower bound; -6 is 0.6 of a grey level of 255.
        learned: False keeps `sigma`; the squared error is then weighted by 1 / (2 sigma^2).
    """

    # One scalar among thousands of weights: at Adam's fixed pace it would need thousands of steps.
    _PACE = 10.0

    def __init__(self, sigma=0.3, min_log_sigma=_MIN_LOG_SIGMA, learned=True, **kwargs):
        super().__init__(**kwargs)
        if not sigma > math.exp(min_log_sigma):
            raise ValueError(
                "`sigma` must be greater than exp(min_log_sigma). "
                f"Received: sigma={sigma}, min_log_sigma={min_log_sigma}"
            )
        self.initial_sigma = float(sigma)
        self.min_log_sigma = float(min_log_sigma)
        self.learned = bool(learned)
        above = math.log(self.initial_sigma) - self.min_log_sigma
        start = self.min_log_sigma + above + math.log(-math.expm1(-above))
        self.raw_log_sigma = self.add_weight(
            name="raw_log_sigma",
            shape=(),
            initializer=keras.initializers.Constant(start / self._PACE),
            trainable=self.learned,
            dtype="float32",
        )

    @property
    def log_sigma(self):
        """Scalar float32 tensor: log of the standard deviation in the data's units."""
        raw = ops.convert_to_tensor(self.raw_log_sigma) * self._PACE
        return self.min_log_sigma + ops.softplus(ops.cast(raw, "float32") - self.min_log_sigma)

    def log_probs(self, x, params):
        return _normal(x, params, self.log_sigma)

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
            "learned": self.learned,
        }


@keras.saving.register_keras_serializable(package="vae_tf")
class PixelGaussian(Likelihood):
    """Normal pixels, each with a mean and a standard deviation of its own, both by the decoder.

    log sigma is bounded softly below, as a pixel that is always the same would send it to minus
    infinity.

    Args:
        sigma: what the decoder's zero stands for, in the data's units.
        min_log_sigma: the soft lower bound. Higher than for one sigma: a single pixel is easily
            learnt by heart.
    """

    parameters = 2

    def __init__(self, sigma=0.3, min_log_sigma=-4.0, **kwargs):
        super().__init__(**kwargs)
        if not sigma > math.exp(min_log_sigma):
            raise ValueError(
                "`sigma` must be greater than exp(min_log_sigma). "
                f"Received: sigma={sigma}, min_log_sigma={min_log_sigma}"
            )
        self.sigma = float(sigma)
        self.min_log_sigma = float(min_log_sigma)

    def log_probs(self, x, params):
        mean, log_sigma = self._split(params)
        return _normal(x, mean, log_sigma)

    def mean(self, params):
        return self._split(ops.cast(params, "float32"))[0]

    def standard_deviation(self, params):
        """sigma of each element, (B, ..., C), in the data's units."""
        return ops.exp(self._split(ops.cast(params, "float32"))[1])

    def sample(self, params, seed=None):
        mean = self.mean(params)
        noise = keras.random.normal(ops.shape(mean), seed=seed)
        return mean + self.standard_deviation(params) * noise

    def _split(self, params):
        mean, raw = _halves(params)
        raw = raw + math.log(self.sigma)
        return mean, self.min_log_sigma + ops.softplus(raw - self.min_log_sigma)

    def get_config(self):
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "min_log_sigma": self.min_log_sigma,
        }


@keras.saving.register_keras_serializable(package="vae_tf")
class DiscretisedLogistic(Likelihood):
    """Whole grey levels, 0 to 255: the mass that a logistic density has around each of them.

    As in PixelCNN++ (Salimans et al., 2017), with one component: black takes all that lies below
    it, white all that lies above, so the 256 levels share exactly 1 and log p is that of an 8-bit
    picture, in bits a dimension where wanted. Data in units, 0 to 1, are levels / 255.

    Args:
        scale: the logistic's scale that the decoder's zero stands for, in units.
    """

    parameters = 2

    _MIN_LOG_SCALE = -7.0  # a quarter of a level: all mass on one level, and no more to gain

    def __init__(self, scale=0.1, **kwargs):
        super().__init__(**kwargs)
        if not scale > 0.0:
            raise ValueError(f"`scale` must be above 0. Received: scale={scale}")
        self.scale = float(scale)

    def log_probs(self, x, params):
        mean, log_scale = self._split(params)
        # Data that lie between two levels, such as resized floats, count as the nearest.
        level = ops.round(ops.clip(x, 0.0, 1.0) * 255.0)
        x = level / 255.0
        inverse = ops.exp(-log_scale)
        above = inverse * (x - mean + 0.5 / 255.0)
        below = inverse * (x - mean - 0.5 / 255.0)
        # log(sigmoid(above) - sigmoid(below)) = log sigmoid(above) + log sigmoid(-below)
        #   + log(1 - exp(below - above)), exact also far out, where both sigmoids round to 1.
        width = ops.maximum(above - below, 1e-7)
        between = -ops.softplus(-above) - ops.softplus(below) + ops.log(-ops.expm1(-width))
        lowest, highest = -ops.softplus(-above), -ops.softplus(below)
        return ops.where(level < 0.5, lowest, ops.where(level > 254.5, highest, between))

    def mean(self, params):
        return ops.clip(self._split(ops.cast(params, "float32"))[0], 0.0, 1.0)

    def sample(self, params, seed=None):
        mean, log_scale = self._split(ops.cast(params, "float32"))
        u = keras.random.uniform(ops.shape(mean), 1e-5, 1.0 - 1e-5, seed=seed)
        x = mean + ops.exp(log_scale) * (ops.log(u) - ops.log1p(-u))
        return ops.round(ops.clip(x, 0.0, 1.0) * 255.0) / 255.0

    def bits_per_dimension(self, nats, size):
        return -nats / (size * math.log(2.0))

    def _split(self, params):
        mean, raw = _halves(params)
        raw = raw + math.log(self.scale)
        return mean, self._MIN_LOG_SCALE + ops.softplus(raw - self._MIN_LOG_SCALE)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


#: What a likelihood is called on the command line and in `VAE`: name -> how it is made.
LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "gaussian": Gaussian,
    "gaussian-fixed": functools.partial(Gaussian, learned=False),
    "gaussian-pixel": PixelGaussian,
    "bernoulli": Bernoulli,
    "discretised-logistic": DiscretisedLogistic,
}


def resolve_likelihood(likelihood, sigma=None):
    """A `Likelihood` as it is; a name of `LIKELIHOODS` as a new one.

    sigma: for the Gaussian ones, where their sigma starts or what it is; None for their default.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood not in LIKELIHOODS:
        names = ", ".join(f'"{name}"' for name in LIKELIHOODS)
        raise ValueError(
            f"`likelihood` must be {names} or a Likelihood. Received: likelihood={likelihood!r}"
        )
    return LIKELIHOODS[likelihood](**({} if sigma is None else {"sigma": sigma}))


def _normal(x, mean, log_sigma):
    """log N(x; mean, exp(log_sigma)) of each element."""
    standardised = (x - mean) * ops.exp(-log_sigma)
    return -0.5 * (ops.square(standardised) + _LOG_2PI) - log_sigma


def _halves(params):
    """The maps of the first kind and those of the second, each (B, ..., C)."""
    channels = params.shape[-1] // 2
    return params[..., :channels], params[..., channels:]
