"""Opening run directories: whatever is damaged or missing ends in one line that names it."""

import json
import shutil

import keras
import numpy as np
import pytest
from conftest import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UserError
from export.__main__ import main as export
from vae_tf.__main__ import main
from vae_tf.errors import RunError
from vae_tf.run import Run


def both_refuse(capsys, run, pictures, tmp_path) -> str:
    """`evaluate` and `export` refuse the run with the same words, and export writes nothing."""
    line = refused(capsys, main, "evaluate", run, pictures).removeprefix("vae_tf evaluate: ")
    assert refused(capsys, export, run, tmp_path / "out") == f"export: {line}"
    assert not (tmp_path / "out").exists()
    return line


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "pictures"])
def test_not_a_run_directory(pictures, tmp_path, capsys, kind):
    folder = pictures if kind == "pictures" else tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    if kind == "file":
        folder.write_text("not a folder")
    line = both_refuse(capsys, folder, pictures, tmp_path)
    assert line.startswith(f"{folder} is not a run directory: expected one with config.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b'{"format": 2, "conf', "damaged"),
        (b"\xff\xfe\x00", "damaged"),
        (b"[]", "lacks or misstates a field"),
        (b"{}", "format"),
        (b'{"format": 2}', "config"),
    ],
)
def test_damaged_config(tiny_copy, pictures, tmp_path, capsys, content, words):
    (tiny_copy / "config.json").write_bytes(content)
    line = both_refuse(capsys, tiny_copy, pictures, tmp_path)
    assert str(tiny_copy / "config.json") in line
    assert words in line


def test_a_run_of_a_newer_format_names_both(tiny_copy, pictures, tmp_path, capsys):
    record = json.loads((tiny_copy / "config.json").read_bytes())
    (tiny_copy / "config.json").write_text(json.dumps({**record, "format": 3}))
    line = both_refuse(capsys, tiny_copy, pictures, tmp_path)
    assert "has run format 3, this version reads 2; update the program" in line


def test_a_field_of_a_newer_config_is_named(tiny_copy, pictures, tmp_path, capsys):
    record = json.loads((tiny_copy / "config.json").read_bytes())
    record["config"]["dropout"] = 0.1
    (tiny_copy / "config.json").write_text(json.dumps(record))
    assert "dropout" in both_refuse(capsys, tiny_copy, pictures, tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "detector.npz", "calibration.json"])
@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_damaged_results(tiny_copy, pictures, tmp_path, capsys, name, damage):
    path = tiny_copy / name
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes(b ^ 0x80 for b in content[middle : middle + 8])
    path.write_bytes(
        {
            "cut": content[:middle],
            "text": b"hello",
            "flipped": content[:middle] + flipped + content[middle + 8 :],
        }[damage]
    )
    line = both_refuse(capsys, tiny_copy, pictures, tmp_path)
    assert str(tiny_copy) in line
    assert "damaged" in line or "cannot be loaded" in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.keras", "has no trained model yet; go on with"),
        ("calibration.json", "is not finished; go on with"),
        ("detector.npz", "the detector's files are damaged"),
    ],
)
def test_missing_results(tiny_copy, pictures, tmp_path, capsys, name, words):
    (tiny_copy / name).unlink()
    assert words in both_refuse(capsys, tiny_copy, pictures, tmp_path)


def test_another_model_in_the_place_of_the_vae(tiny_copy, pictures, tmp_path, capsys):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save(tiny_copy / "model.keras")
    line = both_refuse(capsys, tiny_copy, pictures, tmp_path)
    assert "model.keras holds another model" in line


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"spec": {"height": 16}}'])
def test_damaged_splits(tiny_copy, tmp_path, capsys, content):
    path = tiny_copy / "splits.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    line = refused(capsys, export, tiny_copy, tmp_path / "out")
    assert line == f"export: {tiny_copy}: splits.json is missing or damaged; train again"


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_missing_pictures(tiny_copy, tmp_path, capsys, damage):
    for images in (tiny_copy / "data").glob("*train*/images.npy"):
        if damage == "gone":
            shutil.rmtree(images.parent)
        else:
            images.write_bytes(images.read_bytes()[:2000])
    line = refused(capsys, export, tiny_copy, tmp_path / "out")
    assert "72 pictures of the run are missing or damaged" in line


def test_a_run_reads_as_it_was_written(run_folder):
    run = Run.open(run_folder)
    assert Run.open(str(run_folder)) == run
    assert (run.config.steps, run.config.latent_dim, run.config.data.size) == (200, 16, (32, 32))
    assert run.spec.shape == (32, 32, 1)
    detector = run.load_detector()
    assert detector.by.name == "combined"
    rows, columns = detector.by.arrays["features_matrix"].shape
    assert rows == columns > run.config.latent_dim
    assert len(detector.calibrated.scores) == 14
    assert np.all(np.diff(detector.calibrated.scores) >= 0)


# Any byte of any file may be wrong: there is an error with a name, or it was no damage.


@pytest.fixture(scope="module")
def scratch(tiny_run, tmp_path_factory):
    return shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("scratch") / "run")


def flipped(content, position, mask):
    at = int(position * (len(content) - 1))
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["config.json", "splits.json"]),
    position=st.floats(0, 1),
    mask=st.integers(1, 255),
)
def test_flipped_bytes_in_the_records(scratch, name, position, mask):
    path = scratch / name
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, position, mask))
    try:
        Run.open(scratch).load_splits()
    except UserError:
        pass
    finally:
        path.write_bytes(whole)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["model.keras", "detector.npz", "calibration.json"]),
    position=st.floats(0, 1),
    mask=st.integers(1, 255),
)
def test_flipped_bytes_in_the_results(scratch, name, position, mask):
    path = scratch / name
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, position, mask))
    try:
        Run.open(scratch).load_detector()
    except RunError:
        pass
    finally:
        path.write_bytes(whole)
