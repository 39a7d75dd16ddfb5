"""A Pi without a Pi: what counts as the same verdicts, and the emulated machines themselves."""

import ast
import json
import math
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, SIZE, one_line_error, run_python, snapshot
from emulated.agreement import agreement, limit
from emulated.cpus import CPUS
from emulated.drawn import FOR_TESTS, draw
from emulated.edge_tests import FRAMEWORK, for_devices

SCRIPT = ROOT / "tests" / "emulated_pi.py"


def compared(target, bundle, pictures, count, *options) -> dict:
    """The report of a comparison that holds."""
    call = ["--target", target, "--bundle", bundle, "--pictures", pictures, "--count", count]
    done = run_python(SCRIPT, *call, "--only", "compare", *options)
    return json.loads(done.stdout)


def by_name(report) -> dict:
    """(precision, other machine) -> comparison."""
    return {(c["precision"], c["against"]): c for c in report["comparisons"]}


# This machine with itself


@pytest.mark.slow
def test_this_machine_agrees_with_itself_to_the_bit(bundle, pictures):
    report = compared("x86", bundle, pictures / "test", 8)
    assert report["holds"]
    assert set(report["seconds"]) == {"float32", "int8"}
    comparisons = by_name(report)
    for precision in ("float32", "int8"):
        itself = comparisons[precision, "this machine, XNNPACK"]
        assert (itself["pictures"], itself["largest"], itself["other_verdicts"]) == (8, 0, 0)
    # The other kernels are others: were they the same, the comparison would compare nothing.
    assert 0 < comparisons["float32", "this machine, plain kernels"]["largest"] < 1e-4
    other = comparisons["int8", "this machine, plain kernels"]
    assert other["largest"] > 0
    assert not other["judged"], "across families of kernels a step is not asked"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bundle", "nowhere"], "nowhere: expected a bundle, which has manifest.json"),
        (["--count", "99"], "expected 99 pictures, got 32"),
        (
            ["--target", "armhf", "--cpu", "cortex-a72"],
            "processor of armhf, got --cpu cortex-a72",
        ),
        (
            ["--target", "tflite-runtime", "--python", "no-such-python"],
            "expected Python 3.9, 3.10, 3.11, which tflite-runtime 2.14 is there for; "
            "no-such-python is no Python: give another with --python",
        ),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(bundle, pictures, options, words):
    usual = ["--target", "x86", "--bundle", bundle, "--pictures", pictures / "test", "--count", 8]
    done = run_python(SCRIPT, *usual, "--only", "compare", *options, status=2)
    one_line_error(done, words)
    assert done.stdout == ""


# As nobody, and with no program on PATH: what the script says where it cannot make a Debian.
BARELY = """
import os, sys
sys.path.insert(0, "tests")
import emulated_pi
if sys.argv[1] == "nobody" and not os.geteuid():
    os.setuid(65534)
sys.exit(emulated_pi.main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("nobody", "an emulated Debian has to be made and entered as root"),
        ("root", "debootstrap, unshare, chroot, qemu-aarch64-static missing; install debootstrap"),
    ],
)
def test_what_an_emulated_debian_needs_is_said_in_one_line(tmp_path, who, words):
    if who == "root" and os.geteuid():
        pytest.skip("only root gets as far as that")
    call = ("--target", "arm64", "--cache", tmp_path / "cache")
    env = {**os.environ, "PATH": str(tmp_path)}
    one_line_error(run_python("-c", BARELY, who, *call, status=2, env=env), words)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["arm64", "tflite-runtime"])
def test_a_network_that_is_missing_is_named(bundle, pictures, tmp_path, target):
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("only root can take the network away")
    if target == "arm64" and emulation_lacks(CPUS["cortex-a72"]):
        pytest.skip(emulation_lacks(CPUS["cortex-a72"]))
    call = ["--target", target, "--bundle", bundle, "--pictures", pictures, "--count", "1"]
    done = subprocess.run(
        ["unshare", "--net", sys.executable, SCRIPT, *call, "--cache", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    one_line_error(done, "failed with status 1", "is there a network?")


# What holds, and what does not


def record(score, verdict="pass") -> dict:
    return {"score": score, "verdict": verdict}


HERE = {"a": record(1.0), "b": record(2.0, "warn"), "c": record(3.0, "fail")}


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ({}, True),
        ({"b": record(2.01, "warn")}, True),
        ({"b": record(1.97, "warn")}, False),
        ({"b": record(math.nan, "warn")}, False),
        ({"b": record(2.01, "fail")}, False),
    ],
)
def test_verdicts_are_the_same_and_scores_within_the_limit(changed, holds):
    found = agreement(HERE, {**HERE, **changed}, 0.02, "int8", "a Pi", judged=True)
    assert found.holds == holds
    assert found.line().startswith("ok   int8" if holds else "FAIL int8")
    assert found.pictures == 3


@pytest.mark.parametrize("there", [{}, {"a": record(1.0)}, {**HERE, "d": record(1.0)}])
def test_other_pictures_are_no_agreement(there):
    with pytest.raises(ValueError, match="verdicts of the same pictures, got 3 and"):
        agreement(HERE, there, 0.02, "int8", "a Pi", judged=True)


def test_limits(bundle):
    assert limit(bundle, "float32") == 1e-4
    manifest = json.loads((bundle / "manifest.json").read_text())
    largest = max(manifest["calibration"]["int8"]["scores"])
    assert 0 < limit(bundle, "int8") < 0.1 * largest


# What runs there


BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FRAMEWORK!r}:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Blocker())
"""


