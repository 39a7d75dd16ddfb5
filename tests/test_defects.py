"""Synthetic defects: what they leave alone, what they change, and that they say where."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_tf.data.surfaces_render import render
from vae_tf.defects import damage, with_defects


def pictures(seed, count, height, width, channels):
    """Smooth and grainy grey areas, away from black and white."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.2, 0.8, (count, 3, 3, channels)).astype(np.float32)
    smooth = tf.image.resize(coarse, (height, width)).numpy()
    grain = rng.normal(0, 0.01, (count, height, width, channels))
    return np.clip(smooth + grain, 0, 1).astype(np.float32)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    height=st.integers(16, 90),
    width=st.integers(16, 90),
    channels=st.sampled_from([1, 3]),
    count=st.integers(1, 5),
)
def test_pictures_stay_pictures_and_weights_tell_where(seed, height, width, channels, count):
    clean = pictures(seed, count, height, width, channels)
    before = clean.copy()
    damaged, weight = (v.numpy() for v in damage(clean, [seed, 1]))
    np.testing.assert_array_equal(clean, before)
    assert damaged.shape == clean.shape
    assert damaged.min() >= 0
    assert damaged.max() <= 1
    assert weight.shape == (count, height, width, 1)
    assert np.isfinite(damaged).all()
    assert ((weight == 0) | ((weight >= 0.029) & (weight <= 4))).all()
    # A pixel that is marked has changed, or one beside it has.
    changed = np.abs(damaged - clean).max(axis=-1, keepdims=True)
    near = tf.nn.max_pool2d(changed, 3, 1, "SAME").numpy()
    assert (near[weight > 0] > 0.005).all()
    # One that has plainly changed is marked.
    assert (weight[changed > 0.25] > 0).mean() > 0.95 if (changed > 0.25).any() else True


def test_one_seed_gives_the_same_defects_and_another_gives_others():
    clean = pictures(0, 8, 48, 64, 1)
    one, again, other = (damage(clean, seed) for seed in ([3, 4], [3, 4], [3, 5]))
    np.testing.assert_array_equal(one.pictures, again.pictures)
    np.testing.assert_array_equal(one.weight, again.weight)
    assert (one.pictures.numpy() != other.pictures.numpy()).any(axis=(1, 2, 3)).mean() > 0.5


def test_a_share_is_left_clean():
    clean = pictures(1, 400, 24, 24, 1)
    damaged, weight = (v.numpy() for v in damage(clean, [0, 0], clean=0.3))
    untouched = (damaged == clean).all(axis=(1, 2, 3))
    # 0.3, and those of the others on which no shape fell: 0.88 * 0.5 * 0.5 * 0.65 of them
    assert 0.3 <= untouched.mean() <= 0.55
    assert not weight[untouched].any()
    assert (damage(clean, [0, 0], clean=1.0).pictures.numpy() == clean).all()


def test_defects_are_of_many_sizes_and_small_ones_weigh_more():
    clean = pictures(2, 300, 64, 64, 1)
    weight = damage(clean, [1, 1]).weight.numpy()
    areas = (weight > 0).mean(axis=(1, 2, 3))
    marked = areas > 0
    assert marked.mean() > 0.5
    assert np.quantile(areas[marked], 0.1) < 0.01
    assert np.quantile(areas[marked], 0.9) > 0.15
    per_pixel = weight.sum(axis=(1, 2, 3))[marked] / (weight[marked] > 0).sum(axis=(1, 2, 3))
    small, large = per_pixel[areas[marked] < 0.02], per_pixel[areas[marked] > 0.4]
    assert small.mean() > 1.5 * large.mean()


def test_dark_pictures_get_defects_that_can_be_seen_in_them():
    dark = pictures(3, 200, 48, 48, 1) * 0.2
    assert (damage(dark, [0, 0]).weight.numpy() > 0).any(axis=(1, 2, 3)).mean() > 0.4


def test_defects_in_uint8_for_those_who_want_to_look():
    images = np.stack([render("good", np.random.default_rng(i), size=64)[0] for i in range(6)])
    images = images[..., None]
    damaged = with_defects(images, seed=5)
    assert damaged.dtype == np.uint8
    assert damaged.shape == images.shape
    np.testing.assert_array_equal(with_defects(images, seed=5), damaged)
    assert (with_defects(images, seed=6) != damaged).any()
    assert with_defects(images[:1]).shape == (1, 64, 64, 1)


@pytest.mark.parametrize("shape", [(2, 16, 16, 1), (3, 17, 31, 3)])
def test_the_batch_may_be_unknown_beforehand(shape):
    spec = tf.TensorSpec((None, *shape[1:]), tf.float32)
    graph = tf.function(lambda x: damage(x, [1, 2]), input_signature=[spec])
    clean = pictures(4, *shape)
    np.testing.assert_allclose(
        graph(clean).pictures, damage(clean, [1, 2]).pictures, rtol=1e-4, atol=1e-5
    )
