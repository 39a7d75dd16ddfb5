"""Fixtures that several test files share: real pictures, one real run, one real bundle."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores: more threads would only stand in each other's way.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

with contextlib.suppress(ImportError):  # on a device there is none
    import vae_tf  # noqa: F401, before TensorFlow, for which it sets something

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


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one of the processes of `pytest -n` makes, and all of them use."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / name).exists():
            make(base / f"{name}.part")
            (base / f"{name}.part").rename(base / name)
    return base / name


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder in MVTec layout: 72 good to train, 16 good and 16 defective to test, with masks."""
    return made_once(tmp_path_factory, "pictures", _draw_pictures)


def _draw_pictures(folder: Path) -> None:
    from vae_tf.data.surfaces_render import render

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


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, pictures) -> Path:
    """A finished run on `pictures`, from the command line. Copy it before changing it."""

    def train(folder: Path) -> None:
        run_python("-m", "vae_tf", "train", pictures, folder, *TRAINING)

    return made_once(tmp_path_factory, "run", train)


TRAINING = ("--preset", "quick", "--steps", 200, "--size", SIZE, "--latent-dim", 16)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, run_folder) -> Path:
    """The exported bundle of `run_folder`. Copy it before changing it."""

    def export(folder: Path) -> None:
        run_python("-m", "export", run_folder, folder)

    return made_once(tmp_path_factory, "export", export) / "bundle"


@pytest.fixture
def bundle_copy(bundle, tmp_path) -> Path:
    """A copy of `bundle` that the test may change."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle_copy"))


# Ten epochs of 48 steps, in two seconds: a plain VAE, of which nothing is asked but to be quick.
TINY = ("--size", 16, "--latent-dim", 4, "--steps", 480, "--batch-size", 8, "--objective", "plain")


class Trained(NamedTuple):
    """A finished run, the folder that the command was given, and what it said there."""

    folder: Path
    asked: str
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, pictures) -> Trained:
    """A smaller run than `run_folder`, quick enough to be made again. Copy it to change it."""

    def train(folder: Path) -> None:
        done = run_python("-m", "vae_tf", "train", pictures, folder / "run", *TINY)
        told = [str(folder / "run"), done.stdout, done.stderr]
        (folder / "told.json").write_text(json.dumps(told))

    made = made_once(tmp_path_factory, "tiny", train)
    return Trained(made / "run", *json.loads((made / "told.json").read_text()))


@pytest.fixture
def tiny_copy(tiny_run, tmp_path) -> Path:
    """A copy of `tiny_run` that the test may change."""
    return Path(shutil.copytree(tiny_run.folder, tmp_path / "tiny_copy"))


@pytest.fixture
def store(tmp_path) -> Path:
    """Where a bundle store is to be."""
    return tmp_path / "store"


@pytest.fixture
def bolts(tmp_path) -> Path:
    """A small bundle for the store; `nuts` is another."""
    from install_bundles import fake_bundle  # which imports this file

    return fake_bundle(tmp_path / "bolts", "bolts")


@pytest.fixture
def nuts(tmp_path) -> Path:
    from install_bundles import fake_bundle

    return fake_bundle(tmp_path / "nuts", "nuts")


def refused(capsys, main, *arguments, status=2) -> str:
    """Runs a command's `main` in this process; returns the last line of standard error."""
    capsys.readouterr()
    try:
        got = main([str(a) for a in arguments])
    except SystemExit as end:  # argparse
        got = end.code
    said = capsys.readouterr()
    assert got == status, said.err
    assert said.out == ""
    return said.err.strip().splitlines()[-1]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@contextlib.contextmanager
def largest_file(kib: int):
    """Writing more than `kib` KiB to one file fails meanwhile, as on a disk that is full."""
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
