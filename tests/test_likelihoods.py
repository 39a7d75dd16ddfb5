"""The likelihoods: that each is a distribution, and what it makes of a mask."""

import math

import keras
import numpy as np
import pytest
from scipy import stats

from vae_tf.likelihoods import (
    LIKELIHOODS,
    DiscretisedLogistic,
    Gaussian,
    PixelGaussian,
    resolve_likelihood,
)

numpy = keras.ops.convert_to_numpy


def parameters(likelihood, count=5, seed=0, spread=1.0):
    """Decoder outputs for pictures (count, 3, 2, 2)."""
    rng = np.random.default_rng(seed)
    shape = (count, 3, 2, 2 * likelihood.parameters)
    return (spread * rng.normal(size=shape)).astype("float32")


@pytest.mark.parametrize("spread", [0.1, 1.0, 6.0])
def test_the_levels_of_a_discretised_logistic_share_exactly_one(spread):
    likelihood = DiscretisedLogistic()
    params = parameters(likelihood, spread=spread)[:, :1, :1, ::2]  # one grey pixel each
    levels = np.arange(256, dtype="float32").reshape(256, 1, 1, 1) / 255.0
    mass = [
        math.fsum(np.exp(numpy(likelihood.log_prob(levels, np.tile(one, (256, 1, 1, 1))))))
        for one in params
    ]
    np.testing.assert_allclose(mass, 1.0, atol=2e-3)


def test_a_discretised_logistic_is_finite_however_far_off():
    likelihood = DiscretisedLogistic()
    x = np.array([0.0, 1.0, 0.5, 1 / 255], "float32").reshape(4, 1, 1, 1)
    for mean, raw in ((-40.0, -50.0), (40.0, -50.0), (0.5, 50.0), (3.0, -3.0)):
        params = np.tile(np.array([mean, raw], "float32"), (4, 1, 1, 1))
        assert np.isfinite(numpy(likelihood.log_prob(x, params))).all()


def test_bits_per_dimension_of_what_is_known_exactly_are_none_and_of_noise_eight():
    likelihood = DiscretisedLogistic()
    x = np.full((1, 4, 4, 1), 128 / 255.0, "float32")
    sharp = np.concatenate([x, np.full_like(x, -50.0)], axis=-1)
    flat = np.concatenate([x, np.full_like(x, 9.0)], axis=-1)
    sharp, flat = (
        float(likelihood.bits_per_dimension(likelihood.log_prob(x, p)[0], 16))
        for p in (sharp, flat)
    )
    assert sharp < 0.5
    assert flat > 8
    with pytest.raises(ValueError, match=r"bits per dimension need .* Received: Gaussian"):
        Gaussian().bits_per_dimension(-1.0, 16)


@pytest.mark.parametrize("name", ["gaussian", "gaussian-fixed", "gaussian-pixel"])
def test_gaussians_are_scipys(name):
    likelihood = resolve_likelihood(name, sigma=0.4)
    params = parameters(likelihood)
    x = np.random.default_rng(1).normal(size=(5, 3, 2, 2)).astype("float32")
    sigma = np.full_like(x, 0.4)
    if name == "gaussian-pixel":
        sigma = numpy(likelihood.standard_deviation(params))
        assert sigma.std() > 0.05
    expected = stats.norm.logpdf(x, params[..., :2], sigma).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(numpy(likelihood.log_prob(x, params)), expected, rtol=1e-4)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_what_is_masked_counts_for_nothing_and_the_rest_as_alone(name):
    likelihood = resolve_likelihood(name)
    params = parameters(likelihood)
    rng = np.random.default_rng(2)
    x = rng.uniform(size=(5, 3, 2, 2)).astype("float32")
    mask = rng.uniform(size=(5, 3, 2, 1)) < 0.5
    other = np.where(mask, x, rng.uniform(size=x.shape)).astype("float32")
    seen = numpy(likelihood.log_prob(x, params, mask))
    np.testing.assert_allclose(seen, numpy(likelihood.log_prob(other, params, mask)), rtol=1e-5)
    unseen = numpy(likelihood.log_prob(x, params, ~mask))
    np.testing.assert_allclose(
        seen + unseen, numpy(likelihood.log_prob(x, params)), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_draws_have_the_mean_and_are_as_likely_as_any(name):
    likelihood = resolve_likelihood(name)
    params = np.repeat(parameters(likelihood, 1, spread=0.4), 4000, axis=0)
    if name == "discretised-logistic":
        params[..., :2] = 0.5 + 0.1 * params[..., :2]  # away from black and white
    drawn = numpy(likelihood.sample(params, seed=3))
    assert drawn.shape == (4000, 3, 2, 2)
    np.testing.assert_allclose(drawn.mean(axis=0), numpy(likelihood.mean(params))[0], atol=0.05)
    # A draw is likelier than one of a distribution that lies elsewhere.
    own = numpy(likelihood.log_prob(drawn, params)).mean()
    assert own > numpy(likelihood.log_prob(drawn, params + 0.5)).mean()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_likelihood_is_saved_with_what_it_is(name):
    likelihood = resolve_likelihood(name)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    params = parameters(likelihood)
    x = np.full((5, 3, 2, 2), 0.25, "float32")
    np.testing.assert_array_equal(likelihood.log_prob(x, params), again.log_prob(x, params))
    assert len(again.trainable_variables) == (name == "gaussian")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`sigma` must be greater .* Received: sigma=0.001"):
        PixelGaussian(sigma=0.001)
    with pytest.raises(ValueError, match=r"`scale` must be above 0. Received: scale=0"):
        DiscretisedLogistic(scale=0)
    with pytest.raises(ValueError, match=r"\"gaussian-pixel\".* Received: likelihood='cauchy'"):
        resolve_likelihood("cauchy")
