"""Helpers of the station's source tests: pictures, and a source read with a time limit."""

import contextlib
import io
import os
import queue
import random
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from edge.station.sources import SourceOptions, open_source
from edge.station.types import Frame, Trouble

END = "the end of the frames"


def picture(seed=0, shape=(24, 32, 3)) -> np.ndarray:
    """Noise, uint8; another seed is another picture."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encoded(array, kind="PNG", **options) -> bytes:
    """A picture file's bytes. kind: PNG, JPEG, BMP, PPM."""
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


KINDS = {
    "png": encoded(picture(1)),
    "png of a palette": encoded(picture(2, (24, 32)) // 64 * 64),
    "large png": encoded(picture(3, (300, 400, 3))),
    "jpeg": encoded(picture(4), "JPEG"),
    "progressive jpeg": encoded(picture(5, (64, 64, 3)), "JPEG", progressive=True),
    "jpeg with restarts": encoded(picture(6, (64, 64, 3)), "JPEG", restart_marker_rows=1),
    "jpeg with a comment": encoded(picture(7), "JPEG", comment=b"\xff\xd8\xff\xd9" * 9),
    "ppm": encoded(picture(8), "PPM"),
    "pgm": encoded(picture(9, (24, 32)), "PPM"),
    "ppm with comments": b"P6 # a\n#b\n 32\t24\n# P6 \n255\n" + picture(10).tobytes(),
    "bmp": encoded(picture(11), "BMP"),
    "grey bmp": encoded(picture(12, (24, 33)), "BMP"),
}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A picture with bytes changed, lost, doubled or brought in."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 40))):
        at = rng.randrange(len(content) + 1) if rng.random() < 0.5 else rng.randrange(64)
        what = rng.randrange(5)
        if what == 0:
            content[at : at + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            del content[at : at + rng.choice((1, 2, 4, 30, 500))]
        elif what == 2:
            content[at:at] = content[at : at + rng.choice((1, 4, 100))]
        elif what == 3:
            content[at : at + 4] = rng.choice(
                (b"\xff" * 4, bytes(4), b"\0\1\0\0", b"\x7f\xff\xff\xff")
            )
        else:
            content[at:at] = rng.randbytes(rng.choice((1, 3, 50)))
    return bytes(content)


class Reading:
    """A source whose frames are read by a thread, so that no test waits for ever."""

    def __init__(self, source):
        self.source = source
        self._arrivals = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for arrival in self.source.frames():
                self._arrivals.put(arrival)
        finally:
            self._arrivals.put(END)

    def next(self, timeout=60):
        """The next frame or trouble, or END."""
        return self._arrivals.get(timeout=timeout)

    def frame(self, timeout=60) -> Frame:
        arrival = self.next(timeout)
        assert isinstance(arrival, Frame), arrival
        return arrival

    def trouble(self, timeout=60) -> Trouble:
        """The next trouble; frames before it are passed over."""
        until = time.monotonic() + timeout
        while True:
            arrival = self.next(max(0.0, until - time.monotonic()))
            if isinstance(arrival, Trouble):
                return arrival
            assert arrival is not END, "ended without trouble"

    def quiet(self, seconds) -> None:
        """Nothing comes for a while."""
        with contextlib.suppress(queue.Empty):
            raise AssertionError(f"did not expect {self.next(seconds)}")

    def rest(self, timeout=60) -> list:
        """All that comes up to the end."""
        arrivals = []
        while (arrival := self.next(timeout)) is not END:
            arrivals.append(arrival)
        return arrivals

    def close(self):
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive(), "frames() goes on after close()"


@contextlib.contextmanager
def reading(text, **options):
    """Opens and reads a source; closing it at the end takes two seconds at most."""
    read = Reading(open_source(str(text), SourceOptions(**options)))
    try:
        yield read
    finally:
        with Stopwatch() as closing:
            read.close()
    assert closing.seconds < 2, f"closing took {closing.seconds:.1f} s"


class Stopwatch:
    """Seconds in which this process could run: a machine that stands still is no one's fault."""

    def __enter__(self):
        self._ticks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _tick(self):
        while not self._stop.wait(0.01):
            self._ticks += 1

    @property
    def seconds(self) -> float:
        return self._ticks * 0.01


def wait_until(condition, timeout=10, what="it") -> None:
    """Waits until the condition holds."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen within {timeout} s"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process runs: not gone, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(of=None) -> list:
    """The process ids of all children, zombies included."""
    of = of or os.getpid()
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == of:
                found.append(int(stat.parent.name))
    return found
