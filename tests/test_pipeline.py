"""The main job from the command line: train, evaluate, export, check."""

import json

import pytest
from conftest import run_python


def verdicts_of(*arguments):
    done = run_python("-m", "edge", "check", *arguments)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_from_pictures_to_verdicts(pictures, bundle, tmp_path):
    verdicts = verdicts_of(bundle, pictures / "test", "--heatmaps", tmp_path)
    assert len(verdicts) == 32
    assert {"source", "score", "p_value", "verdict", "ms"} <= verdicts[0].keys()
    assert len(list(tmp_path.glob("*.png"))) == 32


def whole_job(data, out, *options):
    """A few hundred steps on real data: the figures of `evaluate`."""
    run = out / "run"
    train = ("--preset", "quick", "--steps", 300, "--size", 32, *options)
    run_python("-m", "vae_tf", "train", data, run, *train)
    run_python("-m", "vae_tf", "evaluate", run, data, "--json", out / "figures.json")
    figures = json.loads((out / "figures.json").read_bytes())
    assert figures["n_good"] > 0
    assert figures["n_bad"] > 0
    assert 0 <= figures["image_auroc"] <= 1
    assert 0 <= figures["false_alarm_rate"] <= 1
    assert 0 <= figures["miss_rate"] <= 1
    run_python("-m", "export", run, out)
    run_python("-m", "edge", "selftest", out / "bundle")
    return figures


@pytest.mark.slow
def test_a_real_picture_folder(shared_data, tmp_path):
    aliens = shared_data / "aliens"
    whole_job(aliens, tmp_path)
    good = verdicts_of(tmp_path / "bundle", aliens / "test" / "good")
    assert good
    assert all(v["verdict"] in ("pass", "warn", "fail") for v in good)


@pytest.mark.slow
def test_one_class_of_a_tfds_set(shared_data, tmp_path):
    options = ("--data-dir", shared_data / "tfds", "--normal-class", 7, "--limit", 1000)
    figures = whole_job("tfds:fashion_mnist", tmp_path, *options)
    assert figures["pixel_auroc"] is None
    assert len(figures["by_kind"]) == 9
    assert figures["image_auroc"] > 0.6  # far from chance even so
