"""The tests of `edge` on a machine that has no TensorFlow.

They take the bundle and the pictures that they would have made from EDGE_TEST_BUNDLE and
EDGE_TEST_PICTURES, see `conftest.py`. Those that import the framework themselves are left out.
"""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

from emulated.machine import Machine

PATTERNS = ("test_edge_*.py", "test_station_*.py", "test_install*.py", "test_page*.py")
FRAMEWORK = {"vae_tf", "export", "tensorflow", "keras", "tensorflow_datasets"}


def for_devices(tests: Path, patterns=PATTERNS) -> tuple:
    """Returns (those that a device can run, those left out): names of test files, sorted."""
    files = sorted({file for pattern in patterns for file in tests.glob(pattern)})
    out = [file.name for file in files if FRAMEWORK & _imports(file)]
    return [file.name for file in files if file.name not in out], out


def _imports(file: Path) -> set:
    """The packages that a file imports at its top."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def run_tests(machine: Machine, names: list) -> dict:
    """Runs test files there, with what pytest prints on standard error.

    machine: filled; its pictures are those of the tests. Returns: status and pytest's last line.
    """
    variables = {
        "EDGE_TEST_BUNDLE": f"{machine.inside}/bundle",
        "EDGE_TEST_PICTURES": f"{machine.inside}/pictures",
        "PYTHONPATH": "tests",
    }
    plugins = ["patient", "ready", *(["qemu"] if machine.emulated else [])]
    call = ["-m", "pytest", "-p", "no:cacheprovider", "-rsxX", "--tb=short"]
    call += ["-o", "addopts=-q --strict-markers", "-m", "not slow"]  # one at a time
    for plugin in plugins:
        call += ["-p", f"emulated.{plugin}"]
    files = [f"tests/{name}" for name in names]
    say = functools.partial(print, file=sys.stderr, flush=True)
    status, lines = machine.run(*call, *files, variables=variables, line=say)
    return {"status": status, "summary": next((s for s in reversed(lines) if s.strip()), "")}
