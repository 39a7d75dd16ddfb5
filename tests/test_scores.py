"""The ways of scoring: each on a trained model, and what each learns from good pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from edge.errors import UserError
from edge.score import judge
from vae_tf.data import Pictures
from vae_tf.data.surfaces_render import render
from vae_tf.defects import with_defects
from vae_tf.density import Density, fit_density
from vae_tf.detector import Detector
from vae_tf.run import Run
from vae_tf.scores import SCORES, NormalisedError, make_score, scores_of
from vae_tf.vae import VAE


def as_pictures(images):
    return Pictures(images, [str(i) for i in range(len(images))], ["good"] * len(images))


@pytest.fixture(scope="module")
def vae(run_folder):
    return Run.open(run_folder).load_vae()


@pytest.fixture(scope="module")
def good():
    """Good parts of the kind that `run_folder` was trained on, none of which it has seen."""
    images = [render("good", np.random.default_rng([98, i]), size=64)[0] for i in range(120)]
    halves = np.stack(images).reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
    return np.rint(halves).astype(np.uint8)[..., None]


@pytest.mark.parametrize("name", SCORES)
def test_every_score_tells_gross_damage_from_good_pictures(name, vae, good):
    by = make_score(vae, name).fit(as_pictures(good[:80]))
    damaged = good[80:].copy()
    damaged[:, 8:24, 6:26] = 255 * (np.indices((16, 20)).sum(axis=0) // 4 % 2)[..., None]
    detector = Detector(vae, by)
    before = detector.score_samples(as_pictures(good[80:]))
    after = detector.score_samples(as_pictures(damaged))
    assert np.isfinite(before).all()
    assert np.mean(after[:, None] > before[None]) > 0.8  # the AUROC
    maps = by.outputs(tf.constant(good[:4]))["anomaly_map"].numpy()
    assert maps.shape == (4, 32, 32)
    assert (maps >= 0).all()
    assert by.has_map == bool(maps.any())


@pytest.mark.parametrize("name", SCORES)
def test_what_is_learnt_is_all_that_is_needed_again(name, vae, good):
    first = make_score(vae, name).fit(as_pictures(good[:60]))
    again = make_score(vae, name, first.arrays)
    assert again.spec == first.spec
    for output, expected in first.outputs(tf.constant(good[:3])).items():
        np.testing.assert_array_equal(again.outputs(tf.constant(good[:3]))[output], expected)


def test_parts_add_up_only_beyond_their_knees(vae, good):
    by = make_score(vae).fit(as_pictures(good))
    assert by.name == "combined"
    assert set(by.spec.knees) == {"anomaly_map", "features"}
    usual = {name: np.zeros((32, 32) if name == "anomaly_map" else 16) for name in by.spec.knees}
    assert judge(usual, by.spec)[1] < 0.2
    for name in by.spec.knees:
        unusual = {**usual, name: usual[name] + 50.0}
        height = 50.0 if name == "anomaly_map" else 200.0
        expected = by.spec.weights.get(name, 1.0) * (height - by.spec.knees[name])
        assert judge(unusual, by.spec)[1] == pytest.approx(expected, abs=0.2)


@pytest.mark.slow
def test_the_vector_counts_the_more_the_less_the_map_finds(vae, good):
    trained = make_score(vae).fit(as_pictures(good)).spec.weights["features"]
    logits = vae.head.get_layer("logits")
    before = logits.get_weights()
    logits.set_weights([np.zeros_like(before[0]), before[1]])  # marks all places alike
    try:
        blind = make_score(vae).fit(as_pictures(good)).spec.weights["features"]
    finally:
        logits.set_weights(before)
    assert 2.0 <= trained <= blind == 10.0


def test_a_place_that_looks_like_none_of_a_good_picture_stands_out(vae, good):
    by = make_score(vae).fit(as_pictures(good))
    foreign = good[:8].copy()
    foreign[:, 8:20, 8:20] = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 1), np.uint8)
    of = {
        name: by.vae.examine(tf.constant(x))["places"]
        for name, x in (("good", good[:8]), ("foreign", foreign))
    }
    unusual = {
        name: tf.image.resize(by._unusual(places)[..., None], (32, 32)).numpy()
        for name, places in of.items()
    }
    inside, outside = unusual["foreign"][:, 10:18, 10:18], unusual["foreign"][:, 24:, 24:]
    assert inside.mean() > 1.5 * unusual["good"].mean()
    assert inside.mean() > 1.2 * outside.mean()


def test_the_graph_measures_from_the_nearest_kind(vae, good):
    by = make_score(vae, "features")
    by.of_a_kind = 16
    by.fit(as_pictures(good))
    density = Density(*(by.arrays[f"features_{name}"] for name in Density._fields))
    assert len(density.centres) == len(good) // 16 > 1
    damaged = with_defects(good[:8], 0)
    seen = vae.examine(tf.constant(damaged))
    features = np.concatenate([seen[part] for part in ("means", "maxima", "z_mean")], axis=1)
    np.testing.assert_allclose(
        by.outputs(tf.constant(damaged))["features"], density.whitened(features), atol=1e-3
    )


def test_a_run_whose_detector_scored_otherwise_is_refused(run_folder, tmp_path):
    old = Path(shutil.copytree(run_folder, tmp_path / "run"))
    with np.load(old / "detector.npz") as arrays:
        kept = {name: x for name, x in arrays.items() if not name.endswith("reach")}
    np.savez(old / "detector.npz", **kept)
    with pytest.raises(UserError, match=r"fitted by an earlier version, .*; train again"):
        Run.open(old).load_detector()


def test_a_plain_vae_has_no_head_to_ask(good):
    plain = VAE.for_pictures((16, 16, 1), latent_dim=4, seed=0)
    assert scores_of(plain)[-1] == "normalised-error"
    assert make_score(plain).name == "normalised-error"
    with pytest.raises(UserError, match=r"expected a score of .*squared-error.*got 'head'"):
        make_score(plain, "head")


# Errors by place


class Stub:
    """Stands for a VAE that is off by `error` grey levels, (H, W), at each place."""

    def __init__(self, error):
        self.error = np.asarray(error, np.float32)
        self.encoder = self
        self.input_shape = (None, *self.error.shape, 1)

    def reconstruct(self, image):
        return (tf.cast(image, tf.float32) - self.error[..., None]) / 255.0


GREY = as_pictures(np.full((960, 24, 24, 1), 128, np.uint8))


def fitted(error) -> Detector:
    stub = Stub(error)
    return Detector(stub, NormalisedError(stub)).fit(GREY)


def test_errors_are_measured_against_what_good_pictures_show_there():
    error = np.full((24, 24), 4.0)
    error[:, 12:] = 40.0
    maps = fitted(error).examine(GREY).heatmaps
    # The halves differ tenfold; measured so, a good picture is about 1 in both.
    assert 0.5 < maps[:, :, :10].min() <= maps[:, :, :10].max() < 1.1
    assert 0.9 < maps[:, :, 14:].min() <= maps[:, :, 14:].max() < 1.1


def test_the_scale_has_a_floor_where_good_pictures_never_differ():
    np.testing.assert_allclose(fitted(np.zeros((24, 24))).by.scale, 0.5 / 255)
    error = np.zeros((24, 24))
    error[:, 18:] = 100.0
    scale = fitted(error).by.scale
    assert scale.min() >= 0.2 * 0.2 * 100 / 255  # a fifth of the mean
    assert scale.max() == pytest.approx(100 / 255, rel=0.02)


def test_fit_forgets_an_earlier_scale():
    detector = fitted(np.full((24, 24), 10.0))
    first = detector.by.scale.copy()
    detector.score_samples(GREY)
    np.testing.assert_allclose(detector.fit(GREY).by.scale, first)
    detector.vae.error = np.full((24, 24), 20.0, np.float32)
    np.testing.assert_allclose(detector.fit(GREY).by.scale, 2 * first, rtol=1e-5)
    np.testing.assert_allclose(detector.score_samples(GREY), 1.0, rtol=1e-4)


# Density


@pytest.mark.parametrize("count", [8, 40, 1000])
def test_unusual_directions_count_and_loud_ones_do_not(count):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 12))
    x[:, 0] *= 100.0  # loud
    x[:, 1] = x[:, 2] + 0.01 * x[:, 1]  # always together
    density, held_out = fit_density(x, np.zeros(12))
    middle = np.median(held_out)

    def length(vector):
        return np.linalg.norm(density.whitened(vector))

    loud, apart = np.zeros(12), np.zeros(12)
    loud[0] = 100.0
    apart[1:3] = 3.0, -3.0
    assert length(loud) < middle + 1.5
    assert length(apart) > length(loud)
    assert np.percentile(held_out, 97) - middle == pytest.approx(1.0)


def test_what_varies_less_than_the_noise_tells_nothing():
    x = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 1.0, 1e-4]
    deaf, _ = fit_density(x, np.array([0.0, 0.0, 0.1]))
    keen, _ = fit_density(x, np.zeros(3))
    off = np.array([0.0, 0.0, 5e-4])
    moved = [np.linalg.norm(d.whitened(off)) for d in (deaf, keen)]
    still = [np.linalg.norm(d.whitened(np.zeros(3))) for d in (deaf, keen)]
    assert moved[0] - still[0] < 0.5
    assert moved[1] - still[1] > 2


def test_every_precision_has_the_same_weights():
    x = np.random.default_rng(0).normal(size=(300, 9)) * np.tile([0.1, 2.0, 30.0], 3)
    x[:, 1] += x[:, 0]
    density, _ = fit_density(x, np.zeros(9), ends=[4])
    for of_part in np.split(density.weights, [4]):
        steps = of_part / np.maximum(np.abs(of_part).max(axis=0), 1e-12) * 127
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


@pytest.mark.parametrize("kinds", [1, 4, 8])
def test_what_lies_between_kinds_of_good_pictures_is_unusual(kinds):
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(kinds, 12)) * 20.0
    x = rng.permutation(np.concatenate([m + rng.normal(size=(80, 12)) for m in middles]))
    density, held_out = fit_density(x, np.zeros(12), of_a_kind=16)
    usual = np.linalg.norm(density.whitened(middles), axis=1)
    assert (usual < np.median(held_out)).all()
    between = (middles + np.roll(middles, 1, axis=0)) / 2
    if kinds > 1:
        lengths = np.linalg.norm(density.whitened(between), axis=1)
        assert (lengths > np.percentile(held_out, 99) + 1.5).all()


def test_what_is_thrown_far_off_counts_up_to_a_bound():
    x = np.random.default_rng(0).normal(size=(400, 12))
    density, held_out = fit_density(x, np.zeros(12), ends=[5])
    directions = np.random.default_rng(1).normal(size=(50, 12))
    far, further = (np.linalg.norm(density.whitened(a * directions), axis=1) for a in (1e6, 1e9))
    np.testing.assert_allclose(far, further, rtol=1e-3)
    # Two parts of twelve directions, each within the bound.
    assert far.max() <= 2 * density.bound * np.sqrt(12) * (1 + 1e-6)
    one = np.linalg.norm(density.whitened(np.eye(12) * 1e3), axis=1)
    assert (one > np.percentile(held_out, 99)).all(), "a single one still fails a picture"


def test_features_that_never_vary_are_no_reason_to_fail():
    density, held_out = fit_density(np.ones((20, 5)), np.zeros(5))
    assert np.isfinite(density.matrix).all()
    assert np.isfinite(held_out).all()
