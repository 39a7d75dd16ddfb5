"""The device's commands as a person or a program at the shell meets them."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, one_line_error, run_python
from PIL import Image

from edge import Runner, read_picture
from edge.manifest import read_manifest, write_manifest

PRECISIONS = ("float32", "int8")


def edge(*arguments, status=0, **options):
    return run_python("-m", "edge", *arguments, status=status, **options)


def records(done) -> list:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def good(pictures):
    return pictures / "test" / "good"


@pytest.fixture
def always_fails(bundle_copy):
    """A bundle whose threshold every picture passes."""
    manifest = read_manifest(bundle_copy)
    low = {
        p: c._replace(threshold=-1.0, warn_threshold=-2.0) for p, c in manifest.calibrations.items()
    }
    write_manifest(bundle_copy, manifest._replace(calibrations=low))
    return bundle_copy


# check


@pytest.mark.parametrize("precision", PRECISIONS)
def test_check_gives_the_verdicts_of_the_runner(bundle, pictures, precision):
    done = edge("check", bundle, pictures / "test", "--precision", precision)
    lines = records(done)
    files = sorted((pictures / "test").rglob("*.png"))
    assert [line["source"] for line in lines] == [str(f) for f in files]
    runner = Runner(bundle, precision)
    for line, file in zip(lines, files, strict=True):
        assert {"source", "score", "p_value", "verdict", "ms"} <= line.keys()
        verdict = runner.check(np.asarray(Image.open(file)))
        assert (line["score"], line["p_value"]) == (verdict.score, verdict.p_value)
        assert line["verdict"] == verdict.label
        assert line["verdict"] in ("pass", "warn", "fail")
        assert line["ms"] > 0
    assert len({line["score"] for line in lines}) > 16, "scores differ between pictures"


def test_int8_is_the_default_and_threads_change_no_bit(bundle, good):
    def scores(*options):
        return [line["score"] for line in records(edge("check", bundle, good, *options))]

    default = scores()
    assert default == scores("--precision", "int8", "--threads", 3)
    assert default != scores("--precision", "float32")


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(bundle, good, tmp_path):
    shutil.copy(good / "000.png", tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("no picture")
    Image.new("RGB", (1, 1)).save(tmp_path / "c.png")
    shutil.copy(good / "001.png", tmp_path / "d.png")
    (tmp_path / "notes.txt").write_text("not looked at")
    (tmp_path / "sub").mkdir()
    paths = [tmp_path, tmp_path / "absent.png", tmp_path / "sub", "x" * 300, good / "002.png"]
    done = edge("check", bundle, *paths, status=2)
    *lines, absent, empty, long, last = records(done)
    assert [line.get("verdict") is not None for line in lines] == [True, False, False, True]
    for line in lines[1:3]:
        assert line.keys() == {"source", "error"}
        assert line["error"].startswith(line["source"])
    assert "no such file or folder" in absent["error"]
    assert "no pictures below this folder" in empty["error"]
    assert "name too long" in long["error"]
    assert last["source"] == str(good / "002.png")
    assert "score" in last
    one_line_error(done, "edge check: 5 of the pictures could not be checked")


def test_a_folder_that_may_not_be_read_is_not_passed_over(bundle, good, tmp_path):
    shutil.copy(good / "000.png", tmp_path)
    (tmp_path / "closed").mkdir(mode=0)
    # In a user namespace of its own even root has no right to the folder.
    away = ["unshare", "--user"] if os.geteuid() == 0 else []
    if away and (not shutil.which("unshare") or subprocess.run([*away, "true"]).returncode):
        pytest.skip("this system gives no user namespace")
    call = [*away, sys.executable, "-m", "edge", "check", bundle, tmp_path, good / "001.png"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    (tmp_path / "closed").chmod(0o700)
    closed, other = records(done)
    assert closed["source"] == str(tmp_path)
    assert closed["error"].startswith(str(tmp_path / "closed"))
    assert "Permission denied" in closed["error"]
    assert (done.returncode, other["source"]) == (2, str(good / "001.png"))


def test_status_tells_a_failed_part_only_where_asked(bundle, always_fails, good):
    part = good / "000.png"
    assert records(edge("check", always_fails, part))[0]["verdict"] == "fail"
    edge("check", always_fails, part, "--exit-code", status=1)
    (passed,) = records(edge("check", bundle, part, "--exit-code", status=0))
    assert passed["verdict"] != "fail"
    edge("check", always_fails, part, good / "absent.png", "--exit-code", status=2)


def test_names_in_any_script_and_in_none(bundle, good, tmp_path):
    folder = tmp_path / "Prüfling 部品"
    folder.mkdir()
    shutil.copy(good / "000.png", folder / "naïve ß.PNG")
    no_text = os.fsencode(folder) + b"/bad\xff.png"
    shutil.copy(os.fsencode(good / "001.png"), no_text)
    env = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = edge("check", bundle, folder, "--heatmaps", folder / "höhe", env=env)
    sources = sorted(line["source"] for line in records(done))
    assert sources == sorted([str(folder / "naïve ß.PNG"), os.fsdecode(no_text)])
    assert len(list((folder / "höhe").iterdir())) == 2
    done = edge("selftest", folder, status=1, env=env)
    assert "is not a bundle" in done.stdout
    done = edge("check", folder, good, status=2, env=env)
    one_line_error(done, "is not a bundle")


def test_heatmaps_have_the_size_of_their_pictures_and_names_of_their_own(bundle, tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"a/part.png": (40, 60), "b/part.png": (90, 33, 3), "b/part.bmp": (64, 64)}
    for name, shape in shapes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    maps = tmp_path / "new" / "maps"
    done = edge("check", bundle, tmp_path / "a", tmp_path / "b", tmp_path / "a", "--heatmaps", maps)
    written = {}
    for line in records(done):
        with Image.open(line["heatmap"]) as heatmap, Image.open(line["source"]) as picture:
            assert (heatmap.format, heatmap.mode) == ("PNG", "RGB")
            assert heatmap.size == picture.size
        written[line["heatmap"]] = line["source"]
    assert len(written) == 4
    assert {str(p) for p in maps.iterdir()} == written.keys(), "and no other file"


def test_heatmap_is_coloured_where_the_map_is_above_the_threshold(
    always_fails, bundle, good, tmp_path
):
    def heatmap(of):
        (line,) = records(edge("check", of, good / "000.png", "--heatmaps", tmp_path))
        return np.asarray(Image.open(line["heatmap"])).astype(int)

    grey = np.asarray(Image.open(good / "000.png").convert("RGB")).astype(int)
    coloured = heatmap(always_fails)
    assert (np.ptp(coloured, axis=2) > 50).mean() > 0.9
    clear = np.ptp(heatmap(bundle), axis=2) == np.ptp(grey, axis=2)
    assert clear.mean() > 0.5


def test_heatmaps_into_a_file_is_an_error(bundle, good, tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        done = edge("check", bundle, good, "--heatmaps", path, status=2)
        one_line_error(done, "cannot write", str(path), "file", "choose another place")
        assert done.stdout == ""
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: BUNDLE, PATH"),
        (["B"], "required: PATH"),
        (["B", ""], "PATH: expected a path, got an empty one"),
        (["", "P"], "BUNDLE: expected a path, got an empty one"),
        (["B", "P", "--heatmaps", ""], "expected a path"),
        (["B", "P", "--threads", "0"], "--threads: expected a whole number from 1, got '0'"),
        (["B", "P", "--threads", "two"], "--threads: expected a whole number from 1, got 'two'"),
        (["B", "P", "--threads", "1.5"], "expected a whole number from 1, got '1.5'"),
        (["B", "P", "--threads", "99999999999"], "expected a whole number"),
        (["B", "P", "--threads", "5000"], "at most 256 threads"),
        (["B", "P", "--precision", "int4"], "choose from"),
    ],
)
def test_wrong_arguments_are_named(arguments, words, capsys):
    from edge.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(["check", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


# Output that nobody takes.


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["check", "selftest", "bench", "doctor"])
def test_a_reader_that_leaves_early_is_no_fault(bundle, pictures, command, unbuffered):
    arguments = {"check": [bundle, *[pictures / "test"] * 40], "bench": [bundle, "--runs", 1]}
    arguments["selftest"], arguments["doctor"] = [bundle], []
    call = [sys.executable, "-m", "edge", command, *map(str, arguments[command])]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    # The pipe has no reader from the start: `head` that has already gone.
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(call, cwd=ROOT, env=env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["check", "selftest"])
def test_output_to_a_full_disk_is_an_error(bundle, good, command, unbuffered):
    call = [sys.executable, "-m", "edge", command, bundle, *[good][: command == "check"]]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            call, cwd=ROOT, env=env, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    one_line_error(done, f"edge {command}:", "No space left")


# bench, selftest, doctor


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bench_measures(bundle, precision):
    done = edge("bench", bundle, "--runs", 20, "--precision", precision)
    figures = json.loads(done.stdout)
    latency = [figures[f"p{p}_ms"] for p in (50, 95, 99)]
    assert latency == sorted(latency)
    assert 0 < figures["interpreter_p50_ms"] < figures["p95_ms"]
    assert figures["load_ms"] > 0
    assert figures["first_ms"] > 0
    assert 15 < figures["peak_rss_mb"] < 80
    assert (figures["precision"], figures["runs"]) == (precision, 20)


def test_bench_wants_a_number_of_runs(bundle):
    one_line_error(edge("bench", bundle, "--runs", "x", status=2), "--runs", "whole number", "'x'")


def test_selftest_of_a_whole_bundle(bundle):
    lines = edge("selftest", bundle).stdout.splitlines()
    assert all(line.startswith("ok   ") for line in lines)
    for file in bundle.iterdir():
        assert sum(f"{file.name}:" in line for line in lines) == 1
    assert [line for line in lines if "golden vectors" in line] == [
        "ok   golden vectors, float32: 3 pictures",
        "ok   golden vectors, int8: 3 pictures",
    ]


def test_doctor_of_this_machine():
    done = edge("doctor")
    assert all(line.startswith("ok   ") for line in done.stdout.splitlines())
    for word in ("Python 3.", "Pillow", "NumPy", "interpreter runs a graph"):
        assert word in done.stdout


def without(tmp_path, *modules) -> dict:
    """An environment in which modules are not installed."""
    for module in modules:
        (tmp_path / module).mkdir()
        text = f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')"
        (tmp_path / module / "__init__.py").write_text(text)
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        (("ai_edge_litert", "tflite_runtime"), "no LiteRT interpreter could be imported"),
        (("numpy",), "NumPy: No module named 'numpy'"),
        (("PIL",), "Pillow: No module named 'PIL'"),
    ],
)
def test_doctor_says_what_to_install(bundle, good, tmp_path, absent, words):
    env = without(tmp_path, *absent)
    done = edge("doctor", status=1, env=env)
    assert "Traceback" not in done.stderr
    (fault,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert words in fault
    assert "run `pip install -r edge/requirements.txt`" in fault
    for command in (["check", bundle, good], ["bench", bundle], ["calibrate", bundle, good]):
        done = edge(*command, status=2, env=env)
        line = one_line_error(done, f"edge {command[0]}:", absent[0])
        assert "pip install" in line or "edge doctor" in line


def test_doctor_runs_beside_a_pillow_that_is_too_old(tmp_path):
    shim = "import PIL.Image\ndel PIL.Image.Resampling, PIL.Image.Transpose\n"
    (tmp_path / "sitecustomize.py").write_text(shim)
    done = edge("doctor", status=1, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    (fault,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert "9.1 or later" in fault


@pytest.mark.skipif(np.__version__ < "2", reason="needs the NumPy that tflite-runtime cannot take")
def test_tflite_runtime_beside_numpy_2_gets_a_hint(bundle, good, tmp_path):
    env = without(tmp_path, "ai_edge_litert")
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").touch()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("Interpreter = None")
    done = edge("check", bundle, good, status=2, env=env)
    one_line_error(done, "tflite-runtime needs NumPy 1", "run `pip install 'numpy<2'`")
    assert "pip install 'numpy<2'" in edge("doctor", status=1, env=env).stdout


# calibrate


def test_calibrate_sets_the_thresholds_of_both_precisions(bundle, bundle_copy, good, tmp_path):
    (tmp_path / "good").mkdir()
    for file in good.iterdir():
        shutil.copy(file, tmp_path / "good")
    (tmp_path / "good" / "broken.png").write_text("no picture")
    done = edge("calibrate", bundle_copy, tmp_path / "good", "--false-alarm-rate", 0.1)
    report = json.loads(done.stdout)
    assert "skipped" in one_line_error(done, str(tmp_path / "good" / "broken.png"))
    assert len(report["skipped"]) == 1
    before, after = read_manifest(bundle), read_manifest(bundle_copy)
    for precision in PRECISIONS:
        old, new = before.calibrations[precision], after.calibrations[precision]
        scores = sorted(
            line["score"] for line in records(edge("check", bundle, good, "--precision", precision))
        )
        assert list(new.scores) == scores, "the device's own scores of each precision"
        assert (new.rate, new.method) == (0.1, "conformal")
        change = report[precision]
        assert (change["old_threshold"], change["threshold"]) == (old.threshold, new.threshold)
        assert old.threshold != new.threshold
        assert change["pictures"] == 16
        line = records(edge("check", bundle_copy, good / "000.png", "--precision", precision))[0]
        assert line["threshold"] == new.threshold
    assert after.made_from["recalibrated"]["folder"] == "good"
    unchanged = {"calibrations": {}, "made_from": {}}
    assert after._replace(**unchanged) == before._replace(**unchanged)
    edge("selftest", bundle_copy)


def test_calibrate_keeps_the_rate_of_the_bundle(bundle_copy, good):
    rates = {p: c.rate for p, c in read_manifest(bundle_copy).calibrations.items()}
    report = json.loads(edge("calibrate", bundle_copy, good).stdout)
    for precision, rate in rates.items():
        assert report[precision]["false_alarm_rate"] == rate
        assert "too few" in report[precision]["calibration"], "16 pictures, 99 needed"


def test_calibrate_counts_the_pictures_of_a_group_as_one(bundle_copy, good, tmp_path):
    for i, file in enumerate(sorted(good.iterdir())):
        (tmp_path / "good" / f"part{i // 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "good" / f"part{i // 2}")
    for key in ("folder", r"part\d"):
        report = json.loads(
            edge("calibrate", bundle_copy, tmp_path / "good", "--group-by", key).stdout
        )
        for precision, calibration in read_manifest(bundle_copy).calibrations.items():
            assert calibration.groups and calibration.parts == 8
            assert "8 groups of good pictures (16 pictures)" in report[precision]["calibration"]
    edge("selftest", bundle_copy)


@pytest.mark.parametrize(
    ("pictures_", "options", "words"),
    [
        (7, (), "expected at least 8 good pictures to set a threshold, got 7 (1 more could not"),
        (0, (), "expected at least 8 good pictures to set a threshold, got 0"),
        (None, (), "no such file or folder"),
        (
            7,
            ("--false-alarm-rate", 0),
            "edge calibrate: expected a false-alarm rate in (0, 0.5], got 0",
        ),
        (
            7,
            ("--false-alarm-rate", 0.6),
            "edge calibrate: expected a false-alarm rate in (0, 0.5], got 0.6",
        ),
        (
            7,
            ("--false-alarm-rate", "nan"),
            "edge calibrate: expected a false-alarm rate in (0, 0.5], got nan",
        ),
        (7, ("--false-alarm-rate", "x"), "'x'"),
        (7, ("--group-by", "("), "expected the word folder or a regular expression"),
        (7, ("--group-by", "part"), "group by part: no match in "),
    ],
)
def test_calibrate_that_cannot_leaves_the_bundle_alone(
    bundle_copy, good, tmp_path, pictures_, options, words
):
    folder = tmp_path / "few"
    if pictures_ is not None:
        folder.mkdir()
        (folder / "broken.png").write_text("no picture")
        for file in sorted(good.iterdir())[:pictures_]:
            shutil.copy(file, folder)
    before = {p.name: p.read_bytes() for p in bundle_copy.iterdir()}
    done = edge("calibrate", bundle_copy, folder, *options, status=2)
    one_line_error(done, "calibrate", words)
    assert done.stdout == ""
    assert {p.name: p.read_bytes() for p in bundle_copy.iterdir()} == before


def test_marks_are_counted_one_by_one(bundle_copy, tmp_path):
    before = {p.name: p.read_bytes() for p in bundle_copy.iterdir()}
    done = edge("calibrate", bundle_copy, "--station", tmp_path, "--group-by", "folder", status=2)
    one_line_error(done, "calibrate", "--group-by goes with a FOLDER of good pictures")
    assert {p.name: p.read_bytes() for p in bundle_copy.iterdir()} == before


# The same from Python


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_runner_serves_several_threads(bundle, pictures, precision):
    runner = Runner(bundle, precision)
    read = [read_picture(p) for p in sorted((pictures / "test").rglob("*.png"))]
    alone = [runner.check(p).score for p in read]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda p: runner.check(p).score, read * 20))
    assert together == alone * 20


def test_a_verdict_carries_map_and_reconstruction(bundle, good):
    runner = Runner(bundle)
    verdict = runner.check(np.asarray(Image.open(good / "000.png")))
    height, width, channels = runner.manifest.input.shape
    assert (verdict.heatmap.shape, verdict.heatmap.dtype) == ((height, width), np.float32)
    assert verdict.reconstruction.shape == (height, width, channels)
    assert verdict.reconstruction.dtype == np.uint8
    assert verdict.heatmap.min() >= 0
    assert np.ptp(verdict.heatmap) > 0
