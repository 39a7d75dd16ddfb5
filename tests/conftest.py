"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: VAE_TF_SHARED_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VAE_TF_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent; set VAE_TF_SHARED_DATA")
    return folder
