"""Helpers of the tests of `edge run`: a whole station as a process, and what it left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from conftest import ROOT
from PIL import Image
from station_frames import Stopwatch

from edge.preprocess import read_picture
from edge.station.sources.netpbm import netpbm_bytes
from edge.station.store import open_store

LONG = 120  # seconds to wait for what takes one; the machine may be busy


class Running:
    """`python -m edge ARGUMENTS` as a process, killed at the end where it still runs.

    out, err: the lines that it has written so far. program: to be run in place of `-m edge`.
    """

    def __init__(self, *arguments, cwd=ROOT, env=None, program=("-m", "edge")):
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"):
            if name not in (env or {}):
                surroundings.pop(name, None)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            cwd=cwd,
            env=surroundings,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        self.pid = self.process.pid
        self.out, self.err = [], []
        self._threads = [
            threading.Thread(target=_collect, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        for thread in self._threads:
            thread.join(10)

    def send(self, *contents: bytes) -> None:
        """Writes to its standard input."""
        for content in contents:
            self.process.stdin.write(content)
        self.process.stdin.flush()

    @property
    def records(self) -> list:
        """The JSON lines that it has written to standard output."""
        return [json.loads(line) for line in list(self.out)]

    def until(self, holds, what="it"):
        """Waits until `holds()` gives something true, and returns that."""
        end = time.monotonic() + LONG
        while not (found := holds()):
            assert self.process.poll() is None, f"ended meanwhile: {self.err}"
            assert time.monotonic() < end, f"{what} did not happen; {self.err[-5:]}"
            time.sleep(0.01)
        return found

    def until_lines(self, count: int) -> list:
        """Waits for so many lines on standard output."""
        self.until(lambda: len(self.out) >= count, f"line {count}")
        return self.records

    def ended(self, status=0, seconds=LONG) -> str:
        """Waits for its end, checks the status, returns the last line of standard error."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        got = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(10)
        assert got == status, self.err
        assert "Traceback" not in "".join(self.err), self.err
        return self.err[-1] if self.err else ""

    def stopped(self, by=signal.SIGTERM) -> str:
        """Tells it to stop, which takes 5 s at most."""
        self.process.send_signal(by)
        with Stopwatch() as ending:
            last = self.ended()
        assert ending.seconds < 5, f"the end took {ending.seconds:.1f} s"
        return last


def edge(*arguments, status=0, seconds=LONG, **options) -> str:
    """Runs `python -m edge ARGUMENTS` to its end; what it wrote to standard output."""
    with Running(*arguments, **options) as running:
        running.ended(status, seconds)
        return "".join(running.out)


def _collect(stream, lines) -> None:
    for line in stream:
        lines.append(line.decode())
    stream.close()


def make_parts(pictures: Path, folder: Path) -> Path:
    """16 good parts, and each of them with a hole that no model overlooks: good/ and hole/."""
    for path in sorted((pictures / "test" / "good").iterdir()):
        picture = read_picture(path).copy()
        for kind in ("good", "hole"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / kind / path.name)
            picture[24:44, 20:40] = 0
    return folder


def ppm(picture: np.ndarray) -> bytes:
    """A picture, (H, W) or (H, W, 3), as binary PGM or PPM."""
    return netpbm_bytes(picture.shape[1], picture.shape[0], picture.ndim) + picture.tobytes()


def ppm_of(path) -> bytes:
    """A picture file as binary PGM or PPM."""
    return ppm(read_picture(Path(path)))


def kept(station, limit=10**6) -> list:
    """The records in a station's store, oldest first."""
    with open_store(station) as store:
        return store.after(0, limit)


def counts(station):
    with open_store(station) as store:
        return store.counts()


def events(station, kind=None) -> list:
    """The texts of a station's events, oldest first; of one kind, where given."""
    with open_store(station) as store:
        found = reversed(store.events(1000))
        return [e.text for e in found if kind in (None, e.kind)]


def is_whole(station) -> list:
    """Checks that every frame that a store counts has its record. Returns the records."""
    records = kept(station)
    assert [r.id for r in records] == list(range(1, len(records) + 1))
    found = counts(station)
    assert found.scored + found.failed == len(records)
    assert found.failed == sum(r.verdict == "error" for r in records)
    assert sum(found.decisions.values()) == len(records)
    assert found.lost == 0
    return records


def write_toml(path: Path, **tables) -> Path:
    """A TOML file. tables: name -> keys; `sink` -> a list of them; `top` -> keys of no table."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in tables.pop("top", {}).items()]
    for name, tables_of in tables.items():
        for keys in tables_of if isinstance(tables_of, list) else [tables_of]:
            lines.append(f"[[{name}]]" if isinstance(tables_of, list) else f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    path.write_text("\n".join(lines) + "\n")
    return path
