"""A run that was killed, or ran out of disk, goes on as if nothing had happened."""

import dataclasses
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from conftest import ROOT, TINY, largest_file, one_line_error, refused, run_python, snapshot
from test_train import EPOCHS, assert_same_run, quiet

from vae_tf.__main__ import main
from vae_tf.run import Run
from vae_tf.train import train


def epochs_done(folder) -> int:
    try:
        return len(json.loads((folder / "checkpoint" / "state.json").read_bytes())["rows"])
    except (OSError, ValueError):
        return 0


def kill_when(ready, pictures, folder, *options, delay=0.0):
    """Starts training and kills it `delay` seconds after `ready()` first holds."""
    command = [sys.executable, "-m", "vae_tf", "train", pictures, folder, *TINY, *options]
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while not ready() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    stdout, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert stdout == b""
    assert not (folder / "calibration.json").exists()


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_if_undisturbed(tiny_run, pictures, tmp_path):
    folder, rng = tmp_path / "run", random.Random(1)
    kill_when(lambda: (folder / "config.json").exists(), pictures, folder)
    assert epochs_done(folder) == 0
    # One kill while an epoch is on its way, and one while a checkpoint is written.
    first = rng.randint(1, 3)
    late = rng.uniform(0.0, 0.1)
    kill_when(lambda: epochs_done(folder) >= first, pictures, folder, "--resume", delay=late)
    done = epochs_done(folder)
    assert first <= done < EPOCHS

    def writing():
        return epochs_done(folder) > done and any((folder / "checkpoint").glob(".*.part"))

    kill_when(writing, pictures, folder, "--resume")
    assert done < epochs_done(folder) < EPOCHS
    assert main(["train", str(pictures), str(folder), *map(str, TINY), "--resume"]) == 0
    assert_same_run(tiny_run.folder, folder)
    assert not list((folder / "checkpoint").glob(".*"))  # what the kills left is swept


@pytest.mark.slow
def test_goes_on_where_its_pictures_are_gone(tiny_run, pictures, tmp_path):
    source = shutil.copytree(pictures, tmp_path / "pictures")
    config = Run.open(tiny_run.folder).config
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, source=str(source)))

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", callbacks=[Stop()], say=quiet)
    shutil.rmtree(source)
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert_same_run(tiny_run.folder, tmp_path / "run")


def test_pictures_added_since_change_nothing(tiny_run, pictures, tmp_path):
    """New pictures must not turn what was trained on into what sets the threshold."""
    source = shutil.copytree(pictures, tmp_path / "pictures")
    config = Run.open(tiny_run.folder).config
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, source=str(source)), steps=48
    )
    run = train(config, tmp_path / "run", say=quiet)
    before = {p: (run.folder / p).read_bytes() for p in ("splits.json", "calibration.json")}
    (run.folder / "calibration.json").unlink()
    for i in range(20):
        shutil.copy(
            source / "train" / "good" / f"{i:03d}.png", source / "train" / "good" / f"a{i}.png"
        )
    train(config, tmp_path / "run", resume=True, say=quiet)
    assert {p: (run.folder / p).read_bytes() for p in before} == before


def test_history_cut_off_by_a_kill_is_written_again(tiny_run, tiny_copy):
    """The kill came after the last state and before its line of history."""
    for name in ("calibration.json", "detector.npz", "model.keras"):
        (tiny_copy / name).unlink()
    lines = (tiny_copy / "history.csv").read_text().splitlines(keepends=True)
    (tiny_copy / "history.csv").write_text("".join(lines[:-1]))
    train(Run.open(tiny_copy).config, tiny_copy, resume=True, say=quiet)
    assert_same_run(tiny_run.folder, tiny_copy)


