"""`edge run` as a whole: real processes, from a source to what is kept and told."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, one_line_error, refused
from install_bundles import reseal
from PIL import Image
from station_cameras import Program
from station_frames import wait_until
from station_run import (
    LONG,
    Running,
    counts,
    edge,
    events,
    is_whole,
    kept,
    make_parts,
    ppm,
    ppm_of,
    write_toml,
)

from edge.__main__ import main
from edge.install.install import status
from edge.manifest import read_manifest
from edge.preprocess import read_picture
from edge.runner import Runner
from edge.sources import picture_files
from edge.station.feeder import Feeder
from edge.station.judgement import Judgement
from edge.station.lines import to_json
from edge.station.masks import Masks, Region
from edge.station.sinks.failures import map_of
from edge.station.sources import Source
from edge.station.sources.waiting import Wake
from edge.station.types import Trouble


@pytest.fixture(scope="module")
def parts(pictures, tmp_path_factory) -> list:
    """16 good ones and 16 with a hole, as paths, in the order in which a folder gives them."""
    return picture_files(make_parts(pictures, tmp_path_factory.mktemp("parts")))


@pytest.fixture
def good(pictures) -> bytes:
    """A picture as a frame of a stream."""
    return ppm_of(pictures / "train" / "good" / "000.png")


def outcomes(records) -> list:
    return [(r["score"], r["verdict"], r["decision"]) for r in records]


# What the loop asks for frames


class Counting(Source):
    """So many arrivals as quickly as they are asked for, then an error where there is one.

    given: how many were asked for.
    """

    def __init__(self, count, error=None):
        self.count, self.error, self.given = count, error, 0

    def frames(self):
        for number in range(self.count):
            self.given += 1
            yield Trouble("x", str(number))
        if self.error is not None:
            raise self.error


@pytest.fixture
def never() -> int:
    """A file descriptor with nothing to read."""
    silent = Wake()
    yield silent.fd
    del silent


def test_arrivals_come_all_and_in_order_however_quickly(never):
    feeder, got = Feeder(Counting(20_000)), []
    end = time.monotonic() + LONG
    while not feeder.ended and time.monotonic() < end:
        arrival = feeder.take(time.monotonic() + 10, never)
        if arrival is not None:
            got.append(int(arrival.problem))
    assert got == list(range(20_000))
    assert feeder.ended
    assert feeder.close() is None


def test_what_a_source_raises_ends_the_loop(never):
    feeder = Feeder(Counting(1, error=OSError("gone")))
    assert feeder.take(time.monotonic() + LONG, never).problem == "0"
    with pytest.raises(OSError, match="gone"):
        feeder.take(time.monotonic() + LONG, never)
    feeder.close()


def test_what_nobody_took_is_given_back(never):
    for _ in range(200):
        source = Counting(5)
        feeder = Feeder(source)
        taken = feeder.take(0.0, never)
        left = feeder.close()
        assert source.given == (taken is not None) + (left is not None)


# From a source to what is kept


def test_a_folder_is_judged_once_and_everything_is_kept(bundle, parts, tmp_path):
    station, file = tmp_path / "station", tmp_path / "verdicts.jsonl"
    folder = parts[0].parents[1]
    sinks = ("--sink", "-", "--sink", f"jsonl:{file}")
    with Running("run", bundle, "--source", folder, "--station", station, *sinks) as running:
        last = running.ended()
    lines = [line.rstrip("\n") for line in running.out]
    assert file.read_text().splitlines() == lines
    assert [to_json(record) for record in is_whole(station)] == lines
    records, runner = running.records, Runner(bundle)
    assert [r["source"] for r in records] == list(map(str, parts))
    for record in records:
        verdict = runner.check(read_picture(Path(record["source"])))
        assert (record["score"], record["verdict"]) == (verdict.score, verdict.label)
        assert record["decision"] == verdict.label.upper()
        if verdict.label == "fail":
            there = station / record["picture"]
            assert np.array_equal(read_picture(there), read_picture(Path(record["source"])))
            assert (station / map_of(record["picture"])).stat().st_size > 0
        else:
            assert record["picture"] is None
    decisions = counts(station).decisions
    assert decisions["FAIL"] >= 16
    told = ", ".join(f"{n} {name}" for name, n in sorted(decisions.items()))
    assert last == f"edge run: 32 scored, 0 failed, 0 dropped; {told} (end)\n"
    assert events(station, "stop") == ["the source has ended"]
    (start,) = events(station, "start")
    assert start == f"{folder}, bundle {records[0]['bundle']}"


def test_the_same_from_one_file_where_options_win(bundle, parts, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    shutil.copytree(parts[0].parents[1], tmp_path / "in")
    toml = write_toml(
        tmp_path / "line.toml",
        bundle={"path": "bundle"},
        source={"open": "in"},
        sink=[{"to": "jsonl:verdicts.jsonl"}],
        judgement={"votes": 2, "of": 3, "release": 2},
        failures={"save": False},
    )
    edge("run", toml, cwd="/")
    lines = (tmp_path / "verdicts.jsonl").read_text().splitlines()
    assert lines == [to_json(record) for record in is_whole(tmp_path)]
    rules, runner = Judgement(2, 3, 2), Runner(bundle)
    for line, path in zip(map(json.loads, lines), parts, strict=True):
        verdict = runner.check(read_picture(path))
        assert (line["score"], line["picture"]) == (verdict.score, None)
        assert line["decision"] == rules.decide(verdict.label, 1.0)
    assert not (tmp_path / "failures").exists()

    said = edge("run", toml, "--votes", 1, "--of", 1, "--release", 0, "--sink", "-", cwd="/")
    records = list(map(json.loads, said.splitlines()))
    assert [r["decision"] for r in records] == [r["verdict"].upper() for r in records]
    assert [r["id"] for r in records] == list(range(33, 65)), "the same store"
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 32, "sinks as given"


def test_votes_regions_and_masks_from_the_command_line(bundle, parts, tmp_path):
    mask = tmp_path / "mask.png"
    painted = np.zeros((64, 64), np.uint8)
    painted[:20, :30] = 255
    Image.fromarray(painted).save(mask)
    options = ["--votes", 1, "--of", 2, "--release", 3, "--precision", "float32"]
    options += ["--roi", "0.25,0,1,0.75", "--mask", mask]
    options += ["--station", tmp_path / "station", "--sink", "-"]
    said = edge("run", bundle, "--source", parts[0].parents[1], *options)
    runner, rules = Runner(bundle, "float32"), Judgement(1, 2, 3)
    masks = Masks(Region(0.25, 0, 1, 0.75), (), mask)
    for line, path in zip(map(json.loads, said.splitlines()), parts, strict=True):
        view = masks.view(read_picture(path), runner.manifest.input)
        assert view.picture.shape[:2] == (48, 48)
        verdict = runner.check(view.picture, view.ignore)
        assert (line["score"], line["verdict"]) == (verdict.score, verdict.label)
        assert line["decision"] == rules.decide(verdict.label, 1.0)
        if line["picture"] is not None:
            kept_picture = read_picture(tmp_path / "station" / line["picture"])
            assert np.array_equal(kept_picture, view.picture), "what the model saw"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["BUNDLE"], ["--source", "STATION.toml"]),
        (["BUNDLE", "--source", "nothing"], ["nothing", "no such file"]),
        (["nothing", "--source", "PICTURES"], ["nothing"]),
        (["missing.toml"], ["missing.toml"]),
        (["wrong.toml"], ["wrong.toml", "sauce", "votes"]),
        (["BUNDLE", "--source", "PICTURES", "--votes", "3", "--of", "2"], ["votes", "2", "3"]),
        (["BUNDLE", "--source", "PICTURES", "--roi", "0.5,0,0.1,1"], ["roi", "left"]),
        (["BUNDLE", "--source", "PICTURES", "--roi", "a"], ["roi", "'a'"]),
        (["BUNDLE", "--source", "PICTURES", "--mask", "none.png"], ["mask", "none.png"]),
        (["BUNDLE", "--source", "PICTURES", "--sink", "nowhere"], ["sink", "nowhere"]),
        (["BUNDLE", "--source", "PICTURES", "--threads", "0"], ["threads", "0"]),
        (["BUNDLE", "--source", "PICTURES", "--every", "nan"], ["every"]),
        (["BUNDLE", "--source", "command:no-such-program"], ["no-such-program"]),
        (["BUNDLE", "--source", "PICTURES", "--station", "a-file"], ["a-file"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line(
    arguments, words, bundle, pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("a-file").write_text("here")
    Path("wrong.toml").write_text('[bundle]\npath = "b"\n[sauce]\n[judgement]\nvotes = 0\n')
    real = {"BUNDLE": bundle, "PICTURES": pictures / "test"}
    line = refused(capsys, main, "run", *(real.get(word, word) for word in arguments))
    for word in words:
        assert word in line
    assert len(line) < 500
    before = signal.getsignal(signal.SIGTERM)
    assert before is signal.SIG_DFL, "signals are as they were"


def test_a_stream_on_standard_input(bundle, parts, tmp_path):
    options = ("--source", "-", "--station", tmp_path, "--sink", "-")
    with Running("run", bundle, *options) as running:
        for path in parts[:6]:
            running.send(path.read_bytes(), b"rubbish between two pictures")
        running.send(ppm(np.zeros((4, 4), np.uint8)))
        last = running.ended()
    runner = Runner(bundle)
    scored = [r for r in running.records if r["verdict"] != "error"]
    expected = [runner.check(read_picture(path)) for path in parts[:6]]
    assert [r["score"] for r in scored] == [v.score for v in expected]
    failed = [r["error"] for r in running.records if r["verdict"] == "error"]
    assert len(failed) == 7
    assert "28 bytes" in failed[0]
    assert "8 pixels" in failed[-1]
    assert "6 scored, 7 failed, 0 dropped" in last
    assert "7 ERROR" in last
    is_whole(tmp_path)


def test_a_watched_folder_whose_pictures_go_once_they_are_kept(bundle, parts, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    toml = write_toml(
        tmp_path / "station.toml",
        bundle={"path": str(bundle)},
        source={"open": "watch:in", "done": "move to judged", "poll": 0.05},
    )
    for number, path in enumerate(parts[:3]):
        shutil.copy(path, folder / f"early{number}.png")
    with Running("run", toml, "--sink", "-") as running:
        running.until_lines(3)
        (folder / "broken.png").write_bytes(b"no picture")
        running.until_lines(4)
        shutil.copy(parts[3], folder / "late.png")
        running.until_lines(5)
        running.until(lambda: (folder / "judged" / "late.png").exists())
        last = running.stopped()
    assert last.endswith("(SIGTERM)\n")
    names = [Path(r["source"]).name for r in running.records]
    assert sorted(names[:3]) == ["early0.png", "early1.png", "early2.png"]
    assert names[3:] == ["broken.png", "late.png"]
    assert sorted(p.name for p in (folder / "judged").iterdir()) == sorted(names)
    assert [r.verdict == "error" for r in is_whole(tmp_path)] == [False] * 3 + [True, False]


def test_an_upload_is_answered_when_its_record_is_on_the_disk(bundle, parts, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"

    def upload(name, content):
        try:
            with urllib.request.urlopen(address + name, content, timeout=LONG) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            return None

    options = ("--source", f"upload:{port}", "--station", tmp_path)
    with Running("run", bundle, *options) as running:
        running.until(lambda: upload("no-picture", b"nothing") == 400)
        runner = Runner(bundle)
        for number, path in enumerate(parts[::8]):
            answer = upload(f"part-{number}", path.read_bytes())
            record = kept(tmp_path)[-1]
            assert answer == record._asdict()
            assert record.source == f"upload:part-{number}"
            assert record.score == runner.check(read_picture(path)).score
        running.process.kill()
    assert answer["id"] == is_whole(tmp_path)[-1].id


def test_a_video(bundle, pictures, tmp_path):
    cv2 = pytest.importorskip("cv2")
    video = tmp_path / "parts.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    for path in picture_files(pictures / "test" / "good")[:5]:
        writer.write(cv2.cvtColor(read_picture(path), cv2.COLOR_GRAY2BGR))
    writer.release()
    options = ("--station", tmp_path / "station", "--sink", "-")
    said = edge("run", bundle, "--source", f"video:{video}", *options)
    records = list(map(json.loads, said.splitlines()))
    assert [r["source"] for r in records] == [f"{video}#{n}" for n in range(1, 6)]
    assert all(np.isfinite(r["score"]) for r in records)


# The end


SENDER = """
import os, sys, time
log = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
frame = b"P6 200 160 255\\n" + bytes(range(250)) * 384
number = 0
while True:
    sys.stdout.buffer.write(frame)
    sys.stdout.buffer.flush()
    number += 1
    os.pwrite(log, b"%9d" % number, 0)
    time.sleep(0.0005)
