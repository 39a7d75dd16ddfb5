"""PSNR, SSIM, Frechet distance, coverage; and pictures laid out."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vae_tf.uses import sheet
from vae_tf.uses.frechet import classifier, features, frechet_distance, predicted
from vae_tf.uses.metrics import coverage, psnr, rmse, ssim


def noise(n=4, side=32, seed=0):
    return np.random.default_rng(seed).random((n, side, side, 1))


@given(st.floats(0.01, 0.5))
def test_psnr_is_known_for_a_constant_error(error):
    x = np.full((2, 8, 8, 1), 0.25)
    np.testing.assert_allclose(psnr(x, x + error), -20 * np.log10(error), rtol=1e-6)


def test_equal_pictures_are_as_near_as_can_be():
    x = noise()
    np.testing.assert_allclose(psnr(x, x), 100.0)
    np.testing.assert_allclose(ssim(x, x), 1.0)
    assert rmse(x, x) == 0.0


def test_bytes_and_floats_mean_the_same():
    x = (noise() * 255).astype(np.uint8)
    y = (noise(seed=1) * 255).astype(np.uint8)
    np.testing.assert_allclose(psnr(x, y), psnr(x / 255.0, y / 255.0))
    np.testing.assert_allclose(ssim(x, y), ssim(x / 255.0, y))


def test_ssim_sees_structure_where_psnr_sees_none():
    x = noise(side=64)
    lighter = x * 0.8 + 0.1
    apart = noise(side=64, seed=1)
    assert (ssim(x, lighter) > 0.9).all()
    assert (np.abs(ssim(x, apart)) < 0.15).all()


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match="must have one shape"):
        psnr(np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 5, 1)))


def test_coverage_counts_where_it_should():
    x = np.array([[0.0, 1.0, 2.0, 3.0]])
    off = x + np.array([[0, 0, 2, 2]])
    assert coverage(x - 1, x + 1, x) == 1.0
    assert coverage(x - 1, x + 1, off) == 0.5
    assert coverage(x - 1, x + 1, off, x < 2) == 1.0


@given(st.floats(0.0, 3.0), st.floats(0.3, 3.0))
def test_the_distance_of_two_gaussians_is_known(shift, scale):
    """Between N(0, 1) and N(m, s): m squared + (1 - s) squared, for each feature."""
    z = np.random.default_rng(0).standard_normal((4000, 3))
    z = (z - z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False))).T
    expected = 3 * (shift**2 + (1 - scale) ** 2)
    assert frechet_distance(z, shift + scale * z) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_features_that_cannot_be_compared():
    with pytest.raises(ValueError, match="must be features"):
        frechet_distance(np.zeros((4, 3)), np.zeros((4, 2)))


def test_the_classifier_learns_and_its_features_are_read():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256)
    x = rng.random((256, 16, 16, 1)).astype(np.float32) * 0.5
    x[labels == 1, :8] += 0.5
    net = classifier((16, 16, 1), 2)
    net.fit(x, labels, epochs=4, batch_size=16, verbose=0)
    assert (predicted(net, x) == labels).mean() > 0.95
    seen = features(net, x)
    assert seen.shape == (256, 64)
    same = frechet_distance(seen[::2], seen[1::2])
    assert same < 0.5 * frechet_distance(seen[labels == 0], seen[labels == 1])


# Pictures


def test_tiles_of_whatever_there_is():
    grey = sheet.tiles(np.zeros((2, 16, 16, 1)))
    assert grey.dtype == np.uint8 and grey.shape == (2, 64, 64, 3)
    colour = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(sheet.tiles(colour, side=2), colour)
    drawn = sheet.tiles(np.sin(np.linspace(0, 9, 50))[None, :, None])
    assert drawn.shape[0] == 1 and drawn.min() < 120 < drawn.max()
    assert sheet.tiles(np.random.default_rng(0).random((3, 7))).shape[0] == 3


def test_every_picture_is_on_the_grid():
    pictures = np.stack([np.full((4, 4, 3), 10 * i, np.uint8) for i in range(1, 8)])
    laid = sheet.grid(pictures, columns=3)
    assert laid.shape == (3 * 6 + 2, 3 * 6 + 2, 3)
    for i in range(1, 8):
        assert (laid == 10 * i).all(axis=2).sum() == 16
    with pytest.raises(ValueError, match="one or more"):
        sheet.grid(pictures[:0])


def test_rows_bear_their_words():
    row = np.zeros((3, 40, 40, 3), np.uint8)
    bare = sheet.rows_of([row, row], ["", ""])
    labelled = sheet.rows_of([row, row], ["given", "a longer word"], ["1", "2", "3"])
    assert labelled.shape[0] > bare.shape[0] and labelled.shape[1] > bare.shape[1] + 40


def test_a_film_goes_there_and_back(tmp_path):
    frames = np.stack([np.full((8, 8, 3), 40 * i, np.uint8) for i in range(5)])
    sheet.save_gif(tmp_path / "film.gif", frames)
    with Image.open(io.BytesIO((tmp_path / "film.gif").read_bytes())) as film:
        assert film.n_frames == 8
        film.seek(5)
        assert film.convert("L").getpixel((0, 0)) == 120
