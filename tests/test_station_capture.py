"""A camera that hangs, vanishes, changes, floods or lies: cut off, reported, opened again."""

import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from station_cameras import Program, nobody_answers
from station_frames import Stopwatch, children, is_running, reading, wait_until

from edge.station.sources import SourceOptions, open_source
from edge.station.types import Frame, Trouble

QUICK = {"retry": 0.02, "timeout": 0.5}


@pytest.fixture
def program(tmp_path) -> Program:
    return Program(tmp_path)


def who(frame) -> tuple:
    """(number of the start, number of the frame) that a frame of the program carries."""
    assert isinstance(frame, Frame), frame
    return int(frame.picture[0, 0, 0]), int(frame.picture[0, 0, 1])


def test_frames_come_with_both_clocks(program):
    before, ticks = time.time(), time.monotonic()
    with reading(program.text("frames,1;hang")) as read:
        frame = read.frame()
        assert read.source.live
        assert frame.source == f"command:{Path(sys.executable).name}"
        assert frame.picture.shape == (24, 32, 3)
        assert who(frame) == (1, 1)
        assert before <= frame.taken <= time.time()
        assert ticks <= frame.monotonic <= time.monotonic()


def test_a_camera_that_hangs_is_cut_off_reported_once_and_opened_again(program):
    with reading(program.text("deaf;frames,1;hang", "frames,2,0.05;hang"), **QUICK) as read:
        assert who(read.frame()) == (1, 1)
        trouble = read.trouble()
        assert trouble.lost
        assert "no picture for 0.5 s; opening it again" in trouble.problem
        assert who(read.frame()) == (2, 1)
        assert not is_running(program.starts[0][1])


def test_a_camera_that_never_opens_is_cut_off_after_its_patience(program):
    with reading(program.text("hang", "frames,1;hang"), retry=0.02, patience=1) as read:
        assert read.trouble().problem == "lost: no picture for 1 s; opening it again"
        assert who(read.frame())[1] == 1


def test_a_camera_that_chatters_is_listened_to_and_no_more_than_its_last_line_kept(program):
    with reading(program.text("chatter,2000;frames,1;chatter,2000;end,4"), retry=60) as read:
        read.frame()
        trouble = read.trouble()
        assert "status 4 (warning: xxx" in trouble.problem
        assert len(trouble.problem) < 500


def test_all_that_a_camera_started_is_ended_with_it(program):
    with reading(program.text("deaf;child;frames,1;hang", "frames,1;hang"), **QUICK) as read:
        read.frame()
        grandchild = program.child
        assert is_running(grandchild)
        read.trouble()
        read.frame()
        wait_until(lambda: not is_running(grandchild), what="the grandchild's end")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("end,5,no,such,device", "ended with status 5 (no such device)"),
        ("end,0", "ended with status 0"),
        ("die", "ended with status 137"),
        ("close_out", "closed its output"),
        ("end,1,rtsp://me:secret@host/1,is,off", r"status 1 \(rtsp://host/1 is off\)"),
    ],
)
def test_a_camera_that_vanishes_is_reported_with_its_last_words(program, act, words):
    with reading(program.text(f"frames,1;{act}", "frames,1;hang"), **QUICK) as read:
        assert who(read.frame()) == (1, 1)
        trouble = read.trouble()
        assert trouble.lost
        assert re.search(words, trouble.problem) or words in trouble.problem
        assert "secret" not in trouble.problem
        assert who(read.frame()) == (2, 1)


def test_a_camera_that_stays_away_is_tried_with_growing_waits_and_reported_once(program):
    with reading(program.text("end,3,gone"), retry=0.05) as read:
        trouble = read.trouble()
        assert trouble.problem == "lost: gone; opening it again"
        wait_until(lambda: len(program.starts) >= 7, 60)
        read.quiet(0)
    times = [at for at, _ in program.starts]
    for number in range(6):
        least = 0.05 * min(60, 2**number)
        assert times[number + 1] - times[number] >= least
    assert times[6] - times[0] < 20 * (sum(0.05 * 2**n for n in range(6))), "and no longer"