"""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_stopped_under_load_every_frame_is_accounted_for(by, bundle, tmp_path):
    sent = tmp_path / "sent"
    (tmp_path / "sender.py").write_text(SENDER)
    source = f"command:{sys.executable} {tmp_path / 'sender.py'} {sent}"
    station = tmp_path / "station"
    options = ("--source", source, "--station", station, "--sink", "-")
    with Running("run", bundle, *options) as running:
        running.until_lines(50)
        last = running.stopped(by)
    records, found = is_whole(station), counts(station)
    assert [r["id"] for r in running.records] == [r.id for r in records], "all were told"
    assert found.dropped > 0, "it sends faster than frames are judged"
    count = int(sent.read_text())
    on_the_way = count - found.scored - found.failed - found.dropped
    assert 0 <= on_the_way <= 14, "in the pipe, of which nothing was read"
    assert f"{found.scored} scored, 0 failed, {found.dropped} dropped" in last
    assert last.endswith(f"({by.name})\n")
    assert events(station, "stop") == [by.name]


def test_stopped_in_the_middle_of_a_folder_each_file_is_kept_or_still_there(
    bundle, pictures, tmp_path
):
    folder, content = tmp_path / "in", (pictures / "train" / "good" / "000.png").read_bytes()
    folder.mkdir()
    names = {f"{number:04d}.png" for number in range(1500)}
    for name in names:
        (folder / name).write_bytes(content)
    toml = write_toml(
        tmp_path / "station.toml",
        bundle={"path": str(bundle)},
        source={"open": "watch:in", "done": "delete", "poll": 0.05},
        store={"sync_seconds": 0.05},
    )
    with Running("run", toml, "--sink", "-") as running:
        running.until_lines(100)
        running.stopped()
    judged = [Path(r.source).name for r in is_whole(tmp_path)]
    left = {path.name for path in folder.iterdir()}
    assert len(judged) == len(set(judged)) >= 100
    assert left | set(judged) == names
    assert not left & set(judged)
    assert left, "it was stopped in the middle"


def test_a_reader_that_has_enough(bundle, tmp_path):
    program = Program(tmp_path)
    options = ("--source", program.text("frames,100000,0.01"), "--station", tmp_path / "station")
    call = [sys.executable, "-m", "edge", "run", bundle, *options, "--sink", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(call, cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(LONG) == 0
    assert "Traceback" not in said
    assert "Error" not in said
    assert is_whole(tmp_path / "station")


SLOW_READER = """
import signal, sys
from edge.station.sinks.jsonl import StandardOutput
from edge.station.types import Record
signal.signal(signal.SIGTERM, lambda *_: None)
print("go", file=sys.stderr, flush=True)
records = [Record(1.7e9, 1.0, "boot", "x", "pass", "PASS", id=i) for i in range(1000)]
StandardOutput().write(records)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_while_the_reader_is_slow_costs_no_line(unbuffered):
    pipe, surroundings = subprocess.PIPE, {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    call = [sys.executable, "-c", SLOW_READER]
    with subprocess.Popen(call, cwd=ROOT, env=surroundings, stdout=pipe, stderr=pipe) as process:
        assert process.stderr.readline() == b"go\n"
        time.sleep(0.3)  # more than the pipe holds is written, and waits
        process.terminate()
        ids = [json.loads(line)["id"] for line in process.stdout]
        assert process.wait(LONG) == 0
    assert ids == list(range(1000))


def test_one_station_has_one_run(bundle, good, tmp_path):
    options = ("run", bundle, "--source", "-", "--station", tmp_path, "--sink", "-")
    with Running(*options) as first:
        first.send(good)
        first.until_lines(1)
        with Running(*options) as second:
            line = second.ended(2)
        assert "another program runs the station" in line
        assert len(second.err) == 1
        first.send(good)
        first.until_lines(2)
        first.stopped()
    assert len(is_whole(tmp_path)) == 2


# What it tells others


class Manager:
    """A service manager's end of the socket. messages: as they came."""

    def __init__(self, folder: Path):
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "400000"}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while message := self.socket.recv(4096):
            self.messages.append(message.decode())

    @property
    def pings(self) -> int:
        return self.messages.count("WATCHDOG=1")


