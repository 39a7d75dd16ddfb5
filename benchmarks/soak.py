"""Very many frames through `edge run`: does its memory stay as it is, is every frame accounted for?

    python -m benchmarks.soak BUNDLE PICTURES

Frames of 128 x 128 pixels go through a pipe, one in a thousand of them broken; verdicts go to the
store and a capped file of lines, pictures of what failed to a folder that is soon full. Prints the
resident memory every thousand frames and its slope after the first 2,000. Ends with status 1 where
memory grows beyond noise, or a frame is neither scored nor dropped nor failed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MOST = 5.0  # MiB over the whole soak, however noisy
_SETTLED = 2_000  # frames
_SAMPLE = 1_000
_SIDE = 128
_BROKEN = b"P6 4 4 255\n" + bytes(48)  # a picture, and too small to be judged
_STATION = """\
folder = "."
[bundle]
path = {bundle}
[source]
open = "-"
[failures]
cap_mb = 5
reserve_mb = 1
[[sink]]
to = "jsonl:verdicts.jsonl"
cap_mb = 2
"""


def resident_mb(pid: int, which: str = "VmRSS") -> float:
    """Resident MiB of a process, now or (VmHWM) at its peak; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(s.split()[1]) / 1024 for s in status.splitlines() if s.startswith(which)), 0.0)


def slope(memory: list[float]) -> tuple[float, float]:
    """KiB from sample to sample, with its standard error.

    The mean of the steps, as of a walk: memory that was taken once stays taken, so samples that
    follow it lie together, and the residuals of a line through them would make every single step
    of the allocator a certain slope.
    """
    steps = [1024 * (b - a) for a, b in itertools.pairwise(memory)]
    mean = sum(steps) / len(steps)
    variance = sum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
    return mean, math.sqrt(variance / len(steps))


def soak(bundle: str, pictures: str, count: int, folder: Path) -> dict:
    """Sends so many frames through a station in the folder."""
    station = folder / "station.toml"
    station.write_text(_STATION.format(bundle=json.dumps(str(Path(bundle).resolve()))))
    call = [sys.executable, "-m", "edge", "run", str(station)]
    raw = _raw(Path(pictures))
    start = time.monotonic()
    memory = []
    # The reader takes a frame when it wants one, so what was written is what was judged but for
    # one or two.
    with subprocess.Popen(call, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for number in range(1, count + 1):
            process.stdin.write(_BROKEN if number % 1000 == 0 else raw[number % len(raw)])
            if number % _SAMPLE == 0:
                memory.append(resident_mb(process.pid))
                print(f"{number:7d} frames {memory[-1]:8.2f} MiB", flush=True)
        peak = resident_mb(process.pid, "VmHWM")
    seconds = time.monotonic() - start
    assert process.returncode == 0, f"status {process.returncode}"
    settled = memory[_SETTLED // _SAMPLE - 1 :]
    (rise, error), (later, its_error) = slope(settled), slope(settled[len(settled) // 2 :])
    return {
        "frames": count,
        **_accounts(folder, count),
        "frames_a_second": count / seconds,
        "kib_a_thousand_frames": rise,
        "standard_error": error,
        "of_the_second_half": later,
        "its_standard_error": its_error,
        "mib_after_2000": settled[0],
        "mib_at_the_end": memory[-1],
        "peak_rss_mb": peak,
        "grows": memory[-1] - settled[0] > MOST or rise > 3 * error,
        "failures_mb": sum(f.stat().st_size for f in (folder / "failures").iterdir()) / 1e6,
    }


def _raw(pictures: Path) -> list[bytes]:
    """Each picture as a binary PPM."""
    from PIL import Image

    raw = []
    for path in sorted(pictures.rglob("*.png")):
        picture = Image.open(path).convert("RGB").resize((_SIDE, _SIDE))
        raw.append(b"P6 %d %d 255\n" % picture.size + picture.tobytes())
    return raw


def _accounts(folder: Path, count: int) -> dict:
    """What the store says of the frames."""
    with sqlite3.connect(folder / "station.db") as store:
        found = dict(store.execute("SELECT verdict, COUNT(*) FROM records GROUP BY verdict"))
        counters = dict(store.execute("SELECT name, value FROM state WHERE name LIKE 'count:%'"))
        first, last = store.execute("SELECT MIN(id), MAX(id) FROM records").fetchone()
    scored, failed, dropped = (
        counters.get(f"count:{n}", 0) for n in ("scored", "failed", "dropped")
    )
    whole = (
        scored + failed + dropped == count
        and failed == found.get("error") == count // 1000
        and sum(found.values()) == last - first + 1 == scored + failed
    )
    return {"scored": scored, "failed": failed, "dropped": dropped, "all_accounted_for": whole}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("pictures")
    parser.add_argument("--frames", type=int, default=100_000, help="thousands (100000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(options.bundle, options.pictures, options.frames, Path(folder))
    print(json.dumps(figures, indent=1))
    return int(figures["grows"] or not figures["all_accounted_for"])


if __name__ == "__main__":
    sys.exit(main())
