"""The notebooks run from top to bottom and show their pictures; the first ends with a bundle."""

import os
import zipfile

import nbformat
import numpy as np
import pytest
from conftest import ROOT, run_python
from nbclient import NotebookClient

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOK = ROOT / "notebooks" / "01_defects_from_colab_to_pi.ipynb"
SMALL = 'PRESET, OPTIONS, FALSE_ALARM_RATE = "quick", {"steps": 60, "latent_dim": 8}, 0.05'

# Colab, as far as the notebook meets it: `upload` leaves a zip file, `download` is noted.
COLAB = """
import sys, types
colab = types.ModuleType("google.colab")
colab.files = types.SimpleNamespace(
    upload=lambda: {"parts.zip": b""}, download=lambda path: print("downloads", path)
)
sys.modules["google.colab"], IN_COLAB = colab, True
DATA = "upload"
"""


def executed(folder, monkeypatch, settings, path=NOTEBOOK):
    """Executes a notebook in `folder`, with a cell of `settings` after its own.

    Returns: the cells by their id. Fails where a cell does.
    """
    notebook = nbformat.read(path, as_version=4)
    tagged = [i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", ())]
    assert len(tagged) == 1
    notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(settings))
    monkeypatch.setenv("PYTHONPATH", os.fspath(ROOT))
    monkeypatch.setenv("IPYTHONDIR", os.fspath(folder / "ipython"))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return {cell.id: cell for cell in notebook.cells}


def pictures_in(cell):
    return sum("image/png" in output.get("data", ()) for output in cell.outputs)


def text_of(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@pytest.mark.slow
def test_runs_from_pictures_to_the_device(pictures, tmp_path, monkeypatch):
    cells = executed(tmp_path, monkeypatch, f"DATA = {os.fspath(pictures)!r}\n{SMALL}")
    shown = {name: pictures_in(cell) for name, cell in cells.items() if cell.cell_type == "code"}
    for name in ("show", "look-test", "train", "reconstructions", "samples", "device-show"):
        assert shown[name] == 1, name
    assert shown["roc"] == 2
    assert shown["cases"] >= 1
    assert "16 good, 16 defective" in text_of(cells["evaluate"])
    assert text_of(cells["export"]).count("ok   ") > 10

    with zipfile.ZipFile(tmp_path / "out" / "surfaces" / "pi.zip") as archive:
        archive.extractall(tmp_path / "pi")
    monkeypatch.delenv("PYTHONPATH")
    done = run_python("-m", "edge", "selftest", "bundle", cwd=tmp_path / "pi")
    assert "FAIL" not in done.stdout


@pytest.mark.slow
def test_upload_of_good_pictures_alone_in_colab(pictures, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for file in sorted((pictures / "train" / "good").iterdir()):
            archive.write(file, f"parts/{file.name}")
    cells = executed(tmp_path, monkeypatch, COLAB + SMALL)
    assert "0 good, 0 defective" in text_of(cells["look"])
    assert "Nothing to measure" in text_of(cells["evaluate"])
    assert text_of(cells["device"]).count("drawn defect") == 3
    assert "downloads" in text_of(cells["download"])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A .npz of 160 bars in three classes, 28 x 28, that stands in for Fashion-MNIST."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 160)
    x = np.zeros((160, 28, 28), np.uint8)
    for picture, k, at in zip(x, classes, rng.integers(4, 20, 160), strict=True):
        picture[at : at + 4] = 200
        if k:
            picture[:] = picture.T
        if k == 2:
            picture[10:18, 10:18] = 255
    path = tmp_path_factory.mktemp("labelled") / "bars.npz"
    parts = {"x_train": x[:96], "y_train": classes[:96], "x_test": x[96:], "y_test": classes[96:]}
    np.savez(path, **parts)
    return path


# The cells that show pictures, and how many.
USES = {
    "02_generate_and_explore": {
        "data": 1,
        "reconstructions": 1,
        "generate": 2,
        "interpolate": 2,
        "kl": 1,
        "traverse": 1,
        "arithmetic": 1,
        "manifold": 2,
        "compress": 1,
    },
    "03_restore_and_impute": {"damage": 1, "denoise": 1, "photo": 1, "impute": 1, "hole": 1},
    "04_the_family": {"fit": 1, "conditional": 1, "ladder": 1, "adversarial": 1, "recurrent": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_the_uses_run_and_show_their_pictures(name, labelled, tmp_path, monkeypatch):
    settings = f"DATA, EPOCHS, LATENTS = {os.fspath(labelled)!r}, 1, 4"
    cells = executed(tmp_path, monkeypatch, settings, ROOT / "notebooks" / f"{name}.ipynb")
    assert {cell: pictures_in(cells[cell]) for cell in USES[name]} == USES[name]
    if name.startswith("02"):
        widgets = [o for o in cells["explore"].outputs if "widget-view" in str(o.get("data", ()))]
        assert widgets


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_holds_no_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.id
            assert cell.execution_count is None, cell.id


def test_code_is_tidy():
    pytest.importorskip("ruff")
    run_python("-m", "ruff", "check", *NOTEBOOKS)
    run_python("-m", "ruff", "format", "--check", *NOTEBOOKS)
