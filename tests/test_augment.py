"""Augmentation: what a list says, what the pictures bear out, and what is done to them."""

import numpy as np
import pytest
import tensorflow as tf

from edge.errors import UserError
from vae_tf.augment import Augmentation, augment, suggest
from vae_tf.data import Pictures
from vae_tf.data.surfaces_render import render


def as_pictures(images):
    return Pictures(images, [str(i) for i in range(len(images))], ["good"] * len(images))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Augmentation()),
        ("mirror", Augmentation(mirror=True)),
        ("flip,rotation", Augmentation(flip=True, rotation=5.0)),
        ("rotation=12, shift=0.05,brightness=0.2", Augmentation(False, False, 12, 0.05, 0.2)),
    ],
)
def test_a_list_is_read_and_written_alike(text, expected):
    assert Augmentation.parse(text) == expected
    assert Augmentation.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("turn", "expected auto, none, or a list of mirror, flip"),
        ("mirror=2", "got 'mirror=2'"),
        ("rotation=far", "expected a number in 'rotation=far', as rotation=5"),
        ("rotation=-3", "expected rotation from 0 to 180, got -3"),
        ("shift=nan", "expected shift from 0 to 0.5"),
        ("", "got ''"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(text, words):
    with pytest.raises(UserError) as caught:
        Augmentation.parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_symmetry_is_taken_from_the_pictures():
    rng = np.random.default_rng(0)
    across = rng.uniform(40, 200, (60, 32, 1, 1)) + rng.normal(0, 4, (60, 32, 32, 1))
    left_bright = across + np.linspace(60, 0, 32)[:, None]
    told = suggest(as_pictures(np.clip(across, 0, 255).astype(np.uint8)))
    assert told.mirror
    told = suggest(as_pictures(np.clip(left_bright, 0, 255).astype(np.uint8)))
    assert not told.mirror
    parts = np.stack([render("good", np.random.default_rng(i), size=48)[0] for i in range(60)])
    told = suggest(as_pictures(parts[..., None]))
    assert not told.mirror  # the holes are on the left
    assert not told.flip  # the number is at the bottom


def test_brightness_follows_the_pictures_own():
    steady = np.full((40, 16, 16, 1), 120, np.uint8)
    varied = np.linspace(40, 240, 40).astype(np.uint8)[:, None, None, None] * np.ones_like(steady)
    assert suggest(as_pictures(steady)).brightness == 0
    assert 0.1 < suggest(as_pictures(varied)).brightness < 0.5


def discs(places, rng) -> np.ndarray:
    """A disc with a hole, at each of some places; places: (n, 2), rows and columns."""
    rows, columns = np.mgrid[:60, :80]
    away = [np.hypot(rows - y, columns - x) for y, x in places]
    pictures = np.stack([np.where((a < 18) & (a > 6), 200.0, 60.0) for a in away])
    return np.clip(pictures + rng.normal(0, 4, pictures.shape), 0, 255).astype(np.uint8)[..., None]


@pytest.mark.parametrize("spread", [0.02, 0.04])
def test_parts_are_moved_as_far_as_they_are_seen_to_lie(spread):
    rng = np.random.default_rng(0)
    middle = np.array([30, 40])
    moved = discs(middle + rng.normal(0, 60 * spread, (50, 2)), rng)
    told = suggest(as_pictures(moved)).shift
    assert told == pytest.approx(2 * spread, rel=0.4)
    many = discs(middle + rng.normal(0, 60 * spread, (400, 2)), rng)
    assert suggest(as_pictures(many)).shift < told  # they show it themselves


def test_parts_are_moved_a_little_where_nothing_tells_how_far():
    rng = np.random.default_rng(0)
    in_place = discs(np.full((40, 2), 30), rng)
    textures = rng.integers(0, 256, (40, 60, 80, 1)).astype(np.uint8)
    anywhere = discs(rng.uniform(0, 60, (40, 2)), rng)
    for pictures in (in_place, textures, anywhere):
        assert suggest(as_pictures(pictures)).shift == 0.02


def test_few_pictures_bear_out_no_symmetry():
    told = suggest(as_pictures(np.full((5, 16, 16, 3), 90, np.uint8)))
    assert not told.mirror
    assert not told.flip


def test_nothing_asked_nothing_done():
    x = tf.random.stateless_uniform((4, 16, 20, 3), [0, 0])
    np.testing.assert_array_equal(augment(x, [1, 2], Augmentation()), x)


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(mirror=True, flip=True),
        Augmentation(rotation=10.0),
        Augmentation(shift=0.1),
        Augmentation(brightness=0.3),
        Augmentation(True, True, 20.0, 0.2, 0.2),
    ],
    ids=str,
)
def test_pictures_change_and_stay_pictures(how):
    x = tf.random.stateless_uniform((16, 24, 40, 1), [0, 0])
    changed = augment(x, [1, 2], how).numpy()
    assert changed.shape == x.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed != x.numpy()).any(axis=(1, 2, 3)).mean() >= 0.5
    np.testing.assert_array_equal(augment(x, [1, 2], how), changed)
    assert (augment(x, [1, 3], how).numpy() != changed).any()


def test_mirrored_pictures_are_mirror_images():
    x = tf.random.stateless_uniform((64, 16, 20, 1), [0, 0]).numpy()
    changed = augment(x, [5, 6], Augmentation(mirror=True)).numpy()
    same = (changed == x).all(axis=(1, 2, 3))
    mirrored = (changed == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.2 < mirrored.mean() < 0.8


def test_a_shift_moves_whole_pixels_and_mirrors_what_comes_in():
    x = tf.random.stateless_uniform((32, 20, 30, 1), [0, 0]).numpy()
    changed = augment(x, [5, 6], Augmentation(shift=0.1)).numpy()
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="symmetric")
    for i in range(len(x)):
        windows = [padded[i, r : r + 20, c : c + 30] for r in range(5) for c in range(5)]
        assert any((changed[i] == w).all() for w in windows)


def test_a_rotation_turns_about_the_middle():
    ramp = np.tile(np.linspace(0, 1, 41, dtype=np.float32), (41, 1))[None, ..., None]
    x = np.repeat(ramp, 64, axis=0)
    changed = augment(x, [1, 1], Augmentation(rotation=30.0)).numpy()
    np.testing.assert_allclose(changed[:, 20, 20], x[:, 20, 20], atol=0.02)
    slopes = changed[:, 28, 20, 0] - changed[:, 12, 20, 0]
    expected = np.sin(np.radians(30)) * 16 / 40
    assert np.abs(slopes).max() <= expected + 0.02
    assert np.abs(slopes).max() > 0.7 * expected
