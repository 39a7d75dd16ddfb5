"""pytest's plugin where there is no TensorFlow: fixtures that would train give what lies ready.

EDGE_TEST_BUNDLE and EDGE_TEST_PICTURES name the folders. See `edge_tests.py`.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

import pytest

# The tests are for Python 3.10, `edge` for 3.9 too.
if not hasattr(itertools, "pairwise"):
    itertools.pairwise = lambda items: zip(items, items[1:])  # noqa: B905, RUF007


def pytest_collection_modifyitems(items):
    """Gives the tests, and them alone, a `zip` that takes `strict`."""
    if sys.version_info < (3, 10):  # noqa: UP036
        reads = pytest.mark.skip(reason="reads the source, with what came with Python 3.10")
        for item in items:
            item.module.zip = lambda *iterables, strict=False: zip(*iterables)  # noqa: B905
            if item.originalname == "test_source_needs_no_more_than_the_device_has":
                item.add_marker(reads)


@pytest.fixture(scope="session")
def pictures() -> Path:
    """What `drawn.FOR_TESTS` describes."""
    return Path(os.environ["EDGE_TEST_PICTURES"])


@pytest.fixture(scope="session")
def bundle() -> Path:
    """A bundle that was made elsewhere."""
    return Path(os.environ["EDGE_TEST_BUNDLE"])


@pytest.fixture(scope="session")
def run_folder():
    """Nothing can be trained here."""
    pytest.skip("trains, and there is no TensorFlow here")


_INSTEAD = {
    "pictures": pictures,
    "bundle": bundle,
    "run_folder": run_folder,
    "tiny_run": run_folder,
}


@pytest.hookimpl(tryfirst=True)
def pytest_plugin_registered(plugin):
    """Changes `conftest.py`, which pytest takes for a plugin, before its fixtures are read."""
    if Path(getattr(plugin, "__file__", None) or "").name == "conftest.py":
        for name, fixture in _INSTEAD.items():
            setattr(plugin, name, fixture)
