"""Lines of the log: each is told, none floods."""

import io
import subprocess
import sys
import threading

from conftest import ROOT

from edge.station.log import Log


class Hands:
    """A log whose clock a test moves."""

    def __init__(self, **options):
        self.now, self.out = 0.0, io.StringIO()
        self.log = Log(self.out, journal=False, monotonic=lambda: self.now, **options)

    def lines(self):
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return text.splitlines()


def test_the_same_line_comes_once_a_minute_with_its_count():
    hands = Hands()
    for _ in range(600):  # ten a second
        hands.log.warning("camera:0 gave no picture")
        hands.now += 0.1
    assert hands.lines() == ["edge: camera:0 gave no picture"]
    hands.now = 60.0
    hands.log.warning("camera:0 gave no picture")
    assert hands.lines() == ["edge: camera:0 gave no picture (600 times in 60 s)"]


def test_others_are_not_held_back():
    hands = Hands()
    hands.log.info("one")
    hands.log.info("two")
    hands.log.error("one\nmore")
    assert hands.lines() == ["edge: one", "edge: two", "edge: one more"]


def test_lines_of_a_kind_are_the_same_whatever_they_say():
    hands = Hands()
    for i in range(5):
        hands.log.warning(f"frame {i} could not be judged", kind="frame")
    assert hands.lines() == ["edge: frame 0 could not be judged"]
    hands.log.flush()
    assert hands.lines() == []
    hands.now = 61.0
    hands.log.flush()
    assert hands.lines() == ["edge: frame 4 could not be judged (4 times in 61 s)"]
    hands.log.warning("frame 9 could not be judged", kind="frame")
    hands.log.flush()
    assert hands.lines() == []
    hands.log.flush(all=True)
    assert hands.lines() == ["edge: frame 9 could not be judged"]


def test_what_it_remembers_is_bounded_and_nothing_is_lost():
    hands = Hands()
    for _ in range(2):
        for i in range(150):
            hands.log.info(f"line {i}")
    assert len(hands.lines()) == 150
    for i in range(10_000):
        hands.log.info(f"other {i}")
    assert len(hands.lines()) == 10_000 + 150
    assert len(hands.log._said) <= 200


def test_the_journal_gets_priorities(monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    out = io.StringIO()
    log = Log(out)
    log.error("a")
    log.warning("b")
    log.info("c")
    assert out.getvalue().splitlines() == ["<3>edge: a", "<4>edge: b", "<6>edge: c"]


def test_a_reader_that_is_gone_stops_nothing():
    program = (
        "import os; from edge.station.log import Log; log = Log(); "
        "[log.error(f'line {i}' * 100) for i in range(1000)]; os.write(1, b'alive'); os._exit(0)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stderr.close()
    assert process.stdout.read() == b"alive"
    process.wait()
    process.stdout.close()
    log = Log(io.StringIO())
    log._stream.close()
    log.error("closed")


def test_threads_may_share_it():
    hands = Hands()
    threads = [
        threading.Thread(target=lambda: [hands.log.info("busy") for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hands.log.flush(all=True)
    assert hands.lines() == ["edge: busy", "edge: busy (1999 times in 0 s)"]