def test_waits_are_short_again_once_it_has_worked_for_a_while(program):
    # 60 times the wait is a while.
    acts = ["end,1"] * 6 + ["frames,40,0.05;end,1", "frames,1;hang"]
    with reading(program.text(*acts), retry=0.03):
        wait_until(lambda: len(program.starts) >= 8, 60)
    times = [at for at, _ in program.starts]
    assert times[6] - times[5] >= 0.03 * 2**5
    assert times[7] - program.ends[6] < 1.5, "not 1.8 s and the time to start"


def test_a_flapping_camera_is_not_opened_ever_faster(program):
    with reading(program.text("frames,1;end,1"), retry=0.02):
        wait_until(lambda: len(program.starts) >= 7, 60)
    times = [at for at, _ in program.starts]
    assert times[6] - times[5] >= 0.02 * 2**5


def test_frames_of_another_size_pass(program):
    text = program.text("frames,1,0.3,32,24;frames,1,0.3,64,8;frames,1,0.3,8,100;hang")
    with reading(text) as read:
        shapes = [read.frame().picture.shape for _ in range(3)]
    assert shapes == [(24, 32, 3), (8, 64, 3), (100, 8, 3)]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (r"raw,\xa5\x13garbage,20000", "sent .* bytes that are no picture"),
        (r"raw,P6 99999 99999 255\n;frames,1", "99999 x 99999 pixels"),
        (r"raw,P6 9999999999 1 255\n;frames,1", "no picture"),
        (r"raw,P6 0 0 255\n;frames,1", "no picture"),
        (r"raw,P6 -5 7 255\n;frames,1", "no picture"),
        (r"raw,P6 32 25 255\n;frames,2;hang", "no picture|0.5 s"),
        (r"raw,\x00,200000", "no picture"),
        (r"raw,hello;frames,1", "sent 5 bytes that are no picture"),
        ("drip,0.001", "no picture for 1 s"),
    ],
)
def test_a_camera_that_sends_garbage_is_ended_and_opened_again(program, act, words):
    options = {"retry": 0.02, "timeout": 1, "patience": 30}
    with reading(program.text(f"frames,1,0.2;{act};hang", "frames,1;hang"), **options) as read:
        assert who(read.frame()) == (1, 1)
        trouble = read.trouble()
        assert trouble.lost
        assert re.search(words, trouble.problem)
        assert who(read.frame()) == (2, 1)
        assert not is_running(program.starts[0][1])


def test_one_picture_that_cannot_be_decoded_is_trouble_of_its_own(program):
    small = r"raw,P6 4 4 255\n;raw,x,48"
    with reading(program.text(f"frames,1;wait_for,go;{small};wait_for,on;frames,1;hang")) as read:
        assert who(read.frame()) == (1, 1)
        (program.folder / "go").touch()
        trouble = read.next()
        assert isinstance(trouble, Trouble)
        assert not trouble.lost
        assert "at least 8 pixels" in trouble.problem
        (program.folder / "on").touch()
        assert who(read.frame()) == (1, 2)


def test_only_the_newest_frame_waits_and_the_dropped_are_counted(program):
    source = open_source(program.text("frames,1;wait_for,go;frames,100;wait_for,on;frames,1;hang"))
    frames = source.frames()
    assert who(next(frames)) == (1, 1)
    assert source.dropped == 0
    (program.folder / "go").touch()  # 100 frames come while this one is judged
    wait_until(lambda: source.dropped == 99)
    assert who(next(frames)) == (1, 101)
    (program.folder / "on").touch()
    assert who(next(frames)) == (1, 102)
    assert source.dropped == 99
    source.close()


def test_a_frame_that_waits_comes_before_the_loss_that_followed(program):
    source = open_source(program.text("frames,3;end,1"), SourceOptions(retry=60))
    frames = source.frames()
    assert who(next(frames))[0] == 1
    wait_until(lambda: not children())
    time.sleep(0.1)
    rest = [next(frames), next(frames)] if source.dropped == 1 else [next(frames)]
    assert isinstance(rest[-1], Trouble)
    source.close()


def test_frames_are_taken_at_a_lower_rate(program):
    with reading(program.text("frames,60,0.05;hang"), every=0.5) as read:
        taken = [read.frame() for _ in range(4)]
    gaps = [b.monotonic - a.monotonic for a, b in pairwise(taken)]
    assert min(gaps) >= 0.5
    assert who(taken[3])[1] >= 4
    assert read.source.dropped == 0, "what nobody wanted is not dropped"


