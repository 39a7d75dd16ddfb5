"""Training from the command line: what a run directory holds, and that the seed decides it all."""

import dataclasses
import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY, one_line_error, refused, run_python, snapshot
from PIL import Image

from edge.errors import UserError
from vae_tf.__main__ import main
from vae_tf.augment import Augmentation
from vae_tf.config import PRESETS, Config, DataConfig
from vae_tf.run import Run
from vae_tf.train import fit, train

EPOCHS = 10  # of TINY


def quiet(line):
    """Takes a line for a person and drops it."""


def tiny_config(tiny_run, **changes):
    return dataclasses.replace(Run.open(tiny_run.folder).config, **changes)


def assert_same_run(one, other):
    """The same weights, history, scores and threshold; times may differ."""
    models = [keras.saving.load_model(folder / "model.keras") for folder in (one, other)]
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("history.csv", "calibration.json", "detector.npz"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


# The run directory


def test_run_directory_holds_what_it_says(tiny_run):
    folder = tiny_run.folder
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "splits.json", "data", "checkpoint", "history.csv", "model.keras"),
        *("detector.npz", "calibration.json", "plots", "tensorboard"),
    }
    record = json.loads((folder / "config.json").read_bytes())
    assert record["format"] == 2
    assert record["config"]["steps"] == 480
    assert record["config"]["data"]["size"] == [16, 16]
    assert record["made_with"]["tensorflow"] == tf.__version__
    assert Run.open(folder).finished
    # Only the last and the best state are kept.
    states = {path.name for path in (folder / "checkpoint").iterdir()}
    assert "state.json" in states
    assert 2 <= len(states) <= 3


def test_history_has_a_line_an_epoch_and_falls(tiny_run):
    history = Run.open(tiny_run.folder).history()
    assert history["epoch"] == list(range(1, EPOCHS + 1))
    assert {"loss", "reconstruction", "kl", "active_units", "val_loss"} <= history.keys()
    assert history["loss"][-1] < history["loss"][0]
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_splits_are_disjoint_and_name_every_picture(tiny_run, pictures):
    splits = json.loads((tiny_run.folder / "splits.json").read_bytes())["splits"]
    good = splits["train"] + splits["validation"] + splits["calibration"]
    assert sorted(good) == sorted(
        str(path.relative_to(pictures)) for path in (pictures / "train").rglob("*.png")
    )
    assert len(set(good)) == len(good) == 72
    assert len(splits["test"]) == 32


def test_plots_and_tensorboard_can_be_read(tiny_run):
    for name in ("loss", "reconstructions", "samples"):
        with Image.open(tiny_run.folder / "plots" / f"{name}.png") as plot:
            assert np.ptp(np.asarray(plot)) > 0
    for part in ("train", "validation"):
        (events,) = (tiny_run.folder / "tensorboard" / part).glob("events.out.tfevents.*")
        records = [
            tf.compat.v1.Event.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(events))
        ]
        steps = {r.step for r in records for v in r.summary.value if v.tag == "epoch_loss"}
        assert len(steps) == EPOCHS


def test_saved_model_is_the_best_state_of_training(tiny_run):
    run = Run.open(tiny_run.folder)
    splits = run.load_splits()
    images = splits.test.batch(range(len(splits.test)))
    loaded = keras.saving.load_model(tiny_run.folder / "model.keras")
    trained = fit(run, splits, say=quiet)  # finished: only restores the best state
    np.testing.assert_array_equal(loaded.reconstruct(images), trained.reconstruct(images))


def test_results_on_stdout_and_only_our_lines_on_stderr(tiny_run, pictures):
    assert tiny_run.stdout == f"{tiny_run.asked}\n"
    for line in tiny_run.stderr.splitlines():
        assert not re.match(r"[A-Z]\d{4} |[A-Z]+: |.*site-packages", line), line
    assert "\nbest epoch " in tiny_run.stderr


# The seed


@pytest.mark.slow
def test_same_seed_gives_the_same_run(tiny_run, pictures, tmp_path):
    run_python("-m", "vae_tf", "train", pictures, tmp_path / "again", *TINY)
    assert_same_run(tiny_run.folder, tmp_path / "again")


def test_pictures_of_a_group_stay_together_and_count_as_one(tiny_run, tmp_path):
    config = tiny_config(tiny_run, steps=48)
    tens = dataclasses.replace(config.data, group_by=r"(\d+)\d\.png")
    run = train(dataclasses.replace(config, data=tens), tmp_path / "grouped", say=quiet)
    splits = json.loads((run.folder / "splits.json").read_bytes())["splits"]
    keys = {part: {name[:-5] for name in names} for part, names in splits.items()}
    assert not keys["calibration"] & (keys["train"] | keys["validation"])
    calibration = run.load_detector().calibrated
    assert len(calibration.groups) == len(calibration.scores) == len(splits["calibration"])
    assert calibration.parts == len(keys["calibration"])


