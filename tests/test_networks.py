"""The parts of a VAE: networks that fit each other at any size and stay small; likelihoods."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.blocks import default_widths
from vae_tf.layers import Bound
from vae_tf.likelihoods import Bernoulli, Gaussian
from vae_tf.networks import (
    conv_decoder,
    conv_encoder,
    dense_decoder,
    dense_encoder,
)

numpy = keras.ops.convert_to_numpy
SIDES = st.integers(16, 70)


@settings(max_examples=8, deadline=None)
@given(height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]), parameters=st.integers(1, 2))
def test_the_decoder_mirrors_the_encoder_at_any_size(height, width, channels, parameters):
    shape = (height, width, channels)
    codes = conv_encoder(shape, 3)(np.zeros((2, *shape), "float32"))
    assert codes["z_mean"].shape == codes["z_log_var"].shape == (2, 3)
    params = conv_decoder(shape, 3, parameters=parameters)(codes["z_mean"])
    assert params.shape == (2, height, width, channels * parameters)


@given(height=st.integers(16, 2000), width=st.integers(16, 2000))
def test_the_dense_part_sees_a_small_picture(height, width):
    halvings = len(default_widths((height, width, 1)))
    small = [math.ceil(side / 2**halvings) for side in (height, width)]
    assert min(small) <= 8
    assert math.prod(small) <= 160 or min(small) <= 4


def test_the_default_at_128_px_fits_the_device():
    models = [conv_encoder((128, 128, 1), 64), conv_decoder((128, 128, 1), 64)]
    assert sum(model.count_params() for model in models) < 1e6
    assert 50e6 < sum(_multiply_adds(model) for model in models) < 80e6


def test_nothing_in_the_networks_is_hard_to_quantise():
    models = [conv_encoder((33, 28, 1), 4), conv_decoder((33, 28, 1), 4)]
    kinds = {type(layer).__name__ for model in models for layer in model.layers}
    assert kinds <= {
        *("InputLayer", "Conv2D", "BatchNormalization", "ReLU", "Dense", "Flatten", "Reshape"),
        *("UpSampling2D", "Cropping2D", "Bound"),
    }


def test_widths_set_the_depth():
    encoder = conv_encoder((32, 32, 1), 4, widths=(8, 12, 20))
    convolutions = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions[:-1]] == [8, 12, 20]
    assert convolutions[-1].output.shape[:3] == (None, 4, 4)


def test_the_neck_is_as_wide_as_asked_for_or_as_a_million_weights_allow():
    def neck(shape, latent_dim, **options):
        convolutions = [
            layer.filters
            for layer in conv_encoder(shape, latent_dim, **options).layers
            if isinstance(layer, keras.layers.Conv2D)
        ]
        return convolutions[-1]

    assert neck((28, 28, 1), 2, neck=5) == 5
    assert 16 <= neck((128, 128, 1), 64) < neck((128, 128, 1), 16) <= neck((28, 28, 1), 2)
    with pytest.raises(ValueError, match=r"`neck` must be a whole number, 1 or more"):
        conv_decoder((28, 28, 1), 2, neck=0)


def test_vectors():
    codes = dense_encoder(7, 2, hidden=(5, 4))(np.zeros((3, 7), "float32"))
    assert codes["z_mean"].shape == codes["z_log_var"].shape == (3, 2)
    assert dense_decoder(7, 2, hidden=(5, 4), parameters=2)(codes["z_mean"]).shape == (3, 14)


def test_a_seed_decides_the_weights():
    def weights(seed):
        return conv_encoder((16, 16, 1), 2, seed=seed).get_weights()

    assert all(map(np.array_equal, weights(1), weights(1)))
    assert not all(map(np.array_equal, weights(1), weights(2)))
    keras.utils.set_random_seed(5)
    first = weights(None)
    keras.utils.set_random_seed(5)
    assert all(map(np.array_equal, first, weights(None)))


def test_z_log_var_stays_bounded_for_wild_input():
    encoder = dense_encoder(4, 3, hidden=(8,), seed=1)
    x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32") * 1e6
    for training in (False, True):
        z_log_var = numpy(encoder(x, training=training)["z_log_var"])
        assert z_log_var.min() == -12.0
        assert z_log_var.max() == 12.0


def test_what_is_out_of_bounds_can_be_learned_back():
    layer = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), Bound(-1.0, 1.0)])
    layer.set_weights([np.array([[1.0]]), np.array([5.0])])
    layer.compile(keras.optimizers.SGD(0.1), loss="mse")
    x = np.zeros((60 * 8, 1), "float32")
    layer.fit(x, x, batch_size=8, verbose=0)
    assert abs(layer.predict(x[:1], verbose=0)).max() < 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv_encoder((15, 40, 1), 2), r"`shape` .* at least 16 px. Received: .*15, 40, 1"),
        (lambda: conv_decoder((40, 40), 2), r"`shape` must be \(height, width, channels\)"),
        (lambda: conv_encoder((40, 40, 0), 2), r"`shape` must be \(height, width, channels\)"),
        (lambda: conv_encoder(40, 2), r"`shape` must be .*Received: shape=40"),
        (lambda: conv_encoder((16, 16, 1), 0), r"`latent_dim` must be .* Received: latent_dim=0"),
        (lambda: conv_decoder((16, 16, 1), 2.5), r"`latent_dim` must be .* latent_dim=2.5"),
        (lambda: conv_encoder((16, 16, 1), 2, widths=()), r"`widths` must have 1 to 3 entries"),
        (lambda: conv_encoder((16, 16, 1), 2, widths=(8,) * 4), r"`widths` must have 1 to 3"),
        (lambda: conv_decoder((16, 16, 1), 2, widths=(8, 0)), r"`widths` must be .*widths=0"),
        (lambda: conv_decoder((16, 16, 1), 2, parameters=0), r"`parameters` must be"),
        (lambda: dense_encoder(0, 2), r"`size` must be .* Received: size=0"),
        (lambda: dense_decoder(4, 0), r"`latent_dim` must be .* Received: latent_dim=0"),
        (lambda: dense_decoder(4, 2, hidden=8), r"`hidden` must be a tuple .*hidden=8"),
        (lambda: Bound(1.0, 1.0), r"`low` must be below `high`"),
    ],
)
def test_errors_name_what_was_expected_and_what_came(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@settings(max_examples=30, deadline=None)
@given(
    sigma=st.floats(0.01, 5.0),
    offset=st.floats(-3.0, 3.0),
    shape=st.sampled_from([(2, 7), (1, 3, 2), (3, 4, 5, 2)]),
)
def test_gaussian_log_prob_is_the_formula_summed(sigma, offset, shape):
    mean = np.random.default_rng(0).normal(size=shape)
    x = mean + offset * sigma
    expected = -0.5 * offset**2 - math.log(sigma) - 0.5 * math.log(2.0 * math.pi)
    got = numpy(Gaussian(sigma).log_prob(x, mean))
    assert got.shape == shape[:1]
    np.testing.assert_allclose(got, expected * math.prod(shape[1:]), rtol=1e-3, atol=1e-3)


def test_sigma_is_bounded_softly_below():
    likelihood = Gaussian(1.0)
    likelihood.raw_log_sigma.assign(-100.0)
    assert numpy(likelihood.log_sigma) == pytest.approx(-6.0, abs=1e-4)


def test_bernoulli_probabilities_of_all_pictures_add_up_to_one():
    logits = np.random.default_rng(0).normal(size=(1, 3)) * 4
    pictures = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T.astype("float32")
    log_prob = numpy(Bernoulli().log_prob(pictures, np.repeat(logits, 8, axis=0)))
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-5)


def test_bernoulli_survives_extreme_logits():
    log_prob = Bernoulli().log_prob(np.array([[0.0], [1.0]]), np.array([[1e4], [1e4]]))
    np.testing.assert_allclose(numpy(log_prob), [-1e4, 0.0])


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5)], ids=["bernoulli", "gaussian"])
def test_draws_have_the_mean_that_is_claimed(likelihood):
    params = np.tile(np.array([[-1.0, 0.5]], "float32"), (20000, 1))
    draws = numpy(likelihood.sample(params, seed=3))
    np.testing.assert_allclose(draws.mean(0), numpy(likelihood.mean(params))[0], atol=0.02)


def _multiply_adds(model):
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total
