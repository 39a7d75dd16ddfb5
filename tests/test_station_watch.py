"""A watched folder: what is taken, when, how often, and what becomes of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from station_frames import encoded, picture, reading, wait_until

POLL = 0.02


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def watching(folder, **options):
    return reading(f"watch:{folder}", **{"poll": POLL, **options})


def put(path: Path, seed=0) -> None:
    """A picture that appears at once, as a program that renames leaves it."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(encoded(picture(seed)))
    beside.rename(path)


def names(read, count) -> list:
    return [Path(read.frame().source).name for _ in range(count)]


def test_new_pictures_are_taken_once_each_oldest_first(folder):
    with watching(folder) as read:
        assert not read.source.live
        for number, name in enumerate(["z.png", "a.png", "m.PNG"]):
            put(folder / name, number)
            frame = read.frame()
            assert frame.source == str(folder / name)
            np.testing.assert_array_equal(frame.picture, picture(number))
        (folder / "notes.txt").write_text("no picture")
        (folder / ".hidden.png").write_bytes(encoded(picture()))
        (folder / "sub.png").mkdir()
        put(folder / "sub.png" / "below.png")
        os.mkfifo(folder / "pipe.png")
        read.quiet(10 * POLL)
    assert {p.name for p in folder.iterdir()} >= {"z.png", "a.png", "m.PNG"}, "kept"


def test_several_that_wait_come_in_the_order_in_which_they_were_written(folder):
    for number, name in enumerate(["c.png", "a.png", "b.png"]):
        put(folder / name)
        os.utime(folder / name, (1e9 + number, 1e9 + number))
    with watching(folder, existing=True) as read:
        assert names(read, 3) == ["c.png", "a.png", "b.png"]


def test_a_file_is_not_taken_while_it_grows(folder):
    content = encoded(picture(5, (300, 300)), "PPM")
    with watching(folder, poll=0.1) as read:
        with (folder / "slow.ppm").open("wb", buffering=0) as file:
            for at in range(0, len(content), 9000):
                file.write(content[at : at + 9000])
                time.sleep(0.03)
        np.testing.assert_array_equal(read.frame().picture, picture(5, (300, 300)))
        read.quiet(0.3)


def test_what_is_a_whole_picture_already_is_not_taken_while_it_grows(folder):
    for _ in range(5):
        with watching(folder, poll=0.3) as read, (folder / "a.png").open("wb", 0) as file:
            file.write(encoded(picture(1)))
            longest, before = 0.0, time.monotonic()
            for _ in range(60):
                time.sleep(0.02)
                file.write(b"more")
                longest, before = max(longest, time.monotonic() - before), time.monotonic()
            read.frame()
            if longest < 0.25:  # the machine did not stand still: nothing looked complete
                read.quiet(0.7)
                return
        (folder / "a.png").unlink()
    pytest.skip("this machine is too busy to write in time")


def test_a_writer_that_pauses_in_the_middle_gets_its_time(folder):
    content = encoded(picture(6))
    with watching(folder) as read:
        with (folder / "pause.png").open("wb", buffering=0) as file:
            file.write(content[:1000])
            read.quiet(0.5)
            file.write(content[1000:])
        np.testing.assert_array_equal(read.frame().picture, picture(6))


def test_a_file_that_stays_damaged_is_trouble_once(folder):
    with watching(folder) as read:
        (folder / "bad.png").write_bytes(encoded(picture())[:500])
        trouble = read.trouble()
        assert trouble.source == str(folder / "bad.png")
        assert not trouble.lost
        assert "damaged" in trouble.problem
        read.quiet(0.2)
        put(folder / "bad.png", 7)
        np.testing.assert_array_equal(read.frame().picture, picture(7))


def test_a_file_written_anew_is_a_new_picture(folder):
    with watching(folder) as read:
        for seed in range(3):
            put(folder / "latest.png", seed)
            np.testing.assert_array_equal(read.frame().picture, picture(seed))
        (folder / "latest.png").write_bytes(encoded(picture(9)))  # in place
        np.testing.assert_array_equal(read.frame().picture, picture(9))


@pytest.mark.parametrize(
    ("done", "existing", "taken"),
    [
        ("keep", None, False),
        ("keep", True, True),
        ("keep", False, False),
        ("delete", None, True),
        ("move to done", None, True),
        ("delete", False, False),
    ],
)
def test_what_is_there_at_the_start(folder, done, existing, taken):
    put(folder / "old.png")
    with watching(folder, done=done, existing=existing) as read:
        if taken:
            assert names(read, 1) == ["old.png"]
        else:
            read.quiet(10 * POLL)
            put(folder / "new.png")
            assert names(read, 1) == ["new.png"]


def test_a_file_goes_only_when_its_record_is_safe(folder):
    put(folder / "a.png")
    with watching(folder, done="delete") as read:
        frame = read.frame()
        read.quiet(10 * POLL)
        assert (folder / "a.png").exists()
        read.source.answer(frame, None)
        assert not (folder / "a.png").exists()
        read.source.answer(frame, None)  # twice is once


