"""The detector on pictures."""

import numpy as np
import pytest

from edge.errors import UserError
from edge.score import judge
from vae_tf.data import Pictures
from vae_tf.data.surfaces_render import render
from vae_tf.defects import with_defects
from vae_tf.detector import Detector
from vae_tf.run import Run
from vae_tf.scores import BATCH


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


def test_a_detector_fitted_again_has_forgotten_what_it_learnt_before(detector, good):
    one, other = as_pictures(good[:100]), as_pictures(with_defects(good[100:200]))
    again = Detector(detector.vae).fit(one)
    before = again.score_samples(one)
    after = again.fit(other).score_samples(one)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, Detector(detector.vae).fit(other).score_samples(one), 1e-5)


def test_verdicts_follow_scores_and_thresholds(detector, good):
    calibration = detector.calibrated
    spread = np.concatenate([good[:40], with_defects(good[:60])])
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
    calibrated = Detector(detector.vae, detector.by)
    calibrated.calibrate(as_pictures(good[:100]), rate=0.1)
    alarms = np.mean([v == "fail" for v in calibrated.predict(as_pictures(good[100:]))])
    assert 0.02 <= alarms <= 0.21  # three standard deviations over both draws


def test_no_verdict_without_a_threshold(detector, good):
    fresh = Detector(detector.vae)
    with pytest.raises(UserError, match="call `calibrate` first"):
        fresh.predict(as_pictures(good[:8]))


def test_no_score_before_it_has_seen_good_pictures(detector, good):
    with pytest.raises(UserError, match="call `fit` first"):
        Detector(detector.vae, "latent-density").score_samples(as_pictures(good[:8]))


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
    outputs = {n: v.numpy() for n, v in detector.outputs(good[:5]).items()}
    expected = [judge({n: v[i] for n, v in outputs.items()}, detector.score)[1] for i in range(5)]
    np.testing.assert_allclose(detector.score_samples(as_pictures(good[:5])), expected, rtol=1e-5)


def test_reconstructions_are_pictures(detector, good):
    again = detector.reconstruct(as_pictures(good[:40]))
    assert again.dtype == np.uint8
    assert again.shape == (40, 16, 16, 1)
    assert np.abs(again.astype(int) - good[:40]).mean() < 40  # of the grey scale
