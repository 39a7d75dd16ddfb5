"""Fixtures that several test files share: real pictures, one real run, one real bundle."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SIZE = 32  # pixels a side of the tiny pictures and of the model trained on them


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: VAE_TF_SHARED_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("VAE_TF_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent; set VAE_TF_SHARED_DATA")
    return folder


def run_python(*arguments, status=0, **options) -> subprocess.CompletedProcess:
    """Runs `python ARGUMENTS` from the checkout's root and checks its exit status."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=options.pop("cwd", ROOT),
        capture_output=True,
        text=True,
        **options,
    )
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def one_line_error(done: subprocess.CompletedProcess, *words: str) -> str:
    """The last line of standard error, which holds the words; there is no traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in line, f"{word!r} is not in: {line}"
    return line


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder in MVTec layout: 72 good to train, 16 good and 16 defective to test, with masks."""
    from vae_tf.data.surfaces_render import render

    folder = tmp_path_factory.mktemp("pictures")
    plan = [("train", "good", 72), ("test", "good", 16), ("test", "stain", 8)]
    for number, (part, kind, count) in enumerate([*plan, ("test", "missing_edge", 8)]):
        (folder / part / kind).mkdir(parents=True)
        for i in range(count):
            image, mask = render(kind, np.random.default_rng([number, i]), size=2 * SIZE)
            Image.fromarray(image).save(folder / part / kind / f"{i:03d}.png")
            if kind != "good":
                truth = folder / "ground_truth" / kind
                truth.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(truth / f"{i:03d}_mask.png")
    return folder


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, pictures) -> Path:
    """A finished run on `pictures`, from the command line. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("run") / "run"
    run_python("-m", "vae_tf", "train", pictures, folder, *TRAINING)
    return folder


TRAINING = ("--preset", "quick", "--steps", 200, "--size", SIZE, "--latent-dim", 16)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, run_folder) -> Path:
    """The exported bundle of `run_folder`. Copy it before changing it."""
    out = tmp_path_factory.mktemp("export")
    run_python("-m", "export", run_folder, out)
    return out / "bundle"