def test_moved_files_keep_their_name_or_get_a_free_one(folder):
    with watching(folder, done="move to judged") as read:
        for seed in range(3):
            put(folder / "a.png", seed)
            read.source.answer(read.frame(), None)
        read.quiet(10 * POLL)
    assert sorted(p.name for p in folder.iterdir()) == ["judged"]
    moved = {p.name: p.read_bytes() for p in (folder / "judged").iterdir()}
    assert moved == {
        name: encoded(picture(seed)) for seed, name in enumerate(["a.png", "a-2.png", "a-3.png"])
    }


def test_a_picture_that_took_the_place_of_the_judged_one_stays_and_is_judged(folder):
    put(folder / "a.png", 1)
    with watching(folder, done="delete") as read:
        first = read.frame()
        put(folder / "a.png", 2)
        read.source.answer(first, None)
        second = read.frame()
        np.testing.assert_array_equal(second.picture, picture(2))
        read.source.answer(second, None)
        assert not (folder / "a.png").exists()


def test_what_is_no_picture_goes_as_well(folder):
    (folder / "bad.png").write_bytes(b"no picture")
    with watching(folder, done="move to judged") as read:
        read.source.answer(read.trouble(), None)
        assert (folder / "judged" / "bad.png").exists()


def test_a_file_that_cannot_be_moved_is_trouble_once_and_not_judged_again(folder):
    (folder / "judged").write_text("a file in the way")
    put(folder / "a.png")
    with watching(folder, done="move to judged") as read:
        read.source.answer(read.frame(), None)
        trouble = read.trouble()
        assert trouble.source == str(folder / "a.png")
        assert "cannot be moved" in trouble.problem
        read.source.answer(trouble, None)
        read.quiet(10 * POLL)
    assert (folder / "a.png").exists()


def test_a_folder_that_goes_and_comes_back(folder):
    put(folder / "a.png")
    with watching(folder, existing=True) as read:
        assert names(read, 1) == ["a.png"]
        folder.rename(folder.with_name("away"))
        trouble = read.trouble()
        assert (trouble.source, trouble.lost) == (str(folder), True)
        read.quiet(10 * POLL)
        folder.with_name("away").rename(folder)
        put(folder / "b.png")
        assert names(read, 1) == ["b.png"], "and a.png not again"


def test_a_folder_that_looks_empty_for_a_while_is_not_judged_again(folder):
    """So a stick or a share looks while it is not mounted."""
    put(folder / "a.png")
    with watching(folder, existing=True) as read:
        assert names(read, 1) == ["a.png"]
        (folder / "a.png").rename(folder.with_name("a.png"))
        read.quiet(10 * POLL)
        folder.with_name("a.png").rename(folder / "a.png")
        read.quiet(10 * POLL)


def test_of_files_that_are_gone_no_memory_is_kept(folder):
    with watching(folder, poll=0.01) as read:
        for start in range(0, 1500, 500):
            for number in range(start, start + 500):
                (folder / f"{number}.pgm").write_bytes(b"P5 8 8 255\n" + bytes(64))
            assert len(names(read, 500)) == 500
            for path in list(folder.iterdir()):
                path.unlink()
        wait_until(lambda: len(read.source._taken) <= 1000)


JUDGE = """
import sys, time
from edge.station.sources import SourceOptions, open_source
source = open_source("watch:" + sys.argv[1], SourceOptions(done="delete", poll=0.01))
with open(sys.argv[2], "a", buffering=1) as log:
    for frame in source.frames():
        log.write(frame.source + "\\n")
        source.answer(frame, None)
"""


def test_killed_at_any_moment_nothing_is_lost_and_next_to_nothing_judged_twice(folder, tmp_path):
    log = tmp_path / "log"
    log.touch()
    expected = {str(folder / f"{number:03d}.pgm") for number in range(100)}
    for path in expected:
        Path(path).write_bytes(b"P5 8 8 255\n" + bytes(64))
    kills = 0
    rng = np.random.default_rng(2)
    while list(folder.iterdir()):
        call = [sys.executable, "-c", JUDGE, folder, log]
        judge = subprocess.Popen(call, cwd=ROOT)
        before = log.stat().st_size
        while log.stat().st_size == before and list(folder.iterdir()):
            time.sleep(0.001)
        if kills < 4:
            time.sleep(rng.uniform(0, 0.005))
        else:
            while list(folder.iterdir()):
                time.sleep(0.01)
        judge.kill()
        judge.wait()
        kills += 1
    judged = log.read_text().split()
    assert set(judged) == expected
    assert len(judged) <= len(expected) + kills


def test_a_look_at_a_large_folder_leaves_the_machine_alone(folder):
    for number in range(1000):
        (folder / f"{number}.pgm").write_bytes(b"P5 8 8 255\n" + bytes(64))
    with watching(folder, poll=0.01, existing=False) as read:
        time.sleep(0.3)
        start, used = time.monotonic(), time.process_time()
        time.sleep(1.0)
        share = (time.process_time() - used) / (time.monotonic() - start)
        assert share < 0.3, f"looking takes {share:.0%} of a processor"
        put(folder / "new.png")
        assert names(read, 1) == ["new.png"]
