"""Faults, injected for real into a whole `edge run`: kills, disks, cameras, networks, clocks."""

import contextlib
import json
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from mqtt_broker import Broker
from station_cameras import Program
from station_frames import KINDS, mutated
from station_run import (
    LONG,
    Running,
    counts,
    edge,
    events,
    is_whole,
    kept,
    make_parts,
    ppm_of,
    write_toml,
)
from test_station_sinks import Hook
from test_station_store import filled, small_disk  # noqa: F401

from edge.preprocess import read_picture
from edge.runner import Runner
from edge.sources import picture_files
from edge.station.lines import to_json
from edge.station.sinks.failures import map_of


@pytest.fixture(scope="module")
def frames(pictures, tmp_path_factory) -> list:
    """Good and bad parts in turn, as frames of a stream."""
    paths = picture_files(make_parts(pictures, tmp_path_factory.mktemp("parts")))
    return [ppm_of(path) for pair in zip(paths[:16], paths[16:], strict=True) for path in pair]


def station_toml(folder, bundle, **tables) -> Path:
    """A station in a folder that judges standard input and commits often."""
    usual = {
        "top": {"folder": str(folder)},
        "bundle": {"path": str(bundle)},
        "source": {"open": "-"},
        "store": {"sync_seconds": 0.05},
    }
    return write_toml(folder.parent / f"{folder.name}.toml", **{**usual, **tables})


# Kills


def survives_kills(bundle, frames, folder, times):
    """What standard output was told is in the store, whenever the station was killed."""
    toml = station_toml(folder, bundle, store={"sync_seconds": 0.02})
    told, rounds_with_some = {}, 0
    for seed in range(times):
        chance = random.Random(seed)
        with Running("run", toml, "--sink", "-") as running:
            feeding = threading.Thread(target=feed, args=(running, frames), daemon=True)
            feeding.start()
            if seed % 5:
                enough = chance.randrange(1, 80)
                running.until(lambda: len(running.out) >= enough)  # noqa: B023
                time.sleep(chance.uniform(0, 0.03))
            else:  # while it starts
                time.sleep(chance.uniform(0, 0.6))
            running.process.kill()
        feeding.join()
        new = {json.loads(line)["id"]: line for line in running.out if line.endswith("\n")}
        assert not new.keys() & told.keys(), "an id is given once"
        told.update(new)
        rounds_with_some += bool(new)
        if told:
            records = {record.id: record for record in is_whole(folder)}
            for number in new:
                assert to_json(records[number]) + "\n" == told[number]
                assert_picture(folder, records[number])
    assert rounds_with_some >= times / 2
    assert not list(folder.glob("*damaged*"))
    assert not list(folder.glob("failures/.*.part")) or times % 5 == 0


def feed(running, frames):
    with contextlib.suppress(OSError, ValueError):
        while True:
            running.send(*frames)


def assert_picture(folder, record):
    """A record of a failure names a picture that is there, whole, with its heat map."""
    if record.verdict == "fail":
        assert read_picture(folder / record.picture).shape == (64, 64)
        assert read_picture(folder / map_of(record.picture)).shape[2] == 3


def test_ten_kills_lose_no_verdict_that_was_told(bundle, frames, tmp_path):
    survives_kills(bundle, frames, tmp_path / "station", 10)


@pytest.mark.slow
def test_two_hundred_kills_lose_no_verdict_that_was_told(bundle, frames, tmp_path):
    survives_kills(bundle, frames, tmp_path / "station", 200)


# Disks


def loses_nothing(running, frames, station, refusing):
    """Nothing is told that is not on the disk, and all is once the disk takes it again.

    refusing: a context in which the disk takes nothing.
    """
    running.send(*frames[:20])
    running.until_lines(20)
    with refusing:
        running.send(*frames[:32])
        said = "verdicts wait in memory"
        running.until(lambda: any(said in line for line in running.err), said)
        running.send(*frames[:8])
        time.sleep(0.5)
        assert len(running.out) == 20, "told before it was on the disk"
        assert [r.id for r in kept(station)] == list(range(1, 21))
    records = running.until_lines(60)
    running.send(frames[1])
    assert running.until_lines(61)[-1]["picture"] is not None, "pictures are kept again"
    running.until(lambda: any("store: works again" in line for line in running.err))
    running.stopped()
    assert [to_json(record) + "\n" for record in is_whole(station)] == running.out
    assert [r["id"] for r in records] == list(range(1, 61)), "each once, in order"
    (event,) = events(station, "store")
    assert event.startswith("not written for")
    assert "0 records were lost" in event


