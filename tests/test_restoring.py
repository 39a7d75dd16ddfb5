"""A VAE that restores, and its head: training, saving, and what it is asked for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_tf.augment import Augmentation
from vae_tf.data.surfaces_render import render
from vae_tf.defects import damage
from vae_tf.head import discrepancy_head
from vae_tf.layers import ComparingConv2D, int8_rounded
from vae_tf.restoring import RestoringVAE, head_loss
from vae_tf.run import Run

SHAPE = (32, 32, 1)


@pytest.fixture(scope="module")
def good():
    images = [render("good", np.random.default_rng([97, i]), size=32)[0] for i in range(160)]
    return np.stack(images)[..., None]


def compiled(seed=0, **kwargs) -> RestoringVAE:
    vae = RestoringVAE.for_pictures(SHAPE, latent_dim=8, seed=seed, **kwargs)
    vae.compile(keras.optimizers.Adam(3e-3))
    return vae


@pytest.fixture(scope="module")
def trained(good):
    vae = RestoringVAE.for_pictures(
        SHAPE, latent_dim=8, seed=0, augmentation=Augmentation(shift=0.03, brightness=0.1)
    )
    vae.compile(keras.optimizers.Adam(3e-3), steps_per_execution=8)
    vae.history_ = vae.fit(good[:128], batch_size=16, epochs=60, verbose=0).history
    return vae


@pytest.mark.slow
def test_both_parts_learn(trained):
    history = trained.history_
    assert history["loss"][-1] < history["loss"][0] - 500
    assert np.mean(history["head"][-5:]) < 0.92 * np.mean(history["head"][:3])


@pytest.mark.slow
def test_the_head_marks_the_damage(trained, good):
    clean = tf.constant(good[128:], tf.float32) / 255
    damaged, weight = damage(clean, [7, 7])
    seen = trained.examine(damaged)
    logits = tf.image.resize(seen["logits"][..., None], SHAPE[:2]).numpy()
    inside = weight.numpy() > 0
    assert logits[inside].mean() > logits[~inside].mean() + 1


@pytest.mark.slow
def test_reconstructions_are_nearer_to_the_clean_picture_than_the_damaged_one_is(trained, good):
    clean = tf.constant(good[128:], tf.float32) / 255
    damaged, weight = damage(clean, [7, 8])
    gross = tf.cast((weight > 0) & (tf.abs(damaged - clean) > 0.25), tf.float32)
    restored = trained.reconstruct(damaged)
    before = tf.reduce_sum(gross * tf.abs(damaged - clean)) / tf.reduce_sum(gross)
    after = tf.reduce_sum(gross * tf.abs(restored - clean)) / tf.reduce_sum(gross)
    assert after < 0.7 * before


def test_what_it_says_does_not_depend_on_the_type_of_the_pictures(good):
    vae = compiled()
    one, other = vae.examine(good[:3]), vae.examine(good[:3] / np.float32(255))
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-5, atol=1e-5)
    assert one["logits"].shape == (3, *vae.head_size)
    assert one["reconstruction"].shape == (3, *SHAPE)


@pytest.mark.slow
def test_it_is_saved_whole(good, tmp_path):
    vae = compiled(augmentation=Augmentation(shift=0.03, brightness=0.1))
    vae.fit(good[:16], batch_size=16, verbose=0)
    vae.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.augmentation == Augmentation(shift=0.03, brightness=0.1)
    for name, value in vae.examine(good[:3]).items():
        np.testing.assert_allclose(again.examine(good[:3])[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_one_seed_one_training(good):
    losses = [
        compiled(seed=s).fit(good[:48], batch_size=16, epochs=2, shuffle=False, verbose=0).history
        for s in (3, 3, 4)
    ]
    assert losses[0] == losses[1]
    assert losses[0]["head"] != losses[2]["head"]


@pytest.mark.slow
def test_evaluation_meets_the_same_defects_each_time(trained, good):
    one, two = (trained.evaluate(good[128:], verbose=0, return_dict=True) for _ in range(2))
    # The VAE's own noise is drawn anew; the head's input follows it a little.
    assert one["head"] == pytest.approx(two["head"], rel=0.1)


@pytest.mark.parametrize(("levels", "least", "most"), [(2, 0.1, 2), (20, 2, 20), (0, -1, 1e-4)])
def test_it_sees_a_cameras_noise_and_is_asked_for_pictures_without(levels, least, most):
    seen, asked = [], []

    class Watched(RestoringVAE):
        def infer(self, x, *args):
            seen.append(x.numpy())
            return super().infer(x, *args)

        def draw(self, target, *args, **kwargs):
            asked.append(target.numpy())
            return super().draw(target, *args, **kwargs)

    vae = Watched.for_pictures(SHAPE, latent_dim=8, seed=0, noise=levels / 255)
    vae.compile(keras.optimizers.Adam(3e-3), run_eagerly=True)
    vae.fit(np.full((64, *SHAPE), 128, np.uint8), batch_size=64, verbose=0)
    grey_levels = 255 * np.median(np.abs(seen[0] - 128 / 255), axis=(1, 2, 3))
    assert least < np.median(grey_levels) < most
    assert np.unique(asked[0]).size == 1


def test_pairs_are_refused(good):
    with pytest.raises(ValueError, match=r"takes good pictures alone.*call `fit\(x\)`"):
        compiled().fit(good[:16], good[:16], verbose=0)


@pytest.mark.parametrize("shape", [(16, 16, 1), (28, 28, 1), (40, 24, 3), (67, 129, 1)])
def test_a_head_for_every_size(shape):
    head = discrepancy_head(shape, seed=0)
    seen = head(tf.zeros((2, *shape[:2], 2 * shape[2])))
    step = 1 if min(shape[:2]) <= 48 else 2
    assert seen["logits"].shape == (2, -(-shape[0] // step), -(-shape[1] // step), 1)
    assert seen["means"].shape == seen["maxima"].shape
    assert (seen["means"].numpy() <= seen["maxima"].numpy()).all()


@pytest.mark.parametrize(("channels", "strides"), [(2, 1), (6, 2)])
def test_what_is_computed_from_differences_is_a_convolution(channels, strides, tmp_path):
    keras.utils.set_random_seed(2)  # some draws are of little else than zeros
    of = {"strides": strides, "padding": "same", "activation": "relu", "bias_initializer": "normal"}
    x = np.random.default_rng(0).random((2, 9, 12, channels), np.float32)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, ComparingConv2D(5, 3, **of)(inputs))
    model.save(tmp_path / "model.keras")
    plain = keras.layers.Conv2D(5, 3, **of)
    plain.build(x.shape)
    plain.set_weights(model.get_weights())
    expected = plain(x).numpy()
    first, second = np.split(x, 2, axis=-1)
    x = np.concatenate([first, first - second], axis=-1)
    assert expected.std() > 0.1
    for of_it in (model, keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_allclose(of_it(x), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 2, 16), (3, 3, 6, 16), (1, 1, 2, 3), (5, 5, 2, 4)])
def test_rounded_weights_are_int8s_and_keep_the_sums_of_windows(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    kernel[..., 0] = 0.0  # a filter that has died
    rounded = int8_rounded(kernel)
    step = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    live = step > 0
    steps = rounded[..., live] / step[live]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(steps).max(axis=(0, 1, 2)) == pytest.approx(127)  # int8's own step is the same
    assert (np.abs(rounded - kernel) <= step * 1.001).all()
    sums = (rounded - kernel).sum(axis=(0, 1))
    assert (np.abs(sums) <= step * 0.501).all()
    np.testing.assert_allclose(int8_rounded(rounded), rounded, rtol=1e-6)


def test_a_trained_head_has_the_weights_that_int8_has(run_folder):
    head = Run.open(run_folder).load_vae().head
    kernels = [x.kernel_of_difference for x in head.layers if isinstance(x, ComparingConv2D)]
    assert len(kernels) == 1
    np.testing.assert_allclose(int8_rounded(kernels[0]), kernels[0], rtol=1e-5, atol=1e-7)


def test_a_flat_picture_stays_flat_when_rounded(good):
    vae = compiled()
    layer = next(x for x in vae.head.layers if isinstance(x, ComparingConv2D))
    of_first, of_second = np.split(np.array(layer.kernel), 2, axis=2)
    of_first -= (of_first + of_second).mean(axis=(0, 1), keepdims=True)  # sees differences alone
    layer.kernel.assign(np.concatenate([of_first, of_second], axis=2))
    flat = np.full((1, *SHAPE[:2], 2), [1.0, 0.0], np.float32)
    inside = layer(flat)[0, 2:-2, 2:-2].numpy()
    vae.round_kernels()
    again = layer(flat)[0, 2:-2, 2:-2].numpy()
    assert np.abs(again - inside).max() < 0.6 / 127 * np.abs(layer.kernel_of_difference).max()
    outputs = vae.examine(good[:3])
    vae.round_kernels()
    np.testing.assert_allclose(vae.examine(good[:3])["logits"], outputs["logits"], atol=1e-4)


def test_the_loss_falls_as_the_mark_comes_nearer():
    weight = np.zeros((1, 32, 32, 1), np.float32)
    weight[:, 8:12, 8:20] = 2.0
    right = np.where(weight > 0, 6.0, -6.0).astype(np.float32)
    losses = [
        float(head_loss(tf.constant(share * right), tf.constant(weight))[0])
        for share in (-1, 0, 0.5, 1)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.05
    aside = float(head_loss(tf.constant(np.roll(right, 8, 1)), tf.constant(weight))[0])
    assert aside > losses[-1]


def test_a_pixel_of_a_small_defect_weighs_more():
    logits = tf.fill((1, 32, 32, 1), -6.0)
    small, large = np.zeros((2, 1, 32, 32, 1), np.float32)
    small[:, 4:6, 4:6] = 4.0
    large[:, :16] = 0.3
    per_pixel = [
        (float(head_loss(logits, tf.constant(w))[0]) - 0.5) / np.count_nonzero(w)
        for w in (small, large)
    ]
    assert per_pixel[0] > 5 * per_pixel[1]