@pytest.mark.slow
def test_full_disk_is_one_line_and_the_run_goes_on(tiny_run, pictures, tmp_path, capsys):
    folder = tmp_path / "run"
    command = ["train", pictures, folder, *TINY, "--resume"]

    def check(line, name):
        assert line.startswith("vae_tf train: cannot write") or "data: cannot write" in line
        assert str(folder / name) in line
        assert not (folder / name).is_file()
        assert not [p for p in folder.rglob(".*") if p.name.endswith((".part", ".keras"))]

    # Too little for the decoded pictures, for a checkpoint, for the model.
    with largest_file(13):
        check(refused(capsys, main, *command), "data")
    with largest_file(60):  # a process inherits it: HDF5 once crashed here
        done = run_python("-m", "vae_tf", *command, status=2)
    check(one_line_error(done), "checkpoint/00001.npz")
    with largest_file(200):
        check(refused(capsys, main, *command), "model.keras")
    assert main(list(map(str, command))) == 0
    assert_same_run(tiny_run.folder, folder)


@pytest.mark.slow
def test_full_disk_under_tensorboard_is_one_line(pictures, tmp_path):
    """TensorFlow writes these files itself, and raises no OSError."""
    events = tmp_path / "run" / "tensorboard"
    events.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", events]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk takes the right to mount one")
    command = ["train", pictures, tmp_path / "run", *TINY, "--steps", 48 * 20]
    try:
        done = run_python("-m", "vae_tf", *command, status=2)
    finally:
        subprocess.run(["umount", events], check=True)
    one_line_error(done, "vae_tf train: cannot write", "tensorboard: the disk is full")


def test_a_finished_run_is_left_as_it_is(tiny_copy, pictures, capsys):
    before = snapshot(tiny_copy)
    arguments = ["train", pictures, tiny_copy, *TINY, "--resume"]
    assert main(list(map(str, arguments))) == 0
    said = capsys.readouterr()
    assert said.out == f"{tiny_copy}\n"
    assert "is finished already" in said.err
    assert snapshot(tiny_copy) == before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("--beta", 2), ("beta 1.0, now 2.0",)),
        (("--seed", 3), ("seed 0, now 3",)),
        (("--size", 24), ("size (16, 16), now (24, 24)",)),
        (("--preset", "best", "--likelihood", "bernoulli"), ("preset", "likelihood 'gaussian'")),
        (("--calibration", 0.3), ("calibration 0.2, now 0.3",)),
    ],
)
def test_other_options_are_named(tiny_copy, pictures, capsys, changed, words):
    before = snapshot(tiny_copy)
    arguments = ["train", pictures, tiny_copy, *TINY, "--resume", *changed]
    line = refused(capsys, main, *arguments)
    for word in words:
        assert word in line
    assert snapshot(tiny_copy) == before


def test_other_pictures_are_named(tiny_copy, pictures, capsys):
    other = pictures / "train"
    line = refused(capsys, main, "train", other, tiny_copy, *TINY, "--resume")
    assert str(pictures) in line
    assert str(other) in line


@pytest.mark.parametrize("name", ["state.json", "00010.npz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damaged_checkpoint_is_one_line(tiny_copy, pictures, capsys, name, damage):
    (tiny_copy / "calibration.json").unlink()
    path = tiny_copy / "checkpoint" / name
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 0xFF])
        path.write_bytes(content[:middle] + flipped + content[middle + 1 :])
    elif name == "state.json":
        return  # no state is a fresh start, see the first kill above
    else:
        path.unlink()
    line = refused(capsys, main, "train", pictures, tiny_copy, *TINY, "--resume")
    assert str(path) in line
    assert "damaged" in line


def test_resume_without_a_run_begins_one(tiny_run, pictures, tmp_path):
    config = dataclasses.replace(Run.open(tiny_run.folder).config, steps=48)
    run = train(config, tmp_path / "run", resume=True, say=quiet)
    assert run.finished
    assert len(run.history()["loss"]) == 1
    assert np.isfinite(run.training_seconds())
    assert run.training_seconds() > 0