MEMORY = """
import re, sys, time
from pathlib import Path
from edge.station.sources import open_source

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

source = open_source(sys.argv[1])
frames = source.frames()
next(frames)
before, frame = peak(), None
for dropped in range(3, 30, 3):
    while source.dropped < dropped:
        time.sleep(0.005)
    frame = next(frames)
print(peak() - before)
source.close()
"""


def test_a_flood_of_large_frames_takes_the_memory_of_a_few(program):
    text = program.text("frames,1000,0,1280,960")
    call = [sys.executable, "-c", MEMORY, text]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    # One arrives, one waits, two are in the judge's hands; and what the allocator takes for them.
    assert float(done.stdout) < 6 * 3.6, f"{done.stdout} MiB for frames of 3.5 MiB"


# The end


@pytest.mark.parametrize(
    "acts",
    [
        ["frames,1;hang"],
        ["deaf;child;frames,1;hang"],
        ["hang"],
        ["frames,999999"],
        ["end,1"],
        ["drip,0.01"],
    ],
)
def test_closing_ends_everything_at_once(program, acts):
    with reading(program.text(*acts), retry=60):
        wait_until(lambda: program.starts)
        time.sleep(0.2)
        pids = [pid for _, pid in program.starts]
        if "child" in acts[0]:
            wait_until(lambda: (program.folder / "child").exists())
            time.sleep(0.1)
            pids.append(program.child)
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid), 2)
    assert children() == [], "no zombie either"


def test_closed_before_and_twice(program):
    source = open_source(program.text("frames,1;hang"))
    source.close()
    source.close()
    assert list(source.frames()) == []
    assert children() == []


STATION = """
import signal, sys, threading
from edge.station.sources import SourceOptions, open_source
source = open_source(sys.argv[1], SourceOptions(retry=60))
signal.signal(signal.SIGTERM, lambda *_: source.close())
for arrival in source.frames():
    print(type(arrival).__name__, flush=True)
print(threading.active_count(), flush=True)
"""


def start_station(text):
    call = [sys.executable, "-c", STATION, text]
    return subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("act", ["deaf;child;frames,1;hang", "end,1"])
def test_closing_from_a_signal_handler(program, act):
    station = start_station(program.text(act))
    assert station.stdout.readline() in ("Frame\n", "Trouble\n")
    with Stopwatch() as closing:
        station.send_signal(signal.SIGTERM)
        assert station.stdout.readline() == "1\n", "no thread is left"
        assert station.wait(60) == 0
    assert closing.seconds < 2.5
    wait_until(lambda: not any(is_running(pid) for _, pid in program.starts), 2)


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGSEGV])
def test_no_orphan_is_left_when_the_station_is_killed(program, signal_):
    station = start_station(program.text("deaf;child;frames,1;hang"))
    assert station.stdout.readline() == "Frame\n"
    everyone = [*(pid for _, pid in program.starts), program.child, *children(station.pid)]
    assert len(set(everyone)) == 3
    station.send_signal(signal_)
    station.wait()
    wait_until(lambda: not any(map(is_running, everyone)), 10, "the end of all")


def test_a_driver_that_hangs_is_no_orphan_either():
    pytest.importorskip("cv2")
    with nobody_answers() as port:
        station = start_station(f"rtsp://127.0.0.1:{port}/")
        wait_until(lambda: children(station.pid))
        (driver,) = children(station.pid)
        wait_until(lambda: "libavformat" in Path(f"/proc/{driver}/maps").read_text(), 60)
        time.sleep(0.3)
        station.kill()
        station.wait()
        wait_until(lambda: not is_running(driver))


def test_a_program_that_is_gone_when_it_is_opened_again(program):
    camera = program.folder / "camera.py"

    def tool(act):
        script.write_text(f"#!/bin/sh\nexec {sys.executable} {camera} {program.folder} '{act}'\n")
        script.chmod(0o755)

    script = program.folder / "tool"
    tool("frames,1;wait_for,go;end,1")
    with reading(f"command:{script}", retry=0.05) as read:
        read.frame()
        script.unlink()
        (program.folder / "go").touch()
        assert read.trouble().lost
        read.quiet(0.5)
        tool("frames,1;hang")
        read.frame()
