"""Figures from scores and heat maps, and `evaluate` from the command line."""

import json
import shutil

import numpy as np
import pytest
from conftest import refused
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.metrics import average_precision_score, roc_auc_score

from edge.calibration import calibrate
from vae_tf.__main__ import main
from vae_tf.data import Pictures
from vae_tf.errors import DataError
from vae_tf.evaluate import (
    image_figures,
    per_region_overlap,
    pixel_figures,
    require_both_kinds,
    table,
)

KEYS = {  # DESIGN's contract
    *("image_auroc", "average_precision", "pixel_auroc", "pixel_pro", "false_alarm_rate"),
    *("miss_rate", "threshold", "by_kind", "n_good", "n_bad"),
}
KINDS = st.lists(st.sampled_from(["good", "pit", "crack"]), min_size=2, max_size=60).filter(
    lambda kinds: 0 < kinds.count("good") < len(kinds)
)


# Figures from scores


@settings(deadline=None)
@given(kinds=KINDS, seed=st.integers(0, 1000), rate=st.sampled_from([0.01, 0.1, 0.5]))
def test_image_figures_are_sklearns_and_counts_add_up(kinds, seed, rate):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=len(kinds)).round(1)  # with ties
    calibration = calibrate(rng.normal(size=50), rate)
    figures = image_figures(scores, kinds, calibration)
    bad = np.array([kind != "good" for kind in kinds])
    failed = scores > calibration.threshold
    assert figures["image_auroc"] == pytest.approx(roc_auc_score(bad, scores))
    assert figures["average_precision"] == pytest.approx(average_precision_score(bad, scores))
    assert figures["n_good"] == np.sum(~bad)
    assert figures["n_bad"] == np.sum(bad)
    assert round(figures["false_alarm_rate"] * figures["n_good"], 6) == np.sum(failed & ~bad)
    assert round(figures["miss_rate"] * figures["n_bad"], 6) == np.sum(~failed & bad)
    assert figures["threshold"] == calibration.threshold
    assert set(figures["by_kind"]) == set(kinds) - {"good"}
    for kind, of_kind in figures["by_kind"].items():
        mine = np.array([k == kind for k in kinds])
        assert of_kind["n"] == mine.sum()
        assert of_kind["miss_rate"] == pytest.approx(np.mean(~failed[mine]))
        among = mine | ~bad
        assert of_kind["image_auroc"] == pytest.approx(roc_auc_score(mine[among], scores[among]))
    json.dumps(figures, allow_nan=False)


def test_higher_is_more_anomalous():
    calibration = calibrate(np.linspace(0, 1, 20), 0.1)
    figures = image_figures(np.array([0.1, 0.2, 5.0, 6.0]), ["good"] * 2 + ["pit"] * 2, calibration)
    assert figures["image_auroc"] == 1.0
    assert figures["false_alarm_rate"] == 0.0
    assert figures["miss_rate"] == 0.0


@pytest.mark.parametrize("kinds", [["good"] * 3, ["pit", "crack"], []])
def test_both_kinds_are_needed(kinds):
    with pytest.raises(DataError, match="expected good and defective test pictures"):
        require_both_kinds(kinds)


# Figures from heat maps

MASKS = npst.arrays(bool, (3, 12, 10), elements=st.booleans()).filter(
    lambda masks: masks.any() and not masks.all()
)


@settings(deadline=None)
@given(masks=MASKS, seed=st.integers(0, 1000))
def test_pro_of_a_perfect_map_is_one(masks, seed):
    noise = np.random.default_rng(seed).uniform(0, 0.9, masks.shape)
    assert per_region_overlap(masks + noise, masks) == pytest.approx(1.0)


@settings(deadline=None)
@given(masks=MASKS, level=st.floats(-5, 5))
def test_pro_of_a_constant_map_is_nothing(masks, level):
    assert per_region_overlap(np.full(masks.shape, level), masks) == 0.0


@settings(deadline=None)
@given(masks=MASKS, heat=npst.arrays(np.float32, (3, 12, 10), elements=st.floats(0, 9, width=16)))
def test_pro_lies_between_none_and_all(masks, heat):
    pro = per_region_overlap(heat, masks)
    assert 0.0 <= pro <= 1.0 + 1e-9
    # Only the order of the pixels counts.
    assert per_region_overlap(heat * 3 + 1, masks) == pytest.approx(pro)


def test_pro_of_chance_is_half_the_limit():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 64, 64), bool)
    masks[:, 20:44, 20:44] = True
    # At a false-positive rate of r a map of noise covers r of each region: 0.15 on average.
    assert per_region_overlap(rng.random(masks.shape), masks) == pytest.approx(0.15, abs=0.02)


def test_pro_counts_small_regions_like_large_ones():
    masks = np.zeros((1, 40, 40), bool)
    masks[0, 2:4, 2:4] = masks[0, 10:30, 10:30] = True
    heat = np.zeros(masks.shape)
    heat[0, 10:30, 10:30] = 1.0  # finds the large one alone
    assert per_region_overlap(heat, masks) == pytest.approx(0.5, abs=0.01)


def labelled(masks, has_mask=None):
    kinds = ["pit" if mask is None or mask.any() else "good" for mask in masks]
    stack = np.stack([np.zeros((8, 8), bool) if m is None else m for m in masks])
    images = np.zeros((len(masks), 8, 8, 1), np.uint8)
    return Pictures(images, list("abcdefgh"[: len(masks)]), kinds, stack, has_mask)


CORNER = np.zeros((8, 8), bool)
CORNER[:3, :3] = True
CLEAN = np.zeros((8, 8), bool)


