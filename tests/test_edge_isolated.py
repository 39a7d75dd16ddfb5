"""`edge/` alone: copied to a bare folder beside a bundle, without the framework that made it."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, one_line_error, run_python

EDGE = sorted((ROOT / "edge").glob("*.py"))
FOREIGN = ("tensorflow", "keras", "vae_tf", "export", "scipy", "matplotlib", "jinja2")

BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FOREIGN}:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def device(bundle, pictures, tmp_path) -> Path:
    """A folder with a copy of `edge/`, a bundle and pictures: what a Pi gets."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "edge", tmp_path / "device" / "edge", ignore=ignore)
    shutil.copytree(bundle, tmp_path / "device" / "bundle")
    shutil.copytree(pictures / "test" / "good", tmp_path / "device" / "good")
    return tmp_path / "device"


@pytest.fixture
def blocked(tmp_path) -> dict:
    """An environment where importing the framework is an error."""
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCKER)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "block")}
    done = run_python("-c", "import tensorflow", status=1, env=env)
    assert "blocked: tensorflow" in done.stderr, "the blocker blocks"
    return env


COMMANDS = [
    ["check", "bundle", "good", "--heatmaps", "maps"],
    ["check", "bundle", "good", "--precision", "float32"],
    ["bench", "bundle", "--runs", "3"],
    ["selftest", "bundle"],
    ["doctor"],
    ["calibrate", "bundle", "good"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_runs_from_a_copy(device, blocked, command):
    done = run_python("-m", "edge", *command, cwd=device, env=blocked)
    assert done.stdout
    assert "FAIL" not in done.stdout


def test_a_check_loads_nothing_of_the_framework(device):
    program = (
        "import sys; from edge.__main__ import main; main(['check', 'bundle', 'good']); "
        "import edge; print(edge.__file__, *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    origin, *modules = run_python("-c", program, cwd=device).stdout.splitlines()[-1].split()
    assert Path(origin).parent == device / "edge"
    assert {"numpy", "PIL", "edge"} <= set(modules)
    assert not set(FOREIGN) & set(modules)


@pytest.mark.parametrize("file", EDGE, ids=lambda file: file.name)
def test_source_needs_no_more_than_the_device_has(file):
    """Imports: the standard library, numpy, Pillow. Syntax: Python 3.9."""
    allowed = {*sys.stdlib_module_names, "numpy", "PIL", "edge"}
    tree = ast.parse(file.read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            imported.add(node.module.split(".")[0])
    assert imported <= allowed
    annotated = any(
        isinstance(node, ast.AnnAssign) or getattr(node, "returns", None) for node in ast.walk(tree)
    )
    assert not annotated or "annotations" in file.read_text(), "`X | Y` fails at run time in 3.9"
    assert "strict=" not in file.read_text(), "zip(strict=) came with Python 3.10"


# Fresh environments, as `pip` makes them. Slow: each downloads its packages.


def fresh_python(folder, *requirements) -> Path:
    """The interpreter of a new virtual environment with nothing but the requirements."""
    run_python("-m", "venv", folder)
    python = folder / "bin" / "python"
    call = [python, "-m", "pip", "install", "-q", *map(str, requirements)]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip could not install {requirements}: {done.stderr.strip()[-300:]}")
    return python


def run_all(python, device) -> dict:
    """Runs check, selftest and doctor; returns what each did."""
    results = {}
    for command in (["check", "bundle", "good"], ["selftest", "bundle"], ["doctor"]):
        call = [python, "-m", "edge", *command]
        done = subprocess.run(call, cwd=device, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        results[command[0]] = done
    return results


def scores(done) -> list:
    return [json.loads(line)["score"] for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_fresh_environment_with_the_requirements_alone(device, tmp_path):
    python = fresh_python(tmp_path / "venv", "-r", ROOT / "edge" / "requirements.txt")
    results = run_all(python, device)
    assert [d.returncode for d in results.values()] == [0, 0, 0], results
    here = run_python("-m", "edge", "check", "bundle", "good", cwd=device)
    assert scores(results["check"]) == scores(here)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ends with Python 3.11")
def test_the_same_bundle_on_tflite_runtime(device, tmp_path):
    python = fresh_python(tmp_path / "venv", "tflite-runtime==2.14.0", "numpy<2", "Pillow")
    results = run_all(python, device)
    assert [d.returncode for d in results.values()] == [0, 0, 0], results
    assert "tflite-runtime 2.14.0" in results["doctor"].stdout
    check = ("-m", "edge", "check", "bundle", "good")
    here = run_python(*check, cwd=device)
    exact = run_python(*check, "--precision", "float32", cwd=device)
    # Other int8 kernels round otherwise; the scores stay as near as int8 is to float32.
    there, int8, float32 = map(scores, (results["check"], here, exact))
    apart, rounded = (np.abs(np.subtract(a, int8)) for a in (there, float32))
    assert 0 < np.median(apart) < 2 * np.median(rounded)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ends with Python 3.11")
def test_tflite_runtime_with_numpy_2_ends_in_a_hint(device, tmp_path):
    python = fresh_python(tmp_path / "venv", "tflite-runtime==2.14.0", "numpy>=2", "Pillow")
    results = run_all(python, device)
    assert [d.returncode for d in results.values()] == [2, 1, 1], results
    one_line_error(results["check"], "tflite-runtime needs NumPy 1", "`pip install 'numpy<2'`")
    assert "pip install 'numpy<2'" in results["doctor"].stdout