def test_the_tests_that_run_on_a_device_load_without_the_framework(tmp_path):
    chosen, left_out = for_devices(ROOT / "tests")
    assert {"test_edge_cli.py", "test_edge_bundle.py", "test_edge_preprocess.py"} <= set(chosen)
    assert "test_edge_tiles.py" in left_out
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    collect = ("-m", "pytest", "--collect-only", "-p", "no:cacheprovider")
    run_python(*collect, *(f"tests/{name}" for name in chosen), env=env)
    done = run_python(*collect, f"tests/{left_out[0]}", status=2, env=env)
    assert "blocked: vae_tf" in done.stdout


@pytest.mark.parametrize("file", sorted((ROOT / "edge").rglob("*.py")), ids=lambda f: f.name)
def test_the_syntax_is_that_of_python_3_9(file):
    """All of `edge`, the station too: what an older Raspberry Pi OS has."""
    for node in ast.walk(ast.parse(file.read_text(), feature_version=(3, 9))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
            assert not node.keywords, "zip(strict=) came with Python 3.10"
        if isinstance(node, ast.ImportFrom) and node.module == "itertools":
            assert "pairwise" not in {alias.name for alias in node.names}, "came with Python 3.10"


OF_A_DEVICE = """
import os


def test_ready(bundle, bundle_copy, pictures):
    assert str(bundle) == os.environ["EDGE_TEST_BUNDLE"]
    assert (bundle_copy / "manifest.json").read_text() == "{}"
    assert str(pictures) == os.environ["EDGE_TEST_PICTURES"]


def test_trained(run_folder):
    raise AssertionError("trained")


def test_trained_too(tiny_run):
    raise AssertionError("trained")
"""


@pytest.mark.slow
def test_fixtures_that_train_give_what_lies_ready(tmp_path):
    for name in ("bundle", "pictures", "tests"):
        (tmp_path / name).mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_of_a_device.py").write_text(OF_A_DEVICE)
    env = {
        **os.environ,
        "EDGE_TEST_BUNDLE": str(tmp_path / "bundle"),
        "EDGE_TEST_PICTURES": str(tmp_path / "pictures"),
        "PYTHONPATH": str(ROOT / "tests"),
    }
    plugins = ("-p", "emulated.ready", "-p", "emulated.patient", "-p", "no:cacheprovider")
    done = run_python("-m", "pytest", "-q", *plugins, "tests", cwd=tmp_path, env=env)
    assert "1 passed, 2 skipped" in done.stdout


def test_pictures_for_a_device_are_those_of_the_fixture(pictures, tmp_path):
    assert snapshot(draw(tmp_path, FOR_TESTS, size=2 * SIZE)) == snapshot(pictures)


@pytest.mark.slow
def test_the_tests_of_edge_run_somewhere_else(bundle):
    call = ["--target", "x86", "--bundle-for-tests", bundle, "--only", "tests"]
    done = run_python(SCRIPT, *call, "--tests", "test_edge_score.py", "test_edge_tiles.py")
    report = json.loads(done.stdout)
    assert report["holds"]
    assert report["tests"]["status"] == 0
    assert " passed" in report["tests"]["summary"]
    assert report["left_out"] == ["test_edge_tiles.py"]


@pytest.mark.parametrize("cpu", CPUS.values(), ids=CPUS)
def test_a_processor_is_described_as_the_kernel_does(cpu):
    cores = [
        dict(line.split(":", 1) for line in core.replace("\t", "").splitlines())
        for core in cpu.cpuinfo.strip().split("\n\n")
    ]
    assert [core["processor"].strip() for core in cores] == ["0", "1", "2", "3"]
    assert all(("neon" if cpu.architecture == "armhf" else "asimd") in c["Features"] for c in cores)


# The machines themselves. Slow: the first time each downloads and makes what it needs.


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime ends with Python 3.11")
def test_tflite_runtime_agrees_with_the_plain_kernels(bundle, pictures):
    report = compared("tflite-runtime", bundle, pictures / "test", 32)
    comparisons = by_name(report)
    # The same kernels at int8, and not XNNPACK's.
    assert comparisons["int8", "this machine, plain kernels"]["largest"] < 1e-5
    assert comparisons["int8", "this machine, XNNPACK"]["largest"] > 1e-5


def emulation_lacks(cpu) -> str:
    """What this machine lacks to emulate; empty where it can."""
    if os.geteuid():
        return "emulation needs root"
    tools = [t for t in ("debootstrap", f"qemu-{cpu.qemu}-static") if not shutil.which(t)]
    return f"emulation needs {', '.join(tools)}" if tools else ""


@pytest.mark.slow
@pytest.mark.parametrize("target", ["arm64", "armhf"])
def test_an_emulated_pi_agrees(target, bundle, pictures):
    cpu = CPUS["cortex-a72" if target == "arm64" else "cortex-a7"]
    if emulation_lacks(cpu):
        pytest.skip(emulation_lacks(cpu))
    report = compared(target, bundle, pictures / "test", 20)
    assert f"ok   machine: {cpu.machine}" in report["doctor"][0]
    family = "XNNPACK" if target == "arm64" else "plain kernels"
    assert by_name(report)["int8", f"this machine, {family}"]["judged"]