def test_pixel_figures_are_null_without_masks():
    nothing = {"pixel_auroc": None, "pixel_pro": None}
    heat = np.random.default_rng(0).random((2, 8, 8))
    unmasked = Pictures(np.zeros((2, 8, 8, 1), np.uint8), ["a", "b"], ["good", "pit"])
    assert pixel_figures(heat, unmasked) == nothing
    unknown = labelled([CLEAN, None], has_mask=np.array([True, False]))
    assert pixel_figures(heat, unknown) == nothing


def test_defective_pictures_without_a_mask_are_left_out():
    heat = np.stack([CLEAN, CORNER, ~CORNER]).astype(float)  # the last would spoil the figures
    known = labelled([CLEAN, CORNER, None], has_mask=np.array([True, True, False]))
    assert pixel_figures(heat, known) == {"pixel_auroc": 1.0, "pixel_pro": 1.0}


def test_masks_count_where_nothing_says_that_some_lack():
    heat = np.stack([CLEAN, CORNER]).astype(float)
    assert pixel_figures(heat, labelled([CLEAN, CORNER]))["pixel_auroc"] == 1.0


@settings(deadline=None)
@given(seed=st.integers(0, 1000))
def test_pixel_auroc_is_sklearns(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((3, 8, 8)) < 0.2
    masks[0] = False
    assume(masks.any(axis=(1, 2))[1:].all())
    heat = rng.random(masks.shape)
    got = pixel_figures(heat, labelled(list(masks)))["pixel_auroc"]
    assert got == pytest.approx(roc_auc_score(masks.ravel(), heat.ravel()))


@pytest.mark.parametrize("width", [90, 96, 105])
def test_a_sample_of_many_pixels_tells_the_same(width, monkeypatch):
    """The defects are columns: a sample that follows columns would miss them, or all else."""
    monkeypatch.setattr("vae_tf.evaluate._MAX_PIXELS", 10_000)
    rng = np.random.default_rng(0)
    masks = np.zeros((10, 30, width), bool)
    masks[5:, :, 1::15] = True
    heat = rng.random(masks.shape) + 0.5 * masks
    pictures = Pictures(
        np.zeros((10, 30, width, 1), np.uint8),
        list("abcdefghij"),
        ["good"] * 5 + ["pit"] * 5,
        masks,
    )
    got = pixel_figures(heat, pictures)["pixel_auroc"]
    assert got == pytest.approx(roc_auc_score(masks.ravel(), heat.ravel()), abs=0.03)


# The command


@pytest.fixture(scope="module")
def evaluated(tiny_run, pictures, tmp_path_factory):
    """Where `evaluate` wrote everything that it can."""
    out = tmp_path_factory.mktemp("evaluated")
    arguments = ["evaluate", tiny_run.folder, pictures, "--json", out / "figures.json"]
    arguments += ["--report", out / "report.html", "--plots", out / "plots"]
    assert main(list(map(str, arguments))) == 0
    return out


def test_json_holds_the_figures(evaluated, tiny_run):
    figures = json.loads((evaluated / "figures.json").read_bytes())
    assert figures.keys() >= KEYS
    assert (figures["n_good"], figures["n_bad"]) == (16, 16)
    assert set(figures["by_kind"]) == {"stain", "missing_edge"}
    for kind in figures["by_kind"].values():
        assert kind["n"] == 8
        assert {"image_auroc", "miss_rate"} <= kind.keys()
    for name in ("image_auroc", "average_precision", "pixel_auroc", "pixel_pro"):
        assert 0 <= figures[name] <= 1
    calibration = json.loads((tiny_run.folder / "calibration.json").read_bytes())["calibration"]
    assert figures["threshold"] == calibration["threshold"]


def test_report_and_plots_are_written(evaluated):
    report = (evaluated / "report.html").read_text()
    assert "<html" in report
    assert "AUROC" in report
    plots = {path.name for path in (evaluated / "plots").iterdir()}
    assert {"roc.png", "histograms.png"} <= plots
    assert any(name.startswith("heatmaps_") for name in plots)


def test_table_is_what_a_person_reads(evaluated, capsys):
    figures = json.loads((evaluated / "figures.json").read_bytes())
    lines = table(figures).splitlines()
    assert lines[0] == "16 good, 16 defective pictures"
    assert any("pixel AUROC" in line for line in lines)
    assert any(line.startswith("stain") for line in lines)
    without = table({**figures, "pixel_auroc": None, "pixel_pro": None})
    assert "pixel" not in without


def test_figures_are_null_where_there_are_no_masks(tiny_run, pictures, tmp_path, capsys):
    shutil.copytree(pictures / "test", tmp_path / "test")
    arguments = ["evaluate", tiny_run.folder, tmp_path, "--json", tmp_path / "f.json"]
    assert main([*map(str, arguments), "--plots", str(tmp_path / "plots")]) == 0
    figures = json.loads((tmp_path / "f.json").read_bytes())
    assert figures["pixel_auroc"] is None
    assert figures["pixel_pro"] is None
    assert figures["n_bad"] == 16
    assert capsys.readouterr().out.startswith("16 good, 16 defective pictures\n")


def test_nothing_defective_to_test_on_is_one_line(tiny_run, pictures, tmp_path, capsys):
    shutil.copytree(pictures / "test" / "good", tmp_path / "test" / "good")
    line = refused(capsys, main, "evaluate", tiny_run.folder, tmp_path)
    assert line.startswith("vae_tf evaluate: expected good and defective test pictures")
    assert "16 good and 0 defective" in line


def test_figures_that_cannot_be_written_are_one_line(tiny_run, pictures, tmp_path, capsys):
    missing = tmp_path / "nowhere" / "f.json"
    line = refused(capsys, main, "evaluate", tiny_run.folder, pictures, "--json", missing)
    assert line.startswith(f"vae_tf evaluate: cannot write {missing}")