def test_a_full_disk(bundle, frames, small_disk):  # noqa: F811
    station = small_disk / "station"
    toml = station_toml(station, bundle, failures={"cap_mb": 1, "reserve_mb": 0})
    with Running("run", toml, "--sink", "-") as running:
        loses_nothing(running, frames, station, filled(small_disk))


@contextlib.contextmanager
def no_file_may_grow(pid):
    """Every write to a file fails meanwhile."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses(bundle, frames, tmp_path):
    station = tmp_path / "station"
    toml = station_toml(station, bundle)
    with Running("run", toml, "--sink", "-") as running:
        loses_nothing(running, frames, station, no_file_may_grow(running.pid))


@pytest.fixture
def real_disk(tmp_path):
    """A folder on an ext4 of its own, whose mount the test may end; only root may make one."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 2**20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_turns_read_only(bundle, frames, real_disk):
    """As a worn-out card does: nothing more is told, and what was told is there after a restart."""
    station = real_disk / "station"
    station.mkdir()
    toml = write_toml(
        real_disk.parent / "station.toml",
        top={"folder": str(station)},
        bundle={"path": str(bundle)},
        source={"open": "-"},
        store={"sync_seconds": 0.05},
        failures={"reserve_mb": 0},
    )
    with Running("run", toml, "--sink", "-") as running:
        running.send(*frames[:20])
        running.until_lines(20)
        subprocess.run(["mount", "-o", "remount,abort", real_disk], check=True)
        running.send(*frames[:20])
        running.until(lambda: any("verdicts wait in memory" in line for line in running.err))
        last = running.ended()
    assert len(running.out) == 20
    assert "40 scored" in last
    assert any("these verdicts are lost" in line for line in running.err)
    assert counts(station).scored == 20, "can be read"
    with Running("run", toml) as refused:
        refused.send(*frames[:1])
        line = refused.ended(2)
    assert "read-only" in line
    assert len(refused.err) == 1

    image = real_disk.parent / "image"
    subprocess.run(["umount", real_disk], check=True)
    subprocess.run(["mount", "-o", "loop", image, real_disk], check=True)
    with Running("run", toml, "--sink", "-") as again:
        again.send(*frames[:5])
        again.ended()
    assert [to_json(r) + "\n" for r in is_whole(station)] == running.out + again.out
    assert len(again.out) == 5


# Cameras


def test_a_camera_that_hangs_vanishes_babbles_and_changes_size(bundle, tmp_path):
    program, station = Program(tmp_path), tmp_path / "station"
    acts = (
        "frames,5,0.02;hang",
        "frames,5,0.02;die",
        "frames,5,0.02;raw,rubbish,20000;hang",
        "frames,5,0.02;end,3,no such device",
        "frames,5,0.02;frames,40,0.02,24,16;frames,100000,0.02",
    )
    toml = station_toml(
        station,
        bundle,
        source={"open": program.text(*acts), "timeout": 1.0, "patience": 100.0, "retry": 0.05},
        masks={"roi": [0, 0, 32, 24]},
    )
    with Running("run", toml, "--sink", "-") as running:

        def small():
            return [r["id"] for r in running.records if r["verdict"] == "error"]

        running.until(small, "a frame that is smaller than its region of interest")
        running.until(lambda: running.records[-1]["verdict"] != "error", "a frame that fits")
        running.stopped()
    is_whole(station)
    assert len(program.starts) == 5
    assert 1 <= len(small()) <= 40
    error = running.records[small()[0] - 1]["error"]
    assert "24 x 16" in error
    told = events(station, "source")
    lost = [text.partition("; ")[0].partition("lost: ")[2] for text in told[::2]]
    words = ("no picture for 1 s", "ended with status 137", "that are no picture", "no such device")
    assert len(lost) == 4, told
    for word, text in zip(words, lost, strict=True):
        assert word in text
    assert all("back after" in text for text in told[1::2])
    assert len(told) == 8


# Networks