def test_the_service_manager_is_pinged_while_frames_are_scored(bundle, tmp_path):
    manager, program = Manager(tmp_path), Program(tmp_path)
    # At first nothing, then frames that can be scored, then frames that cannot.
    acts = "wait_for,go;frames,60,0.03;frames,100000,0.03,4,4"
    toml = write_toml(
        tmp_path / "station.toml",
        bundle={"path": str(bundle)},
        source={"open": program.text(acts), "patience": 1000.0},
        store={"sync_seconds": 0.05},
    )
    with Running("run", toml, "--sink", "-", env=manager.environment) as running:
        running.until(lambda: "READY=1" in manager.messages)
        running.until(lambda: "STATUS=waiting for a frame" in manager.messages)
        assert manager.pings == 0, "a camera that gives nothing is no excuse"
        (tmp_path / "go").touch()
        running.until(lambda: [r for r in running.records if r["verdict"] == "error"])
        assert 4 <= manager.pings <= 60
        seen, lines = manager.pings, len(running.out)
        running.until_lines(lines + 50)
        assert manager.pings == seen, "a loop that merely turns proves nothing"
        running.stopped()
    wait_until(lambda: manager.messages[-1] == "STOPPING=1", LONG)
    assert manager.messages[0] == "READY=1"
    assert any(re.fullmatch(r"STATUS=\w+; \d+ scored, \d+ failed", m) for m in manager.messages)


