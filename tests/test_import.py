"""What importing the package does, and leaves to the user."""

import json
import os
import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import json, os, sys
import vae_tf
names = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
print(json.dumps([[os.environ.get(name) for name in names], "tensorflow" in sys.modules]))
"""


def imported(**said):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, env={**kept, **said}, check=True, capture_output=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="no x86 processor")
def test_tensorflow_is_told_to_use_the_quick_convolutions_before_it_is_loaded():
    (onednn, _, _), loaded = imported()
    assert (onednn, loaded) == ("1", False)


def test_two_cores_run_several_operations_at_a_time():
    few = (os.cpu_count() or 1) <= 2
    assert imported()[0][1:] == (["1", "3"] if few else [None, None])


def test_what_the_user_has_set_stays():
    said = {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_NUM_INTRAOP_THREADS": "7",
        "TF_NUM_INTEROP_THREADS": "5",
    }
    assert imported(**said)[0] == ["0", "7", "5"]