def test_a_broker_and_a_web_hook_that_are_down_for_a_while(bundle, frames, tmp_path):
    pytest.importorskip("paho.mqtt.client")
    broker, hook, station = Broker(), Hook(), tmp_path / "station"
    sinks = [{"to": f"mqtt://127.0.0.1:{broker.port}/line"}, {"to": hook.url()}, {"to": "-"}]
    toml = station_toml(station, bundle, sink=sinks)

    def published() -> list:
        return [json.loads(message.payload)["id"] for message in broker.messages]

    broker.stop()
    with Running("run", toml) as running:
        running.send(*frames[:10])
        running.until_lines(10)
        running.until(lambda: hook.got == list(range(1, 11)))
        hook.stop()
        running.send(*frames[:10])
        running.until_lines(20)
        assert published() == []
        broker.start()
        hook.start()
        running.send(*frames[:5])
        running.until_lines(25)
        running.until(lambda: len(hook.got) >= 25 and len(published()) >= 25)
        broker.stop()
        hook.stop()
        running.send(*frames[:5])
        running.until_lines(30)
        running.stopped()
    hook.start()
    broker.start()
    with Running("run", toml) as again:
        again.until(lambda: len(hook.got) >= 30 and len(published()) >= 30)
        again.stopped()
    hook.stop()
    broker.stop()
    assert hook.got == list(range(1, 31)), "in order, each once"
    assert published() == list(range(1, 31))
    is_whole(station)


# Clocks

SET_BACK = """
import signal, sys, time

true, wrong = time.time, [0.0]
time.time = lambda: true() + wrong[0]

def set_by_a_day(number, frame):
    wrong[0] += -86400.0 if number == signal.SIGUSR1 else 86400.0

signal.signal(signal.SIGUSR1, set_by_a_day)
signal.signal(signal.SIGUSR2, set_by_a_day)
from edge.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_clock_that_is_set_back_a_day(bundle, frames, tmp_path):
    station = tmp_path / "station"
    toml = station_toml(
        station, bundle, judgement={"votes": 1, "of": 2, "release": 2, "gap": 3600.0}
    )
    with Running("run", toml, "--sink", "-", program=("-c", SET_BACK)) as running:
        for number, way in ((signal.SIGUSR1, "back by 24.0 h"), (signal.SIGUSR2, "forward")):
            running.send(*frames[:8])
            running.until_lines(len(running.out) + 8)
            running.process.send_signal(number)
            running.until(lambda: any(way in text for text in events(station, "clock")))  # noqa: B023
        running.send(*frames[:8])
        running.until_lines(24)
        running.stopped()
    records = is_whole(station)
    assert [to_json(record) + "\n" for record in records] == running.out
    taken = [record.taken for record in records]
    assert taken[8] < taken[7] - 80_000
    assert taken[16] > taken[15] + 80_000
    monotonic = [record.monotonic for record in records]
    assert monotonic == sorted(monotonic)
    assert monotonic[-1] - monotonic[0] < 3600
    expected = [r.decision for r in records[:8]]
    assert "FAIL" in expected[-2:], "a part that had failed before the clock was set"
    assert records[8].decision == "FAIL", "and stands failed after it"
    assert len(events(station, "clock")) == 2


# Pictures


SUFFIXES = {"png": "png", "jpeg": "jpg", "ppm": "ppm", "pgm": "pgm", "bmp": "bmp"}


def judges_mutated_pictures(bundle, good, folder, count):
    """Each of so many damaged files and each stream of them ends in verdicts or in errors."""
    files, stream = folder / "in", folder / "stream"
    files.mkdir()
    chance, whole = random.Random(count), good.read_bytes()
    kinds = list(KINDS.items())
    with stream.open("wb") as out:
        for number in range(count):
            kind, content = kinds[number % len(kinds)]
            suffix = next(SUFFIXES[word] for word in kind.split() if word in SUFFIXES)
            damaged = mutated(content, chance)
            (files / f"{number:05d}.{suffix}").write_bytes(damaged)
            out.write(damaged)
        out.write(whole)
    shutil.copy(good, files / f"{count:05d}.png")

    station = folder / "of files"
    seconds = LONG + count / 5
    edge("run", bundle, "--source", files, "--station", station, seconds=seconds)
    records = is_whole(station)
    assert len(records) == count + 1, "one for each file"
    failed = [r for r in records if r.verdict == "error"]
    assert count / 10 < len(failed) < count
    assert all(r.error and "\n" not in r.error for r in failed)
    assert records[-1].score == Runner(bundle).check(read_picture(good)).score

    station = folder / "of a stream"
    with Running("run", bundle, "--source", "-", "--station", station) as running:
        running.send(stream.read_bytes())
        running.ended(seconds=seconds)
    assert is_whole(station)[-1].score == records[-1].score
    assert len(kept(station)) > count / 2


def test_300_mutated_pictures(bundle, pictures, tmp_path):
    judges_mutated_pictures(bundle, pictures / "test" / "good" / "000.png", tmp_path, 300)


@pytest.mark.slow
def test_10_000_mutated_pictures(bundle, pictures, tmp_path):
    judges_mutated_pictures(bundle, pictures / "test" / "good" / "000.png", tmp_path, 10_000)
