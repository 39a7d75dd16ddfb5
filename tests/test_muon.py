"""The optimiser: what a step of it is, and that it is kept with a model."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.muon import Muon, orthogonal


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_directions_stay_and_become_equally_long(rows, columns, seed, scale):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    u, values, vt = np.linalg.svd(matrix, full_matrices=False)
    values = np.linspace(1, 0.05, len(values))  # none so small that five steps do not do
    made = np.asarray(orthogonal((scale * (u * values) @ vt).astype(np.float32)))
    assert np.linalg.svd(made, compute_uv=False) == pytest.approx(1, abs=0.35)
    across = u.T @ made @ vt.T
    assert np.abs(across - np.diag(np.diag(across))).max() < 0.02


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (30, 20), (3, 3, 2, 4)])
def test_a_step_is_as_long_as_the_learning_rate_says_whatever_the_gradient(shape):
    rng = np.random.default_rng(0)
    lengths = []
    for scale in (1e-4, 1.0, 1e4):
        weights = keras.Variable(np.zeros(shape, np.float32))
        Muon(0.1).apply([scale * keras.ops.array(rng.normal(size=shape), "float32")], [weights])
        lengths.append(float(np.sqrt(np.mean(np.square(weights)))))
    # Half the columns' directions are missing where there are more inputs than outputs.
    assert lengths == pytest.approx([0.2 * 0.1] * 3, rel=0.3)


def test_what_is_no_matrix_moves_as_adam_moves_it():
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=5).astype(np.float32) for _ in range(20)]
    moved = []
    for optimizer in (Muon(0.01), keras.optimizers.Adam(0.01)):
        vector, kernel = keras.Variable(np.ones(5, np.float32)), keras.Variable(np.ones((5, 1)))
        for g in gradients:
            optimizer.apply([keras.ops.array(g), keras.ops.array(g[:, None])], [vector, kernel])
        moved.append(np.asarray(vector))
        np.testing.assert_allclose(np.asarray(kernel)[:, 0], np.asarray(vector), rtol=1e-5)
    np.testing.assert_allclose(*moved, rtol=1e-5)


def test_it_is_saved_with_a_model_and_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 3))
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(3)])
    model.compile(Muon(keras.optimizers.schedules.CosineDecay(0.01, 100), momentum=0.9), "mse")
    model.fit(x, y, shuffle=False, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, Muon)
    assert again.optimizer.momentum == 0.9
    for each in (model, again):
        each.fit(x, y, shuffle=False, epochs=3, verbose=0)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_that_is_none(momentum):
    with pytest.raises(ValueError, match=r"`momentum` must be in \[0, 1\)"):
        Muon(momentum=momentum)