def test_how_it_does_is_known_while_it_runs(bundle, good, tmp_path):
    memory, station = tmp_path / "memory", tmp_path / "line 1"
    memory.mkdir()
    options = ("--source", "-", "--station", station, "--sink", "-")
    surroundings = {"XDG_RUNTIME_DIR": str(memory)}
    with Running("run", bundle, *options, env=surroundings) as running:
        running.send(good, good)
        running.until_lines(2)
        (folder,) = memory.iterdir()
        health = folder / "health.json"
        running.until(lambda: json.loads(health.read_text())["frames"]["scored"] == 2)
        said = json.loads(edge("status", station))
        assert said["running"]["pid"] == running.pid
        assert said["running"]["status"] == "ok"
        assert said["running"]["bundle"] == running.records[0]["bundle"]
        assert said["counts"]["scored"] == 2
        assert said["events"][0]["kind"] == "start"
        running.stopped()
    assert not health.exists()
    said = json.loads(edge("status", station, status=1))
    assert said["running"] is None
    assert said["events"][0]["text"] == "SIGTERM"


def test_drift_is_told(bundle, pictures, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number, path in enumerate(picture_files(pictures / "train" / "good")[:60]):
        shutil.copy(path, folder / f"{number:03d}.png")
        dark = (read_picture(path) * 0.6).astype(np.uint8)
        Image.fromarray(dark).save(folder / f"dark{number:03d}.png")
    toml = write_toml(
        tmp_path / "station.toml",
        bundle={"path": str(bundle)},
        source={"open": "in"},
        drift={"window": 20},
    )
    with Running("run", toml) as running:
        running.ended()
    told = events(tmp_path, "drift")
    assert len(told) >= 1
    assert "darker" in " ".join(told)
    assert any(line.startswith("edge: drift: ") for line in running.err)
    with Running("run", toml, "--source", "-", "--sink", "-") as running:
        running.send(ppm_of(folder / "dark000.png"))
        running.until_lines(1)
        said = running.until(lambda: json.loads(edge("status", tmp_path))["running"])
        assert said["status"] == "warn", "a warning outlives a restart"
        assert "darker" in said["problems"][0]
        running.stopped()


# Bundles and thresholds while it runs


def test_a_mark_moves_the_threshold_by_calibration_alone(bundle_copy, parts, tmp_path):
    runner, station = Runner(bundle_copy), tmp_path / "station"
    bad = min(parts[16:], key=lambda path: runner.check(read_picture(path)).score)
    with Running(
        "run", bundle_copy, "--source", "-", "--station", station, "--sink", "-"
    ) as running:
        running.send(ppm_of(bad))
        (first,) = running.until_lines(1)
        marked = json.loads(edge("mark", first["id"], "false-alarm", "--station", station))
        assert (marked["mark"], marked["id"]) == ("false-alarm", first["id"])
        running.send(ppm_of(bad))
        assert running.until_lines(2)[1]["threshold"] == first["threshold"]
        json.loads(edge("calibrate", bundle_copy, "--station", station))

        def moved():
            running.send(ppm_of(bad))
            return running.until_lines(len(running.out) + 1)[-1]["bundle"] != first["bundle"]

        running.until(moved)
        now = running.records[-1]
        assert now["threshold"] == Runner(bundle_copy).calibration.threshold > first["threshold"]
        assert now["score"] == first["score"]
        assert f"now {now['bundle']}, before it {first['bundle']}" in events(station, "bundle")
        running.stopped()


def renamed(bundle, folder, name) -> Path:
    """A copy of a bundle that is another version."""
    shutil.copytree(bundle, folder)
    reseal(folder, lambda record: record.update(name=name))
    return folder


@pytest.mark.slow
def test_a_bundle_store_while_the_station_runs(bundle, pictures, good, tmp_path):
    store, station = tmp_path / "store", tmp_path / "station"
    one = json.loads(edge("install", bundle, "--to", store, "--frames", 0))["version"]
    second, third = (renamed(bundle, tmp_path / n, n) for n in ("second", "third"))
    with Running("run", store, "--source", "-", "--station", station, "--sink", "-") as running:

        def judged() -> dict:
            running.send(good)
            return running.until_lines(len(running.out) + 1)[-1]

        assert judged()["bundle"] == one
        two = json.loads(edge("install", second, "--to", store, "--frames", 8))["version"]
        running.until(lambda: judged()["bundle"] == two)
        assert status(store)["state"] == "trial"
        while sum(r["bundle"] == two for r in running.records) < 8:
            judged()
        assert (status(store)["active"], status(store)["state"]) == (two, "confirmed")

        before = judged()["threshold"]
        train = pictures / "train" / "good"
        edge("calibrate", store, train, "--false-alarm-rate", 0.05)
        running.until(lambda: judged()["threshold"] != before)
        assert judged()["bundle"] == two, "the bundle itself is as it was"
        assert any("set on this device" in text for text in events(station, "bundle"))

        running.process.send_signal(signal.SIGSTOP)
        three = json.loads(edge("install", third, "--to", store, "--frames", 8))["version"]
        graph = store / "versions" / three / "detector.int8.tflite"
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
        running.process.send_signal(signal.SIGCONT)
        running.until(lambda: judged() and status(store)["rejected"])
        assert status(store)["rejected"]["version"] == three
        assert status(store)["active"] == judged()["bundle"] == two
        running.until(lambda: any(three in text for text in events(station, "bundle")))
        running.stopped()
    assert {r["bundle"] for r in running.records} == {one, two}
    texts = events(station, "bundle")
    assert texts[0] == f"now {two}, before it {one}"
    assert texts[-1].startswith(f"rolled back: version {three}: ")
    assert len(texts) == 3


FAILING = """
import sys
from edge import runner
from edge.__main__ import main

check = runner.Runner.check

def fails(self, *arguments):
    if self.manifest.name == "second":
        raise RuntimeError("a graph that cannot take this picture")
    return check(self, *arguments)

runner.Runner.check = fails
sys.exit(main(sys.argv[1:]))
"""


def test_a_bundle_that_fails_on_frames_is_rolled_back(bundle, good, tmp_path):
    store, station = tmp_path / "store", tmp_path / "station"
    one = json.loads(edge("install", bundle, "--to", store, "--frames", 0))["version"]
    second = renamed(bundle, tmp_path / "second", "second")
    arguments = ("run", store, "--source", "-", "--station", station, "--sink", "-")
    with Running(*arguments, program=("-c", FAILING)) as running:

        def judged() -> dict:
            running.send(good)
            return running.until_lines(len(running.out) + 1)[-1]

        assert judged()["verdict"] != "error"
        two = json.loads(edge("install", second, "--to", store))["version"]
        running.until(lambda: judged()["bundle"] == two)
        assert "cannot take this picture" in running.records[-1]["error"]
        running.until(lambda: judged()["bundle"] == one)
        assert running.records[-1]["verdict"] != "error"
        running.stopped()
    assert status(store)["active"] == one
    assert status(store)["rejected"]["version"] == two
    (rolled_back,) = [t for t in events(station, "bundle") if t.startswith("rolled back")]
    assert "cannot take this picture" in rolled_back
    is_whole(station)


# The commands beside it


def test_the_commands_of_a_station(bundle, pictures, tmp_path, capsys):
    toml = write_toml(
        tmp_path / "press.toml",
        top={"folder": "kept"},
        bundle={"path": str(bundle)},
        source={"open": str(pictures / "test" / "good")},
    )
    (tmp_path / "kept").mkdir()
    assert main(["run", str(toml)]) == 0
    assert "16 scored" in capsys.readouterr().err
    assert main(["service", str(toml)]) == 0
    unit = capsys.readouterr().out
    assert f"edge run {toml}" in unit
    assert "edge-press.service" in unit
    assert main(["status", str(toml)]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["scored"] == 16
    assert main(["mark", "3", "missed", "--station", str(toml)]) == 0
    assert json.loads(capsys.readouterr().out)["mark"] == "missed"
    assert "99" in refused(capsys, main, "mark", "99", "missed", "--station", toml)
    assert "none" in refused(capsys, main, "status", tmp_path / "none")
    main(["doctor", str(toml)])
    said = capsys.readouterr().out
    assert str(tmp_path / "kept") in said
    assert all(line.startswith(("ok   ", "FAIL ")) for line in said.splitlines())
    assert read_manifest(bundle)


def test_without_a_terminal_standard_input_is_not_waited_for(bundle, tmp_path):
    call = [sys.executable, "-m", "edge", "run", bundle, "--source", "-", "--station", tmp_path]
    nothing = subprocess.DEVNULL
    done = subprocess.run(call, cwd=ROOT, stdin=nothing, capture_output=True, text=True)
    assert done.returncode == 0
    one_line_error(done, "0 scored, 0 failed, 0 dropped")
