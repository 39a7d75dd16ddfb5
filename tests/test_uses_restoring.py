"""Denoise, restore, impute: what was damaged comes back, intervals hold what they promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from vae_tf.family.denoising import DenoisingVAE
from vae_tf.uses.damages import FILL, Damage, with_damage
from vae_tf.uses.impute import impute, interval_factor
from vae_tf.uses.metrics import coverage, psnr, rmse
from vae_tf.uses.restore import before_and_after, restore
from vae_tf.vae import VAE

SHAPE = (16, 16, 1)


def waves(n, seed=0, channels=1):
    """Soft waves of another phase and light each, uint8 (n, 16, 16, C)."""
    rng = np.random.default_rng(seed)
    phase, light, tilt = rng.uniform(0.3, 3.0, (3, n, 1, 1))
    y, x = np.mgrid[:16, :16]
    picture = 0.5 + 0.15 * light * np.sin(phase + 0.4 * x + 0.15 * tilt * y)
    return np.repeat((255 * picture).astype("uint8")[..., None], channels, axis=-1)


def fitted(damage, epochs=10):
    keras.utils.set_random_seed(1)
    vae = DenoisingVAE.for_pictures(SHAPE, 4, widths=(8, 16), seed=1, damage=damage)
    vae.compile(keras.optimizers.Adam(3e-3))
    vae.history = vae.fit(waves(256), epochs=epochs, batch_size=16, verbose=0).history
    return vae


@pytest.fixture(scope="module")
def denoiser():
    return fitted("noise=0.3")


@pytest.fixture(scope="module")
def filler():
    return fitted("missing=0.5")


@pytest.fixture(scope="module")
def plain():
    keras.utils.set_random_seed(1)
    vae = VAE.for_pictures(SHAPE, 4, widths=(8, 16), seed=1)
    vae.compile(keras.optimizers.Adam(3e-3))
    vae.fit(waves(256), epochs=40, batch_size=16, verbose=0)
    return vae


# Damage


@pytest.mark.parametrize("words", ["noise=0.3", "blur=1.5", "photo=1", "missing=0.5"])
@pytest.mark.parametrize("channels", [1, 3])
def test_damage_repeats_with_its_seed_and_stays_a_picture(words, channels):
    x = waves(4, channels=channels)
    how = Damage.parse(words)
    hurt = with_damage(x, how, seed=1)
    assert hurt.shape == x.shape and hurt.dtype == np.float32
    assert 0.0 <= hurt.min() <= hurt.max() <= 1.0
    assert np.abs(hurt - x / 255.0).mean() > 0.003
    np.testing.assert_array_equal(hurt, with_damage(x, how, seed=1))
    if words != "blur=1.5":
        assert np.abs(hurt - with_damage(x, how, seed=2)).max() > 0.01
        assert np.abs(hurt[0] - x[0] / 255.0 - hurt[1] + x[1] / 255.0).max() > 0.01


def test_damage_is_as_strong_as_it_says():
    grey = np.full((8, 32, 32, 1), 0.5, np.float32)
    noise = with_damage(grey, Damage(noise=0.1)) - grey
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    white = np.ones((8, 32, 32, 3), np.float32)
    gone = with_damage(white, Damage(missing=0.3)) == np.float32(FILL)
    assert gone.mean() == pytest.approx(0.3, abs=0.03)
    assert (gone.any(axis=-1) == gone.all(axis=-1)).all()
    step = np.repeat([[0.0] * 16 + [1.0] * 16], 32, axis=0).reshape(1, 32, 32, 1)
    soft = with_damage(step, Damage(blur=2.0))
    assert soft.mean() == pytest.approx(0.5, abs=0.01)
    assert 0.1 < np.diff(soft[0, 16, :, 0]).max() < 0.25  # 1 / (2 sqrt(2 pi))


kinds = st.dictionaries(
    st.sampled_from(["noise", "blur", "photo", "missing"]),
    st.sampled_from([0.1, 0.25, 0.5, 1.0]),
    min_size=1,
)


@given(kinds)
def test_words_for_damage_are_read_as_they_are_written(values):
    how = Damage(**values)
    assert Damage.parse(str(how)) == how


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rain", "expected a list of noise=SIGMA.*got 'rain'"),
        ("noise=much", "expected a number in 'noise=much'"),
        ("missing=1.5", "expected missing above 0, up to 1, got 1.5"),
        ("blur=0", "expected blur above 0"),
        ("", "got ''"),
    ],
)
def test_wrong_damage_is_named(words, message):
    with pytest.raises(ValueError, match=message):
        Damage.parse(words)


# Restore


def test_denoising_gains_what_it_should(denoiser):
    done = before_and_after(denoiser, waves(32, seed=9), Damage(noise=0.3))
    assert done.figures["psnr_after"] > done.figures["psnr_before"] + 5
    assert done.figures["ssim_after"] > done.figures["ssim_before"]
    assert done.restored.shape == done.clean.shape
    assert np.mean(psnr(done.clean, done.restored)) == pytest.approx(done.figures["psnr_after"])


def test_any_member_restores_by_what_it_knows(plain):
    x = waves(8, seed=9)
    hurt = with_damage(x, Damage(noise=0.3))
    np.testing.assert_allclose(
        restore(plain, hurt), np.clip(plain.reconstruct(hurt), 0, 1), atol=1e-5
    )


def test_the_refiner_is_trained_and_bends_no_codes(denoiser):
    history = denoiser.history
    assert history["refined"][-1] < 0.5 * history["refined"][0]
    x = tf.constant(waves(8))
    with tf.GradientTape() as tape:
        restored = denoiser.restore(x)
        loss = tf.reduce_mean(restored)
    assert all(g is not None for g in tape.gradient(loss, denoiser.refiner.trainable_variables))


def test_a_denoiser_is_saved_whole(denoiser, tmp_path):
    denoiser.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    x = waves(4)
    assert loaded.damage == denoiser.damage == Damage(noise=0.3)
    np.testing.assert_array_equal(loaded.restore(x), denoiser.restore(x))


def test_a_denoiser_takes_clean_pictures_alone(denoiser):
    with pytest.raises(ValueError, match="clean pictures alone"):
        denoiser.fit(waves(8), waves(8), verbose=0)


# Impute


def gaps(x, share=0.5, seed=0):
    return np.random.default_rng(seed).random(x.shape[:3]) < share


@pytest.mark.parametrize("how", [None, "gibbs", "importance"])
def test_filling_gaps_beats_the_mean(plain, how):
    x = waves(12, seed=9)
    missing = gaps(x)
    done = impute(plain, x, missing, draws=4, how=how, rounds=10)
    truth = x / 255.0
    mean = np.broadcast_to((waves(256) / 255.0).mean(axis=0), x.shape)
    assert rmse(done.x, truth, done.missing) < 0.75 * rmse(mean, truth, done.missing)
    np.testing.assert_allclose(done.x[~done.missing], truth[~done.missing], atol=1e-6)
    assert (done.draws[:, ~done.missing] == done.draws[0][~done.missing]).all()
    assert done.spread[done.missing].mean() > 0 == done.spread[~done.missing].max()


@pytest.mark.slow
def test_one_who_learnt_to_fill_gaps_fills_them_better(filler, plain):
    x = waves(24, seed=9)
    missing, truth = gaps(x), x / 255.0
    ours = impute(filler, x, missing, draws=4)
    gibbs = impute(plain, x, missing, draws=4, how="gibbs", rounds=10)
    assert rmse(ours.x, truth, ours.missing) < rmse(gibbs.x, truth, ours.missing)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_cover_as_stated(filler, level):
    x, other = waves(60, seed=9), waves(60, seed=10)
    factor = interval_factor(impute(filler, x, gaps(x)), x, level)
    done = impute(filler, other, gaps(other, seed=1))
    low, high = done.interval(factor)
    assert coverage(low, high, other / 255.0, done.missing) == pytest.approx(level, abs=0.06)
    assert (low[~done.missing] == high[~done.missing]).all()


@pytest.mark.slow
def test_gaps_are_told_in_any_way(filler):
    x = waves(3)
    column = np.zeros((16, 16), bool)
    column[:, 4] = True
    ways = [column, np.stack([column] * 3), column[..., None], np.stack([column[..., None]] * 3)]
    filled = [impute(filler, x, way, draws=2).x for way in ways]
    holed = x / np.float32(255)
    holed[:, :, 4] = np.nan
    filled.append(impute(filler, holed, draws=2).x)
    for other in filled[1:]:
        np.testing.assert_allclose(other, filled[0], atol=1e-6)
    assert np.isfinite(filled[0]).all()


@pytest.mark.slow
def test_vectors_have_gaps_too():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 1)).astype("float32")
    x = z @ np.array([[1.0, -1.0, 0.5, 2.0]], "float32") + 0.1 * rng.normal(size=(600, 4))
    keras.utils.set_random_seed(0)
    vae = VAE.for_vectors(4, latent_dim=2, hidden=(16,), seed=0)
    vae.compile(keras.optimizers.Adam(1e-2))
    vae.fit(x[:500], epochs=15, batch_size=20, verbose=0)
    holed = x[500:].astype("float32")
    holed[:, 3] = np.nan
    for how in ("variational", "gibbs", "importance"):
        done = impute(vae, holed, how=how)
        assert rmse(done.x, x[500:], done.missing) < 0.5 * x[:, 3].std()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"missing": np.ones((2, 16, 16), bool)}, "every value of example 0 is missing"),
        ({"missing": np.zeros((2, 16, 15), bool)}, r"Received: missing of shape \(2, 16, 15\)"),
        ({"missing": np.zeros((3, 16, 16, 1), bool)}, r"must have shape \(2, 16, 16, 1\)"),
        ({"missing": np.zeros((2, 16, 16), "uint8")}, "`missing` must be bool"),
        ({"draws": 0}, "`draws` must be 1 or more"),
        ({"rounds": 0}, "`rounds` must be 1 or more"),
        ({"how": "guess"}, "`how` must be one of variational, gibbs, importance"),
        ({"label": 1}, "trained without labels"),
    ],
)
def test_wrong_gaps_are_named(plain, arguments, message):
    with pytest.raises(ValueError, match=message):
        impute(plain, waves(2), **arguments)


def test_data_of_another_shape(plain):
    with pytest.raises(ValueError, match=r"`x` must have shape \(n, 16, 16, 1\)"):
        impute(plain, np.zeros((2, 8, 8, 1)))
    done = impute(plain, waves(2), gaps(waves(2)), draws=1, rounds=1)
    with pytest.raises(ValueError, match="`level` must be between 0 and 1"):
        interval_factor(done, waves(2), 1.0)
    with pytest.raises(ValueError, match="`truth` must be shaped"):
        interval_factor(done, waves(3))
