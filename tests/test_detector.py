"""The detector on pictures, and the synthetic defects that its graphs are checked with."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UserError
from edge.score import score_map
from vae_tf.data import Pictures
from vae_tf.data.surfaces_render import render
from vae_tf.defects import with_defects
from vae_tf.detector import BATCH, Detector
from vae_tf.run import Run


def as_pictures(images):
    return Pictures(images, [str(i) for i in range(len(images))], ["good"] * len(images))


@pytest.fixture(scope="module")
def detector(tiny_run):
    return Run.open(tiny_run.folder).load_detector()


@pytest.fixture(scope="module")
def good():
    """Good parts of the kind that `tiny_run` was trained on, none of which it has seen."""
    images = [render("good", np.random.default_rng([99, i]), size=32)[0] for i in range(300)]
    halves = np.stack(images).reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4))
    return np.rint(halves).astype(np.uint8)[..., None]


# Score and verdict


def test_a_gross_patch_raises_the_score(detector, good):
    patched = good.copy()
    patched[:, 5:10, 6:11] = 255 * (patched[:, 5:10, 6:11].mean(axis=(1, 2, 3)) < 128).reshape(
        -1, 1, 1, 1
    )
    before = detector.score_samples(as_pictures(good))
    after = detector.score_samples(as_pictures(patched))
    assert np.mean(after > before) >= 0.98


def test_the_heat_map_is_hottest_at_the_patch(detector, good):
    patched = good[:50].copy()
    patched[:, 2:6, 9:13] = np.where(patched[:, 2:6, 9:13] < 128, 255, 0)
    heat = detector.examine(as_pictures(patched)).heatmaps
    hottest = [np.unravel_index(h.argmax(), h.shape) for h in heat]
    inside = [1 <= y <= 6 and 8 <= x <= 13 for y, x in hottest]
    assert np.mean(inside) >= 0.9


def test_verdicts_follow_scores_and_thresholds(detector, good):
    calibration = detector.calibrated
    spread = np.concatenate([good[:40], with_defects(good[:60], np.random.default_rng(0))])
    scores = detector.score_samples(as_pictures(spread))
    expected = [
        "fail"
        if score > calibration.threshold
        else "warn"
        if score > calibration.warn_threshold
        else "pass"
        for score in scores
    ]
    assert detector.predict(as_pictures(spread)) == expected
    assert len(set(expected)) > 1


def test_the_false_alarm_rate_is_the_one_asked_for(detector, good):
    calibrated = Detector(detector.vae, detector.scale, detector.score)
    calibrated.calibrate(as_pictures(good[:100]), rate=0.1)
    alarms = np.mean([v == "fail" for v in calibrated.predict(as_pictures(good[100:]))])
    assert 0.02 <= alarms <= 0.21  # three standard deviations over both draws


def test_no_verdict_without_a_threshold(detector, good):
    fresh = Detector(detector.vae)
    with pytest.raises(UserError, match="call `calibrate` first"):
        fresh.predict(as_pictures(good[:8]))


def test_a_score_does_not_depend_on_its_company(detector, good):
    together = detector.examine(as_pictures(good[: BATCH + 1]))
    for i in (0, BATCH - 1, BATCH):
        alone = detector.examine(as_pictures(good[i : i + 1]))
        np.testing.assert_allclose(alone.scores[0], together.scores[i], rtol=1e-5)
        np.testing.assert_allclose(alone.heatmaps[0], together.heatmaps[i], rtol=1e-4, atol=1e-5)


def test_nothing_to_examine(detector, good):
    scored = detector.examine(as_pictures(good[:0]))
    assert scored.scores.shape == (0,)
    assert scored.heatmaps.shape == (0, 16, 16)


def test_the_score_is_that_of_the_edge(detector, good):
    maps = detector.outputs(good[:5])["anomaly_map"].numpy()
    expected = [score_map(m, detector.score)[1] for m in maps]
    np.testing.assert_allclose(detector.score_samples(as_pictures(good[:5])), expected, rtol=1e-5)


def test_reconstructions_are_pictures(detector, good):
    again = detector.reconstruct(as_pictures(good[:40]))
    assert again.dtype == np.uint8
    assert again.shape == (40, 16, 16, 1)
    assert np.abs(again.astype(int) - good[:40]).mean() < 40  # of the grey scale


# The scale


class Stub:
    """Stands for a VAE that is off by `error` grey levels, (H, W), at each place."""

    def __init__(self, error):
        self.error = np.asarray(error, np.float32)
        self.encoder = self
        self.input_shape = (None, *self.error.shape, 1)

    def reconstruct(self, image):
        return (tf.cast(image, tf.float32) - self.error[..., None]) / 255.0


GREY = as_pictures(np.full((960, 24, 24, 1), 128, np.uint8))


def test_errors_are_measured_against_what_good_pictures_show_there():
    error = np.full((24, 24), 4.0)
    error[:, 12:] = 40.0
    maps = Detector(Stub(error)).fit(GREY).examine(GREY).heatmaps
    # The halves differ tenfold; measured so, a good picture is about 1 in both.
    assert 0.5 < maps[:, :, :10].min() <= maps[:, :, :10].max() < 1.1
    assert 0.9 < maps[:, :, 14:].min() <= maps[:, :, 14:].max() < 1.1


def test_the_scale_has_a_floor_where_good_pictures_never_differ():
    nothing = Detector(Stub(np.zeros((24, 24)))).fit(GREY)
    np.testing.assert_allclose(nothing.scale, 0.5 / 255)
    error = np.zeros((24, 24))
    error[:, 18:] = 100.0
    half = Detector(Stub(error)).fit(GREY)
    assert half.scale.min() >= 0.2 * 0.2 * 100 / 255  # a fifth of the mean
    assert half.scale.max() == pytest.approx(100 / 255, rel=0.02)


def test_fit_forgets_an_earlier_scale():
    stub = Stub(np.full((24, 24), 10.0))
    detector = Detector(stub).fit(GREY)
    first = detector.scale.copy()
    detector.score_samples(GREY)
    np.testing.assert_allclose(detector.fit(GREY).scale, first)
    stub.error = np.full((24, 24), 20.0, np.float32)
    np.testing.assert_allclose(detector.fit(GREY).scale, 2 * first, rtol=1e-5)
    np.testing.assert_allclose(detector.score_samples(GREY), 1.0, rtol=1e-4)


# Synthetic defects


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(16, 80),
    width=st.integers(16, 80),
    channels=st.sampled_from([1, 3]),
)
def test_a_defect_changes_a_bounded_region(seed, height, width, channels):
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 196, (6, height, width, channels), np.uint8)
    before = images.copy()
    damaged = with_defects(images, np.random.default_rng(seed))
    assert damaged.dtype == np.uint8
    assert damaged.shape == images.shape
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(with_defects(images, np.random.default_rng(seed)), damaged)
    side = min(height, width)
    for changed in (damaged != images).any(axis=-1):
        assert changed.any()
        rows, columns = np.nonzero(changed.any(axis=1))[0], np.nonzero(changed.any(axis=0))[0]
        tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        is_patch = tall <= 0.25 * height + 1 and wide <= 0.25 * width + 1
        is_stroke = max(tall, wide) <= 0.6 * side + 3
        assert is_patch or is_stroke
        assert changed.mean() < 0.15


def test_another_seed_gives_other_defects():
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)
    one, two = (with_defects(images, np.random.default_rng(seed)) for seed in (1, 2))
    assert (one != two).any()


def test_one_picture_is_enough_for_a_defect():
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    for seed in range(40):
        assert (with_defects(image, np.random.default_rng(seed)) != image).any()
