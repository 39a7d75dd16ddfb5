"""The trial: graphs that crash, hang or compute something else are rejected by a process apart."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from install_bundles import crashing_graph, hanging_graph, refusal, reseal

from edge import Runner
from edge.install.active import active_bundle
from edge.install.install import install
from edge.install.trial import try_out


@pytest.fixture
def good(pictures):
    return pictures / "test" / "good"


def with_graph(bundle, content, role="detector") -> None:
    (bundle / f"{role}.int8.tflite").write_bytes(content)
    reseal(bundle)


def test_a_good_bundle_passes_its_trial(bundle, store, good):
    install(bundle, store)
    runner = Runner(active_bundle(store))
    assert runner.check(np.full((64, 64), 128, np.uint8)).label in ("pass", "warn", "fail")


def test_a_graph_that_loops_for_ever_is_rejected(bundle_copy, store):
    with_graph(bundle_copy, hanging_graph())
    line = refusal(bundle_copy, store, trial=lambda part: try_out(part, seconds=4))
    assert line == "the bundle failed its trial: it did not end within 4 s of computing"


def test_a_graph_that_crashes_the_interpreter_is_rejected(bundle_copy, store):
    with_graph(bundle_copy, crashing_graph())
    line = refusal(bundle_copy, store, trial=try_out)
    assert line.startswith("the bundle failed its trial: the process crashed (signal 11, ")


def test_a_graph_that_is_noise_is_rejected(bundle_copy, store):
    with_graph(bundle_copy, b"TFL3" * 500, role="encoder")
    line = refusal(bundle_copy, store, trial=try_out)
    assert re.match(
        "the bundle failed its trial: (golden vectors, int8: |the process crashed)", line
    )


def test_a_machine_that_computes_otherwise_rejects_the_bundle(bundle_copy, store):
    path = bundle_copy / "golden.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["float32/score"] = arrays["float32/score"] + 10
    np.savez_compressed(path, **arrays)
    reseal(bundle_copy)
    line = refusal(bundle_copy, store, trial=try_out)
    assert "golden vectors, float32: score differs by 10" in line


def test_a_trial_that_takes_too_much_memory_is_rejected(bundle_copy, store):
    def greedy(record):
        record["input"].update(height=60_000, width=60_000)

    reseal(bundle_copy, greedy)
    line = refusal(bundle_copy, store, trial=lambda part: try_out(part, mib=1024))
    assert line.startswith("the bundle failed its trial: ")


@pytest.mark.slow
def test_a_trial_ends_by_itself_where_nobody_waits_any_more(bundle_copy):
    call = [sys.executable, "-m", "edge.install.trial", bundle_copy, "2", "2048"]
    with_graph(bundle_copy, hanging_graph())
    done = subprocess.run(call, cwd=ROOT, timeout=300, capture_output=True, check=False)
    assert -done.returncode in (signal.SIGXCPU, signal.SIGALRM), "it computed for ever"
    (bundle_copy / "manifest.json").unlink()
    os.mkfifo(bundle_copy / "manifest.json")
    done = subprocess.run(call, cwd=ROOT, timeout=300, capture_output=True, check=False)
    assert done.returncode == -signal.SIGALRM, "it waited for ever"


def test_a_trial_does_not_take_the_installer_s_input(tmp_path):
    """The child reads what the parent gives it: were it the terminal, it would wait."""
    reader = tmp_path / "python"
    reader.write_text("#!/bin/sh\ncat\necho FAIL it read to the end\nexit 1\n")
    reader.chmod(0o755)
    program = (
        "import sys; sys.executable = sys.argv[1]\n"
        "from edge.install.trial import try_out\n"
        "try: try_out('.', seconds=5)\n"
        "except Exception as error: print(error)"
    )
    call = [sys.executable, "-c", program, reader]
    process = subprocess.Popen(call, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    line = process.stdout.readline()
    process.communicate()
    assert line == b"the bundle failed its trial: it read to the end\n"
