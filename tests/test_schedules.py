"""beta and capacity over training, and free bits."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.schedules import CapacityRise, CyclicalAnnealing, WarmUp
from vae_tf.vae import VAE


def tiny(**kwargs):
    vae = VAE.for_vectors(6, latent_dim=3, hidden=(8,), seed=0, **kwargs)
    vae.compile("adam")
    return vae


X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")


@settings(deadline=None, max_examples=50)
@given(steps=st.integers(1, 500), beta=st.floats(0, 10), at=st.integers(0, 1000))
def test_a_warm_up_rises_evenly_to_its_weight(steps, beta, at):
    warm_up = WarmUp(steps, beta)
    assert warm_up.value(0) == 0
    assert 0 <= warm_up.value(at) <= warm_up.value(at + 1) <= beta
    assert warm_up.value(steps) == pytest.approx(beta)
    assert CapacityRise(steps, beta).value(at) == pytest.approx(warm_up.value(at))


@settings(deadline=None, max_examples=50)
@given(cycles=st.integers(1, 6), length=st.integers(2, 60), rise=st.floats(0.1, 1))
def test_cycles_begin_at_nothing_and_end_at_full_weight(cycles, length, rise):
    cyclical = CyclicalAnnealing(cycles * length, cycles, rise, beta=2.0)
    values = np.array([cyclical.value(step) for step in range(cycles * length)])
    values = values.reshape(cycles, length)
    np.testing.assert_allclose(values, np.tile(values[:1], (cycles, 1)), atol=1e-6)
    assert values[0, 0] == 0
    assert (np.diff(values[0]) >= 0).all()
    assert cyclical.value(cycles * length) == 2.0


def test_training_follows_the_schedule_and_a_resumed_one_goes_on():
    vae = tiny()
    history = vae.fit(X, epochs=3, batch_size=16, verbose=0, callbacks=[WarmUp(10)]).history
    np.testing.assert_allclose(history["beta"], [0.3, 0.7, 1.0], atol=1e-6)
    resumed = tiny()
    resumed.fit(X, epochs=1, batch_size=16, verbose=0, callbacks=[WarmUp(10)])
    history = resumed.fit(X, epochs=1, batch_size=16, verbose=0, callbacks=[WarmUp(10)]).history
    np.testing.assert_allclose(history["beta"], [0.7], atol=1e-6)


def test_free_bits_make_the_first_nats_of_each_latent_free():
    plain, free = tiny(), tiny(free_bits=100.0)
    free.set_weights(plain.get_weights())
    got = free.evaluate(X, batch_size=64, verbose=0, return_dict=True)
    # Far from used up, so each latent costs just these.
    assert got["loss"] == pytest.approx(got["reconstruction"] + 3 * 100.0, rel=1e-5)
    assert got["kl"] < 100.0  # what is logged is the KL as it is
    barely = tiny(free_bits=1e-9)
    barely.set_weights(plain.get_weights())
    got = barely.evaluate(X, batch_size=64, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(got["reconstruction"] + got["kl"], rel=1e-5)


@pytest.mark.slow
def test_free_bits_keep_latents_in_use_that_would_collapse():
    keras.utils.set_random_seed(0)
    kl = {}
    for free_bits in (0.0, 0.5):
        vae = tiny(free_bits=free_bits, beta=50.0)
        vae.compile(keras.optimizers.Adam(1e-2))
        vae.fit(X, epochs=25, batch_size=32, verbose=0)
        kl[free_bits] = vae.evaluate(X, verbose=0, return_dict=True)["kl"]
    assert kl[0.0] < 0.2
    assert 0.5 < kl[0.5] < 3 * 0.5 + 0.4


@pytest.mark.slow
def test_capacity_draws_the_kl_to_it():
    keras.utils.set_random_seed(0)
    vae = tiny(capacity=0.0, beta=50.0)
    vae.compile(keras.optimizers.Adam(1e-2))
    vae.fit(X, epochs=40, batch_size=32, verbose=0, callbacks=[CapacityRise(20, nats=2.0)])
    assert float(vae.capacity) == 2.0
    kl = vae.evaluate(X, batch_size=64, verbose=0, return_dict=True)["kl"]
    assert kl == pytest.approx(2.0, abs=0.4)


def test_bad_arguments_are_named():
    for make in (WarmUp, CyclicalAnnealing, lambda steps: CapacityRise(steps, 1.0)):
        with pytest.raises(ValueError, match="`steps` must be a whole number, 1 or more"):
            make(0)
    with pytest.raises(ValueError, match=r"`cycles` must be from 1 to `steps`. Received: cycles=9"):
        CyclicalAnnealing(4, cycles=9)
    with pytest.raises(ValueError, match="`rise` must be above 0"):
        CyclicalAnnealing(4, rise=0)
    with pytest.raises(ValueError, match=r"`nats` must be 0 or more. Received: nats=-1"):
        CapacityRise(4, -1)
    with pytest.raises(ValueError, match=r"CapacityRise needs a model with .*`capacity=0.0`"):
        tiny().fit(X, epochs=1, verbose=0, callbacks=[CapacityRise(4, 1.0)])
    for name in ("free_bits", "capacity"):
        with pytest.raises(ValueError, match=f"`{name}` must be 0 or more. Received: {name}=-1"):
            tiny(**{name: -1.0})