def test_few_pictures_are_asked_for_no_more_than_they_can_show(tiny_run, tmp_path):
    assert Run.open(tiny_run.folder).load_detector().calibrated.rate == 0.05
    assert "for 5.0% false alarms" in tiny_run.stderr
    assert "ask for it with --false-alarm-rate" in tiny_run.stderr
    said = []
    config = tiny_config(tiny_run, steps=48, false_alarm_rate=0.01)
    run = train(config, tmp_path / "asked", say=said.append)
    assert run.load_detector().calibrated.rate == 0.01
    assert "for 1.0% false alarms: " in said[-1]


@pytest.mark.slow
def test_another_seed_gives_another_run(tiny_run, tmp_path):
    run = train(tiny_config(tiny_run, seed=1, steps=48), tmp_path / "other", say=quiet)
    assert run.history()["loss"][0] != Run.open(tiny_run.folder).history()["loss"][0]
    assert run.load_splits().calibration.names != (
        Run.open(tiny_run.folder).load_splits().calibration.names
    )


@pytest.mark.slow
def test_a_restoring_run_broken_off_goes_on_as_if_undisturbed(tiny_run, tmp_path):
    """What it damages and how depends on the step, not on the process."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    config = tiny_config(tiny_run, objective="restore", steps=48 * 4)
    train(config, tmp_path / "whole", say=quiet)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", callbacks=[Stop()], say=quiet)
    train(config, tmp_path / "broken", resume=True, say=quiet)
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


# The end of training


class Spoiler(keras.callbacks.Callback):
    """Damages the weights from an epoch on, as a training that goes wrong does."""

    def __init__(self, start, factor):
        super().__init__()
        self.start, self.factor = start, factor

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.start:
            self.best = self.model.get_weights()
        if epoch >= self.start:
            for weight in self.model.decoder.trainable_weights:
                weight.assign(weight * self.factor)


@pytest.mark.slow
def test_a_plain_vae_stops_early_and_keeps_the_best(tiny_run, tmp_path):
    spoiler = Spoiler(start=2, factor=3.0)
    folder = tmp_path / "run"
    run = train(tiny_config(tiny_run), folder, callbacks=[spoiler], say=quiet)
    history = run.history()["val_loss"]
    assert np.argmin(history) == 1
    assert len(history) == 7  # five epochs of patience after the second
    for kept, best in zip(run.load_vae().get_weights(), spoiler.best, strict=True):
        np.testing.assert_array_equal(kept, best)

    # Killed before it was calibrated: it has stopped, so it does not train on.
    before = (folder / "calibration.json").read_bytes()
    (folder / "calibration.json").unlink()
    again = train(run.config, folder, resume=True, say=quiet)
    assert again.history()["val_loss"] == history
    assert (folder / "calibration.json").read_bytes() == before


@pytest.mark.slow
def test_a_restoring_vae_trains_to_the_end(tiny_run, tmp_path):
    spoiler = Spoiler(start=2, factor=1.05)
    config = tiny_config(tiny_run, objective="restore", steps=48 * 8)
    run = train(config, tmp_path / "run", callbacks=[spoiler], say=quiet)
    assert len(run.history()["val_loss"]) == 8
    state = json.loads((run.folder / "checkpoint" / "state.json").read_bytes())
    assert state["best_epoch"] == 8


@pytest.mark.slow
def test_what_keeps_a_good_part_good_is_the_users_to_say(tiny_run, tmp_path, pictures, capsys):
    said = []
    config = tiny_config(tiny_run, objective="restore", steps=8, augmentation="flip,rotation=4")
    run = train(config, tmp_path / "run", say=said.append)
    assert run.load_vae().augmentation == Augmentation(flip=True, rotation=4.0)
    assert "augmentation flip,rotation=4" in said
    arguments = ["train", pictures, tmp_path / "other", *TINY, "--augmentation", "twist"]
    line = refused(capsys, main, *arguments)
    assert "expected auto, none, or a list of mirror, flip" in line
    assert not (tmp_path / "other").exists()


def test_diverging_training_ends_in_one_line(pictures, tmp_path, capsys):
    arguments = ["train", pictures, tmp_path / "run", *TINY, "--learning-rate", 1e9]
    line = refused(capsys, main, *arguments)
    assert line.startswith("vae_tf train: training diverged in epoch ")
    assert line.endswith("lower --learning-rate")
    assert "has no trained model" in refused(capsys, main, "evaluate", tmp_path / "run", pictures)


@pytest.mark.slow
def test_loss_that_is_finite_only_in_training_counts_as_diverged(tiny_run, tmp_path):
    class Overflow(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            norm = next(w for w in self.model.variables if "moving_variance" in w.path)
            norm.assign(norm * np.nan)

    with pytest.raises(UserError, match=r"diverged in epoch 1 \(val_loss nan"):
        train(tiny_config(tiny_run), tmp_path / "run", callbacks=[Overflow()], say=quiet)


# What is refused


def test_a_folder_with_a_run_is_left_alone(pictures, tiny_copy, capsys):
    before = snapshot(tiny_copy)
    line = refused(capsys, main, "train", pictures, tiny_copy, *TINY, "--size", 24)
    assert str(tiny_copy) in line
    assert "already holds a run" in line
    assert "--resume" in line
    assert snapshot(tiny_copy) == before


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--preset", "fast", "quick"),
        ("--size", "8", "16 to 2048"),
        ("--size", "4096", "16 to 2048"),
        ("--tile", "20", "at least 32"),
        ("--size", "big", "N or HxW"),
        ("--channels", "2", "choose from"),
        ("--likelihood", "poisson", "gaussian"),
        ("--seed", "-1", "2^31"),
        ("--seed", "one", "int"),
        ("--calibration", "0", "between 0 and 1"),
        ("--calibration", "1.5", "between 0 and 1"),
        ("--false-alarm-rate", "0", "(0, 0.5]"),
        ("--false-alarm-rate", "0.9", "(0, 0.5]"),
        ("--false-alarm-rate", "nan", "(0, 0.5]"),
        ("--learning-rate", "0", "above 0"),
        ("--learning-rate", "inf", "above 0"),
        ("--camera-noise", "-1", "0 to 64 grey levels"),
        ("--camera-noise", "nan", "0 to 64 grey levels"),
        ("--beta", "-1", "above 0"),
        ("--steps", "0", "at least 1"),
        ("--batch-size", "-3", "at least 1"),
        ("--latent-dim", "0", "at least 1"),
        ("--limit", "0", "at least 1"),
        ("--normal-class", "3", "normal class"),
        ("--group-by", "(", "regular expression"),
    ],
)
def test_bad_option_ends_in_one_line(pictures, tmp_path, capsys, option, value, words):
    line = refused(capsys, main, "train", pictures, tmp_path / "run", f"{option}={value}")
    assert words in line
    assert not (tmp_path / "run" / "config.json").exists()


def test_bad_input_as_a_user_sees_it(tmp_path):
    done = run_python("-m", "vae_tf", "train", tmp_path / "nowhere", tmp_path / "run", status=2)
    one_line_error(done, "vae_tf train: ", "nowhere")
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_the_run_needs_a_place(pictures, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    line = refused(capsys, main, "train", pictures, tmp_path / "file", *TINY)
    assert str(tmp_path / "file") in line


def test_stopping_by_hand_is_no_traceback(pictures, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_tf.train.fit", interrupted)
    line = refused(capsys, main, "train", pictures, tmp_path / "run", *TINY, status=130)
    assert line == "vae_tf train: stopped"


def test_help_needs_no_tensorflow():
    code = "import sys, vae_tf.__main__ as m; m._parser(); sys.exit('tensorflow' in sys.modules)"
    run_python("-c", code)


def test_default_preset_is_the_documented_one(pictures, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("vae_tf.train.train", lambda config, *rest, **options: seen.append(config))
    assert main(["train", str(pictures), str(tmp_path / "run")]) == 0
    assert main(["train", str(pictures), str(tmp_path / "run"), "--preset", "quick"]) == 0
    assert [(c.preset, c.steps) for c in seen] == [("standard", None), ("quick", None)]
    assert [seen[0].planned_false_alarms(n) for n in (8, 98, 99, 1000)] == [0.05, 0.05, 0.01, 0.01]
    asked = Config(DataConfig(str(pictures)), false_alarm_rate=0.02)
    assert asked.planned_false_alarms(8) == 0.02


@pytest.mark.parametrize(
    ("pictures", "changes", "steps", "batch"),
    [
        (3, {}, 2500, 3),
        (30, {}, 2500, 8),
        (1000, {}, 2500, 8),
        (1500, {}, 3750, 8),
        (2500, {}, 3125, 16),
        (60000, {}, 3750, 16),
        (60000, {"objective": "plain"}, 6000, 16),
        (30, {"objective": "plain"}, 4000, 8),
        (2500, {"batch_size": 8}, 6250, 8),
        (2500, {"steps": 80}, 80, 16),
    ],
)
def test_many_pictures_are_worth_more_steps(pictures, changes, steps, batch):
    config = Config.for_preset(DataConfig("somewhere"), **changes)
    assert (config.planned_steps(pictures), config.planned_batch(pictures)) == (steps, batch)


def test_presets_differ_in_steps():
    planned = [Config.for_preset(DataConfig("x"), p).planned_steps(100) for p in PRESETS]
    assert planned == [1000, 2500, 8000]


def test_a_copied_run_directory_opens(tiny_run, tmp_path):
    moved = shutil.copytree(tiny_run.folder, tmp_path / "elsewhere")
    assert len(Run.open(moved).load_splits().train) == 52


@pytest.mark.parametrize("objective", ["restore", "plain"])
def test_a_longer_training_takes_steps_no_larger(objective):
    config = Config(data=DataConfig("x"), objective=objective)
    rates = [config.planned_rate(steps) for steps in (10, 1000, 2500, 8000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == rates[1], "a short one no larger either"
    # Together they reach further all the same.
    assert rates[3] * 8000 > 2 * rates[1] * 1000
    asked = dataclasses.replace(config, learning_rate=0.5)
    assert {asked.planned_rate(steps) for steps in (10, 8000)} == {0.5}
